package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// Prune removes the oldest entries, up to the first that is about a task which is not
// finished or was changed since before. The chain then begins after an anchor, the hash
// of the last entry removed, and gets an [journal.EntryPruned] that names it:
// [Journal.Verify] goes on to show that nothing else is missing. Prune returns how many
// entries it removed.
//
// What is removed is gone from queries and exports: export first. The file does
// not become smaller; its free pages are used again. Where nothing is to be removed
// it costs next to nothing.
func (j *Journal) Prune(ctx context.Context, before time.Time) (int64, error) {
	var removed int64
	err := j.w.Submit(ctx, true, 1, func(tx *journal.Txn) error {
		n, err := tx.Rows.(*rows).prune(tx, before)
		if removed = n; err != nil {
			return tx.Fail(err)
		}
		return nil
	})
	if err != nil || removed == 0 {
		return 0, err
	}
	return removed, j.forgetKilled(ctx)
}

func (x *rows) prune(tx *journal.Txn, before time.Time) (int64, error) {
	// Changes of this transaction are not in the table yet.
	if err := tx.Flush(); err != nil {
		return 0, err
	}
	anchor, err := readAnchor(x.c)
	if err != nil {
		return 0, err
	}
	limit := tx.Last.Seq
	// A task stays whole: its state could not be checked any more.
	const first = "SELECT first_seq FROM tasks WHERE updated >= ?1 OR last_seq > ?2 OR state NOT IN ('completed', 'expired', 'unknown') ORDER BY first_seq LIMIT 1"
	for again := true; again && err == nil; {
		again = false
		err = x.c.Query(func(r sqldb.Row) error {
			again = r.Int(0) <= limit
			limit = min(limit, r.Int(0)-1)
			return nil
		}, first, before.UnixMicro(), limit)
	}
	if err == nil { // what is of no task goes with the task before it
		err = x.c.Query(func(r sqldb.Row) error {
			limit = r.Int(0)
			return nil
		}, "SELECT max(last_seq) FROM tasks WHERE last_seq <= ?", limit)
	}
	if err != nil || limit <= anchor.Seq {
		return 0, err
	}
	next, err := headAt(x.c, limit)
	if err != nil {
		return 0, err
	}
	if err := x.cutPack(limit); err != nil {
		return 0, err
	}
	for _, statement := range []string{
		"DELETE FROM entries WHERE seq <= ?", "DELETE FROM packs WHERE last <= ?", "DELETE FROM tasks WHERE last_seq <= ?",
	} {
		if err := x.c.Exec(statement, limit); err != nil {
			return 0, err
		}
	}
	if err := x.c.Exec("UPDATE anchor SET seq = ?, hash = ?", next.Seq, next.Hash[:]); err != nil {
		return 0, err
	}
	tx.Forget() // what is gone must not come back from here
	return limit - anchor.Seq, tx.Append(journal.Record{Entry: jit.Entry{Kind: journal.EntryPruned}, Ref: &next})
}

// cutPack makes the pack that goes beyond an entry begin after it.
func (x *rows) cutPack(limit int64) error {
	var rows []row
	err := x.c.Query(func(r sqldb.Row) (err error) {
		rows, err = unpack(r.Int(0), r.Int(1), r.Bytes(2), r.Bytes(3), &span{after: limit, last: math.MaxInt64})
		return err
	}, "DELETE FROM packs WHERE first <= ? AND last > ? RETURNING first, last, data, hashes", limit, limit)
	if err != nil || len(rows) == 0 {
		return err
	}
	return x.savePack(rows)
}
