package sqlite

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"

	"github.com/jitagent/jitagent/state/journal"
)

// A watch remembers which files a journal has open. SQLite goes on writing into a
// file that was deleted or replaced; what it acknowledges then is gone when the
// process ends.
type watch []watched

type watched struct {
	path string
	info os.FileInfo
	size int64 // the largest seen; none of these files ever shrinks while it is open
}

// watchFiles remembers the files at the paths, which are open.
func watchFiles(paths ...string) (watch, error) {
	var w watch
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		w = append(w, watched{path, info, info.Size()})
	}
	return w, nil
}

// check fails with [journal.ErrMoved] if a path leads elsewhere by now, or to less.
func (w watch) check() error {
	for i := range w {
		info, err := os.Lstat(w[i].path)
		if err != nil || !os.SameFile(info, w[i].info) {
			return fmt.Errorf("journal: %s was deleted or replaced: %w", w[i].path, journal.ErrMoved)
		}
		if info.Size() < w[i].size {
			return fmt.Errorf("journal: %s was cut: %w", w[i].path, journal.ErrMoved)
		}
		w[i].size = info.Size()
		if info.Size() > 0 && strings.HasSuffix(w[i].path, "-wal") {
			if err := begins(w[i].path); err != nil {
				return err
			}
		}
	}
	return nil
}

// begins fails for a WAL without a beginning: one that was emptied while a commit was
// under way, which SQLite goes on writing where the last one ended, so that its size says
// nothing. Its locks are on other files, which is why this one may be opened and closed.
func begins(wal string) error {
	f, err := os.Open(wal)
	if err != nil {
		return fmt.Errorf("journal: %w: %w", journal.ErrMoved, err)
	}
	defer func() { _ = f.Close() }() // read only
	var magic [4]byte
	if _, err := f.ReadAt(magic[:], 0); err != nil || binary.BigEndian.Uint32(magic[:])&^1 != 0x377f0682 {
		return fmt.Errorf("journal: %s was emptied: %w", wal, journal.ErrMoved)
	}
	return nil
}
