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
// force, and what is no file (a pipe, a device) is written to and stays. remove removes
// the file again, if it still is as it was written.
func WriteFile(path string, data []byte, mark string, force bool) (remove func(), err error) {
	nothing := func() {}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return func() { removeOwn(path, data) }, disk.Create(path, data, 0o600)
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
	return func() { removeOwn(path, data) }, disk.Replace(path, data, 0o600)
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

// removeOwn removes a file that holds data and nothing else.
func removeOwn(path string, data []byte) {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() != int64(len(data)) {
		return
	}
	if text, err := os.ReadFile(path); err == nil && bytes.Equal(text, data) {
		_ = os.Remove(path) // a leftover is harmless: its servers are gone
	}
}
