//go:build unix

package notice

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jitagent/jitagent/runner"
)

// What a command started ends with it.
func TestCommandEndsWhole(t *testing.T) {
	at := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(at, 0o600); err != nil {
		t.Fatal(err)
	}
	n, err := New(Config{Command: []string{"/bin/sh", "-c", `sleep 1000 >"$0" & echo started >"$0"; wait`, at}})
	if err != nil {
		t.Fatal(err)
	}
	n.See("u", "s", runner.Finished{Outcome: runner.Done})
	left, err := os.Open(at)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = left.Close() }()
	if _, err := io.ReadFull(left, make([]byte, len("started\n"))); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n.Close(ctx)
	if text, err := io.ReadAll(left); err != nil || len(text) > 0 { // the end of which is when nobody has it open
		t.Errorf("read %q, %v", text, err)
	}
}
