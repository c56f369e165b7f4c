package jit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrKilled says that somebody ended the task, from outside the process that works on it. Errors
// that wrap it wrap [ErrTaskEnded], too.
var ErrKilled = errors.New("the task was killed")

// A Killer is a [Journal] that says which tasks were killed, whoever works on them. Killed
// is asked before each effect and, at most ten times a second for each task, before other
// requests. What it does not know, it says by an error, and nothing is sent then.
type Killer interface {
	Killed(ctx context.Context, run string) (reason string, killed bool, err error)
}

// killBound is for how long a task that was alive is taken to be. It is longer than a
// request takes, so that a task with many of them seldom asks, and less than anybody needs
// to say that a kill is done.
const killBound = 100 * time.Millisecond

// Alive fails once the task was killed, or one above it, a tenth of a second later at most,
// and once the journal failed, with an error that wraps [ErrJournal]: then nothing is asked
// or sent under it any more, and it is to be completed. Package jit asks before each request
// to an API and to the authorization server; a program asks before other steps, such as a
// call of a model.
func (t *Task) Alive(ctx context.Context) error {
	if at := t.alive.Load(); at != nil && t.broken.Load() == nil {
		// Of two clocks one stands still while the machine sleeps, and the other may be set.
		now := time.Now()
		if wall := now.Round(0).Sub(at.Round(0)); now.Sub(*at) < killBound && 0 <= wall && wall < killBound {
			return nil
		}
	}
	return t.aliveNow(ctx)
}

// aliveNow is Alive, and sees each kill that was done before.
func (t *Task) aliveNow(ctx context.Context) error {
	if err := t.broken.Load(); err != nil {
		return *err
	}
	now := time.Now()
	for above := t; above != nil; above = above.parent {
		err := above.engine.alive(ctx, above.run)
		if err == nil && above.spec.After != "" {
			err = above.engine.alive(ctx, above.spec.After)
		}
		if err != nil {
			t.fail(ctx, err)
			return err
		}
	}
	t.alive.Store(&now)
	return nil
}

// fail keeps an error if it is the journal's own, and not that ctx has ended.
func (t *Task) fail(ctx context.Context, err error) {
	if errors.Is(err, ErrJournal) && ctx.Err() == nil {
		t.broken.CompareAndSwap(nil, &err)
	}
}

func (e *Engine) alive(ctx context.Context, run string) error {
	k, ok := e.cfg.Journal.(Killer)
	if !ok {
		return nil
	}
	switch reason, killed, err := k.Killed(ctx, run); {
	case err != nil:
		return fmt.Errorf("jit: it is not known whether the task was killed: %w: %w", ErrJournal, err)
	case killed:
		return killedError(reason)
	}
	return nil
}

// A killedError is the reason for which a task was killed, if one was given.
type killedError string

func (e killedError) Error() string {
	if e == "" {
		return "jit: " + ErrKilled.Error()
	}
	return "jit: " + ErrKilled.Error() + ": " + string(e)
}

// Unwrap returns what the error is.
func (killedError) Unwrap() []error { return []error{ErrKilled, ErrTaskEnded} }

// Alive fails, with an error that wraps [ErrKilled], for a session of which the last task
// was killed, or one below it: a turn that was interrupted by that is not gone on with. It
// returns the run of that task, "" for none, which [TaskSpec.After] takes: it may be killed
// yet.
func (e *Engine) Alive(ctx context.Context, session string) (last string, err error) {
	journal, ok := e.cfg.Journal.(Rereader)
	if !ok {
		return "", nil
	}
	runs, err := journal.Runs(ctx, session)
	if err != nil || len(runs) == 0 {
		return "", err
	}
	last = runs[len(runs)-1]
	all, err := kin(ctx, journal, last)
	for _, run := range all {
		err = cmp.Or(err, e.alive(ctx, run))
	}
	return last, err
}
