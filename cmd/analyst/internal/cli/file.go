package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/jitagent/jitagent/internal/disk"
)

// WriteFile writes a file that a flag names, readable by its owner only. What is there
// already is somebody's: a file without mark near its beginning is replaced only with
// force, one that a living process wrote this way never, and what is no file (a pipe, a
// device) is written to and stays. Until end is called the file is locked as this
// process's own; with remove it is removed again, if it still is as it was written.
func WriteFile(path string, data []byte, mark string, force bool) (end func(remove bool), err error) {
	nothing := func(bool) {}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := disk.Create(path, data, 0o600); err != nil {
			return nothing, err
		}
		return own(path, data)
	case err != nil:
		return nothing, err
	case info.IsDir():
		return nothing, fmt.Errorf("%s is a directory", path)
	case !info.Mode().IsRegular():
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return nothing, err
		}
		_, err = f.Write(data)
		return nothing, errors.Join(err, f.Close())
	case !force && !marked(path, mark):
		return nothing, Usagef("%s is there already, and was not made by this command: name another file, or --force to replace it", path)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil { // a link stays one
		return nothing, err
	}
	before, err := lock(path)
	if err != nil {
		return nothing, err
	}
	if err := errors.Join(before.Close(), disk.Replace(path, data, 0o600)); err != nil {
		return nothing, err
	}
	return own(path, data)
}

// lock opens a file and takes its lock, which ends with the process.
func lock(path string) (*os.File, error) {
	f, err := disk.Open(path, os.O_RDONLY)
	if err != nil {
		return nil, err
	}
	free, err := disk.TryLock(f)
	if err == nil && !free {
		err = Usagef("%s belongs to a command that is still running: name another file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// own locks a file that was just written. Whoever wrote it last has it.
func own(path string, data []byte) (end func(remove bool), err error) {
	f, err := lock(path)
	if err != nil {
		return func(bool) {}, err
	}
	if !holds(f, data) {
		_ = f.Close() // it was only read
		return func(bool) {}, Usagef("%s was written by another command meanwhile: name another file", path)
	}
	return func(remove bool) {
		if remove && holds(f, data) {
			_ = disk.RemoveLocked(f) // a leftover is harmless: its servers are gone
			return
		}
		_ = f.Close() // it was only read
	}, nil
}

// holds reports whether the file that f has open still stands at its name and holds data
// and nothing else.
func holds(f *os.File, data []byte) bool {
	opened, err := f.Stat()
	if err != nil || opened.Size() != int64(len(data)) {
		return false
	}
	named, err := os.Lstat(f.Name())
	if err != nil || !os.SameFile(opened, named) {
		return false
	}
	text, err := io.ReadAll(io.NewSectionReader(f, 0, opened.Size()))
	return err == nil && bytes.Equal(text, data)
}

// marked reports whether mark stands near the beginning of a file. An empty file is
// nobody's work.
func marked(path, mark string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it only reads
	head, err := io.ReadAll(io.LimitReader(f, 4<<10))
	return err == nil && (len(head) == 0 || bytes.Contains(head, []byte(mark)))
}
