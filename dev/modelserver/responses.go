package modelserver

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// responses is the wire of OpenAI's Responses API.
type responses struct{ openAI }

// responsesRequest is the body of POST /v1/responses where it differs from that of
// chat completions.
type responsesRequest struct {
	chatRequest
	Instructions string         `json:"instructions"`
	Input        jsontext.Value `json:"input"`
	MaxOutput    *int32         `json:"max_output_tokens"`
	Reasoning    struct {
		Effort string `json:"effort"`
	} `json:"reasoning"`
	Text struct {
		Format struct {
			Type string `json:"type"`
			format
		} `json:"format"`
	} `json:"text"`
	Tools []struct {
		Type string `json:"type"`
		function
	} `json:"tools"`

	// Refused: nothing is stored here.
	Previous     jsontext.Value `json:"previous_response_id"`
	Conversation jsontext.Value `json:"conversation"`
	Background   bool           `json:"background"`
}

// responsesItem is one item of the input.
type responsesItem struct {
	Type      string         `json:"type"`
	Role      string         `json:"role"`
	Content   jsontext.Value `json:"content"`
	CallID    string         `json:"call_id"`
	Name      string         `json:"name"`
	Arguments string         `json:"arguments"`
	Output    jsontext.Value `json:"output"`
	Encrypted string         `json:"encrypted_content"`
	Summary   []struct {
		Text string `json:"text"`
	} `json:"summary"`
}

func (responses) decode(body []byte, _ route) *call {
	var r responsesRequest
	unmarshal(body, &r)
	if given(r.Previous) || given(r.Conversation) || r.Background {
		reject("previous_response_id", "nothing is stored here, no conversation, and no answer in the background: send the whole input")
	}
	r.MaxTokens, r.Effort = r.MaxOutput, r.Reasoning.Effort
	r.ResponseFormat.Type, r.ResponseFormat.JSONSchema = r.Text.Format.Type, r.Text.Format.format
	for _, t := range r.Tools {
		r.chatRequest.Tools = append(r.chatRequest.Tools, chatTool{t.Type, t.function})
	}
	// The input is a text, or items of which those that an assistant made in one turn
	// are one message of chat completions.
	r.Messages = nil
	if r.Instructions != "" {
		text, _ := jsontext.AppendQuote(nil, r.Instructions)
		r.Messages = append(r.Messages, chatMessage{Role: "system", Content: text})
	}
	if r.Input.Kind() == '"' {
		r.Messages = append(r.Messages, chatMessage{Role: "user", Content: r.Input})
		return r.call("input")
	}
	var items []responsesItem
	if err := strictjson.Unmarshal(r.Input, &items); err != nil {
		reject("input", "it must be a text or an array of items")
	}
	for i := range items {
		r.add(fmt.Sprintf("input[%d]", i), &items[i])
	}
	return r.call("input")
}

// add appends an item to the messages. at names it in errors.
func (r *responsesRequest) add(at string, item *responsesItem) {
	switch item.Type {
	case "", "message":
		if item.Role != "assistant" {
			r.Messages = append(r.Messages, chatMessage{Role: item.Role, Content: item.Content})
			return
		}
		m := r.assistant()
		if m.Content != nil || len(m.ToolCalls) > 0 { // another turn
			r.Messages = append(r.Messages, chatMessage{Role: "assistant"})
			m = r.assistant()
		}
		m.Content = item.Content
	case "reasoning":
		m := r.assistant()
		for _, p := range item.Summary {
			m.Reasoning += p.Text
		}
		m.Signature = cmp.Or(item.Encrypted, m.Signature)
	case "function_call":
		m, c := r.assistant(), chatCall{ID: item.CallID, Type: "function"}
		c.Function.Name, c.Function.Arguments = item.Name, item.Arguments
		m.ToolCalls = append(m.ToolCalls, c)
	case "function_call_output":
		r.Messages = append(r.Messages, chatMessage{Role: "tool", ToolCallID: item.CallID, Content: item.Output})
	default:
		reject(at, "items are messages, reasoning, function_call and function_call_output")
	}
}

// assistant returns the last message, if it is an assistant's, or a new one.
func (r *responsesRequest) assistant() *chatMessage {
	if n := len(r.Messages); n == 0 || r.Messages[n-1].Role != "assistant" {
		r.Messages = append(r.Messages, chatMessage{Role: "assistant"})
	}
	return &r.Messages[len(r.Messages)-1]
}

func (responses) encoder(s *stream) encoder {
	return &responsesEncoder{stream: s, id: "resp_" + rand.Text(), created: time.Now().Unix(), output: []any{}}
}

type responsesEncoder struct {
	*stream
	id      string
	created int64
	sent    int            // events
	output  []any          // the items so far
	item    map[string]any // what is being written; text of its kind continues it
	kind    kind           // of the item
	text    string
}

// response is the answer so far.
func (e *responsesEncoder) response(output []any) members {
	return members{
		"id": e.id, "object": "response", "created_at": e.created, "model": e.call.model, "status": "in_progress", "error": nil, "incomplete_details": nil,
		"output": output, "tools": []any{}, "tool_choice": "auto", "parallel_tool_calls": !e.call.one, "usage": nil,
	}
}

// textKinds are how events name a text.
var textKinds = map[kind]struct{ item, part, text, events, partEvents, index string }{
	said:    {"message", "output_text", "text", "output_text", "content_part", "content"},
	refusal: {"message", "refusal", "refusal", "refusal", "content_part", "content"},
	thought: {"reasoning", "summary_text", "text", "reasoning_summary_text", "reasoning_summary_part", "summary"},
}

// step writes state that comes with a call, which has no place for it on this wire, as
// a thought's before it.
func (e *responsesEncoder) step(_ *model.LLMResponse, s step) {
	if s.kind == called {
		if len(s.ThoughtSignature) > 0 {
			e.step(nil, step{kind: thought, Part: &genai.Part{ThoughtSignature: s.ThoughtSignature}})
		}
		e.toolCall(s)
		return
	}
	if e.item == nil || e.kind != s.kind {
		e.open(s.kind)
	}
	if len(s.ThoughtSignature) > 0 && s.kind == thought {
		e.item["encrypted_content"] = signed(s.ThoughtSignature)
	}
	if e.text += s.Text; s.Text != "" {
		k := textKinds[s.kind]
		e.within(k.events+".delta", members{"delta": s.Text, k.index + "_index": 0})
	}
}

// part is the text so far as a part of its item.
func (e *responsesEncoder) part() members {
	k := textKinds[e.kind]
	part := members{"type": k.part, k.text: e.text}
	if e.kind == said {
		part["annotations"] = []any{}
	}
	return part
}

// open begins an item of text.
func (e *responsesEncoder) open(kind kind) {
	e.close()
	k := textKinds[kind]
	e.kind, e.text = kind, ""
	item := members{"type": k.item, "id": k.item + "_" + rand.Text(), "status": "in_progress", k.index: []any{}}
	if kind != thought {
		item["role"] = "assistant"
	}
	e.add(item)
	e.within(k.partEvents+".added", members{"part": e.part(), k.index + "_index": 0})
}

// close ends the item of text, if there is one.
func (e *responsesEncoder) close() {
	if e.item == nil {
		return
	}
	k, part := textKinds[e.kind], e.part()
	e.item[k.index] = []any{part}
	e.within(k.events+".done", members{k.text: e.text, k.index + "_index": 0})
	e.within(k.partEvents+".done", members{"part": part, k.index + "_index": 0})
	e.done()
}

// toolCall writes a call: its name first, its arguments in pieces.
func (e *responsesEncoder) toolCall(s step) {
	e.close()
	e.add(members{"type": "function_call", "id": "fc_" + rand.Text(), "status": "in_progress", "call_id": s.id, "name": s.FunctionCall.Name, "arguments": ""})
	for _, piece := range e.cut(s.args) {
		e.within("function_call_arguments.delta", members{"delta": piece})
	}
	e.item["arguments"] = s.args
	e.within("function_call_arguments.done", members{"arguments": s.args, "name": s.FunctionCall.Name})
	e.done()
}

// add puts item last, and done ends it.
func (e *responsesEncoder) add(item members) {
	e.item, e.output = item, append(e.output, item)
	e.within("output_item.added", members{"item": item})
}

func (e *responsesEncoder) done() {
	e.item["status"] = "completed"
	e.within("output_item.done", members{"item": e.item})
	e.item = nil
}

// within sends an event about the last item.
func (e *responsesEncoder) within(kind string, m members) {
	if m["output_index"] = len(e.output) - 1; m["item"] == nil {
		m["item_id"] = e.item["id"]
	}
	e.say("response."+kind, m)
}

// say sends one event, where the answer is streamed.
func (e *responsesEncoder) say(kind string, m members) {
	if !e.call.stream {
		return
	}
	if e.sent == 0 && kind != "response.created" {
		e.say("response.created", members{"response": e.response([]any{})})
	}
	m["type"], m["sequence_number"] = kind, e.sent
	e.sent++
	e.event(kind, m)
}

func (e *responsesEncoder) end(r *model.LLMResponse) {
	e.close()
	out, status := e.response(e.output), "incomplete"
	switch reason := openAIFinish(r); reason {
	case "stop", "tool_calls":
		status = "completed"
	case "length":
		out["incomplete_details"] = members{"reason": "max_output_tokens"}
	default:
		out["incomplete_details"] = members{"reason": reason}
	}
	out["status"], out["usage"] = status, usage(r.UsageMetadata, "input_tokens", "output_tokens")
	if !e.call.stream {
		e.whole(out)
	}
	e.say("response."+status, members{"response": out})
}

// broken sends the event for what fails in mid-stream.
func (e *responsesEncoder) broken(p *problem) {
	e.say("error", members{"code": "server_error", "message": p.message, "param": nil})
}
