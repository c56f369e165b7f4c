package recovery

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/state/journal"
)

const (
	// patience is how many failures in a row mean that it is the server, not the task.
	patience = 3

	// recheck is how long to leave tasks alone that another process is recovering.
	recheck = time.Second

	// recorded bounds the completed tasks that wait for the journal, which takes many at
	// once: the server is asked for others meanwhile. They wait for the end of such a span.
	recorded = 256
	span     = 10 * time.Millisecond
)

// A sweep is one call of Pass or Sweep: rounds of look and recover, with pauses.
type sweep struct {
	Config
	patient bool

	busy  map[string]busy // owners whose tasks are not to be had
	found []journal.Task  // all orphans, at the last look
	done  bool            // at which there was nothing to do

	asking chan struct{} // held by each try until the server has completed its task: Parallel at a time
	alone  chan struct{} // held by each try while the server fails: one at a time

	mu       sync.Mutex // of what follows, which the tries under way change
	report   Report
	failures int       // one after the other
	opens    time.Time // when to ask the server again that does not answer
}

type busy struct {
	tasks int       // that another process recovers; 0 for what is not for us to wait for
	again time.Time // to be looked at, for that process may die too
}

func newSweep(cfg Config, patient bool) *sweep {
	return &sweep{
		Config: cfg, patient: patient, busy: map[string]busy{},
		asking: make(chan struct{}, cfg.Parallel), alone: make(chan struct{}, 1),
	}
}

// run makes rounds until nothing is left to do or to wait for. The end of ctx ends
// it, and is no error. When it returns, nothing is under way and nothing is claimed.
func (s *sweep) run(ctx context.Context) error {
	for ctx.Err() == nil {
		owners, next, err := s.look(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case len(owners) > 0:
			if err := s.round(ctx, owners); err != nil {
				return err
			}
			if _, err := s.Journal.CleanOwners(ctx); err != nil && ctx.Err() == nil {
				s.Logger.WarnContext(ctx, "lock files of dead processes stay", "error", err)
			}
		case next.IsZero():
			s.done = true
			return nil
		}
		if !s.patient {
			return nil
		}
		if len(owners) == 0 {
			s.pause(ctx, next)
		}
	}
	return nil
}

// look returns the owners who left something that can be done now or, if there are
// none, when there will be; zero for never.
func (s *sweep) look(ctx context.Context) (owners []string, next time.Time, err error) {
	now := time.Now()
	at := map[string]time.Time{} // when something can be done, by owner
	if s.found, err = s.orphans(ctx); err != nil {
		return nil, next, err
	}
	unknown, err := s.Journal.Tasks(ctx, journal.TaskFilter{State: journal.StateUnknown})
	if err != nil {
		return nil, next, err
	}
	waiting := 0
	for _, t := range slices.Concat(s.found, unknown) {
		what, due := s.todo(t, now)
		if b, held := s.busy[t.Owner]; what == nothing || held && b.tasks == 0 || t.Owner == s.Journal.Owner() {
			continue
		}
		if was, ok := at[t.Owner]; !ok || due.Before(was) {
			at[t.Owner] = due
		}
		if !t.State.Finished() {
			waiting++
		}
	}
	for owner, b := range s.busy {
		if b.tasks > 0 {
			at[owner] = b.again
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Waiting = waiting
	for owner, due := range at {
		if due.Before(s.opens) {
			due = s.opens // for all, since most need the server
		}
		if due.After(now) {
			if next.IsZero() || due.Before(next) {
				next = due
			}
			delete(at, owner)
		}
	}
	return slices.SortedFunc(maps.Keys(at), func(a, b string) int { return at[a].Compare(at[b]) }), next, nil
}

// orphans returns the tasks that processes left which are gone, but for those that are
// suspended and still wait, and those that are spared.
func (s *sweep) orphans(ctx context.Context) ([]journal.Task, error) {
	tasks, err := s.Journal.Orphans(ctx, time.Now())
	if err != nil {
		return nil, err
	}
	return s.Spare(ctx, tasks)
}

func waits(t journal.Task, now time.Time) bool {
	return t.State == journal.StateSuspended && now.Before(t.NextAttempt)
}

// What can be done about a task.
type step uint8

const (
	nothing    step = iota // that is for us to wait for
	tryIt                  // complete it at the server
	settleOnly             // no server can be asked
)

// todo returns what can be done about a task, and when; zero is now.
func (s *sweep) todo(t journal.Task, now time.Time) (step, time.Time) {
	kind, over := s.kind(t), over(t, now)
	switch {
	case waits(t, now), t.State.Finished() && t.State != journal.StateUnknown:
		return nothing, time.Time{}
	case (t.State == journal.StateUnknown || kind == foreign) && !over:
		return nothing, time.Time{}
	case t.State != journal.StateUnknown && kind == ours && (t.Attempts == 0 || !over):
		return tryIt, t.NextAttempt
	}
	return settleOnly, time.Time{} // also what was tried, and has ended by the clock since
}

// round recovers what owners left, until the server turns out not to answer.
func (s *sweep) round(ctx context.Context, owners []string) error {
	// An error is the journal's, which ends all.
	tries, ctx := errgroup.WithContext(ctx)
	tries.SetLimit(s.Parallel + recorded)
	var err error
	for _, owner := range owners {
		s.asking <- struct{}{} // nothing is claimed before its turn
		<-s.asking
		if ctx.Err() != nil || s.away() {
			break
		}
		if err = s.recover(ctx, tries, owner); err != nil {
			break
		}
	}
	return errors.Join(err, tries.Wait())
}

// recover takes the tasks of an owner over, if they can be had, does what needs no
// server, and begins the tries. The claim is given up when the last of them is over.
func (s *sweep) recover(ctx context.Context, tries *errgroup.Group, owner string) error {
	release, err := s.Journal.Claim(ctx, owner)
	switch {
	case errors.Is(err, journal.ErrOwned):
		return s.occupied(ctx, owner)
	case errors.Is(err, journal.ErrDamaged):
		// A name that no process ever had. It must not keep us from the others.
		s.Logger.WarnContext(ctx, "tasks cannot be recovered", "error", err)
		s.busy[owner] = busy{}
		return nil
	case ctx.Err() != nil:
		return nil
	case err != nil:
		return err
	}
	delete(s.busy, owner)
	var users atomic.Int32
	users.Store(1)
	leave := func() error {
		if users.Add(-1) > 0 {
			return nil
		}
		return release()
	}
	// What is begun is recorded though ctx may end meanwhile.
	keep := context.WithoutCancel(ctx)
	tasks, err := s.Journal.Tasks(keep, journal.TaskFilter{Owner: owner})
	if err == nil {
		tasks, err = s.Spare(keep, tasks)
	}
	now := time.Now()
	for _, t := range tasks {
		what, due := s.todo(t, now)
		if err != nil || ctx.Err() != nil || s.away() {
			break
		}
		switch {
		case what == nothing || due.After(now):
		case what == tryIt:
			users.Add(1)
			s.asking <- struct{}{}
			tries.Go(func() error { return errors.Join(s.attempt(ctx, t), leave()) })
		default:
			var state journal.State
			state, err = s.settle(keep, t)
			s.finished(state)
		}
	}
	return errors.Join(err, leave())
}

// occupied notes that another process holds the tasks of an owner.
func (s *sweep) occupied(ctx context.Context, owner string) error {
	tasks, err := s.Journal.Tasks(context.WithoutCancel(ctx), journal.TaskFilter{Owner: owner, Unfinished: true})
	if err != nil {
		return err
	}
	tasks = slices.DeleteFunc(tasks, func(t journal.Task) bool { return s.kind(t) != ours })
	s.busy[owner] = busy{len(tasks), time.Now().Add(recheck)}
	return nil
}

// attempt tries one task, alone while the server fails.
func (s *sweep) attempt(ctx context.Context, t journal.Task) error {
	asked := sync.OnceFunc(func() { <-s.asking })
	defer asked()
	if s.failing() {
		select {
		case s.alone <- struct{}{}:
			defer func() { <-s.alone }()
		case <-ctx.Done():
		}
		if s.away() {
			return nil
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	e := s.try(ctx, t, func() {
		s.mu.Lock()
		s.failures, s.opens = 0, time.Time{}
		s.mu.Unlock()
		asked()
		if now := time.Now(); len(s.asking) > 0 {
			pause.For(ctx, now.Truncate(span).Add(span).Sub(now))
		}
	})
	s.ended(e)
	return e.err
}

// ended takes what came of a try. After some failures one after the other the server
// is left alone for growing pauses, between which one try finds out if it is back.
func (s *sweep) ended(e ending) {
	s.mu.Lock()
	if e.failure != nil || e.state == journal.StateCompleted {
		s.report.Tries++
	}
	switch {
	case e.err != nil || e.state == journal.StateCompleted:
	case !e.next.IsZero(): // else we broke it off
		s.report.Failure = e.failure.Error()
		s.failures++
		wait := e.wait
		if s.failures >= patience {
			wait = max(wait, delay(s.failures-patience))
		}
		if opens := time.Now().Add(wait); wait > 0 && opens.After(s.opens) {
			s.opens = opens
		}
	}
	s.mu.Unlock()
	s.finished(e.state)
}

// failing reports whether the last try failed.
func (s *sweep) failing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.failures > 0
}

// away reports whether the server is to be left alone for now.
func (s *sweep) away() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Before(s.opens)
}

// finished counts a task that is finished.
func (s *sweep) finished(state journal.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch state {
	case journal.StateCompleted:
		s.report.Completed++
	case journal.StateExpired:
		s.report.Expired++
	case journal.StateUnknown:
		s.report.Unknown++
	default:
		return
	}
	s.report.Waiting = max(0, s.report.Waiting-1)
	s.Progress(s.report)
}

// pause waits until next, and tells so.
func (s *sweep) pause(ctx context.Context, next time.Time) {
	s.mu.Lock()
	report := s.report
	s.mu.Unlock()
	report.Next = next
	s.Progress(report)
	pause.For(ctx, time.Until(next))
}

// count fills in what is left, from the journal. A process that dies after the last
// look, at which all was done, is for the next sweep: it was not left by this one.
func (s *sweep) count(ctx context.Context) (err error) {
	orphans := s.found
	if !s.done {
		if orphans, err = s.orphans(ctx); err != nil {
			return err
		}
	}
	r := &s.report
	r.Waiting, r.Foreign, r.Busy, r.Authorities = 0, 0, 0, nil
	for _, t := range orphans {
		if s.kind(t) != foreign {
			r.Waiting++
			continue
		}
		r.Foreign++
		r.Authorities = append(r.Authorities, cmp.Or(t.Authority, nameless))
	}
	slices.Sort(r.Authorities)
	r.Authorities = slices.Compact(r.Authorities)
	for owner, b := range s.busy {
		if !slices.ContainsFunc(orphans, func(t journal.Task) bool { return t.Owner == owner }) {
			r.Busy += b.tasks
		}
	}
	return nil
}
