package sqlite_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

// A note that nothing follows is written too, soon and at the latest by Close.
func TestNotesAreWrittenByClose(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	for range 1000 {
		j.Note(jit.Entry{Kind: jit.EntryUse, Run: "a"})
	}
	journaltest.Close(t, j)
	j = open(t, sqlite.Options{Dir: dir})
	if got := len(journaltest.All(t, j, journal.Filter{})); got != 1000 {
		t.Errorf("%d notes, want 1000", got)
	}
	if rep, err := j.Verify(t.Context()); err != nil || rep.Last.Seq != 1000 {
		t.Errorf("Verify() = %v, %v", rep, err)
	}
}

func TestNotesThatFailAreLogged(t *testing.T) {
	log, out := logtest.New()
	j := open(t, sqlite.Options{Dir: stateDir(t), Logger: log})
	j.Note(jit.Entry{Kind: jit.EntryUse, TokenHash: "a token, perhaps"})
	j.Note(jit.Entry{Kind: journal.EntryPruned})
	journaltest.Close(t, j)
	j.Note(jit.Entry{Kind: jit.EntryUse})
	if got := out.String(); strings.Count(got, "a note was lost") != 3 || strings.Contains(got, "perhaps") {
		t.Errorf("log:\n%s", got)
	}
}

func TestReadOnly(t *testing.T) {
	dir := stateDir(t)
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, ReadOnly: true}); !errors.Is(err, journal.ErrNotFound) {
		t.Errorf("Open(nothing there) = %v, want ErrNotFound", err)
	}
	w := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, w, journaltest.Life("a")...)
	want := journaltest.All(t, w, journal.Filter{})
	for _, when := range []string{"while it is open elsewhere", "afterwards"} {
		r := open(t, sqlite.Options{Dir: dir, ReadOnly: true})
		if diff := cmp.Diff(want, journaltest.All(t, r, journal.Filter{})); diff != "" {
			t.Errorf("%s: entries (-writer +reader):\n%s", when, diff)
		}
		if rep, err := r.Verify(t.Context()); err != nil || rep.Entries != 4 {
			t.Errorf("%s: Verify() = %v, %v", when, rep, err)
		}
		r.Note(journaltest.Life("b")[0])
		for name, change := range map[string]func() error{
			"Append": func() error { return r.Append(t.Context(), journaltest.Life("b")[0]) },
			"Prune":  func() error { _, err := r.Prune(t.Context(), time.Now()); return err },
			"Claim":  func() error { _, err := r.Claim(t.Context(), w.Owner()); return err },
			"Mark":   func() error { return r.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}) },
			"Clean":  func() error { _, err := r.CleanOwners(t.Context()); return err },
		} {
			if err := change(); !errors.Is(err, journal.ErrReadOnly) {
				t.Errorf("%s: %s = %v, want ErrReadOnly", when, name, err)
			}
		}
		before := snapshot(t, dir)
		journaltest.Close(t, r)
		unchanged(t, dir, before)
		journaltest.Close(t, w)
	}
}
