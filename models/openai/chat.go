package openai

import (
	"encoding/json"
	"errors"
	"io"
	"math"

	api "github.com/sashabaranov/go-openai"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"
)

// chatRequest writes q for chat completions.
func (c *call) chatRequest(q *query) api.ChatCompletionRequest {
	config := q.config
	req := api.ChatCompletionRequest{
		Model:            c.to.Model,
		Messages:         make([]api.ChatCompletionMessage, 0, len(q.turns)+1),
		ReasoningEffort:  q.effort,
		Stop:             config.StopSequences,
		Temperature:      number(config.Temperature),
		TopP:             number(config.TopP),
		PresencePenalty:  deref(config.PresencePenalty),
		FrequencyPenalty: deref(config.FrequencyPenalty),
		LogProbs:         config.ResponseLogprobs,
		TopLogProbs:      int(deref(config.Logprobs)),
	}
	if config.Seed != nil {
		seed := int(*config.Seed)
		req.Seed = &seed
	}
	// Servers other than OpenAI's may know the older name alone.
	if c.own || c.family.reasoning {
		req.MaxCompletionTokens = int(config.MaxOutputTokens)
	} else {
		req.MaxTokens = int(config.MaxOutputTokens) //nolint:staticcheck // deprecated at OpenAI, current elsewhere
	}
	if q.system != "" {
		role := api.ChatMessageRoleSystem
		if c.family.reasoning {
			role = api.ChatMessageRoleDeveloper
		}
		req.Messages = append(req.Messages, api.ChatCompletionMessage{Role: role, Content: q.system})
	}
	for _, t := range q.turns {
		req.Messages = appendMessages(req.Messages, t)
	}
	for i := range q.tools {
		t := &q.tools[i]
		req.Tools = append(req.Tools, api.Tool{Type: api.ToolTypeFunction, Function: &api.FunctionDefinition{
			Name: t.name, Description: t.description, Parameters: t.parameters,
		}})
	}
	switch {
	case q.choice.name != "":
		req.ToolChoice = api.ToolChoice{Type: api.ToolTypeFunction, Function: api.ToolFunction{Name: q.choice.name}}
	case q.choice.mode != "":
		req.ToolChoice = q.choice.mode
	}
	if q.format.kind != "" {
		req.ResponseFormat = &api.ChatCompletionResponseFormat{Type: api.ChatCompletionResponseFormatType(q.format.kind)}
		if q.format.schema != nil {
			req.ResponseFormat.JSONSchema = &api.ChatCompletionResponseFormatJSONSchema{
				Name: q.format.name, Schema: json.RawMessage(q.format.schema), Strict: q.format.strict,
			}
		}
	}
	return req
}

// appendMessages writes t: its results come right after their calls, as the API
// demands.
func appendMessages(to []api.ChatCompletionMessage, t *turn) []api.ChatCompletionMessage {
	m := api.ChatCompletionMessage{Role: api.ChatMessageRoleUser, Content: t.text.String()}
	if t.assistant {
		m.Role = api.ChatMessageRoleAssistant
	}
	for _, p := range t.pieces {
		part := api.ChatMessagePart{Type: api.ChatMessagePartTypeText, Text: p.text}
		if p.image != "" {
			part = api.ChatMessagePart{Type: api.ChatMessagePartTypeImageURL, ImageURL: &api.ChatMessageImageURL{URL: p.image}}
		}
		m.MultiContent = append(m.MultiContent, part)
	}
	for _, call := range t.calls {
		m.ToolCalls = append(m.ToolCalls, api.ToolCall{
			ID: call.id, Type: api.ToolTypeFunction, Function: api.FunctionCall{Name: call.name, Arguments: call.args},
		})
	}
	to = append(to, m)
	for _, call := range t.calls {
		to = append(to, api.ChatCompletionMessage{Role: api.ChatMessageRoleTool, ToolCallID: call.id, Content: call.result})
	}
	return to
}

// number writes p for a field that the library leaves out when it is zero: the
// smallest number there is stands for it, which servers read as zero.
func number(p *float32) float32 {
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

// chat asks chat completions for the whole answer at once.
func (c *call) chat(q *query) error {
	if _, err := c.client.CreateChatCompletion(c.ctx, c.chatRequest(q)); err != nil {
		return c.explain(err)
	}
	return c.whole(readChat)
}

// chatStream asks chat completions for a stream. It ends when the consumer leaves.
func (c *call) chatStream(q *query) error {
	req := c.chatRequest(q)
	req.StreamOptions = &api.StreamOptions{IncludeUsage: true}
	stream, err := c.client.CreateChatCompletionStream(c.ctx, req)
	if err != nil {
		return c.explain(err)
	}
	defer func() { _ = stream.Close() }()
	return c.follow(stream.RecvRaw, readChat)
}

// follow reads a stream's events with read, yields what may be shown at once, and
// at the end the whole answer.
func (c *call) follow(next func() ([]byte, error), read reader) error {
	for {
		event, err := next()
		switch {
		case errors.Is(err, io.EOF) && c.taken != nil:
			return c.whole(read) // the server does not stream
		case errors.Is(err, io.EOF):
			return c.finish()
		case err != nil && c.answer.complete() && c.ctx.Err() == nil:
			return c.finish() // cut after the end: nothing is missed but the usage
		case err != nil:
			return c.explain(err)
		case event == nil:
			return c.explain(&failure{}) // the library found an error that it cannot read
		}
		d, err := read(&c.answer, event, true)
		if err != nil {
			return c.explain(err)
		}
		if d != (delta{}) && !c.yield(partial(d), nil) {
			return errLeft
		}
	}
}

// whole reads an answer that came in one piece, and yields it.
func (c *call) whole(read reader) error {
	if _, err := read(&c.answer, c.taken, false); err != nil {
		return c.explain(err)
	}
	return c.finish()
}

// finish yields the final response.
func (c *call) finish() error {
	resp, err := c.answer.response(c.to)
	if err != nil {
		if ended := c.to.Ended(c.ctx); ended != nil {
			return ended
		}
		return err
	}
	if !c.yield(resp, nil) {
		return errLeft
	}
	return nil
}

// errLeft ends a call whose consumer has left. Nobody hears it.
var errLeft = errors.New("the consumer has left")

func partial(d delta) *model.LLMResponse {
	parts := make([]*genai.Part, 0, 2)
	if d.thought != "" {
		parts = append(parts, &genai.Part{Text: d.thought, Thought: true})
	}
	if d.text != "" {
		parts = append(parts, &genai.Part{Text: d.text})
	}
	return &model.LLMResponse{Content: &genai.Content{Role: genai.RoleModel, Parts: parts}, Partial: true}
}
