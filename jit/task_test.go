package jit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

func TestCompleteIsIdempotent(t *testing.T) {
	authority, seen := &fake.Authority{}, &events{}
	c := offline(t, jit.Config{Authority: authority}, seen.observe)
	c.opened(t)
	c.want200(t, "doc_1")
	for range 3 {
		if err := c.task.Complete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"task_1"}, authority.Completed()); diff != "" {
		t.Errorf("completed (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"task_opened", "refused", "requested", "decided", "granted", "completed"}, seen.kinds()); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestConcurrentCompletesAreOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := &fake.Authority{Complete: func(context.Context, int) error { time.Sleep(time.Second); return nil }}
		c := offline(t, jit.Config{Authority: authority}, nil)
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if err := c.task.Complete(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		time.Sleep(time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := c.task.Complete(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Complete() in a hurry = %v, want deadline exceeded", err)
		}
		wg.Wait()
		if n := len(authority.Completed()); n != 1 {
			t.Errorf("completed %d times, want once", n)
		}
	})
}

func TestCompleteIsRetriedOnTemporaryFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Time
		authority := &fake.Authority{Complete: func(_ context.Context, n int) error {
			tries = append(tries, time.Now())
			switch n {
			case 1:
				return transient{wait: 7 * time.Second}
			case 2:
				return transient{}
			}
			return nil
		}}
		c, start := offline(t, jit.Config{Authority: authority}, nil), time.Now()
		if err := c.task.Complete(t.Context()); err != nil || len(tries) != 3 {
			t.Fatalf("Complete() = %v after %d tries, want success after 3", err, len(tries))
		}
		if gap := tries[1].Sub(start); gap != 7*time.Second {
			t.Errorf("second try after %s, want the 7s that the server asked for", gap)
		}
	})
}

func TestCompleteGivesUpInTime(t *testing.T) {
	for name, test := range map[string]struct {
		fault func(context.Context, int) error
		ctx   time.Duration // 0 is none
		most  time.Duration
		want  error
	}{
		"temporary for ever": {func(context.Context, int) error { return transient{} }, 0, 30 * time.Second, transient{}},
		"wait too long":      {func(context.Context, int) error { return transient{wait: time.Hour} }, 0, 0, transient{wait: time.Hour}},
		"caller's context":   {func(context.Context, int) error { return transient{wait: 20 * time.Second} }, 10 * time.Second, 10 * time.Second, transient{wait: 20 * time.Second}},
		"server hangs":       {func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }, 0, 30 * time.Second, context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			authority, seen := &fake.Authority{Complete: test.fault}, &events{}
			c, start := offline(t, jit.Config{Authority: authority}, seen.observe), time.Now()
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if test.ctx > 0 {
				ctx, cancel = context.WithTimeout(ctx, test.ctx)
			}
			defer cancel()
			err := c.task.Complete(ctx)
			if !errors.Is(err, test.want) || time.Since(start) > test.most || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: Complete() = %q after %s, want %v within %s", name, err, time.Since(start), test.want, test.most)
			}
			last, ok := seen.list()[len(seen.list())-1].(jit.Completed)
			if !ok || last.Error == "" || last.Revoked != 0 {
				t.Errorf("%s: last event %+v, want a failed completion", name, last)
			}
			authority.Complete = nil
			if err := c.task.Complete(t.Context()); err != nil || len(authority.Completed()) != 1 {
				t.Errorf("%s: once more: %v, want success", name, err)
			}
		})
	}
}

func TestPermanentFaultOfCompleteIsReturned(t *testing.T) {
	fault := errors.New("not this agent's task")
	authority := &fake.Authority{Complete: func(_ context.Context, n int) error {
		if n == 1 {
			return fault
		}
		return nil
	}}
	c := offline(t, jit.Config{Authority: authority}, nil)
	c.want200(t, "doc_1")
	if err := c.task.Complete(t.Context()); !errors.Is(err, fault) || authority.Tries() != 1 {
		t.Errorf("Complete() = %v after %d tries, want the fault after 1", err, authority.Tries())
	}
	if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrTaskEnded) {
		t.Errorf("GET = %v, want ErrTaskEnded: the task is over, though the server does not know", err)
	}
	if err := c.task.Complete(t.Context()); err != nil {
		t.Errorf("Complete() again = %v, want success", err)
	}
}

func TestCompleteWorksAfterTheRunWasCancelled(t *testing.T) {
	authority := &fake.Authority{Complete: func(ctx context.Context, _ int) error { return ctx.Err() }}
	c := offline(t, jit.Config{Authority: authority}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.task.Complete(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Complete(cancelled) = %v, want cancelled", err)
	}
	if err := c.task.Complete(context.WithoutCancel(ctx)); err != nil || len(authority.Completed()) != 1 {
		t.Errorf("Complete(without cancel) = %v, want success", err)
	}
}

// slowToOpen opens its task after d, whatever happens.
func slowToOpen(d time.Duration) func(context.Context) (jit.TaskInfo, error) {
	return func(context.Context) (jit.TaskInfo, error) {
		time.Sleep(d)
		return jit.TaskInfo{ID: "task_1"}, nil
	}
}

func TestCompleteWaitsForAnOpeningUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := &fake.Authority{Create: slowToOpen(10 * time.Second)}
		c := offline(t, jit.Config{Authority: authority}, nil)
		if err := c.task.Complete(t.Context()); err != nil || len(authority.Completed()) != 1 {
			t.Errorf("Complete() = %v, completed %v, want the task given back", err, authority.Completed())
		}
	})
}

// A task that opens after Complete gave up must not count as completed.
func TestCompleteDoesNotTakeALateOpeningForNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := &fake.Authority{Create: slowToOpen(45 * time.Second)}
		c := offline(t, jit.Config{Authority: authority}, nil)
		if err := c.task.Complete(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Complete() = %v, want deadline exceeded", err)
		}
		time.Sleep(time.Minute)
		if err := c.task.Complete(t.Context()); err != nil || len(authority.Completed()) != 1 {
			t.Errorf("Complete() = %v, completed %v, want the task given back", err, authority.Completed())
		}
	})
}

func TestFailedOpening(t *testing.T) {
	fault := errors.New("no such organization")
	for name, test := range map[string]struct {
		create  func(context.Context) (jit.TaskInfo, error)
		journal *journal
		want    string
		over    int // tasks of which the journal has the end
	}{
		"refused":         {func(context.Context) (jit.TaskInfo, error) { return jit.TaskInfo{}, fault }, &journal{}, fault.Error(), 1},
		"no id":           {func(context.Context) (jit.TaskInfo, error) { return jit.TaskInfo{}, nil }, &journal{}, "names no task", 1},
		"journal is full": {nil, &journal{fail: failOn(jit.EntryTaskOpening, 1)}, "disk full", 0},
	} {
		t.Run(name, func(t *testing.T) {
			authority := &fake.Authority{Create: test.create}
			cfg := jit.Config{Authority: authority, Journal: test.journal}
			c := offline(t, cfg, nil)
			for range 2 {
				if err := fetch(t.Context(), c, "doc_1"); err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("GET = %v, want %q", err, test.want)
				}
			}
			if n := len(authority.Requests()); n != 0 {
				t.Errorf("%d requests under no task", n)
			}
			for range 2 {
				if err := c.task.Complete(t.Context()); err != nil || len(authority.Completed()) != 0 {
					t.Errorf("Complete() = %v, completed %v, want none", err, authority.Completed())
				}
			}
			if n := len(test.journal.told(jit.EntryTaskCompleted)); n != test.over {
				t.Errorf("the journal has the end of %d tasks, want %d", n, test.over)
			}
			// The same through Open, which gives back by itself.
			engine := must(jit.New(cfg))
			task, err := engine.Open(t.Context(), jit.TaskSpec{})
			if err == nil || task != nil || len(authority.Completed()) != 0 {
				t.Errorf("Open() = %v, %v, completed %v, want an error and nothing left open", task, err, authority.Completed())
			}
		})
	}
}

func TestOpenThatIsCancelledGivesTheTaskBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := &fake.Authority{Create: slowToOpen(10 * time.Second)}
		engine := must(jit.New(jit.Config{Authority: authority}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		if _, err := engine.Open(ctx, jit.TaskSpec{}); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("Open() = %v after %s, want deadline exceeded at once", err, time.Since(start))
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"task_1"}, authority.Completed()); diff != "" {
			t.Errorf("completed (-want +got):\n%s", diff)
		}
	})
}

func TestOpenReturnsAnOpenTask(t *testing.T) {
	authority := &fake.Authority{}
	task, err := must(jit.New(jit.Config{Authority: authority})).Open(t.Context(), jit.TaskSpec{Name: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := task.ID(t.Context()); err != nil || id != "task_1" {
		t.Errorf("ID() = %q, %v, want task_1", id, err)
	}
	if err := task.Complete(t.Context()); err != nil || len(authority.Completed()) != 1 {
		t.Errorf("Complete() = %v", err)
	}
}

func TestNothingIsAskedOrSentAfterTheEnd(t *testing.T) {
	authority := &fake.Authority{}
	c := offline(t, jit.Config{Authority: authority}, nil)
	c.want200(t, "doc_1")
	if err := c.task.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	sent := 0
	c.over(tripper(func(*http.Request) (*http.Response, error) { sent++; return nil, errors.New("sent") }))
	for _, id := range []string{"doc_1", "doc_2"} {
		if err := fetch(t.Context(), c, id); !errors.Is(err, jit.ErrTaskEnded) {
			t.Errorf("GET %s = %v, want ErrTaskEnded", id, err)
		}
	}
	ctx := c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{read("doc_1")}})
	if _, err := jit.Acquire(ctx, read("doc_1")); !errors.Is(err, jit.ErrTaskEnded) {
		t.Errorf("Acquire() = %v, want ErrTaskEnded", err)
	}
	if sent != 0 || len(authority.Requests()) != 1 {
		t.Errorf("%d sent, %d requests, want 0 and 1", sent, len(authority.Requests()))
	}
}

func TestCompleteEndsWhatIsUnderWay(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*fake.Authority)
		wait time.Duration // until nothing is under way any more, or that is given up
	}{
		"waiting for a person": {func(a *fake.Authority) {
			a.Decide = func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: jit.StatusPending}, nil }
			a.Look = func(string, int) (jit.Decision, error) { return jit.Decision{Status: jit.StatusPending}, nil }
		}, 0},
		"asking, deaf": {func(a *fake.Authority) {
			a.Decide = func(jit.Request) (jit.Decision, error) {
				time.Sleep(3 * time.Second)
				return jit.Decision{Status: jit.StatusApproved}, nil
			}
		}, 2 * time.Second},
		"redeeming, deaf": {func(a *fake.Authority) { a.Redeem = func(int) error { time.Sleep(3 * time.Second); return nil } }, 2 * time.Second},
		"hanging, deaf":   {func(a *fake.Authority) { a.Redeem = func(int) error { time.Sleep(time.Hour); return nil } }, 7500 * time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			authority := &fake.Authority{}
			test.set(authority)
			c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
			var err error
			var wg sync.WaitGroup
			wg.Go(func() { err = fetch(t.Context(), c, "doc_1") })
			wg.Go(func() {
				ctx := c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{read("doc_2")}})
				if g, err := jit.Acquire(ctx, read("doc_2")); g != nil || !errors.Is(err, jit.ErrTaskEnded) {
					t.Errorf("%s: Acquire() = %v, %v, want ErrTaskEnded", name, g, err)
				}
			})
			time.Sleep(time.Second)
			start := time.Now()
			if err := c.task.Complete(t.Context()); err != nil || len(authority.Completed()) != 1 || time.Since(start) != test.wait {
				t.Errorf("%s: Complete() = %v after %s, completed %v, want it after %s", name, err, time.Since(start), authority.Completed(), test.wait)
			}
			wg.Wait()
			if !errors.Is(err, jit.ErrTaskEnded) || errors.Is(err, context.Canceled) {
				t.Errorf("%s: GET = %v, want ErrTaskEnded: the caller was not cancelled", name, err)
			}
		})
	}
}

func TestCompletedCountsTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, seen := &fake.Authority{}, &events{}
		authority.Issue = func(id string, d rar.Detail) jit.Issued {
			issued := jit.Issued{Token: secret.New(fake.TokenFor(d)), ExpiresIn: 2 * time.Minute, Details: []rar.Detail{d}}
			if id == "jit_3" { // granted too much: never used, but alive
				issued.Details = []rar.Detail{read("*")}
			}
			return issued
		}
		c := offline(t, jit.Config{Authority: authority}, seen.observe)
		c.want200(t, "doc_1")
		time.Sleep(3 * time.Minute) // the first one expires
		c.want200(t, "doc_2")
		if err := fetch(t.Context(), c, "doc_3"); !errors.Is(err, jit.ErrOvergrant) {
			t.Fatalf("GET = %v, want overgrant", err)
		}
		if err := c.task.Complete(t.Context()); err != nil {
			t.Fatal(err)
		}
		last, ok := seen.list()[len(seen.list())-1].(jit.Completed)
		if !ok || last.Issued != 3 || last.Revoked != 2 || last.TaskID != "task_1" || last.Error != "" {
			t.Errorf("last event %+v, want 3 issued, 2 revoked", last)
		}
	})
}

func TestEventsComeOneAtATime(t *testing.T) {
	under := 0 // unguarded: the race detector watches too
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, func(jit.Event) {
		if under++; under > 1 {
			t.Error("two events at once")
		}
		runtime.Gosched()
		under--
	})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { c.want200(t, fmt.Sprintf("doc_%d", i)) })
	}
	wg.Wait()
}

func TestContextNamesTheTask(t *testing.T) {
	a, b := offline(t, jit.Config{Authority: &fake.Authority{}}, nil).task, offline(t, jit.Config{Authority: &fake.Authority{}}, nil).task
	ctx := t.Context()
	if got := jit.FromContext(ctx); got != nil {
		t.Errorf("FromContext() = %v, want nil", got)
	}
	if got := jit.FromContext(jit.NewContext(ctx, a)); got != a {
		t.Error("FromContext() is not the task of NewContext")
	}
	if got := jit.FromContext(b.Call(jit.NewContext(ctx, a), jit.Call{})); got != b {
		t.Error("FromContext() is not the task of the innermost call")
	}
}
