package bench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/internal/sqldb"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/runs"
	"github.com/jitagent/jitagent/state/session"
)

// at says how many runs are worked on at once, by either side.
const at = 16

// suspendAndResume is a run that does something, waits for a decision, which comes at
// once, and does something else: as rows of ours that River carries hints about, and as two
// jobs of River's, of which the first adds the second, for a day later.
func suspendAndResume(postgres bool) measure {
	return measure{
		name: "cluster: suspend and resume on " + databaseName(postgres), floor: "River alone", goal: goal{ratio: 1.25}, asked: true,
		open: func(t *testing.T) pair {
			ours, floor := newWakes(t, postgres), newJobs(t, postgres)
			return pair{ours: does(func() error { return atOnce(ours.cycle) }), floor: does(func() error { return atOnce(floor.cycle) }), each: parallel, most: 1,
				notes: func(r row) []string {
					return []string{fmt.Sprintf("%.0f a second, %.0f by River alone: %.2f times as many", 1e9/r.Nanos, 1e9/r.FloorNanos, r.FloorNanos/r.Nanos)}
				}}
		},
	}
}

func databaseName(postgres bool) string {
	if postgres {
		return "Postgres"
	}
	return "SQLite"
}

// pool connects to a new database of Postgres.
func pool(t *testing.T) *pgxpool.Pool {
	p := must(pgxpool.New(t.Context(), pgtest.Shared(t).URL(t)))(t)
	t.Cleanup(p.Close)
	return p
}

// decisionToStep is how long a run still waits when somebody has decided, the worst but one
// in a hundred, among many that wait for hours. told is whether whoever took the decision
// gives a hint, as our page does; else it is found by asking the authorization server.
func decisionToStep(onPostgres, told bool) measure {
	m := measure{name: "cluster: decision to resumed step, p99, ", floor: "what it should stay below", goal: goal{ratio: 1}, asked: true}
	pause, wait, bound := 50*time.Millisecond, time.Second, 100*time.Millisecond
	if m.name += "at our page, "; !told {
		m.name, m.floor, m.goal = "cluster: decision to resumed step, p99, elsewhere, ", "a second, in which the server is asked once", goal{}
		pause, wait, bound = 200*time.Millisecond, 5*time.Second, time.Second
	}
	m.name += fmt.Sprintf("%d runs suspended on %s", *suspended, databaseName(onPostgres))
	var took []float64
	m.said = func() []string { return []string{"p50 " + duration(quantile(took, .5))} }
	m.once = func(t *testing.T) (ours, floor float64) {
		w := newWakes(t, onPostgres)
		var group, deciding errgroup.Group
		group.SetLimit(at)
		for range *suspended {
			group.Go(func() error { _, err := w.suspend(); return err })
		}
		check(t, group.Wait())
		check(t, w.exec("UPDATE runs SET since = since - 7200000000, check_at = check_at + id % 600 * 1000000"))
		var mu sync.Mutex
		for range max(3, min(300, *suspended)) {
			time.Sleep(time.Duration(2 * rand.Float64() * float64(pause)))
			deciding.Go(func() error {
				id, err := w.suspend()
				if err != nil {
					return err
				}
				time.Sleep(wait)
				start := time.Now()
				err = w.decide(id, told)
				mu.Lock()
				defer mu.Unlock()
				took = append(took, float64(time.Since(start)))
				return err
			})
		}
		check(t, deciding.Wait())
		return quantile(took, .99), float64(bound)
	}
	return m
}

// wakes are runs of ours, in an application that says itself what was decided.
type wakes struct {
	ctx     context.Context
	store   *runs.Store
	exec    func(query string) error
	n       atomic.Int64
	decided sync.Map // request to true
	resumed sync.Map // session to a channel that is closed
}

// nobodyElse is a journal that one process has.
type nobodyElse struct{}

func (nobodyElse) Owner() string         { return app }
func (nobodyElse) Lost() <-chan struct{} { return nil }
func (nobodyElse) Claim(context.Context, string) (func() error, error) {
	return nil, journal.ErrOwned
}

func newWakes(t *testing.T, postgres bool) *wakes {
	w := &wakes{ctx: t.Context()}
	o := runs.Options{Journal: nobodyElse{}}
	if postgres {
		p := pool(t)
		w.store = must(runs.OpenPostgres(t.Context(), p, o))(t)
		w.exec = func(query string) error { _, err := p.Exec(w.ctx, query); return err }
	} else {
		dir := t.TempDir()
		w.store = must(runs.Open(t.Context(), dir, o))(t)
		w.exec = func(query string) error {
			db, err := sqldb.Open(filepath.Join(dir, session.File), 1)
			if err == nil {
				_, err = db.ExecContext(w.ctx, query)
				err = errors.Join(err, db.Close())
			}
			return err
		}
	}
	p := must(runs.NewPool(runs.PoolConfig{Store: w.store, Authority: w, Resume: w.resume, Workers: at}))(t)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		check(t, errors.Join(<-done, w.store.Close()))
	})
	return w
}

// Status is what the authorization server says.
func (w *wakes) Status(_ context.Context, request string) (jit.Decision, error) {
	if _, ok := w.decided.Load(request); ok {
		return jit.Decision{Status: jit.StatusApproved}, nil
	}
	return jit.Decision{Status: jit.StatusPending}, nil
}

// suspend leaves a run to wait.
func (w *wakes) suspend() (id string, err error) {
	id = strconv.FormatInt(w.n.Add(1), 10)
	ctx, l, err := w.store.Begin(w.ctx, app, "user", id)
	if err != nil {
		return "", err
	}
	l.Opened()
	return id, l.Suspended(ctx, []string{"jit_" + id}, time.Time{})
}

// cycle is one run from its beginning to its end.
func (w *wakes) cycle() error {
	id, err := w.suspend()
	if err != nil {
		return err
	}
	return w.decide(id, true)
}

// decide has a run go on, and waits until it does.
func (w *wakes) decide(id string, hint bool) (err error) {
	over := make(chan struct{})
	w.resumed.Store(id, over)
	w.decided.Store("jit_"+id, true)
	if hint {
		err = w.store.Hint(w.ctx, "jit_"+id)
	}
	if err == nil {
		<-over
	}
	return err
}

func (w *wakes) resume(ctx context.Context, app, user, session string) error {
	ctx, l, err := w.store.Begin(ctx, app, user, session)
	if err != nil {
		return err
	}
	l.Opened()
	if over, ok := w.resumed.LoadAndDelete(session); ok {
		close(over.(chan struct{}))
	}
	return l.Ended(ctx, runner.Done)
}

// A step is a job of River's: the first of a run, or the one after the decision.
type step struct {
	Run  int64 `json:"run"`
	Last bool  `json:"last"`
}

// Kind implements [river.JobArgs].
func (step) Kind() string { return "step" }

// jobs are the same runs in a program of River's alone.
type jobs struct {
	ctx    context.Context
	client *river.Client[*sql.Tx]
	n      atomic.Int64
	steps  sync.Map // run to a channel of its steps' ends
}

func newJobs(t *testing.T, postgres bool) *jobs {
	j := &jobs{ctx: t.Context()}
	var driver riverdriver.Driver[*sql.Tx]
	if postgres {
		p := pool(t)
		db := stdlib.OpenDBFromPool(p)
		t.Cleanup(func() { check(t, db.Close()) })
		driver = riverdatabasesql.NewWithPgxListener(db, p)
	} else {
		db := must(sqldb.Open(filepath.Join(t.TempDir(), "river.db"), 1))(t)
		t.Cleanup(func() { check(t, db.Close()) })
		must(db.ExecContext(t.Context(), "PRAGMA synchronous = NORMAL"))(t)
		driver = riversqlite.New(db)
	}
	must(must(rivermigrate.New(driver, nil))(t).Migrate(t.Context(), rivermigrate.DirectionUp, nil))(t)
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(j.work))
	j.client = must(river.NewClient(driver, &river.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: at}}, FetchCooldown: time.Millisecond, FetchPollInterval: 10 * time.Millisecond,
	}))(t)
	check(t, j.client.Start(t.Context()))
	t.Cleanup(func() { check(t, j.client.Stop(context.WithoutCancel(t.Context()))) })
	return j
}

// cycle is one run from its beginning to its end.
func (j *jobs) cycle() error {
	run, done := j.n.Add(1), make(chan int64, 1)
	j.steps.Store(run, done)
	if _, err := j.client.Insert(j.ctx, step{Run: run}, nil); err != nil {
		return err
	}
	if _, err := j.client.JobRetry(j.ctx, <-done); err != nil { // the decision
		return err
	}
	<-done
	j.steps.Delete(run)
	return nil
}

func (j *jobs) work(ctx context.Context, job *river.Job[step]) error {
	var next int64
	if !job.Args.Last {
		added, err := j.client.Insert(ctx, step{job.Args.Run, true}, &river.InsertOpts{ScheduledAt: time.Now().Add(24 * time.Hour)})
		if err != nil {
			return err
		}
		next = added.Job.ID
	}
	done, _ := j.steps.Load(job.Args.Run)
	done.(chan int64) <- next
	return nil
}
