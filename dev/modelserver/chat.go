package modelserver

import (
	"crypto/rand"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// openAI is what both of OpenAI's wires share.
type openAI struct{}

func (openAI) failure(p *problem) any {
	var e struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	}
	e.Message, e.Type = p.message, "invalid_request_error"
	if p.param != "" {
		e.Param = &p.param
	}
	if p.reason != "" {
		e.Code = &p.reason
	}
	switch {
	case p.status == http.StatusTooManyRequests:
		e.Type = "rate_limit_error"
	case p.status >= http.StatusInternalServerError:
		e.Type = "server_error"
	}
	return map[string]any{"error": e}
}

func (openAI) describe(name string, since time.Time) any {
	return struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		OwnedBy string `json:"owned_by"`
	}{name, "model", since.Unix(), "modelserver"}
}

func (openAI) list(models []any) any { return map[string]any{"object": "list", "data": models} }

func refused(r *model.LLMResponse) bool { return r.CustomMetadata[RefusalKey] == true }

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
		for _, p := range parts(r.Content) {
			if p.FunctionCall != nil {
				return "tool_calls"
			}
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

// callOf returns a call's id, which every call has here, and its arguments as text.
func callOf(f *genai.FunctionCall) (id, args string, err error) {
	if id = f.ID; id == "" {
		id = "call_" + rand.Text()
	}
	if f.Args == nil {
		return id, "{}", nil
	}
	args, err = encode(f.Args)
	return id, args, err
}

// cut cuts text into pieces of n bytes, rounded up to whole characters.
func cut(text string, n int) (pieces []string) {
	for text != "" {
		n := min(n, len(text))
		for n < len(text) && !utf8.RuneStart(text[n]) {
			n++
		}
		pieces, text = append(pieces, text[:n]), text[n:]
	}
	return pieces
}

// chat is the wire of OpenAI's chat completions.
type chat struct{ openAI }

func (chat) encoder(s *stream, c *call) encoder {
	return &chatEncoder{stream: s, call: c, head: completion{
		ID: "chatcmpl-" + rand.Text(), Object: "chat.completion", Created: time.Now().Unix(), Model: c.model,
	}}
}

// completion is an answer, or one event of it.
type completion struct {
	ID      string     `json:"id"`
	Object  string     `json:"object"`
	Created int64      `json:"created"`
	Model   string     `json:"model"`
	Choices []choice   `json:"choices"`
	Usage   *chatUsage `json:"usage,omitempty"`
}

type choice struct {
	Index        int       `json:"index"`
	Message      *chatBody `json:"message,omitempty"`
	Delta        *chatBody `json:"delta,omitempty"`
	Logprobs     *struct{} `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// chatBody is a message, or what one event adds to it. In a message content and
// refusal are there even when they are null.
type chatBody struct {
	Role      string         `json:"role,omitempty"`
	Content   any            `json:"content,omitempty"`
	Refusal   any            `json:"refusal,omitempty"`
	Reasoning string         `json:"reasoning_content,omitempty"`
	ToolCalls []chatToolCall `json:"tool_calls,omitempty"`
}

type chatToolCall struct {
	Index    *int   `json:"index,omitempty"`
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
	Extra map[string]any `json:"extra_content,omitempty"`
}

type chatUsage struct {
	Prompt     int32 `json:"prompt_tokens"`
	Completion int32 `json:"completion_tokens"`
	Total      int32 `json:"total_tokens"`
	PromptOf   struct {
		Cached int32 `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionOf struct {
		Reasoning int32 `json:"reasoning_tokens"`
	} `json:"completion_tokens_details"`
}

// usageOf counts as OpenAI does: completion tokens hold the reasoning tokens.
func usageOf(u *genai.GenerateContentResponseUsageMetadata) *chatUsage {
	if u == nil {
		return nil
	}
	out := &chatUsage{Prompt: u.PromptTokenCount + u.ToolUsePromptTokenCount, Completion: u.CandidatesTokenCount + u.ThoughtsTokenCount}
	out.Total = out.Prompt + out.Completion
	out.PromptOf.Cached, out.CompletionOf.Reasoning = u.CachedContentTokenCount, u.ThoughtsTokenCount
	return out
}

type chatEncoder struct {
	*stream
	call  *call
	head  completion
	calls int
}

// toolCall writes the call in p. The signature goes where Google's OpenAI endpoint
// puts it.
func toolCall(p *genai.Part) (c chatToolCall, err error) {
	c.Type, c.Function.Name = "function", p.FunctionCall.Name
	c.ID, c.Function.Arguments, err = callOf(p.FunctionCall)
	if len(p.ThoughtSignature) > 0 {
		c.Extra = map[string]any{"google": map[string]any{"thought_signature": signed(p.ThoughtSignature)}}
	}
	return c, err
}

func (e *chatEncoder) version(r *model.LLMResponse) {
	if r.ModelVersion != "" {
		e.head.Model = r.ModelVersion
	}
}

// null is written where omitempty would leave a member out.
type null struct{}

func (*null) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func (e *chatEncoder) whole(r *model.LLMResponse) error {
	body, text := &chatBody{Role: "assistant", Content: &null{}, Refusal: &null{}}, ""
	for _, p := range parts(r.Content) {
		switch {
		case p.FunctionCall != nil:
			c, err := toolCall(p)
			if err != nil {
				return err
			}
			body.ToolCalls = append(body.ToolCalls, c)
		case p.Thought:
			body.Reasoning += p.Text
		default:
			text += p.Text
		}
	}
	if refused(r) {
		body.Refusal = text
	} else if text != "" || len(body.ToolCalls) == 0 {
		body.Content = text
	}
	e.version(r)
	reason := openAIFinish(r)
	e.head.Choices, e.head.Usage = []choice{{Message: body, FinishReason: &reason}}, usageOf(r.UsageMetadata)
	return e.stream.whole(e.head)
}

// chunk sends one choice.
func (e *chatEncoder) chunk(d chatBody, reason *string) error {
	if !e.started {
		e.head.Object = "chat.completion.chunk"
		e.head.Choices = []choice{{Delta: &chatBody{Role: "assistant", Content: ""}}}
		if err := e.event(e.head); err != nil {
			return err
		}
	}
	e.head.Choices = []choice{{Delta: &d, FinishReason: reason}}
	return e.event(e.head)
}

func (e *chatEncoder) delta(of *model.LLMResponse, p *genai.Part) error {
	e.version(of)
	switch {
	case p.Thought:
		return e.chunk(chatBody{Reasoning: p.Text}, nil)
	case refused(of):
		return e.chunk(chatBody{Refusal: p.Text}, nil)
	}
	return e.chunk(chatBody{Content: p.Text}, nil)
}

func (e *chatEncoder) end(r *model.LLMResponse, rest []*genai.Part) error {
	e.version(r)
	for _, p := range rest {
		var err error
		if p.FunctionCall != nil {
			err = e.toolCall(p)
		} else if p.Text != "" {
			err = e.delta(r, p)
		}
		if err != nil {
			return err
		}
	}
	reason := openAIFinish(r)
	if err := e.chunk(chatBody{}, &reason); err != nil {
		return err
	}
	if usage := usageOf(r.UsageMetadata); usage != nil && e.call.usage {
		e.head.Choices, e.head.Usage = []choice{}, usage
		if err := e.event(e.head); err != nil {
			return err
		}
	}
	return e.send("", "data: [DONE]\n\n", nil, "")
}

// toolCall sends a call as OpenAI does: its name first, its arguments in pieces.
func (e *chatEncoder) toolCall(p *genai.Part) error {
	c, err := toolCall(p)
	if err != nil {
		return err
	}
	index, args := e.calls, c.Function.Arguments
	e.calls++
	c.Index, c.Function.Arguments = &index, ""
	if err := e.chunk(chatBody{ToolCalls: []chatToolCall{c}}, nil); err != nil {
		return err
	}
	for _, piece := range cut(args, e.call.piece) {
		next := chatToolCall{Index: &index}
		next.Function.Arguments = piece
		if err := e.chunk(chatBody{ToolCalls: []chatToolCall{next}}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (e *chatEncoder) broken(p *problem) { _ = e.event(openAI{}.failure(p)) }
