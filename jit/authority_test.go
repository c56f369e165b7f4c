package jit_test

import (
	"context"
	"slices"
	"sync"
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
	*fake.Authority
	created *int
}

func (c *counting) CreateTask(ctx context.Context, spec jit.TaskSpec) (jit.TaskInfo, error) {
	*c.created++
	return c.Authority.CreateTask(ctx, spec)
}
