package sqlite

import (
	"bytes"
	"context"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// Query returns the entries that a filter chooses, in order. The loop may write to
// the journal; it sees entries that are added meanwhile. After an error, which may
// be a [*journal.EntryError] for an entry that was changed, it ends. Query does not
// check the chain: see [Journal.Verify].
func (j *Journal) Query(ctx context.Context, f journal.Filter) iter.Seq2[journal.Record, error] {
	return func(yield func(journal.Record, error) bool) {
		for f, ok := f, true; ok; {
			var records []journal.Record
			var err error
			if records, f, ok, err = j.read(ctx, f); err != nil {
				ok = false
			}
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
			}
			if err != nil {
				yield(journal.Record{}, err)
			}
		}
	}
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
			if chosen(f, rec) {
				records = append(records, rec)
			}
		}
		return err
	})
	return records, next, more, err
}

// hint returns what tells most texts of entries that a filter does not choose from
// those that it may, without reading them. What it looks for may stand there for
// another reason, too.
func hint(f journal.Filter) func(text []byte) bool {
	begin := func(name, value string) []byte {
		quoted, _ := jsontext.AppendQuote([]byte(`"`+name+`":`), value) // as entries are written
		return quoted[:len(quoted)-1]
	}
	run, call, other := begin("run", f.Run), begin("call_id", f.Call), []byte(`"run":`)
	var kinds [][]byte
	for _, kind := range f.Kinds {
		kinds = append(kinds, begin("kind", string(kind)))
	}
	return func(text []byte) bool {
		in := func(h []byte) bool { return bytes.Contains(text, h) }
		return (f.Run == "" || in(run) || !in(other)) && // one that names no run may have been damaged
			(f.Call == "" || in(call)) && (f.Kinds == nil || slices.ContainsFunc(kinds, in))
	}
}

func chosen(f journal.Filter, r journal.Record) bool {
	return (f.Run == "" || r.Run == f.Run) && strings.HasPrefix(r.CallID, f.Call) && (f.Kinds == nil || slices.Contains(f.Kinds, r.Kind))
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
