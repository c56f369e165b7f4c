package runner

import (
	"context"
	"iter"
	"strings"
	"testing"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/plugin"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
)

// silent is a model that must not be asked.
type silent struct{ t *testing.T }

func (silent) Name() string { return "silent" }

func (s silent) GenerateContent(context.Context, *model.LLMRequest, bool) iter.Seq2[*model.LLMResponse, error] {
	s.t.Error("the model was asked")
	return func(func(*model.LLMResponse, error) bool) {}
}

// The plugin holds by itself what Run checks before: messages, and that there is a
// run whose limits can be held.
func TestPluginHoldsWithoutRun(t *testing.T) {
	guard, err := plugin.New(guard(func(ctx adk.Context) *run { return runOf(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	a, err := llmagent.New(llmagent.Config{Name: "tester", Model: silent{t}, Mode: llmagent.ModeChat})
	if err != nil {
		t.Fatal(err)
	}
	r, err := adkrunner.New(adkrunner.Config{
		AppName: "app", Agent: a, SessionService: session.InMemoryService(), AutoCreateSession: true,
		PluginConfig: adkrunner.PluginConfig{Plugins: []*plugin.Plugin{guard}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for want, part := range map[string]*genai.Part{
		"function call":              {FunctionCall: &genai.FunctionCall{Name: "adk_request_confirmation"}},
		"function response":          {FunctionResponse: &genai.FunctionResponse{Name: "adk_request_confirmation"}},
		"model called outside a run": {Text: "hello"},
	} {
		var last error
		for _, err := range r.Run(t.Context(), "u", "s", &genai.Content{Role: genai.RoleUser, Parts: []*genai.Part{part}}, adk.RunConfig{}) {
			last = err
		}
		if last == nil || !strings.Contains(last.Error(), want) {
			t.Errorf("a run with %+v ended with %v, want an error with %q", part, last, want)
		}
	}
}

// An API that honors keys may answer for an effect that a process left in doubt which is
// gone, and of which this one was told nothing.
func TestDoubtOfAnEarlierProcessIsCleared(t *testing.T) {
	r := newTally()
	r.see(jit.Cleared{IdempotencyKey: "k"})
	if got := r.decide(nil); got != Done {
		t.Errorf("decide() = %s, want %s", got, Done)
	}
}
