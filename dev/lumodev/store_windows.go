package lumodev

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// checkPrivate does nothing: a Windows directory has the access list of its
// parent, which a mode does not show.
func checkPrivate(string) error { return nil }

// lockDir takes the lock of a directory, which the system releases when the
// process ends, however it ends.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
	if err != nil {
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			err = errInUse
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// syncDir does nothing: NTFS journals its directories.
func syncDir(string) error { return nil }
