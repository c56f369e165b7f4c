package disk

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// ReadFile reads a file that a person named, of most bytes at most, which check accepts;
// nil accepts all. What is no regular file may have no beginning or no end, and is refused.
// Only without check a pipe is read that this process was handed, such as /dev/stdin.
func ReadFile(path string, most int64, check func(string, fs.FileInfo) error) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // which waits for no writer of a pipe
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() && (check != nil || info.Mode()&fs.ModeNamedPipe == 0 || !handed(path)) {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err == nil && check != nil {
		err = check(path, info)
	}
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s is larger than %d bytes", path, most)
	}
	return text, err
}

// handed reports whether a path stands for what this process has open.
func handed(path string) bool {
	return path == "/dev/stdin" || slices.Contains([]string{"/dev/fd", "/proc/self/fd"}, filepath.Dir(path))
}
