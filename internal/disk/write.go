// Package disk keeps files: whole or not there, private to the user, and locked
// for as long as a process lives.
package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrShared reports a file or directory that other users own or may use.
var ErrShared = errors.New("not private")

// Replace puts data into the file at path: a reader sees the old content or the
// new one, never a part, whenever the writer dies, and the new one is durable when
// Replace returns. After an error the old file stands.
func Replace(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return about(path, err)
	}
	return finish(f, path, data, mode)
}

// Create is [Replace] for a file of a name that nobody else uses: if it is there,
// it was written before and is left alone. What a writer that died left behind is
// used again.
func Create(path string, data []byte, mode fs.FileMode) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return about(path, err)
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return about(path, err)
	}
	return finish(f, path, data, mode)
}

// about makes an error that names a temporary file, of which nobody knows, one about path.
func about(path string, err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: "write", Path: path, Err: e.Err}
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return &fs.PathError{Op: "write", Path: path, Err: e.Err}
	}
	return err
}

// finish writes data to the temporary file f and gives it its name.
func finish(f *os.File, path string, data []byte, mode fs.FileMode) (err error) {
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name()) // the first error says more
			err = about(path, err)
		}
	}()
	if err = f.Chmod(mode); err != nil {
		return err
	}
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}
