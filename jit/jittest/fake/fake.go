// Package fake holds an authorization server and a protected API that are function
// calls: without sockets, so that they work under testing/synctest, and with faults
// that a real server does not have. Where neither matters, package jittest has the
// real ones.
//
// A fake takes everybody at their word: it checks no ceiling, no login and no
// expiry, and keeps no task apart from another.
package fake

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// BaseToken is what an [Authority] gives as the agent's own token.
const BaseToken = "base-canary-3f9a7c51e8d24b06"

// TokenFor returns the token that an [Authority] issues for a detail. It names what
// it covers, so that a fake API can check it without a server between them. It
// panics for a detail that is not valid.
func TokenFor(d rar.Detail) string {
	digest, err := d.Digest()
	if err != nil {
		panic(err)
	}
	return "grant-canary-" + digest
}

// An Authority approves what it is asked for and issues a token for it, unless told
// otherwise. A nil func does what works; n counts calls from 1. The funcs may be
// called from several goroutines at once; change them only while no call is under
// way. The zero Authority is ready for use, and safe for concurrent use.
type Authority struct {
	// Login gives the agent's token.
	Login func() (jit.Credential, error)
	// Create opens a task.
	Create func(context.Context) (jit.TaskInfo, error)
	// Complete may refuse the n-th try to complete a task.
	Complete func(ctx context.Context, n int) error
	// Decide answers a request. A decision without RequestID gets one.
	Decide func(jit.Request) (jit.Decision, error)
	// Look is the n-th look at a request that is pending. Without it the request is
	// approved by then.
	Look func(id string, n int) (jit.Decision, error)
	// Redeem may refuse the n-th redemption.
	Redeem func(n int) error
	// Issue makes the token of a request.
	Issue func(id string, d rar.Detail) jit.Issued

	mu        sync.Mutex
	opened    int
	requests  []jit.Request
	looks     []time.Time
	redeemed  int
	tries     int
	completed []string
}

var _ jit.Authority = (*Authority)(nil)

// AgentToken implements [jit.Authority].
func (a *Authority) AgentToken(context.Context) (jit.Credential, error) {
	if a.Login != nil {
		return a.Login()
	}
	return jit.Credential{Token: secret.New(BaseToken)}, nil
}

// CreateTask implements [jit.Authority]: the n-th task is "task_n".
func (a *Authority) CreateTask(ctx context.Context, _ jit.TaskSpec) (jit.TaskInfo, error) {
	if a.Create != nil {
		return a.Create(ctx)
	}
	n := locked(a, func() int { a.opened++; return a.opened })
	return jit.TaskInfo{ID: fmt.Sprintf("task_%d", n), ExpiresAt: time.Now().Add(time.Hour)}, nil
}

// CompleteTask implements [jit.Authority].
func (a *Authority) CompleteTask(ctx context.Context, id string) error {
	n := locked(a, func() int { a.tries++; return a.tries })
	if a.Complete != nil {
		if err := a.Complete(ctx, n); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.completed = append(a.completed, id)
	return nil
}

// Request implements [jit.Authority]: the n-th request is "jit_n".
func (a *Authority) Request(_ context.Context, r jit.Request) (jit.Decision, error) {
	a.mu.Lock()
	a.requests = append(a.requests, r)
	id := fmt.Sprintf("jit_%d", len(a.requests))
	a.mu.Unlock()
	d := jit.Decision{Status: jit.StatusApproved, Risk: "low", TTL: r.TTL}
	var err error
	if a.Decide != nil {
		d, err = a.Decide(r)
	}
	if d.RequestID == "" {
		d.RequestID = id
	}
	return d, err
}

// Status implements [jit.Authority].
func (a *Authority) Status(_ context.Context, id string) (jit.Decision, error) {
	n := locked(a, func() int { a.looks = append(a.looks, time.Now()); return len(a.looks) })
	if a.Look != nil {
		return a.Look(id, n)
	}
	return jit.Decision{RequestID: id, Status: jit.StatusApproved}, nil
}

// Token implements [jit.Authority].
func (a *Authority) Token(_ context.Context, id string) (jit.Issued, error) {
	a.mu.Lock()
	a.redeemed++
	redemption := a.redeemed
	var n int
	if _, err := fmt.Sscanf(id, "jit_%d", &n); err != nil || n < 1 || n > len(a.requests) {
		a.mu.Unlock()
		return jit.Issued{}, fmt.Errorf("fake: no request %q", id)
	}
	d := a.requests[n-1].Detail
	a.mu.Unlock()
	if a.Redeem != nil {
		if err := a.Redeem(redemption); err != nil {
			return jit.Issued{}, err
		}
	}
	if a.Issue != nil {
		return a.Issue(id, d), nil
	}
	return jit.Issued{Token: secret.New(TokenFor(d)), Type: "Bearer", ExpiresIn: 5 * time.Minute, Details: []rar.Detail{d}}, nil
}

// Opened returns how many tasks were opened, as far as Create did not do it.
func (a *Authority) Opened() int { return locked(a, func() int { return a.opened }) }

// Requests returns the requests for authority, in order.
func (a *Authority) Requests() []jit.Request {
	return locked(a, func() []jit.Request { return slices.Clone(a.requests) })
}

// Asked returns the details that were asked for, in order.
func (a *Authority) Asked() (details []rar.Detail) {
	for _, r := range a.Requests() {
		details = append(details, r.Detail)
	}
	return details
}

// Looks returns when somebody looked at a request.
func (a *Authority) Looks() []time.Time {
	return locked(a, func() []time.Time { return slices.Clone(a.looks) })
}

// Redeemed returns how often a token was asked for.
func (a *Authority) Redeemed() int { return locked(a, func() int { return a.redeemed }) }

// Tries returns how often somebody tried to complete a task.
func (a *Authority) Tries() int { return locked(a, func() int { return a.tries }) }

// Completed returns the ids of the tasks that were completed, in order.
func (a *Authority) Completed() []string {
	return locked(a, func() []string { return slices.Clone(a.completed) })
}

func locked[T any](a *Authority, get func() T) T {
	a.mu.Lock()
	defer a.mu.Unlock()
	return get()
}

// Task starts a task at a that is completed with the test, by an engine to whose
// configuration each change is made. The test fails when the engine cannot be made,
// or the task not completed.
func Task(t testing.TB, a *Authority, changes ...func(*jit.Config)) *jit.Task {
	t.Helper()
	cfg := jit.Config{Authority: a}
	for _, change := range changes {
		change(&cfg)
	}
	engine, err := jit.New(cfg)
	if err != nil {
		t.Fatalf("fake: %v", err)
	}
	task := engine.Start(t.Context(), jit.TaskSpec{Name: "test"}, nil)
	t.Cleanup(func() {
		if err := task.Complete(context.WithoutCancel(t.Context())); err != nil {
			t.Errorf("fake: %v", err)
		}
	})
	return task
}

// Guard returns a handler that lets a request pass to next when it carries the
// token for what need says, and else demands that. Where need names no location, a
// token for this API alone will do.
func Guard(need func(*http.Request) rar.Detail, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := need(r)
		for _, scheme := range []string{"", "http://", "https://"} {
			has := d
			if scheme != "" && d.Locations == nil {
				has.Locations = []string{scheme + r.Host}
			}
			if r.Header.Get("Authorization") == "Bearer "+TokenFor(has) {
				next.ServeHTTP(w, r)
				return
			}
		}
		if err := challenge.Write(w, http.StatusForbidden, d, "more authority needed"); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// A Transport makes round trips to a handler without a socket. Set it as the Base
// of a [jit.Transport].
type Transport struct{ Handler http.Handler }

// served reports whether the handler answered, and did not abort.
func served(h http.Handler, w http.ResponseWriter, r *http.Request) (ok bool) {
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // net/http compares it so too
			panic(p)
		}
	}()
	h.ServeHTTP(w, r)
	return true
}

// RoundTrip implements [http.RoundTripper]. A handler that aborts breaks the connection.
func (t Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	if !served(t.Handler, rec, in) {
		return nil, io.ErrUnexpectedEOF
	}
	_, _ = io.Copy(io.Discard, in.Body)
	_ = in.Body.Close()
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}
