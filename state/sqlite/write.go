package sqlite

import (
	"context"
	"fmt"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
)

// alone runs do while no other process writes, and nobody else in this one, with the
// connection that writes.
func (j *Journal) alone(do func(*sqldb.Conn) error) (err error) {
	if j.head == nil { // in memory
		return j.with(context.Background(), do)
	}
	if err := j.files[:3].check(); err != nil { // what SQLite writes to; the others afterwards
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

// A medium is where the journal's writer writes.
type medium struct{ *Journal }

// ChainKey implements [journal.Medium].
func (m medium) ChainKey() secret.String { return m.keys.Chain }

// MayChange implements [journal.Medium].
func (m medium) MayChange(owner string) bool { return m.mayChange(owner) }

// Writable implements [journal.Medium].
func (m medium) Writable() error {
	if m.readOnly {
		return fmt.Errorf("journal: %w", journal.ErrReadOnly)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return journal.ErrClosed
	}
	return nil
}

// Transact implements [journal.Medium].
func (m medium) Transact(sync bool, _ int, do func(*journal.Txn) error) error {
	return m.alone(func(c *sqldb.Conn) error {
		rows := &rows{m.Journal, c}
		tx := m.w.Begin(rows, journal.Head{})
		err := rows.run(tx, sync, do)
		tx.End(err == nil)
		if err != nil || m.head == nil {
			return err
		}
		if err := m.files.check(); err != nil || !sync { // how large they are now, too
			return err // what a power cut may take is not promised to be there
		}
		return m.head.set(tx.Last)
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

// rows are those of one transaction.
type rows struct {
	j *Journal
	c *sqldb.Conn
}

func (r *rows) run(tx *journal.Txn, sync bool, do func(*journal.Txn) error) (err error) {
	if err := r.j.setSync(r.c, sync); err != nil {
		return failure(r.j.path, err, true)
	}
	if err := r.c.Exec("BEGIN IMMEDIATE"); err != nil {
		return failure(r.j.path, err, true)
	}
	defer func() {
		if err != nil {
			_ = r.c.Exec("ROLLBACK") // nothing, where SQLite did so itself
		}
	}()
	if tx.Last, err = readLast(r.c); err != nil {
		return failure(r.j.path, err, false)
	}
	before := tx.Last
	err = do(tx)
	if err == nil && tx.Last != before {
		err = tx.Flush()
	}
	if err == nil && tx.Last != before {
		err = r.pack(tx.Last)
	}
	if err == nil {
		err = r.c.Exec("COMMIT")
	}
	return failure(r.j.path, err, true)
}

// Next implements [journal.Rows].
func (*rows) Next(last journal.Head) (seq, prev int64, err error) { return last.Seq + 1, 0, nil }

// Insert implements [journal.Rows].
func (r *rows) Insert(e journal.Record, text []byte) error {
	return r.c.Exec("INSERT INTO entries VALUES (?, ?, ?)", e.Seq, string(text), e.Hash[:])
}

// Task implements [journal.Rows].
func (r *rows) Task(run string) (journal.Task, error) {
	tasks, err := readTasks(r.c, "WHERE run = ?", run)
	if err != nil || len(tasks) == 0 {
		return journal.Task{}, err
	}
	return tasks[0], nil
}

// Save implements [journal.Rows].
func (r *rows) Save(was, t journal.Task) error { return saveTask(r.c, was, t) }
