package anthropic

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"regexp"
	"strings"

	api "github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/packages/param"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/models/provider"
)

// params writes req as the API takes it.
func (a *attempt) params(req *model.LLMRequest, name string) (api.MessageNewParams, error) {
	config := a.settings.Apply(req.Config)
	out := api.MessageNewParams{Model: name, MaxTokens: cmp.Or(int64(config.MaxOutputTokens), maxTokens), StopSequences: config.StopSequences}
	if err := provider.Refuse(config, "a temperature or top_p", "a seed", "penalties", "log probabilities", "a form of the answer"); err != nil {
		return out, err
	}
	tools, choice, err := provider.Tools(config)
	if err != nil {
		return out, err
	}
	for _, t := range tools {
		tool := api.ToolParam{Name: t.Name, InputSchema: param.Override[api.ToolInputSchemaParam](t.Parameters)}
		if t.Description != "" {
			tool.Description = param.NewOpt(t.Description)
		}
		out.Tools = append(out.Tools, api.ToolUnionParam{OfTool: &tool})
	}
	switch {
	case choice.Name != "":
		out.ToolChoice = api.ToolChoiceParamOfTool(choice.Name)
	case choice.Mode == "required":
		out.ToolChoice.OfAny = &api.ToolChoiceAnyParam{}
	case choice.Mode == "none":
		none := api.NewToolChoiceNoneParam()
		out.ToolChoice.OfNone = &none
	}
	a.think(&out, config.ThinkingConfig)
	if out.System, err = system(config.SystemInstruction); err != nil {
		return out, err
	}
	turns, err := a.converse(req.Contents)
	if err != nil {
		return out, err
	}
	if len(turns) == 0 {
		return out, provider.Unsupported("an empty request")
	}
	// What stands before a mark is cached: the tools and the instruction, which are the
	// same in every request, and the conversation so far, with which the next begins.
	if n := len(out.System); n > 0 {
		out.System[n-1].CacheControl = api.NewCacheControlEphemeralParam()
	}
	last := turns[len(turns)-1].blocks
	if mark := last[len(last)-1].GetCacheControl(); mark != nil {
		*mark = api.NewCacheControlEphemeralParam()
	}
	for _, t := range turns {
		if t.assistant {
			out.Messages = append(out.Messages, api.NewAssistantMessage(t.blocks...))
		} else {
			out.Messages = append(out.Messages, api.NewUserMessage(t.blocks...))
		}
	}
	return out, nil
}

// think writes how much the model thinks: an effort, whether it thinks at all, and
// whether it tells what.
func (a *attempt) think(out *api.MessageNewParams, config *genai.ThinkingConfig) {
	effort := a.settings.ReasoningEffort
	if config != nil {
		switch {
		case config.ThinkingLevel == genai.ThinkingLevelMinimal:
			effort = "low"
		case config.ThinkingLevel != "" && config.ThinkingLevel != genai.ThinkingLevelUnspecified:
			effort = strings.ToLower(string(config.ThinkingLevel))
		}
		switch {
		case config.ThinkingBudget != nil && *config.ThinkingBudget == 0:
			off := api.NewThinkingConfigDisabledParam()
			out.Thinking.OfDisabled = &off
		case config.IncludeThoughts:
			out.Thinking.OfAdaptive = &api.ThinkingConfigAdaptiveParam{Display: api.ThinkingConfigAdaptiveDisplaySummarized}
		}
	}
	out.OutputConfig.Effort = api.OutputConfigEffort(effort)
}

func system(c *genai.Content) (out []api.TextBlockParam, err error) {
	if c == nil {
		return nil, nil
	}
	for _, p := range c.Parts {
		switch {
		case p == nil || p.Thought || blank(p.Text) && p.InlineData == nil && p.FileData == nil:
		case p.InlineData != nil || p.FileData != nil:
			return nil, provider.Unsupported("media in the instruction")
		default:
			out = append(out, api.TextBlockParam{Text: p.Text})
		}
	}
	return out, nil
}

// blank texts are refused by the API.
func blank(s string) bool { return strings.TrimSpace(s) == "" }

var wireIDs = lazy.Regexp(`^[A-Za-z0-9_-]{1,64}$`)

// state is what of a thought goes back with its text.
type state struct {
	Signature string `json:"signature,omitempty"`
	Redacted  string `json:"redacted,omitempty"` // in place of text and signature
}

// block is the thought that says text, as it came.
func (s state) block(text string) api.ContentBlockParamUnion {
	if s.Redacted != "" {
		return api.NewRedactedThinkingBlock(s.Redacted)
	}
	return api.NewThinkingBlock(s.Signature, text)
}

// turn is one message. Neighbors of one role are merged.
type turn struct {
	assistant bool
	blocks    []api.ContentBlockParamUnion
}

// converse returns the turns of contents: each of the model's with calls is followed
// by their results.
func (a *attempt) converse(contents []*genai.Content) ([]turn, error) {
	turns, err := provider.Turns(contents, wireIDs())
	var out []turn
	add := func(assistant bool, blocks []api.ContentBlockParamUnion) {
		switch n := len(out); {
		case len(blocks) == 0:
		case n > 0 && out[n-1].assistant == assistant:
			out[n-1].blocks = append(out[n-1].blocks, blocks...)
		default:
			out = append(out, turn{assistant, blocks})
		}
	}
	for _, t := range turns {
		var said, answers []api.ContentBlockParamUnion
		for _, p := range t.Said {
			if f := p.Call; p.FunctionCall != nil {
				said = append(said, api.NewToolUseBlock(f.ID, json.RawMessage(f.Args), f.Name))
				answers = append(answers, api.NewToolResultBlock(f.ID, f.Result, f.Failed))
				continue
			}
			block, err := a.block(p.Part)
			if err != nil {
				return nil, err
			}
			if block != nil {
				said = append(said, *block)
			}
		}
		add(t.Assistant, said)
		add(false, answers)
	}
	return out, err
}

// block returns what p says, nil for a part that says nothing here.
func (a *attempt) block(p *genai.Part) (*api.ContentBlockParamUnion, error) {
	var out api.ContentBlockParamUnion
	switch {
	case p.Thought:
		var s state
		if b, ours := provider.Unseal(a.server, p.ThoughtSignature); !ours || json.Unmarshal(b, &s) != nil {
			return nil, nil // of another model
		}
		out = s.block(p.Text)
	case p.InlineData != nil && images.MatchString(p.InlineData.MIMEType):
		out = api.NewImageBlockBase64(p.InlineData.MIMEType, base64.StdEncoding.EncodeToString(p.InlineData.Data))
	case p.FileData != nil && images.MatchString(p.FileData.MIMEType) && strings.HasPrefix(p.FileData.FileURI, "https://"):
		out = api.NewImageBlock(api.URLImageSourceParam{URL: p.FileData.FileURI})
	case p.InlineData != nil || p.FileData != nil:
		return nil, provider.Unsupported("data that is no image")
	case blank(p.Text):
		return nil, nil
	default:
		out = api.NewTextBlock(p.Text)
	}
	return &out, nil
}

var images = regexp.MustCompile(`^image/(png|jpeg|gif|webp)$`)
