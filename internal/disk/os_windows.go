package disk

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/windows"
)

// Private accepts everything: a Windows directory has the access list of its
// parent, which a mode does not show.
func Private(string, fs.FileInfo) error { return nil }

// Secret accepts everything, see Private.
func Secret(string, fs.FileInfo) error { return nil }

// Open opens a file. No child process inherits it.
func Open(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag, 0o600)
}

// region is what the locks cover: a byte far behind the content, which locks of
// Windows would otherwise make unreadable for others.
func region() *windows.Overlapped { return &windows.Overlapped{OffsetHigh: 0x7fffffff} }

// TryLock takes the lock of an open file, which the system drops when the process
// ends, however it ends. It reports false when somebody else holds it.
func TryLock(f *os.File) (bool, error) {
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, region())
	switch {
	case errors.Is(err, windows.ERROR_LOCK_VIOLATION):
		return false, nil
	case err != nil:
		return false, &fs.PathError{Op: "lock", Path: f.Name(), Err: err}
	}
	return true, nil
}

// Unlock gives the lock of f back.
func Unlock(f *os.File) error {
	return windows.UnlockFileEx(windows.Handle(f.Fd()), 0, 1, 0, region())
}

// RemoveLocked closes f and removes its file, which Windows does not do the other
// way round. If another process has opened it in between, it stays.
func RemoveLocked(f *os.File) error {
	if err := f.Close(); err != nil {
		return err
	}
	_ = os.Remove(f.Name())
	return nil
}

// SyncDir does nothing: NTFS journals its directories.
func SyncDir(string) error { return nil }
