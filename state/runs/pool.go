package runs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	// Authority is asked what became of requests. nil asks nobody: then other processes
	// must.
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
	if cfg.Store == nil || cfg.Resume == nil || cfg.Workers < 0 {
		return nil, errors.New("runs: pool: Store and Resume are required, and Workers must not be negative")
	}
	cfg.Workers = cmp.Or(cfg.Workers, 4)
	return &Pool{cfg, cfg.Store.Logger}, nil
}

const (
	sweepEvery = time.Second
	fetchPause = 20 * time.Millisecond // between two looks for hints
	asks       = 8                     // requests asked about at once
)

// Run works until ctx ends. Then what is under way is interrupted and left to other
// pools, and Run returns when it has ended. So it does when the journal takes this process
// for gone, with an error that wraps [runner.ErrLost]: others have what it had.
func (p *Pool) Run(ctx context.Context) error {
	s := p.Store
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(p.work))
	client, err := river.NewClient(s.driver, &river.Config{
		Logger: p.log, Workers: workers, Queues: map[string]river.QueueConfig{queue: {MaxWorkers: p.Workers}},
		FetchCooldown: fetchPause, CompletedJobRetentionPeriod: 10 * time.Minute,
		// The run's own limits hold, and the lease says who is gone. Of a job that is never
		// rescued nothing would be left but a row of River's for ever.
		JobTimeout: 24 * time.Hour, RescueStuckJobsAfter: 25 * time.Hour,
	})
	if err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var loops sync.WaitGroup
	loops.Go(func() {
		for ok := ctx.Err() == nil; ok; ok = pause.For(ctx, sweepEvery) {
			p.failed(ctx, s.sweep(ctx))
		}
	})
	if p.Authority != nil {
		loops.Go(func() {
			for ctx.Err() == nil {
				next := time.NewTimer(p.poll(ctx))
				select {
				case <-ctx.Done():
				case <-next.C:
				case <-s.due:
				}
				next.Stop()
			}
		})
	}
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

func (p *Pool) failed(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		p.log.WarnContext(ctx, "runs could not be looked after", "error", err)
	}
}

// work goes on with the run that a hint is about, if it is as it was then.
func (p *Pool) work(ctx context.Context, job *river.Job[hint]) error {
	const patience = 3 * time.Second
	var l *lease
	for since := time.Now(); l == nil; {
		found, err := p.Store.rows(ctx, "id = $1 AND epoch = $2 AND state = $3", job.Args.Run, job.Args.Epoch, ready)
		if err != nil || len(found) == 0 {
			return err
		}
		l, err = p.Store.take(ctx, found[0])
		if errors.Is(err, runner.ErrBusy) && time.Since(since) < patience { // another process is at what the same owner left
			pause.For(ctx, 50*time.Millisecond)
		} else if err != nil {
			return err
		}
	}
	under := l.under(ctx)
	err := p.Resume(under, l.app, l.user, l.session)
	if err != nil {
		p.log.WarnContext(ctx, "a run was gone on with, and failed", "session", l.session, "error", err)
	}
	if err := l.Ended(context.WithoutCancel(ctx), runner.Failed); err != nil { // it has, unless it did not begin
		p.log.WarnContext(ctx, "a run could not be given up", "session", l.session, "error", err)
	}
	return nil
}

// How often a request is asked about: after a tenth of the time that it has waited.
const (
	soonest = time.Second
	latest  = 5 * time.Minute
)

// poll asks about the runs that are due, as many as are asked about at once, and returns
// when to ask again. While it asks about one, nobody else does.
func (p *Pool) poll(ctx context.Context) time.Duration {
	s := p.Store
	due, err := s.read(ctx, "UPDATE runs SET check_at = @now + CASE WHEN (@now - since) / 10 > $1 THEN $1 WHEN (@now - since) / 10 < $2 THEN $2 ELSE (@now - since) / 10 END "+
		"WHERE id IN (SELECT id FROM runs WHERE state = $3 AND check_at <= @now ORDER BY check_at LIMIT $4 @skip) RETURNING "+columns,
		latest.Microseconds(), soonest.Microseconds(), waiting, asks)
	p.failed(ctx, err)
	var group errgroup.Group
	for _, r := range due {
		group.Go(func() error {
			p.failed(ctx, p.ask(ctx, r))
			return nil
		})
	}
	_ = group.Wait()
	if len(due) == asks {
		return 0 // there may be more
	}
	return s.next(ctx)
}

// next returns how long it is until something is due.
func (s *Store) next(ctx context.Context) time.Duration {
	var micros int64
	err := s.db.QueryRowContext(ctx, s.sql("SELECT coalesce(min(check_at) - @now, $1) FROM runs WHERE state = $2"), soonest.Microseconds(), waiting).Scan(&micros)
	if err != nil {
		return soonest
	}
	return min(max(time.Duration(micros)*time.Microsecond, time.Millisecond), soonest)
}

// ask wakes a run when one of its requests waits no more.
func (p *Pool) ask(ctx context.Context, r row) error {
	requests, err := p.Store.requests(ctx, r.id)
	if err != nil {
		return err
	}
	var last error
	for _, request := range requests {
		d, err := p.Authority.Status(ctx, request)
		switch {
		case errors.Is(err, jit.ErrSpent), err == nil && d.Status != jit.StatusPending && d.Status != jit.StatusUnknown:
			return p.Store.woken(ctx, r, "")
		case err != nil:
			last = err
		}
	}
	return last
}

// requests returns what a row waits for.
func (s *Store) requests(ctx context.Context, id int64) (list []string, err error) {
	found, err := s.db.QueryContext(ctx, "SELECT request FROM run_requests WHERE run = $1 ORDER BY request", id)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, found.Close()) }()
	for found.Next() {
		var request string
		if err := found.Scan(&request); err != nil {
			return nil, err
		}
		list = append(list, request)
	}
	return list, found.Err()
}
