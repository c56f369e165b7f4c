package sqlite_test

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

// A day passes at once; SQLite in memory does not mind.
func TestTaskStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		j, err := sqlite.Memory(ctx, sqlite.Options{Longest: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := j.Close(); err != nil {
				t.Error(err)
			}
		}()
		start := time.Now().UTC()
		state := func(want journal.Task) {
			t.Helper()
			want.Run, want.Owner, want.Authority, want.Session, want.Name = "a", j.Owner(), "lumodev", "s1", "quarterly numbers"
			got, err := j.Task(ctx, "a")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(journal.Task{}, "Updated", "FirstSeq", "LastSeq", "Opened")); diff != "" {
				t.Errorf("task (-want +got):\n%s", diff)
			}
		}
		change := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		steps := journaltest.Life("a")
		journaltest.Add(t, j, steps[0])
		want := journal.Task{State: journal.StateOpen}
		state(want)
		journaltest.Add(t, j, steps[1])
		want.ID, want.ExpiresAt = "task_a", start.Add(time.Hour)
		state(want)
		journaltest.Add(t, j, steps[2]) // anything may come of a demand
		want.Until = start.Add(time.Hour)
		state(want)
		// A person may decide for half an hour, and the token lives from then.
		pending := jit.Entry{Kind: jit.EntryDecision, Run: "a", TaskID: "task_other", Status: jit.StatusPending, ExpiresAt: start.Add(30 * time.Minute)}
		journaltest.Add(t, j, pending)
		want.Until = start.Add(90 * time.Minute)
		state(want) // and still the first id
		journaltest.Add(t, j, steps[3])
		state(want) // a grant that ends sooner changes nothing: there may be another

		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskCompleting, Run: "a"})
		want.State = journal.StateCompleting
		state(want)
		for n := range 3 {
			next := time.Now().Add(time.Minute)
			change(j.Mark(ctx, "a", journal.Mark{State: journal.StateCompleting, Reason: "503", Next: next}))
			want.Attempts, want.LastError, want.NextAttempt = n+1, "503", next.UTC().Truncate(time.Microsecond)
			state(want)
		}
		if err := j.Mark(ctx, "a", journal.Mark{State: journal.StateExpired}); !errors.Is(err, journal.ErrStillValid) {
			t.Errorf("Mark() = %v, want ErrStillValid", err)
		}
		time.Sleep(90 * time.Minute)
		change(j.Mark(ctx, "a", journal.Mark{State: journal.StateExpired}))
		change(j.Mark(ctx, "a", journal.Mark{State: journal.StateExpired}))
		want.State, want.NextAttempt = journal.StateExpired, time.Time{}
		state(want)
		change(j.Mark(ctx, "a", journal.Mark{State: journal.StateUnknown, Reason: "the server forgot it"}))
		want.State, want.LastError = journal.StateUnknown, "the server forgot it"
		state(want)
		// Somebody found out after all.
		change(j.Mark(ctx, "a", journal.Mark{State: journal.StateCompleted}))
		want.State = journal.StateCompleted
		state(want)
		late := jit.Entry{Kind: jit.EntryTaskOpened, Run: "a", ExpiresAt: start.Add(9 * time.Hour)}
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskCompleting, Run: "a"}, late) // of no consequence any more
		state(want)
		if tasks, err := j.Tasks(ctx, journal.TaskFilter{Unfinished: true}); err != nil || len(tasks) != 0 {
			t.Errorf("unfinished: %v, %v", tasks, err)
		}
		var kinds []jit.EntryKind
		for _, r := range journaltest.All(t, j, journal.Filter{}) {
			kinds = append(kinds, r.Kind)
		}
		wantKinds := []jit.EntryKind{
			"task_opening", "task_opened", "demand", "decision", "grant", "task_completing", "task_attempt", "task_attempt",
			"task_attempt", "task_expired", "task_unknown", "task_completed", "task_completing", "task_opened",
		}
		if diff := cmp.Diff(wantKinds, kinds); diff != "" {
			t.Errorf("kinds (-want +got):\n%s", diff)
		}
		if _, err := j.Verify(ctx); err != nil {
			t.Errorf("Verify() = %v", err)
		}
	})
}

// An entry that changes nothing of its task but when that was last told of writes two
// pages: its own, and its task's, without any index. The end writes that of what is open, too.
func TestEntriesTouchFewIndexes(t *testing.T) {
	j := open(t, sqlite.Options{Dir: stateDir(t)})
	size := func() int64 {
		info, err := os.Stat(j.Path() + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for _, e := range append(journaltest.Life("a"), jit.Entry{Kind: jit.EntryTaskCompleted, Run: "a"}) {
		before := size()
		journaltest.Add(t, j, e)
		want := map[jit.EntryKind]int64{jit.EntryGrant: 2, jit.EntryTaskCompleted: 3}[e.Kind]
		if pages := (size() - before) / (4096 + 24); want > 0 && pages != want {
			t.Errorf("%s: %d pages were written, want %d", e.Kind, pages, want)
		}
	}
}
