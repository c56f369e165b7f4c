package modelserver

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// messages is the wire of Anthropic's Messages API.
type messages struct{}

// members are those of a JSON object.
type members = map[string]any

// errorTypes names HTTP statuses as Anthropic does.
var errorTypes = map[int]string{
	http.StatusUnauthorized: "authentication_error", http.StatusPaymentRequired: "billing_error", http.StatusForbidden: "permission_error",
	http.StatusNotFound: "not_found_error", http.StatusRequestEntityTooLarge: "request_too_large", http.StatusTooManyRequests: "rate_limit_error",
	http.StatusGatewayTimeout: "timeout_error", 529: "overloaded_error",
}

func (messages) failure(p *problem) any {
	kind, known := errorTypes[p.status]
	switch {
	case known:
	case p.status >= http.StatusInternalServerError:
		kind = "api_error"
	default:
		kind = "invalid_request_error"
	}
	return members{"type": "error", "error": members{"type": kind, "message": p.message}}
}

func (messages) describe(name string, since time.Time) any {
	return members{"type": "model", "id": name, "display_name": name, "created_at": since.UTC().Format(time.RFC3339)}
}

func (messages) list(models []any) any {
	out := members{"data": models, "has_more": false, "first_id": nil, "last_id": nil}
	if n := len(models); n > 0 {
		out["first_id"], out["last_id"] = models[0].(members)["id"], models[n-1].(members)["id"]
	}
	return out
}

func (messages) encoder(s *stream, c *call) encoder {
	return &messagesEncoder{stream: s, call: c, id: "msg_" + rand.Text()}
}

type messagesEncoder struct {
	*stream
	call   *call
	id     string
	blocks int
	open   string // the kind of the block that is being written; "" for none
}

// stopReason says why an answer ended. A reason for which Anthropic has no word is
// passed on in lower case.
func stopReason(r *model.LLMResponse) string {
	if refused(r) {
		return "refusal"
	}
	switch reason := openAIFinish(r); reason {
	case "length":
		return "max_tokens"
	case "content_filter":
		return "refusal"
	case "tool_calls":
		return "tool_use"
	case "stop":
		return "end_turn"
	default:
		return reason
	}
}

// tokens counts as Anthropic does: the input without what was read from a cache, and
// the output with the thoughts.
func tokens(u *genai.GenerateContentResponseUsageMetadata) members {
	if u == nil {
		u = &genai.GenerateContentResponseUsageMetadata{}
	}
	return members{
		"input_tokens": u.PromptTokenCount + u.ToolUsePromptTokenCount - u.CachedContentTokenCount, "cache_read_input_tokens": u.CachedContentTokenCount, "cache_creation_input_tokens": 0,
		"output_tokens": u.CandidatesTokenCount + u.ThoughtsTokenCount, "output_tokens_details": members{"thinking_tokens": u.ThoughtsTokenCount},
	}
}

func (e *messagesEncoder) message(r *model.LLMResponse) members {
	name := e.call.model
	if r.ModelVersion != "" {
		name = r.ModelVersion
	}
	return members{
		"id": e.id, "type": "message", "role": "assistant", "model": name, "content": []any{}, "stop_reason": nil, "stop_sequence": nil, "usage": tokens(nil),
	}
}

// toolUse writes a call, and its arguments.
func toolUse(f *genai.FunctionCall) (block members, args string, err error) {
	id, args, err := callOf(f)
	return members{"type": "tool_use", "id": id, "name": f.Name, "input": json.RawMessage(args)}, args, err
}

// hidden writes state that comes with anything but a thought that is told. It has no
// place of its own on this wire and goes before it, as a thought that nobody can read.
func hidden(p *genai.Part) members {
	return members{"type": "redacted_thinking", "data": signed(p.ThoughtSignature)}
}

func (e *messagesEncoder) whole(r *model.LLMResponse) error {
	content := []members{}
	for _, p := range parts(r.Content) {
		told := p.Thought && p.Text != ""
		if len(p.ThoughtSignature) > 0 && !told {
			content = append(content, hidden(p))
		}
		switch {
		case told:
			content = append(content, members{"type": "thinking", "thinking": p.Text, "signature": signed(p.ThoughtSignature)})
		case p.Text != "":
			content = append(content, members{"type": "text", "text": p.Text})
		case p.FunctionCall != nil:
			call, _, err := toolUse(p.FunctionCall)
			if err != nil {
				return err
			}
			content = append(content, call)
		}
	}
	m := e.message(r)
	m["content"], m["stop_reason"], m["usage"] = content, stopReason(r), tokens(r.UsageMetadata)
	return e.stream.whole(m)
}

// say sends one event, which is named twice.
func (e *messagesEncoder) say(kind string, v members) error {
	v["type"] = kind
	return e.send("text/event-stream", "event: "+kind+"\ndata: ", v, "\n\n")
}

// block begins a block, after the one before it has ended; nil only ends that.
func (e *messagesEncoder) block(of *model.LLMResponse, b members) error {
	if !e.started {
		if err := e.say("message_start", members{"message": e.message(of)}); err != nil {
			return err
		}
	}
	if e.open != "" {
		if err := e.say("content_block_stop", members{"index": e.blocks - 1}); err != nil {
			return err
		}
	}
	if e.open = ""; b == nil {
		return nil
	}
	e.open = b["type"].(string)
	e.blocks++
	return e.say("content_block_start", members{"index": e.blocks - 1, "content_block": b})
}

// add sends what comes to the block that is open.
func (e *messagesEncoder) add(kind, member, text string) error {
	return e.say("content_block_delta", members{"index": e.blocks - 1, "delta": members{"type": kind, member: text}})
}

func (e *messagesEncoder) delta(of *model.LLMResponse, p *genai.Part) error {
	kind, delta, member, first := "text", "text_delta", "text", members{"type": "text", "text": ""}
	if p.Thought {
		kind, delta, member, first = "thinking", "thinking_delta", "thinking", members{"type": "thinking", "thinking": "", "signature": ""}
	}
	if e.open != kind {
		if err := e.block(of, first); err != nil {
			return err
		}
	}
	return e.add(delta, member, p.Text)
}

// part sends what is left of an answer.
func (e *messagesEncoder) part(of *model.LLMResponse, p *genai.Part) error {
	signature := len(p.ThoughtSignature) > 0
	told := p.Thought && (p.Text != "" || e.open == "thinking")
	if signature && !told {
		if err := e.block(of, hidden(p)); err != nil {
			return err
		}
	}
	if p.Text != "" {
		if err := e.delta(of, p); err != nil {
			return err
		}
	}
	if signature && told {
		if err := e.add("signature_delta", "signature", signed(p.ThoughtSignature)); err != nil {
			return err
		}
		return e.block(of, nil) // it is a thought's last
	}
	if p.FunctionCall == nil {
		return nil
	}
	call, args, err := toolUse(p.FunctionCall)
	if err != nil {
		return err
	}
	call["input"] = members{}
	if err := e.block(of, call); err != nil {
		return err
	}
	for _, piece := range cut(args, e.call.piece) {
		if err := e.add("input_json_delta", "partial_json", piece); err != nil {
			return err
		}
	}
	return nil
}

func (e *messagesEncoder) end(r *model.LLMResponse, rest []*genai.Part) error {
	for _, p := range rest {
		if err := e.part(r, p); err != nil {
			return err
		}
	}
	if err := e.block(r, nil); err != nil {
		return err
	}
	if err := e.say("message_delta", members{"delta": members{"stop_reason": stopReason(r), "stop_sequence": nil}, "usage": tokens(r.UsageMetadata)}); err != nil {
		return err
	}
	return e.say("message_stop", members{})
}

func (e *messagesEncoder) broken(p *problem) {
	_ = e.send("text/event-stream", "event: error\ndata: ", messages{}.failure(p), "\n\n")
}
