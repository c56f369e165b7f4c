package jit_test

import (
	"context"
	"errors"
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

func TestAcquireOutsideTheCeilingAsksForNothing(t *testing.T) {
	authority, seen := &fake.Authority{}, &events{}
	c := offline(t, jit.Config{Authority: authority}, seen.observe)
	c.opened(t)
	wide := read("doc_1")
	wide.Actions = []string{"read", "write"}
	for name, d := range map[string]rar.Detail{
		"other id": read("doc_2"), "other action": write("doc_1"), "more": wide, "no id": read(""), "nothing": {}, "wildcard": read("*"),
	} {
		_, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{ID: "1", Tool: "db", Ceiling: []rar.Detail{read("doc_1")}}), d)
		if e, ok := errors.AsType[*jit.EnvelopeError](err); !ok || e.Tool != "db" || e.CallID != "1" || !errors.Is(err, jit.ErrOutsideCeiling) {
			t.Errorf("%s: Acquire() = %v, want an EnvelopeError", name, err)
		}
	}
	if _, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{ID: "1"}), read("doc_1")); !errors.Is(err, jit.ErrOutsideCeiling) {
		t.Errorf("no ceiling: Acquire() = %v, want outside the ceiling", err)
	}
	for name, ctx := range map[string]context.Context{"no call": t.Context(), "a task only": jit.NewContext(t.Context(), c.task)} {
		if _, err := jit.Acquire(ctx, read("doc_1")); !errors.Is(err, jit.ErrNoCall) {
			t.Errorf("%s: Acquire() = %v, want ErrNoCall", name, err)
		}
	}
	if n := len(authority.Requests()); n != 0 {
		t.Errorf("%d requests, want 0", n)
	}
	for _, kind := range seen.kinds()[1:] {
		if kind != "blocked" {
			t.Errorf("event %s, want only blocked", kind)
		}
	}
}

func TestAcquireSharesGrants(t *testing.T) {
	authority := &fake.Authority{}
	c := offline(t, jit.Config{Authority: authority}, nil)
	wide := read("doc_1")
	wide.Actions = []string{"read", "list"}
	acquire := func(d rar.Detail) *jit.Grant {
		g, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{wide}}), d)
		if err != nil {
			t.Error(err)
			return &jit.Grant{}
		}
		return g
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if g := acquire(wide); g.Token.Reveal() != fake.TokenFor(wide) || !g.Live() || g.TaskID != "task_1" || g.RequestID != "jit_1" {
				t.Errorf("grant %+v", g)
			}
		})
	}
	wg.Wait()
	if g := acquire(read("doc_1")); g.Token.Reveal() != fake.TokenFor(wide) {
		t.Error("a smaller demand did not share the wider grant")
	}
	if len(authority.Requests()) != 1 || authority.Redeemed() != 1 {
		t.Errorf("%d requests, %d tokens, want 1 and 1", len(authority.Requests()), authority.Redeemed())
	}
}

// A wider grant of the task does not serve a call with a smaller ceiling: its token
// could do what the call must not.
func TestAcquireKeepsToTheCeilingOfTheCall(t *testing.T) {
	authority := &fake.Authority{}
	c := offline(t, jit.Config{Authority: authority}, nil)
	wide := read("doc_1")
	wide.Actions = []string{"read", "list"}
	for _, d := range []rar.Detail{wide, read("doc_1")} {
		g, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{d}}), d)
		if err != nil || g.Token.Reveal() != fake.TokenFor(d) {
			t.Errorf("Acquire(%s) = %+v, %v, want a token for just that", d, g, err)
		}
	}
}

func TestNestedCallDoesNotInherit(t *testing.T) {
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	outer := c.task.Call(t.Context(), jit.Call{ID: "outer", Ceiling: []rar.Detail{read("doc_1")}})
	inner := c.task.Call(outer, jit.Call{ID: "inner", Ceiling: []rar.Detail{read("doc_2")}})
	if _, err := jit.Acquire(inner, read("doc_1")); !errors.Is(err, jit.ErrOutsideCeiling) {
		t.Errorf("Acquire(outer's) = %v, want outside the ceiling", err)
	}
	if _, err := jit.Acquire(inner, read("doc_2")); err != nil {
		t.Errorf("Acquire(own) = %v", err)
	}
	if _, err := jit.Acquire(outer, read("doc_2")); !errors.Is(err, jit.ErrOutsideCeiling) {
		t.Errorf("Acquire(inner's) in the outer call = %v, want outside the ceiling", err)
	}
}

func TestTransportNeverSendsAnAcquiredGrant(t *testing.T) {
	authority := &fake.Authority{}
	c := offline(t, jit.Config{Authority: authority}, nil)
	call := jit.Call{ID: "1", Ceiling: []rar.Detail{read("doc_1")}}
	acquired, err := jit.Acquire(c.task.Call(t.Context(), call), read("doc_1"))
	if err != nil {
		t.Fatal(err)
	}
	authority.Issue = func(_ string, d rar.Detail) jit.Issued {
		return jit.Issued{Token: secret.New("for-http"), Details: []rar.Detail{d}}
	}
	c.over(tripper(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Authorization") == "Bearer "+acquired.Token.Reveal() {
			t.Error("the API was sent a token that was acquired for something else")
		}
		return guarded(needsPath)(r)
	}))
	for range 2 {
		_, _, _ = c.send(t.Context(), call, "GET", c.base+"/docs/doc_1", "")
	}
	if len(authority.Requests()) < 2 {
		t.Errorf("%d requests, want one for the API too", len(authority.Requests()))
	}
}

func TestGrantIsNotUsedUpToTheLastMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		authority := &fake.Authority{}
		c := offline(t, jit.Config{Authority: authority}, nil)
		c.want200(t, "doc_1")
		for _, step := range []struct {
			after time.Duration
			asked int
		}{{4*time.Minute + 54*time.Second, 1}, {2 * time.Second, 2}, {0, 2}, {time.Hour, 3}} {
			time.Sleep(step.after)
			c.want200(t, "doc_1")
			if n := len(authority.Requests()); n != step.asked {
				t.Errorf("%s later: %d requests, want %d", step.after, n, step.asked)
			}
		}
	})
}

func TestLifetimeIsWhatTheServerSays(t *testing.T) {
	for name, test := range map[string]struct{ expiresIn, ttl, want time.Duration }{
		"expires_in":     {2 * time.Minute, time.Hour, 2 * time.Minute},
		"granted ttl":    {0, 3 * time.Minute, 3 * time.Minute},
		"as asked":       {0, 0, 5 * time.Minute},
		"negative words": {-time.Minute, -time.Minute, 5 * time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			authority := &fake.Authority{
				Decide: func(jit.Request) (jit.Decision, error) {
					return jit.Decision{Status: jit.StatusApproved, TTL: test.ttl}, nil
				},
				Issue: func(_ string, d rar.Detail) jit.Issued {
					time.Sleep(time.Second) // on its way
					return jit.Issued{Token: secret.New(fake.TokenFor(d)), ExpiresIn: test.expiresIn, Details: []rar.Detail{d}}
				},
			}
			c, start := offline(t, jit.Config{Authority: authority}, nil), time.Now()
			g, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{read("doc_1")}}), read("doc_1"))
			if err != nil || g.ExpiresAt.Sub(start) != test.want {
				t.Errorf("%s: %v, lives %s, want %s from before it was asked for", name, err, g.ExpiresAt.Sub(start), test.want)
			}
		})
	}
}

// Between looking for a grant and asking for one, another call may have got it.
func TestGrantThatCameMeanwhileIsFound(t *testing.T) {
	authority, meanwhile := &fake.Authority{}, func() {}
	rule := func(asked, ceiling rar.Detail) error {
		if asked.Identifier == "doc_1" && ceiling.Identifier == "doc_0" {
			meanwhile() // B is looking at the grant that there is
		}
		return rar.Within(asked, ceiling)
	}
	c := offline(t, jit.Config{Authority: authority, Rules: rar.Rules{"file_access": rule}}, nil)
	acquire := func(id string) {
		if _, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{read(id)}}), read(id)); err != nil {
			t.Error(err)
		}
	}
	acquire("doc_0")
	meanwhile = func() {
		meanwhile = func() {}
		acquire("doc_1") // A
	}
	acquire("doc_1") // B
	if n := len(authority.Requests()); n != 2 {
		t.Errorf("%d requests, want 2: doc_0 and doc_1", n)
	}
}
