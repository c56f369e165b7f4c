package journal

import (
	"context"
	"database/sql"
	"fmt"
)

// A Report is what [Journal.Verify] found in a chain that fits.
type Report struct {
	Entries int64 // how many there are
	Tasks   int   // how many they are about
	Pruned  Head  // the last entry that was pruned; zero when none was
	Last    Head  // the last entry
	Losses  []int64
}

// Verify reads the whole journal and returns an [*EntryError] for the first entry
// that does not fit: changed, missing, added or moved. known are heads that were
// kept elsewhere; the chain must go through them, unless it was pruned beyond. It
// also checks that the states of the tasks follow from their entries, and has
// SQLite check the file. It takes memory for each task, not for each entry. What it
// cannot find is said in the package comment.
func (j *Journal) Verify(ctx context.Context, known ...Head) (Report, error) {
	if j.dir != "" { // the head file first: the database only grows
		head, found, err := readHead(ctx, j.dir, j.keys)
		if err != nil {
			return Report{}, err
		}
		if !found {
			return Report{}, damaged(j.path, headFileName+" is gone, and without it nobody sees whether entries are missing")
		}
		known = append(known, head)
	}
	tx, err := j.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return Report{}, failure(j.path, err, false)
	}
	defer func() { _ = tx.Rollback() }() // it only read
	v := &verifier{j: j, tx: tx, tasks: map[string]Task{}, known: map[int64][][32]byte{}}
	for _, h := range known {
		v.known[h.Seq] = append(v.known[h.Seq], h.Hash)
	}
	if err := v.run(ctx); err != nil {
		return Report{}, err
	}
	return v.report, nil
}

type verifier struct {
	j      *Journal
	tx     *sql.Tx
	report Report
	tasks  map[string]Task
	known  map[int64][][32]byte
	pruned *Head // as the last entry about it says
}

func (v *verifier) run(ctx context.Context) error {
	err := sameSchema(ctx, v.tx, v.j.path)
	if err != nil {
		return err
	}
	if v.report.Pruned, err = readAnchor(ctx, v.tx); err != nil {
		return unreadable(v.j.path, err)
	}
	v.report.Last = v.report.Pruned
	if err := v.entries(ctx); err != nil {
		return err
	}
	if err := v.ends(); err != nil {
		return err
	}
	if err := v.states(ctx); err != nil {
		return err
	}
	var result string
	if err := v.tx.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&result); err != nil {
		return failure(v.j.path, err, false)
	}
	if result != "ok" {
		return damaged(v.j.path, result)
	}
	return nil
}

// entries walks along the chain.
func (v *verifier) entries(ctx context.Context) error {
	rows, err := v.tx.QueryContext(ctx, "SELECT "+rowColumns+" FROM entries ORDER BY seq")
	if err != nil {
		return failure(v.j.path, err, false)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	for rows.Next() {
		var r row
		if err := r.scan(rows); err != nil {
			return &EntryError{v.report.Last.Seq + 1, "it cannot be read"}
		}
		if err := v.entry(&r); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%w (after entry %d)", failure(v.j.path, err, false), v.report.Last.Seq)
	}
	return nil
}

func (v *verifier) entry(r *row) error {
	next := v.report.Last.Seq + 1
	if r.seq != next {
		return &EntryError{next, fmt.Sprintf("it is missing; the next one is %d", r.seq)}
	}
	rec, err := r.record()
	if err != nil {
		return err
	}
	if v.j.keys.link(v.report.Last.Hash, r.data) != rec.Hash {
		return &EntryError{r.seq, "its hash is another: it or the hash was changed"}
	}
	v.report.Last = Head{rec.Seq, rec.Hash}
	for _, hash := range v.known[rec.Seq] {
		if hash != rec.Hash {
			return &EntryError{rec.Seq, "it is not the one that was recorded elsewhere"}
		}
	}
	v.report.Entries++
	switch rec.Kind {
	case EntryPruned:
		v.pruned = rec.Ref
	case EntryLoss:
		v.report.Losses = append(v.report.Losses, rec.Seq)
	}
	if rec.Run != "" {
		v.tasks[rec.Run] = v.tasks[rec.Run].After(rec)
	}
	return nil
}

// ends checks that nothing is missing before the first entry or after the last.
func (v *verifier) ends() error {
	anchor := v.report.Pruned
	if anchor.Seq > 0 && (v.pruned == nil || *v.pruned != anchor) || anchor.Seq == 0 && (v.pruned != nil || anchor != Head{}) {
		return &EntryError{anchor.Seq + 1, "what was before it is gone, and no entry says that it was pruned"}
	}
	for seq, hashes := range v.known {
		switch {
		case seq > v.report.Last.Seq:
			return &EntryError{v.report.Last.Seq + 1, fmt.Sprintf("it is missing, and so are all up to %d at least", seq)}
		case seq == anchor.Seq:
			for _, hash := range hashes {
				if hash != anchor.Hash {
					return &EntryError{seq, "it is not the one that was recorded elsewhere"}
				}
			}
		}
	}
	return nil
}

// states checks that the tasks are what their entries make of them.
func (v *verifier) states(ctx context.Context) error {
	rows, err := v.tx.QueryContext(ctx, "SELECT "+taskColumns+" FROM tasks ORDER BY first_seq")
	if err != nil {
		return failure(v.j.path, err, false)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	for rows.Next() {
		got, err := scanTask(rows)
		if err != nil {
			return &EntryError{0, "a task cannot be read"}
		}
		if want, ok := v.tasks[got.Run]; !ok || got != want {
			return &EntryError{0, fmt.Sprintf("the state of the task of run %q does not follow from its entries", clip(got.Run))}
		}
		v.report.Tasks++
	}
	if err := rows.Err(); err != nil {
		return failure(v.j.path, err, false)
	}
	if v.report.Tasks != len(v.tasks) {
		return &EntryError{0, "a task is missing"}
	}
	return nil
}
