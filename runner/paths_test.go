package runner_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

func TestEventsOfARunInOrder(t *testing.T) {
	clean(t)
	w := &world{llm: plays(asks("fetch"), says("Churn rose.")), tools: []tool.Tool{fetches(t)}}
	got := follow(t.Context(), t, w.runner(t), runner.Input{Session: "s"})
	if got.err != nil {
		t.Fatal(got.err)
	}
	// The task is opened while the model thinks, so that event has no fixed place.
	kinds := strings.Replace(got.kinds(), "task_opened ", "", 1)
	want := "started tool_called requested decided granted tool_returned text completed finished"
	if kinds != want || !strings.Contains(got.kinds(), "task_opened") {
		t.Errorf("events = %s, want task_opened and %s", got.kinds(), want)
	}
	f := got.finished
	f.Time, f.Elapsed = time.Time{}, 0
	if diff := cmp.Diff(runner.Finished{Session: "s", Outcome: runner.Done, Answer: "Churn rose.", ModelCalls: 2, ToolCalls: 1}, f); diff != "" {
		t.Errorf("finished (-want +got):\n%s", diff)
	}
	w.balanced(t, 1)
}

// A path is a way for a run to end.
type path struct {
	world   func(testing.TB, context.CancelFunc) *world
	ctx     func(testing.TB, context.Context) context.Context
	outcome runner.Outcome
	is      error  // what the run's error wraps
	text    string // the run's error, whole
	answer  string // the answer of a run that ended with an error
	tasks   int    // opened and completed, less the usual one
}

var errProvider = errors.New("openai: 500: overloaded")

// waits blocks until the context ends, as a good model or tool does.
func waits(cancel context.CancelFunc) step {
	return func(ctx context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		cancel()
		<-ctx.Done()
		yield(nil, fmt.Errorf("provider: %w", ctx.Err()))
	}
}

// ends says text and gives a reason for saying no more.
func ends(text string, reason genai.FinishReason) step {
	return func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: genai.NewContentFromText(text, genai.RoleModel), FinishReason: reason}, nil)
	}
}

func paths() map[string]path {
	simple := func(llm model.LLM, change func(*world)) func(testing.TB, context.CancelFunc) *world {
		return func(t testing.TB, _ context.CancelFunc) *world {
			w := &world{llm: llm, tools: []tool.Tool{fetches(t)}}
			if change != nil {
				change(w)
			}
			return w
		}
	}
	service := func(s *sessions) func(*world) {
		s.Service = session.InMemoryService()
		return func(w *world) { w.config = func(c *runner.Config) { c.Sessions = s } }
	}
	coded := func(code, message string) step {
		return func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
			yield(&model.LLMResponse{ErrorCode: code, ErrorMessage: message}, nil)
		}
	}
	return map[string]path{
		"normal":       {world: simple(plays(asks("fetch"), says("done")), nil), outcome: runner.Done},
		"model error":  {world: simple(plays(fails(errProvider)), nil), outcome: runner.Failed, is: errProvider, text: "runner: openai: 500: overloaded"},
		"later error":  {world: simple(plays(asks("fetch"), fails(errProvider)), nil), outcome: runner.Failed, is: errProvider, text: "runner: openai: 500: overloaded"},
		"error code":   {world: simple(plays(coded("SAFETY", "")), nil), outcome: runner.Failed, text: "runner: the model ended with SAFETY"},
		"with message": {world: simple(plays(coded("MAX_TOKENS", "too long")), nil), outcome: runner.Failed, text: "runner: the model ended with MAX_TOKENS: too long"},
		"cut answer":   {world: simple(plays(ends("half of", genai.FinishReasonMaxTokens)), nil), outcome: runner.Failed, answer: "half of", text: "runner: the model ended with MAX_TOKENS"},
		"refusal":      {world: simple(plays(ends("I will not", genai.FinishReasonSafety)), nil), outcome: runner.Failed, answer: "I will not", text: "runner: the model ended with SAFETY"},
		"other reason": {world: simple(plays(ends("", genai.FinishReasonRecitation)), nil), outcome: runner.Failed, text: "runner: the model ended with RECITATION"},
		"model panics": {
			world: simple(plays(func(context.Context, *model.LLMRequest, bool, func(*model.LLMResponse, error) bool) {
				panic("model " + grantToken)
			}), nil), outcome: runner.Failed, text: `runner: node "tester" panicked: model grant-canary-8e17b2d94c605fa3`,
		},
		"model panics later": {
			world: simple(plays(asks("fetch"), func(context.Context, *model.LLMRequest, bool, func(*model.LLMResponse, error) bool) {
				panic("model " + grantToken)
			}), nil), outcome: runner.Failed, text: `runner: node "tester" panicked: model [redacted]`,
		},
		"no answer":    {world: simple(plays(func(context.Context, *model.LLMRequest, bool, func(*model.LLMResponse, error) bool) {}), nil), outcome: runner.Failed, is: runner.ErrNoAnswer, text: "runner: the model gave no answer"},
		"blank answer": {world: simple(plays(says(" \n")), nil), outcome: runner.Failed, is: runner.ErrNoAnswer, text: "runner: the model gave no answer"},
		"tool panics": {world: func(t testing.TB, _ context.CancelFunc) *world {
			return &world{llm: plays(asks("fetch"), says("it failed")), tools: []tool.Tool{act(t, "fetch", func(tools.Context, string) (map[string]any, error) { panic("tool") })}}
		}, outcome: runner.Failed},
		"unguarded tool panics": {world: func(testing.TB, context.CancelFunc) *world {
			return &world{llm: plays(asks("fetch"), says("on I go")), tools: []tool.Tool{raw{"fetch", func(adk.Context) (map[string]any, error) { panic("tool " + grantToken) }}}}
		}, outcome: runner.Failed, text: "runner: internal failure, see the log"},
		"cancelled before": {
			world: simple(plays(says("done")), nil),
			ctx: func(_ testing.TB, ctx context.Context) context.Context {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return ctx
			},
			is: context.Canceled, outcome: runner.Interrupted, text: "runner: context canceled",
		},
		"cancelled in the model": {world: func(_ testing.TB, cancel context.CancelFunc) *world { return &world{llm: plays(waits(cancel))} }, outcome: runner.Interrupted, is: context.Canceled, text: "runner: context canceled"},
		"cancelled in a tool": {world: func(t testing.TB, cancel context.CancelFunc) *world {
			return &world{llm: plays(asks("fetch"), says("done")), tools: []tool.Tool{act(t, "fetch", func(ctx tools.Context, _ string) (map[string]any, error) {
				cancel()
				<-ctx.Done()
				return nil, ctx.Err()
			})}}
		}, outcome: runner.Interrupted, is: context.Canceled, text: "runner: context canceled"},
		"cancelled in a tool that does not care": {world: func(t testing.TB, cancel context.CancelFunc) *world {
			return &world{llm: plays(asks("fetch"), says("done")), tools: []tool.Tool{act(t, "fetch", func(tools.Context, string) (map[string]any, error) {
				cancel()
				return map[string]any{"content": "text"}, nil
			})}}
		}, outcome: runner.Interrupted, is: context.Canceled, text: "runner: context canceled"},
		"cancelled with a cause": {
			world: simple(plays(waits(func() {})), nil),
			ctx: func(_ testing.TB, ctx context.Context) context.Context {
				ctx, cancel := context.WithCancelCause(ctx)
				cancel(errors.New("terminated signal received"))
				return ctx
			},
			is: context.Canceled, outcome: runner.Interrupted, text: "runner: context canceled (terminated signal received)",
		},
		"deadline": {
			world: simple(plays(waits(func() {})), nil),
			ctx: func(t testing.TB, ctx context.Context) context.Context {
				ctx, cancel := context.WithTimeout(ctx, time.Minute)
				t.Cleanup(cancel)
				return ctx
			},
			is: context.DeadlineExceeded, outcome: runner.Failed, text: "runner: context deadline exceeded",
		},
		"wall time": {
			world: simple(plays(waits(func() {})), func(w *world) { w.config = func(c *runner.Config) { c.Limits.Wall = time.Hour } }),
			is:    runner.ErrWall, outcome: runner.Failed, text: "runner: limit of wall time reached (1h0m0s)",
		},
		"session cannot be created": {world: simple(plays(says("done")), service(&sessions{create: errDisk})), outcome: runner.Failed, is: errDisk, text: "runner: session s: disk full (and it could not be read: session s not found)"},
		"session cannot be read":    {world: simple(plays(says("done")), service(&sessions{get: errDisk, create: errDisk})), outcome: runner.Failed, is: errDisk, text: "runner: session s: disk full (and it could not be read: disk full)"},
		"first event is not stored": {world: simple(plays(says("done")), service(&sessions{failAt: 1})), outcome: runner.Failed, is: errDisk, text: "runner: failed to append event to sessionService: disk full"},
		"call is not stored":        {world: simple(plays(asks("fetch"), says("done")), service(&sessions{failAt: 2})), outcome: runner.Failed, is: errDisk, text: "runner: failed to add event to session: disk full"},
		"result is not stored":      {world: simple(plays(asks("fetch"), says("done")), service(&sessions{failAt: 3})), outcome: runner.Failed, is: errDisk, text: "runner: failed to add event to session: disk full"},
		"answer is not stored":      {world: simple(plays(asks("fetch"), says("done")), service(&sessions{failAt: 4})), outcome: runner.Failed, is: errDisk, text: "runner: failed to add event to session: disk full"},
		"session panics at first":   {world: simple(plays(asks("fetch"), says("done")), service(&sessions{panicAt: 1})), outcome: runner.Failed, text: "runner: internal failure, see the log"},
		"session panics later":      {world: simple(plays(asks("fetch"), says("done")), service(&sessions{panicAt: 3})), outcome: runner.Failed, text: "runner: internal failure, see the log"},
		"too many model calls": {
			world: simple(plays(asks("fetch")), func(w *world) { w.config = func(c *runner.Config) { c.Limits.ModelCalls = 3 } }),
			is:    runner.ErrModelCalls, outcome: runner.Failed, text: "runner: limit of model calls reached (3)",
		},
		"task is not opened, and not needed": {world: simple(plays(says("hello")), func(w *world) { w.authority = newAuthority(opensNone) }), outcome: runner.Done, tasks: -1},
		"task is not opened, but needed": {
			world: simple(plays(asks("fetch"), says("no permission")), func(w *world) { w.authority = newAuthority(opensNone) }),
			is:    errProvider, outcome: runner.Failed, text: "runner: jit: the authorization server did not open the task: openai: 500: overloaded", tasks: -1,
		},
		"denied":  {world: simple(plays(asks("fetch"), says("denied")), func(w *world) { w.authority = newAuthority(decides(jit.StatusDenied)) }), outcome: runner.Denied},
		"pending": {world: simple(plays(asks("fetch"), says("waiting")), func(w *world) { w.authority = newAuthority(decides(jit.StatusPending)) }), outcome: runner.Pending},
		"cancelled while waiting": {world: func(t testing.TB, cancel context.CancelFunc) *world {
			return &world{llm: plays(asks("fetch"), says("done")), engine: jit.Config{Wait: time.Hour}, authority: newAuthority(decides(jit.StatusPending)),
				tools: []tool.Tool{act(t, "fetch", func(ctx tools.Context, _ string) (map[string]any, error) {
					time.AfterFunc(time.Minute, cancel)
					_, err := jit.Acquire(ctx, read)
					return nil, err
				})}}
		}, outcome: runner.Interrupted, is: context.Canceled, text: "runner: context canceled"},
		"completed at the third try": {world: simple(plays(says("done")), func(w *world) { w.authority = newAuthority(completesLate) }), outcome: runner.Done},
		"completed after an interruption": {world: func(_ testing.TB, cancel context.CancelFunc) *world {
			return &world{llm: plays(waits(cancel)), authority: newAuthority(completesLate)}
		}, outcome: runner.Interrupted, is: context.Canceled, text: "runner: context canceled"},
	}
}

func TestTaskIsCompletedOnEveryPath(t *testing.T) {
	for name, p := range paths() {
		t.Run(name, func(t *testing.T) {
			// The bubble fails the test when a goroutine of the run is left over.
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				w := p.world(t, cancel)
				if p.ctx != nil {
					ctx = p.ctx(t, ctx)
				}
				got := follow(ctx, t, w.runner(t), runner.Input{Session: "s"})
				if got.finished.Outcome != p.outcome {
					t.Errorf("outcome = %q, want %q", got.finished.Outcome, p.outcome)
				}
				if (got.err != nil) != (p.text != "") || got.err != nil && got.err.Error() != p.text {
					t.Errorf("error = %v, want %q", got.err, p.text)
				}
				if p.is != nil && !errors.Is(got.err, p.is) {
					t.Errorf("error = %v, which does not wrap %v", got.err, p.is)
				}
				if got.finished.Error != p.text {
					t.Errorf("finished.Error = %q, want %q", got.finished.Error, p.text)
				}
				if p.answer != "" && got.finished.Answer != p.answer || (got.finished.Answer != "") != (got.err == nil || p.tasks < 0 || p.answer != "") {
					t.Errorf("answer = %q with the error %v", got.finished.Answer, got.err)
				}
				w.balanced(t, 1+p.tasks)
			})
		})
	}
}
