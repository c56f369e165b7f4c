package sqlite

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
)

// Verify reads the whole journal and returns a [*journal.EntryError] for the first
// entry that does not fit: changed, missing, added or moved. known are heads that were
// kept elsewhere; the chain must go through them, unless it was pruned beyond. It also
// checks that the states of the tasks follow from their entries, and has SQLite check
// the file. It takes memory for each task, not for each entry. What it cannot find is
// said in the package comment.
func (j *Journal) Verify(ctx context.Context, known ...journal.Head) (journal.Report, error) {
	if j.dir != "" { // the head file first: the database only grows
		head, found, err := readHead(ctx, j.dir, j.keys)
		if err != nil {
			return journal.Report{}, err
		}
		if !found {
			return journal.Report{}, damaged(j.path, headFileName+" is gone, and without it nobody sees whether entries are missing")
		}
		known = append(known, head)
	}
	tx, err := j.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return journal.Report{}, failure(j.path, err, false)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	if err := sameSchema(ctx, tx, j.path); err != nil {
		return journal.Report{}, err
	}
	pruned, err := readAnchor(ctx, tx)
	if err != nil {
		return journal.Report{}, unreadable(j.path, err)
	}
	chain := journal.NewChain(j.keys.chain, pruned, known...)
	if err := j.walk(ctx, tx, chain, pruned.Seq); err != nil {
		return journal.Report{}, err
	}
	report, tasks, err := chain.End()
	if err != nil {
		return journal.Report{}, err
	}
	if err := j.sameTasks(ctx, tx, tasks); err != nil {
		return journal.Report{}, err
	}
	var result string
	if err := tx.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&result); err != nil {
		return journal.Report{}, failure(j.path, err, false)
	}
	if result != "ok" {
		return journal.Report{}, damaged(j.path, result)
	}
	return report, nil
}

// walk adds all entries to a chain, which begins after an entry.
func (j *Journal) walk(ctx context.Context, tx *sql.Tx, chain *journal.Chain, last int64) error {
	rows, err := tx.QueryContext(ctx, "SELECT "+rowColumns+" FROM entries ORDER BY seq")
	if err != nil {
		return failure(j.path, err, false)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	for rows.Next() {
		var r row
		if err := r.scan(rows); err != nil {
			return &journal.EntryError{Seq: last + 1, Reason: "it cannot be read"}
		}
		rec, err := chain.Add(r.seq, r.data, r.hash)
		if err == nil {
			err = r.says(rec)
		}
		if err != nil {
			return err
		}
		last = r.seq
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%w (after entry %d)", failure(j.path, err, false), last)
	}
	return nil
}

// sameTasks checks that the tasks are what their entries make of them.
func (j *Journal) sameTasks(ctx context.Context, tx *sql.Tx, want map[string]journal.Task) error {
	got, err := queryTasks(ctx, tx, "")
	if err != nil {
		return failure(j.path, err, false)
	}
	for _, t := range got {
		if w, ok := want[t.Run]; !ok || t != w {
			return &journal.EntryError{Reason: fmt.Sprintf("the state of the task of run %q does not follow from its entries", plain.Line(t.Run, 100))}
		}
	}
	if len(got) != len(want) {
		return &journal.EntryError{Reason: "a task is missing"}
	}
	return nil
}
