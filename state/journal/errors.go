package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/glebarez/go-sqlite"

	"github.com/jitagent/jitagent/internal/disk"
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

	// ErrUnsafe reports a directory or file that other users may use or own.
	ErrUnsafe = disk.ErrShared

	// ErrReadOnly reports a change to a journal that was opened for reading.
	ErrReadOnly = errors.New("opened for reading only")

	// ErrClosed reports the use of a closed journal.
	ErrClosed = errors.New("journal is closed")

	// ErrNotFound reports a task that the journal does not know, or a state
	// directory without a journal.
	ErrNotFound = errors.New("not found")

	// ErrOwned reports a task of another process, which may be alive: see
	// [Journal.Claim].
	ErrOwned = errors.New("belongs to another process")

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

// damaged returns an error that names the file, what is wrong, and what to do.
func damaged(path, reason string) error {
	return fmt.Errorf("journal: %s is %w: %s; nothing was changed: keep a copy of its directory, then move the files journal.* "+
		"out of it to begin anew (what was granted under tasks known only there ends when it expires)", path, ErrDamaged, reason)
}

// Primary result codes of SQLite (https://sqlite.org/rescode.html).
const (
	codeBusy     = 5
	codeReadOnly = 8
	codeCorrupt  = 11
	codeFull     = 13
	codeCantOpen = 14
	codeNotADB   = 26
)

// failure turns an error of the database or the file system at path into one that
// says what it means. writing says that the caller wanted to change something.
func failure(path string, err error, writing bool) error {
	if err == nil || errors.Is(err, ErrUnwritable) || errors.Is(err, ErrDamaged) { // it says so already
		return err
	}
	code := 0
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		code = e.Code() & 0xff
	}
	switch {
	case code == codeCorrupt || code == codeNotADB:
		return damaged(path, err.Error())
	case !writing && code == 0 && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return damaged(path, "it holds what no journal does: "+err.Error())
	case !writing:
		return fmt.Errorf("journal: read %s: %w", path, err)
	}
	return fmt.Errorf("journal: cannot write %s: %s: %w (%w)", path, remedy(code, err), ErrUnwritable, err)
}

// remedy says what to do about a write that failed.
func remedy(code int, err error) string {
	switch {
	case code == codeFull || errors.Is(err, syscall.ENOSPC):
		return "the disk is full: free some space"
	case code == codeReadOnly || code == codeCantOpen || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return "it is read-only: make the directory writable or use another"
	case code == codeBusy:
		return "another process holds it for too long: end that one or try again"
	}
	return "the disk does not take it"
}
