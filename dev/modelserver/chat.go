package modelserver

import (
	"crypto/rand"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// openAI is what both of OpenAI's wires share.
type openAI struct{}

func (openAI) failure(p *problem) any {
	e := members{"message": p.message, "type": "invalid_request_error", "param": nil, "code": nil}
	if p.param != "" {
		e["param"] = p.param
	}
	if p.reason != "" {
		e["code"] = p.reason
	}
	switch {
	case p.status == http.StatusTooManyRequests:
		e["type"] = "rate_limit_error"
	case p.status >= http.StatusInternalServerError:
		e["type"] = "server_error"
	}
	return members{"error": e}
}

func (openAI) describe(name string, since time.Time) any {
	return members{"id": name, "object": "model", "created": since.Unix(), "owned_by": "modelserver"}
}

func (openAI) list(models []any) any { return members{"object": "list", "data": models} }

// openAIFinish names why an answer ended. A reason for which OpenAI has no word is
// passed on in lower case.
func openAIFinish(r *model.LLMResponse) string {
	switch r.FinishReason {
	case genai.FinishReasonMaxTokens:
		return "length"
	case "", genai.FinishReasonUnspecified, genai.FinishReasonStop:
		if r.ErrorCode != "" {
			return "content_filter" // the model blocked the prompt
		}
		if slices.ContainsFunc(parts(r.Content), func(p *genai.Part) bool { return p.FunctionCall != nil }) {
			return "tool_calls"
		}
		return "stop"
	case genai.FinishReasonSafety, genai.FinishReasonRecitation, genai.FinishReasonBlocklist, genai.FinishReasonProhibitedContent, genai.FinishReasonSPII:
		if refused(r) {
			return "stop"
		}
		return "content_filter"
	}
	return strings.ToLower(string(r.FinishReason))
}

// usage counts as OpenAI does: completion tokens hold the reasoning tokens. input and
// output are what the wire calls prompt and completion.
func usage(u *genai.GenerateContentResponseUsageMetadata, input, output string) members {
	if u == nil {
		return nil
	}
	in, out := u.PromptTokenCount+u.ToolUsePromptTokenCount, u.CandidatesTokenCount+u.ThoughtsTokenCount
	return members{
		input: in, output: out, "total_tokens": in + out,
		input + "_details": members{"cached_tokens": u.CachedContentTokenCount}, output + "_details": members{"reasoning_tokens": u.ThoughtsTokenCount},
	}
}

// chat is the wire of OpenAI's chat completions.
type chat struct{ openAI }

func (chat) encoder(s *stream) encoder {
	return &chatEncoder{stream: s, id: "chatcmpl-" + rand.Text(), created: time.Now().Unix(), texts: make(map[kind]string)}
}

type chatEncoder struct {
	*stream
	id      string
	created int64
	calls   []members
	texts   map[kind]string // of an answer that is not streamed
}

// chatMembers name the kinds of text.
var chatMembers = map[kind]string{said: "content", refusal: "refusal", thought: "reasoning_content"}

// step writes a call's signature where Google's OpenAI endpoint puts it.
func (e *chatEncoder) step(_ *model.LLMResponse, s step) {
	if s.kind != called {
		if !e.call.stream {
			e.texts[s.kind] += s.Text
		} else if s.Text != "" {
			e.chunk(members{chatMembers[s.kind]: s.Text}, nil)
		}
		return
	}
	c := members{"id": s.id, "type": "function", "function": members{"name": s.FunctionCall.Name, "arguments": s.args}}
	if len(s.ThoughtSignature) > 0 {
		c["extra_content"] = members{"google": members{"thought_signature": signed(s.ThoughtSignature)}}
	}
	index := len(e.calls)
	if e.calls = append(e.calls, c); !e.call.stream {
		return
	}
	// As OpenAI does: its name first, its arguments in pieces.
	c["index"], c["function"] = index, members{"name": s.FunctionCall.Name, "arguments": ""}
	e.chunk(members{"tool_calls": []members{c}}, nil)
	for _, piece := range e.cut(s.args) {
		e.chunk(members{"tool_calls": []members{{"index": index, "function": members{"arguments": piece}}}}, nil)
	}
}

// answer is an answer, or one event of it.
func (e *chatEncoder) answer(object string, choices ...members) members {
	return members{"id": e.id, "object": object, "created": e.created, "model": e.call.model, "choices": append([]members{}, choices...)}
}

const chunk = "chat.completion.chunk"

// chunk sends an event with one choice.
func (e *chatEncoder) chunk(delta members, reason any) {
	choice := func(delta members, reason any) members {
		return e.answer(chunk, members{"index": 0, "delta": delta, "logprobs": nil, "finish_reason": reason})
	}
	if !e.started {
		e.event("", choice(members{"role": "assistant", "content": ""}, nil))
	}
	e.event("", choice(delta, reason))
}

func (e *chatEncoder) end(r *model.LLMResponse) {
	tokens := usage(r.UsageMetadata, "prompt_tokens", "completion_tokens")
	if e.call.stream {
		e.chunk(members{}, openAIFinish(r))
		if tokens != nil && e.call.usage {
			last := e.answer(chunk)
			last["usage"] = tokens
			e.event("", last)
		}
		e.send("", "data: [DONE]\n\n", nil, "")
		return
	}
	m := members{"role": "assistant", "content": nil, "refusal": nil}
	if len(e.calls) > 0 {
		m["tool_calls"] = e.calls
	} else if !refused(r) {
		m["content"] = ""
	}
	for kind, text := range e.texts {
		if text != "" {
			m[chatMembers[kind]] = text
		}
	}
	out := e.answer("chat.completion", members{"index": 0, "message": m, "logprobs": nil, "finish_reason": openAIFinish(r)})
	if tokens != nil {
		out["usage"] = tokens
	}
	e.whole(out)
}

func (e *chatEncoder) broken(p *problem) { e.event("", openAI{}.failure(p)) }
