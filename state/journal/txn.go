package journal

import (
	"fmt"
	"time"

	"github.com/jitagent/jitagent/jit"
)

// Rows are what a store reads and writes in a transaction.
type Rows interface {
	// Next returns the number of the entry that follows the last one of its chain, and its
	// Prev.
	Next(last Head) (seq, prev int64, err error)

	// Task returns the task of a run, the zero Task if there is none.
	Task(run string) (Task, error)

	Insert(r Record, text []byte) error

	// Save writes a task that was another at the end of the last transaction; the zero
	// Task for one that was not there.
	Save(was, t Task) error
}

// A Txn is one transaction: the end of the chain that it adds to, and the tasks that it
// changes.
type Txn struct {
	Rows Rows
	Last Head

	w     *Writer
	tasks map[string]loaded
	err   error // of the rows; the transaction cannot be committed
}

type loaded struct {
	Task
	was Task // as it is saved
}

// Begin returns a transaction after the last entry of a chain.
func (w *Writer) Begin(rows Rows, last Head) *Txn {
	if w.mac == nil { // the store has its keys by now
		w.mac = newMAC(w.store.ChainKey())
	}
	return &Txn{Rows: rows, Last: last, w: w, tasks: map[string]loaded{}}
}

// Fail notes an error of the rows, and returns it.
func (x *Txn) Fail(err error) error {
	x.err = err
	return err
}

// task returns the task of a run, the zero Task if there is none.
func (x *Txn) task(run string) (Task, error) {
	if t, ok := x.tasks[run]; ok {
		return t.Task, nil
	}
	t, ok := x.w.own[run]
	if !ok {
		var err error
		if t, err = x.Rows.Task(run); err != nil {
			return Task{}, x.Fail(err)
		}
	}
	x.tasks[run] = loaded{t, t}
	return t, nil
}

// maxOwn bounds the tasks that the writer keeps at hand.
const maxOwn = 1024

// End tells whether the transaction was committed. It keeps the unfinished tasks of this
// store at hand for the next one: nobody else writes to them.
func (x *Txn) End(committed bool) {
	w := x.w
	if w.own == nil || !committed || len(w.own) > maxOwn {
		w.own = map[string]Task{}
	}
	if !committed {
		return
	}
	for run, t := range x.tasks {
		if t.Owner == w.store.Owner() && !t.State.Finished() && t.State != StateSuspended {
			w.own[run] = t.Task
		} else {
			delete(w.own, run)
		}
	}
}

// Forget drops what is known of tasks, which were removed.
func (x *Txn) Forget() {
	clear(x.tasks)
	x.w.own = nil
}

// Append adds a record to the chain and to its task.
func (x *Txn) Append(r Record) error {
	r.Owner = x.w.store.Owner()
	if r.Time.IsZero() {
		r.Time = time.Now()
	}
	var err error
	if r.Seq, r.Prev, err = x.Rows.Next(x.Last); err != nil {
		return x.Fail(err)
	}
	text, err := r.seal(x.w.mac, x.Last)
	if err != nil {
		return err
	}
	var task Task
	if r.Run != "" {
		if task, err = x.task(r.Run); err != nil {
			return err
		}
		switch {
		case r.Kind == jit.EntryTaskResumed: // by whoever is first
			if err := x.resumable(task); err != nil {
				return err
			}
		case task.FirstSeq != 0 && !x.w.store.MayChange(task.Owner):
			return fmt.Errorf("journal: task of run %s: %w", r.Run, ErrOwned)
		}
	}
	if err := x.Rows.Insert(r, text); err != nil {
		return x.Fail(err)
	}
	x.Last = r.Head()
	if r.Run != "" {
		x.tasks[r.Run] = loaded{task.After(r), x.tasks[r.Run].was}
	}
	return nil
}

// resumable fails unless a task is suspended, or claimed since whoever was at it is gone.
func (x *Txn) resumable(t Task) error {
	switch {
	case t.State == StateSuspended, t.State == StateOpen && t.Owner != x.w.store.Owner() && x.w.store.MayChange(t.Owner):
		return nil
	case t.FirstSeq == 0:
		return ErrNotFound
	case t.State.Finished() || t.State == StateCompleting:
		return fmt.Errorf("journal: task of run %s: %w", t.Run, jit.ErrTaskEnded)
	}
	return fmt.Errorf("journal: task of run %s: %w", t.Run, jit.ErrClaimed)
}

// Flush saves the tasks that were changed.
func (x *Txn) Flush() error {
	for run, t := range x.tasks {
		if t.Task == t.was {
			continue
		}
		if err := x.Rows.Save(t.was, t.Task); err != nil {
			return x.Fail(err)
		}
		x.tasks[run] = loaded{t.Task, t.Task}
	}
	return nil
}
