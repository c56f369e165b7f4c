package docapi

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
)

// maxReportFile bounds what is read back: content, title and front matter.
const maxReportFile = 8 << 20

// A reportDir is the directory that reports are kept in.
type reportDir struct {
	open func(create bool) (directory, error)
}

// A directory is what a reportDir needs of the file system. Tests put a failing
// one in its place.
type directory interface {
	io.Closer
	Create(name string) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	Exists(name string) (bool, error)
	Names() ([]string, error)
	ReadFile(name string) (string, error)
	Sync() error
}

type file interface {
	io.WriteCloser
	Sync() error
}

func newReportDir(path string) *reportDir {
	if path == "" {
		path = "reports"
	}
	return &reportDir{open: func(create bool) (directory, error) { return openDir(path, create) }}
}

// write puts data under name, whole or not at all. A file of that name that is
// there already is left alone: names hold random ids, so it is the same report,
// written by an earlier try.
func (d *reportDir) write(name string, data []byte) (err error) {
	dir, err := d.open(true)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	if exists, err := dir.Exists(name); err != nil || exists {
		return err
	}
	// Hidden, so that nobody takes a half-written file for a report, and in the
	// same directory, so that the rename is atomic.
	temp := "." + name + ".tmp"
	f, err := dir.Create(temp)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = dir.Remove(temp) // the first error says more
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return err
	}
	if err := dir.Rename(temp, name); err != nil {
		return err
	}
	if err := dir.Sync(); err != nil {
		_ = dir.Remove(name) // it could vanish later: better now, while the client hears of it
		return err
	}
	return nil
}

// read returns the file of the report id, "" when there is none.
func (d *reportDir) read(id string) (string, error) {
	dir, err := d.open(false)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Names()
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if strings.HasSuffix(name, reportSuffix(id)) {
			return dir.ReadFile(name)
		}
	}
	return "", nil
}

// An osDir is a directory on disk, and nothing outside it.
type osDir struct{ *os.Root }

func openDir(path string, create bool) (directory, error) {
	if create {
		//nolint:gosec // G301: reports are for everyone on the machine to read, as their files are
		if err := os.MkdirAll(path, 0o755); err != nil {
			return nil, err
		}
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return osDir{root}, nil
}

// Create opens an empty file. One that an interrupted try left is used again.
func (d osDir) Create(name string) (file, error) {
	return d.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
}

func (d osDir) Exists(name string) (bool, error) {
	_, err := d.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (d osDir) Names() ([]string, error) {
	f, err := d.Open(".")
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return f.Readdirnames(-1)
}

func (d osDir) ReadFile(name string) (string, error) {
	info, err := d.Lstat(name)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() { // a pipe would block, a link is not ours
		return "", nil
	}
	f, err := d.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	return readText(f, maxReportFile)
}

// Sync makes renames durable. Windows has no such call for directories.
func (d osDir) Sync() error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := d.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return f.Sync()
}

// Windows reports a full disk in its own way.
const (
	windowsHandleDiskFull = syscall.Errno(39)
	windowsDiskFull       = syscall.Errno(112)
)

// diskError names the class of a file error in words for the client: it holds no
// path. full says that space would help.
func diskError(err error) (words string, full bool) {
	windows := runtime.GOOS == "windows"
	switch {
	case errors.Is(err, syscall.ENOSPC), storeFull(err),
		windows && (errors.Is(err, windowsDiskFull) || errors.Is(err, windowsHandleDiskFull)):
		return "no space left on device", true
	case errors.Is(err, syscall.EDQUOT):
		return "disk quota exceeded", true
	case errors.Is(err, syscall.EFBIG):
		return "file too large for this file system", true
	case errors.Is(err, syscall.EROFS):
		return "read-only file system", false
	case errors.Is(err, fs.ErrPermission):
		return "permission denied", false
	case errors.Is(err, syscall.ENOTDIR), errors.Is(err, fs.ErrExist):
		return "the reports directory is not a directory", false
	}
	return "input/output error", false
}
