package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/state/journal"
)

// Names in a state directory.
const (
	databaseFile = "journal.db"
	keyFile      = "journal.key"
	headFileName = "journal.head"
	lockFile     = "journal.lock"
	ownersDir    = "owners"
)

// Dir returns the state directory: ANALYST_STATE_DIR, else analyst below
// XDG_STATE_HOME, else ~/.local/state/analyst. It creates nothing. A relative
// XDG_STATE_HOME is ignored, as its specification demands; a relative
// ANALYST_STATE_DIR is taken from the working directory. It fails when there is no
// home directory either.
func Dir(getenv func(string) string) (string, error) {
	if dir := getenv("ANALYST_STATE_DIR"); dir != "" {
		abs, err := filepath.Abs(dir)
		if err != nil {
			return "", fmt.Errorf("journal: state directory: %w", err)
		}
		return abs, nil
	}
	if base := getenv("XDG_STATE_HOME"); filepath.IsAbs(base) {
		return filepath.Join(base, "analyst"), nil
	}
	home := getenv("HOME")
	if home == "" && runtime.GOOS == "windows" {
		home = getenv("USERPROFILE")
	}
	if !filepath.IsAbs(home) {
		return "", errors.New("journal: no state directory: set ANALYST_STATE_DIR or HOME")
	}
	return filepath.Join(home, ".local", "state", "analyst"), nil
}

// prepareDir makes the directory if need be, and returns its path without
// symbolic links: what they point to later does not matter then. Links are the
// operator's way to keep state elsewhere; that the directory they lead to is
// private is what counts.
func prepareDir(dir string, create bool) (string, error) {
	if create {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", failure(dir, err, true)
		}
	}
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("journal: %s: %w", dir, journal.ErrNotFound)
	}
	if err != nil {
		return "", fmt.Errorf("journal: state directory: %w", err)
	}
	if real, err = filepath.Abs(real); err != nil {
		return "", fmt.Errorf("journal: state directory: %w", err)
	}
	info, err := os.Lstat(real)
	if err != nil {
		return "", fmt.Errorf("journal: state directory: %w", err)
	}
	if !info.IsDir() {
		return "", fmt.Errorf("journal: %s is not a directory", dir)
	}
	return real, checkPrivate(real, info)
}

// checkFiles refuses files that are links, are no files, or that others may use.
// Those that do not exist are fine.
func checkFiles(dir string) error {
	for _, name := range []string{databaseFile, databaseFile + "-wal", databaseFile + "-shm", databaseFile + "-journal", keyFile, headFileName, lockFile} {
		path := filepath.Join(dir, name)
		info, err := os.Lstat(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return fmt.Errorf("journal: %w", err)
		case !info.Mode().IsRegular():
			return fmt.Errorf("journal: %s is %w: it is not a regular file: remove it", path, disk.ErrShared)
		}
		if err := checkPrivate(path, info); err != nil {
			return err
		}
	}
	return nil
}

// checkPrivate refuses what other users own or may use.
func checkPrivate(path string, info fs.FileInfo) error {
	if err := disk.Private(path, info); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return nil
}

// locked runs do while it holds the lock of the file at path, which is created if
// need be and stays.
func locked(ctx context.Context, path string, do func() error) error {
	f, err := disk.Open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return failure(path, err, true)
	}
	if err := disk.Lock(ctx, f, sqldb.Patience); err != nil {
		return errors.Join(failure(path, err, true), f.Close())
	}
	return errors.Join(do(), f.Close()) // closing unlocks
}
