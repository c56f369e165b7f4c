package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// maxBatch bounds the changes that share one transaction.
const maxBatch = 256

// commit makes the changes of a batch durable and answers each.
func (j *Journal) commit(batch []*op) {
	own := make([]error, len(batch))
	sync := slices.ContainsFunc(batch, func(o *op) bool { return o.sync })
	err := j.transact(context.Background(), sync, func(tx *txn) error {
		for i, o := range batch {
			own[i] = o.do(tx)
			if tx.err != nil {
				return tx.err
			}
		}
		return nil
	})
	for i, o := range batch {
		if err != nil {
			own[i] = err
		}
		o.done(own[i])
	}
}

// transact runs do in a transaction of its own. When it returns nil, what do
// appended survives the death of the process and, with sync, the loss of power.
func (j *Journal) transact(ctx context.Context, sync bool, do func(*txn) error) error {
	if err := j.files.check(); err != nil {
		return err
	}
	if err := j.setSync(ctx, sync); err != nil {
		return err
	}
	dbtx, err := j.write.BeginTx(ctx, nil)
	if err != nil {
		return failure(j.path, err, true)
	}
	defer func() { _ = dbtx.Rollback() }() // nothing, after a commit
	tx := &txn{j: j, ctx: ctx, tx: dbtx, tasks: map[string]*loaded{}}
	defer tx.remember()
	if tx.last, err = readLast(ctx, dbtx); err != nil {
		return unreadable(j.path, err)
	}
	before := tx.last
	if err := do(tx); err != nil {
		return failure(j.path, err, true)
	}
	if tx.last == before {
		return nil // nothing was appended
	}
	if err := tx.flush(); err != nil {
		return failure(j.path, err, true)
	}
	if err := dbtx.Commit(); err != nil {
		return failure(j.path, err, true)
	}
	tx.committed = true
	if err := j.files.check(); err != nil {
		return err
	}
	if !sync {
		return nil // what a power cut may take is not promised to be there
	}
	return j.setHead(ctx, tx.last)
}

// setSync has the next commits wait for the disk, or not. A WAL is in order: the
// next one that waits takes the others with it.
func (j *Journal) setSync(ctx context.Context, sync bool) error {
	if sync == j.syncing {
		return nil
	}
	mode := map[bool]string{true: "FULL", false: "NORMAL"}[sync]
	if _, err := j.write.ExecContext(ctx, "PRAGMA synchronous = "+mode); err != nil {
		return failure(j.path, err, true)
	}
	j.syncing = sync
	return nil
}

// setHead records the last entry that is on disk.
func (j *Journal) setHead(ctx context.Context, head journal.Head) error {
	if j.head == nil {
		return nil
	}
	return j.head.advance(ctx, head)
}

// A txn is one transaction: the end of the chain, what is added to it, and the
// tasks that this changes.
type txn struct {
	j         *Journal
	ctx       context.Context
	tx        *sql.Tx
	last      journal.Head
	entries   []any // the columns of entries that are still to be written
	tasks     map[string]*loaded
	err       error // of the database; the transaction cannot be committed
	committed bool
}

type loaded struct {
	journal.Task
	dirty bool
}

// fail notes an error of the database.
func (x *txn) fail(err error) error {
	x.err = err
	return err
}

// task returns the task of a run, the zero Task if there is none.
func (x *txn) task(run string) (journal.Task, error) {
	if t, ok := x.tasks[run]; ok {
		return t.Task, nil
	}
	t, ok := x.j.own[run]
	if !ok {
		var err error
		t, err = scanTask(x.tx.QueryRowContext(x.ctx, "SELECT "+taskColumns+" FROM tasks WHERE run = ?", run))
		if err != nil && !errors.Is(err, sql.ErrNoRows) {
			return journal.Task{}, x.fail(err)
		}
	}
	x.tasks[run] = &loaded{Task: t}
	return t, nil
}

// maxOwn bounds the tasks that the writer keeps at hand.
const maxOwn = 1024

// remember keeps the unfinished tasks of this process at hand for the next
// transaction: nobody else writes to them.
func (x *txn) remember() {
	if x.j.own == nil || !x.committed || len(x.j.own) > maxOwn {
		x.j.own = map[string]journal.Task{}
	}
	if !x.committed {
		return
	}
	for run, t := range x.tasks {
		if t.Owner == x.j.id && !t.State.Finished() && t.State != journal.StateSuspended {
			x.j.own[run] = t.Task
		} else {
			delete(x.j.own, run)
		}
	}
}

// append adds a record to the chain and to its task.
func (x *txn) append(r journal.Record) error {
	r.Owner = x.j.id
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	text, err := r.Seal(x.j.keys.chain, x.last)
	if err != nil {
		return err
	}
	var task journal.Task
	if r.Run != "" {
		if task, err = x.task(r.Run); err != nil {
			return err
		}
		switch {
		case r.Kind == jit.EntryTaskResumed: // by whoever is first
			if err := resumable(task); err != nil {
				return err
			}
		case task.FirstSeq != 0 && !x.j.mayChange(task.Owner):
			return fmt.Errorf("journal: task of run %s: %w", r.Run, journal.ErrOwned)
		}
	}
	x.entries = append(x.entries, r.Seq, r.Time.UnixMicro(), string(r.Kind), r.Run, r.TaskID, r.CallID, string(text), r.Hash[:])
	x.last = r.Head()
	if r.Run != "" {
		x.tasks[r.Run] = &loaded{task.After(r), true}
	}
	return nil
}

// resumable fails unless a task is suspended.
func resumable(t journal.Task) error {
	switch {
	case t.State == journal.StateSuspended:
		return nil
	case t.FirstSeq == 0:
		return journal.ErrNotFound
	case t.State.Finished() || t.State == journal.StateCompleting:
		return fmt.Errorf("journal: task of run %s: %w", t.Run, jit.ErrTaskEnded)
	}
	return fmt.Errorf("journal: task of run %s: %w", t.Run, jit.ErrClaimed)
}

// flush writes the entries and the tasks that were changed: one statement each,
// since the driver compiles a statement each time.
func (x *txn) flush() error {
	const columns = 8
	if n := len(x.entries) / columns; n > 0 {
		insert := "INSERT INTO entries (" + rowColumns + ") VALUES " + values(n, columns) //nolint:gosec // G202: question marks
		if _, err := x.tx.ExecContext(x.ctx, insert, x.entries...); err != nil {
			return err
		}
		x.entries = nil
	}
	var tasks []journal.Task
	for _, t := range x.tasks {
		if t.dirty {
			tasks = append(tasks, t.Task)
			t.dirty = false
		}
	}
	return saveTasks(x.ctx, x.tx, tasks)
}

// values returns the placeholders of n rows.
func values(n, columns int) string {
	row := ", (?" + strings.Repeat(", ?", columns-1) + ")"
	return strings.Repeat(row, n)[len(", "):]
}
