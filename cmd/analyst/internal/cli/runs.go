package cli

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/runs"
)

// OpenRuns opens what is under way in the sessions beside the journal, of whatever process,
// for those of an authority; the caller closes it.
func (s *State) OpenRuns(ctx context.Context, authority string, logger *slog.Logger) (*runs.Store, error) {
	store, err := s.runs(ctx, runs.Options{Journal: s, Authority: authority, Logger: logger})
	return store, s.failed(err)
}

func (s *State) runs(ctx context.Context, o runs.Options) (*runs.Store, error) {
	if s.db != nil {
		o.VerifyOnly = o.VerifyOnly || s.verifies
		return runs.OpenPostgres(ctx, s.db.Pool(), o)
	}
	return runs.Open(ctx, s.dir, o)
}

// NoteForeign tells of runs that only others go on with, if there are any.
func (p *Program) NoteForeign(ctx context.Context, store *runs.Store) error {
	n, authorities, err := store.Foreign(ctx)
	if n > 0 {
		p.Note("from earlier: %s of %s: analyst worker goes on with them where it is configured for that authorization server and agent",
			plain.Count(n, "run"), plain.Line(strings.Join(authorities, ", "), 300))
	}
	return StateError(err, "")
}

// Spare is for [recovery.Config], where the runs are not open: it leaves out the tasks of
// those that workers will go on with, if there ever were any.
func (s *State) Spare(ctx context.Context, tasks []journal.Task) (left []journal.Task, err error) {
	if len(tasks) == 0 || s.where == "" {
		return tasks, nil
	}
	left = tasks
	err = s.withRuns(ctx, func(store *runs.Store) error {
		left, err = store.Spare(ctx, tasks)
		return err
	})
	return left, err
}

// UnderWay returns the sessions of runs that a process is at, or somebody is to go on with
// now; see [runs.Store.UnderWay].
func (s *State) UnderWay(ctx context.Context) (sessions []string, err error) {
	err = s.withRuns(ctx, func(store *runs.Store) error {
		sessions, err = store.UnderWay(ctx)
		return err
	})
	return sessions, err
}

// withRuns opens the runs for as long as use takes, if there ever were any.
func (s *State) withRuns(ctx context.Context, use func(*runs.Store) error) error {
	if there, err := s.HasSessions(ctx); !there || err != nil {
		return err
	}
	store, err := forward(true, !s.verifies, func(readOnly bool) (*runs.Store, error) {
		return s.runs(ctx, runs.Options{Journal: s, VerifyOnly: readOnly})
	})
	if errors.Is(err, runs.ErrMigrate) && !errors.Is(err, journal.ErrOlder) { // there are none
		return nil
	} else if err != nil {
		return err
	}
	return errors.Join(use(store), store.Close())
}
