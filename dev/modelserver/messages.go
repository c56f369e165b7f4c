package modelserver

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// messages is the wire of Anthropic's Messages API.
type messages struct{}

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

func (messages) encoder(s *stream) encoder {
	return &messagesEncoder{stream: s, id: "msg_" + rand.Text(), content: []members{}}
}

type messagesEncoder struct {
	*stream
	id      string
	content []members // the blocks so far; those of a stream without their text
	open    string    // the kind of the block that is being written; "" for none
}

// stopReasons are Anthropic's words for OpenAI's. Another reason is passed on as it is.
var stopReasons = map[string]string{"length": "max_tokens", "content_filter": "refusal", "tool_calls": "tool_use", "stop": "end_turn"}

// message is an answer, or its beginning. The input is counted without what was read
// from a cache, and the output with the thoughts.
func (e *messagesEncoder) message(content []members, reason any, u *genai.GenerateContentResponseUsageMetadata) members {
	u = cmp.Or(u, &genai.GenerateContentResponseUsageMetadata{})
	return members{
		"id": e.id, "type": "message", "role": "assistant", "model": e.call.model, "content": content, "stop_reason": reason, "stop_sequence": nil,
		"usage": members{
			"input_tokens": u.PromptTokenCount + u.ToolUsePromptTokenCount - u.CachedContentTokenCount, "cache_read_input_tokens": u.CachedContentTokenCount, "cache_creation_input_tokens": 0,
			"output_tokens": u.CandidatesTokenCount + u.ThoughtsTokenCount, "output_tokens_details": members{"thinking_tokens": u.ThoughtsTokenCount},
		},
	}
}

// say sends one event, which is named twice, where the answer is streamed.
func (e *messagesEncoder) say(kind string, v members) {
	if !e.call.stream {
		return
	}
	if !e.started && kind != "message_start" {
		e.say("message_start", members{"message": e.message([]members{}, nil, nil)})
	}
	v["type"] = kind
	e.event(kind, v)
}

// begin begins a block, after the one before it has ended.
func (e *messagesEncoder) begin(kind string, b members) {
	e.close()
	e.open, b["type"] = kind, kind
	e.content = append(e.content, b)
	e.say("content_block_start", members{"index": len(e.content) - 1, "content_block": b})
}

func (e *messagesEncoder) close() {
	if e.open != "" {
		e.say("content_block_stop", members{"index": len(e.content) - 1})
	}
	e.open = ""
}

// add adds text to a member of the block that is open.
func (e *messagesEncoder) add(kind, member, text string) {
	if b := e.content[len(e.content)-1]; !e.call.stream {
		b[member] = b[member].(string) + text
	}
	e.say("content_block_delta", members{"index": len(e.content) - 1, "delta": members{"type": kind, member: text}})
}

// step writes state that comes with anything but a thought that is told as a thought
// that nobody can read, before it: this wire has no place of its own for it.
func (e *messagesEncoder) step(_ *model.LLMResponse, s step) {
	told := s.kind == thought && (s.Text != "" || e.open == "thinking")
	if len(s.ThoughtSignature) > 0 && !told {
		e.begin("redacted_thinking", members{"data": signed(s.ThoughtSignature)})
	}
	switch {
	case s.kind == called:
		b := members{"id": s.id, "name": s.FunctionCall.Name, "input": members{}}
		if e.begin("tool_use", b); !e.call.stream {
			b["input"] = json.RawMessage(s.args)
			break
		}
		for _, piece := range e.cut(s.args) {
			e.add("input_json_delta", "partial_json", piece)
		}
	case told:
		e.text("thinking", members{"thinking": "", "signature": ""}, s.Text)
		if len(s.ThoughtSignature) > 0 { // it is a block's last
			e.add("signature_delta", "signature", signed(s.ThoughtSignature))
			e.close()
		}
	case s.Text != "":
		e.text("text", members{"text": ""}, s.Text)
	}
}

// text writes text of a kind, which continues a block of that kind.
func (e *messagesEncoder) text(kind string, empty members, text string) {
	if e.open != kind {
		e.begin(kind, empty)
	}
	if text != "" {
		e.add(kind+"_delta", kind, text)
	}
}

func (e *messagesEncoder) end(r *model.LLMResponse) {
	reason := openAIFinish(r)
	if word, ok := stopReasons[reason]; ok {
		reason = word
	}
	if refused(r) {
		reason = "refusal"
	}
	m := e.message(e.content, reason, r.UsageMetadata)
	if !e.call.stream {
		e.whole(m)
		return
	}
	e.close()
	e.say("message_delta", members{"delta": members{"stop_reason": reason, "stop_sequence": nil}, "usage": m["usage"]})
	e.say("message_stop", members{})
}

func (e *messagesEncoder) broken(p *problem) { e.event("error", messages{}.failure(p)) }
