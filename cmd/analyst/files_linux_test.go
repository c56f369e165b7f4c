package main

import (
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// TestFilesThatNeverBegin has a pipe that nobody writes to refused, and not waited for.
func TestFilesThatNeverBegin(t *testing.T) {
	w := newWorld(t, nil)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		"config check FIFO", "run --config FIFO x", "run --policy FIFO x", "run --prices FIFO x", "run --client-secret-file FIFO x", "run --vault-key FIFO x",
		"run --database-file FIFO --tenant a --vault-key FIFO x", "serve --checkpoint-key FIFO", "serve --token-file FIFO", "serve --cert FIFO --key FIFO",
	} {
		got := w.run(strings.Fields(strings.ReplaceAll(args, "FIFO", fifo))...)
		if got.code != cli.ExitUsage || !strings.Contains(got.stderr, fifo+" is not a regular file") {
			t.Errorf("%s: exit %d: %s", args, got.code, got.stderr)
		}
	}
}
