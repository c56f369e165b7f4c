//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

// Private refuses with [ErrShared] what other users own or may use. info is that of
// path. On Windows it accepts everything: a directory there has the access list of
// its parent, which a mode does not show.
func Private(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%s: its owner cannot be read", path)
	}
	if me := os.Geteuid(); int64(stat.Uid) != int64(me) {
		return fmt.Errorf("%s is %w: it belongs to user %d, this process runs as %d: use a directory of your own",
			path, ErrShared, stat.Uid, me)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("%s is %w: others may use it (mode %#o): run chmod go= on it", path, ErrShared, info.Mode().Perm())
	}
	return nil
}

// Secret is [Private] for a file that holds what this process was handed: it may also be
// root's, readable by a group that this process is in, and nobody's to change. So
// orchestrators hand in secrets, and so systems keep the keys of servers.
func Secret(path string, info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid != 0 || os.Geteuid() == 0 || info.Mode().Perm()&0o037 != 0 {
		return Private(path, info)
	}
	groups, err := os.Getgroups()
	if err != nil || int64(stat.Gid) != int64(os.Getegid()) && !slices.Contains(groups, int(stat.Gid)) {
		return Private(path, info)
	}
	return nil
}

// Open opens a file, and makes it private if flag has it made. It does not follow a
// symbolic link in its place, and no child process inherits the file.
func Open(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag|unix.O_NOFOLLOW, 0o600)
}

// TryLock takes the lock of an open file, which the kernel drops when the process
// ends, however it ends. It reports false when somebody else holds it.
func TryLock(f *os.File) (bool, error) {
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

// Unlock gives the lock of f back.
func Unlock(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// RemoveLocked removes a lock file that f holds, and closes f.
func RemoveLocked(f *os.File) error {
	return errors.Join(os.Remove(f.Name()), f.Close())
}

// SyncDir makes the names in a directory durable, where the file system can.
func SyncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	err = d.Sync()
	if errors.Is(err, unix.EINVAL) { // some network and user space file systems
		err = nil
	}
	return errors.Join(err, d.Close())
}
