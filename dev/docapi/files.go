package docapi

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// maxReportFile bounds what is read back: content, title and front matter.
const maxReportFile = 8 << 20

// writeReport puts the file of a report into the reports directory, whole or not at
// all. One of its name that is there already is left alone: names hold random ids,
// so it is the same report, written by an earlier try.
func (s *Server) writeReport(name string, data []byte) error {
	//nolint:gosec // G301: reports are for everyone on the machine to read, as their files are
	if err := os.MkdirAll(s.reports, 0o755); err != nil {
		return err
	}
	return s.write(filepath.Join(s.reports, name), data, 0o644)
}

// reportFile returns the file of the report id, "" when there is none.
func (s *Server) reportFile(id string) (string, error) {
	entries, err := os.ReadDir(s.reports)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	for _, e := range entries {
		// A pipe would block, and a link is not ours.
		if !strings.HasSuffix(e.Name(), reportSuffix(id)) || !e.Type().IsRegular() {
			continue
		}
		f, err := os.OpenInRoot(s.reports, e.Name())
		if err != nil {
			return "", err
		}
		defer func() { _ = f.Close() }()
		return readText(f, maxReportFile)
	}
	return "", err
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
