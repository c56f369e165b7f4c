package jit

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// Child returns the task that spec names below t, such as that of another agent that does
// a part of the work, and begins to open it if there is none. It has grants of its own. Its
// calls may ask for nothing outside of ceiling, nor of that of any task above it, nor of
// their own: nil is all that t may ask for, and an empty list that is not nil is nothing.
// What a detail of ceiling leaves out, such as an identifier, it does not bound, since each
// call has a ceiling of its own beside it.
// What calls under it did counts for t as well: an effect that one of the two sent is not
// sent again, what one was denied the other is, and [Task.Usage] is that of both. It is
// completed and suspended with t, and can be completed before.
//
// spec's Name is required; its user and its session are t's, and so is a Type of "". ctx is as for [Engine.Start].
// Child fails with an error that wraps [ErrTaskEnded] when t has ended, and for a ceiling
// that does not lie within t's, or is not the one that the task was begun with.
func (t *Task) Child(ctx context.Context, spec TaskSpec, ceiling []rar.Detail) (*Task, error) {
	checked, err := t.narrower(ceiling)
	if err == nil && spec.Name == "" {
		err = errors.New("it has no name")
	}
	if err != nil {
		return nil, fmt.Errorf("jit: task %q below another: %w", spec.Name, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended.Load() {
		return nil, fmt.Errorf("jit: task %q below another: %w", spec.Name, ErrTaskEnded)
	}
	for _, child := range t.below {
		switch {
		case child.spec.Name != spec.Name || child.ended.Load():
			continue
		case child.adopted:
			child.ceiling, child.adopted = checked, false
		case (child.ceiling == nil) != (checked == nil) || !slices.EqualFunc(child.ceiling, checked, sameChecked):
			return nil, fmt.Errorf("jit: task %q below another: it has another ceiling", spec.Name)
		}
		return child, nil
	}
	child := t.engine.newTask(ctx, rand.Text(), t.family)
	child.parent, child.spec, child.ceiling = t, spec, checked
	t.below = append(t.below, child)
	child.spec.Session, child.spec.OnBehalfOf, child.spec.Type = t.spec.Session, t.spec.OnBehalfOf, cmp.Or(spec.Type, t.spec.Type)
	go child.create(context.WithoutCancel(ctx))
	return child, nil
}

// narrower returns a ceiling for a task below t, which must lie within t's.
func (t *Task) narrower(ceiling []rar.Detail) ([]rar.Checked, error) {
	if ceiling == nil {
		return nil, nil
	}
	checked := make([]rar.Checked, len(ceiling)) // what is checked now must be what holds later
	for i, d := range ceiling {
		var err error
		if checked[i], err = d.Clone().Check(); err == nil {
			err = t.lies(checked[i])
		}
		if err != nil {
			return nil, fmt.Errorf("ceiling[%d]: %w", i, err)
		}
	}
	return checked, nil
}

// lies reports whether d lies within the ceilings of the task and of all above it, read as
// RFC 9396 means them: [rar.Within], which allows, asks more.
func (t *Task) lies(d rar.Checked) error {
	for above := t; above != nil; above = above.parent {
		if above.ceiling == nil {
			continue
		}
		holds := func(c rar.Checked) bool { return rar.Covers(c, d) || t.engine.cfg.Rules.Within(d, c) == nil }
		if !slices.ContainsFunc(above.ceiling, holds) {
			return fmt.Errorf("it lies outside the ceiling of task %q", above.spec.Name)
		}
	}
	return nil
}

// within reports whether d lies within the ceiling of a call, the operator's policy, and
// the ceilings of the task and of all above it; and which element of the call's holds it.
func (t *Task) within(d rar.Checked, ceiling []rar.Checked) (int, error) {
	i, err := t.engine.within(d, ceiling)
	if err == nil {
		err = t.lies(d)
	}
	if err != nil {
		return -1, err
	}
	return i, nil
}

// end has nothing more asked or sent under the task and those below it, which it returns,
// the task first.
func (t *Task) end() []*Task {
	t.mu.Lock()
	t.ended.Store(true)
	below := slices.Clone(t.below)
	t.mu.Unlock()
	all := []*Task{t}
	for _, child := range below {
		all = append(all, child.end()...)
	}
	return all
}

// maxCompleting bounds the tasks below one that are completed at once.
const maxCompleting = 8

// completeBelow completes the tasks directly below t, and each those below it, in half of
// the time that is left.
func (t *Task) completeBelow(ctx context.Context) error {
	t.mu.Lock()
	below := slices.Clone(t.below)
	t.mu.Unlock()
	if len(below) == 0 {
		return nil
	}
	deadline, _ := ctx.Deadline() // of Complete
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)/2)
	defer cancel()
	errs, slots := make([]error, len(below)), make(chan struct{}, maxCompleting)
	var work sync.WaitGroup
	for i, child := range below {
		slots <- struct{}{}
		work.Go(func() {
			defer func() { <-slots }()
			errs[i] = child.Complete(ctx)
		})
	}
	work.Wait()
	return errors.Join(errs...)
}

// resumeBelow takes up the tasks that were suspended with t, and returns what the journal
// has about all that were ever below it. One that is over by now stays so: who asks for a
// task of its name gets another.
func (t *Task) resumeBelow(ctx context.Context, journal Rereader) (all []Entry, err error) {
	runs, err := kin(ctx, journal, t.run)
	if err != nil {
		return nil, err
	}
	known := map[string]*Task{t.run: t}
	for _, run := range runs[1:] {
		entries, err := journal.Entries(ctx, run)
		if err != nil {
			return nil, err
		}
		child := t.engine.newTask(ctx, run, t.family)
		child.parent = known[child.reread(entries).Parent]
		if child.parent == nil {
			continue // of another by now
		}
		known[run], child.parent.below = child, append(child.parent.below, child)
		all = append(all, entries...)
		child.epoch++
		child.ceiling, child.adopted = []rar.Checked{}, true // nothing, until somebody asks for it
		close(child.opened)
		close(child.announced)
		err = ErrTaskEnded
		if child.info.ID != "" {
			err = t.engine.record(ctx, child.entry(EntryTaskResumed))
		}
		if err == nil {
			continue
		}
		child.ended.Store(true)
		child.completed.Store(true) // or whoever has it does that
		if !errors.Is(err, ErrTaskEnded) && !errors.Is(err, ErrClaimed) {
			return nil, err
		}
	}
	return all, nil
}

// kin returns a run and those below it at any depth, each behind the one it is below.
func kin(ctx context.Context, journal Rereader, run string) ([]string, error) {
	all := []string{run}
	for i := 0; i < len(all); i++ {
		below, err := journal.Below(ctx, all[i])
		if err != nil {
			return nil, err
		}
		for _, one := range below {
			if !slices.Contains(all, one) {
				all = append(all, one)
			}
		}
	}
	return all, nil
}

// entriesOf returns what the journal has about a run and those below it.
func entriesOf(ctx context.Context, journal Rereader, run string) (all []Entry, err error) {
	runs, err := kin(ctx, journal, run)
	for _, one := range runs {
		entries, fault := journal.Entries(ctx, one)
		if fault != nil {
			return nil, fault
		}
		all = append(all, entries...)
	}
	return all, err
}

func sameChecked(a, b rar.Checked) bool { return a.Canonical() == b.Canonical() }

func detailsOf(checked []rar.Checked) (details []rar.Detail) {
	for _, c := range checked {
		details = append(details, c.Detail())
	}
	return details
}
