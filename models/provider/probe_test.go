package provider_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// prober answers as a server might: tokens counted with and without tools, and what the
// model says to a request.
type prober struct {
	with, without int32
	call, cut     bool
	err           error
	asked         int
}

func (p *prober) Name() string { return "m" }

func (p *prober) GenerateContent(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		p.asked++
		tokens := p.without
		if len(req.Config.Tools) > 0 {
			tokens = p.with
		}
		part := &genai.Part{Text: "Hello."}
		if p.call && len(req.Config.Tools) > 0 {
			part = &genai.Part{FunctionCall: &genai.FunctionCall{Name: "ping"}}
		}
		switch {
		case p.err != nil:
			yield(nil, p.err)
		case p.cut && len(req.Config.Tools) > 0:
			cut := &model.LLMResponse{FinishReason: genai.FinishReasonMaxTokens, Content: genai.NewContentFromFunctionCall("ping", nil, genai.RoleModel)}
			yield(nil, target.Finish(cut, "length", true))
		default:
			yield(&model.LLMResponse{
				Content:       genai.NewContentFromParts([]*genai.Part{part}, genai.RoleModel),
				UsageMetadata: &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: tokens},
			}, nil)
		}
	}
}

func TestProbeTools(t *testing.T) {
	for name, tt := range map[string]struct {
		p     prober
		want  provider.ToolUse
		asked int
	}{
		"calls":                      {prober{with: 80, without: 20, call: true}, provider.ToolsCalled, 1},
		"begins a call":              {prober{with: 80, without: 20, cut: true}, provider.ToolsCalled, 1},
		"takes tools, does not call": {prober{with: 80, without: 20}, provider.ToolsTaken, 3},
		"drops them":                 {prober{with: 20, without: 20}, provider.ToolsDropped, 3},
		"counts nothing":             {prober{}, provider.ToolsUnknown, 3},
		"fails":                      {prober{err: errors.New("x")}, provider.ToolsUnknown, 1},
	} {
		got, err := provider.ProbeTools(t.Context(), &tt.p)
		if got != tt.want || !errors.Is(err, tt.p.err) || tt.p.asked != tt.asked {
			t.Errorf("%s: %d, %v after %d requests, want %d after %d", name, got, err, tt.p.asked, tt.want, tt.asked)
		}
	}
}
