package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// Prune removes the oldest entries, up to the first that is not older than before
// or that is about a task that is not finished, or that has later entries which
// stay. The chain then begins after an anchor, the hash of the last entry removed,
// and gets an [journal.EntryPruned] that names it: [Journal.Verify] goes on to show that
// nothing else is missing. Prune returns how many entries it removed.
//
// What is removed is gone from queries and exports: export first. The file does
// not become smaller; its free pages are used again. Nothing calls Prune by itself.
func (j *Journal) Prune(ctx context.Context, before time.Time) (removed int64, err error) {
	err = j.submit(ctx, true, func(tx *txn) error {
		anchor, err := readAnchor(tx.ctx, tx.tx)
		if err != nil {
			return tx.fail(err)
		}
		limit, err := tx.pruneLimit(before)
		if err != nil {
			return tx.fail(err)
		}
		if limit <= anchor.Seq {
			return nil
		}
		next, err := readHash(tx.ctx, tx.tx, "SELECT seq, hash FROM entries WHERE seq = ?", limit)
		if err != nil {
			return tx.fail(err)
		}
		for _, statement := range []string{
			"DELETE FROM entries WHERE seq <= ?1", "DELETE FROM tasks WHERE last_seq <= ?1",
			"UPDATE anchor SET seq = ?1, hash = ?2",
		} {
			if _, err := tx.tx.ExecContext(tx.ctx, statement, next.Seq, next.Hash[:]); err != nil {
				return tx.fail(err)
			}
		}
		removed = next.Seq - anchor.Seq
		clear(tx.tasks) // what is gone must not come back from here
		tx.j.own = nil
		if err := tx.append(journal.Record{Entry: jit.Entry{Kind: journal.EntryPruned}, Ref: &next}); err != nil {
			return tx.fail(err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// pruneLimit returns the last entry that can go.
func (x *txn) pruneLimit(before time.Time) (int64, error) {
	// Changes of this transaction are not in the table yet.
	if err := x.flush(); err != nil {
		return 0, err
	}
	var limit sql.NullInt64
	err := x.tx.QueryRowContext(x.ctx, "SELECT min(seq) - 1 FROM entries WHERE time >= ?", before.UnixMicro()).Scan(&limit)
	if err != nil {
		return 0, err
	}
	if !limit.Valid {
		limit.Int64 = x.last.Seq
	}
	// An unfinished task stays whole, and so does one with entries beyond the limit:
	// its state could not be checked any more.
	for {
		var first sql.NullInt64
		err := x.tx.QueryRowContext(x.ctx, "SELECT min(first_seq) FROM tasks WHERE first_seq <= ?1 AND "+
			"(last_seq > ?1 OR "+unfinished+")", limit.Int64).Scan(&first)
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return 0, err
		}
		if !first.Valid {
			return limit.Int64, nil
		}
		limit.Int64 = first.Int64 - 1
	}
}
