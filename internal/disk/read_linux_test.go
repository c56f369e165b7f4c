package disk_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jitagent/jitagent/internal/disk"
)

// TestReadFile has nothing wait for a writer that may never come.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	fifo, file := filepath.Join(dir, "fifo"), filepath.Join(dir, "file")
	r, w, err := os.Pipe()
	if err == nil {
		_, err = w.WriteString("text")
	}
	for _, failed := range []error{err, w.Close(), unix.Mkfifo(fifo, 0o600), os.WriteFile(file, []byte("text"), 0o600)} {
		if failed != nil {
			t.Fatal(failed)
		}
	}
	defer func() { _ = r.Close() }()
	accept := func(string, fs.FileInfo) error { return nil }
	refuse := func(path string, _ fs.FileInfo) error { return fmt.Errorf("%s is refused", path) }
	handed := fmt.Sprintf("/dev/fd/%d", r.Fd())
	for _, tt := range []struct {
		path  string
		most  int64
		check func(string, fs.FileInfo) error
		want  string // of the error
	}{
		{file, 4, accept, ""},
		{file, 3, nil, "larger than 3 bytes"},
		{file, 4, refuse, "is refused"},
		{fifo, 4, nil, "is not a regular file"},
		{dir, 4, nil, "is not a regular file"},
		{"/dev/zero", 4, nil, "is not a regular file"},
		{dir + "/none", 4, nil, "no such file"},
		{handed, 4, accept, "is not a regular file"},
		{handed, 4, nil, ""},
	} {
		text, err := disk.ReadFile(tt.path, tt.most, tt.check)
		if tt.want == "" && (err != nil || string(text) != "text") || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("ReadFile(%s, %d) = %q, %v; want the error %q", tt.path, tt.most, text, err, tt.want)
		}
	}
}
