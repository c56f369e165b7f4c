package sqlite

import (
	"fmt"
	"os"

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
	}
	return nil
}
