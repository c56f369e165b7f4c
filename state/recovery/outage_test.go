package recovery_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/sqlite"
)

func dirOf(j *sqlite.Journal) string { return filepath.Dir(j.Path()) }

// A server that is down is asked by a few calls, not by one for each task.
func TestDeadServerIsNotAskedForEachTask(t *testing.T) {
	dir := stateDir(t)
	die(t, dir, several("dead", 100)...)
	synctest.Test(t, func(t *testing.T) {
		s := server{answer: func(context.Context, string, int) error { return fault{again: true} }}
		j := open(t, dir)
		got := must(t)(recovery.Pass(t.Context(), config(j, &s)))
		if s.asked() < 3 || s.asked() > 8 || got.Waiting != 100 || got.Failure == "" {
			t.Errorf("%d calls, %+v, want a few and 100 waiting", s.asked(), got)
		}
		before := s.asked()
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
		defer cancel()
		got = must(t)(recovery.Sweep(ctx, config(j, &s)))
		if calls := s.asked() - before; calls > 100 || calls < 15 || got.Waiting != 100 {
			t.Errorf("%d calls in 20 minutes, %+v, want about one a minute", calls, got)
		}
		if s.most > 4 {
			t.Errorf("%d calls at once", s.most)
		}
	})
}

// A pause that the server asked for binds the processes that come after, too.
func TestRetryAfterOutlivesTheProcess(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		die(t, dir, task{run: "a", id: "task_a", life: time.Hour})
		s := server{answer: func(_ context.Context, _ string, n int) error {
			if n == 1 {
				return fault{wait: 7 * time.Minute, again: true}
			}
			return nil
		}}
		first := open(t, dir)
		if got := must(t)(recovery.Pass(t.Context(), config(first, &s))); got.Waiting != 1 || s.asked() != 1 {
			t.Fatalf("%+v after %d calls", got, s.asked())
		}
		shut(t, first)
		time.Sleep(7*time.Minute - time.Second)
		j := open(t, dir)
		if got := must(t)(recovery.Pass(t.Context(), config(j, &s))); got.Waiting != 1 || s.asked() != 1 {
			t.Errorf("asked again before the time: %+v after %d calls", got, s.asked())
		}
		start := time.Now()
		if got := must(t)(recovery.Sweep(t.Context(), config(j, &s))); got.Completed != 1 {
			t.Errorf("%+v, want it completed", got)
		}
		if waited := time.Since(start); waited < time.Second || waited > 2*time.Second {
			t.Errorf("waited %s, want the second that was left", waited)
		}
	})
}

// Attempts are on disk, and the pauses between them grow up to a limit.
func TestPausesGrow(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		die(t, dir, task{run: "a", id: "task_a", life: 24 * time.Hour})
		s := server{answer: func(context.Context, string, int) error { return fault{again: true} }}
		for range 12 { // as many processes
			j := open(t, dir)
			if next := find(t, j, "a").NextAttempt; !next.IsZero() {
				before := s.asked()
				time.Sleep(time.Until(next) - time.Millisecond)
				must(t)(recovery.Pass(t.Context(), config(j, &s)))
				if s.asked() != before {
					t.Fatalf("asked before %s", next)
				}
				time.Sleep(2 * time.Millisecond)
			}
			must(t)(recovery.Pass(t.Context(), config(j, &s)))
			shut(t, j)
		}
		for i := 1; i < len(s.times); i++ {
			most := min(90*time.Second, 1500*time.Millisecond<<(i-1)) + 200*time.Millisecond
			least := min(30*time.Second, 500*time.Millisecond<<(i-1))
			if gap := s.times[i].Sub(s.times[i-1]); gap < least || gap > most {
				t.Errorf("pause %d is %s, want between %s and %s", i, gap, least, most)
			}
		}
		j := open(t, dir)
		if a := find(t, j, "a"); a.Attempts != 12 || a.State != journal.StateCompleting || a.LastError == "" {
			t.Errorf("%+v, want 12 attempts and why", a)
		}
	})
}

// It is tried until nothing can be valid, and then it is expired, not completed.
func TestUnansweredTaskExpires(t *testing.T) {
	for name, f := range map[string]error{
		"no answer": fault{again: true}, "refused": fault{}, "asked to wait": fault{wait: time.Hour, again: true}, "unclassified": errors.New("garbage"),
	} {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t)
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				die(t, dir, task{run: "a", id: "task_a", life: 90 * time.Minute})
				j := open(t, dir)
				s := server{answer: func(context.Context, string, int) error { return f }}
				ctx, cancel := context.WithTimeout(t.Context(), 90*time.Minute-time.Second)
				defer cancel()
				if got := must(t)(recovery.Sweep(ctx, config(j, &s))); got.Waiting != 1 || got.Done() != 0 {
					t.Errorf("%+v before the end, want it waiting", got)
				}
				if got := must(t)(recovery.Sweep(t.Context(), config(j, &s))); got.Expired != 1 || got.Left() != 0 {
					t.Errorf("%+v, want it expired", got)
				}
				if passed := time.Since(began); passed < 90*time.Minute || passed > 3*time.Hour {
					t.Errorf("expired after %s", passed)
				}
				a := find(t, j, "a")
				if a.State != journal.StateExpired || a.Attempts < 2 || a.LastError != f.Error() {
					t.Errorf("%+v, want expired with its attempts", a)
				}
			})
		})
	}
}

// A task that its server never completes does not keep the others waiting.
func TestOneBadTaskHoldsNobodyUp(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		die(t, dir, several("dead", 50)...)
		s := server{answer: func(_ context.Context, id string, _ int) error {
			if id == "task_dead_0" || id == "task_dead_7" {
				return fault{again: true}
			}
			return nil
		}}
		j := open(t, dir)
		if got := must(t)(recovery.Pass(t.Context(), config(j, &s))); got.Completed != 48 || got.Waiting != 2 {
			t.Errorf("%+v, want 48 completed and 2 waiting", got)
		}
	})
}

// What hangs is given up after a while, and tried again.
func TestHangingServer(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		die(t, dir, several("dead", 2)...)
		s := server{answer: func(ctx context.Context, _ string, n int) error {
			if n <= 4 {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}}
		j := open(t, dir)
		start := time.Now()
		if got := must(t)(recovery.Sweep(t.Context(), config(j, &s))); got.Completed != 2 || time.Since(start) > time.Minute {
			t.Errorf("%+v after %s, want 2 completed soon", got, time.Since(start))
		}
		if a := find(t, j, "dead-0"); a.Attempts == 0 {
			t.Errorf("%+v, want attempts", a)
		}
	})
}

// Tasks that another process takes while we look are its own, until it dies.
func TestClaimOfADyingSweeperIsTakenOver(t *testing.T) {
	for _, patient := range []bool{false, true} {
		dir := stateDir(t)
		synctest.Test(t, func(t *testing.T) {
			die(t, dir, several("first", 1)...)
			die(t, dir, several("second", 2)...)
			j, other := open(t, dir), open(t, dir)
			var lost sync.Once
			s := server{answer: func(_ context.Context, id string, _ int) error {
				lost.Do(func() {
					run := map[string]string{"task_first_0": "second-0"}[id]
					if run == "" {
						run = "first-0"
					}
					if _, err := other.Claim(t.Context(), find(t, j, run).Owner); err != nil {
						t.Error(err)
					}
				})
				return nil
			}}
			gone := make(chan struct{})
			time.AfterFunc(10*time.Second, func() { _ = other.Close(); close(gone) })
			cfg := config(j, &s)
			cfg.Parallel = 1
			start := time.Now()
			if !patient {
				got := must(t)(recovery.Pass(t.Context(), cfg))
				if got.Busy == 0 || got.Busy+got.Completed != 3 || got.Left() != got.Busy {
					t.Errorf("Pass() = %+v, want what the other holds to be busy", got)
				}
				return
			}
			got := must(t)(recovery.Sweep(t.Context(), cfg))
			if took := time.Since(start); got.Completed != 3 || got.Left() != 0 || took < 10*time.Second || took > 12*time.Second {
				t.Errorf("Sweep() = %+v after %s, want all completed soon after the other died", got, took)
			}
			<-gone
		})
	}
}

// Tasks whose turn comes soon do not wait for those whose turn comes late.
func TestLateTasksHoldNobodyUp(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		late := open(t, dir)
		begin(t, late, task{run: "late", id: "task_late", life: time.Hour})
		if err := late.Mark(t.Context(), "late", journal.Mark{State: journal.StateCompleting, Reason: "503", Next: begun.Add(10 * time.Minute)}); err != nil {
			t.Fatal(err)
		}
		shut(t, late)
		die(t, dir, several("soon", 6)...)
		die(t, dir, several("single", 1)...)
		singles := 0
		s := server{answer: func(_ context.Context, id string, n int) error {
			if id == "task_single_0" {
				singles++
			}
			if n <= 4 || id == "task_single_0" && singles == 1 {
				return fault{again: true}
			}
			return nil
		}}
		cfg := config(open(t, dir), &s)
		cfg.Parallel = 1
		if got := must(t)(recovery.Sweep(t.Context(), cfg)); got.Completed != 8 {
			t.Errorf("%+v, want 8 completed", got)
		}
		for i, id := range s.calls {
			passed := s.times[i].Sub(begun)
			if id == "task_late" && passed < 10*time.Minute || id != "task_late" && passed > time.Minute {
				t.Errorf("%s was tried after %s", id, passed)
			}
		}
	})
}

// An answer that will not change by itself is not asked for every second.
func TestSteadyRefusalsAreTriedSeldom(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		die(t, dir, several("dead", 1)...)
		j := open(t, dir)
		s := server{answer: func(context.Context, string, int) error { return fault{} }}
		must(t)(recovery.Pass(t.Context(), config(j, &s)))
		if wait := time.Until(find(t, j, "dead-0").NextAttempt); wait < 30*time.Second || wait > time.Minute {
			t.Errorf("the next try is in %s, want half a minute or so", wait)
		}
	})
}

// What another process holds, and needs no server, is that one's business: the sweep
// ends.
func TestExpiryInOtherHandsIsLeftThere(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		die(t, dir, task{run: "a", id: "task_a", authority: recovery.Embedded})
		j, other := open(t, dir), open(t, dir)
		cfg := recovery.Config{Journal: j}
		must(t)(recovery.Sweep(t.Context(), cfg))
		time.Sleep(time.Hour)
		release, err := other.Claim(t.Context(), find(t, j, "a").Owner)
		if err != nil {
			t.Fatal(err)
		}
		if got := must(t)(recovery.Sweep(t.Context(), cfg)); got.Done() != 0 || got.Left() != 0 {
			t.Errorf("%+v, want nothing", got)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
		must(t)(recovery.Sweep(t.Context(), cfg))
		if state := states(t, j)["a"]; state != journal.StateExpired {
			t.Errorf("it is %s, want expired", state)
		}
	})
}
