package runs

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Vote notes that a person approved something, once, and returns all who did, of any process:
// it is what approval.Rights counts by. A vote is forgotten after until.
func (s *Store) Vote(ctx context.Context, about, by string, until time.Time) (all []string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("runs: vote: %w", err)
		}
	}()
	if _, err := s.db.ExecContext(ctx, s.sql("DELETE FROM run_votes WHERE until < @now")); err != nil {
		return nil, err
	}
	// In no transaction with what follows: of two who vote at once, the later one sees both.
	const note = "INSERT INTO run_votes VALUES ($1, $2, $3) ON CONFLICT (about, person) DO UPDATE SET until = excluded.until"
	if _, err := s.db.ExecContext(ctx, note, about, by, until.UnixMicro()); err != nil {
		return nil, err
	}
	rows, err := s.db.QueryContext(ctx, "SELECT person FROM run_votes WHERE about = $1 ORDER BY person", about)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var person string
		if err := rows.Scan(&person); err != nil {
			return nil, err
		}
		all = append(all, person)
	}
	return all, rows.Err()
}
