package jit_test

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// asked is a call of which a person is told args.
func asked(id, args string) jit.Call {
	return jit.Call{ID: id, Tool: "tool", Args: map[string]any{"text": args}, Ceiling: []rar.Detail{read("doc_1"), write("reports")}}
}

// counted is a client without sockets, and how often its API did something.
func counted(t *testing.T, cfg jit.Config) (c *client, done func() int) {
	var mu sync.Mutex
	n := 0
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n++
		content(w, r)
	})
	c = offline(t, cfg, nil).over(fake.Transport{Handler: fake.Guard(needsPath, handler)})
	return c, func() int { mu.Lock(); defer mu.Unlock(); return n }
}

// A decision is about one call. No other is made with it, neither with other arguments
// nor a second time, while its token lives: that one waits for a decision of its own.
func TestADecisionServesOneCall(t *testing.T) {
	with := func(change func(*jit.Call)) jit.Call { c := asked("1", "a"); change(&c); return c }
	for name, test := range map[string]struct {
		method        string
		first, second jit.Call
		serves        bool // the decision about first is for second as well
		executions    int  // of both
	}{
		"other arguments":          {"GET", asked("1", "a"), asked("2", "b"), false, 1},
		"other arguments, one id":  {"GET", asked("1", "a"), asked("1", "b"), false, 1},
		"another tool":             {"GET", asked("1", "a"), with(func(c *jit.Call) { c.Tool = "other" }), false, 1},
		"the same again":           {"GET", asked("1", "a"), asked("2", "a"), false, 1},
		"the same, without ids":    {"GET", asked("", "a"), asked("", "a"), false, 1},
		"without arguments":        {"GET", with(func(c *jit.Call) { c.Args = nil }), with(func(c *jit.Call) { c.Args, c.ID = nil, "2" }), false, 1},
		"more of the same call":    {"GET", asked("1", "a"), asked("1", "a"), true, 2},
		"an effect, changed":       {"POST", asked("1", "a"), asked("2", "b"), false, 1},
		"an effect, again":         {"POST", asked("1", "a"), asked("2", "a"), true, 1}, // answered as it was
		"an effect meant twice":    {"POST", with(func(c *jit.Call) { c.Repeats = true }), with(func(c *jit.Call) { c.Repeats, c.ID = true, "2" }), false, 1},
		"an effect, later meant":   {"POST", asked("1", "a"), with(func(c *jit.Call) { c.Repeats, c.ID = true, "2" }), false, 1},
		"what nobody decides":      {"auto", asked("1", "a"), asked("2", "b"), true, 2},
		"the same and nobody asks": {"auto", asked("1", "a"), asked("2", "a"), true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				authority := undecided(time.Hour, 1, jit.StatusApproved)
				if test.method == "auto" {
					test.method, authority.Decide = "POST", nil
				}
				c, done := counted(t, jit.Config{Authority: authority, Wait: time.Minute})
				send := func(call jit.Call) error {
					url := c.base + "/docs/doc_1"
					if test.method != "GET" {
						url = c.base + "/reports"
					}
					body := "b"
					if call.Args != nil {
						body = fmt.Sprint(call.Args)
					}
					_, _, err := c.send(t.Context(), call, test.method, url, body)
					return err
				}
				if err := send(test.first); err != nil {
					t.Fatal(err)
				}
				err, want, requests := send(test.second), jit.ErrPending, 2
				if test.serves {
					want, requests = nil, 1
				}
				if !errors.Is(err, want) || done() != test.executions || len(authority.Requests()) != requests {
					t.Errorf("%v after %d executions and %d requests, want %v after %d and %d", err, done(), len(authority.Requests()), want, test.executions, requests)
				}
			})
		})
	}
}

// Calls at the same time that a person is told the same of are one question, those of
// which something else is told are others, and each gets the answer to its own.
func TestOneQuestionForEachCall(t *testing.T) {
	for _, test := range []struct {
		told     []string
		alone    func(*jit.Call)
		requests int
	}{
		{[]string{"a"}, func(*jit.Call) {}, 1},
		{[]string{"a", "b", "c"}, func(*jit.Call) {}, 3},
		{[]string{"a"}, func(c *jit.Call) { c.Repeats = true }, 100}, // each means its effect
		{[]string{"a"}, func(c *jit.Call) { c.Args = nil }, 100},     // nobody knows if they are the same
	} {
		synctest.Test(t, func(t *testing.T) {
			var mu sync.Mutex
			authority, start := undecided(time.Hour, 0, 0), time.Now()
			authority.Look = func(id string, _ int) (jit.Decision, error) {
				var n int
				_, err := fmt.Sscanf(id, "jit_%d", &n)
				switch {
				case time.Since(start) < 30*time.Second:
					return jit.Decision{Status: jit.StatusPending}, err
				case string(authority.Requests()[n-1].For.Args) == `{"text":"b"}`:
					return jit.Decision{Status: jit.StatusDenied}, err
				}
				return jit.Decision{Status: jit.StatusApproved}, err
			}
			c, done := counted(t, jit.Config{Authority: authority, Wait: time.Hour})
			var wg sync.WaitGroup
			denied := 0
			for i := range 100 {
				wg.Go(func() {
					args := test.told[i%len(test.told)]
					call := asked(fmt.Sprint(i), args)
					test.alone(&call)
					_, _, err := c.send(t.Context(), call, "GET", c.base+"/docs/doc_1", "")
					if args == "b" && errors.Is(err, jit.ErrDenied) {
						mu.Lock()
						denied++
						mu.Unlock()
					} else if err != nil || args == "b" {
						t.Errorf("%s: %v", args, err)
					}
				})
			}
			wg.Wait()
			if len(authority.Requests()) != test.requests || done()+denied != 100 {
				t.Errorf("%d requests, want %d; %d executions and %d denials", len(authority.Requests()), test.requests, done(), denied)
			}
		})
	}
}

// What a person left of a request is what the call gets: it is not asked for again.
func TestLessIsNotAskedForAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wide := read("doc_1")
		wide.Actions = []string{"list", "read"}
		authority := undecided(time.Hour, 1, jit.StatusApproved)
		authority.Issue = func(string, rar.Detail) jit.Issued {
			return jit.Issued{Token: secret.New("narrow"), Details: []rar.Detail{read("doc_1")}}
		}
		c := offline(t, jit.Config{Authority: authority, Wait: time.Hour}, nil).over(guarded(func(*http.Request) rar.Detail { return wide }))
		_, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{wide}}, "GET", c.base+"/docs/doc_1", "")
		if !errors.Is(err, jit.ErrStillRefused) || len(authority.Requests()) != 1 {
			t.Errorf("GET = %v after %d requests, want still refused after 1", err, len(authority.Requests()))
		}
	})
}

// A decision that comes while the task is suspended is for the call that waited.
func TestADecisionServesOneCallAfterResuming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Hour, 0, 0)
		cfg := jit.Config{Authority: authority, AuthorityName: "here", Journal: &fake.Journal{}}
		c, done := counted(t, cfg)
		get := func(c *client, call jit.Call) error {
			_, _, err := c.send(t.Context(), call, "GET", c.base+"/docs/doc_1", "")
			return err
		}
		_ = get(c, asked("1", "a"))
		if _, err := c.task.Suspend(t.Context(), "", time.Time{}); err != nil {
			t.Fatal(err)
		}
		next, err := anew(t, c, cfg, "")
		if err != nil {
			t.Fatal(err)
		}
		authority.Look = func(id string, _ int) (jit.Decision, error) {
			if id == "jit_1" {
				return jit.Decision{Status: jit.StatusApproved}, nil
			}
			return jit.Decision{Status: jit.StatusPending}, nil
		}
		if err := get(next, asked("1", "b")); !errors.Is(err, jit.ErrPending) || done() != 0 || len(authority.Requests()) != 2 {
			t.Errorf("changed: %v after %d executions and %d requests, want pending after 0 and 2", err, done(), len(authority.Requests()))
		}
		if err := get(next, asked("1", "a")); err != nil || done() != 1 || len(authority.Requests()) != 2 {
			t.Errorf("the same: %v after %d executions and %d requests, want 200 after 1 and 2", err, done(), len(authority.Requests()))
		}
	})
}
