package journal

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/jitagent/jitagent/jit"
)

const (
	// maxNotes bounds the notes that wait to be written.
	maxNotes = 4096

	// noteDelay is how long notes wait for something more urgent to go with.
	noteDelay = 20 * time.Millisecond

	// maxBatch bounds the changes that share one transaction.
	maxBatch = 256
)

// An op is one change that waits to be written.
type op struct {
	do      func(*Txn) error // an error means that nothing was written, unless Txn.Fail was told
	entries int              // that it adds at most
	durable bool             // it must survive the loss of power
	done    chan error       // told once how it went; nil for a note
	note    jit.Entry
}

// A queue holds changes in the order in which they came. Whoever comes while nobody
// writes, writes what is there, and those that came meanwhile share the next
// transaction, and with it one wait for the disk.
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
func (w *Writer) put(o *op) (lead, ok bool) {
	q := &w.queue
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
		w.later()
	}
	return false, true
}

// later has notes written in a while. The caller holds the queue.
func (w *Writer) later() {
	if w.queue.late == nil {
		w.queue.late = time.AfterFunc(noteDelay, func() {
			if w.queue.take() {
				w.work()
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
func (w *Writer) work() {
	q := &w.queue
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
		w.log.Warn("journal: notes were lost, they come faster than they can be written", "count", lost)
	}
	w.commit(batch)

	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.ops) > q.notes { // somebody waits
		go w.work()
		return
	}
	q.busy = false
	q.idle.Broadcast()
	if q.notes > 0 && !q.closed {
		w.later()
	}
}

// Finish lets nothing more in, and returns when all is written.
func (w *Writer) Finish() {
	q := &w.queue
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
		w.work()
		w.Finish()
	}
}

// Submit has a change written that adds so many entries at most, and waits for it.
func (w *Writer) Submit(ctx context.Context, durable bool, entries int, do func(*Txn) error) error {
	if err := w.store.Writable(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("journal: nothing was written: %w", err)
	}
	o := &op{do: do, entries: entries, durable: durable, done: make(chan error, 1)}
	lead, ok := w.put(o)
	if !ok {
		return ErrClosed
	}
	if lead {
		runtime.Gosched() // whoever is about to come shares the transaction
		w.work()
	}
	select {
	case err := <-o.done:
		return err
	case <-ctx.Done():
		return fmt.Errorf("journal: wait for the disk, which may have it or not: %w", ctx.Err())
	}
}

// Noted returns when the notes that wait are written, so that a reader sees them.
func (w *Writer) Noted(ctx context.Context) error {
	w.queue.mu.Lock()
	waiting := len(w.queue.ops) > 0 || w.queue.busy
	w.queue.mu.Unlock()
	if !waiting {
		return nil
	}
	return w.Submit(ctx, false, 0, func(*Txn) error { return nil })
}

// commit makes the changes of a batch durable and answers each.
func (w *Writer) commit(batch []*op) {
	own := make([]error, len(batch))
	durable, entries := false, 0
	for _, o := range batch {
		durable = durable || o.durable
		entries += o.entries
	}
	err := w.store.Transact(durable, entries, func(tx *Txn) error {
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
			w.missed(o.note, own[i])
		}
	}
}

// missed logs a note that could not be written.
func (w *Writer) missed(e jit.Entry, err error) {
	if err != nil {
		w.log.Warn("journal: a note was lost", "kind", string(e.Kind), "run", e.Run, "error", err)
	}
}
