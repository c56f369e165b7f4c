package sqlite

import (
	"bytes"
	"context"
	"iter"
	"math"
	"slices"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// Query implements [journal.Store].
func (j *Journal) Query(ctx context.Context, f journal.Filter) iter.Seq2[journal.Record, error] {
	return journal.Pages(f, func(f journal.Filter) ([]journal.Record, journal.Filter, bool, error) { return j.read(ctx, f) })
}

// read returns the next records that a filter chooses, the filter for those after
// them, and whether there may be any. A loop that takes long so keeps neither a
// connection nor the WAL from being reused.
func (j *Journal) read(ctx context.Context, f journal.Filter) (records []journal.Record, next journal.Filter, more bool, err error) {
	next = f
	err = j.with(ctx, func(c *sqldb.Conn) error {
		part := span{f.After, math.MaxInt64, hint(f)}
		if f.Run != "" {
			tasks, err := readTasks(c, "WHERE run = ?", f.Run)
			if err != nil || len(tasks) == 0 {
				return err
			}
			part.after, part.last = max(f.After, tasks[0].FirstSeq-1), tasks[0].LastSeq
		}
		rows, any, err := part.page(c)
		next.After, more = part.after, any
		for _, r := range rows {
			rec, err := r.record()
			if err != nil {
				return err
			}
			if f.Chooses(rec) {
				records = append(records, rec)
			}
		}
		return err
	})
	return records, next, more, err
}

// hint returns what tells most texts of entries that a filter does not choose from
// those that it may, without reading them.
func hint(f journal.Filter) func(text []byte) bool {
	run, call, kinds := f.Texts()
	return func(text []byte) bool {
		in := func(h string) bool { return bytes.Contains(text, []byte(h)) }
		return (f.Run == "" || in(run) || !in(`"run":`)) && // one that names no run may have been damaged
			(f.Call == "" || in(call)) && (kinds == nil || slices.ContainsFunc(kinds, in))
	}
}

// record returns the entry. The hash is for Verify to check.
func (r row) record() (journal.Record, error) {
	rec, err := journal.Decode(r.data)
	switch {
	case err != nil:
		return journal.Record{}, &journal.EntryError{Seq: r.seq, Reason: "its data cannot be read: " + err.Error()}
	case rec.Seq != r.seq || len(r.hash) != len(rec.Hash):
		return journal.Record{}, &journal.EntryError{Seq: r.seq, Reason: "its columns do not say what its data says"}
	}
	rec.Hash = [32]byte(r.hash)
	return rec, nil
}
