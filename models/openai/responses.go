package openai

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	api "github.com/sashabaranov/go-openai"
)

// responsesRequest writes q for the Responses API.
func (c *call) responsesRequest(q *query) (api.CreateResponseRequest, error) {
	config := q.config
	for what, asked := range map[string]bool{
		"stop sequences":    len(config.StopSequences) > 0,
		"a seed":            config.Seed != nil,
		"penalties":         config.PresencePenalty != nil || config.FrequencyPenalty != nil,
		"log probabilities": config.ResponseLogprobs,
	} {
		if asked {
			return api.CreateResponseRequest{}, unsupported(what + " over the Responses API")
		}
	}
	store := false // documents stay with nobody
	req := api.CreateResponseRequest{
		Model: c.to.Model, Instructions: q.system, Store: &store,
		MaxOutputTokens: int(config.MaxOutputTokens), Temperature: config.Temperature, TopP: config.TopP,
	}
	thoughts := config.ThinkingConfig != nil && config.ThinkingConfig.IncludeThoughts
	if q.effort != "" || thoughts {
		req.Reasoning = &api.ResponseReasoning{Effort: q.effort}
		if thoughts {
			req.Reasoning.Summary = "auto"
		}
	}
	items := make([]any, 0, len(q.turns))
	for _, t := range q.turns {
		items = appendItems(items, t)
	}
	req.Input = items
	for _, t := range q.tools {
		// Here strict is the default, which would change the schema.
		inline := map[string]any{"name": t.name, "parameters": t.parameters, "strict": false}
		if t.description != "" {
			inline["description"] = t.description
		}
		req.Tools = append(req.Tools, api.ResponseTool{Type: api.ToolTypeFunction, Parameters: inline})
	}
	switch {
	case q.choice.name != "":
		req.ToolChoice = map[string]string{"type": "function", "name": q.choice.name}
	case q.choice.mode != "":
		req.ToolChoice = q.choice.mode
	}
	if q.format.kind != "" {
		f := &api.ResponseTextFormat{Type: q.format.kind}
		if q.format.schema != nil {
			f.Name, f.Schema, f.Strict = q.format.name, jsontext.Value(q.format.schema), q.format.strict
		}
		req.Text = &api.ResponseTextConfig{Format: f}
	}
	return req, nil
}

// appendItems writes t: what it says, its calls, and their results.
func appendItems(to []any, t *turn) []any {
	role := api.ChatMessageRoleUser
	if t.assistant {
		role = api.ChatMessageRoleAssistant
	}
	if t.text.Len() > 0 {
		to = append(to, api.ResponseInputMessage{Role: role, Content: t.text.String()})
	}
	var content []any
	for _, p := range t.pieces {
		if p.image != "" {
			content = append(content, api.ResponseInputImage{Type: "input_image", Detail: "auto", ImageURL: p.image})
		} else {
			content = append(content, api.ResponseInputText{Type: "input_text", Text: p.text})
		}
	}
	if content != nil {
		to = append(to, api.ResponseInputMessage{Role: role, Content: content})
	}
	for _, call := range t.calls {
		to = append(to, functionCall{Type: "function_call", CallID: call.id, Name: call.name, Arguments: call.args})
	}
	for _, call := range t.calls {
		to = append(to, api.ResponseFunctionCallOutput{Type: "function_call_output", CallID: call.id, Output: call.result})
	}
	return to
}

// functionCall is a call in the history. It is sent without the id of its item,
// under which the API would look for the reasoning that it did not store.
type functionCall struct {
	Type      string `json:"type"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

// responses asks the Responses API for the whole answer at once.
func (c *call) responses(q *query) error {
	req, err := c.responsesRequest(q)
	if err != nil {
		return c.explain(err)
	}
	if _, err := c.client.CreateResponse(c.ctx, req); err != nil {
		return c.explain(err)
	}
	return c.whole(readResponses)
}

// responsesStream asks the Responses API for a stream.
func (c *call) responsesStream(q *query) error {
	req, err := c.responsesRequest(q)
	if err != nil {
		return c.explain(err)
	}
	stream, err := c.client.CreateResponseStream(c.ctx, req)
	if err != nil {
		return c.explain(err)
	}
	defer func() { _ = stream.Close() }()
	return c.follow(stream.RecvRaw, readResponses)
}

// responsesAnswer is an answer of the Responses API.
type responsesAnswer struct {
	ID         string          `json:"id"`
	Model      string          `json:"model"`
	Status     string          `json:"status"`
	Output     []responsesItem `json:"output"`
	Error      jsontext.Value  `json:"error"`
	Incomplete struct {
		Reason string `json:"reason"`
	} `json:"incomplete_details"`
	Usage *struct {
		Input        int64 `json:"input_tokens"`
		Output       int64 `json:"output_tokens"`
		Total        int64 `json:"total_tokens"`
		InputDetails struct {
			Cached int64 `json:"cached_tokens"`
		} `json:"input_tokens_details"`
		OutputDetails struct {
			Reasoning int64 `json:"reasoning_tokens"`
		} `json:"output_tokens_details"`
	} `json:"usage"`
}

// responsesItem is a message, a call or a piece of reasoning.
type responsesItem struct {
	ID        string          `json:"id"`
	Type      string          `json:"type"`
	CallID    string          `json:"call_id"`
	Name      string          `json:"name"`
	Arguments string          `json:"arguments"`
	Content   []responsesPart `json:"content"`
	Summary   []responsesPart `json:"summary"`
}

type responsesPart struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	Refusal string `json:"refusal"`
}

// responsesEvent is an event of a stream.
type responsesEvent struct {
	Type     string           `json:"type"`
	Response *responsesAnswer `json:"response"`
	Item     *responsesItem   `json:"item"`
	Index    int              `json:"output_index"`
	Delta    text             `json:"delta"`
	Error    jsontext.Value   `json:"error"`
}

// readResponses is a [reader] of the Responses API.
func readResponses(a *answer, data []byte, streamed bool) (delta, error) {
	if !streamed {
		var in responsesAnswer
		if err := decode(data, &in); err != nil {
			return delta{}, err
		}
		return delta{}, a.end(&in)
	}
	var e responsesEvent
	if err := decode(data, &e); err != nil {
		return delta{}, err
	}
	switch e.Type {
	case "response.output_text.delta":
		return a.say(delta{text: string(e.Delta)}), nil
	case "response.refusal.delta":
		a.refused = true
		return a.say(delta{text: string(e.Delta)}), nil
	case "response.reasoning_summary_text.delta", "response.reasoning_text.delta":
		return a.say(delta{thought: string(e.Delta)}), nil
	case "response.reasoning_summary_part.added":
		if a.thought.Len() > 0 {
			return a.say(delta{thought: "\n\n"}), nil
		}
	case "response.output_item.added", "response.output_item.done":
		if e.Item != nil && e.Item.Type == "function_call" && !a.setCall(e.Index, e.Item) {
			return delta{}, errUnreadable
		}
	case "response.function_call_arguments.delta":
		for _, b := range a.calls {
			if b.index == e.Index {
				b.args.WriteString(string(e.Delta))
			}
		}
	case "response.completed", "response.incomplete", "response.failed":
		if e.Response == nil {
			return delta{}, errUnreadable
		}
		return delta{}, a.end(e.Response)
	case "error":
		if len(e.Error) == 0 || e.Error.Kind() == 'n' {
			return delta{}, readFailure(data)
		}
		return delta{}, readFailure(e.Error)
	}
	return delta{}, nil
}

// say adds d to the answer.
func (a *answer) say(d delta) delta {
	a.text.WriteString(d.text)
	a.thought.WriteString(d.thought)
	return d
}

// setCall begins the call at index, or replaces what came of it by the whole.
func (a *answer) setCall(index int, item *responsesItem) bool {
	var b *building
	for _, known := range a.calls {
		if known.index == index {
			b = known
		}
	}
	if b == nil {
		if len(a.calls) == maxCalls {
			return false
		}
		b = &building{index: index}
		a.calls = append(a.calls, b)
	}
	b.id = item.CallID
	b.name.Reset()
	b.name.WriteString(item.Name)
	b.args.Reset()
	b.args.WriteString(item.Arguments)
	return true
}

// end reads the answer's last word: why it ended, what it used and, where it was not
// streamed, all of it.
func (a *answer) end(in *responsesAnswer) error {
	if len(in.Error) > 0 && in.Error.Kind() != 'n' {
		return readFailure(in.Error)
	}
	switch in.Status {
	case "completed":
		a.finishReason = "stop"
	case "incomplete":
		a.finishReason = or(in.Incomplete.Reason, "unknown")
		if a.finishReason == "max_output_tokens" {
			a.finishReason = "length"
		}
	case "failed", "cancelled":
		return &failure{}
	}
	a.id, a.model = in.ID, in.Model
	if u := in.Usage; u != nil {
		a.usage = &usage{u.Input, u.Output, u.Total, u.InputDetails.Cached, u.OutputDetails.Reasoning}
	}
	if a.text.Len() > 0 || a.thought.Len() > 0 || len(a.calls) > 0 {
		return nil
	}
	for i := range in.Output {
		if !a.addItem(i, &in.Output[i]) {
			return errUnreadable
		}
	}
	return nil
}

func (a *answer) addItem(i int, item *responsesItem) bool {
	switch item.Type {
	case "function_call":
		return a.setCall(i, item)
	case "message":
		for _, p := range item.Content {
			a.refused = a.refused || p.Refusal != ""
			a.say(delta{text: p.Text + p.Refusal})
		}
	case "reasoning":
		var thoughts []string
		for _, p := range append(item.Summary, item.Content...) {
			thoughts = append(thoughts, p.Text)
		}
		if a.thought.Len() > 0 {
			thoughts = append([]string{""}, thoughts...)
		}
		a.say(delta{thought: strings.Join(thoughts, "\n\n")})
	}
	return true
}
