package sqlite

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

const (
	// maxNotes bounds the notes that wait for the disk.
	maxNotes = 4096

	// noteDelay is how long notes wait for something more urgent to go with.
	noteDelay = 20 * time.Millisecond
)

// An op is one change that waits for the writer.
type op struct {
	// do makes the change. An error means that nothing was written, unless tx.err
	// is set: then the whole transaction is given up.
	do   func(tx *txn) error
	sync bool        // it must survive the loss of power
	note bool        // nobody waits for it
	done func(error) // told once how it went
	gone atomic.Bool // whoever gets it first: the writer, or the caller who leaves
}

// A queue holds changes for the writer, in the order in which they came.
type queue struct {
	urgent chan struct{} // has a token when something came that somebody waits for
	noted  chan struct{} // has a token when a note came
	stop   chan struct{} // closed when nothing comes any more

	mu     sync.Mutex
	ops    []*op
	notes  int // among ops
	lost   int // notes for which there was no room
	closed bool
}

func newQueue() *queue {
	return &queue{urgent: make(chan struct{}, 1), noted: make(chan struct{}, 1), stop: make(chan struct{})}
}

// put adds a change. It reports false when the queue is closed.
func (q *queue) put(o *op) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	wake := q.urgent
	switch {
	case q.closed:
		return false
	case o.note && q.notes == maxNotes:
		q.lost++
		return true
	case o.note:
		q.notes++
		wake = q.noted
	}
	q.ops = append(q.ops, o)
	select {
	case wake <- struct{}{}:
	default:
	}
	return true
}

// take removes up to maxBatch changes, and the count of lost notes.
func (q *queue) take() (batch []*op, lost int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.ops), maxBatch)
	batch, q.ops = q.ops[:n:n], q.ops[n:]
	for _, o := range batch {
		if o.note {
			q.notes--
		}
	}
	lost, q.lost = q.lost, 0
	return batch, lost
}

// close lets nothing more in.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	close(q.stop)
}

// writer makes changes until the journal is closed and nothing waits. Those that
// came while it was busy share the next transaction, and with it one fsync.
func (j *Journal) writer() {
	defer close(j.written)
	for open := true; open; {
		select {
		case <-j.queue.urgent:
		case <-j.queue.stop:
			open = false
		case <-j.queue.noted:
			timer := time.NewTimer(noteDelay)
			select {
			case <-timer.C:
			case <-j.queue.urgent:
			case <-j.queue.stop:
			}
			timer.Stop()
		}
		for {
			batch, lost := j.queue.take()
			if lost > 0 {
				j.log.Warn("journal: notes were lost, the disk is too slow", "count", lost)
			}
			if len(batch) == 0 {
				break
			}
			batch = slices.DeleteFunc(batch, func(o *op) bool { return o.gone.Swap(true) })
			if len(batch) > 0 {
				j.commit(batch)
			}
		}
	}
}

// submit hands a change to the writer and waits for it.
func (j *Journal) submit(ctx context.Context, sync bool, do func(*txn) error) error {
	if err := j.writable(); err != nil {
		return err
	}
	done := make(chan error, 1)
	o := &op{do: do, sync: sync, done: func(err error) { done <- err }}
	if !j.queue.put(o) {
		return journal.ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		if o.gone.Swap(true) {
			return fmt.Errorf("journal: wait for the disk, which may have it or not: %w", ctx.Err())
		}
		return fmt.Errorf("journal: wait for the disk: %w", ctx.Err())
	}
}

// internal fails for the kinds that only the journal writes.
func internal(kind jit.EntryKind) error {
	switch kind {
	case journal.EntryTaskAttempt, journal.EntryTaskExpired, journal.EntryTaskUnknown, journal.EntryPruned, journal.EntryLoss:
		return fmt.Errorf("journal: entry %s is the journal's own", kind)
	}
	return nil
}

// Append implements [jit.Journal]: it adds an entry and returns when it is on disk.
// An entry of a run that another process owns is refused with [journal.ErrOwned];
// [journal.ErrUnwritable] means that the disk did not take it. If ctx ends first, the entry
// may have been written or not. A zero Time is now.
func (j *Journal) Append(ctx context.Context, e jit.Entry) error {
	if err := internal(e.Kind); err != nil {
		return err
	}
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	return j.submit(ctx, true, func(tx *txn) error {
		return tx.append(journal.Record{Entry: e, Until: journal.Until(e, j.longest)})
	})
}

// Note implements [jit.Journal]: it adds an entry after those that came before, and
// returns at once. The entry is written within moments, or with the next Append,
// and is on disk with that. What goes wrong is logged. The caller must not change
// what e points to any more.
func (j *Journal) Note(e jit.Entry) {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	told := func(err error) {
		if err != nil {
			j.log.Warn("journal: a note was lost", "kind", string(e.Kind), "run", e.Run, "error", err)
		}
	}
	err := internal(e.Kind)
	if err == nil {
		err = j.writable()
	}
	if err != nil {
		told(err)
		return
	}
	o := &op{note: true, done: told, do: func(tx *txn) error {
		return tx.append(journal.Record{Entry: e, Until: journal.Until(e, j.longest)})
	}}
	if !j.queue.put(o) {
		told(journal.ErrClosed)
	}
}

// Entries implements [jit.Rereader].
func (j *Journal) Entries(ctx context.Context, run string) ([]jit.Entry, error) {
	if err := j.submit(ctx, false, func(*txn) error { return nil }); err != nil { // after the notes that wait
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

var _ jit.Rereader = (*Journal)(nil)
