package service

import (
	"context"
	"sync"
	"time"

	"github.com/jitagent/jitagent/runner"
)

// toldRuns tell how the runs of a plugin end, of which ADK makes no event.
type toldRuns struct {
	runner.Runs
	tell func(user, session string, e runner.Event)
}

// Begin implements [runner.Runs].
func (t toldRuns) Begin(ctx context.Context, app, user, session string) (context.Context, runner.Lease, error) {
	ctx, lease, err := t.Runs.Begin(ctx, app, user, session)
	if err != nil {
		return nil, nil, err
	}
	var once sync.Once
	return ctx, toldLease{lease, func(e runner.Finished) {
		once.Do(func() { e.Time = time.Now(); t.tell(user, session, e) })
	}}, nil
}

type toldLease struct {
	runner.Lease
	tell func(runner.Finished)
}

// Suspended implements [runner.Lease].
func (l toldLease) Suspended(ctx context.Context, requests []string, until time.Time) error {
	end := runner.Finished{Outcome: runner.Pending}
	for _, id := range requests {
		end.Waiting = append(end.Waiting, runner.Waiting{RequestID: id})
	}
	l.tell(end)
	return l.Lease.Suspended(ctx, requests, until)
}

// Ended implements [runner.Lease].
func (l toldLease) Ended(ctx context.Context, outcome runner.Outcome) error {
	l.tell(runner.Finished{Outcome: outcome})
	return l.Lease.Ended(ctx, outcome)
}
