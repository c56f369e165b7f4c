package sqlite

import (
	"encoding/binary"
	"fmt"
	"io"
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
	size int64    // the largest seen; none of these files ever shrinks while it is open
	wal  *os.File // of the WAL alone; its locks are on other files, so that this may be closed
}

// watchFiles remembers the files at the paths, which are open.
func watchFiles(paths ...string) (watch, error) {
	var w watch
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil {
			return nil, fmt.Errorf("journal: %w", err)
		}
		var wal *os.File
		if strings.HasSuffix(path, "-wal") {
			if wal, err = os.Open(path); err != nil { //nolint:gosec // the journal's own
				return nil, fmt.Errorf("journal: %w", err)
			}
		}
		w = append(w, watched{path, info, info.Size(), wal})
	}
	return w, nil
}

func (w watch) close() {
	for _, file := range w {
		_ = file.wal.Close() // read only, and nil for the others
	}
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
		if info.Size() > 0 && w[i].wal != nil && !begins(w[i].wal) {
			return fmt.Errorf("journal: %s was emptied: %w", w[i].path, journal.ErrMoved)
		}
	}
	return nil
}

// begins reports whether a WAL has a beginning. One that was emptied while a commit was
// under way has none: SQLite goes on writing it where the last one ended, so that its size
// says nothing.
func begins(wal io.ReaderAt) bool {
	var magic [4]byte
	_, err := wal.ReadAt(magic[:], 0)
	return err == nil && binary.BigEndian.Uint32(magic[:])&^1 == 0x377f0682
}
