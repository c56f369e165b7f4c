package sqlite

import (
	"context"
	"fmt"
	"time"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// alone runs do while no other process writes, and nobody else in this one, with the
// connection that writes.
func (j *Journal) alone(do func(*sqldb.Conn) error) (err error) {
	if j.head == nil { // in memory
		return j.with(context.Background(), do)
	}
	if err := j.files.check(); err != nil {
		return err
	}
	// SQLite's own lock would do. But it is polled for in steps of milliseconds, and the
	// head file must be written before the next one commits.
	if err := disk.Lock(context.Background(), j.head.f, sqldb.Patience); err != nil {
		return failure(j.path, err, true)
	}
	defer func() {
		if fault := disk.Unlock(j.head.f); err == nil {
			err = fault
		}
	}()
	return do(j.write)
}

// transact runs do in a transaction of its own. When it returns nil, what do
// appended survives the death of the process and, with sync, the loss of power.
func (j *Journal) transact(sync bool, do func(*txn) error) error {
	return j.alone(func(c *sqldb.Conn) error {
		tx := &txn{j: j, c: c, tasks: map[string]loaded{}}
		err := tx.run(sync, do)
		tx.remember(err == nil)
		if err != nil || j.head == nil {
			return err
		}
		if err := j.files.check(); err != nil || !sync { // how large they are now, too
			return err // what a power cut may take is not promised to be there
		}
		return j.head.set(tx.last)
	})
}

// setSync has the next commits wait for the disk, or not. A WAL is in order: the
// next one that waits takes the others with it.
func (j *Journal) setSync(c *sqldb.Conn, sync bool) error {
	if sync == j.syncing || j.head == nil {
		return nil
	}
	mode := map[bool]string{true: "FULL", false: "NORMAL"}[sync]
	if err := c.Do("PRAGMA synchronous = " + mode); err != nil {
		return err
	}
	j.syncing = sync
	return nil
}

// A txn is one transaction: the end of the chain, and the tasks that it changes.
type txn struct {
	j     *Journal
	c     *sqldb.Conn
	last  journal.Head
	tasks map[string]loaded
	err   error // of the database; the transaction cannot be committed
}

type loaded struct {
	journal.Task
	dirty bool
}

func (x *txn) run(sync bool, do func(*txn) error) (err error) {
	if err := x.j.setSync(x.c, sync); err != nil {
		return failure(x.j.path, err, true)
	}
	if err := x.c.Exec("BEGIN IMMEDIATE"); err != nil {
		return failure(x.j.path, err, true)
	}
	defer func() {
		if err != nil {
			_ = x.c.Exec("ROLLBACK") // nothing, where SQLite did so itself
		}
	}()
	if x.last, err = readLast(x.c); err != nil {
		return failure(x.j.path, err, false)
	}
	before := x.last
	err = do(x)
	if err == nil && x.last != before {
		err = x.flush()
	}
	if err == nil && x.last != before {
		err = x.pack()
	}
	if err == nil {
		err = x.c.Exec("COMMIT")
	}
	return failure(x.j.path, err, true)
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
		tasks, err := readTasks(x.c, "WHERE run = ?", run)
		if err != nil {
			return journal.Task{}, x.fail(err)
		}
		if len(tasks) > 0 {
			t = tasks[0]
		}
	}
	x.tasks[run] = loaded{Task: t}
	return t, nil
}

// maxOwn bounds the tasks that the writer keeps at hand.
const maxOwn = 1024

// remember keeps the unfinished tasks of this process at hand for the next
// transaction: nobody else writes to them.
func (x *txn) remember(committed bool) {
	if x.j.own == nil || !committed || len(x.j.own) > maxOwn {
		x.j.own = map[string]journal.Task{}
	}
	if !committed {
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
			if err := x.resumable(task); err != nil {
				return err
			}
		case task.FirstSeq != 0 && !x.j.mayChange(task.Owner):
			return fmt.Errorf("journal: task of run %s: %w", r.Run, journal.ErrOwned)
		}
	}
	if err := x.c.Exec("INSERT INTO entries VALUES (?, ?, ?)", r.Seq, string(text), r.Hash[:]); err != nil {
		return x.fail(err)
	}
	x.last = r.Head()
	if r.Run != "" {
		x.tasks[r.Run] = loaded{task.After(r), true}
	}
	return nil
}

// resumable fails unless a task is suspended, or claimed since whoever was at it is gone.
func (x *txn) resumable(t journal.Task) error {
	switch {
	case t.State == journal.StateSuspended, t.State == journal.StateOpen && t.Owner != x.j.id && x.j.mayChange(t.Owner):
		return nil
	case t.FirstSeq == 0:
		return journal.ErrNotFound
	case t.State.Finished() || t.State == journal.StateCompleting:
		return fmt.Errorf("journal: task of run %s: %w", t.Run, jit.ErrTaskEnded)
	}
	return fmt.Errorf("journal: task of run %s: %w", t.Run, jit.ErrClaimed)
}

// flush writes the tasks that were changed.
func (x *txn) flush() error {
	for run, t := range x.tasks {
		if !t.dirty {
			continue
		}
		if err := saveTask(x.c, t.Task); err != nil {
			return x.fail(err)
		}
		x.tasks[run] = loaded{Task: t.Task}
	}
	return nil
}
