package recovery

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// A kind says what can be done about a task.
type kind uint8

const (
	foreign  kind = iota // nobody whom we may ask, or nothing to ask about
	ours                 // complete it at the server
	embedded             // its server is gone
)

func (cfg *Config) kind(t journal.Task) kind {
	switch {
	case t.Authority == Embedded:
		return embedded
	case t.ID != "" && cfg.Authority != "" && t.Authority == cfg.Authority:
		return ours
	}
	return foreign
}

// over reports whether a task has ended by the clock: whatever was asked for under
// it, and the task itself as the server told its end. One that the server never named
// is over from the start: nothing was ever asked for under it. If it is open at the
// server, it is empty there.
func over(t journal.Task, now time.Time) bool {
	return !now.Before(t.Until) && !now.Before(t.ExpiresAt)
}

// settle finishes a task for which no server can be asked.
func (cfg *Config) settle(ctx context.Context, t journal.Task) (journal.State, error) {
	if cfg.kind(t) == embedded && !over(t, time.Now()) {
		// The journal goes by the clock alone, so this cannot be called expired yet. A
		// later round does.
		return journal.StateUnknown, cfg.Journal.Mark(ctx, t.Run, journal.Mark{State: journal.StateUnknown, Reason: embeddedGone})
	}
	return journal.StateExpired, cfg.Journal.Mark(ctx, t.Run, journal.Mark{State: journal.StateExpired})
}

// An ending is what came of one try.
type ending struct {
	state   journal.State // completed, expired, or completing when it is to be tried again
	next    time.Time     // when
	wait    time.Duration // that the server asked for
	failure error         // why it was not completed
	err     error         // of the journal: nothing more can be done
}

// try asks the server to complete a task, once, calls worked if it does, and records
// what came of it.
func (cfg *Config) try(ctx context.Context, t journal.Task, worked func()) (e ending) {
	keep := context.WithoutCancel(ctx) // what is known is recorded though ctx may be over
	trying, cancel := context.WithTimeout(ctx, cfg.TryTimeout)
	e.failure = cfg.Completer.CompleteTask(trying, t.ID)
	cancel()
	var until time.Time
	if left, ok := errors.AsType[*jit.ExpiringError](e.failure); ok {
		until, e.failure = left.Until, nil
	}
	if e.failure == nil {
		worked()
		e.state, e.err = journal.StateCompleted, cfg.Journal.Mark(keep, t.Run, journal.Mark{State: journal.StateCompleted, Next: until})
		return e
	}
	var passes bool
	e.wait, passes = temporary(e.failure)
	e.state = journal.StateCompleting
	if ctx.Err() != nil && !passes {
		return e // we broke it off: that says nothing about the server
	}
	now := time.Now()
	wait := max(e.wait, delay(t.Attempts))
	if !passes {
		wait = max(wait, steadyPause)
	}
	e.next = now.Add(wait)
	if e.err = cfg.Journal.Mark(keep, t.Run, journal.Mark{State: journal.StateCompleting, Reason: e.failure.Error(), Next: e.next}); e.err != nil || !over(t, now) {
		return e
	}
	e.state, e.err = journal.StateExpired, cfg.Journal.Mark(keep, t.Run, journal.Mark{State: journal.StateExpired})
	return e
}

// temporary returns what the server says about another try. One that runs out of
// our own time may work the next time.
func temporary(err error) (time.Duration, bool) {
	if t, ok := errors.AsType[jit.Temporary](err); ok {
		wait, again := t.Temporary()
		return max(wait, 0), again || errors.Is(err, context.DeadlineExceeded)
	}
	return 0, errors.Is(err, context.DeadlineExceeded)
}

const (
	firstPause   = time.Second
	longestPause = time.Minute

	// steadyPause is the least pause after an answer that will not change by itself,
	// such as wrong credentials. It may still be a proxy's, so nothing is given up.
	steadyPause = 30 * time.Second
)

// pause returns how long to wait after the failure that follows so many others: it
// doubles each time, up to a limit, and half of it is chance, so that processes which
// failed together do not come back together.
func delay(failures int) time.Duration {
	b := backoff.ExponentialBackOff{
		InitialInterval: firstPause, MaxInterval: longestPause, Multiplier: 2, RandomizationFactor: 0.5,
	}
	b.Reset()
	d := b.NextBackOff()
	for range min(failures, 8) {
		d = b.NextBackOff()
	}
	return d
}
