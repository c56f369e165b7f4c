package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/state/journal"
)

// Kill implements [journal.Store].
func (j *Journal) Kill(ctx context.Context, run, reason string) error {
	e, err := journal.Killing(ctx, j, run, reason)
	if err == nil {
		err = j.Append(ctx, e)
	}
	if err == nil {
		_, err = j.db.pool.Exec(ctx, "INSERT INTO killed VALUES ($1, $2) ON CONFLICT DO NOTHING", column(run), e.Message)
		err = fault(err)
	}
	return err
}

// Killed implements [jit.Killer]. It waits for a database that is away, such as one that
// restarts: meanwhile nothing is sent.
func (j *Journal) Killed(ctx context.Context, run string) (reason string, killed bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_ = pause.Retry(ctx, patience, away, func() error {
		err = j.db.pool.QueryRow(ctx, "SELECT reason FROM killed WHERE run = $1", column(run)).Scan(&reason)
		if errors.Is(err, pgx.ErrNoRows) {
			return nil
		}
		return fault(err)
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	return reason, err == nil, failed(err)
}
