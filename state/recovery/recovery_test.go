package recovery_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/sqlite"
)

func TestTasksOfTheLivingAreNotTouched(t *testing.T) {
	dir := stateDir(t)
	alive := open(t, dir)
	begin(t, alive, several("alive", 3)...)
	die(t, dir, several("dead", 3)...)
	var s server
	got := must(t)(recovery.Sweep(t.Context(), config(open(t, dir), &s)))
	if diff := cmp.Diff(recovery.Report{Completed: 3, Tries: 3}, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	for _, id := range s.calls {
		if strings.Contains(id, "alive") {
			t.Errorf("%s was completed while its process lives", id)
		}
	}
	for run, state := range states(t, alive) {
		want := journal.StateCompleted
		if strings.HasPrefix(run, "alive") {
			want = journal.StateOpen
		}
		if state != want {
			t.Errorf("%s is %s, want %s", run, state, want)
		}
	}
	if err := alive.Mark(t.Context(), "alive-0", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Errorf("the living cannot go on: %v", err)
	}
}

// A process of its own authority that works while another sweeps is as safe.
func TestTasksBegunMeanwhileAreNotTouched(t *testing.T) {
	dir := stateDir(t)
	die(t, dir, several("dead", 1)...)
	j := open(t, dir)
	s := server{answer: func(context.Context, string, int) error {
		begin(t, j, several("own", 1)...) // of the sweeping process itself
		return nil
	}}
	got := must(t)(recovery.Sweep(t.Context(), config(j, &s)))
	if got.Completed != 1 || s.asked() != 1 {
		t.Errorf("%+v after %d calls, want the dead one's task only", got, s.asked())
	}
}

func TestTasksOfOtherAuthoritiesAreLeft(t *testing.T) {
	for name, other := range map[string]string{
		"other host": "https://other.test/acme-corp/agent-1", "other agent": here + "2", "other case": strings.ToUpper(here), "prefix": here[:len(here)-1],
	} {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t)
			die(t, dir, task{run: "a", id: "task_a", authority: other}, task{run: "b", id: "task_b"})
			j := open(t, dir)
			var s server
			got := must(t)(recovery.Sweep(t.Context(), config(j, &s)))
			want := recovery.Report{Completed: 1, Tries: 1, Foreign: 1, Authorities: []string{other}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff([]string{"task_b"}, s.calls); diff != "" {
				t.Errorf("completed (-want +got):\n%s", diff)
			}
			if state := states(t, j)["a"]; state != journal.StateOpen {
				t.Errorf("the other's task is %s, want open", state)
			}
		})
	}
}

// A task of an engine without a name could be anybody's.
func TestNamelessAuthorityIsNobodys(t *testing.T) {
	dir := stateDir(t)
	j := open(t, dir)
	k := task{run: "a", id: "task_a"}.entries(time.Now())
	k[0].Authority = ""
	for _, e := range k {
		if err := j.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, j)
	var s server
	got := must(t)(recovery.Sweep(t.Context(), recovery.Config{Journal: open(t, dir), Completer: &s}))
	if got.Foreign != 1 || s.asked() != 0 {
		t.Errorf("%+v after %d calls, want it left", got, s.asked())
	}
}

func TestOthersTaskExpiresByTheClock(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		die(t, dir, task{run: "a", id: "task_a", authority: "https://other.test/o/c", life: time.Hour})
		j := open(t, dir)
		var s server
		time.Sleep(time.Hour - time.Second)
		if got := must(t)(recovery.Pass(t.Context(), config(j, &s))); got.Foreign != 1 || got.Done() != 0 {
			t.Errorf("%+v a second before, want it left", got)
		}
		time.Sleep(2 * time.Second)
		if got := must(t)(recovery.Pass(t.Context(), config(j, &s))); got.Expired != 1 || got.Left() != 0 {
			t.Errorf("%+v a second after, want it expired", got)
		}
		if s.asked() != 0 || states(t, j)["a"] != journal.StateExpired {
			t.Errorf("%v after %d calls", states(t, j), s.asked())
		}
	})
}

// clocked notes when tasks are marked.
type clocked struct {
	*sqlite.Journal
	mu    sync.Mutex
	times map[time.Time]int
}

func (c *clocked) Mark(ctx context.Context, run string, m journal.Mark) error {
	c.mu.Lock()
	c.times[time.Now()]++
	c.mu.Unlock()
	return c.Journal.Mark(ctx, run, m)
}

// TestCompletedTasksAreRecordedTogether, while the server is asked for the next, and the
// last of them at once.
func TestCompletedTasksAreRecordedTogether(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		die(t, dir, several("a", 200)...)
		j := &clocked{Journal: open(t, dir), times: map[time.Time]int{}}
		s := server{answer: func(context.Context, string, int) error { time.Sleep(time.Millisecond); return nil }}
		start := time.Now()
		got := must(t)(recovery.Sweep(t.Context(), recovery.Config{Journal: j, Authority: here, Completer: &s}))
		took := time.Since(start)
		if got.Completed != 200 || took > 60*time.Millisecond || len(j.times) > 10 {
			t.Errorf("%+v in %s, recorded at %d times, want 200 in 60ms, at 10 times at most", got, took, len(j.times))
		}
		die(t, dir, task{run: "alone", id: "task_alone"})
		start = time.Now()
		must(t)(recovery.Sweep(t.Context(), config(j.Journal, &s)))
		if took := time.Since(start); took != time.Millisecond {
			t.Errorf("one task took %s, want the server's time alone", took)
		}
	})
}

// What an embedded server granted is void, but by the clock it is not over yet: that
// is unknown first, and expired when it is true.
func TestEmbeddedServersDieWithTheirProcess(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		die(t, dir, task{run: "a", id: "task_a", authority: recovery.Embedded, life: time.Hour}, task{run: "empty", id: "task_b", authority: recovery.Embedded, life: time.Second, bare: true})
		time.Sleep(time.Minute)
		j := open(t, dir)
		var s server
		cfg := recovery.Config{Journal: j, Authority: recovery.Embedded, Completer: &s}
		want := recovery.Report{Unknown: 1, Expired: 1}
		if diff := cmp.Diff(want, must(t)(recovery.Sweep(t.Context(), cfg))); diff != "" {
			t.Errorf("report (-want +got):\n%s", diff)
		}
		a := find(t, j, "a")
		if a.State != journal.StateUnknown || !strings.Contains(a.LastError, "died with its process") {
			t.Errorf("%s: %q, want unknown, with the reason", a.State, a.LastError)
		}
		if got := must(t)(recovery.Sweep(t.Context(), cfg)); got.Done() != 0 || got.Left() != 0 {
			t.Errorf("again: %+v, want nothing", got)
		}
		time.Sleep(time.Hour)
		must(t)(recovery.Sweep(t.Context(), cfg))
		if a = find(t, j, "a"); a.State != journal.StateExpired || !strings.Contains(a.LastError, "died with its process") {
			t.Errorf("%s: %q after an hour, want expired, with the reason", a.State, a.LastError)
		}
		if s.asked() != 0 {
			t.Errorf("the new server was asked %d times about the old one's tasks", s.asked())
		}
	})
}

// Nothing can be under a task whose id nobody learned.
func TestTaskWithoutAnIDIsExpired(t *testing.T) {
	dir := stateDir(t)
	die(t, dir, task{run: "a"})
	j := open(t, dir)
	var s server
	if diff := cmp.Diff(recovery.Report{Expired: 1}, must(t)(recovery.Pass(t.Context(), config(j, &s)))); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
	if s.asked() != 0 || states(t, j)["a"] != journal.StateExpired {
		t.Errorf("%v after %d calls, want it expired after none", states(t, j), s.asked())
	}
}

func TestTwoSweepersShareTheWork(t *testing.T) {
	dir := stateDir(t)
	for _, owner := range []string{"a", "b", "c", "d"} {
		die(t, dir, several(owner, 5)...)
	}
	var s server
	var wg sync.WaitGroup
	reports := make([]recovery.Report, 3)
	for i := range reports {
		j := open(t, dir)
		wg.Go(func() {
			var err error
			if reports[i], err = recovery.Sweep(t.Context(), config(j, &s)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	total := 0
	for _, r := range reports {
		total += r.Completed
		if r.Left() != 0 {
			t.Errorf("a sweeper left something: %+v", r)
		}
	}
	if total != 20 || len(s.done) != 20 {
		t.Errorf("%d completions of %d tasks, want 20 of 20", total, len(s.done))
	}
	for id, n := range s.done {
		if n != 1 {
			t.Errorf("%s was completed %d times", id, n)
		}
	}
}

// The process dies after the server has done it, before that is written: twice.
func TestTwoCrashesInARowChangeNothing(t *testing.T) {
	dir := stateDir(t)
	die(t, dir, several("dead", 3)...)
	var s server
	for range 2 {
		j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		var dead atomic.Bool
		dying := server{answer: func(ctx context.Context, id string, _ int) error {
			if dead.Swap(true) {
				return errors.New("a dead process asks nothing")
			}
			err := s.CompleteTask(ctx, id)
			return errors.Join(err, j.Close())
		}}
		cfg := config(j, &dying)
		cfg.Parallel = 1
		if _, err := recovery.Sweep(t.Context(), cfg); !errors.Is(err, journal.ErrClosed) {
			t.Errorf("Sweep() of a dying process = %v, want ErrClosed", err)
		}
	}
	j := open(t, dir)
	if got := must(t)(recovery.Sweep(t.Context(), config(j, &s))); got.Completed != 3 {
		t.Errorf("%+v, want 3 completed", got)
	}
	if diff := cmp.Diff(map[string]int{"task_dead_0": 3, "task_dead_1": 1, "task_dead_2": 1}, s.done); diff != "" {
		t.Errorf("completions (-want +got):\n%s", diff)
	}
	if got := must(t)(recovery.Sweep(t.Context(), config(j, &s))); got.Done() != 0 || got.Tries != 0 {
		t.Errorf("%+v when all is done, want nothing", got)
	}
	if _, err := j.Verify(t.Context()); err != nil {
		t.Errorf("Verify() = %v", err)
	}
}

func TestParallelIsBounded(t *testing.T) {
	dir := stateDir(t)
	for _, owner := range []string{"a", "b", "c"} {
		die(t, dir, several(owner, 4)...)
	}
	synctest.Test(t, func(t *testing.T) {
		s := server{answer: func(context.Context, string, int) error { time.Sleep(time.Second); return nil }}
		cfg := config(open(t, dir), &s)
		cfg.Parallel = 3
		if got := must(t)(recovery.Pass(t.Context(), cfg)); got.Completed != 12 || s.most != 3 {
			t.Errorf("%d completed, %d at once, want 12 and 3", got.Completed, s.most)
		}
	})
}

// slow is a journal that records an end only when something else has happened.
type slow struct {
	*sqlite.Journal
	until <-chan struct{}
	t     *testing.T
}

func (j slow) Mark(ctx context.Context, run string, m journal.Mark) error {
	select {
	case <-j.until:
	case <-time.After(time.Minute):
		j.t.Error("the server was not asked while the journal wrote")
	}
	return j.Journal.Mark(ctx, run, m)
}

func TestServerIsAskedWhileTheJournalWrites(t *testing.T) {
	dir := stateDir(t)
	die(t, dir, several("dead", 3)...)
	synctest.Test(t, func(t *testing.T) {
		asked, n := make(chan struct{}), 0
		s := server{answer: func(context.Context, string, int) error {
			if n++; n == 3 {
				close(asked)
			}
			return nil
		}}
		j := open(t, dir)
		cfg := config(j, &s)
		cfg.Journal, cfg.Parallel = slow{j, asked, t}, 1
		if got := must(t)(recovery.Pass(t.Context(), cfg)); got.Completed != 3 || s.most != 1 {
			t.Errorf("%d completed, %d at once, want 3 and 1", got.Completed, s.most)
		}
	})
}

// Who interrupts a sweep learns nothing about the server, and so records nothing.
func TestInterruptedSweepBlamesNobody(t *testing.T) {
	dir := stateDir(t)
	die(t, dir, several("dead", 2)...)
	j := open(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	s := server{answer: func(ctx context.Context, _ string, _ int) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}
	cfg := config(j, &s)
	cfg.Parallel = 1
	got := must(t)(recovery.Sweep(ctx, cfg))
	if got.Waiting != 2 || got.Failure != "" {
		t.Errorf("%+v, want 2 waiting, without a failure", got)
	}
	if k := find(t, j, "dead-0"); k.Attempts != 0 || k.State.Finished() {
		t.Errorf("%+v, want it unfinished, without an attempt", k)
	}
	if got := must(t)(recovery.Pass(t.Context(), config(j, &server{}))); got.Completed != 2 {
		t.Errorf("afterwards %+v, want 2 completed", got)
	}
}

func TestConfigErrors(t *testing.T) {
	j := open(t, stateDir(t))
	for name, cfg := range map[string]recovery.Config{
		"no journal": {}, "negative": {Journal: j, Parallel: -1}, "negative time": {Journal: j, TryTimeout: -1},
	} {
		if _, err := recovery.Pass(t.Context(), cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	ro, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dirOf(j), ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, ro)
	die(t, dirOf(j), several("dead", 1)...)
	var s server
	if _, err := recovery.Pass(t.Context(), config(ro, &s)); !errors.Is(err, journal.ErrReadOnly) || s.asked() != 0 {
		t.Errorf("Pass() over a journal for reading = %v after %d calls, want ErrReadOnly after none", err, s.asked())
	}
}

// Whatever of a family a process completed before it died, the rest is completed by the
// next, each task once.
func TestFamilyOfADeadProcess(t *testing.T) {
	for left := 1; left <= 3; left++ {
		dir, authority := stateDir(t), &fake.Authority{}
		first := open(t, dir)
		engine, err := jit.New(jit.Config{Authority: authority, Journal: first, AuthorityName: here})
		if err != nil {
			t.Fatal(err)
		}
		root := engine.Start(t.Context(), jit.TaskSpec{Name: "root"}, nil)
		for _, name := range []string{"one", "two"} {
			child, err := root.Child(t.Context(), jit.TaskSpec{Name: name}, nil)
			if err == nil {
				_, err = child.ID(t.Context())
			}
			if err != nil {
				t.Fatal(err)
			}
			if name == "one" && left < 3 || name == "two" && left < 2 {
				if err := child.Complete(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		shut(t, first)
		var s server
		j := open(t, dir)
		got := must(t)(recovery.Sweep(t.Context(), config(j, &s)))
		if got.Completed != left || s.asked() != left {
			t.Errorf("%+v after %d calls, want %d of 3 tasks completed", got, s.asked(), left)
		}
		for run, state := range states(t, j) {
			if state != journal.StateCompleted {
				t.Errorf("%s is %s", run, state)
			}
		}
	}
}
