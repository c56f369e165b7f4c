package cluster

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
)

var (
	play     = flag.Bool("play", false, "run the cluster")
	sessions = flag.Int("sessions", 60, "how many sessions there are on each database")
	rounds   = flag.Int("rounds", 1, "how often each kind of trouble comes")
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// TestCluster plays the troubles of a cluster on each database.
func TestCluster(t *testing.T) {
	if !*play {
		t.Skip("make cluster runs it")
	}
	var bins []string
	for _, flags := range []string{"", "-w"} {
		bin := filepath.Join(t.TempDir(), "analyst")
		build := exec.CommandContext(t.Context(), "go", "build", "-ldflags="+flags, "-o", bin, "github.com/jitagent/jitagent/cmd/analyst")
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		bins = append(bins, bin)
	}
	fmt.Println("| cluster | sessions | waited | lost | twice | in doubt | used twice | orphans | mixed | taken over | takeover p99 |")
	fmt.Println("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
	t.Run("Postgres", func(t *testing.T) {
		newWorld(t, bins, pgtest.Shared(t)).play("3 workers on Postgres", true, true, false)
	})
	t.Run("SQLite", func(t *testing.T) { newWorld(t, bins, nil).play("2 processes on SQLite", true, false) })
}

// play has the members, which serve or not, work on sessions while one after the other is
// in trouble, and prints a row.
func (w *world) play(what string, serves ...bool) {
	for i, s := range serves {
		w.join(fmt.Sprintf("m%d", i), s)
		w.ready() // the first makes the tables
	}
	w.look()
	ctx, stop := context.WithCancel(w.Context())
	defer stop()
	var watching sync.WaitGroup
	var takeovers []time.Duration
	watching.Go(func() { w.decide(ctx) })
	watching.Go(func() { takeovers = w.watch(ctx) })
	var saying errgroup.Group
	saying.SetLimit(32)
	pause := time.Duration(*rounds) * 50 * time.Second / time.Duration(*sessions) // so that they begin all the while
	talked := make(chan struct{})
	go func() {
		defer close(talked)
		for n := range *sessions {
			time.Sleep(pause)
			saying.Go(func() error { w.say(n); return nil })
		}
		_ = saying.Wait()
	}()
	for range *rounds {
		w.trouble()
	}
	<-talked
	w.settle()
	stop()
	watching.Wait()
	for _, m := range w.members {
		m.end()
	}
	sweep := exec.CommandContext(w.Context(), w.bins[1], "sweep")
	sweep.Env = w.env
	if out, err := sweep.CombinedOutput(); err != nil {
		w.Errorf("sweep: %v: %s", err, out)
	}
	w.judge(what, takeovers)
}

// trouble is one of each kind, one after the other.
func (w *world) trouble() {
	const lease = 10 * time.Second
	old, later := w.bins[0], w.bins[1]
	for _, m := range w.members {
		time.Sleep(3 * time.Second)
		m.signal(syscall.SIGKILL, old)
		time.Sleep(lease)
	}
	last := w.members[0]
	last.signal(syscall.SIGSTOP, old)
	time.Sleep(lease + 5*time.Second)
	last.signal(syscall.SIGCONT, old)
	if w.restart != nil {
		if err := w.restart(); err != nil {
			w.Errorf("restart of the database: %v", err)
		}
		time.Sleep(3 * time.Second)
	}
	for _, m := range w.members { // which go on with what the other build began
		m.signal(syscall.SIGTERM, later)
		time.Sleep(time.Second)
	}
}

// A seen is how a run was seen last.
type seen struct {
	owner string
	left  time.Time // when whoever had it was killed; zero while somebody has it
}

// watch returns how long it took until runs were taken over.
func (w *world) watch(ctx context.Context) (took []time.Duration) {
	last := map[int64]seen{}
	for ctx.Err() == nil {
		now := map[int64]seen{}
		rows, err := w.runs.QueryContext(ctx, "SELECT id, owner, state FROM runs WHERE state IN ('running', 'ready')")
		for err == nil && rows.Next() {
			var id int64
			var owner, state string
			if err = rows.Scan(&id, &owner, &state); err != nil {
				break
			}
			s := seen{owner: owner}
			if state == "ready" && owner != "" {
				w.mu.Lock()
				s.left = w.hit
				w.mu.Unlock()
			}
			now[id] = s
		}
		if err == nil {
			err = rows.Err()
			_ = rows.Close()
		}
		if err == nil {
			for id, was := range last {
				if is := now[id]; !was.left.IsZero() && is.left.IsZero() {
					took = append(took, time.Since(was.left))
				}
			}
			last = now
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
	return took
}

// settle waits until no run is under way but those that nobody decides about.
func (w *world) settle() {
	until := time.Now().Add(2 * time.Minute)
	for quiet := 0; quiet < 5; time.Sleep(500 * time.Millisecond) {
		var busy, open int
		err := w.runs.QueryRowContext(w.Context(), "SELECT count(*) FROM runs WHERE state <> 'waiting'").Scan(&busy)
		if err == nil {
			w.mu.Lock()
			for _, r := range w.waiting() {
				if !w.never[r] {
					open++
				}
			}
			w.mu.Unlock()
		}
		if quiet++; err != nil || busy > 0 || open > 0 {
			quiet = 0
		}
		if time.Now().After(until) {
			w.Errorf("%d runs are under way, %d wait though all was decided: %v", busy, open, err)
			return
		}
	}
}

// waiting returns the requests that runs wait for.
func (w *world) waiting() (requests []string) {
	rows, err := w.runs.QueryContext(w.Context(), "SELECT request FROM run_requests")
	for err == nil && rows.Next() {
		var r string
		err = rows.Scan(&r)
		requests = append(requests, r)
	}
	if err == nil {
		_ = rows.Close()
	}
	return requests
}

// judge counts what came of the sessions, and prints it.
func (w *world) judge(what string, takeovers []time.Duration) {
	j := w.open()
	defer func() { _ = j.Close() }() // it wrote nothing
	var waited, lost, twice, doubts, again, orphans, mixed int
	wrong := func(n *int, format string, args ...any) {
		*n++
		w.Errorf(format, args...)
	}
	for n := range *sessions {
		tasks := must(j.Tasks(w.Context(), journal.TaskFilter{Session: runner.SessionName(app, user, name(n))}))(w)
		var entries []jit.Entry
		waits := false
		for _, t := range tasks {
			switch t.State {
			case journal.StateSuspended:
				waits = true
			case journal.StateOpen, journal.StateCompleting:
				wrong(&orphans, "%s: task %s is %s", name(n), t.ID, t.State)
			}
			entries = append(entries, must(j.Entries(w.Context(), t.Run))(w)...)
		}
		sent, doubt, suspended := 0, false, false
		for _, e := range jit.Effects(entries) {
			switch e.Outcome {
			case jit.OutcomeInDoubt:
				doubt = true
			case jit.OutcomeAnswered:
				sent++
			}
		}
		for _, e := range entries {
			suspended = suspended || e.Kind == jit.EntryTaskSuspended
			for _, other := range regexp.MustCompile(`Case \d{4}`).FindAllString(string(e.Args), -1) {
				if other != title(n) {
					wrong(&mixed, "%s has %s", name(n), other)
				}
			}
		}
		made := len(must(filepath.Glob(filepath.Join(w.path("reports"), strings.ReplaceAll(strings.ToLower(title(n)), " ", "-")+"-*.md")))(w))
		if suspended {
			waited++
		}
		if sent > 1 {
			wrong(&again, "%s sent its effect %d times", name(n), sent)
		}
		switch {
		case made > 1:
			wrong(&twice, "%s made %d reports", name(n), made)
		case doubt:
			doubts++
		case made == 0 && len(tasks) > 0 && !waits:
			wrong(&lost, "%s: no report, and no doubt", name(n))
		}
	}
	slices.Sort(takeovers)
	worst := "-"
	if n := len(takeovers); n > 0 {
		p99 := takeovers[min(n-1, n*99/100)]
		worst = p99.Round(100 * time.Millisecond).String()
		if p99 > 12*time.Second {
			w.Errorf("takeover p99 is %s", p99)
		}
	}
	fmt.Printf("| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s |\n", what, *sessions, waited, lost, twice, doubts, again, orphans, mixed, len(takeovers), worst)
}
