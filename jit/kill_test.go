package jit_test

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// mortal is a journal that says when its tasks were killed.
type mortal struct {
	fake.Journal
	killed  atomic.Bool
	alone   string // the run that alone is; "" for all
	unknown error
	asked   atomic.Int64
}

func (m *mortal) Killed(_ context.Context, run string) (string, bool, error) {
	m.asked.Add(1)
	return "the key leaked", m.killed.Load() && (m.alone == "" || m.alone == run), m.unknown
}

// After a task was killed nothing is sent under it, with whatever credential, and nothing
// is asked; it is completed as ever. Where it is not known whether it was, the same.
func TestKilledTaskSendsNothing(t *testing.T) {
	for name, kill := range map[string]func(*mortal){
		"killed":    func(m *mortal) { m.killed.Store(true) },
		"not known": func(m *mortal) { m.unknown = errors.New("the disk is gone") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				journal, authority := &mortal{}, &fake.Authority{}
				c := offline(t, jit.Config{Authority: authority, Journal: journal}, nil)
				c.want200(t, "doc_1")
				sent := 0
				base := c.Transport.(*jit.Transport).Base
				c.over(tripper(func(r *http.Request) (*http.Response, error) { sent++; return base.RoundTrip(r) }))
				kill(journal)
				type step struct {
					name string
					try  func() error
				}
				effect := step{"an effect", func() error {
					_, _, err := c.send(t.Context(), jit.Call{Tool: "w", Ceiling: []rar.Detail{read("doc_1")}}, "POST", c.base+"/docs/doc_1", "x")
					return err
				}}
				refused := func(s step) {
					t.Helper()
					if err := s.try(); err == nil || errors.Is(err, jit.ErrKilled) != (journal.unknown == nil) || errors.Is(err, jit.ErrTaskEnded) != (journal.unknown == nil) {
						t.Errorf("%s: %v, want it refused", s.name, err)
					}
				}
				refused(effect) // at once
				time.Sleep(100 * time.Millisecond)
				for _, s := range []step{
					effect,
					{"with a live grant", func() error { return fetch(t.Context(), c, "doc_1") }},
					{"with the base token", func() error { return fetch(t.Context(), c, "doc_2") }},
					{"without HTTP, granted", func() error {
						_, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{read("doc_1")}}), read("doc_1"))
						return err
					}},
					{"without HTTP", func() error {
						_, err := jit.Acquire(c.task.Call(t.Context(), jit.Call{Ceiling: []rar.Detail{read("doc_3")}}), read("doc_3"))
						return err
					}},
					{"another step", func() error { return c.task.Alive(t.Context()) }},
				} {
					refused(s)
				}
				if sent != 0 || len(authority.Requests()) != 1 {
					t.Errorf("%d requests to the API and %d to the authority, want none and the one of before", sent, len(authority.Requests()))
				}
				if err := c.task.Complete(t.Context()); err != nil || len(authority.Completed()) != 1 {
					t.Errorf("Complete() = %v, completed %v", err, authority.Completed())
				}
			})
		})
	}
}

// A task that sends much asks seldom whether it was killed.
func TestKilledIsAskedTenTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal := &mortal{}
		c := offline(t, jit.Config{Authority: &fake.Authority{}, Journal: journal}, nil)
		for range 1000 {
			c.want200(t, "doc_1")
			time.Sleep(time.Millisecond)
		}
		if n := journal.asked.Load(); n < 10 || n > 12 {
			t.Errorf("asked %d times in a second", n)
		}
	})
}

// A call that waits for a person sees it at the next look.
func TestKilledWhileWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		journal, authority, start := &mortal{}, undecided(time.Hour, 0, 0), time.Now()
		c := offline(t, jit.Config{Authority: authority, Journal: journal, Wait: time.Hour}, nil)
		time.AfterFunc(time.Minute, func() { journal.killed.Store(true) })
		err := fetch(t.Context(), c, "doc_1")
		if looks := authority.Looks(); !errors.Is(err, jit.ErrKilled) || time.Since(start) > time.Minute+6*time.Second || looks[len(looks)-1].Sub(start) > time.Minute {
			t.Errorf("GET = %v after %s", err, time.Since(start))
		}
	})
}

// A task that was killed is not taken up, and neither is its session's turn.
func TestKilledTaskIsNotResumed(t *testing.T) {
	journal, authority := &mortal{}, undecided(time.Hour, 0, 0)
	c := offline(t, jit.Config{Authority: authority, Journal: journal}, nil)
	if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrPending) {
		t.Fatal(err)
	}
	if _, err := c.task.Suspend(t.Context(), "what", time.Time{}); err != nil {
		t.Fatal(err)
	}
	journal.killed.Store(true)
	engine := must(jit.New(jit.Config{Authority: authority, Journal: journal}))
	if _, err := engine.Resume(t.Context(), c.task.Run(), "what", nil); !errors.Is(err, jit.ErrKilled) {
		t.Errorf("Resume() = %v, want it killed", err)
	}
	if _, err := engine.Alive(t.Context(), ""); !errors.Is(err, jit.ErrKilled) {
		t.Errorf("Alive() = %v, want its session's last task killed", err)
	}
}

// A task that goes on with the turn of another one ends with it, and one that does not, does not.
func TestTaskAfterAnother(t *testing.T) {
	journal := &mortal{}
	engine := must(jit.New(jit.Config{Authority: &fake.Authority{}, Journal: journal}))
	first := must(engine.Open(t.Context(), jit.TaskSpec{Session: "s"}))
	journal.alone, _ = engine.Alive(t.Context(), "s")
	if journal.alone != first.Run() {
		t.Fatalf("the last task is %q, want %q", journal.alone, first.Run())
	}
	if err := first.Complete(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := must(engine.Open(t.Context(), jit.TaskSpec{Session: "s", After: journal.alone}))
	other := must(engine.Open(t.Context(), jit.TaskSpec{Session: "s"}))
	journal.killed.Store(true)
	if err := next.Alive(t.Context()); !errors.Is(err, jit.ErrKilled) {
		t.Errorf("the task after it: %v, want it killed", err)
	}
	if err := other.Alive(t.Context()); err != nil {
		t.Errorf("another task: %v", err)
	}
}
