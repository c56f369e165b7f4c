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
	"github.com/jitagent/jitagent/state/sqlite"
)

func TestTaskChangesRefused(t *testing.T) {
	both(t, func(t *testing.T, j *sqlite.Journal) {
		add(t, j, life("done")...)
		add(t, j, life("live")...)
		if err := j.Mark(t.Context(), "done", journal.Mark{State: journal.StateCompleted}); err != nil {
			t.Fatal(err)
		}
		before, err := j.Head(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			err  error
			want error
		}{
			"no such run":              {j.Mark(t.Context(), "nobody", journal.Mark{State: journal.StateCompleted}), journal.ErrNotFound},
			"its server's id":          {j.Mark(t.Context(), "task_live", journal.Mark{State: journal.StateCompleted}), journal.ErrNotFound},
			"attempt after completion": {j.Mark(t.Context(), "done", journal.Mark{State: journal.StateCompleting, Reason: "503", Next: time.Now()}), journal.ErrFinished},
			"expired after completion": {j.Mark(t.Context(), "done", journal.Mark{State: journal.StateExpired}), journal.ErrFinished},
			"unknown after completion": {j.Mark(t.Context(), "done", journal.Mark{State: journal.StateUnknown, Reason: "lost"}), journal.ErrFinished},
			"expired too early":        {j.Mark(t.Context(), "live", journal.Mark{State: journal.StateExpired}), journal.ErrStillValid},
			"completed again":          {j.Mark(t.Context(), "done", journal.Mark{State: journal.StateCompleted}), nil},
		} {
			if !errors.Is(tt.err, tt.want) {
				t.Errorf("%s: %v, want %v", name, tt.err, tt.want)
			}
		}
		if after, err := j.Head(t.Context()); err != nil || after != before {
			t.Errorf("head %v, %v, want %v: something was written", after, err, before)
		}
		if _, err := j.Task(t.Context(), ""); !errors.Is(err, journal.ErrNotFound) {
			t.Errorf("Task of no name: %v", err)
		}
	})
}

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
		steps := life("a")
		add(t, j, steps[0])
		want := journal.Task{State: journal.StateOpen}
		state(want)
		add(t, j, steps[1])
		want.ID, want.ExpiresAt = "task_a", start.Add(time.Hour)
		state(want)
		add(t, j, steps[2]) // anything may come of a demand
		want.Until = start.Add(time.Hour)
		state(want)
		// A person may decide for half an hour, and the token lives from then.
		pending := jit.Entry{Kind: jit.EntryDecision, Run: "a", TaskID: "task_other", Status: jit.StatusPending, ExpiresAt: start.Add(30 * time.Minute)}
		add(t, j, pending)
		want.Until = start.Add(90 * time.Minute)
		state(want) // and still the first id
		add(t, j, steps[3])
		state(want) // a grant that ends sooner changes nothing: there may be another

		add(t, j, jit.Entry{Kind: jit.EntryTaskCompleting, Run: "a"})
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
		add(t, j, jit.Entry{Kind: jit.EntryTaskCompleting, Run: "a"}, late) // of no consequence any more
		state(want)
		if tasks, err := j.Tasks(ctx, journal.TaskFilter{Unfinished: true}); err != nil || len(tasks) != 0 {
			t.Errorf("unfinished: %v, %v", tasks, err)
		}
		var kinds []jit.EntryKind
		for _, r := range all(t, j) {
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

func TestTasks(t *testing.T) {
	both(t, func(t *testing.T, j *sqlite.Journal) {
		for _, run := range []string{"c", "a", "b"} {
			add(t, j, life(run)...)
		}
		other := life("d")
		other[0].Session = "s2"
		add(t, j, other...)
		if err := errors.Join(j.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}), j.Mark(t.Context(), "b", journal.Mark{State: journal.StateCompleting, Reason: "500", Next: time.Now()})); err != nil {
			t.Fatal(err)
		}
		for name, tt := range map[string]struct {
			filter journal.TaskFilter
			want   []string
		}{
			"all":           {journal.TaskFilter{}, []string{"c", "a", "b", "d"}},
			"unfinished":    {journal.TaskFilter{Unfinished: true}, []string{"c", "b", "d"}},
			"state":         {journal.TaskFilter{State: journal.StateCompleted}, []string{"a"}},
			"owner":         {journal.TaskFilter{Owner: j.Owner(), State: journal.StateCompleting}, []string{"b"}},
			"another owner": {journal.TaskFilter{Owner: "nobody"}, nil},
		} {
			tasks, err := j.Tasks(t.Context(), tt.filter)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, task := range tasks {
				got = append(got, task.Run)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if task, err := j.Task(t.Context(), "task_b"); err != nil || task.Run != "b" {
			t.Errorf("Task(by the server's id) = %v, %v", task, err)
		}
	})
}

// What was noted is seen by whoever asks next, though nobody waited for it.
func TestTasksAreSeenAsNoted(t *testing.T) {
	both(t, func(t *testing.T, j *sqlite.Journal) {
		j.Note(jit.Entry{Kind: jit.EntryTaskOpened, Run: "a", TaskID: "task_a"})
		if task, err := j.Task(t.Context(), "task_a"); err != nil || task.Run != "a" {
			t.Errorf("Task() = %+v, %v", task, err)
		}
		j.Note(jit.Entry{Kind: jit.EntryTaskCompleted, Run: "a", TaskID: "task_a"})
		if tasks, err := j.Tasks(t.Context(), journal.TaskFilter{Unfinished: true}); err != nil || len(tasks) != 0 {
			t.Errorf("Tasks() = %+v, %v", tasks, err)
		}
	})
}

// An entry that changes nothing of its task but when that was last told of writes two
// pages: its own, and its task's, without any index.
func TestEntryTouchesNoIndex(t *testing.T) {
	j := open(t, sqlite.Options{Dir: stateDir(t)})
	add(t, j, life("a")[:3]...)
	size := func() int64 {
		info, err := os.Stat(j.Path() + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	add(t, j, life("a")[3])
	if pages := (size() - before) / (4096 + 24); pages != 2 {
		t.Errorf("%d pages were written, want 2", pages)
	}
}
