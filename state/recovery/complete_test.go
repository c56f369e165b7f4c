package recovery_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/sqlite"
)

func TestCompleteRefusesTheTaskOfALivingProcess(t *testing.T) {
	dir := stateDir(t)
	alive := open(t, dir)
	begin(t, alive, several("alive", 1)...)
	var s server
	for name, j := range map[string]*sqlite.Journal{"another": open(t, dir), "its own": alive} {
		k, err := recovery.Complete(t.Context(), config(j, &s), find(t, alive, "alive-0"))
		if !errors.Is(err, journal.ErrOwned) || s.asked() != 0 || k.State != journal.StateOpen {
			t.Errorf("%s: Complete() = %s, %v after %d calls, want ErrOwned after none", name, k.State, err, s.asked())
		}
	}
}

func TestComplete(t *testing.T) {
	refusal := fault{wait: time.Hour, again: true}
	for _, tt := range []struct {
		name   string
		task   task
		answer error
		want   journal.State
		err    string
		calls  int
	}{
		{"works", task{run: "a", id: "task_a"}, nil, journal.StateCompleted, "", 1},
		{"fails", task{run: "a", id: "task_a"}, refusal, journal.StateCompleting, refusal.Error(), 1},
		{"of another authority", task{run: "a", id: "task_a", authority: "https://other.test/o/c"}, nil, journal.StateOpen, "belongs to https://other.test/o/c", 0},
		{"of an embedded server", task{run: "a", id: "task_a", authority: recovery.Embedded}, nil, journal.StateUnknown, "", 0},
		{"without an id", task{run: "a"}, nil, journal.StateExpired, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := stateDir(t)
			die(t, dir, tt.task)
			j := open(t, dir)
			s := server{answer: func(context.Context, string, int) error { return tt.answer }}
			cfg := config(j, &s)
			k, err := recovery.Complete(t.Context(), cfg, find(t, j, "a"))
			if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("Complete() = %v, want %q", err, tt.err)
			}
			if k.State != tt.want || find(t, j, "a").State != tt.want || s.asked() != tt.calls {
				t.Errorf("state %s, %s in the journal, after %d calls; want %s after %d", k.State, find(t, j, "a").State, s.asked(), tt.want, tt.calls)
			}
			// Asked by a person, the server's pause does not count; what is done stays done.
			again, err := recovery.Complete(t.Context(), cfg, k)
			switch {
			case tt.want.Finished() && (err != nil || s.asked() != tt.calls):
				t.Errorf("again = %v after %d calls, want nothing", err, s.asked())
			case tt.answer != nil && (err == nil || s.asked() != 2 || again.Attempts != 2):
				t.Errorf("again = %+v, %v after %d calls, want a second try", again, err, s.asked())
			}
		})
	}
}

// What the server cannot revoke is on record until it has expired by itself.
func TestCompleteWithTokensLeft(t *testing.T) {
	dir := stateDir(t)
	die(t, dir, task{run: "a", id: "task_a"})
	j := open(t, dir)
	until := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	s := server{answer: func(context.Context, string, int) error { return &jit.ExpiringError{Tokens: 1, Until: until} }}
	if _, err := recovery.Complete(t.Context(), config(j, &s), find(t, j, "a")); err != nil || s.asked() != 1 {
		t.Fatalf("Complete() = %v after %d calls, want success at the first", err, s.asked())
	}
	if k := find(t, j, "a"); k.State != journal.StateCompleted || !k.NextAttempt.Equal(until) {
		t.Errorf("task %s until %v, want completed until %v", k.State, k.NextAttempt, until)
	}
}

// The caller's copy may be old: somebody else completed the task since.
func TestCompleteReadsTheTaskAgain(t *testing.T) {
	dir := stateDir(t)
	die(t, dir, several("dead", 1)...)
	j := open(t, dir)
	old := find(t, j, "dead-0")
	var s server
	must(t)(recovery.Pass(t.Context(), config(open(t, dir), &s)))
	k, err := recovery.Complete(t.Context(), config(j, &s), old)
	if err != nil || k.State != journal.StateCompleted || s.asked() != 1 {
		t.Errorf("Complete() = %s, %v after %d calls, want it completed by the first", k.State, err, s.asked())
	}
}

// A run that could not give its task back leaves it to the next process, with the
// reason and the time of the next try.
func TestLeave(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		j := open(t, dir)
		begin(t, j, task{run: "granted", id: "task_1"}, task{run: "nameless"}, task{run: "done", id: "task_2"})
		if err := j.Mark(t.Context(), "done", journal.Mark{State: journal.StateCompleted}); err != nil {
			t.Fatal(err)
		}
		left, err := recovery.Leave(t.Context(), j, "503")
		if err != nil || left != 1 {
			t.Fatalf("Leave() = %d, %v, want 1", left, err)
		}
		k := find(t, j, "granted")
		if k.State != journal.StateCompleting || k.Attempts != 1 || k.LastError != "503" || !k.NextAttempt.After(time.Now()) {
			t.Errorf("%+v, want an attempt with its reason and the next time", k)
		}
		if got := states(t, j); got["nameless"] != journal.StateExpired || got["done"] != journal.StateCompleted {
			t.Errorf("%v", got)
		}
		shut(t, j)
		time.Sleep(2 * time.Second)
		var s server
		next := open(t, dir)
		if got := must(t)(recovery.Pass(t.Context(), config(next, &s))); got.Completed != 1 || got.Tries != 1 {
			t.Errorf("the next process: %+v, want it completed", got)
		}
		if left, err := recovery.Leave(t.Context(), next, "x"); left != 0 || err != nil {
			t.Errorf("Leave() with nothing of its own = %d, %v", left, err)
		}
	})
}
