package jit_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// anew is a client of another process: the same journal and authority, and an engine of
// its own that takes a suspended task up.
func anew(t *testing.T, c *client, cfg jit.Config, digest string) (*client, error) {
	t.Helper()
	engine, err := jit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	task, err := engine.Resume(t.Context(), c.task.Run(), digest, nil)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = task.Complete(context.WithoutCancel(t.Context())) })
	return &client{c.Client, task, c.base, engine}, nil
}

// A task that waits is left to another process: it holds no token, nobody polls, and
// the decision that comes meanwhile is used there, once, without a second request.
func TestSuspendedTaskGoesOnElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := &revoking{Authority: undecided(time.Hour, 0, 0)}
		decide := authority.Decide
		authority.Decide = func(r jit.Request) (jit.Decision, error) {
			if r.Detail.Identifier == "doc_1" {
				return jit.Decision{Status: jit.StatusApproved, TTL: time.Hour}, nil
			}
			return decide(r)
		}
		cfg := jit.Config{Authority: authority, AuthorityName: "here", Journal: &fake.Journal{}}
		c := offline(t, cfg, nil)
		if err := fetch(t.Context(), c, "doc_1"); err != nil {
			t.Fatal(err)
		}
		if err := fetch(t.Context(), c, "doc_2"); !errors.Is(err, jit.ErrPending) {
			t.Fatalf("GET = %v, want pending", err)
		}
		until, err := c.task.Suspend(t.Context(), "what", time.Time{})
		if err != nil || !until.Equal(time.Now().Add(time.Hour)) || len(authority.revoked) != 1 {
			t.Fatalf("Suspend() = %s, %v with %d tokens revoked", until, err, len(authority.revoked))
		}
		if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrTaskEnded) {
			t.Errorf("GET under the suspended task = %v, want that it has ended", err)
		}
		if err := c.task.Complete(t.Context()); err != nil || authority.Tries() != 0 {
			t.Errorf("Complete() = %v after %d tries, want nothing done", err, authority.Tries())
		}
		looks := len(authority.Looks())
		time.Sleep(time.Minute)
		authority.Look = nil // approved, while nobody waited
		next, err := anew(t, c, cfg, "what")
		if err != nil || len(authority.Looks()) != looks {
			t.Fatalf("Resume() = %v after %d looks while nobody was there", err, len(authority.Looks())-looks)
		}
		if err := fetch(t.Context(), next, "doc_2"); err != nil || len(authority.Requests()) != 2 || authority.Opened() != 1 {
			t.Errorf("GET = %v after %d requests under %d tasks, want 200 after 2 under one", err, len(authority.Requests()), authority.Opened())
		}
		if _, err := anew(t, c, cfg, "what"); !errors.Is(err, jit.ErrClaimed) {
			t.Errorf("a second Resume() = %v, want ErrClaimed", err)
		}
		if err := next.task.Complete(t.Context()); err != nil || len(authority.Completed()) != 1 {
			t.Errorf("Complete() = %v, of %v", err, authority.Completed())
		}
		if _, err := anew(t, c, cfg, "what"); !errors.Is(err, jit.ErrTaskEnded) {
			t.Errorf("Resume() of a completed task = %v, want ErrTaskEnded", err)
		}
	})
}

// What a process leaves under way and cannot be gone on with is begun anew by the next, in
// the same call.
func TestSpentRequestIsAskedAnewElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Hour, 0, 0)
		cfg := jit.Config{Authority: authority, AuthorityName: "here", Journal: &fake.Journal{}}
		c := offline(t, cfg, nil)
		if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrPending) {
			t.Fatalf("GET = %v, want pending", err)
		}
		if _, err := c.task.Suspend(t.Context(), "what", time.Time{}); err != nil {
			t.Fatal(err)
		}
		next, err := anew(t, c, cfg, "what")
		if err != nil {
			t.Fatal(err)
		}
		authority.Look = func(string, int) (jit.Decision, error) { return jit.Decision{}, jit.ErrSpent }
		authority.Decide = nil // the next one is approved
		if err := fetch(t.Context(), next, "doc_1"); err != nil || len(authority.Requests()) != 2 {
			t.Errorf("GET = %v after %d requests, want 200 after 2", err, len(authority.Requests()))
		}
	})
}

// What was denied or ran out before is not asked for again by whoever goes on.
func TestDenialOutlivesTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := undecided(time.Minute, 0, 0)
		pending := authority.Decide
		authority.Decide = func(r jit.Request) (jit.Decision, error) {
			if r.Detail.Identifier == "doc_1" {
				return jit.Decision{Status: jit.StatusDenied, Message: "no"}, nil
			}
			return pending(r)
		}
		cfg := jit.Config{Authority: authority, Journal: &fake.Journal{}}
		c := offline(t, cfg, nil)
		_, _ = fetch(t.Context(), c, "doc_1"), fetch(t.Context(), c, "doc_2")
		if _, err := c.task.Suspend(t.Context(), "", time.Time{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Minute)
		next, err := anew(t, c, cfg, "")
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"doc_1", "doc_2"} {
			denied, ok := errors.AsType[*jit.DeniedError](fetch(t.Context(), next, id))
			if !ok || (denied.Message == "no") != (id == "doc_1") {
				t.Errorf("%s: %v, want the denial", id, denied)
			}
		}
		if n := len(authority.Requests()); n != 2 {
			t.Errorf("%d requests, want 2", n)
		}
	})
}

// An effect happens once, though the call that made it, and one more with the same
// arguments, run in another process.
func TestEffectIsNotRepeatedAfterResuming(t *testing.T) {
	for name, tt := range map[string]struct {
		honored bool
		lost    bool // the answer to the first try
		sent    int
		body    string
	}{
		"answered":                    {sent: 1},
		"answered, key honored":       {honored: true, sent: 2, body: "once"},
		"answer lost":                 {lost: true, sent: 1},
		"answer lost, key is honored": {honored: true, lost: true, sent: 2, body: "once"},
	} {
		t.Run(name, func(t *testing.T) {
			keys := map[string]bool{}
			sent := 0
			api := func(r *http.Request) (*http.Response, error) {
				sent++
				for name, values := range r.Header {
					if strings.EqualFold(name, jit.HeaderIdempotencyKey) {
						keys[values[0]] = true
					}
				}
				if tt.lost && sent == 1 {
					return nil, errors.New("connection reset by peer")
				}
				return fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("once")) })}.RoundTrip(r)
			}
			cfg := jit.Config{Authority: undecided(time.Hour, 0, 0), Journal: &fake.Journal{}, Attempts: 1}
			c := offline(t, cfg, nil)
			transport := &jit.Transport{Origin: c.Transport.(*jit.Transport).Origin, Base: tripper(api), HonorsIdempotencyKey: tt.honored}
			c.Transport = transport
			post := jit.Call{ID: "call_1", Tool: "post", Ceiling: []rar.Detail{read("doc_1")}}
			_, _, first := c.send(t.Context(), post, http.MethodPost, c.base+"/reports", "same")
			if _, err := jit.Acquire(c.task.Call(t.Context(), post), read("doc_1")); !errors.Is(err, jit.ErrPending) {
				t.Fatalf("Acquire() = %v, want pending", err)
			}
			if _, err := c.task.Suspend(t.Context(), "", time.Time{}); err != nil {
				t.Fatal(err)
			}
			next, err := anew(t, c, cfg, "")
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range []string{"call_1", "call_2"} {
				post.ID = id
				status, body, err := next.send(t.Context(), post, http.MethodPost, c.base+"/reports", "same")
				known := !tt.lost || tt.honored
				if known && (err != nil || status != 200 || body != tt.body) || !known && !errors.Is(err, jit.ErrInDoubt) {
					t.Errorf("%s again = %d %q, %v, after %v", id, status, body, err, first)
				}
			}
			if sent != tt.sent || len(keys) != 1 {
				t.Errorf("sent %d times under %d keys, want %d and one", sent, len(keys), tt.sent)
			}
		})
	}
}

// What was changed meanwhile does not run, and the task is given back.
func TestResumeRefusesWhatWasChanged(t *testing.T) {
	authority := undecided(time.Hour, 0, 0)
	journal := &fake.Journal{}
	cfg := jit.Config{Authority: authority, AuthorityName: "here", Journal: journal}
	c := offline(t, cfg, nil)
	_ = fetch(t.Context(), c, "doc_1")
	if _, err := c.task.Suspend(t.Context(), "these calls", time.Time{}); err != nil {
		t.Fatal(err)
	}
	elsewhere := cfg
	elsewhere.AuthorityName = "there"
	if _, err := anew(t, c, elsewhere, "these calls"); err == nil || errors.Is(err, jit.ErrClaimed) {
		t.Errorf("Resume() at another server = %v, want a refusal that claims nothing", err)
	}
	if _, err := anew(t, c, cfg, "other calls"); !errors.Is(err, jit.ErrChanged) || len(authority.Completed()) != 1 {
		t.Errorf("Resume() = %v, want ErrChanged and the task completed: %v", err, authority.Completed())
	}
}

func TestSuspendFails(t *testing.T) {
	full := errors.New("disk full")
	for name, tt := range map[string]struct {
		journal jit.Journal
		ask     bool
	}{
		"nothing is pending":        {journal: &fake.Journal{}},
		"no journal":                {ask: true},
		"one that is only written":  {ask: true, journal: &journal{}},
		"one that takes no entries": {ask: true, journal: &fake.Journal{Refuse: func(e jit.Entry) error { return map[bool]error{e.Kind == jit.EntryTaskSuspended: full}[true] }}},
	} {
		t.Run(name, func(t *testing.T) {
			authority := undecided(time.Hour, 0, 0)
			c := offline(t, jit.Config{Authority: authority, Journal: tt.journal}, nil)
			if tt.ask {
				_ = fetch(t.Context(), c, "doc_1")
			}
			if until, err := c.task.Suspend(t.Context(), "", time.Time{}); err == nil {
				t.Errorf("Suspend() = %s, want an error", until)
			}
			if err := c.task.Complete(t.Context()); err != nil || len(authority.Completed()) != 1 {
				t.Errorf("Complete() = %v, completed %v, want it given back", err, authority.Completed())
			}
		})
	}
}

// A session that is made anew under the name of one that was deleted has nothing of its
// calls, also where they are called the same.
func TestCallsOfADeletedSession(t *testing.T) {
	journal := &fake.Journal{}
	c := offline(t, jit.Config{Authority: &fake.Authority{}, Journal: journal}, nil)
	for i, at := range []time.Time{{}, time.Unix(100, 0), time.Unix(200, 0)} {
		run := fmt.Sprint("run", i)
		journal.Note(jit.Entry{Kind: jit.EntryTaskOpening, Run: run, Session: "s"})
		if !at.IsZero() {
			journal.Note(jit.Entry{Kind: jit.EntryCallSent, Run: run, CallID: "call_0", IdempotencyKey: run, Time: at})
		}
	}
	for since, want := range map[int64]string{100: "[run1 run2]", 101: "[run2]", 201: "[]"} {
		calls, err := c.engine.Calls(t.Context(), "s", time.Unix(since, 0))
		var runs []string
		for _, e := range jit.Effects(calls) {
			runs = append(runs, e.Run)
		}
		if got := fmt.Sprint(runs); err != nil || got != want {
			t.Errorf("since %d: %s, %v, want %s", since, got, err, want)
		}
	}
}
