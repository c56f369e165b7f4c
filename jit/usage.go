package jit

import (
	"context"
	"maps"
	"slices"
	"sync"
)

// A Usage is what calls of a model used, in tokens as its provider counts them.
type Usage struct {
	Model          string
	Prompt, Output int // Output has what was thought, too
}

// models is what the models of a task used.
type models struct {
	mu   sync.Mutex
	used map[string]Usage
}

func (m *models) add(u Usage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used == nil {
		m.used = map[string]Usage{}
	}
	sum := m.used[u.Model]
	m.used[u.Model] = Usage{u.Model, sum.Prompt + u.Prompt, sum.Output + u.Output}
}

// Used records what a call of a model used. It is durable when Used returns, so that what
// bounds the use of models counts it in whatever process the task goes on.
func (t *Task) Used(ctx context.Context, u Usage) error {
	t.models.add(u)
	e := t.entry(EntryUsage)
	e.Model, e.Prompt, e.Output = u.Model, u.Prompt, u.Output
	return t.record(ctx, e)
}

// Usage returns what each model used under the task, in earlier processes too: see
// [Engine.Resume] and [Task.Inherit].
func (t *Task) Usage() []Usage {
	t.models.mu.Lock()
	defer t.models.mu.Unlock()
	return slices.Collect(maps.Values(t.models.used))
}
