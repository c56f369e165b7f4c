package sqlite

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

const (
	// maxNotes bounds the notes that wait for the disk.
	maxNotes = 4096

	// noteDelay is how long notes wait for something more urgent to go with.
	noteDelay = 20 * time.Millisecond

	// maxBatch bounds the changes that share one transaction.
	maxBatch = 256
)

// An op is one change that waits to be written.
type op struct {
	do   func(*txn) error // an error means that nothing was written, unless txn.err is set: then the whole transaction is given up
	sync bool             // it must survive the loss of power
	done chan error       // told once how it went; nil for a note
	note jit.Entry
}

// A queue holds changes in the order in which they came. Whoever comes while nobody
// writes, writes what is there, and those that came meanwhile share the next
// transaction, and with it one fsync.
type queue struct {
	mu     sync.Mutex
	ops    []*op
	notes  int // among ops
	lost   int // notes for which there was no room
	busy   bool
	late   *time.Timer // set while notes wait for something to go with
	closed bool
	idle   sync.Cond // of busy
}

// put adds a change, and reports whether the caller is the one who writes it, by
// calling work, and whether the queue was open.
func (j *Journal) put(o *op) (lead, ok bool) {
	q := &j.queue
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return false, false
	case o.done != nil:
		q.ops = append(q.ops, o)
		lead = !q.busy
		q.busy = true
		return lead, true
	case q.notes == maxNotes:
		q.lost++
		return false, true
	}
	q.ops = append(q.ops, o)
	q.notes++
	if !q.busy {
		j.later()
	}
	return false, true
}

// later has notes written in a while. The caller holds the queue.
func (j *Journal) later() {
	if j.queue.late == nil {
		j.queue.late = time.AfterFunc(noteDelay, func() {
			if j.queue.take() {
				j.work()
			}
		})
	}
}

// take makes the caller the one who writes, unless somebody is or nothing waits.
func (q *queue) take() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.late = nil
	if q.busy || len(q.ops) == 0 {
		return false
	}
	q.busy = true
	return true
}

// work writes one transaction, for whoever was told to, and has the rest written.
func (j *Journal) work() {
	q := &j.queue
	q.mu.Lock()
	n := min(len(q.ops), maxBatch)
	batch, lost := q.ops[:n:n], q.lost
	q.ops, q.lost = q.ops[n:], 0
	for _, o := range batch {
		if o.done == nil {
			q.notes--
		}
	}
	q.mu.Unlock()
	if lost > 0 {
		j.log.Warn("journal: notes were lost, the disk is too slow", "count", lost)
	}
	j.commit(batch)

	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ops) > q.notes { // somebody waits
		go j.work()
		return
	}
	q.busy = false
	q.idle.Broadcast()
	if q.notes > 0 && !q.closed {
		j.later()
	}
}

// finish lets nothing more in, and returns when all is written.
func (j *Journal) finish() {
	q := &j.queue
	q.mu.Lock()
	q.closed = true
	if q.late != nil {
		q.late.Stop()
	}
	for q.busy {
		q.idle.Wait()
	}
	q.mu.Unlock()
	if q.take() {
		j.work()
		j.finish()
	}
}

// submit has a change written, and waits for it.
func (j *Journal) submit(ctx context.Context, sync bool, do func(*txn) error) error {
	if err := j.writable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("journal: nothing was written: %w", err)
	}
	o := &op{do: do, sync: sync, done: make(chan error, 1)}
	lead, ok := j.put(o)
	if !ok {
		return journal.ErrClosed
	}
	if lead {
		j.work()
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("journal: wait for the disk, which may have it or not: %w", ctx.Err())
	}
}

// noted returns when the notes that wait are written, so that a reader sees them.
func (j *Journal) noted(ctx context.Context) error {
	j.queue.mu.Lock()
	waiting := len(j.queue.ops) > 0 || j.queue.busy
	j.queue.mu.Unlock()
	if !waiting {
		return nil
	}
	return j.submit(ctx, false, func(*txn) error { return nil })
}

// commit makes the changes of a batch durable and answers each.
func (j *Journal) commit(batch []*op) {
	own := make([]error, len(batch))
	sync := false
	for _, o := range batch {
		sync = sync || o.sync
	}
	err := j.transact(sync, func(tx *txn) error {
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
		if o.done != nil {
			o.done <- own[i]
		} else {
			j.missed(o.note, own[i])
		}
	}
}

// missed logs a note that could not be written.
func (j *Journal) missed(e jit.Entry, err error) {
	if err != nil {
		j.log.Warn("journal: a note was lost", "kind", string(e.Kind), "run", e.Run, "error", err)
	}
}

// adding returns the change that adds entries.
func (j *Journal) adding(entries ...jit.Entry) (func(*txn) error, error) {
	for _, e := range entries {
		switch e.Kind {
		case journal.EntryTaskAttempt, journal.EntryTaskExpired, journal.EntryTaskUnknown, journal.EntryPruned, journal.EntryLoss:
			return nil, fmt.Errorf("journal: entry %s is the journal's own", e.Kind)
		}
	}
	records := make([]journal.Record, len(entries))
	for i, e := range entries {
		if e.Time.IsZero() {
			e.Time = time.Now()
		}
		records[i] = journal.Record{Entry: e, Until: journal.Until(e, j.longest)}
		if i > 0 { // the first must not stand alone because another cannot be kept
			if _, err := records[i].JSON(); err != nil {
				return nil, err
			}
		}
	}
	return func(tx *txn) error {
		for i, r := range records {
			err := tx.append(r)
			if err != nil && i > 0 {
				err = tx.fail(err)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// Append implements [jit.Journal]: it adds entries, all or none, and returns when they
// are on disk. An entry of a run that another process owns is refused with
// [journal.ErrOwned]; [journal.ErrUnwritable] means that the disk did not take it. If
// ctx ends first, the entry may have been written or not. A zero Time is now.
func (j *Journal) Append(ctx context.Context, entries ...jit.Entry) error {
	do, err := j.adding(entries...)
	if err != nil {
		return err
	}
	return j.submit(ctx, true, do)
}

// Note implements [jit.Journal]: it adds an entry after those that came before, and
// returns at once. The entry is written within moments, or with the next Append,
// and is on disk with that. What goes wrong is logged. The caller must not change
// what e points to any more.
func (j *Journal) Note(e jit.Entry) {
	do, err := j.adding(e)
	if err == nil {
		err = j.writable()
	}
	if err == nil {
		if _, ok := j.put(&op{do: do, note: e}); !ok {
			err = journal.ErrClosed
		}
	}
	j.missed(e, err)
}

// Entries implements [jit.Rereader].
func (j *Journal) Entries(ctx context.Context, run string) ([]jit.Entry, error) {
	if err := j.noted(ctx); err != nil {
		return nil, err
	}
	var entries []jit.Entry
	for r, err := range j.Query(ctx, journal.Filter{Run: run}) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, r.Entry)
	}
	return entries, nil
}

// Runs implements [jit.Rereader].
func (j *Journal) Runs(ctx context.Context, session string) (runs []string, err error) {
	tasks, err := j.Tasks(ctx, journal.TaskFilter{Session: session})
	for _, t := range tasks {
		runs = append(runs, t.Run)
	}
	return runs, err
}
