package lumoauth

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/approval"
)

var (
	errReset  = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	errDialed = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
)

// failing wraps f in a transport whose calls to route fail with err, after f has
// seen them unless the dial failed.
func failing(f *fake, route string, err error) roundTrip {
	return func(r *http.Request) (*http.Response, error) {
		path, _ := cutPrefix(r.URL.EscapedPath())
		if r.Method+" "+path != route {
			return memory{f}.RoundTrip(r)
		}
		f.mu.Lock()
		f.calls = append(f.calls, recorded{route: route, at: time.Now()})
		f.mu.Unlock()
		return nil, err
	}
}

// creates says which operations may have an effect that a repeat would double.
func creates(op operation) bool {
	switch op.name {
	case "CreateTask", "Request", "Evaluate", "Approve", "Deny":
		return true
	}
	return false
}

func TestWhichFaultsAreRetried(t *testing.T) {
	faults := []struct {
		name            string
		status          int
		body            string
		err             error
		creating, other bool // repeated?
	}{
		{"dial failed", 0, "", errDialed, true, true},
		{"connection reset", 0, "", errReset, false, true},
		{"EOF", 0, "", io.ErrUnexpectedEOF, false, true},
		{"429", 429, `{"error":"rate_limit_exceeded"}`, nil, true, true},
		{"502", 502, `<html>`, nil, false, true},
		{"503", 503, ``, nil, false, true},
		{"504", 504, ``, nil, false, true},
		{"budget", 429, `{"error":"budget_exceeded"}`, nil, false, false},
		{"400", 400, `{"error":"invalid_request"}`, nil, false, false},
		{"403", 403, `{"error":"access_denied"}`, nil, false, false},
		{"409", 409, `{"error":"conflict"}`, nil, false, false},
		{"500", 500, `{"error":"server_error"}`, nil, false, false},
		{"unusable", 200, `[`, nil, false, false},
	}
	for _, op := range operations() {
		switch op.name {
		case "CompleteTask", "Ping", "ExchangeOnBehalfOf":
			continue // have their own tests
		}
		for _, fault := range faults {
			if op.name == "Revoke" && fault.name == "unusable" {
				continue // any 2xx is a success
			}
			t.Run(op.name+"/"+fault.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := newFake(goodRoutes())
					c := inMemory(t, f)
					if fault.err != nil {
						c.transport = failing(f, op.route, fault.err)
					} else {
						f.routes[op.route] = replies(fault.status, fault.body)
					}
					err := op.call(t.Context(), c)
					if err == nil {
						t.Fatalf("%s succeeded", op.name)
					}
					want := fault.other
					if creates(op) {
						want = fault.creating
					}
					if got := f.count(op.route); (got == DefaultTries) != want || got != 1 && !want {
						t.Errorf("%s was sent %d times", op.name, got)
					}
					e, ok := errors.AsType[jit.Temporary](err)
					if !want && errors.Is(err, approval.ErrOtherRequest) {
						return // which nobody takes for a fault that may pass
					}
					if !ok {
						t.Fatalf("%s = %v, which is no jit.Temporary", op.name, err)
					}
					if _, again := e.Temporary(); again != want {
						t.Errorf("%s = %v, temporary %v, want %v", op.name, err, again, want)
					}
				})
			})
		}
	}
}

func TestPausesGrowWithJitter(t *testing.T) {
	first := map[time.Duration]bool{}
	for range 5 {
		synctest.Test(t, func(t *testing.T) {
			routes := goodRoutes()
			routes[statusRoute] = replies(503, ``)
			f := newFake(routes)
			_, _ = inMemory(t, f).Status(t.Context(), "jit_1")
			at := f.times(statusRoute)
			if len(at) != DefaultTries {
				t.Fatalf("%d tries, want %d", len(at), DefaultTries)
			}
			for i, want := 1, firstPause; i < len(at); i, want = i+1, 2*want {
				if pause := at[i] - at[i-1]; pause < want/2 || pause > want*3/2 {
					t.Errorf("pause %d = %v, want %v with half of jitter", i, pause, want)
				}
			}
			first[at[1]] = true
		})
	}
	if len(first) < 2 {
		t.Errorf("the first pauses of five clients are all %v, want jitter", first)
	}
}

func TestRetryAfterIsHonoured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		tests := []struct {
			name   string
			header map[string]string
			body   string
			min    time.Duration
			max    time.Duration
		}{
			{"seconds", map[string]string{"Retry-After": "7"}, ``, 7 * time.Second, 8 * time.Second},
			{"fraction", map[string]string{"Retry-After": "2.5"}, ``, 2500 * time.Millisecond, 3 * time.Second},
			{"date by the server's clock", map[string]string{
				"Retry-After": now.Add(time.Hour + 9*time.Second).Format(http.TimeFormat),
				"Date":        now.Add(time.Hour).Format(http.TimeFormat),
			}, ``, 9 * time.Second, 10 * time.Second},
			{"member of the body", nil, `{"error":"rate_limit_exceeded","retry_after":6}`, 6 * time.Second, 7 * time.Second},
			{"header before body", map[string]string{"Retry-After": "3"}, `{"error":"x","retry_after":20}`, 3 * time.Second, 4 * time.Second},
			{"zero", map[string]string{"Retry-After": "0"}, ``, firstPause / 2, firstPause * 3 / 2},
			{"past date", map[string]string{"Retry-After": now.Add(-time.Hour).Format(http.TimeFormat)}, ``, firstPause / 2, firstPause * 3 / 2},
			{"negative", map[string]string{"Retry-After": "-7"}, ``, firstPause / 2, firstPause * 3 / 2},
			{"not a number", map[string]string{"Retry-After": "NaN"}, ``, firstPause / 2, firstPause * 3 / 2},
			{"prose", map[string]string{"Retry-After": "soon"}, ``, firstPause / 2, firstPause * 3 / 2},
		}
		for _, tt := range tests {
			routes := goodRoutes()
			routes[requestRoute] = inTurn(func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tt.header {
					w.Header().Set(k, v)
				}
				reply(w, 429, tt.body)
			}, routes[requestRoute])
			f := newFake(routes)
			_, err := inMemory(t, f).Request(t.Context(), jit.Request{TaskID: "task_1", Detail: docDetail})
			if err != nil {
				t.Errorf("%s: Request() = %v", tt.name, err)
				continue
			}
			if at := f.times(requestRoute); len(at) != 2 || at[1] < tt.min || at[1] > tt.max {
				t.Errorf("%s: sent at %v, want the second between %v and %v", tt.name, at, tt.min, tt.max)
			}
		}
	})
}

func TestRetryAfterByDateWithoutServerClock(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	h := http.Header{"Retry-After": {now.Add(30 * time.Second).Format(http.TimeFormat)}}
	if d, ok := retryAfter(h, now); !ok || d != 30*time.Second {
		t.Errorf("retryAfter() = %v, %v, want 30s", d, ok)
	}
	h.Set("Retry-After", now.Add(1000*time.Hour).Format(http.TimeFormat))
	if d, ok := retryAfter(h, now); !ok || d != maxRetryAfter {
		t.Errorf("retryAfter() = %v, %v, want it capped at %v", d, ok, maxRetryAfter)
	}
}

func TestLongRetryAfterIsTheCallersToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, v := range []string{"31", "86400", strings.Repeat("9", 400)} {
			routes := goodRoutes()
			routes[statusRoute] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", v)
				reply(w, 503, ``)
			}
			f := newFake(routes)
			start := time.Now()
			_, err := inMemory(t, f).Status(t.Context(), "jit_1")
			e, ok := errors.AsType[*Error](err)
			if !ok || time.Since(start) != 0 || f.count(statusRoute) != 1 {
				t.Fatalf("Retry-After %s: Status() = %v after %v and %d tries, want one and no wait", v, err, time.Since(start), f.count(statusRoute))
			}
			if wait, again := e.Temporary(); !again || wait < 31*time.Second || wait > maxRetryAfter {
				t.Errorf("Retry-After %s: Temporary() = %v, %v", v, wait, again)
			}
		}
	})
}

func TestCompleteTaskKeepsTrying(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		patient := func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			reply(w, 429, ``)
		}
		routes := goodRoutes()
		routes[completeRoute] = inTurn(replies(500, ``), replies(503, ``), replies(502, ``), patient,
			replies(500, ``), replies(501, ``), replies(504, ``), replies(408, ``), replies(200, ``))
		f := newFake(routes)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		if err := inMemory(t, f).CompleteTask(ctx, "task_1"); err != nil {
			t.Errorf("CompleteTask() = %v, want success at the ninth try", err)
		}
		if n := f.count(completeRoute); n != 9 {
			t.Errorf("sent %d times, want 9", n)
		}
	})
}

func TestCompleteTaskEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(map[string]http.HandlerFunc{completeRoute: replies(503, ``)})
		c := inMemory(t, f)
		ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
		defer cancel()
		start := time.Now()
		err := c.CompleteTask(ctx, "task_1")
		if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, ErrUnavailable) || took != 90*time.Second {
			t.Errorf("CompleteTask() = %v after %v, want both reasons after 90s", err, took)
		}
		if n := f.count(completeRoute); n < 6 {
			t.Errorf("sent %d times in 90s, want more", n)
		}
		start = time.Now()
		err = c.CompleteTask(t.Context(), "task_1")
		if took := time.Since(start); !errors.Is(err, ErrUnavailable) || took > endless {
			t.Errorf("CompleteTask() without a deadline = %v after %v, want an end within %v", err, took, endless)
		}
	})
}

func TestCompleteTaskGivesUpOnWhatCannotPass(t *testing.T) {
	for _, status := range []int{400, 403} {
		f := newFake(map[string]http.HandlerFunc{completeRoute: replies(status, `{"error":"x"}`)})
		if err := inMemory(t, f).CompleteTask(t.Context(), "task_1"); err == nil || f.count(completeRoute) != 1 {
			t.Errorf("CompleteTask() with %d = %v after %d tries, want an error after one", status, err, f.count(completeRoute))
		}
	}
}

func TestPingMakesOneTry(t *testing.T) {
	f := newFake(map[string]http.HandlerFunc{metadataRoute: replies(503, ``)})
	if _, err := inMemory(t, f).Ping(t.Context()); !errors.Is(err, ErrUnavailable) || f.count("") != 1 {
		t.Errorf("Ping() = %v after %d tries, want %v after one", err, f.count(""), ErrUnavailable)
	}
}

// hang never answers.
var hang = roundTrip(func(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
})

func TestHungServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := inMemory(t, nil, func(c *Config) {
			c.HTTPClient = &http.Client{Transport: hang, Timeout: 10 * time.Second}
			c.Tries = 2
		})
		start := time.Now()
		_, err := c.Metadata(t.Context())
		took := time.Since(start)
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no answer within 10s") {
			t.Errorf("Metadata() = %v, want an error that is not the caller's deadline", err)
		}
		if took < 20*time.Second || took > 21*time.Second {
			t.Errorf("Metadata() took %v, want two tries of 10s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start = time.Now()
		_, err = c.Metadata(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 3*time.Second {
			t.Errorf("Metadata() = %v after %v, want the caller's deadline after 3s", err, time.Since(start))
		}
	})
}

func TestCancelledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(map[string]http.HandlerFunc{metadataRoute: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "20")
			reply(w, 503, ``)
		}})
		c := inMemory(t, f)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		_, err := c.Metadata(ctx)
		if !errors.Is(err, context.Canceled) || time.Since(start) != time.Second {
			t.Errorf("Metadata() = %v after %v, want canceled after 1s", err, time.Since(start))
		}
		for _, op := range operations() {
			before := f.count("")
			if err := op.call(ctx, c); !errors.Is(err, context.Canceled) {
				t.Errorf("%s with an ended context = %v, want %v", op.name, err, context.Canceled)
			}
			if f.count("") != before {
				t.Errorf("%s with an ended context sent something", op.name)
			}
		}
	})
}

// A server that wants to be polled less often is obeyed by whoever polls, and not asked
// again at once.
func TestSlowDownIsHandedOn(t *testing.T) {
	for _, status := range []int{400, 429} {
		routes, looks := goodRoutes(), 0
		routes[statusRoute] = func(w http.ResponseWriter, _ *http.Request) {
			looks++
			reply(w, status, `{"error":"slow_down"}`)
		}
		d, err := inMemory(t, newFake(routes)).Status(t.Context(), "jit_1")
		if err != nil || d.Status != jit.StatusPending || !d.SlowDown || looks != 1 {
			t.Errorf("%d: Status() = %+v, %v after %d looks, want pending and slower after 1", status, d, err, looks)
		}
	}
}
