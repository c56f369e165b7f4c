package openai

import (
	"math"

	"github.com/go-json-experiment/json/jsontext"
	api "github.com/sashabaranov/go-openai"
)

// chatRequest is the library's, with messages that hold what its own do not, and tools
// that it does not write by way of a map each.
type chatRequest struct {
	Model    string    `json:"model"`
	Messages []message `json:"messages"`
	Tools    []tool    `json:"tools,omitempty"`
	api.ChatCompletionRequest
}

type tool struct {
	Function api.FunctionDefinition `json:"function"`
	Type     api.ToolType           `json:"type"`
}

// message is one of a request. Content is never left out: servers refuse a message
// without it, where it is null beside calls.
type message struct {
	Role       string        `json:"role"`
	Content    any           `json:"content"`
	ToolCalls  []messageCall `json:"tool_calls,omitempty"`
	ToolCallID string        `json:"tool_call_id,omitempty"`
	State      members       `json:",embed"` //nolint:staticcheck // an option of go-json-experiment's
}

type messageCall struct {
	ID       string          `json:"id"`
	Type     api.ToolType    `json:"type"`
	Function messageFunction `json:"function"`
	State    members         `json:",embed"` //nolint:staticcheck // see above
}

type messageFunction struct {
	Name      string  `json:"name"`
	Arguments string  `json:"arguments"`
	State     members `json:",embed"` //nolint:staticcheck // see above
}

// chatRequest writes q for chat completions.
func (c *call) chatRequest(q *query, stream bool) (chatRequest, error) {
	config := q.config
	req := chatRequest{Model: c.to.Model, Messages: make([]message, 0, len(q.turns)+1), ChatCompletionRequest: api.ChatCompletionRequest{
		Model:            c.to.Model,
		Stream:           stream,
		ReasoningEffort:  q.effort,
		Stop:             config.StopSequences,
		Temperature:      nonzero(config.Temperature),
		TopP:             nonzero(config.TopP),
		PresencePenalty:  deref(config.PresencePenalty),
		FrequencyPenalty: deref(config.FrequencyPenalty),
		LogProbs:         config.ResponseLogprobs,
		TopLogProbs:      int(deref(config.Logprobs)),
	}}
	if stream {
		req.StreamOptions = &api.StreamOptions{IncludeUsage: true}
	}
	if config.Seed != nil {
		seed := int(*config.Seed)
		req.Seed = &seed
	}
	// Servers other than OpenAI's may know the older name alone.
	if c.to.Hosted || c.family.reasoning {
		req.MaxCompletionTokens = int(config.MaxOutputTokens)
	} else {
		req.MaxTokens = int(config.MaxOutputTokens) //nolint:staticcheck // deprecated at OpenAI, current elsewhere
	}
	if q.system != "" {
		role := api.ChatMessageRoleSystem
		if c.family.reasoning {
			role = api.ChatMessageRoleDeveloper
		}
		req.Messages = append(req.Messages, message{Role: role, Content: q.system})
	}
	for _, t := range q.turns {
		req.Messages = appendMessages(req.Messages, t)
	}
	req.Tools = make([]tool, len(q.tools))
	for i, t := range q.tools {
		req.Tools[i] = tool{api.FunctionDefinition{Name: t.Name, Description: t.Description, Parameters: t.Parameters}, api.ToolTypeFunction}
	}
	req.ChatCompletionRequest.Tools = make([]api.Tool, len(q.tools)) // as many, for the check below
	switch {
	case q.choice.Name != "":
		req.ToolChoice = api.ToolChoice{Type: api.ToolTypeFunction, Function: api.ToolFunction{Name: q.choice.Name}}
	case q.choice.Mode != "":
		req.ToolChoice = q.choice.Mode
	}
	if q.format.kind != "" {
		req.ResponseFormat = &api.ChatCompletionResponseFormat{Type: api.ChatCompletionResponseFormatType(q.format.kind)}
		if q.format.schema != nil {
			req.ResponseFormat.JSONSchema = &api.ChatCompletionResponseFormatJSONSchema{
				Name: q.format.name, Schema: jsontext.Value(q.format.schema), Strict: q.format.strict,
			}
		}
	}
	return req, api.NewReasoningValidator().Validate(req.ChatCompletionRequest)
}

// appendMessages writes t: its results come right after their calls, as the API
// demands.
func appendMessages(to []message, t *turn) []message {
	m := message{Role: api.ChatMessageRoleUser, State: t.state.Message}
	if t.assistant {
		m.Role = api.ChatMessageRoleAssistant
	}
	var parts []api.ChatMessagePart
	for _, p := range t.pieces {
		part := api.ChatMessagePart{Type: api.ChatMessagePartTypeText, Text: p.text}
		if p.image != "" {
			part = api.ChatMessagePart{Type: api.ChatMessagePartTypeImageURL, ImageURL: &api.ChatMessageImageURL{URL: p.image}}
		}
		parts = append(parts, part)
	}
	switch {
	case parts != nil:
		m.Content = parts
	case t.text.Len() > 0:
		m.Content = t.text.String()
	}
	for _, call := range t.calls {
		f := messageFunction{call.Name, call.Args, call.kept.Function}
		m.ToolCalls = append(m.ToolCalls, messageCall{call.ID, api.ToolTypeFunction, f, call.kept.Call})
	}
	to = append(to, m)
	for _, call := range t.calls {
		to = append(to, message{Role: api.ChatMessageRoleTool, ToolCallID: call.ID, Content: call.Result})
	}
	return to
}

// nonzero writes p for a field that the library leaves out when it is zero: the
// smallest number there is stands for it, which servers read as zero.
func nonzero(p *float32) float32 {
	if p != nil && *p == 0 {
		return math.SmallestNonzeroFloat32
	}
	return deref(p)
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
