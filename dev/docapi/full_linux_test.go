package docapi

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Opening a pipe would wait for a writer that never comes.
func TestPipeAmongTheDocuments(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "a.md"), 0o644); err != nil {
		t.Skip("no pipes here")
	}
	_, err := loadDocuments(dir, Limits{Document: 100, Documents: 250})
	if err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("loadDocuments() = %v, want an error", err)
	}
}

const limitedChild = "DOCAPI_TEST_FILE_SIZE_LIMIT"

// The kernel itself stops the write in the middle of the file. The limit holds
// for a whole process, so the test runs once more in a child.
func TestFileSizeLimit(t *testing.T) {
	if os.Getenv(limitedChild) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFileSizeLimit$")
		cmd.Env = append(os.Environ(), limitedChild+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("child: %v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	limit := syscall.Rlimit{Cur: 64 << 10, Max: 64 << 10}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	f := serveAPI(t, nil)
	got := f.post("key-1", `{"title":"T","content":"`+strings.Repeat("x", 200<<10)+`"}`)
	if got.status != 507 || !strings.Contains(got.body, "cannot write the report: file too large") {
		t.Errorf("POST = %d %.200s, want 507", got.status, got.body)
	}
	if names := f.files(); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}
