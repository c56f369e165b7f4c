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

// taskColumns begin with what every entry may change, then what the end of a task does, and
// what begins or resumes it. The last never change.
const taskColumns = "first_seq, last_seq, updated, expires, until, state, attempts, error, next, task, owner, authority, session, name, user, parent, run, opened"

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
	const (
		some  = "UPDATE tasks SET last_seq = ?2, updated = ?3, expires = ?4, until = ?5"
		more  = some + ", state = ?6, attempts = ?7, error = ?8, next = ?9"
		most  = more + ", task = ?10, owner = ?11, authority = ?12, session = ?13, name = ?14, user = ?15, parent = ?16"
		where = " WHERE first_seq = ?1"
	)
	args := append(make([]any, 0, 18), t.FirstSeq, t.LastSeq, micros(t.Updated), micros(t.ExpiresAt), micros(t.Until))
	was.LastSeq, was.Updated, was.ExpiresAt, was.Until = t.LastSeq, t.Updated, t.ExpiresAt, t.Until
	if was == t { // as with most entries
		return c.Exec(some+where, args...)
	}
	args = append(args, string(t.State), t.Attempts, t.LastError, micros(t.NextAttempt))
	was.State, was.Attempts, was.LastError, was.NextAttempt = t.State, t.Attempts, t.LastError, t.NextAttempt
	if was == t {
		return c.Exec(more+where, args...)
	}
	args = append(args, t.ID, t.Owner, t.Authority, t.Session, t.Name, t.OnBehalfOf, t.Parent)
	if was.FirstSeq != 0 {
		return c.Exec(most+where, args...)
	}
	args = append(args, t.Run, micros(t.Opened))
	return c.Exec("INSERT INTO tasks ("+taskColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", args...)
}

// readTasks returns the tasks that a clause chooses.
func readTasks(c *sqldb.Conn, clause string, args ...any) (tasks []journal.Task, err error) {
	err = c.Query(func(r sqldb.Row) error {
		tasks = append(tasks, journal.Task{
			FirstSeq: r.Int(0), LastSeq: r.Int(1), Updated: fromMicros(r.Int(2)), ExpiresAt: fromMicros(r.Int(3)), Until: fromMicros(r.Int(4)),
			State: journal.State(r.Text(5)), Attempts: int(r.Int(6)), LastError: r.Text(7), NextAttempt: fromMicros(r.Int(8)),
			ID: r.Text(9), Owner: r.Text(10), Authority: r.Text(11), Session: r.Text(12), Name: r.Text(13), OnBehalfOf: r.Text(14), Parent: r.Text(15),
			Run: r.Text(16), Opened: fromMicros(r.Int(17)),
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
