package jit_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const baseToken = "base-token-0123456789"

// fakeAuthority approves what it is asked for, unless told otherwise. A nil func
// does what works; n counts from 1.
type fakeAuthority struct {
	login    func() (secret.String, error)
	create   func(context.Context) (jit.TaskInfo, error)
	complete func(ctx context.Context, n int) error
	decide   func(jit.Request) (jit.Decision, error)
	status   func(id string, n int) (jit.Decision, error)
	redeem   func(n int) error
	issue    func(id string, d rar.Detail) jit.Issued

	mu        sync.Mutex
	requests  []jit.Request
	polls     []time.Time
	tokens    int
	completed []string
	attempts  int
}

func (a *fakeAuthority) AgentToken(context.Context) (secret.String, error) {
	if a.login != nil {
		return a.login()
	}
	return secret.New(baseToken), nil
}

func (a *fakeAuthority) CreateTask(ctx context.Context, _ jit.TaskSpec) (jit.TaskInfo, error) {
	if a.create != nil {
		return a.create(ctx)
	}
	return jit.TaskInfo{ID: "task_1", ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func (a *fakeAuthority) CompleteTask(ctx context.Context, id string) error {
	a.mu.Lock()
	a.attempts++
	n := a.attempts
	a.mu.Unlock()
	if a.complete != nil {
		if err := a.complete(ctx, n); err != nil {
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

func (a *fakeAuthority) Request(_ context.Context, r jit.Request) (jit.Decision, error) {
	a.mu.Lock()
	a.requests = append(a.requests, r)
	id := fmt.Sprintf("jit_%d", len(a.requests))
	a.mu.Unlock()
	d := jit.Decision{Status: jit.StatusApproved, Risk: "low", TTL: r.TTL}
	var err error
	if a.decide != nil {
		d, err = a.decide(r)
	}
	if d.RequestID == "" {
		d.RequestID = id
	}
	return d, err
}

func (a *fakeAuthority) Status(_ context.Context, id string) (jit.Decision, error) {
	a.mu.Lock()
	a.polls = append(a.polls, time.Now())
	n := len(a.polls)
	a.mu.Unlock()
	if a.status != nil {
		return a.status(id, n)
	}
	return jit.Decision{RequestID: id, Status: jit.StatusApproved}, nil
}

func (a *fakeAuthority) Token(_ context.Context, id string) (jit.Issued, error) {
	a.mu.Lock()
	a.tokens++
	redemption := a.tokens
	var n int
	_, _ = fmt.Sscanf(id, "jit_%d", &n)
	d := a.requests[n-1].Detail
	a.mu.Unlock()
	if a.redeem != nil {
		if err := a.redeem(redemption); err != nil {
			return jit.Issued{}, err
		}
	}
	if a.issue != nil {
		return a.issue(id, d), nil
	}
	return jit.Issued{Token: secret.New(tokenFor(d)), Type: "Bearer", ExpiresIn: 5 * time.Minute, Details: []rar.Detail{d}}, nil
}

func (a *fakeAuthority) asked() []jit.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

func (a *fakeAuthority) looks() []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.polls)
}

func (a *fakeAuthority) redeemed() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.tokens
}

func (a *fakeAuthority) ended() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.completed)
}

// tokenFor names what a token of the fake covers, so that the fake API can check
// it without a server between them.
func tokenFor(d rar.Detail) string {
	digest, err := d.Digest()
	if err != nil {
		panic(err)
	}
	return "grant-" + digest
}

// transient is a fault that is worth another try.
type transient struct{ wait time.Duration }

func (transient) Error() string                      { return "try again" }
func (t transient) Temporary() (time.Duration, bool) { return t.wait, true }

// events collects what a task reports.
type events struct {
	mu  sync.Mutex
	all []jit.Event
}

func (e *events) observe(ev jit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) list() []jit.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.all)
}

func (e *events) kinds() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var kinds []string
	for _, ev := range e.all {
		kinds = append(kinds, ev.Kind())
	}
	return kinds
}

// journal keeps entries, and fails for the kinds that it is told to.
type journal struct {
	fail func(jit.Entry) error // nil never fails

	mu      sync.Mutex
	entries []jit.Entry
}

func (j *journal) Append(_ context.Context, e jit.Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.fail != nil {
		if err := j.fail(e); err != nil {
			return err
		}
	}
	j.entries = append(j.entries, e)
	return nil
}

func (j *journal) Note(e jit.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, e)
}

func (j *journal) all() []jit.Entry {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

func (j *journal) kinds() []string {
	var kinds []string
	for _, e := range j.all() {
		kinds = append(kinds, string(e.Kind))
	}
	return kinds
}

// counting counts the tasks that were created.
type counting struct {
	*fakeAuthority
	created *int
}

func (c *counting) CreateTask(ctx context.Context, spec jit.TaskSpec) (jit.TaskInfo, error) {
	*c.created++
	return c.fakeAuthority.CreateTask(ctx, spec)
}
