package runner_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/runner"
)

// A model that streams counts its tokens on each piece, and on the whole again.
func streams(text string, usage int32) step {
	counted := func(n int32) *genai.GenerateContentResponseUsageMetadata {
		return &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: 10, CandidatesTokenCount: n, TotalTokenCount: 10 + n}
	}
	return func(_ context.Context, _ *model.LLMRequest, stream bool, yield func(*model.LLMResponse, error) bool) {
		if stream {
			for i, piece := range strings.SplitAfter(text, " ") {
				if !yield(&model.LLMResponse{Content: genai.NewContentFromText(piece, genai.RoleModel), Partial: true, UsageMetadata: counted(int32(i + 1))}, nil) {
					return
				}
			}
		}
		yield(&model.LLMResponse{Content: &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{
			{Text: "let me think", Thought: true}, {Text: text[:5]}, {Text: text[5:]},
		}}, UsageMetadata: counted(usage)}, nil)
	}
}

func TestStreamingChangesNothingButThePieces(t *testing.T) {
	const text = "Churn rose to 4.2 % in Q4."
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			w := &world{llm: plays(asks("unknown"), streams(text, 7)), config: func(c *runner.Config) { c.Stream = stream }}
			got := follow(t.Context(), t, w.runner(t), runner.Input{})
			var partial, final strings.Builder
			for _, e := range got.events {
				if e, ok := e.(runner.Text); ok && e.Partial {
					partial.WriteString(e.Text)
					if e.Final {
						t.Error("a piece is called final")
					}
				} else if ok && e.Final {
					final.WriteString(e.Text)
				}
			}
			if final.String() != text || got.finished.Answer != text {
				t.Errorf("final text = %q, answer = %q, want %q", final.String(), got.finished.Answer, text)
			}
			if want := map[bool]string{true: text}[stream]; partial.String() != want {
				t.Errorf("pieces = %q, want %q", partial.String(), want)
			}
			if diff := cmp.Diff(runner.Usage{Prompt: 10, Candidates: 7, Total: 17}, got.finished.Usage); diff != "" {
				t.Errorf("usage (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUsageAddsUpOverModelCalls(t *testing.T) {
	clean(t)
	w := &world{llm: plays(func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{
			Content:       &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{{Text: "I look."}, {FunctionCall: &genai.FunctionCall{ID: "c", Name: "unknown"}}}},
			UsageMetadata: &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: 1, CandidatesTokenCount: 2, TotalTokenCount: 3},
		}, nil)
	}, streams("Churn rose.", 7))}
	got := follow(t.Context(), t, w.runner(t), runner.Input{})
	if diff := cmp.Diff(runner.Usage{Prompt: 11, Candidates: 9, Total: 20}, got.finished.Usage); diff != "" {
		t.Errorf("usage (-want +got):\n%s", diff)
	}
	if got.finished.Answer != "Churn rose." {
		t.Errorf("answer = %q, want only the final text", got.finished.Answer)
	}
}
