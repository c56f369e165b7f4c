package jit

import (
	"context"
	"errors"
	"fmt"
)

// ErrKilled says that somebody ended the task, from outside the process that works on it. Errors
// that wrap it wrap [ErrTaskEnded], too.
var ErrKilled = errors.New("the task was killed")

// A Killer is a [Journal] that says which tasks were killed, whoever works on them. Killed
// is asked before each request, and must answer at once; what it does not know, it says
// by an error, and nothing is sent then.
type Killer interface {
	Killed(ctx context.Context, run string) (reason string, killed bool, err error)
}

// Alive fails once the task was killed: then nothing is asked or sent under it any more, and
// it is to be completed. Package jit asks before each request to an API and to the
// authorization server; a program asks before other steps, such as a call of a model.
func (t *Task) Alive(ctx context.Context) error { return t.engine.alive(ctx, t.run) }

func (e *Engine) alive(ctx context.Context, run string) error {
	k, ok := e.cfg.Journal.(Killer)
	if !ok {
		return nil
	}
	switch reason, killed, err := k.Killed(ctx, run); {
	case err != nil:
		return fmt.Errorf("jit: it is not known whether the task was killed: %w", err)
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
// was killed: a turn that was interrupted by that is not gone on with.
func (e *Engine) Alive(ctx context.Context, session string) error {
	journal, ok := e.cfg.Journal.(Rereader)
	if !ok {
		return nil
	}
	runs, err := journal.Runs(ctx, session)
	if err != nil || len(runs) == 0 {
		return err
	}
	return e.alive(ctx, runs[len(runs)-1])
}
