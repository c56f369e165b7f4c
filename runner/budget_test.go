package runner_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// uses has a step count tokens.
func uses(prompt, output int32, s step) step { return counts(prompt, output, prompt+output, s) }

// counts has a step say what it likes.
func counts(prompt, output, total int32, s step) step {
	return func(ctx context.Context, req *model.LLMRequest, stream bool, yield func(*model.LLMResponse, error) bool) {
		s(ctx, req, stream, func(resp *model.LLMResponse, err error) bool {
			if resp != nil {
				resp.UsageMetadata = &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: prompt, CandidatesTokenCount: output, TotalTokenCount: total}
			}
			return yield(resp, err)
		})
	}
}

func TestBudgetEndsTheRun(t *testing.T) {
	prices := map[string]policy.Price{"script": {Input: 1, Output: 10}}
	for name, tt := range map[string]struct {
		budget  runner.Budget
		step    step
		asked   int
		outcome runner.Outcome
		err     string
	}{
		"none":                     {runner.Budget{}, asks("act doc_1"), 5, runner.Done, ""},
		"tokens":                   {runner.Budget{Tokens: 300}, uses(100, 10, asks("act doc_1")), 3, runner.Spent, "330 tokens of 300"},
		"just enough":              {runner.Budget{Tokens: 441}, uses(100, 10, asks("act doc_1")), 5, runner.Done, ""},
		"to the last token":        {runner.Budget{Tokens: 330}, uses(100, 10, asks("act doc_1")), 3, runner.Spent, "330 tokens of 330"},
		"money":                    {runner.Budget{Money: 0.0004, Prices: prices}, uses(100, 10, asks("act doc_1")), 2, runner.Spent, "0.0004 of 0.0004"},
		"no price":                 {runner.Budget{Money: 1, Prices: map[string]policy.Price{"other": {}}}, asks("act doc_1"), 0, runner.Failed, "no price is known of the model script"},
		"tokens are not counted":   {runner.Budget{Tokens: 300}, asks("act doc_1"), 1, runner.Failed, "does not say how many tokens"},
		"the sum is none":          {runner.Budget{Tokens: 300}, counts(100, 10, 1, asks("act doc_1")), 3, runner.Spent, "330 tokens of 300"},
		"nor is its money":         {runner.Budget{Money: 0.0004, Prices: prices}, counts(100, 10, 1, asks("act doc_1")), 2, runner.Spent, "0.0004 of 0.0004"},
		"no sum":                   {runner.Budget{Tokens: 300}, counts(100, 10, 0, asks("act doc_1")), 3, runner.Spent, "330 tokens of 300"},
		"less than nothing":        {runner.Budget{Tokens: 300}, counts(-100, -10, -110, asks("act doc_1")), 1, runner.Failed, "does not say how many tokens"},
		"which are too many to be": {runner.Budget{Tokens: 1}, uses(1, 0, asks("act doc_1")), 1, runner.Spent, "1 tokens of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			var steps []step
			for i := range 4 {
				call := fmt.Sprintf("act doc_%d", i)
				steps = append(steps, func(ctx context.Context, req *model.LLMRequest, stream bool, yield func(*model.LLMResponse, error) bool) {
					tt.step(ctx, req, stream, func(resp *model.LLMResponse, err error) bool {
						_, resp.Content.Parts[0].FunctionCall.Args["arg"], _ = strings.Cut(call, " ")
						return yield(resp, err)
					})
				})
			}
			w := review(t, append(steps, uses(1, 1, says("done")))...)
			for i := range 4 {
				w.decide(fmt.Sprintf("doc_%d", i), jit.StatusApproved)
			}
			kept := w.config
			w.config = func(cfg *runner.Config) { kept(cfg); cfg.Budget = tt.budget }
			got := w.say(t, "go")
			if got.finished.Outcome != tt.outcome || w.llm.(*script).calls != tt.asked || (tt.err == "") != (got.err == nil) || got.err != nil && !strings.Contains(got.err.Error(), tt.err) {
				t.Errorf("%s after %d model calls, %v; want %s after %d, %s", got.finished.Outcome, w.llm.(*script).calls, got.err, tt.outcome, tt.asked, tt.err)
			}
			if errors.Is(got.err, runner.ErrBudget) != (tt.outcome == runner.Spent) {
				t.Errorf("%v", got.err)
			}
			w.balanced(t, 1)
		})
	}
}

// What a process used that is gone counts, whether the run was suspended or broken off; the
// next message has a budget of its own.
func TestBudgetHoldsOverProcesses(t *testing.T) {
	for _, how := range []string{"suspended", "broken off"} {
		t.Run(how, func(t *testing.T) {
			broken := errors.New("the process is gone")
			second := uses(100, 0, says("not yet"))
			if how == "broken off" {
				second = fails(broken)
			}
			steps := []step{uses(100, 0, asks("act free")), uses(100, 0, asks("act doc_1")), second, uses(100, 0, says("done"))}
			if how == "broken off" {
				steps = slices.Delete(steps, 1, 2)
			}
			w := review(t, steps...)
			w.decide("free", jit.StatusApproved)
			kept := w.config
			w.config = func(cfg *runner.Config) { kept(cfg); cfg.Budget.Tokens = 100 }
			if how == "suspended" {
				w.config = func(cfg *runner.Config) { kept(cfg); cfg.Budget.Tokens = 200 }
			}
			first := w.say(t, "go")
			asked := w.llm.(*script).calls
			w.decide("doc_1", jit.StatusApproved)
			if how == "broken off" { // as far as the budget went
				w.config = func(cfg *runner.Config) { kept(cfg); cfg.Budget.Tokens = 100 }
			}
			got := w.resume(t)
			if got.finished.Outcome != runner.Spent || w.llm.(*script).calls != asked {
				t.Fatalf("first %s, %v; resumed: %s, %v after %d more model calls, want it spent after none", first.finished.Outcome, first.err, got.finished.Outcome, got.err, w.llm.(*script).calls-asked)
			}
			if got := w.say(t, "again"); w.llm.(*script).calls == asked {
				t.Errorf("the next message: %s, %v, and the model was not asked", got.finished.Outcome, got.err)
			}
		})
	}
}

// A conversation of which only the end is shown has made the calls that are not, too, also
// where a provider counts calls from zero in each answer, and sessions have users' names.
func TestBudgetsCountWhatIsNotShown(t *testing.T) {
	again := func(s step) step {
		return func(ctx context.Context, req *model.LLMRequest, stream bool, yield func(*model.LLMResponse, error) bool) {
			s(ctx, req, stream, func(resp *model.LLMResponse, err error) bool {
				resp.Content.Parts[0].FunctionCall.ID = "call_0"
				return yield(resp, err)
			})
		}
	}
	for name, tt := range map[string]struct {
		ids   func(step) step
		users bool
	}{
		"ids": {func(s step) step { return s }, false}, "ids that come again": {again, false}, "many users": {again, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := reviewFor(t, &policy.Aim{Max: 2}, tt.ids(asks("act doc_1")), says("done"), says("well"), tt.ids(asks("act doc_2")), says("done"), tt.ids(asks("act doc_3")), says("done"))
			for i := range 4 {
				w.decide(fmt.Sprintf("doc_%d", i), jit.StatusApproved)
			}
			kept := w.config
			w.config = func(cfg *runner.Config) {
				kept(cfg)
				cfg.AllowUnnamed, cfg.Limits.History, cfg.ManyUsers = false, 4, tt.users
			}
			w.say(t, "go")
			w.say(t, "thanks") // so that the call before is not shown to the next one
			w.say(t, "more")
			if len(w.ran) != 2 {
				t.Fatalf("ran %v, want two", w.ran)
			}
			if got := w.say(t, "and now"); len(w.ran) != 2 || len(got.finished.Refused) != 1 {
				t.Errorf("ran %v, refused %v, %v; want a third call refused", w.ran, got.finished.Refused, got.err)
			}
		})
	}
}

// The same holds under a plugin.
func TestPluginCountsWhatIsNotShown(t *testing.T) {
	ran := 0
	a := (&app{
		llm: plays(asks("act doc_1"), says("done"), says("well"), asks("act doc_2"), says("done")), journal: &fake.Journal{},
		tools: []tool.Tool{must(tools.New(tools.Spec[args]{Name: "act", Description: "acts", Aim: &policy.Aim{Max: 1}, Ceiling: func(args) []rar.Detail { return nil }}, func(tools.Context, args) (map[string]any, error) {
			ran++
			return nil, nil
		}))},
		config: func(cfg *runner.PluginConfig) { cfg.AllowUnnamed, cfg.Limits.History = false, 2 },
	}).start(t)
	for _, text := range []string{"go", "more", "and now"} {
		if _, err := a.say(t.Context(), "ada", text); err != nil {
			t.Fatal(err)
		}
	}
	if ran != 1 {
		t.Errorf("the tool ran %d times, want once", ran)
	}
}

// A call that fails when its effect was answered counts; of one that had none, nothing does.
func TestFailureAfterAnEffectCounts(t *testing.T) {
	for name, effect := range map[string]bool{"an effect": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			ran := 0
			w := &world{llm: plays(asks("act a"), asks("act b"), says("done")), config: func(cfg *runner.Config) { cfg.AllowUnnamed = false }}
			w.tools = []tool.Tool{must(tools.New(tools.Spec[args]{
				Name: "act", Description: "acts", Aim: &policy.Aim{Max: 1}, Ceiling: func(args) []rar.Detail { return []rar.Detail{read} },
			}, func(ctx tools.Context, _ args) (map[string]any, error) {
				ran++
				if effect {
					if err := post(ctx, false, false); err != nil {
						return nil, err
					}
				}
				return nil, errors.New("the answer cannot be read")
			}))}
			got := follow(t.Context(), t, w.runner(t), runner.Input{Text: "go"})
			if want := map[bool]int{true: 1, false: 2}[effect]; ran != want || got.err != nil {
				t.Errorf("the tool ran %d times, want %d: %v", ran, want, got.err)
			}
		})
	}
}

// Usage that cannot be recorded ends the run: nobody would count it.
func TestUsageIsRecorded(t *testing.T) {
	broken := errors.New("the disk is full")
	w := world{llm: plays(uses(1, 1, asks("none")), uses(1, 1, says("done"))), config: func(cfg *runner.Config) { cfg.Budget.Tokens = 100; cfg.Sessions = session.InMemoryService() }}
	w.engine.Journal = &fake.Journal{Refuse: func(e jit.Entry) error {
		if e.Kind == jit.EntryUsage {
			return broken
		}
		return nil
	}}
	if got := follow(t.Context(), t, w.runner(t), runner.Input{}); !errors.Is(got.err, broken) || w.llm.(*script).calls != 1 {
		t.Errorf("%v after %d model calls, want the journal's error after one", got.err, w.llm.(*script).calls)
	}
}
