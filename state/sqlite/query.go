package sqlite

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// row is an entry as it lies in the database.
type row struct {
	seq, time             int64
	kind, run, task, call string
	data, hash            []byte
}

const rowColumns = "seq, time, kind, run, task, call, data, hash"

func (r *row) scan(from interface{ Scan(dest ...any) error }) error {
	return from.Scan(&r.seq, &r.time, &r.kind, &r.run, &r.task, &r.call, &r.data, &r.hash)
}

// record returns the entry if the columns say what its data says. The hash is for
// Verify to check.
func (r *row) record() (journal.Record, error) {
	rec, err := journal.Decode(r.data)
	if err != nil {
		return journal.Record{}, &journal.EntryError{Seq: r.seq, Reason: "its data cannot be read: " + err.Error()}
	}
	if err := r.says(rec); err != nil {
		return journal.Record{}, err
	}
	rec.Hash = [32]byte(r.hash)
	return rec, nil
}

// says fails unless the columns say what the record does.
func (r *row) says(rec journal.Record) error {
	if rec.Seq != r.seq || rec.Time.UnixMicro() != r.time || string(rec.Kind) != r.kind ||
		rec.Run != r.run || rec.TaskID != r.task || rec.CallID != r.call || len(r.hash) != len(rec.Hash) {
		return &journal.EntryError{Seq: r.seq, Reason: "its columns do not say what its data says"}
	}
	return nil
}

// page is how many entries are read at once.
const page = 256

// Query returns the entries that a filter chooses, in order. The loop may write to
// the journal; it sees entries that are added meanwhile. After an error, which may
// be a [*journal.EntryError] for an entry that was changed, it ends. Query does not
// check the chain: see [Journal.Verify].
func (j *Journal) Query(ctx context.Context, f journal.Filter) iter.Seq2[journal.Record, error] {
	return func(yield func(journal.Record, error) bool) {
		for r, err := range j.rows(ctx, f) {
			var rec journal.Record
			if err == nil {
				rec, err = r.record()
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// Export writes the entries that a filter chooses as JSON lines: {"entry":...,
// "hash":"..."}. The hash is over the hash of the line before and the entry in
// canonical form (RFC 8785). It stands here in that form, but for characters that
// are not printable, which are escapes: a terminal may be what reads it.
func (j *Journal) Export(ctx context.Context, w io.Writer, f journal.Filter) error {
	for r, err := range j.rows(ctx, f) {
		if err == nil {
			_, err = r.record()
		}
		if err != nil {
			return err
		}
		line := fmt.Appendf(nil, `{"entry":%s,"hash":"%x"}`, plain.JSON(r.data), r.hash)
		if _, err := w.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("journal: export: %w", err)
		}
	}
	return nil
}

// rows returns the rows that a filter chooses, a page at a time: a loop that takes
// long keeps neither a connection nor the WAL from being reused.
func (j *Journal) rows(ctx context.Context, f journal.Filter) iter.Seq2[*row, error] {
	return func(yield func(*row, error) bool) {
		for {
			rows, err := j.page(ctx, f)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, r := range rows {
				f.After = r.seq
				if (f.Kinds == nil || slices.Contains(f.Kinds, jit.EntryKind(r.kind))) && !yield(r, nil) {
					return
				}
			}
			if len(rows) < page {
				return
			}
		}
	}
}

func (j *Journal) page(ctx context.Context, f journal.Filter) ([]*row, error) {
	query, args := "SELECT "+rowColumns+" FROM entries WHERE seq > ?", []any{f.After}
	for column, want := range map[string]string{"run": f.Run, "task": f.TaskID, "call": f.CallID} {
		if want != "" { // <> '' has SQLite use the index
			query, args = query+" AND "+column+" = ? AND "+column+" <> ''", append(args, want)
		}
	}
	rows, err := j.read.QueryContext(ctx, query+" ORDER BY seq LIMIT ?", append(args, page)...)
	if err != nil {
		return nil, failure(j.path, err, false)
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var list []*row
	for rows.Next() {
		r := &row{}
		if err := r.scan(rows); err != nil {
			return nil, failure(j.path, err, false)
		}
		list = append(list, r)
	}
	return list, failure(j.path, rows.Err(), false)
}
