package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
)

// A taskRow is a task as it lies in the database.
type taskRow struct {
	Run     string `json:"run"` // this and the others repeat what Data says
	First   int64  `json:"first"`
	Last    int64  `json:"last"`
	Task    string `json:"task"`
	Owner   string `json:"owner"`
	State   string `json:"state"`
	Session string `json:"session"`
	Updated int64  `json:"updated"`
	Data    string `json:"data"` // a kept as JSON
	Parent  string `json:"parent"`
}

// A kept is all of a task.
type kept struct {
	journal.Task
	Owner string `json:"owner"`
	First int64  `json:"first"`
	Last  int64  `json:"last"`
}

func encodeTask(t journal.Task) (taskRow, error) {
	text, err := json.Marshal(kept{t, t.Owner, t.FirstSeq, t.LastSeq})
	return taskRow{
		column(t.Run), t.FirstSeq, t.LastSeq, column(t.ID), t.Owner, string(t.State), column(t.Session), t.Updated.UnixMicro(), string(text), column(t.Parent),
	}, err
}

func decodeTask(text string) (journal.Task, error) {
	var k kept
	if err := json.Unmarshal([]byte(text), &k); err != nil {
		return journal.Task{}, fmt.Errorf("journal: the state of a task cannot be read: %w", journal.ErrDamaged)
	}
	k.Task.Owner, k.FirstSeq, k.LastSeq = k.Owner, k.First, k.Last
	return k.Task, nil
}

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// unsettled is the condition of an index.
const unsettled = "state NOT IN ('completed', 'expired')"

// tasks returns the tasks that a clause chooses.
func (d *DB) tasks(ctx context.Context, clause string, args ...any) ([]journal.Task, error) {
	found, err := d.pool.Query(ctx, "SELECT data FROM tasks "+clause, args...)
	if err != nil {
		return nil, failed(err)
	}
	list, err := pgx.CollectRows(found, func(row pgx.CollectableRow) (journal.Task, error) {
		var text string
		if err := row.Scan(&text); err != nil {
			return journal.Task{}, err
		}
		return decodeTask(text)
	})
	return list, failed(err)
}

// noted has what was noted written, as long as there is somebody who does.
func (j *Journal) noted(ctx context.Context) error {
	err := j.w.Noted(ctx)
	if errors.Is(err, journal.ErrClosed) || errors.Is(err, journal.ErrLost) {
		return nil
	}
	return err
}

// Tasks implements [journal.Store].
func (j *Journal) Tasks(ctx context.Context, f journal.TaskFilter) ([]journal.Task, error) {
	if err := j.noted(ctx); err != nil {
		return nil, err
	}
	clause, args := "WHERE true", []any{}
	if f.Unfinished || f.State == journal.StateUnknown {
		clause += " AND " + unsettled
	}
	if f.Unfinished {
		clause += " AND state <> 'unknown'"
	}
	if f.Parent != "" {
		clause += " AND parent <> ''" // the condition of an index
	}
	for _, c := range []struct{ column, want string }{{"owner", f.Owner}, {"session", f.Session}, {"parent", f.Parent}, {"state", string(f.State)}} {
		if c.want != "" {
			args = append(args, column(c.want))
			clause += fmt.Sprintf(" AND %s = $%d", c.column, len(args))
		}
	}
	clause += " ORDER BY first"
	if f.Newest > 0 {
		clause += fmt.Sprintf(" DESC LIMIT %d", f.Newest)
	}
	list, err := j.db.tasks(ctx, clause, args...)
	if f.Newest > 0 {
		slices.Reverse(list)
	}
	return slices.DeleteFunc(list, func(t journal.Task) bool {
		return f.Session != "" && t.Session != f.Session || f.Parent != "" && t.Parent != f.Parent
	}), err
}

// Task implements [journal.Store].
func (j *Journal) Task(ctx context.Context, id string) (journal.Task, error) {
	if err := j.noted(ctx); err != nil {
		return journal.Task{}, err
	}
	for _, clause := range []string{"WHERE run = $1", "WHERE task = $1 AND task <> '' ORDER BY first DESC LIMIT 1"} {
		list, err := j.db.tasks(ctx, clause, column(id))
		if err != nil {
			return journal.Task{}, err
		}
		if len(list) > 0 && (list[0].Run == id || list[0].ID == id) {
			return list[0], nil
		}
	}
	return journal.Task{}, fmt.Errorf("journal: task %q: %w", plain.Line(id, 100), journal.ErrNotFound)
}

// pageSize is how many entries are read at once.
const pageSize = 256

// An entry is as it lies in the database.
type entry struct {
	Seq   int64  `json:"seq"`
	Owner string `json:"owner"`
	Run   string `json:"run"`
	Data  string `json:"data"`
	Hash  sum    `json:"hash"`
}

// A sum is a hash, as JSON in the form that a bytea column reads.
type sum []byte

// MarshalText implements [encoding.TextMarshaler].
func (s sum) MarshalText() ([]byte, error) { return fmt.Appendf(nil, `\x%x`, []byte(s)), nil }

// page returns the next entries of those that a condition chooses.
func page(ctx context.Context, q querier, after int64, where string, args ...any) ([]entry, error) {
	found, err := q.Query(ctx, fmt.Sprintf("SELECT seq, owner, run, data, hash FROM entries WHERE seq > $1 AND %s ORDER BY seq LIMIT %d", where, pageSize),
		append([]any{after}, args...)...)
	if err != nil {
		return nil, failed(err)
	}
	list, err := pgx.CollectRows(found, pgx.RowToStructByPos[entry])
	return list, failed(err)
}

// Query implements [journal.Store]. Entries of several tasks come in the order of their
// numbers; of those that are written meanwhile some may be passed by.
func (j *Journal) Query(ctx context.Context, f journal.Filter) iter.Seq2[journal.Record, error] {
	where, args := "true", []any{}
	choose := func(condition string, arg any) {
		args = append(args, arg)
		where += fmt.Sprintf(" AND "+condition, len(args)+1)
	}
	_, call, kinds := f.Texts()
	if f.Run != "" {
		choose("run = $%d", column(f.Run))
	}
	if f.Call != "" {
		choose("strpos(data, $%d) > 0", call)
	}
	if kinds != nil {
		choose("EXISTS (SELECT 1 FROM unnest($%d::text[]) k WHERE strpos(data, k) > 0)", kinds)
	}
	return journal.Pages(f, func(f journal.Filter) (records []journal.Record, next journal.Filter, more bool, err error) {
		next = f
		found, err := page(ctx, j.db.pool, f.After, where, args...)
		for _, e := range found {
			next.After = e.Seq
			r, err := e.record()
			if err != nil {
				return records, next, false, err
			}
			if f.Chooses(r) {
				records = append(records, r)
			}
		}
		return records, next, len(found) == pageSize, err
	})
}

// record returns the entry. The hash is for Verify to check.
func (e entry) record() (journal.Record, error) {
	r, err := journal.Decode([]byte(e.Data))
	switch {
	case err != nil:
		return journal.Record{}, &journal.EntryError{Seq: e.Seq, Reason: "its data cannot be read: " + err.Error()}
	case r.Seq != e.Seq || r.Owner != e.Owner || column(r.Run) != e.Run || len(e.Hash) != len(r.Hash):
		return journal.Record{}, &journal.EntryError{Seq: e.Seq, Reason: "its columns do not say what its data says"}
	}
	r.Hash = [32]byte(e.Hash)
	return r, nil
}
