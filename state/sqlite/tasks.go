package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// unfinished chooses the tasks about which something is to be done, now or later.
const unfinished = "state IN ('open', 'suspended', 'completing')"

const taskColumns = "run, task, owner, state, authority, session, name, user, opened, updated, expires, until, attempts, error, next, first_seq, last_seq"

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

func scanTask(row interface{ Scan(dest ...any) error }) (journal.Task, error) {
	var t journal.Task
	var opened, updated, expires, until, next int64
	err := row.Scan(&t.Run, &t.ID, &t.Owner, &t.State, &t.Authority, &t.Session, &t.Name, &t.OnBehalfOf,
		&opened, &updated, &expires, &until, &t.Attempts, &t.LastError, &next, &t.FirstSeq, &t.LastSeq)
	if err != nil {
		return journal.Task{}, err
	}
	t.Opened, t.Updated, t.ExpiresAt = fromMicros(opened), fromMicros(updated), fromMicros(expires)
	t.Until, t.NextAttempt = fromMicros(until), fromMicros(next)
	return t, nil
}

// saveTasks writes tasks. What never changes is left alone: each index that is
// touched is a page more to write.
func saveTasks(ctx context.Context, db querier, tasks []journal.Task) error {
	if len(tasks) == 0 {
		return nil
	}
	const columns = 17
	args := make([]any, 0, len(tasks)*columns)
	for _, t := range tasks {
		args = append(args, t.Run, t.ID, t.Owner, string(t.State), t.Authority, t.Session, t.Name, t.OnBehalfOf, micros(t.Opened),
			micros(t.Updated), micros(t.ExpiresAt), micros(t.Until), t.Attempts, t.LastError, micros(t.NextAttempt), t.FirstSeq, t.LastSeq)
	}
	_, err := db.ExecContext(ctx, "INSERT INTO tasks ("+taskColumns+") VALUES "+values(len(tasks), columns)+
		" ON CONFLICT (run) DO UPDATE SET task = excluded.task, owner = excluded.owner, state = excluded.state, authority = excluded.authority, "+
		"session = excluded.session, name = excluded.name, user = excluded.user, updated = excluded.updated, "+
		"expires = excluded.expires, until = excluded.until, attempts = excluded.attempts, error = excluded.error, "+
		"next = excluded.next, last_seq = excluded.last_seq", args...)
	return err
}

// Tasks returns the tasks that a filter chooses, the oldest first.
func (j *Journal) Tasks(ctx context.Context, f journal.TaskFilter) ([]journal.Task, error) {
	var where []string
	var args []any
	if f.Unfinished {
		where = append(where, unfinished)
	}
	for _, c := range []struct{ column, want string }{{"owner", f.Owner}, {"state", string(f.State)}} {
		if c.want != "" {
			where, args = append(where, c.column+" = ?"), append(args, c.want)
		}
	}
	clause := ""
	if where != nil {
		clause = " WHERE " + strings.Join(where, " AND ")
	}
	tasks, err := queryTasks(ctx, j.read, clause+" ORDER BY first_seq", args...)
	return tasks, failure(j.path, err, false)
}

// queryTasks returns the tasks that a clause chooses.
func queryTasks(ctx context.Context, db querier, clause string, args ...any) ([]journal.Task, error) {
	rows, err := db.QueryContext(ctx, "SELECT "+taskColumns+" FROM tasks"+clause, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // its error is that of rows.Err
	var tasks []journal.Task
	for rows.Next() {
		t, err := scanTask(rows)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, t)
	}
	return tasks, rows.Err()
}

// Task returns the task of a run, or else the one that the authorization server
// calls so. It fails with [journal.ErrNotFound] if there is neither.
func (j *Journal) Task(ctx context.Context, id string) (journal.Task, error) {
	t, err := scanTask(j.read.QueryRowContext(ctx,
		"SELECT "+taskColumns+" FROM tasks WHERE run = ?1 OR (task = ?1 AND task <> '') ORDER BY run = ?1 DESC, first_seq DESC LIMIT 1", id))
	if errors.Is(err, sql.ErrNoRows) {
		return journal.Task{}, fmt.Errorf("journal: task %q: %w", plain.Line(id, 100), journal.ErrNotFound)
	}
	return t, failure(j.path, err, false)
}

// RecordAttempt notes that completing a task failed, and when to try again. reason
// must hold no secret.
func (j *Journal) RecordAttempt(ctx context.Context, run, reason string, next time.Time) error {
	return j.change(ctx, run, func(t journal.Task) (journal.Record, error) {
		e := jit.Entry{Kind: journal.EntryTaskAttempt, Error: reason}
		return journal.Record{Entry: e, Attempt: t.Attempts + 1, NextAttempt: next}, nil
	})
}

// MarkCompleted notes that the authorization server confirmed the end of a task. A
// task that is completed already stays as it is, without an error.
func (j *Journal) MarkCompleted(ctx context.Context, run string) error {
	err := j.change(ctx, run, func(journal.Task) (journal.Record, error) {
		return journal.Record{Entry: jit.Entry{Kind: jit.EntryTaskCompleted}}, nil
	})
	if errors.Is(err, journal.ErrFinished) {
		return nil
	}
	return err
}

// MarkExpired notes that nothing under a task can be valid any more though nobody
// confirmed its end. Before the task's Until it fails with [journal.ErrStillValid].
func (j *Journal) MarkExpired(ctx context.Context, run string) error {
	return j.change(ctx, run, func(t journal.Task) (journal.Record, error) {
		if t.State == journal.StateExpired {
			return journal.Record{}, errNothing
		}
		if time.Now().Before(t.Until) {
			return journal.Record{}, fmt.Errorf("journal: task of run %s: %w", run, journal.ErrStillValid)
		}
		return journal.Record{Entry: jit.Entry{Kind: journal.EntryTaskExpired}}, nil
	})
}

// MarkUnknown notes that nothing more can be done or found out about a task, and
// why. reason must hold no secret.
func (j *Journal) MarkUnknown(ctx context.Context, run, reason string) error {
	return j.change(ctx, run, func(t journal.Task) (journal.Record, error) {
		if t.State == journal.StateUnknown {
			return journal.Record{}, errNothing
		}
		return journal.Record{Entry: jit.Entry{Kind: journal.EntryTaskUnknown, Error: reason}}, nil
	})
}

// errNothing says that a task is as it should be.
var errNothing = errors.New("nothing to change")

// change appends one entry to a task that this journal owns or has claimed and
// that is not completed.
func (j *Journal) change(ctx context.Context, run string, what func(journal.Task) (journal.Record, error)) error {
	err := j.submit(ctx, false, func(tx *txn) error {
		t, err := tx.task(run)
		switch {
		case err != nil:
			return err
		case t.FirstSeq == 0:
			return fmt.Errorf("journal: run %q: %w", plain.Line(run, 100), journal.ErrNotFound)
		case !j.mayChange(t.Owner):
			return fmt.Errorf("journal: task of run %s: %w", run, journal.ErrOwned)
		case t.State == journal.StateCompleted:
			return fmt.Errorf("journal: run %s: %w", run, journal.ErrFinished)
		}
		r, err := what(t)
		if err != nil {
			return err
		}
		r.Run, r.TaskID = t.Run, t.ID
		return tx.append(r)
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}
