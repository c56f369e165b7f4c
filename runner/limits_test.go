package runner_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
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
			var llm *script
			llm = plays(func(ctx context.Context, req *model.LLMRequest, stream bool, yield func(*model.LLMResponse, error) bool) {
				asks(fmt.Sprint("act ", len(llm.seen)))(ctx, req, stream, yield)
			})
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
	for _, stream := range []bool{false, true} {
		llm.calls = 0
		w := &world{llm: llm, config: func(c *runner.Config) { c.Stream = stream }}
		got := follow(t.Context(), t, w.runner(t), runner.Input{})
		if llm.calls != 3 || !errors.Is(got.err, runner.ErrNoAnswer) || strings.Contains(got.kinds(), "text") {
			t.Errorf("after %d model calls: %v with the events %s, want no answer after 3, and no text", llm.calls, got.err, got.kinds())
		}
	}
}

// A call that gives the same thing three times is not made again: the model is told
// so once, and then the run ends.
func TestRepeatsEnd(t *testing.T) {
	made := 0
	same := func(tools.Context, string) (map[string]any, error) {
		made++
		return map[string]any{"status": "pending"}, nil
	}
	other := func(tools.Context, string) (map[string]any, error) { made++; return map[string]any{"n": made}, nil }
	for name, tt := range map[string]struct {
		tool  func(tools.Context, string) (map[string]any, error)
		turns []step
		made  int
		err   error
	}{
		"to the end":      {same, []step{asks("act a")}, 3, runner.ErrRepeats},
		"no such tool":    {same, []step{asks("nothing a")}, 0, runner.ErrRepeats},
		"heard":           {same, []step{asks("act a"), asks("act a"), asks("act a"), asks("act a"), says("done")}, 3, nil},
		"with others":     {same, []step{asks("act a"), asks("act b"), asks("act a"), asks("act b"), asks("act a"), asks("act b"), says("done")}, 6, nil},
		"other results":   {other, []step{asks("act a"), asks("act a"), asks("act a"), asks("act a"), asks("act a"), says("done")}, 5, nil},
		"other arguments": {same, []step{asks("act a"), asks("act b"), asks("act c"), asks("act d"), asks("act e"), says("done")}, 5, nil},
	} {
		made = 0
		w := &world{llm: plays(tt.turns...), tools: []tool.Tool{act(t, "act", tt.tool)}}
		got := follow(t.Context(), t, w.runner(t), runner.Input{})
		if !errors.Is(got.err, tt.err) || made != tt.made {
			t.Errorf("%s: the run ended with %v after %d calls, want %v after %d", name, got.err, made, tt.err, tt.made)
		}
		if told := fmt.Sprint(got.events); (name == "heard" || name == "to the end" || name == "no such tool") != strings.Contains(told, "made 3 times with the same result") {
			t.Errorf("%s: the model is told %s", name, told)
		}
		w.balanced(t, 1)
	}
}

// A model that is not given its tools makes up an answer about what it never read.
func TestAnswersWithoutReading(t *testing.T) {
	ids := regexp.MustCompile(`(?i)doc_\d`)
	names := func(text string) []string { return ids.FindAllString(text, -1) }
	service := session.InMemoryService()
	for _, tt := range []struct {
		name, text, session string
		turns               []step
		err                 error
	}{
		{"invented", "summarize doc_1", "a", []step{says("it is about churn")}, runner.ErrUnread},
		{"reported, not read", "report on doc_1", "c", []step{asks("fetch a report"), says("it is written")}, runner.ErrUnread},
		{"read in part", "compare doc_1 with doc_2", "d", []step{asks("fetch doc_1"), says("they differ")}, nil},
		{"read in another case", "report on DOC_1", "e", []step{asks("fetch doc_1"), asks("fetch a report"), says("it is written")}, nil},
		{"nothing named", "hello", "a", []step{says("hello")}, nil},
		{"read", "summarize doc_1", "b", []step{asks("fetch doc_1"), says("churn rose")}, nil},
		{"read before", "and who wrote doc_1?", "b", []step{says("finance")}, nil},
	} {
		w := &world{llm: plays(tt.turns...), tools: []tool.Tool{act(t, "fetch", nothing)}, config: func(c *runner.Config) { c.Names, c.Sessions = names, service }}
		got := follow(t.Context(), t, w.runner(t), runner.Input{Text: tt.text, Session: tt.session})
		if !errors.Is(got.err, tt.err) || (tt.err == nil) != (got.finished.Outcome == runner.Done) {
			t.Errorf("%s: the run is %s with %v, want %v", tt.name, got.finished.Outcome, got.err, tt.err)
		}
	}
}

func TestNoNULGoesFurther(t *testing.T) {
	llm := plays(says("an\x00swer"))
	w := &world{llm: llm}
	got := follow(t.Context(), t, w.runner(t), runner.Input{Text: "ques\x00tion"})
	if got.finished.Answer != "an\ufffdswer" || llm.seen[0].Contents[0].Parts[0].Text != "ques\ufffdtion" {
		t.Errorf("the answer is %q to %q", got.finished.Answer, llm.seen[0].Contents[0].Parts[0].Text)
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
