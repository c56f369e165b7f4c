package recovery

import (
	"path/filepath"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/sqlite"
)

type willing struct{ Completer }

// TestDeathAfterTheLastLookIsNotLeft lets a process die after a sweep has seen that
// there is nothing to do, and before it tells: that is no failure of the sweep.
func TestDeathAfterTheLastLookIsNotLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	die := func(run string) {
		t.Helper()
		j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
		if err == nil {
			err = j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: run, Authority: "here"})
		}
		if err == nil {
			err = j.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	die("before")
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }()
	cfg, err := Config{Journal: j, Authority: "here", Completer: willing{}}.check()
	if err != nil {
		t.Fatal(err)
	}
	s := newSweep(cfg, true)
	if err := s.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	die("after")
	if err := s.count(t.Context()); err != nil || s.report.Left() != 0 || s.report.Expired != 1 {
		t.Errorf("report %+v, %v, want one task expired and none left", s.report, err)
	}
}
