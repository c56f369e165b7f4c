//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// private refuses what other users own or may use.
func private(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("journal: %s: its owner cannot be read", path)
	}
	if me := os.Geteuid(); int64(stat.Uid) != int64(me) {
		return fmt.Errorf("journal: %s is %w: it belongs to user %d, this process runs as %d: "+
			"set ANALYST_STATE_DIR to a directory of your own", path, ErrUnsafe, stat.Uid, me)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("journal: %s is %w: others may use it (mode %#o): run chmod go= on it",
			path, ErrUnsafe, info.Mode().Perm())
	}
	return nil
}

// openFile opens a private file and does not follow a symbolic link in its place.
// No child process inherits it: os.OpenFile sets O_CLOEXEC.
func openFile(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag|unix.O_NOFOLLOW, 0o600)
}

// tryLock takes the lock of an open file, which the kernel drops when the process
// ends, however it ends. It reports false when somebody else holds it.
func tryLock(f *os.File) (bool, error) {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case err != nil:
			return false, &fs.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
		return true, nil
	}
}

func unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// removeLocked removes a lock file that f holds, and closes f.
func removeLocked(f *os.File) error {
	return errors.Join(os.Remove(f.Name()), f.Close())
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
