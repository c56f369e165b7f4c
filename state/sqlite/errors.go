package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// damaged returns an error that names the file, what is wrong, and what to do.
func damaged(path, reason string) error {
	return fmt.Errorf("journal: %s is %w: %s; nothing was changed: keep a copy of its directory, then move the files journal.* "+
		"out of it to begin anew (what was granted under tasks known only there ends when it expires)", path, journal.ErrDamaged, reason)
}

// failure turns an error of the database or the file system at path into one that
// says what it means. writing says that the caller wanted to change something. What
// this package or its caller said already stays as it is.
func failure(path string, err error, writing bool) error {
	code := sqldb.Code(err)
	switch {
	case err == nil || errors.Is(err, journal.ErrUnwritable) || errors.Is(err, journal.ErrDamaged):
		return err
	case errors.Is(err, errMissing):
		return damaged(path, err.Error())
	case code == sqldb.Corrupt || code == sqldb.NotADB:
		return damaged(path, err.Error())
	case !writing && code == 0: // not the database's
		return err
	case writing:
		return fmt.Errorf("journal: cannot write %s: %s: %w (%w)", path, remedy(err), journal.ErrUnwritable, err)
	}
	if code == sqldb.IOErr { // also to read SQLite needs a file that is not there yet
		err = fmt.Errorf("the disk is full, or fails: %w", err)
	}
	return fmt.Errorf("journal: read %s: %w", path, err)
}

// remedy says what to do about a write that failed.
func remedy(err error) string {
	switch code := sqldb.Code(err); {
	case code == sqldb.Full || errors.Is(err, syscall.ENOSPC):
		return "the disk is full: free some space"
	case code == sqldb.ReadOnly || code == sqldb.CantOpen || errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS):
		return "it is read-only: make the directory writable or use another"
	case code == sqldb.Busy || errors.Is(err, context.DeadlineExceeded):
		return "another process holds it for too long: end that one or try again"
	}
	return "the disk does not take it"
}
