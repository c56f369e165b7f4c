package runs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
)

// PoolConfig sets up a [Pool].
type PoolConfig struct {
	Store *Store // required
	// Resume goes on with a session, under the context that it is given, by
	// [runner.Runner.Resume] of a Runner whose Runs is Store. Required.
	Resume func(ctx context.Context, app, user, session string) error
	// Authority is asked what became of requests. Required.
	Authority interface {
		Status(ctx context.Context, requestID string) (jit.Decision, error)
	}
	// Workers is how many runs are worked on at once. 0 means 4.
	Workers int
}

// A Pool goes on with runs: those that waited, when the authorization server says that a
// request of theirs was decided or ran out, and those whose process is gone.
//
// Any number of pools may share a database: of all of them one asks about a request, and
// one goes on with a run.
type Pool struct {
	PoolConfig
	log *slog.Logger
}

// NewPool checks cfg and returns a pool, which does nothing until [Pool.Run].
func NewPool(cfg PoolConfig) (*Pool, error) {
	if cfg.Store == nil || cfg.Resume == nil || cfg.Authority == nil || cfg.Workers < 0 {
		return nil, errors.New("runs: pool: Store, Resume and Authority are required, and Workers must not be negative")
	}
	cfg.Workers = cmp.Or(cfg.Workers, 4)
	return &Pool{cfg, cfg.Store.Logger}, nil
}

const (
	lookEvery  = time.Second
	countEvery = 10 // looks
	// fetchPause is the least time between two looks for hints. Of one that a process adds
	// sooner after another River tells nobody on Postgres, and it is found lookEvery later.
	fetchPause = time.Millisecond
	// startPatience is how long the database may be away when a pool begins.
	startPatience = time.Minute
)

// Run works until ctx ends. Then what is under way is interrupted and left to other
// pools, and Run returns when it has ended. So it does when the journal takes this process
// for gone, with an error that wraps [runner.ErrLost]: others have what it had.
func (p *Pool) Run(ctx context.Context) error {
	s := p.Store
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(p.work))
	err := s.adds(&river.Config{
		Workers: workers, Queues: map[string]river.QueueConfig{queue(s.Authority): {MaxWorkers: p.Workers}}, FetchPollInterval: lookEvery, CompletedJobRetentionPeriod: 10 * time.Minute,
		// The run's own limits hold, and the lease says who is gone. Of a job that is never
		// rescued nothing would be left but a row of River's for ever.
		JobTimeout: 24 * time.Hour, RescueStuckJobsAfter: 25 * time.Hour,
	})
	if err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	p.failed(ctx, s.forget(ctx))
	client := s.jobs.Load()
	again := func(err error) bool { p.failed(ctx, err); return true }
	if err := pause.Retry(ctx, startPatience, again, func() error { return client.Start(context.WithoutCancel(ctx)) }); err != nil && ctx.Err() == nil {
		return fmt.Errorf("runs: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var loops sync.WaitGroup
	loops.Go(func() { p.every(ctx, func(int) error { return s.sweep(ctx) }) })
	loops.Go(func() {
		factor := int64(1)
		p.every(ctx, func(n int) (err error) {
			if n%countEvery == 0 {
				if err = s.adopt(ctx); err == nil {
					factor, err = s.factor(ctx)
				}
			}
			return errors.Join(err, p.poll(ctx, factor))
		})
	})
	select {
	case <-ctx.Done():
	case <-s.Journal.Lost():
	}
	stop()
	loops.Wait()
	s.mu.Lock()
	s.drains = true
	s.mu.Unlock()
	err = client.StopAndCancel(context.WithoutCancel(ctx))
	select {
	case <-s.Journal.Lost():
		err = runner.ErrLost
	default:
	}
	if err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	return nil
}

// every looks at something until ctx ends; look is given how often it did.
func (p *Pool) every(ctx context.Context, look func(n int) error) {
	for n, ok := 0, ctx.Err() == nil; ok; n++ {
		p.failed(ctx, look(n))
		ok = pause.For(ctx, lookEvery)
	}
}

func (p *Pool) failed(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "runs could not be looked after", "error", err)
	}
}

// work goes on with the run that a hint is about, if there is something to do. What fails is
// hinted at anew by the sweep or by the poll, and never by River, which waits ever longer.
func (p *Pool) work(ctx context.Context, job *river.Job[hint]) error {
	var l *lease
	// Another process may be at what the same owner left, or the database away.
	err := pause.Retry(ctx, hintPatience, func(error) bool { return true }, func() (err error) { l, err = p.take(ctx, job.Args); return err })
	if p.failed(ctx, err); l == nil {
		return nil
	}
	under := l.under(ctx)
	if err := p.Resume(under, l.app, l.user, l.session); err != nil {
		p.log.WarnContext(ctx, "a run was gone on with, and failed", "session", l.session, "error", err)
	}
	if err := l.Ended(context.WithoutCancel(ctx), runner.Failed); err != nil { // it has, unless it did not begin
		p.log.WarnContext(ctx, "a run could not be given up", "session", l.session, "error", err)
	}
	return nil
}

// take takes the run that a hint is about; nil is none.
func (p *Pool) take(ctx context.Context, h hint) (*lease, error) {
	found, err := p.Store.hinted(ctx, h)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	if found[0].state == waiting {
		if decided, err := p.decided(ctx, h.Request); !decided {
			p.failed(ctx, err)
			return nil, nil
		}
	}
	l, err := p.Store.take(ctx, found[0])
	if err != nil {
		return nil, err
	}
	for _, r := range found[1:] { // for others
		p.failed(ctx, p.Store.woken(ctx, r, ""))
	}
	return l, nil
}

// How often a request is asked about: after a tenth of the time that it has waited. Where
// that were more than atMost of them in a second, for all runs that wait, each is asked
// about more rarely, by one factor.
const (
	soonest = time.Second
	latest  = 5 * time.Minute
	atMost  = 20
	asks    = 8 // at once
)

// tenth is that time in SQL, within its bounds of $2 and $3.
const tenth = "@greatest(@least((@now - since) / 10, $2), $3)"

// factor returns by how much more rarely.
func (s *Store) factor(ctx context.Context) (int64, error) {
	var each float64 // in a second
	err := s.db.QueryRowContext(ctx, s.sql("SELECT coalesce(sum(1000000.0 / ("+tenth+")), 0) FROM runs WHERE authority = $1 AND state = $4"),
		s.Authority, latest.Microseconds(), soonest.Microseconds(), waiting).Scan(&each)
	return max(1, int64(math.Ceil(each/atMost))), err
}

// poll asks about the runs that are due. While it asks about one, nobody else does.
func (p *Pool) poll(ctx context.Context, factor int64) error {
	s := p.Store
	due, err := s.read(ctx, "UPDATE runs SET check_at = @now + $4 * ("+tenth+") "+
		"WHERE id IN (SELECT id FROM runs WHERE authority = $1 AND state = $5 AND check_at <= @now ORDER BY check_at LIMIT $6 @skip) "+
		"RETURNING "+columns+requests,
		s.Authority, latest.Microseconds(), soonest.Microseconds(), factor, waiting, atMost)
	var group errgroup.Group
	group.SetLimit(asks)
	for _, r := range due {
		group.Go(func() error {
			decided, err := p.decided(ctx, r.waitsFor()...)
			if decided {
				err = s.woken(ctx, r, "")
			}
			p.failed(ctx, err)
			return nil
		})
	}
	return errors.Join(err, group.Wait())
}

// decided asks whether one of some requests waits no more.
func (p *Pool) decided(ctx context.Context, requests ...string) (_ bool, last error) {
	for _, request := range requests {
		d, err := p.Authority.Status(ctx, request)
		switch {
		case errors.Is(err, jit.ErrSpent), err == nil && d.Status != jit.StatusPending && d.Status != jit.StatusUnknown:
			return true, nil
		case err != nil:
			last = err
		}
	}
	return false, last
}
