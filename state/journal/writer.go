package journal

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"iter"
	"log/slog"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
)

// A Medium is where a [Writer] writes: what is particular to a store.
type Medium interface {
	Owner() string
	ChainKey() secret.String

	// Writable fails where nothing can be written, now or ever.
	Writable() error

	// MayChange reports whether this store may write to the tasks of an owner.
	MayChange(owner string) bool

	// Transact runs do in one transaction, which adds so many entries at most, with a Txn
	// of [Writer.Begin]. When it returns nil, what do appended survives the death of the
	// process and, if durable, the loss of power. It is called by one at a time. It may
	// run do again where it is certain that nothing of the first time was kept.
	Transact(durable bool, entries int, do func(*Txn) error) error

	Query(ctx context.Context, f Filter) iter.Seq2[Record, error]
	Tasks(ctx context.Context, f TaskFilter) ([]Task, error)
}

// A Writer is the part of a [Store] that is the same for all: changes that share
// transactions, and what may be changed by whom. Make one with [NewWriter].
type Writer struct {
	store   Medium
	longest time.Duration
	log     *slog.Logger
	queue   queue
	own     map[string]Task // of the one who writes: unfinished tasks that this store began
	mac     hash.Hash       // of the one who writes
}

// Writes are what a Writer does of a [Store].
type Writes interface {
	jit.Rereader
	Mark(ctx context.Context, run string, m Mark) error
}

// NewWriter returns the writer of a store. longest is the longest time that anything can
// be valid, see [Until]; 0 is 24 hours, far above the minutes that a token lives. A nil
// logger discards.
func NewWriter(store Medium, longest time.Duration, logger *slog.Logger) (*Writer, error) {
	if longest < 0 {
		return nil, errors.New("journal: options: Longest is negative")
	}
	if longest == 0 {
		longest = 24 * time.Hour
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	w := &Writer{store: store, longest: longest, log: logger}
	w.queue.idle.L = &w.queue.mu
	return w, nil
}

// adding returns the change that adds entries.
func (w *Writer) adding(entries ...jit.Entry) (func(*Txn) error, error) {
	for _, e := range entries {
		switch e.Kind {
		case EntryTaskAttempt, EntryTaskExpired, EntryTaskUnknown, EntryPruned, EntryJoined, EntryLoss:
			return nil, fmt.Errorf("journal: entry %s is the journal's own", e.Kind)
		}
	}
	records := make([]Record, len(entries))
	for i, e := range entries {
		if e.Time.IsZero() {
			e.Time = time.Now()
		}
		records[i] = Record{Entry: e, Until: Until(e, w.longest)}
		if i > 0 { // the first must not stand alone because another cannot be kept
			if _, err := records[i].JSON(); err != nil {
				return nil, err
			}
		}
	}
	return func(tx *Txn) error {
		for i, r := range records {
			err := tx.Append(r)
			if err != nil && i > 0 {
				err = tx.Fail(err)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// Append implements [jit.Journal]: it adds entries, all or none, and returns when they
// are on disk. An entry of a run that another process owns is refused with [ErrOwned];
// [ErrUnwritable] means that the disk did not take it. If ctx ends first, the entry may
// have been written or not. A zero Time is now.
func (w *Writer) Append(ctx context.Context, entries ...jit.Entry) error {
	do, err := w.adding(entries...)
	if err != nil {
		return err
	}
	return w.Submit(ctx, true, len(entries), do)
}

// Note implements [jit.Journal]: it adds an entry after those that came before, and
// returns at once. The entry is written within moments, or with the next Append,
// and is on disk with that. What goes wrong is logged. The caller must not change
// what e points to any more.
func (w *Writer) Note(e jit.Entry) {
	do, err := w.adding(e)
	if err == nil {
		err = w.store.Writable()
	}
	if err == nil {
		if _, ok := w.put(&op{do: do, entries: 1, note: e}); !ok {
			err = ErrClosed
		}
	}
	w.missed(e, err)
}

// Entries implements [jit.Rereader].
func (w *Writer) Entries(ctx context.Context, run string) ([]jit.Entry, error) {
	if err := w.Noted(ctx); err != nil {
		return nil, err
	}
	var entries []jit.Entry
	for r, err := range w.store.Query(ctx, Filter{Run: run}) {
		if err != nil {
			return nil, err
		}
		entries = append(entries, r.Entry)
	}
	return entries, nil
}

// Runs implements [jit.Rereader].
func (w *Writer) Runs(ctx context.Context, session string) (runs []string, err error) {
	tasks, err := w.store.Tasks(ctx, TaskFilter{Session: session})
	for _, t := range tasks {
		if t.Parent == "" {
			runs = append(runs, t.Run)
		}
	}
	return runs, err
}

// Below implements [jit.Rereader].
func (w *Writer) Below(ctx context.Context, run string) (runs []string, err error) {
	tasks, err := w.store.Tasks(ctx, TaskFilter{Parent: run})
	for _, t := range tasks {
		runs = append(runs, t.Run)
	}
	return runs, err
}

// errNothing says that a task is as it should be.
var errNothing = errors.New("nothing to change")

// Mark implements [Store].
func (w *Writer) Mark(ctx context.Context, run string, m Mark) error {
	kind, ok := map[State]jit.EntryKind{
		StateCompleting: EntryTaskAttempt, StateCompleted: jit.EntryTaskCompleted,
		StateExpired: EntryTaskExpired, StateUnknown: EntryTaskUnknown,
	}[m.State]
	if !ok {
		return fmt.Errorf("journal: a task cannot be marked %q", m.State)
	}
	err := w.Submit(ctx, false, 1, func(tx *Txn) error {
		t, err := tx.task(run)
		switch {
		case err != nil:
			return err
		case t.FirstSeq == 0:
			return fmt.Errorf("journal: run %q: %w", plain.Line(run, 100), ErrNotFound)
		case !w.store.MayChange(t.Owner):
			return fmt.Errorf("journal: task of run %s: %w", run, ErrOwned)
		case t.State == m.State && t.State.Finished():
			return errNothing
		case t.State == StateCompleted:
			return fmt.Errorf("journal: run %s: %w", run, ErrFinished)
		case m.State == StateExpired && time.Now().Before(t.Until):
			return fmt.Errorf("journal: task of run %s: %w", run, ErrStillValid)
		}
		r := Record{Entry: jit.Entry{Kind: kind, Run: t.Run, TaskID: t.ID, Error: m.Reason}, NextAttempt: m.Next}
		switch kind {
		case EntryTaskAttempt:
			r.Attempt = t.Attempts + 1
		case jit.EntryTaskCompleted:
			r.ExpiresAt, r.NextAttempt = m.Next, time.Time{}
		}
		return tx.Append(r)
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}
