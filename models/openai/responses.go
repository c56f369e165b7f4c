package openai

import (
	"cmp"
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	api "github.com/sashabaranov/go-openai"

	"github.com/jitagent/jitagent/models/provider"
)

// responsesRequest writes q for the Responses API.
func (c *call) responsesRequest(q *query, stream bool) (api.CreateResponseRequest, error) {
	config := q.config
	if err := provider.Refuse(config, "stop sequences", "a seed", "penalties", "log probabilities"); err != nil {
		what, _ := errors.AsType[provider.Unsupported](err)
		return api.CreateResponseRequest{}, what + " over the Responses API"
	}
	store := false // documents stay with nobody
	req := api.CreateResponseRequest{
		Model: c.to.Model, Instructions: q.system, Store: &store, Stream: stream,
		MaxOutputTokens: int(config.MaxOutputTokens), Temperature: config.Temperature, TopP: config.TopP,
	}
	thoughts := config.ThinkingConfig != nil && config.ThinkingConfig.IncludeThoughts
	if q.effort != "" || thoughts {
		req.Reasoning = &api.ResponseReasoning{Effort: q.effort}
		if thoughts {
			req.Reasoning.Summary = "auto"
		}
	}
	if c.to.Hosted && c.family.reasoning {
		// What is not stored there must come from here: the thoughts that led to a call.
		req.Include = []api.ResponseInclude{"reasoning.encrypted_content"}
	}
	items := make([]any, 0, len(q.turns))
	for _, t := range q.turns {
		items = appendItems(items, t)
	}
	req.Input = items
	for _, t := range q.tools {
		// Here strict is the default, which would change the schema.
		inline := map[string]any{"name": t.Name, "parameters": t.Parameters, "strict": false}
		if t.Description != "" {
			inline["description"] = t.Description
		}
		req.Tools = append(req.Tools, api.ResponseTool{Type: api.ToolTypeFunction, Parameters: inline})
	}
	switch {
	case q.choice.Name != "":
		req.ToolChoice = map[string]string{"type": "function", "name": q.choice.Name}
	case q.choice.Mode != "":
		req.ToolChoice = q.choice.Mode
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
	for _, item := range t.state.Items {
		to = append(to, item)
	}
	for _, call := range t.calls {
		to = append(to, functionCall{Type: "function_call", CallID: call.ID, Name: call.Name, Arguments: call.Args})
	}
	for _, call := range t.calls {
		to = append(to, api.ResponseFunctionCallOutput{Type: "function_call_output", CallID: call.ID, Output: call.Result})
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

// responsesAnswer is an answer of the Responses API.
type responsesAnswer struct {
	ID         text             `json:"id"`
	Model      text             `json:"model"`
	Status     string           `json:"status"`
	Output     []jsontext.Value `json:"output"`
	Error      jsontext.Value   `json:"error"`
	Incomplete *struct {
		Reason string `json:"reason"`
	} `json:"incomplete_details"`
	Usage lenient[usage] `json:"usage"`
}

// responsesItem is a message, a call or a piece of reasoning.
type responsesItem struct {
	Type      string          `json:"type"`
	Status    string          `json:"status"`
	CallID    text            `json:"call_id"`
	Name      string          `json:"name"`
	Arguments text            `json:"arguments"`
	Content   []responsesPart `json:"content"`
	Summary   []responsesPart `json:"summary"`
	Encrypted string          `json:"encrypted_content"`
}

// unfinished reports whether the item is a call that its maker did not come to the end
// of, which the answer's own status does not always say.
func (i *responsesItem) unfinished() bool {
	return i.Type == "function_call" && (i.Status == "incomplete" || i.Status == "in_progress")
}

type responsesPart struct {
	Text    string `json:"text"`
	Refusal string `json:"refusal"`
}

// responsesEvent is an event of a stream, or an answer in one piece.
type responsesEvent struct {
	responsesAnswer

	Type      string           `json:"type"`
	Response  *responsesAnswer `json:"response"`
	Item      jsontext.Value   `json:"item"`
	Index     number           `json:"output_index"`
	Delta     text             `json:"delta"`
	Arguments text             `json:"arguments"`
}

// readResponses is a [reader] of the Responses API.
func readResponses(a *answer, data []byte) (delta, error) {
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
		return delta{}, a.item(int(e.Index), e.Item, e.Type == "response.output_item.done", false)
	case "response.function_call_arguments.delta", "response.function_call_arguments.done":
		for _, b := range a.calls {
			if b.index == int(e.Index) && e.Arguments != "" {
				b.args = arguments{text: []byte(e.Arguments)} // all of them: they replace what came in pieces
			} else if b.index == int(e.Index) {
				b.args.text = append(b.args.text, e.Delta...)
			}
		}
	case "response.completed", "response.incomplete", "response.failed":
		if e.Response == nil {
			return delta{}, provider.ErrUnreadable
		}
		return a.end(e.Response)
	default:
		switch {
		case e.Type == "error" || stated(e.Error):
			return delta{}, readFailure(data)
		case e.Type == "":
			return a.end(&e.responsesAnswer)
		}
	}
	return delta{}, nil
}

// end reads the answer's last word: why it ended, what it used and, where it was not
// streamed, all of it.
func (a *answer) end(in *responsesAnswer) (delta, error) {
	if stated(in.Error) {
		return delta{}, readFailure(in.Error)
	}
	a.id, a.model = string(in.ID), string(in.Model)
	a.usage = in.Usage.is
	switch in.Status {
	case "completed":
		a.finishReason = "stop"
		if a.bound > 0 && a.usage.Output >= number(a.bound) {
			a.finishReason = "length" // llama.cpp's server says completed of what it cut off
		}
	case "incomplete":
		a.finishReason = "other"
	case "failed", "cancelled":
		return delta{}, &failure{}
	}
	if in.Incomplete != nil && a.finishReason != "" {
		a.finishReason = cmp.Or(in.Incomplete.Reason, a.finishReason)
	}
	come := a.text.Len() > 0 || a.thought.Len() > 0 || len(a.calls) > 0 // all of it but how it ended
	for i, v := range in.Output {
		var item responsesItem
		if !come {
			if err := a.item(i, v, true, true); err != nil {
				return delta{}, err
			}
		} else if decode(v, &item) == nil {
			a.unfinished = a.unfinished || item.unfinished()
		}
	}
	return delta{}, nil
}

// item reads one of the output's items, the last time when it is done. whole says that
// its texts have not come by themselves.
func (a *answer) item(index int, v jsontext.Value, done, whole bool) error {
	var item responsesItem
	if decode(v, &item) != nil {
		return provider.ErrUnreadable
	}
	a.unfinished = a.unfinished || done && item.unfinished()
	for i, p := range slices.Concat(item.Summary, item.Content) {
		switch {
		case !whole:
		case item.Type == "message":
			a.refused = a.refused || p.Refusal != ""
			a.say(delta{text: p.Text + p.Refusal})
		case item.Type == "reasoning" && (i > 0 || a.thought.Len() > 0):
			a.say(delta{thought: "\n\n" + p.Text})
		case item.Type == "reasoning":
			a.say(delta{thought: p.Text})
		}
	}
	switch {
	case item.Type == "reasoning" && done && item.Encrypted != "":
		a.items = append(a.items, v.Clone())
	case item.Type == "function_call":
		i := slices.IndexFunc(a.calls, func(b *building) bool { return b.index == index })
		if i < 0 {
			if i = len(a.calls); i == maxCalls {
				return provider.ErrUnreadable
			}
			a.calls = append(a.calls, &building{index: index})
		}
		b := a.calls[i]
		b.id, b.name = string(item.CallID), item.Name
		if item.Arguments != "" || len(b.args.text) == 0 {
			b.args = arguments{text: []byte(item.Arguments)}
		}
	}
	return nil
}
