package runner

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// ErrLost says that somebody else goes on with the session, since this process gave no sign of
// life for too long. Nothing more of the run may happen here, and its task is not ours to
// give back.
var ErrLost = errors.New("another process goes on with the session")

// ErrAway says that the database went away while a conversation was written to: the run ends
// here, and its [Runs] have it gone on with, by whoever comes, from what was written. A
// session service wraps it.
var ErrAway = fmt.Errorf("the conversation could not be written: %w", ErrLost)

// ErrUnavailable says that what keeps conversations, or who is at them, does not answer:
// nothing was begun, and the same may be tried again. Session services and [Runs] wrap it.
var ErrUnavailable = errors.New("the database does not answer")

// Runs let one run at a time into a session, of whatever process: ADK does not serialise,
// and two runs would mix their histories. Package runs in state keeps them in a database.
// They must be safe for concurrent use.
type Runs interface {
	// Begin takes a session for a run, or fails with an error that wraps [ErrBusy] while
	// another has it. The context is what the run is to be done under: with ctx's values,
	// and canceled with the cause [ErrLost] when the session is taken from it.
	Begin(ctx context.Context, app, user, session string) (context.Context, Lease, error)
	// Busy reports whether a run has the session, or is about to go on in it.
	Busy(ctx context.Context, app, user, session string) (bool, error)
}

// A Lease is a session in the hands of a run. It ends with Suspended or Ended, whatever
// they return; ending it again changes nothing. [ErrLost] says that the session is in other
// hands by now, and with it the run's task; with any other error the task is completed.
type Lease interface {
	// Opened says that the run's task is this process's own: until then nobody may give
	// back what an earlier process left of the session.
	Opened()
	// Suspended leaves the session to wait for decisions of requests, until the last of
	// them runs out.
	Suspended(ctx context.Context, requests []string, until time.Time) error
	// Ended leaves the session with nothing under way.
	Ended(ctx context.Context, outcome Outcome) error
}

// LocalRuns returns the runs of one process: those of all that are given it.
func LocalRuns() Runs { return &localRuns{} }

// localRuns are the runs of one process.
type localRuns struct {
	mu   sync.Mutex
	busy map[conversation]*localLease
}

// Begin implements [Runs].
func (l *localRuns) Begin(ctx context.Context, app, user, session string) (context.Context, Lease, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := conversation{app, user, session}
	if l.busy[c] != nil {
		return nil, nil, ErrBusy
	}
	if l.busy == nil {
		l.busy = map[conversation]*localLease{}
	}
	lease := &localLease{l, c}
	l.busy[c] = lease
	return ctx, lease, nil
}

// Busy implements [Runs].
func (l *localRuns) Busy(_ context.Context, app, user, session string) (bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.busy[conversation{app, user, session}] != nil, nil
}

type localLease struct {
	*localRuns
	c conversation
}

// Opened implements [Lease].
func (l *localLease) Opened() {}

// Suspended implements [Lease].
func (l *localLease) Suspended(ctx context.Context, _ []string, _ time.Time) error {
	return l.Ended(ctx, Pending)
}

// Ended implements [Lease].
func (l *localLease) Ended(context.Context, Outcome) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy[l.c] == l {
		delete(l.busy, l.c)
	}
	return nil
}
