package jit_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
)

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
	waited  []string // the kinds that were appended, those of one call together
}

func (j *journal) Append(_ context.Context, entries ...jit.Entry) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		if j.fail != nil {
			if err := j.fail(e); err != nil {
				return err
			}
		}
	}
	j.entries = append(j.entries, entries...)
	var kinds []string
	for _, e := range entries {
		kinds = append(kinds, string(e.Kind))
	}
	j.waited = append(j.waited, strings.Join(kinds, " "))
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
	*fake.Authority
	created *int
}

func (c *counting) CreateTask(ctx context.Context, spec jit.TaskSpec) (jit.TaskInfo, error) {
	*c.created++
	return c.Authority.CreateTask(ctx, spec)
}

// declined is a fault with the server's reason.
type declined struct{ why string }

func (d declined) Error() string  { return "https://auth.internal/10.1.2.3: " + d.why }
func (d declined) Reason() string { return d.why }

// TestAuthorityErrorSaysWhoseFaultItIs: every error of the Authority reaches the
// caller as one type, with true words, whichever of its methods made it.
func TestAuthorityErrorSaysWhoseFaultItIs(t *testing.T) {
	const down = "the authorization server could not be reached, or it failed"
	pending := func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: jit.StatusPending}, nil }
	for _, tt := range []struct {
		name      string
		authority func(error) *fake.Authority
		op        string
	}{
		{"login", func(err error) *fake.Authority {
			return &fake.Authority{Login: func() (jit.Credential, error) { return jit.Credential{}, err }}
		}, "log the agent in"},
		{"create", func(err error) *fake.Authority {
			return &fake.Authority{Create: func(context.Context) (jit.TaskInfo, error) { return jit.TaskInfo{}, err }}
		}, "open the task"},
		{"request", func(err error) *fake.Authority {
			return &fake.Authority{Decide: func(jit.Request) (jit.Decision, error) { return jit.Decision{}, err }}
		}, "take the request"},
		{"status", func(err error) *fake.Authority {
			return &fake.Authority{Decide: pending, Look: func(string, int) (jit.Decision, error) { return jit.Decision{}, err }}
		}, "tell the state of the request"},
		{"token", func(err error) *fake.Authority {
			return &fake.Authority{Redeem: func(int) error { return err }}
		}, "issue the token"},
	} {
		for _, fault := range []struct {
			err  error
			want string
		}{
			{errors.New("dial tcp 10.1.2.3:443: refused"), down},
			{declined{""}, down},
			{fmt.Errorf("wrapped: %w", declined{"no such user"}), "the authorization server did not " + tt.op + ": no such user"},
		} {
			c := offline(t, jit.Config{Authority: tt.authority(fault.err), Wait: time.Minute, PollInterval: time.Millisecond}, nil)
			resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
			if err == nil {
				_ = resp.Body.Close()
			}
			e, ok := errors.AsType[*jit.AuthorityError](err)
			if !ok || e.Op != tt.op || e.Words() != fault.want || !errors.Is(err, fault.err) {
				t.Errorf("%s fails with %q: got %v (%+v), want words %q", tt.name, fault.err, err, e, fault.want)
			}
		}
	}
}
