package sqlite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

const taskColumns = "first_seq, last_seq, run, task, owner, state, authority, session, name, user, opened, updated, expires, until, attempts, error, next, parent"

// micros is a time in a column, 0 for none.
func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

func fromMicros(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMicro(n).UTC()
}

// saveTask writes a task that was another before. What does not change is left alone:
// each index that is touched is a page more to write.
func saveTask(c *sqldb.Conn, was, t journal.Task) error {
	was.LastSeq, was.Updated, was.ExpiresAt, was.Until = t.LastSeq, t.Updated, t.ExpiresAt, t.Until
	if was == t { // as with most entries
		return c.Exec("UPDATE tasks SET last_seq = ?, updated = ?, expires = ?, until = ? WHERE first_seq = ?",
			t.LastSeq, micros(t.Updated), micros(t.ExpiresAt), micros(t.Until), t.FirstSeq)
	}
	query := "INSERT INTO tasks (" + taskColumns + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
	if was.FirstSeq != 0 {
		query = "UPDATE tasks SET last_seq = ?2, task = ?4, owner = ?5, state = ?6, authority = ?7, session = ?8, name = ?9, user = ?10, " +
			"updated = ?12, expires = ?13, until = ?14, attempts = ?15, error = ?16, next = ?17, parent = ?18 WHERE first_seq = ?1"
	}
	return c.Exec(query,
		t.FirstSeq, t.LastSeq, t.Run, t.ID, t.Owner, string(t.State), t.Authority, t.Session, t.Name, t.OnBehalfOf, micros(t.Opened),
		micros(t.Updated), micros(t.ExpiresAt), micros(t.Until), t.Attempts, t.LastError, micros(t.NextAttempt), t.Parent)
}

// readTasks returns the tasks that a clause chooses.
func readTasks(c *sqldb.Conn, clause string, args ...any) (tasks []journal.Task, err error) {
	err = c.Query(func(r sqldb.Row) error {
		tasks = append(tasks, journal.Task{
			FirstSeq: r.Int(0), LastSeq: r.Int(1), Run: r.Text(2), ID: r.Text(3), Owner: r.Text(4), State: journal.State(r.Text(5)),
			Authority: r.Text(6), Session: r.Text(7), Name: r.Text(8), OnBehalfOf: r.Text(9), Opened: fromMicros(r.Int(10)),
			Updated: fromMicros(r.Int(11)), ExpiresAt: fromMicros(r.Int(12)), Until: fromMicros(r.Int(13)),
			Attempts: int(r.Int(14)), LastError: r.Text(15), NextAttempt: fromMicros(r.Int(16)), Parent: r.Text(17),
		})
		return nil
	}, "SELECT "+taskColumns+" FROM tasks "+clause, args...)
	return tasks, err
}

// Tasks implements [journal.Store].
func (j *Journal) Tasks(ctx context.Context, f journal.TaskFilter) (tasks []journal.Task, err error) {
	where, args := []string{"1"}, []any{}
	if f.Unfinished {
		where = append(where, unsettled, "state <> 'unknown'")
	}
	if f.State == journal.StateUnknown {
		where = append(where, unsettled)
	}
	if f.Parent != "" {
		where = append(where, "parent <> ''") // the condition of an index
	}
	for _, c := range []struct{ column, want string }{{"owner", f.Owner}, {"session", f.Session}, {"parent", f.Parent}, {"state", string(f.State)}} {
		if c.want != "" {
			where, args = append(where, c.column+" = ?"), append(args, c.want)
		}
	}
	clause := "WHERE " + strings.Join(where, " AND ") + " ORDER BY first_seq"
	if f.Newest > 0 {
		clause, args = clause+" DESC LIMIT ?", append(args, f.Newest)
	}
	if err := j.w.Noted(ctx); err != nil {
		return nil, err
	}
	err = j.with(ctx, func(c *sqldb.Conn) (err error) {
		tasks, err = readTasks(c, clause, args...)
		return err
	})
	if f.Newest > 0 {
		slices.Reverse(tasks)
	}
	return tasks, err
}

// unsettled is the condition of an index.
const unsettled = "state NOT IN ('completed', 'expired')"

// Task implements [journal.Store].
func (j *Journal) Task(ctx context.Context, id string) (t journal.Task, err error) {
	if err := j.w.Noted(ctx); err != nil {
		return t, err
	}
	err = j.with(ctx, func(c *sqldb.Conn) error {
		for _, clause := range []string{"WHERE run = ?", "WHERE task = ? AND task <> '' ORDER BY first_seq DESC LIMIT 1"} {
			tasks, err := readTasks(c, clause, id)
			if err != nil {
				return err
			}
			if len(tasks) > 0 {
				t = tasks[0]
				return nil
			}
		}
		return fmt.Errorf("journal: task %q: %w", plain.Line(id, 100), journal.ErrNotFound)
	})
	return t, err
}
