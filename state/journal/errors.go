package journal

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrUnwritable reports an entry that could not be made durable: a full or
	// read-only disk, a file size limit, another process that holds the journal for
	// too long. Nothing that it announces may happen. A later append may work.
	ErrUnwritable = errors.New("nothing was recorded")

	// ErrMoved reports a journal whose files were deleted, replaced or cut while it
	// was open. It stays so: the process must end or open the journal again.
	ErrMoved = errors.New("changed under the running process")

	// ErrDamaged reports files that SQLite cannot read, or that lack entries which
	// were acknowledged.
	ErrDamaged = errors.New("damaged")

	// ErrNewer reports a journal written by a later version of this program.
	ErrNewer = errors.New("written by a later version")

	// ErrOlder reports a journal written by an earlier version of this program, which
	// opening it for writing carries forward.
	ErrOlder = errors.New("written by an earlier version")

	// ErrReadOnly reports a change to a journal that was opened for reading.
	ErrReadOnly = errors.New("opened for reading only")

	// ErrClosed reports the use of a closed journal.
	ErrClosed = errors.New("journal is closed")

	// ErrNotFound reports a task that the journal does not know, or a state
	// directory without a journal.
	ErrNotFound = errors.New("not found")

	// ErrOwned reports a task of another process, which may be alive: see
	// [Store.Claim].
	ErrOwned = errors.New("belongs to another process")

	// ErrLost reports an append by a process whose tasks another one has, which took it for
	// dead. It stays so: the process must end or open the journal again.
	ErrLost = errors.New("another process took this one for dead, and has its tasks")

	// ErrFinished reports a change to a task that is completed already.
	ErrFinished = errors.New("task is completed already")

	// ErrStillValid reports that a task cannot be called expired yet: something
	// granted under it may still be valid.
	ErrStillValid = errors.New("something granted under it may still be valid")
)

// An EntryError names the first entry that does not fit the chain.
type EntryError struct {
	Seq    int64 // 0 when no entry is to blame, but what follows from them
	Reason string
}

func (e *EntryError) Error() string {
	if e.Seq == 0 {
		return "journal: " + e.Reason
	}
	return fmt.Sprintf("journal: entry %d does not fit: %s", e.Seq, e.Reason)
}

// Unwrap returns [ErrDamaged].
func (e *EntryError) Unwrap() error { return ErrDamaged }
