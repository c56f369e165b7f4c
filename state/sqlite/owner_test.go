package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

func runs(tasks []journal.Task) string {
	var list []string
	for _, t := range tasks {
		list = append(list, t.Run)
	}
	return strings.Join(list, " ")
}

func orphans(t testing.TB, j *sqlite.Journal) string {
	t.Helper()
	tasks, err := j.Orphans(t.Context(), time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return runs(tasks)
}

// Two journals in one process are two owners, as two processes are.
func TestTasksOfTheLivingAreNotTouched(t *testing.T) {
	dir := stateDir(t)
	alive, other := open(t, sqlite.Options{Dir: dir}), open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, alive, journaltest.Life("a")...)
	if got := orphans(t, other); got != "" {
		t.Errorf("orphans %q while their owner lives", got)
	}
	if _, err := other.Claim(t.Context(), alive.Owner()); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("Claim(of the living) = %v, want ErrOwned", err)
	}
	if _, err := alive.Claim(t.Context(), alive.Owner()); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("Claim(of oneself) = %v, want ErrOwned", err)
	}
	if n, err := other.CleanOwners(t.Context()); n != 0 || err != nil {
		t.Errorf("CleanOwners() = %d, %v, want 0", n, err)
	}
	for name, change := range map[string]func() error{
		"Append":    func() error { return other.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskCompleted, Run: "a"}) },
		"completed": func() error { return other.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}) },
		"expired":   func() error { return other.Mark(t.Context(), "a", journal.Mark{State: journal.StateExpired}) },
		"unknown": func() error {
			return other.Mark(t.Context(), "a", journal.Mark{State: journal.StateUnknown, Reason: "x"})
		},
		"attempt": func() error {
			return other.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleting, Reason: "x", Next: time.Now()})
		},
	} {
		if err := change(); !errors.Is(err, journal.ErrOwned) {
			t.Errorf("%s of another's task = %v, want ErrOwned", name, err)
		}
	}
	if task, err := other.Task(t.Context(), "a"); err != nil || task.State != journal.StateOpen {
		t.Errorf("task %v, %v, want it open", task, err)
	}
	if len(journaltest.All(t, other, journal.Filter{})) != 4 {
		t.Error("something was written")
	}
}

func TestOrphansAreClaimedByOne(t *testing.T) {
	dir := stateDir(t)
	gone := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, gone, journaltest.Life("a")...)
	journaltest.Add(t, gone, journaltest.Life("b")...)
	journaltest.Add(t, gone, journaltest.Life("done")...)
	if err := gone.Mark(t.Context(), "done", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Fatal(err)
	}
	journaltest.Close(t, gone)

	first, second := open(t, sqlite.Options{Dir: dir}), open(t, sqlite.Options{Dir: dir})
	if got := orphans(t, first); got != "a b" {
		t.Fatalf("orphans %q, want a and b", got)
	}
	if err := first.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("Mark without a claim = %v, want ErrOwned", err)
	}
	release, err := first.Claim(t.Context(), gone.Owner())
	if err != nil {
		t.Fatal(err)
	}
	for name, j := range map[string]*sqlite.Journal{"another": second, "the same": first} {
		if _, err := j.Claim(t.Context(), gone.Owner()); !errors.Is(err, journal.ErrOwned) {
			t.Errorf("a second claim, by %s journal = %v, want ErrOwned", name, err)
		}
	}
	if got := orphans(t, second); got != "" {
		t.Errorf("orphans %q while they are claimed", got)
	}
	if n, err := second.CleanOwners(t.Context()); n != 0 || err != nil {
		t.Errorf("CleanOwners() = %d, %v while a claim is held", n, err)
	}
	tasks, err := first.Tasks(t.Context(), journal.TaskFilter{Owner: gone.Owner(), Unfinished: true})
	if err != nil || runs(tasks) != "a b" {
		t.Errorf("claimed tasks %q, %v", runs(tasks), err)
	}
	if err := errors.Join(first.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleting, Reason: "503", Next: time.Now()}), first.Mark(t.Context(), "b", journal.Mark{State: journal.StateCompleted})); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(release(), release()); err != nil {
		t.Fatal(err)
	}
	if err := first.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("Mark after Release = %v, want ErrOwned", err)
	}

	// What was left can be claimed again, though the lock file is gone.
	if got := orphans(t, second); got != "a" {
		t.Errorf("orphans %q, want a", got)
	}
	release, err = second.Claim(t.Context(), gone.Owner())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Errorf("Mark of the claimed = %v", err)
	}
	journaltest.Close(t, second) // with the claim
	if err := release(); err != nil {
		t.Error(err)
	}
	if got := orphans(t, first); got != "" {
		t.Errorf("orphans %q, want none", got)
	}
	if _, err := first.Verify(t.Context()); err != nil {
		t.Errorf("Verify() = %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, "owners", "*.lock"))
	if err != nil || len(files) != 1 {
		t.Errorf("lock files %v, %v, want one, of the journal that is open", files, err)
	}
}

// Names of owners come from the database, which may have been tampered with.
func TestOwnerNamesAreNoPaths(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	victim := filepath.Join(dir, "victim.lock")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "../victim", "..", "/etc/passwd", "lock", strings.Repeat("a", 26), strings.Repeat("A", 25) + "/"} {
		if _, err := j.Claim(t.Context(), name); !errors.Is(err, journal.ErrDamaged) {
			t.Errorf("Claim(%q) = %v, want ErrDamaged", name, err)
		}
	}
	if _, err := os.Stat(victim); err != nil {
		t.Error(err)
	}
	if runtime.GOOS == "windows" {
		return // links need a privilege
	}
	// Nor is a link followed.
	name := strings.Repeat("A", 26)
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.Symlink(outside, filepath.Join(dir, "owners", name+".lock")); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Claim(t.Context(), name); err == nil {
		t.Error("Claim followed a link")
	}
	if _, err := os.Stat(outside); err == nil {
		t.Error("Claim made a file where the link led to")
	}
}

// Lock files that nobody holds are removed; what is no lock file stays.
func TestCleanOwners(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	stale := strings.Repeat("A", 26)
	for _, name := range []string{stale + ".lock", "notes.txt", "x.lock"} {
		if err := os.WriteFile(filepath.Join(dir, "owners", name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := j.CleanOwners(t.Context()); n != 1 || err != nil {
		t.Errorf("CleanOwners() = %d, %v, want 1", n, err)
	}
	for name, want := range map[string]bool{stale + ".lock": false, "notes.txt": true, "x.lock": true, j.Owner() + ".lock": true} {
		if _, err := os.Stat(filepath.Join(dir, "owners", name)); (err == nil) != want {
			t.Errorf("%s: %v, want it there: %t", name, err, want)
		}
	}
	journaltest.Add(t, j, journaltest.Life("a")...) // it still owns itself
}

func TestInMemoryNobodyIsEverGone(t *testing.T) {
	j, err := sqlite.Memory(t.Context(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer journaltest.Close(t, j)
	journaltest.Add(t, j, journaltest.Life("a")...)
	if got := orphans(t, j); got != "" {
		t.Errorf("orphans %q", got)
	}
	if _, err := j.Claim(t.Context(), strings.Repeat("A", 26)); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("Claim() = %v", err)
	}
	if n, err := j.CleanOwners(t.Context()); n != 0 || err != nil {
		t.Errorf("CleanOwners() = %d, %v", n, err)
	}
}
