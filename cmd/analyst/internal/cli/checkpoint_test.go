package cli

import (
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// TestCheckpointsAreKept has two servers of one journal keep checkpoints for hours, in one
// folder: one for each in which something happened, and a last one.
func TestCheckpointsAreKept(t *testing.T) {
	private, public, err := note.GenerateKey(rand.Reader, "audit.example.com")
	if err != nil {
		t.Fatal(err)
	}
	key, dir := filepath.Join(t.TempDir(), "key"), t.TempDir()
	if err := os.WriteFile(key, []byte(private), 0o600); err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{EnvCheckpointKey: key, EnvCheckpoints: dir}
	p := &Program{Getenv: func(name string) string { return env[name] }, Stdout: io.Discard, Stderr: io.Discard}
	synctest.Test(t, func(t *testing.T) {
		j, err := sqlite.Memory(t.Context(), sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = j.Close() }() // nothing of it is looked at
		var ends []func() error
		for range 2 {
			end, err := Checkpoints{every: time.Hour}.Keep(t.Context(), p, j, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, end)
		}
		count := func() int {
			t.Helper()
			files, err := filepath.Glob(filepath.Join(dir, "*.checkpoint"))
			if err != nil {
				t.Fatal(err)
			}
			return len(files)
		}
		hour := func(run string, want int) {
			t.Helper()
			if run != "" {
				if err := j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: run}); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Hour) // in no time
			synctest.Wait()
			if got := count(); got != want {
				t.Fatalf("%d checkpoints, want %d", got, want)
			}
		}
		hour("", 0)
		hour("run-1", 1)
		hour("", 1)
		hour("run-2", 2)
		if err := j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: "run-3"}); err != nil {
			t.Fatal(err)
		}
		for _, end := range ends {
			if err := end(); err != nil || count() != 3 {
				t.Fatalf("end() = %v with %d checkpoints, want 3", err, count())
			}
		}
		files, _ := filepath.Glob(filepath.Join(dir, "*.checkpoint"))
		var known []journal.Head
		for i, name := range files { // their names sort as they were made
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			c, err := journal.OpenCheckpoint(text, verifier)
			if err != nil || len(c.Heads) != 1 || c.Heads[0].Seq != int64(i+1) {
				t.Fatalf("%s: %v, %v", name, c, err)
			}
			known = append(known, c.Heads...)
		}
		if _, err := j.Verify(t.Context(), known...); err != nil {
			t.Error(err)
		}
	})
	for _, wrong := range []map[string]string{{EnvCheckpointKey: key}, {EnvCheckpoints: dir}, {EnvCheckpointKey: key, EnvCheckpoints: key}} {
		env = wrong
		if _, err := (Checkpoints{every: time.Hour}).Keep(t.Context(), p, nil, nil); err == nil || Exit(err).Code != ExitUsage {
			t.Errorf("with %v alone: %v, want a mistake of usage", wrong, err)
		}
	}
}
