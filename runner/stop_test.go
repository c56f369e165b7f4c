package runner_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// busyWorld has two parallel tools that take their time to stop, and a model that
// streams. active counts what runs.
func busyWorld(t testing.TB, active *atomic.Int64) *world {
	slow := func(ctx tools.Context, _ string) (map[string]any, error) {
		active.Add(1)
		defer active.Add(-1)
		_, err := jit.Acquire(ctx, read)
		for range 1000 { // does not stop at once
			runtime.Gosched()
		}
		return map[string]any{"content": "text"}, err
	}
	answer := func(ctx context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		active.Add(1)
		defer active.Add(-1)
		for _, piece := range []string{"Churn ", "rose."} {
			if !yield(&model.LLMResponse{Content: genai.NewContentFromText(piece, genai.RoleModel), Partial: true}, nil) {
				return
			}
		}
		yield(&model.LLMResponse{Content: genai.NewContentFromText("Churn rose.", genai.RoleModel)}, ctx.Err())
	}
	return &world{
		llm: plays(asks("one", "two"), answer), tools: []tool.Tool{act(t, "one", slow), act(t, "two", slow)},
		config: func(c *runner.Config) { c.Stream = true },
	}
}

// Wherever a consumer stops, nothing of the run goes on and the task is completed
// before the loop is left.
func TestConsumerMayStopAnywhere(t *testing.T) {
	whole := func() int {
		var active atomic.Int64
		return len(follow(t.Context(), t, busyWorld(t, &active).runner(t), runner.Input{}).events)
	}()
	if whole < 14 {
		t.Fatalf("the run has %d events, want at least 14", whole)
	}
	for name, stop := range map[string]func(){"breaks": nil, "panics": func() { panic("consumer") }} {
		for at := range whole {
			t.Run(fmt.Sprint(name, " at ", at), func(t *testing.T) {
				clean(t)
				var active atomic.Int64
				w := busyWorld(t, &active)
				r := w.runner(t)
				seen := 0
				func() {
					defer func() {
						if p := recover(); p != nil && p != "consumer" {
							t.Errorf("the loop panicked with %v", p)
						} else if (p == nil) != (stop == nil) {
							t.Errorf("the consumer's panic became %v", p)
						}
					}()
					for range r.Run(t.Context(), runner.Input{Text: "go"}) {
						if seen++; seen > at {
							if stop != nil {
								stop()
							}
							break
						}
					}
				}()
				if seen != at+1 || active.Load() != 0 {
					t.Errorf("after %d events %d parts of the run are still active", seen, active.Load())
				}
				w.balanced(t, 1)
			})
		}
	}
}

// The next run of a session is not disturbed by one that was left.
func TestSessionIsFreeAfterABreak(t *testing.T) {
	clean(t)
	w := &world{llm: plays(says("one"), says("two"))}
	r := w.runner(t)
	for range r.Run(t.Context(), runner.Input{Text: "go", Session: "s"}) {
		break
	}
	if got := follow(t.Context(), t, r, runner.Input{Session: "s"}); got.err != nil || got.finished.Answer == "" {
		t.Errorf("the next run ended with %q, %v", got.finished.Answer, got.err)
	}
	w.balanced(t, 2)
}

func TestRunIsRepeatable(t *testing.T) {
	clean(t)
	w := &world{llm: plays(says("one"), says("two"))}
	run := w.runner(t).Run(t.Context(), runner.Input{Text: "go"})
	var answers []string
	for range 2 {
		for e, err := range run {
			if err != nil {
				t.Fatal(err)
			}
			if f, ok := e.(runner.Finished); ok {
				answers = append(answers, f.Answer)
			}
		}
	}
	if fmt.Sprint(answers) != "[one two]" {
		t.Errorf("two loops over one Run gave %q, want a run each", answers)
	}
	w.balanced(t, 2)
}

func TestPanicsAreLoggedWithoutTokens(t *testing.T) {
	clean(t)
	logger, log := logtest.New()
	w := &world{
		llm: plays(asks("fetch", "bad"), says("done")),
		tools: []tool.Tool{fetches(t), raw{"bad", func(ctx adk.Context) (map[string]any, error) {
			call := jit.FromContext(ctx).Call(ctx, jit.Call{ID: "x", Ceiling: allowed})
			if _, err := jit.Acquire(call, read); err != nil {
				t.Error(err)
			}
			panic("boom " + grantToken)
		}}},
		config: func(c *runner.Config) { c.Logger = logger },
	}
	got := follow(t.Context(), t, w.runner(t), runner.Input{})
	if got.err == nil || got.err.Error() != "runner: internal failure, see the log" {
		t.Errorf("error = %v", got.err)
	}
	if text := log.String(); !strings.Contains(text, "boom [redacted]") || !strings.Contains(text, "stop_test.go") || strings.Contains(text, grantToken) {
		t.Errorf("the log should have the panic and its stack without the token:\n%s", text)
	}
	w.balanced(t, 1)
}

// Leaving the loop stops a model that would otherwise never end.
func TestBreakStopsTheModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := &world{llm: plays(waits(func() {}))}
		for range w.runner(t).Run(t.Context(), runner.Input{Text: "go"}) {
			break
		}
		if waited := time.Since(start); waited != 0 {
			t.Errorf("the run went on for %s", waited)
		}
		w.balanced(t, 1)
	})
}
