package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/failpoints"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

// A runState is the journal of one run, and what it has to say at the end.
type runState struct {
	*cli.State
	parts     *service.Parts
	ephemeral bool
	refused   atomic.Pointer[error] // of the first entry that the journal did not take
}

var _ failpoints.Kept = (*runState)(nil)

// openRunState opens the journal of a run and the conversations beside it or, for
// --ephemeral, a journal in memory, and says what that gives up. The caller calls end.
func openRunState(ctx context.Context, s *service.Parts, ephemeral bool) (_ *runState, err error) {
	if ephemeral {
		if s.State, err = cli.Ephemeral(ctx, s.Log); err == nil {
			s.Note("--ephemeral: the journal is in memory: if this process dies, what it was granted lives until it expires, and nothing is left to audit or to go on with")
		}
	} else {
		s.State, s.Sessions, err = s.OpenSessions(ctx, s.Log)
		if e, ok := errors.AsType[*cli.ExitError](err); ok && e.Hint == cli.StateHint {
			e.Hint = cli.RunHint
		}
	}
	return &runState{State: s.State, parts: s, ephemeral: ephemeral}, err
}

// Append implements [jit.Journal]. It remembers why the journal took no more entries:
// the run fails for it, but what it says last may be about a tool.
func (s *runState) Append(ctx context.Context, entries ...jit.Entry) error {
	err := s.State.Append(ctx, entries...)
	if err != nil && cli.Unrecorded(err) {
		s.refused.CompareAndSwap(nil, &err)
	}
	return err
}

// end closes the journal and words what the run leaves behind. completed is what the
// run said about the end of its task; nil when it said nothing.
func (s *runState) end(ctx context.Context, completed *jit.Completed, err error) error {
	ctx = context.WithoutCancel(ctx)
	left, leaveErr := s.leave(ctx, completed)
	if closeErr := s.State.Close(); leaveErr != nil || closeErr != nil {
		s.parts.Log.WarnContext(ctx, "the journal lacks what was known at the end", "error", errors.Join(leaveErr, closeErr))
	}
	if leaveErr != nil {
		s.refused.CompareAndSwap(nil, &leaveErr)
	}
	refused := s.refused.Load()
	switch {
	case left == 0 && refused == nil:
		return err
	case err == nil && refused != nil && left == 0: // only the end of the task is missing
		s.parts.Note("all was given back, but that could not be recorded, so the next command does it once more: %s", plain.Line((*refused).Error(), 300))
		return nil
	}
	e := cli.Exit(cmp.Or(err, errors.New("the run is over")))
	if e.Err == nil {
		e.Err = errors.New("the output could not be written")
	}
	if refused != nil {
		if !cli.Unrecorded(e.Err) {
			e.Err = fmt.Errorf("%w; what cannot be recorded is not done: %w", e.Err, *refused)
		}
		e.Hint = s.Hint()
	}
	if left > 0 {
		next := "the next analyst command, or analyst sweep, completes it"
		if s.ephemeral {
			next = "with --ephemeral nobody completes it: its tokens live until they expire"
		}
		e.Err = fmt.Errorf("%w; the task is not given back yet: %s", e.Err, next)
	}
	return e
}

// leave tells the journal what the run could not, and returns how many tasks are not
// given back.
func (s *runState) leave(ctx context.Context, completed *jit.Completed) (int, error) {
	reason := "the run ended before the authorization server confirmed the end of the task"
	switch {
	case completed == nil:
	case completed.Error != "":
		reason = completed.Error
	case completed.TaskID != "":
		// Given back. If the journal did not take that before, it may now.
		t, err := s.Task(ctx, completed.TaskID)
		if err == nil {
			err = s.Mark(ctx, t.Run, journal.Mark{State: journal.StateCompleted, Next: completed.ExpiresAt})
		}
		return 0, err
	}
	return recovery.Leave(ctx, s.State, reason)
}
