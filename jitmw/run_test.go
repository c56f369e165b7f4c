package jitmw_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/session"

	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
)

func TestCallIsRefusedBeforeTheTool(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	refuse := func(map[string]any) (jitmw.Plan, error) { return jitmw.Plan{}, errors.New("no such month") }
	for name, tt := range map[string]struct {
		ctx  func(testing.TB) *toolCtx
		plan func(map[string]any) (jitmw.Plan, error)
		args any
		want map[string]any
	}{
		"no task": {
			ctx:  func(t testing.TB) *toolCtx { return newCtx(t.Context()) },
			want: map[string]any{"status": "failed", "error": "this tool works only under a JIT task, and none is open: the application has to run with the plugin of runner.NewPlugin, or call jit.NewContext"},
		},
		"cancelled": {
			ctx:  func(t testing.TB) *toolCtx { return newCtx(jit.NewContext(cancelled, fake.Task(t, newAuthority()))) },
			want: map[string]any{"status": "failed", "error": "the call was cancelled"},
		},
		"arguments are a list": {
			args: []any{"doc_1"},
			want: map[string]any{"status": "invalid_arguments", "error": "invalid arguments: the arguments are not an object", "advice": "Correct the arguments and call again."},
		},
		"arguments are a text": {
			args: "doc_1",
			want: map[string]any{"status": "invalid_arguments", "error": "invalid arguments: the arguments are not an object", "advice": "Correct the arguments and call again."},
		},
		"arguments that no wire could read, and a plan that takes any": {
			plan: anything,
			args: map[string]any{strictjson.Malformed: `{"id": `},
			want: map[string]any{
				"status": "invalid_arguments", "advice": "Correct the arguments and call again.",
				"error": "invalid arguments: the arguments were no JSON object: write one object, with its quotes and brackets closed",
			},
		},
		"arguments that give a name twice": {
			plan: anything,
			args: map[string]any{strictjson.Repeated: `{"id":1,"id":2}`},
			want: map[string]any{
				"status": "invalid_arguments", "advice": "Correct the arguments and call again.",
				"error": "invalid arguments: the arguments gave one name twice: write each name once",
			},
		},
		"arguments with a wrong escape": {
			plan: anything,
			args: map[string]any{strictjson.BadEscape: `{"id":"\x41"}`},
			want: map[string]any{
				"status": "invalid_arguments", "advice": "Correct the arguments and call again.",
				"error": `invalid arguments: the arguments had an escape that JSON does not have: write \\ for a backslash, and for a character \u with four digits, in pairs beyond \uFFFF`,
			},
		},
		"no plan for the arguments": {
			plan: refuse,
			args: map[string]any{"month": 13},
			want: map[string]any{"status": "invalid_arguments", "error": "invalid arguments: no such month", "advice": "Correct the arguments and call again."},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tt.ctx == nil {
				tt.ctx = func(t testing.TB) *toolCtx { return under(t, newAuthority()) }
			}
			inner := &plain{name: "act"}
			got := run(t, wrap(t, inner, jitmw.Config{Plan: tt.plan}), tt.ctx(t), tt.args)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Run() (-want +got):\n%s", diff)
			}
			if inner.called() != 0 {
				t.Error("the tool was called")
			}
		})
	}
}

// explosive panics wherever a guard touches it.
type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("MarshalJSON " + grantToken) }

type explosiveError struct{}

func (explosiveError) Error() string { panic("Error " + grantToken) }

func TestPanicsStayInsideTheGuard(t *testing.T) {
	acquire := func(ctx context.Context) {
		if _, err := jit.Acquire(ctx, read("doc_1")); err != nil {
			t.Error(err)
		}
	}
	for name, tt := range map[string]struct {
		plan  func(map[string]any) (jitmw.Plan, error)
		run   func(agent.Context, any) (map[string]any, error)
		calls int
	}{
		"in the plan": {plan: func(map[string]any) (jitmw.Plan, error) { panic("boom") }},
		"in the tool": {run: func(ctx agent.Context, _ any) (map[string]any, error) {
			acquire(ctx)
			panic("boom " + grantToken)
		}, calls: 1},
		"nil pointer": {run: func(agent.Context, any) (map[string]any, error) {
			var nobody *plain
			return map[string]any{"name": nobody.Name()}, nil
		}, calls: 1},
		"while its result is written": {run: func(ctx agent.Context, _ any) (map[string]any, error) {
			acquire(ctx)
			return map[string]any{"boom": explosive{}}, nil
		}, calls: 1},
		"while its error is read": {run: func(ctx agent.Context, _ any) (map[string]any, error) {
			acquire(ctx)
			return nil, explosiveError{}
		}, calls: 1},
	} {
		t.Run(name, func(t *testing.T) {
			inner := &plain{name: "act", run: tt.run}
			logger, log := logtest.New()
			plan := tt.plan
			if plan == nil {
				plan = func(map[string]any) (jitmw.Plan, error) { return jitmw.Plan{Ceiling: []rar.Detail{read("doc_1")}}, nil }
			}
			got := run(t, wrap(t, inner, jitmw.Config{Plan: plan, Logger: logger}), under(t, newAuthority()), map[string]any{})
			want := map[string]any{"status": "failed", "error": "the tool failed internally", "advice": "Say so in your answer."}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("Run() (-want +got):\n%s", diff)
			}
			if inner.called() != tt.calls {
				t.Errorf("the tool was called %d times, want %d", inner.called(), tt.calls)
			}
			if text := log.String(); !strings.Contains(text, "tool panicked") || !strings.Contains(text, "run_test.go") {
				t.Errorf("the log has no panic with its stack:\n%s", text)
			}
			if strings.Contains(log.String(), grantToken) {
				t.Error("the log holds the token")
			}
		})
	}
}

func TestPanicThroughADKKeepsTheProcess(t *testing.T) {
	inner := &plain{name: "act", run: func(agent.Context, any) (map[string]any, error) { panic("boom-value") }}
	result, err := adktest.Call(t, jittest.Start(t), wrap(t, inner, jitmw.Config{}), nil)
	said := fmt.Sprint(result)
	if err != nil || !strings.Contains(said, "failed internally") || strings.Contains(said, "boom-value") || strings.Contains(said, "goroutine") {
		t.Errorf("the model got %q, %v", said, err)
	}
}

func TestPlanSeesTheArgumentsAndMayReplaceThem(t *testing.T) {
	var planned map[string]any
	var ran []any
	inner := &plain{name: "act", run: func(_ agent.Context, args any) (map[string]any, error) {
		ran = append(ran, args)
		return nil, nil
	}}
	var replacement any
	g := wrap(t, inner, jitmw.Config{Plan: func(args map[string]any) (jitmw.Plan, error) {
		planned = args
		return jitmw.Plan{Args: replacement}, nil
	}})
	ctx := under(t, newAuthority())
	if got := run(t, g, ctx, map[string]any{"n": 1.0}); got == nil || len(got) != 0 {
		t.Errorf("Run() of a tool without a result = %#v, want an empty object", got)
	}
	replacement = "decoded"
	run(t, g, ctx, map[string]any{"n": 2.0})
	replacement = nil
	run(t, g, ctx, nil)
	if diff := cmp.Diff([]any{map[string]any{"n": 1.0}, "decoded", nil}, ran); diff != "" {
		t.Errorf("the tool ran with (-want +got):\n%s", diff)
	}
	if planned != nil {
		t.Errorf("the last plan was made for %v, want no arguments", planned)
	}
}

func TestCallCarriesItsPlan(t *testing.T) {
	a := newAuthority()
	inner := &plain{name: "act", run: func(ctx agent.Context, _ any) (map[string]any, error) {
		if _, err := jit.Acquire(ctx, read("doc_2")); !errors.Is(err, jit.ErrOutsideCeiling) {
			t.Errorf("Acquire outside the plan = %v, want ErrOutsideCeiling", err)
		}
		_, err := jit.Acquire(ctx, read("doc_1"))
		return nil, err
	}}
	plan := jitmw.Plan{Ceiling: []rar.Detail{read("doc_1")}}
	g := wrap(t, inner, jitmw.Config{Plan: func(map[string]any) (jitmw.Plan, error) { return plan, nil }})
	run(t, g, under(t, a), nil)
	plan.Justification = "because"
	run(t, g, under(t, a), nil)
	of := jit.Purpose{Tool: "act", CallID: "call-1", Args: []byte("{}")}
	want := []jit.Request{
		{TaskID: "task_1", Detail: read("doc_1"), Justification: "act", TTL: 5 * time.Minute, For: of},
		{TaskID: "task_2", Detail: read("doc_1"), Justification: "because", TTL: 5 * time.Minute, For: of},
	}
	if diff := cmp.Diff(want, a.Requests()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
}

type ctxKey struct{}

// A tool works with the context that it gets, as a context.Context and as ADK's.
func TestToolContextIsBothKinds(t *testing.T) {
	cause := errors.New("enough")
	base, cancel := context.WithCancelCause(context.WithValue(t.Context(), ctxKey{}, "value"))
	base, cancelDeadline := context.WithTimeout(base, time.Hour)
	defer cancelDeadline()
	ctx := newCtx(jit.NewContext(base, fake.Task(t, newAuthority())))
	ctx.state = &fakeState{}
	inner := &plain{name: "act", run: func(c agent.Context, _ any) (map[string]any, error) {
		want, _ := base.Deadline()
		if got, ok := c.Deadline(); !ok || !got.Equal(want) {
			t.Errorf("Deadline() = %v, %t, want %v", got, ok, want)
		}
		if c.Value(ctxKey{}) != "value" {
			t.Error("the application's value is gone")
		}
		if jit.FromContext(c) == nil {
			t.Error("the task is gone")
		}
		if err := c.State().Set("k", "v"); err != nil || c.FunctionCallID() != "call-1" || c.UserID() != "user-1" {
			t.Errorf("State().Set() = %v, FunctionCallID() = %q, UserID() = %q", err, c.FunctionCallID(), c.UserID())
		}
		child, stop := context.WithTimeout(c, time.Minute)
		defer stop()
		if c.Err() != nil || child.Err() != nil {
			t.Errorf("the context has ended: %v", c.Err())
		}
		cancel(cause)
		<-c.Done()
		<-child.Done()
		if !errors.Is(c.Err(), context.Canceled) || !errors.Is(context.Cause(child), cause) {
			t.Errorf("Err() = %v, Cause(child) = %v", c.Err(), context.Cause(child))
		}
		return nil, nil
	}}
	run(t, wrap(t, inner, jitmw.Config{}), ctx, nil)
	if inner.called() != 1 || ctx.state.set != "k" {
		t.Errorf("the tool was called %d times and set %q", inner.called(), ctx.state.set)
	}
}

type fakeState struct {
	session.State
	set string
}

func (s *fakeState) Set(key string, _ any) error { s.set = key; return nil }

// The key of an effect is the same when ADK runs the call of a resumed turn again,
// also in another process under another task, and differs from call to call.
func TestIdempotencyKeyNamesTheIntendedEffect(t *testing.T) {
	var keys []string
	api := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		keys = append(keys, r.Header.Get(jit.HeaderIdempotencyKey))
	}))
	defer api.Close()
	origin, err := jit.ParseOrigin(api.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &jit.Transport{Origin: origin}}
	inner := &plain{name: "act", run: func(ctx agent.Context, _ any) (map[string]any, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, api.URL, strings.NewReader("same"))
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			return nil, err
		}
		return nil, resp.Body.Close()
	}}
	for _, at := range [][2]string{{"inv-1", "call-1"}, {"inv-1", "call-1"}, {"inv-1", "call-2"}, {"inv-2", "call-1"}} {
		ctx := under(t, newAuthority())
		ctx.invocation, ctx.call = at[0], at[1]
		run(t, wrap(t, inner, jitmw.Config{}), ctx, nil)
	}
	if len(keys) != 4 || keys[0] == "" {
		t.Fatalf("the API saw the keys %q, want four", keys)
	}
	if keys[0] != keys[1] {
		t.Errorf("the resumed call has the key %s, want %s again", keys[1], keys[0])
	}
	if keys[2] == keys[0] || keys[3] == keys[0] || keys[2] == keys[3] {
		t.Errorf("different calls share a key: %q", keys)
	}
}
