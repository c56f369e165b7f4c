package anthropic

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	api "github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/models/provider"
)

// answer puts an answer together from its events. The library can do so too, but
// makes {} of arguments that were cut off or are malformed, which would be called.
type answer struct {
	id, model string
	blocks    []*block
	from      int // where the blocks of the message that is coming begin
	reason    api.StopReason
	usage     api.Usage // of that message
	before    api.Usage // of those before it, which the server paused
	ended     bool
}

// write is a [provider.Keep].Write. It names each event by its type, which gateways leave
// out, and makes events of a message that came in one piece.
func write(b, value []byte) ([]byte, error) {
	var v struct {
		Type    string           `json:"type"`
		Error   jsontext.Value   `json:"error"`
		Content []jsontext.Value `json:"content"`
		Reason  string           `json:"stop_reason"`
		Usage   jsontext.Value   `json:"usage"`
	}
	if strictjson.Unmarshal(value, &v) != nil {
		return nil, provider.ErrUnreadable
	}
	event := func(name, format string, args ...any) {
		b = fmt.Appendf(b, "event: %s\ndata: "+format+"\n\n", append([]any{name}, args...)...)
	}
	switch {
	case len(v.Error) > 0 && v.Error.Kind() != 'n':
		event("error", "%s", value)
	case v.Type != "message":
		event(provider.Code(v.Type), "%s", value)
	default:
		event("message_start", `{"type":"message_start","message":%s}`, value)
		for i, block := range v.Content {
			event("content_block_start", `{"type":"content_block_start","index":%d,"content_block":%s}`, i, block)
			event("content_block_stop", `{"type":"content_block_stop","index":%d}`, i)
		}
		event("message_delta", `{"type":"message_delta","delta":{"stop_reason":%q},"usage":%s}`, provider.Code(v.Reason), cmp.Or(string(v.Usage), "{}"))
		event("message_stop", `{"type":"message_stop"}`)
	}
	return b, nil
}

// begin readies a for the next message: its first, or what goes on where the one
// before it paused.
func (a *answer) begin() {
	a.before = total(a.before, a.usage)
	a.from, a.reason, a.usage, a.ended = len(a.blocks), "", api.Usage{}, false
}

// paused returns the answer so far in the form in which it goes back for the server to
// go on, nil where it is done or holds what cannot go back.
func (a *answer) paused() (out []api.ContentBlockParamUnion) {
	if a.reason != api.StopReasonPauseTurn || !a.ended {
		return nil
	}
	for _, b := range a.blocks {
		switch s := (state{Signature: b.signature.String(), Redacted: b.redacted.String()}); {
		case b.kind == "text" && blank(b.text.String()): // is refused
		case b.kind == "text":
			out = append(out, api.NewTextBlock(b.text.String()))
		case b.kind == "thinking" || b.kind == "redacted_thinking":
			if s != (state{}) {
				out = append(out, s.block(b.text.String()))
			}
		default:
			return nil
		}
	}
	return out
}

// total counts what two messages took.
func total(a, b api.Usage) api.Usage {
	a.InputTokens += b.InputTokens
	a.CacheReadInputTokens += b.CacheReadInputTokens
	a.CacheCreationInputTokens += b.CacheCreationInputTokens
	a.OutputTokens += b.OutputTokens
	a.OutputTokensDetails.ThinkingTokens += b.OutputTokensDetails.ThinkingTokens
	return a
}

// block is a part of the answer that is still coming.
type block struct {
	index                     int64
	kind, id, name            string
	text, signature, redacted strings.Builder
	input                     strings.Builder
	whole                     bool
}

// maxBlocks bounds the parts of one answer.
const maxBlocks = 1024

// add takes an event, and returns what of it may be shown at once.
func (a *answer) add(e api.MessageStreamEventUnion) (*model.LLMResponse, error) {
	switch e.Type {
	case "message_start":
		a.id, a.model, a.usage = e.Message.ID, e.Message.Model, e.Message.Usage
	case "content_block_start":
		if a.block(e.Index) != nil || len(a.blocks) == maxBlocks {
			return nil, provider.ErrUnreadable
		}
		b := &block{index: e.Index, kind: e.ContentBlock.Type, id: e.ContentBlock.ID, name: e.ContentBlock.Name}
		b.signature.WriteString(e.ContentBlock.Signature)
		b.redacted.WriteString(e.ContentBlock.Data)
		if input := e.ContentBlock.JSON.Input.Raw(); input != "{}" && input != "null" {
			b.input.WriteString(input)
		}
		a.blocks = append(a.blocks, b)
		return b.show(e.ContentBlock.Text + e.ContentBlock.Thinking), nil
	case "content_block_delta":
		b := a.block(e.Index)
		if b == nil {
			return nil, provider.ErrUnreadable
		}
		b.input.WriteString(e.Delta.PartialJSON)
		b.signature.WriteString(e.Delta.Signature)
		return b.show(e.Delta.Text + e.Delta.Thinking), nil
	case "content_block_stop":
		b := a.block(e.Index)
		if b == nil {
			return nil, provider.ErrUnreadable
		}
		b.whole = true
	case "message_delta":
		a.reason = cmp.Or(e.Delta.StopReason, a.reason)
		a.count(e.Usage)
	case "message_stop":
		a.ended = true
	}
	return nil, nil
}

// block returns the block of the message that is coming under index, nil for none.
func (a *answer) block(index int64) *block {
	for _, b := range a.blocks[a.from:] {
		if b.index == index {
			return b
		}
	}
	return nil
}

// show adds text to b, and returns it as a piece.
func (b *block) show(text string) *model.LLMResponse {
	if text == "" {
		return nil
	}
	b.text.WriteString(text)
	return &model.LLMResponse{Partial: true, Content: genai.NewContentFromParts([]*genai.Part{{Text: text, Thought: b.kind == "thinking"}}, genai.RoleModel)}
}

// count takes over what the last event counts: totals, of which those that it does not
// give stay as they were.
func (a *answer) count(u api.MessageDeltaUsage) {
	a.usage.OutputTokens = u.OutputTokens
	a.usage.OutputTokensDetails.ThinkingTokens = max(a.usage.OutputTokensDetails.ThinkingTokens, u.OutputTokensDetails.ThinkingTokens)
	a.usage.InputTokens = max(a.usage.InputTokens, u.InputTokens)
	a.usage.CacheReadInputTokens = max(a.usage.CacheReadInputTokens, u.CacheReadInputTokens)
	a.usage.CacheCreationInputTokens = max(a.usage.CacheCreationInputTokens, u.CacheCreationInputTokens)
}

// response returns the whole answer. What is not whole is an error.
func (a *answer) response(to provider.Target, server string) (*model.LLMResponse, error) {
	if a.reason == "" || !a.ended {
		return nil, to.Fail(provider.BrokenOff, nil)
	}
	finish := provider.FinishReason(string(a.reason)) // a turn that pauses again and again is not finished
	resp := &model.LLMResponse{ModelVersion: provider.Shorten(a.model), UsageMetadata: a.metadata(), FinishReason: finish, TurnComplete: true}
	if a.id != "" {
		resp.CustomMetadata = map[string]any{"id": provider.Shorten(a.id)}
	}
	var parts []*genai.Part
	says := false
	for _, b := range a.blocks {
		part := b.part(server)
		switch {
		case b.kind == "tool_use" && finish != genai.FinishReasonStop: // [provider.Target.Finish] says so
		case b.kind == "tool_use" && !b.whole:
			return nil, to.Fail(provider.BrokenOff, nil)
		case b.kind == "tool_use" && b.name == "":
			return nil, to.Fail(provider.Problem{Text: "the model called a tool without naming it", Remedy: "try again, or use another model"}, nil)
		}
		if part != nil {
			parts, says = append(parts, part), says || part.Text != "" || part.FunctionCall != nil
		}
	}
	if !says {
		parts = nil
	}
	resp.Content = genai.NewContentFromParts(parts, genai.RoleModel)
	if err := to.Finish(resp, string(a.reason), a.reason == api.StopReasonMaxTokens); err != nil {
		return nil, err
	}
	return resp, nil
}

// part returns a finished block; nil for one of no account.
func (b *block) part(server string) *genai.Part {
	var p *genai.Part
	switch b.kind {
	case "text":
		if b.text.Len() == 0 {
			return nil
		}
		return &genai.Part{Text: b.text.String()}
	case "tool_use":
		return &genai.Part{FunctionCall: &genai.FunctionCall{ID: b.id, Name: b.name, Args: provider.Arguments(b.input.String())}}
	case "thinking", "redacted_thinking":
		p = &genai.Part{Text: b.text.String(), Thought: true}
	default:
		return nil
	}
	kept, err := json.Marshal(state{Signature: b.signature.String(), Redacted: b.redacted.String()})
	if err == nil && b.signature.Len()+b.redacted.Len() > 0 {
		p.ThoughtSignature = provider.Seal(server, kept)
	}
	return p
}

// metadata counts as Google does: the prompt with what was read from the cache or
// written to it, and the candidates without the thoughts.
func (a *answer) metadata() *genai.GenerateContentResponseUsageMetadata {
	count := func(n int64) int32 { return int32(max(0, min(n, math.MaxInt32))) } //nolint:gosec // bounded on this line
	u := total(a.before, a.usage)
	prompt := u.InputTokens + u.CacheReadInputTokens + u.CacheCreationInputTokens
	if prompt == 0 && u.OutputTokens == 0 {
		return nil
	}
	thoughts := u.OutputTokensDetails.ThinkingTokens
	return &genai.GenerateContentResponseUsageMetadata{
		PromptTokenCount: count(prompt), CachedContentTokenCount: count(u.CacheReadInputTokens), CandidatesTokenCount: count(u.OutputTokens - thoughts),
		ThoughtsTokenCount: count(thoughts), TotalTokenCount: count(prompt + u.OutputTokens),
	}
}
