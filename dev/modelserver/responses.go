package modelserver

import (
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

func (responses) decode(body []byte, _ route) (*call, *problem) {
	var r responsesRequest
	if err := strictjson.Unmarshal(body, &r); err != nil {
		return nil, bad("", "the request cannot be read: "+err.Error())
	}
	if given(r.Previous) || given(r.Conversation) || r.Background {
		return nil, bad("previous_response_id", "previous_response_id, conversation, background: nothing is stored here: send the whole input")
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
		return nil, bad("input", "input: it must be a text or an array of items")
	}
	for i := range items {
		if p := r.add(&items[i]); p != nil {
			p.message = fmt.Sprintf("input[%d]: ", i) + p.message
			return nil, p
		}
	}
	return r.call("input")
}

// add appends an item to the messages.
func (r *responsesRequest) add(item *responsesItem) *problem {
	switch item.Type {
	case "", "message":
		if item.Role != "assistant" {
			r.Messages = append(r.Messages, chatMessage{Role: item.Role, Content: item.Content})
			return nil
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
		if item.Encrypted != "" {
			m.Signature = item.Encrypted
		}
	case "function_call":
		m, c := r.assistant(), chatCall{ID: item.CallID, Type: "function"}
		c.Function.Name, c.Function.Arguments = item.Name, item.Arguments
		m.ToolCalls = append(m.ToolCalls, c)
	case "function_call_output":
		r.Messages = append(r.Messages, chatMessage{Role: "tool", ToolCallID: item.CallID, Content: item.Output})
	default:
		return bad("input", "items are messages, reasoning, function_call and function_call_output")
	}
	return nil
}

// assistant returns the last message, if it is an assistant's, or a new one.
func (r *responsesRequest) assistant() *chatMessage {
	if n := len(r.Messages); n == 0 || r.Messages[n-1].Role != "assistant" {
		r.Messages = append(r.Messages, chatMessage{Role: "assistant"})
	}
	return &r.Messages[len(r.Messages)-1]
}

func (responses) encoder(s *stream, c *call) encoder {
	start := response{
		ID: "resp_" + rand.Text(), Object: "response", Created: time.Now().Unix(), Model: c.model, Status: "in_progress",
		Output: []any{}, Tools: []any{}, ToolChoice: "auto", Parallel: !c.one,
	}
	return &responsesEncoder{stream: s, call: c, start: start, head: start}
}

// response is an answer.
type response struct {
	ID         string `json:"id"`
	Object     string `json:"object"`
	Created    int64  `json:"created_at"`
	Model      string `json:"model"`
	Status     string `json:"status"`
	Error      any    `json:"error"`
	Incomplete any    `json:"incomplete_details"`
	Output     []any  `json:"output"`
	Tools      []any  `json:"tools"`
	ToolChoice string `json:"tool_choice"`
	Parallel   bool   `json:"parallel_tool_calls"`
	Usage      any    `json:"usage"`
}

// finish says how the answer ended.
func (a *response) finish(r *model.LLMResponse) {
	if r.ModelVersion != "" {
		a.Model = r.ModelVersion
	}
	switch reason := openAIFinish(r); reason {
	case "stop", "tool_calls":
		a.Status = "completed"
	case "length":
		a.Status, a.Incomplete = "incomplete", map[string]string{"reason": "max_output_tokens"}
	default:
		a.Status, a.Incomplete = "incomplete", map[string]string{"reason": reason}
	}
	if u := usageOf(r.UsageMetadata); u != nil {
		a.Usage = map[string]any{
			"input_tokens": u.Prompt, "output_tokens": u.Completion, "total_tokens": u.Total,
			"input_tokens_details": u.PromptOf, "output_tokens_details": u.CompletionOf,
		}
	}
}

type responsesEncoder struct {
	*stream
	call  *call
	start response // as the first event has it
	head  response
	sent  int            // events
	item  map[string]any // what is being written; text of its kind continues it
	kind  textKind
	text  string
}

// A textKind is how events name a text.
type textKind struct{ item, part, text, events, index string }

var (
	said    = textKind{"message", "output_text", "text", "output_text", "content"}
	refusal = textKind{"message", "refusal", "refusal", "refusal", "content"}
	thought = textKind{"reasoning", "summary_text", "text", "reasoning_summary_text", "summary"}
)

func (e *responsesEncoder) whole(r *model.LLMResponse) error {
	if err := e.parts(r, parts(r.Content)); err != nil {
		return err
	}
	e.head.finish(r)
	return e.stream.whole(e.head)
}

func (e *responsesEncoder) end(r *model.LLMResponse, rest []*genai.Part) error {
	if err := e.parts(r, rest); err != nil {
		return err
	}
	e.head.finish(r)
	return e.say("response."+e.head.Status, map[string]any{"response": e.head})
}

// parts writes the last parts of an answer, and ends the item that is being written.
func (e *responsesEncoder) parts(r *model.LLMResponse, parts []*genai.Part) error {
	for _, p := range parts {
		var err error
		if p.FunctionCall != nil {
			err = e.toolCall(r, p)
		} else {
			err = e.delta(r, p)
		}
		if err != nil {
			return err
		}
	}
	return e.close()
}

func (e *responsesEncoder) delta(of *model.LLMResponse, p *genai.Part) error {
	kind := said
	if p.Thought {
		kind = thought
	} else if refused(of) {
		kind = refusal
	}
	if e.item == nil || e.kind != kind {
		if err := e.open(kind); err != nil {
			return err
		}
	}
	if len(p.ThoughtSignature) > 0 && p.Thought {
		e.item["encrypted_content"] = signed(p.ThoughtSignature)
	}
	if e.text += p.Text; p.Text == "" {
		return nil
	}
	return e.within(kind.events+".delta", map[string]any{"delta": p.Text, kind.index + "_index": 0})
}

// part is the text so far as a part of its item.
func (e *responsesEncoder) part() map[string]any {
	part := map[string]any{"type": e.kind.part, e.kind.text: e.text}
	if e.kind == said {
		part["annotations"] = []any{}
	}
	return part
}

// partEvent names what happens to the part.
func (k textKind) partEvent(what string) string {
	if k == thought {
		return "reasoning_summary_part." + what
	}
	return "content_part." + what
}

// open begins an item of text.
func (e *responsesEncoder) open(kind textKind) error {
	if err := e.close(); err != nil {
		return err
	}
	e.kind, e.text = kind, ""
	item := map[string]any{"type": kind.item, "id": kind.item + "_" + rand.Text(), "status": "in_progress", kind.index: []any{}}
	if kind.item == "message" {
		item["role"] = "assistant"
	}
	if err := e.add(item); err != nil {
		return err
	}
	return e.within(kind.partEvent("added"), map[string]any{"part": e.part(), kind.index + "_index": 0})
}

// close ends the item of text, if there is one.
func (e *responsesEncoder) close() error {
	if e.item == nil {
		return nil
	}
	part, index := e.part(), e.kind.index+"_index"
	e.item[e.kind.index], e.item["status"] = []any{part}, "completed"
	err := e.within(e.kind.events+".done", map[string]any{e.kind.text: e.text, index: 0})
	if err == nil {
		err = e.within(e.kind.partEvent("done"), map[string]any{"part": part, index: 0})
	}
	if err != nil {
		return err
	}
	return e.done()
}

// toolCall writes a call: its name first, its arguments in pieces.
func (e *responsesEncoder) toolCall(r *model.LLMResponse, p *genai.Part) error {
	f := p.FunctionCall
	id, args, err := callOf(f)
	if err == nil && len(p.ThoughtSignature) > 0 { // calls have no place for it on this wire
		err = e.delta(r, &genai.Part{Thought: true, ThoughtSignature: p.ThoughtSignature})
	}
	if err == nil {
		err = e.close()
	}
	if err != nil {
		return err
	}
	if err := e.add(map[string]any{"type": "function_call", "id": "fc_" + rand.Text(), "status": "in_progress", "call_id": id, "name": f.Name, "arguments": ""}); err != nil {
		return err
	}
	for _, piece := range cut(args, e.call.piece) {
		if err := e.within("function_call_arguments.delta", map[string]any{"delta": piece}); err != nil {
			return err
		}
	}
	e.item["status"], e.item["arguments"] = "completed", args
	if err := e.within("function_call_arguments.done", map[string]any{"arguments": args, "name": f.Name}); err != nil {
		return err
	}
	return e.done()
}

// add puts item last, and done ends it.
func (e *responsesEncoder) add(item map[string]any) error {
	e.item, e.head.Output = item, append(e.head.Output, item)
	return e.within("output_item.added", map[string]any{"item": item})
}

func (e *responsesEncoder) done() error {
	item := e.item
	err := e.within("output_item.done", map[string]any{"item": item})
	e.item = nil
	return err
}

// within sends an event about the last item.
func (e *responsesEncoder) within(kind string, members map[string]any) error {
	if members["output_index"] = len(e.head.Output) - 1; members["item"] == nil {
		members["item_id"] = e.item["id"]
	}
	return e.say("response."+kind, members)
}

// say sends one event, where the answer is streamed.
func (e *responsesEncoder) say(kind string, members map[string]any) error {
	if !e.call.stream {
		return nil
	}
	if e.sent == 0 && kind != "response.created" {
		if err := e.say("response.created", map[string]any{"response": e.start}); err != nil {
			return err
		}
	}
	members["type"], members["sequence_number"] = kind, e.sent
	e.sent++
	return e.send("text/event-stream", "event: "+kind+"\ndata: ", members, "\n\n")
}

// broken sends the event for what fails in mid-stream.
func (e *responsesEncoder) broken(p *problem) {
	_ = e.say("error", map[string]any{"code": "server_error", "message": p.message, "param": nil})
}
