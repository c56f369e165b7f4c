package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// Prune implements [journal.Store]. Each chain then begins after an anchor, and an
// [journal.EntryPruned] names the last number that was removed. Of several processes one
// does it.
func (j *Journal) Prune(ctx context.Context, before time.Time) (removed int64, err error) {
	if err := (medium{j}).Writable(); err != nil {
		return 0, err
	}
	if limit, err := limit(ctx, j.db.pool, before); err != nil || limit == 0 {
		return 0, failed(err)
	}
	err = j.w.Submit(ctx, true, 1, func(tx *journal.Txn) (err error) {
		if removed, err = tx.Rows.(*rows).prune(tx, j.id, before); err != nil {
			return tx.Fail(err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return removed, nil
}

// limit returns the number up to which entries can be removed, 0 for none: a task stays
// whole, since its state could not be checked any more.
func limit(ctx context.Context, q interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}, before time.Time) (limit int64, err error) {
	err = q.QueryRow(ctx, "SELECT coalesce(max(seq), 0) FROM entries").Scan(&limit)
	for again := true; again && err == nil; {
		was := limit
		err = q.QueryRow(ctx, "SELECT coalesce(min(first) - 1, $2) FROM tasks WHERE first <= $2 AND (updated >= $1 OR last > $2 OR state NOT IN ('completed', 'expired', 'unknown'))",
			before.UnixMicro(), limit).Scan(&limit)
		again = limit < was
	}
	if err == nil { // what is of no task goes with the task before it
		err = q.QueryRow(ctx, "SELECT coalesce(max(last), 0) FROM tasks WHERE last <= $1", limit).Scan(&limit)
	}
	return limit, err
}

func (r *rows) prune(tx *journal.Txn, id string, before time.Time) (removed int64, err error) {
	// Changes of this transaction are not in the tables yet.
	if err := tx.Flush(); err != nil {
		return 0, err
	}
	var batch pgx.Batch
	r.queue(&batch)
	if err := r.c.SendBatch(r.ctx, &batch).Close(); err != nil {
		return 0, fault(err)
	}
	var alone bool
	if err := r.c.QueryRow(r.ctx, "SELECT pg_try_advisory_xact_lock(hashtextextended('jitagent prune ' || current_schema(), 0))").Scan(&alone); err != nil || !alone {
		return 0, fault(err)
	}
	// Who appends is waited for, and waits: no number below the limit comes later.
	if _, err := r.c.Exec(r.ctx, "LOCK TABLE owners IN EXCLUSIVE MODE"); err != nil {
		return 0, fault(err)
	}
	upTo, err := limit(r.ctx, r.c, before)
	if err != nil || upTo == 0 {
		return 0, fault(err)
	}
	var hash []byte
	if err := r.c.QueryRow(r.ctx, "SELECT hash FROM entries WHERE seq = $1", upTo).Scan(&hash); err != nil {
		return 0, fault(err)
	}
	ref, err := parseHead(upTo, hash)
	if err != nil {
		return 0, err
	}
	batch = pgx.Batch{}
	batch.Queue("UPDATE owners o SET anchor_seq = e.seq, anchor = e.hash FROM (SELECT DISTINCT ON (owner) owner, seq, hash FROM entries WHERE seq <= $1 ORDER BY owner, seq DESC) e WHERE o.id = e.owner", upTo)
	batch.Queue("DELETE FROM entries WHERE seq <= $1", upTo).Exec(func(tag pgconn.CommandTag) error { removed = tag.RowsAffected(); return nil })
	batch.Queue("DELETE FROM tasks WHERE last <= $1", upTo)
	batch.Queue("DELETE FROM killed k WHERE NOT EXISTS (SELECT 1 FROM tasks t WHERE t.run = k.run)")
	batch.Queue("DELETE FROM owners o WHERE seq <= $1 AND id <> $2 AND claimer = '' AND "+passed("o"), upTo, id)
	if err := r.c.SendBatch(r.ctx, &batch).Close(); err != nil {
		return 0, fault(err)
	}
	tx.Forget() // what is gone must not come back from here
	return removed, tx.Append(journal.Record{Entry: jit.Entry{Kind: journal.EntryPruned}, Ref: &ref})
}
