package jit_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
)

// undecided leaves requests pending for window, and each look at them too, until
// the nth look, which says how it ends. n = 0 never ends.
func undecided(window time.Duration, n int, end jit.Status) *fake.Authority {
	return &fake.Authority{
		Decide: func(jit.Request) (jit.Decision, error) {
			d := jit.Decision{Status: jit.StatusPending, Risk: "high", DecideAt: "https://auth.example.com/pending", ConsentRequired: true}
			if window > 0 {
				d.ExpiresAt = time.Now().Add(window)
			}
			return d, nil
		},
		Look: func(_ string, look int) (jit.Decision, error) {
			if look == n {
				return jit.Decision{Status: end, Message: "because"}, nil
			}
			return jit.Decision{Status: jit.StatusPending}, nil
		},
	}
}

// fetch is one call, of which only the error matters here.
func fetch(ctx context.Context, c *client, id string) error {
	resp, err := c.get(ctx, id, read(id))
	if err != nil {
		return err
	}
	_ = resp.Body.Close()
	if resp.StatusCode != 200 {
		return errors.New(resp.Status)
	}
	return nil
}

// gaps are the times from start to the first look and from each to the next.
func gaps(start time.Time, looks []time.Time) []time.Duration {
	var gaps []time.Duration
	for _, look := range looks {
		gaps = append(gaps, look.Sub(start))
		start = look
	}
	return gaps
}

func TestNoWaitMeansPendingAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Minute, 0, 0)
		c, start := offline(t, jit.Config{Authority: authority}, nil), time.Now()
		err := fetch(t.Context(), c, "doc_1")
		pending, ok := errors.AsType[*jit.PendingError](err)
		if !ok || !errors.Is(err, jit.ErrPending) || errors.Is(err, jit.ErrDenied) || time.Since(start) != 0 || len(authority.Looks()) != 0 {
			t.Fatalf("GET = %v after %s and %d looks, want pending at once", err, time.Since(start), len(authority.Looks()))
		}
		want := &jit.PendingError{
			RequestID: "jit_1", TaskID: "task_1", Detail: read("doc_1"), Risk: "high", ExpiresAt: start.Add(time.Minute),
			DecideAt: "https://auth.example.com/pending", ConsentRequired: true,
		}
		if diff := cmp.Diff(want, pending); diff != "" {
			t.Errorf("PendingError (-want +got):\n%s", diff)
		}
	})
}

// Where nobody is there to decide, what is pending when the wait is over is denied.
func TestPendingIsDenied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, start := undecided(time.Hour, 0, 0), time.Now()
		c := offline(t, jit.Config{Authority: authority, DenyPending: true, Wait: time.Minute}, nil)
		err := fetch(t.Context(), c, "doc_1")
		denied, ok := errors.AsType[*jit.DeniedError](err)
		if !ok || denied.Status != jit.StatusPending || denied.RequestID != "jit_1" || errors.Is(err, jit.ErrPending) || time.Since(start) != time.Minute {
			t.Errorf("GET = %v after %s, want it denied after the wait", err, time.Since(start))
		}
	})
}

// A program that ends waits for nobody any more, and what is asked for stays pending.
func TestWaitNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, start := undecided(time.Hour, 0, 0), time.Now()
		c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
		time.AfterFunc(time.Minute, c.engine.WaitNoMore)
		for _, id := range []string{"doc_1", "doc_2"} {
			if err := fetch(t.Context(), c, id); !errors.Is(err, jit.ErrPending) || time.Since(start) != time.Minute {
				t.Errorf("GET %s = %v after %s, want it pending after a minute", id, err, time.Since(start))
			}
		}
	})
}

func TestDecisionWithinTheWait(t *testing.T) {
	for end, want := range map[jit.Status]error{
		jit.StatusApproved: nil, jit.StatusDenied: jit.ErrDenied, jit.StatusExpired: jit.ErrDenied, jit.StatusUnknown: jit.ErrDenied,
	} {
		synctest.Test(t, func(t *testing.T) {
			authority, seen, start := undecided(time.Hour, 3, end), &events{}, time.Now()
			c := offline(t, jit.Config{Authority: authority, Wait: 10 * time.Minute}, seen.observe)
			err := fetch(t.Context(), c, "doc_1")
			if !errors.Is(err, want) {
				t.Errorf("%s: GET = %v, want %v", end, err, want)
			}
			if e, ok := errors.AsType[*jit.DeniedError](err); want != nil && (!ok || e.Status != end || e.Message != "because" || e.RequestID != "jit_1" || e.Risk != "high") {
				t.Errorf("%s: error %+v, want the facts of the decision", end, err)
			}
			for i, gap := range gaps(start, authority.Looks()) {
				if gap < 4500*time.Millisecond || gap > 5500*time.Millisecond {
					t.Errorf("%s: look %d came after %s, want 5s give or take a tenth", end, i+1, gap)
				}
			}
			var decided []jit.Decided
			for _, e := range seen.list() {
				if d, ok := e.(jit.Decided); ok {
					decided = append(decided, d)
				}
			}
			if len(decided) != 2 || decided[0].Status != jit.StatusPending || decided[1].Status != end || decided[1].Waited != time.Since(start) {
				t.Errorf("%s: decisions %+v, want pending, then the end", end, decided)
			}
		})
	}
}

func TestJitterSpreadsTheLooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, start := undecided(24*time.Hour, 500, jit.StatusApproved), time.Now()
		c := offline(t, jit.Config{Authority: authority, Wait: 12 * time.Hour, PollInterval: 10 * time.Second}, nil)
		if err := fetch(t.Context(), c, "doc_1"); err != nil {
			t.Fatal(err)
		}
		least, most := time.Hour, time.Duration(0)
		for _, gap := range gaps(start, authority.Looks()) {
			least, most = min(least, gap), max(most, gap)
		}
		if least < 9*time.Second || least > 9200*time.Millisecond || most > 11*time.Second || most < 10800*time.Millisecond {
			t.Errorf("500 looks, %s to %s apart, want all of 9s to 11s", least, most)
		}
	})
}

func TestSlowLooksDoNotAddUpNorOverlap(t *testing.T) {
	for took, want := range map[time.Duration]time.Duration{3 * time.Second: 5 * time.Second, 20 * time.Second: 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			authority := undecided(time.Hour, 10, jit.StatusApproved)
			status, under := authority.Look, 0
			authority.Look = func(id string, n int) (jit.Decision, error) {
				if under++; under > 1 {
					t.Errorf("%d looks at once", under)
				}
				time.Sleep(took)
				under--
				return status(id, n)
			}
			c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
			if err := fetch(t.Context(), c, "doc_1"); err != nil {
				t.Fatal(err)
			}
			looks := authority.Looks()
			for _, gap := range gaps(looks[0], looks[1:]) {
				if gap < want*9/10 || gap > want*11/10 {
					t.Errorf("looks of %s are %s apart, want about %s", took, gap, want)
				}
			}
		})
	}
}

func TestRetryAfterMakesTheIntervalLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, start := undecided(time.Hour, 6, jit.StatusApproved), time.Now()
		decide, status := authority.Decide, authority.Look
		authority.Decide = func(r jit.Request) (jit.Decision, error) {
			d, err := decide(r)
			d.RetryAfter = 30 * time.Second
			return d, err
		}
		authority.Look = func(id string, n int) (jit.Decision, error) {
			d, err := status(id, n)
			switch n {
			case 1:
				d.RetryAfter = time.Minute
			case 2:
				d.RetryAfter = time.Second // shorter than ours: no reason to hurry
			case 3:
				return jit.Decision{}, transient{wait: 90 * time.Second}
			case 4:
				return jit.Decision{}, transient{}
			}
			return d, err
		}
		c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
		if err := fetch(t.Context(), c, "doc_1"); err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{30 * time.Second, time.Minute, 5 * time.Second, 90 * time.Second, 5 * time.Second, 5 * time.Second}
		near := cmp.Comparer(func(a, b time.Duration) bool { return max(a, b)-min(a, b) <= 500*time.Millisecond })
		if diff := cmp.Diff(want, gaps(start, authority.Looks()), near); diff != "" {
			t.Errorf("looks (-want +got):\n%s", diff)
		}
	})
}

// Each slow_down makes the interval five seconds longer, for good.
func TestSlowDownIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, start := undecided(time.Hour, 5, jit.StatusApproved), time.Now()
		status := authority.Look
		authority.Look = func(id string, n int) (jit.Decision, error) {
			d, err := status(id, n)
			d.SlowDown = n == 1 || n == 3
			time.Sleep(2 * time.Second) // the interval is from sending
			return d, err
		}
		c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
		if err := fetch(t.Context(), c, "doc_1"); err != nil {
			t.Fatal(err)
		}
		want := []time.Duration{5 * time.Second, 10 * time.Second, 10 * time.Second, 15 * time.Second, 15 * time.Second}
		near := cmp.Comparer(func(a, b time.Duration) bool { return max(a, b)-min(a, b) <= 500*time.Millisecond })
		if diff := cmp.Diff(want, gaps(start, authority.Looks()), near); diff != "" {
			t.Errorf("looks (-want +got):\n%s", diff)
		}
	})
}

func TestPermanentFaultEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Hour, 0, 0)
		fault := errors.New("forbidden")
		authority.Look = func(string, int) (jit.Decision, error) { return jit.Decision{}, fault }
		c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
		if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, fault) || len(authority.Looks()) != 1 {
			t.Errorf("GET = %v after %d looks, want the fault after 1", err, len(authority.Looks()))
		}
		synctest.Wait()
		authority.Look = nil // works again, and the request is still known
		if err := fetch(t.Context(), c, "doc_1"); err != nil || len(authority.Requests()) != 1 {
			t.Errorf("GET = %v after %d requests, want 200 after the one", err, len(authority.Requests()))
		}
	})
}

func TestWindowEndsWithOneLastLook(t *testing.T) {
	fault := errors.New("forbidden")
	for name, test := range map[string]struct {
		window time.Duration
		last   func() (jit.Decision, error)
		want   error
		after  time.Duration
	}{
		"still pending":    {12 * time.Second, func() (jit.Decision, error) { return jit.Decision{Status: jit.StatusPending}, nil }, jit.ErrDenied, 12 * time.Second},
		"server is down":   {12 * time.Second, func() (jit.Decision, error) { return jit.Decision{}, transient{wait: time.Hour} }, jit.ErrDenied, 12 * time.Second},
		"just in time":     {12 * time.Second, func() (jit.Decision, error) { return jit.Decision{Status: jit.StatusApproved}, nil }, nil, 12 * time.Second},
		"fault":            {12 * time.Second, func() (jit.Decision, error) { return jit.Decision{}, fault }, fault, 12 * time.Second},
		"no end is named":  {0, func() (jit.Decision, error) { return jit.Decision{Status: jit.StatusPending}, nil }, jit.ErrDenied, 3 * time.Minute},
		"clock runs ahead": {-time.Hour, func() (jit.Decision, error) { return jit.Decision{Status: jit.StatusPending}, nil }, jit.ErrDenied, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				authority, start := undecided(0, 0, 0), time.Now()
				authority.Decide = func(jit.Request) (jit.Decision, error) {
					d := jit.Decision{Status: jit.StatusPending}
					if test.window != 0 {
						d.ExpiresAt = start.Add(test.window)
					}
					return d, nil
				}
				authority.Look = func(string, int) (jit.Decision, error) {
					if time.Since(start) < test.after {
						// An answer that moves the end does not move it here.
						return jit.Decision{Status: jit.StatusPending, ExpiresAt: time.Now().Add(time.Hour)}, nil
					}
					return test.last()
				}
				c := offline(t, jit.Config{Authority: authority, Wait: time.Hour, MaxPending: 3 * time.Minute}, nil)
				err := fetch(t.Context(), c, "doc_1")
				if !errors.Is(err, test.want) || time.Since(start) != test.after {
					t.Errorf("GET = %v after %s, want %v after %s", err, time.Since(start), test.want, test.after)
				}
				if test.want == nil {
					return
				}
				if e, ok := errors.AsType[*jit.DeniedError](err); test.want == jit.ErrDenied && (!ok || e.Status != jit.StatusExpired) {
					t.Errorf("GET = %v, want expired", err)
				}
				// Nobody said no, so it may be asked again.
				if err := fetch(t.Context(), c, "doc_1"); err == nil || len(authority.Requests()) != 2 {
					t.Errorf("again: %v after %d requests, want a second one", err, len(authority.Requests()))
				}
			})
		})
	}
}

func TestDeadlineShorterThanTheWait(t *testing.T) {
	cause := errors.New("limit of wall time")
	for name, with := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"deadline": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeout(ctx, 12*time.Second)
		},
		"deadline with cause": func(ctx context.Context) (context.Context, context.CancelFunc) {
			return context.WithTimeoutCause(ctx, 12*time.Second, cause)
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			authority := undecided(time.Hour, 0, 0)
			c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
			ctx, cancel := with(t.Context())
			defer cancel()
			err := fetch(ctx, c, "doc_1")
			pending, ok := errors.AsType[*jit.PendingError](err)
			if !ok || pending.RequestID != "jit_1" || !errors.Is(err, jit.ErrPending) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: GET = %v, want both pending and deadline exceeded", name, err)
			}
			if name == "deadline with cause" && !errors.Is(err, cause) {
				t.Errorf("%s: GET = %v, want the cause too", name, err)
			}
		})
	}
}

func TestLastWaiterStopsThePolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(24*time.Hour, 0, 0)
		c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
		var waiters [2]struct {
			cancel context.CancelFunc
			err    error
		}
		var wg sync.WaitGroup
		for i := range waiters {
			ctx, cancel := context.WithCancel(t.Context())
			waiters[i].cancel = cancel
			wg.Go(func() { waiters[i].err = fetch(ctx, c, "doc_1") })
		}
		time.Sleep(time.Minute)
		waiters[0].cancel()
		time.Sleep(time.Minute)
		if n := len(authority.Looks()); n < 20 || len(authority.Requests()) != 1 {
			t.Errorf("%d looks in two minutes at %d requests, want polling of one to go on for the waiter who stays", n, len(authority.Requests()))
		}
		waiters[1].cancel()
		synctest.Wait()
		looks := len(authority.Looks())
		time.Sleep(time.Hour)
		if n := len(authority.Looks()); n != looks {
			t.Errorf("%d looks after the last waiter left, want none", n-looks)
		}
		wg.Wait()
		for i, w := range waiters {
			if !errors.Is(w.err, jit.ErrPending) || !errors.Is(w.err, context.Canceled) {
				t.Errorf("waiter %d: %v, want pending and cancelled", i, w.err)
			}
		}
	})
}

func TestEveryWaiterSharesTheDecision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Hour, 5, jit.StatusDenied)
		c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrDenied) {
					t.Errorf("GET = %v, want denied", err)
				}
			})
			time.Sleep(time.Second)
		}
		wg.Wait()
		if len(authority.Requests()) != 1 || len(authority.Looks()) != 5 {
			t.Errorf("%d requests, %d looks, want 1 and 5", len(authority.Requests()), len(authority.Looks()))
		}
	})
}

// A look that somebody wants comes at once, and ends no window.
func TestLookIsTakenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority, start := undecided(time.Minute, 2, jit.StatusApproved), time.Now()
		c := offline(t, jit.Config{Authority: authority, Wait: time.Minute, PollInterval: time.Hour}, nil)
		c.engine.Look() // nobody waits
		for _, after := range []time.Duration{time.Second, 3 * time.Second} {
			time.AfterFunc(after, c.engine.Look)
		}
		if err := fetch(t.Context(), c, "doc_1"); err != nil || time.Since(start) != 3*time.Second {
			t.Errorf("GET = %v after %s, want it with the second look, after 3s", err, time.Since(start))
		}
	})
}

// An Authority that learns of a decision by itself is looked at then, and no sooner or
// more often for it, also where the look fails.
func TestADecisionThatIsToldIsLookedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		decided := make(chan struct{})
		a := undecided(time.Minute, 3, jit.StatusApproved)
		a.Decide = func(jit.Request) (jit.Decision, error) {
			return jit.Decision{Status: jit.StatusPending, ExpiresAt: time.Now().Add(time.Minute), Decided: decided}, nil
		}
		look := a.Look
		a.Look = func(id string, n int) (jit.Decision, error) {
			if n == 1 {
				return jit.Decision{}, transient{}
			}
			return look(id, n)
		}
		c := offline(t, jit.Config{Authority: a, Wait: time.Minute, PollInterval: 10 * time.Second}, nil)
		start := time.Now()
		time.AfterFunc(time.Second, func() { close(decided) })
		if err := fetch(t.Context(), c, "doc_1"); err != nil {
			t.Fatal(err)
		}
		if got := gaps(start, a.Looks()); len(got) != 3 || got[0] != time.Second || got[1] < 9*time.Second || got[2] < 9*time.Second {
			t.Errorf("looked after %v; want a second, and ten twice", got)
		}
	})
}
