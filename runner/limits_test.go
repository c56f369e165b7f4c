package runner_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

func TestNewRefusesHalfAConfiguration(t *testing.T) {
	a, err := llmagent.New(llmagent.Config{Name: "tester", Model: plays(says("x")), Mode: llmagent.ModeChat})
	if err != nil {
		t.Fatal(err)
	}
	engine, err := jit.New(jit.Config{Authority: newAuthority()})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		cfg  runner.Config
		want string
	}{
		"no agent":       {runner.Config{Engine: engine}, "runner: no Agent"},
		"no engine":      {runner.Config{Agent: a}, "runner: no Engine"},
		"model calls":    {runner.Config{Agent: a, Engine: engine, Limits: runner.Limits{ModelCalls: -1}}, "runner: a limit is negative"},
		"tool calls":     {runner.Config{Agent: a, Engine: engine, Limits: runner.Limits{ToolCalls: -1}}, "runner: a limit is negative"},
		"parallel tools": {runner.Config{Agent: a, Engine: engine, Limits: runner.Limits{ParallelTools: -1}}, "runner: a limit is negative"},
		"wall time":      {runner.Config{Agent: a, Engine: engine, Limits: runner.Limits{Wall: -1}}, "runner: a limit is negative"},
	} {
		if r, err := runner.New(tt.cfg); err == nil || err.Error() != tt.want || r != nil {
			t.Errorf("%s: New() = %v, %v, want %q", name, r, err, tt.want)
		}
	}
	if _, err := runner.New(runner.Config{Agent: a, Engine: engine}); err != nil {
		t.Errorf("New() = %v, want the rest to have defaults", err)
	}
}

func TestModelCallsAreBounded(t *testing.T) {
	for name, tt := range map[string]struct{ limit, want int }{"set": {3, 3}, "one": {1, 1}, "default": {0, 24}} {
		t.Run(name, func(t *testing.T) {
			llm := plays(asks("act"))
			w := &world{llm: llm, tools: []tool.Tool{act(t, "act", nothing)}, config: func(c *runner.Config) { c.Limits.ModelCalls = tt.limit }}
			got := follow(t.Context(), t, w.runner(t), runner.Input{})
			if llm.calls != tt.want || got.finished.ModelCalls != tt.want || got.finished.ToolCalls != tt.want {
				t.Errorf("the model was called %d times, finished says %d and %d tools, want %d", llm.calls, got.finished.ModelCalls, got.finished.ToolCalls, tt.want)
			}
		})
	}
}

func nothing(tools.Context, string) (map[string]any, error) { return map[string]any{}, nil }

// A model that thinks for ever is bounded too: ADK asks it again after each thought.
func TestThoughtsAreBounded(t *testing.T) {
	llm := plays(func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{{Text: "hm", Thought: true}}}}, nil)
	})
	w := &world{llm: llm, config: func(c *runner.Config) { c.Limits.ModelCalls = 5 }}
	got := follow(t.Context(), t, w.runner(t), runner.Input{})
	if llm.calls != 5 || got.err == nil || strings.Contains(got.kinds(), "text") {
		t.Errorf("after %d model calls: %v with the events %s, want an error after 5 and no text", llm.calls, got.err, got.kinds())
	}
}

func TestToolCallsAreBounded(t *testing.T) {
	var ran atomic.Int64
	count := func(tools.Context, string) (map[string]any, error) { ran.Add(1); return map[string]any{}, nil }
	w := &world{
		llm: plays(asks("act", "act", "act", "act", "act"), asks("act"), says("this is what I have")), tools: []tool.Tool{act(t, "act", count)},
		config: func(c *runner.Config) { c.Limits.ToolCalls = 3 },
	}
	got := follow(t.Context(), t, w.runner(t), runner.Input{})
	refused := 0
	for _, e := range got.events {
		if r, ok := e.(runner.ToolReturned); ok && r.Status == "failed" {
			refused++
			if r.Error != "this run has made its 3 tool calls, so this one was not made" || r.Result["advice"] == "" {
				t.Errorf("a refused call returned %+v", r)
			}
		}
	}
	if ran.Load() != 3 || refused != 3 || got.finished.ToolCalls != 3 {
		t.Errorf("%d calls ran and %d were refused, finished says %d, want 3", ran.Load(), refused, got.finished.ToolCalls)
	}
	if got.err != nil || got.finished.Outcome != runner.Failed || got.finished.Answer != "this is what I have" {
		t.Errorf("the run ended with %+v, %v, want an answer and failed", got.finished, got.err)
	}
}

func TestParallelToolsAreBounded(t *testing.T) {
	for name, tt := range map[string]struct{ limit, calls, want int }{"set": {3, 12, 3}, "one": {1, 4, 1}, "default": {0, 40, 16}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var active, most atomic.Int64
				release := make(chan struct{})
				slow := func(tools.Context, string) (map[string]any, error) {
					if n := active.Add(1); n > most.Load() {
						most.Store(n)
					}
					defer active.Add(-1)
					<-release
					return map[string]any{}, nil
				}
				calls := make([]string, tt.calls)
				for i := range calls {
					calls[i] = fmt.Sprint("act ", i)
				}
				w := &world{llm: plays(asks(calls...), says("done")), tools: []tool.Tool{act(t, "act", slow)}, config: func(c *runner.Config) { c.Limits.ParallelTools = tt.limit }}
				r := w.runner(t)
				var got report
				finished := make(chan struct{})
				go func() {
					got = follow(t.Context(), t, r, runner.Input{})
					close(finished)
				}()
				synctest.Wait() // as many as may run do
				if n := active.Load(); n != int64(tt.want) {
					t.Errorf("%d tools run at once, want %d", n, tt.want)
				}
				close(release)
				<-finished
				if most.Load() != int64(tt.want) || got.finished.ToolCalls != tt.calls || got.err != nil {
					t.Errorf("at most %d of %d tools ran at once, %v", most.Load(), got.finished.ToolCalls, got.err)
				}
				var order []string
				for _, e := range got.events {
					if c, ok := e.(runner.ToolReturned); ok {
						order = append(order, c.CallID)
					}
				}
				if len(order) != tt.calls || order[0] != "call_0" || order[tt.calls-1] != fmt.Sprint("call_", tt.calls-1) {
					t.Errorf("results came as %v, want them in the order of the calls", order)
				}
			})
		})
	}
}
