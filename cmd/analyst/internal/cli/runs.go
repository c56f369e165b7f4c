package cli

import (
	"context"
	"errors"
	"log/slog"

	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/runs"
)

// OpenRuns opens what is under way in the sessions beside the journal, of whatever process;
// the caller closes it.
func (s *State) OpenRuns(ctx context.Context, logger *slog.Logger) (*runs.Store, error) {
	store, err := s.runs(ctx, runs.Options{Journal: s, Logger: logger})
	return store, s.failed(err)
}

func (s *State) runs(ctx context.Context, o runs.Options) (*runs.Store, error) {
	if s.db != nil {
		o.VerifyOnly = o.VerifyOnly || s.verifies
		return runs.OpenPostgres(ctx, s.db.Pool(), o)
	}
	return runs.Open(ctx, s.dir, o)
}

// Spare is for [recovery.Config], where the runs are not open: it leaves out the tasks of
// those that workers will go on with, if there ever were any.
func (s *State) Spare(ctx context.Context, tasks []journal.Task) (left []journal.Task, err error) {
	if len(tasks) == 0 || s.where == "" {
		return tasks, nil
	}
	if there, err := s.HasSessions(ctx); !there || err != nil {
		return tasks, err
	}
	store, err := s.runs(ctx, runs.Options{Journal: s, VerifyOnly: true})
	if errors.Is(err, runs.ErrMigrate) {
		return tasks, nil
	} else if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return store.Spare(ctx, tasks)
}
