//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package lumodev

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// checkPrivate refuses a file or directory that others may read: it holds keys.
func checkPrivate(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("lumodev: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return fmt.Errorf("lumodev: %s may be used by others (mode %#o) and holds keys: run chmod go= on it", path, info.Mode().Perm())
	}
	return nil
}

// lockDir takes the lock of a directory, which the kernel releases when the
// process ends, however it ends.
func lockDir(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errInUse
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// syncDir makes a rename in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
