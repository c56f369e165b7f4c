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

// openAI is the wire of OpenAI's chat completions.
type openAI struct{}

func (openAI) fail(w http.ResponseWriter, p *problem) {
	body := openAIError{Message: p.message, Type: "invalid_request_error"}
	if p.param != "" {
		body.Param = &p.param
	}
	if p.reason != "" {
		body.Code = &p.reason
	}
	switch {
	case p.status == http.StatusTooManyRequests:
		body.Type = "rate_limit_error"
	case p.status >= http.StatusInternalServerError:
		body.Type = "server_error"
	}
	text, err := encode(struct {
		Error openAIError `json:"error"`
	}{body})
	if err != nil {
		text = nil
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(p.status)
	_, _ = w.Write(append(text, '\n'))
}

type openAIError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

type openAIModel struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

func (openAI) describe(name string, since time.Time) any {
	return openAIModel{ID: name, Object: "model", Created: since.Unix(), OwnedBy: "modelserver"}
}

func (o openAI) list(names []string, since time.Time) any {
	data := make([]any, 0, len(names))
	for _, name := range names {
		data = append(data, o.describe(name, since))
	}
	return map[string]any{"object": "list", "data": data}
}

func (openAI) encoder(s *Server, w http.ResponseWriter, _ *http.Request, c *call) encoder {
	return &openAIEncoder{
		stream: stream{w: w}, call: c, piece: s.piece,
		head: completion{ID: "chatcmpl-" + rand.Text(), Object: "chat.completion", Created: time.Now().Unix(), Model: c.model},
	}
}

// completion is an answer, or one event of it.
type completion struct {
	ID      string       `json:"id"`
	Object  string       `json:"object"`
	Created int64        `json:"created"`
	Model   string       `json:"model"`
	Choices []choice     `json:"choices"`
	Usage   *openAIUsage `json:"usage,omitempty"`
}

type choice struct {
	Index        int          `json:"index"`
	Message      *answerBody  `json:"message,omitempty"`
	Delta        *answerDelta `json:"delta,omitempty"`
	Logprobs     *struct{}    `json:"logprobs"`
	FinishReason *string      `json:"finish_reason"`
}

type answerBody struct {
	Role      string     `json:"role"`
	Content   *string    `json:"content"`
	Refusal   *string    `json:"refusal"`
	Reasoning string     `json:"reasoning_content,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

type answerDelta struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	Refusal   *string    `json:"refusal,omitempty"`
	Reasoning *string    `json:"reasoning_content,omitempty"`
	ToolCalls []toolCall `json:"tool_calls,omitempty"`
}

type toolCall struct {
	Index    *int         `json:"index,omitempty"`
	ID       string       `json:"id,omitempty"`
	Type     string       `json:"type,omitempty"`
	Function toolFunction `json:"function"`
}

type toolFunction struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type openAIUsage struct {
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
func usageOf(u *genai.GenerateContentResponseUsageMetadata) *openAIUsage {
	if u == nil {
		return nil
	}
	out := &openAIUsage{Prompt: u.PromptTokenCount + u.ToolUsePromptTokenCount, Completion: u.CandidatesTokenCount + u.ThoughtsTokenCount}
	out.Total = out.Prompt + out.Completion
	out.PromptOf.Cached = u.CachedContentTokenCount
	out.CompletionOf.Reasoning = u.ThoughtsTokenCount
	return out
}

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

type openAIEncoder struct {
	stream
	call  *call
	head  completion
	piece int
	calls int
}

func (e *openAIEncoder) fail(p *problem) { openAI{}.fail(e.w, p) }

// newToolCall returns the call in p, or nil when p is something else.
func newToolCall(p *genai.Part) (*toolCall, error) {
	if p.FunctionCall == nil {
		return nil, nil
	}
	args := []byte("{}")
	if p.FunctionCall.Args != nil {
		var err error
		if args, err = encode(p.FunctionCall.Args); err != nil {
			return nil, err
		}
	}
	id := p.FunctionCall.ID
	if id == "" {
		id = "call_" + rand.Text() // each call of this wire has one
	}
	return &toolCall{ID: id, Type: "function", Function: toolFunction{Name: p.FunctionCall.Name, Arguments: string(args)}}, nil
}

func (e *openAIEncoder) version(r *model.LLMResponse) {
	if r.ModelVersion != "" {
		e.head.Model = r.ModelVersion
	}
}

func (e *openAIEncoder) whole(r *model.LLMResponse) error {
	body := &answerBody{Role: "assistant"}
	var text strings.Builder
	for _, p := range parts(r.Content) {
		c, err := newToolCall(p)
		switch {
		case err != nil:
			return err
		case c != nil:
			body.ToolCalls = append(body.ToolCalls, *c)
		case p.Thought:
			body.Reasoning += p.Text
		default:
			text.WriteString(p.Text)
		}
	}
	if s := text.String(); refused(r) {
		body.Refusal = &s
	} else if s != "" || len(body.ToolCalls) == 0 {
		body.Content = &s
	}
	e.version(r)
	reason := openAIFinish(r)
	e.head.Choices = []choice{{Message: body, FinishReason: &reason}}
	e.head.Usage = usageOf(r.UsageMetadata)
	out, err := encode(e.head)
	if err != nil {
		return err
	}
	return e.send("application/json", string(out)+"\n")
}

// event sends one choice.
func (e *openAIEncoder) event(d *answerDelta, reason *string) error {
	if !e.begun() {
		empty := ""
		e.head.Object = "chat.completion.chunk"
		e.head.Choices = []choice{{Delta: &answerDelta{Role: "assistant", Content: &empty}}}
		if err := e.chunk(); err != nil {
			return err
		}
	}
	e.head.Choices = []choice{{Delta: d, FinishReason: reason}}
	return e.chunk()
}

func (e *openAIEncoder) chunk() error {
	out, err := encode(e.head)
	if err != nil {
		return err
	}
	return e.send("text/event-stream", "data: "+string(out)+"\n\n")
}

func (e *openAIEncoder) delta(of *model.LLMResponse, p *genai.Part) error {
	e.version(of)
	switch {
	case p.Thought:
		return e.event(&answerDelta{Reasoning: &p.Text}, nil)
	case refused(of):
		return e.event(&answerDelta{Refusal: &p.Text}, nil)
	}
	return e.event(&answerDelta{Content: &p.Text}, nil)
}

func (e *openAIEncoder) end(r *model.LLMResponse, rest []*genai.Part) error {
	e.version(r)
	for _, p := range rest {
		c, err := newToolCall(p)
		switch {
		case err != nil:
			return err
		case c != nil:
			err = e.toolCall(c)
		case p.Text != "":
			err = e.delta(r, p)
		}
		if err != nil {
			return err
		}
	}
	reason := openAIFinish(r)
	if err := e.event(&answerDelta{}, &reason); err != nil {
		return err
	}
	if usage := usageOf(r.UsageMetadata); usage != nil && e.call.usage {
		e.head.Choices, e.head.Usage = []choice{}, usage
		if err := e.chunk(); err != nil {
			return err
		}
	}
	return e.send("text/event-stream", "data: [DONE]\n\n")
}

// toolCall sends a call as OpenAI does: its name first, its arguments in pieces.
func (e *openAIEncoder) toolCall(c *toolCall) error {
	index, args := e.calls, c.Function.Arguments
	e.calls++
	first := *c
	first.Index, first.Function.Arguments = &index, ""
	if err := e.event(&answerDelta{ToolCalls: []toolCall{first}}, nil); err != nil {
		return err
	}
	for args != "" {
		n := min(e.piece, len(args))
		for n < len(args) && !utf8.RuneStart(args[n]) {
			n++
		}
		next := toolCall{Index: &index, Function: toolFunction{Arguments: args[:n]}}
		if err := e.event(&answerDelta{ToolCalls: []toolCall{next}}, nil); err != nil {
			return err
		}
		args = args[n:]
	}
	return nil
}

func (e *openAIEncoder) broken() {
	_ = e.send("text/event-stream", `data: {"error":{"message":"the model failed","type":"server_error","param":null,"code":null}}`+"\n\n")
}
