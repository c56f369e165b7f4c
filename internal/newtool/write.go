package newtool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/jitagent/jitagent/internal/disk"
)

// mode is that of source files.
const mode = 0o644

// Write writes the files. When one cannot be written, those before it are taken
// back. It refuses when a file has changed since [New] looked.
func (p *Plan) Write() (err error) {
	for _, f := range p.Files {
		now, err := os.ReadFile(f.Path)
		if errors.Is(err, os.ErrNotExist) {
			now, err = nil, nil
		}
		if err != nil {
			return err
		}
		if (now == nil) != (f.old == nil) || !bytes.Equal(now, f.old) {
			return fmt.Errorf("%s has just been changed by somebody else", f.Path)
		}
	}
	var undo []func() error
	defer func() {
		for i := len(undo) - 1; err != nil && i >= 0; i-- {
			err = errors.Join(err, undo[i]())
		}
	}()
	made, err := makeDirs(p.Dir)
	if made != "" {
		undo = append(undo, func() error { return removeDirs(p.Dir, made) })
	}
	if err != nil {
		return err
	}
	for _, f := range p.Files {
		if f.Kept != "" {
			if err := disk.Replace(f.Kept, f.old, mode); err != nil {
				return err
			}
			undo = append(undo, func() error { return os.Remove(f.Kept) })
		}
		if err := disk.Replace(f.Path, f.content, mode); err != nil {
			return err
		}
		undo = append(undo, func() error {
			if f.old == nil {
				return os.Remove(f.Path)
			}
			return disk.Replace(f.Path, f.old, mode)
		})
	}
	return nil
}

// makeDirs makes a directory and what is missing above it, and returns the topmost
// that it made, or "".
func makeDirs(dir string) (made string, err error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(at); err == nil || filepath.Dir(at) == at {
			break
		}
		made = at
	}
	//nolint:gosec // G301: a folder of source code, as any other
	return made, os.MkdirAll(dir, 0o755)
}

// removeDirs removes a directory and those above it, up to top. One that is not
// empty stays, and ends it.
func removeDirs(dir, top string) error {
	for ; len(dir) >= len(top); dir = filepath.Dir(dir) {
		if err := os.Remove(dir); err != nil {
			return err
		}
	}
	return nil
}
