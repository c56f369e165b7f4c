package recovery

import (
	"cmp"
	"container/heap"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/jitagent/jitagent/state/journal"
)

// recheck is how long to leave tasks alone that another process is recovering.
const recheck = time.Second

// A sweep is one call of Pass or Sweep. Its fields belong to one goroutine; the tries
// run in others and report through ended.
type sweep struct {
	Config
	patient bool

	waiting estates
	open    []*estate // claimed; no more than Parallel, so that files are
	gate    gate
	running int
	ended   chan ending
	busy    map[string]int  // tasks by owner that another process recovers
	skip    map[string]bool // owners that cannot be claimed
	found   []journal.Task  // all orphans, at the last look
	settled bool            // at which there was nothing to do
	report  Report
}

// run looks for orphans and works on them, again if more came meanwhile. The end of
// ctx ends it, and is no error.
func (s *sweep) run(ctx context.Context) error {
	for {
		err := s.find(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil || len(s.waiting) == 0:
			s.settled = err == nil
			return err
		}
		if err := s.work(ctx); err != nil || ctx.Err() != nil {
			return err
		}
		if _, err := s.Journal.CleanOwners(ctx); err != nil {
			s.Logger.WarnContext(ctx, "lock files of dead processes stay", "error", err)
		}
		if !s.patient {
			return nil
		}
	}
}

// find collects the estates in which something can be done, now or later.
func (s *sweep) find(ctx context.Context) error {
	now := time.Now()
	s.busy = map[string]int{}
	byOwner := map[string]*estate{}
	at := func(owner string, due time.Time) *estate {
		e := byOwner[owner]
		if e == nil {
			e = &estate{owner: owner, due: due}
			byOwner[owner] = e
		}
		if due.Before(e.due) {
			e.due = due
		}
		return e
	}
	orphans, err := s.Journal.Orphans(ctx)
	if err != nil {
		return err
	}
	s.report.Waiting, s.found = 0, orphans
	for _, t := range orphans {
		if due, ok := s.due(t, now); ok && !s.skip[t.Owner] {
			at(t.Owner, due)
			s.report.Waiting++
		}
	}
	unknown, err := s.Journal.Tasks(ctx, journal.TaskFilter{State: journal.StateUnknown})
	if err != nil {
		return err
	}
	for _, t := range unknown {
		if over(t, now) && t.Owner != s.Journal.Owner() && !s.skip[t.Owner] {
			e := at(t.Owner, now)
			e.stale = append(e.stale, t.Run)
		}
	}
	s.waiting = s.waiting[:0]
	for _, e := range byOwner {
		heap.Push(&s.waiting, e)
	}
	return nil
}

// due returns when something can be done about a task, if that is for us to wait for.
func (s *sweep) due(t journal.Task, now time.Time) (time.Time, bool) {
	switch kind := s.kind(t); {
	case kind == foreign:
		return time.Time{}, over(t, now)
	case kind == ours && !s.expired(t, now):
		return t.NextAttempt, true
	}
	return time.Time{}, true
}

// expired reports whether a task of ours need not be tried any more: it was, and has
// ended by the clock since.
func (s *sweep) expired(t journal.Task, now time.Time) bool {
	return t.Attempts > 0 && over(t, now)
}

// work empties the list of what waits. When it returns, nothing is under way and
// nothing is claimed.
func (s *sweep) work(ctx context.Context) (err error) {
	defer func() {
		for s.running > 0 {
			err = errors.Join(err, s.end(<-s.ended))
		}
		for len(s.open) > 0 {
			err = errors.Join(err, s.close(s.open[0]))
		}
	}()
	for {
		wake, err := s.start(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		var timer <-chan time.Time
		switch {
		case s.running > 0 && wake.IsZero():
		case s.running == 0 && (wake.IsZero() || !s.patient):
			return nil
		case s.patient:
			timer = time.After(time.Until(wake))
		}
		if s.running == 0 {
			s.report.Next = wake
			s.Progress(s.report)
			s.report.Next = time.Time{}
		}
		select {
		case e := <-s.ended:
			if err := s.end(e); err != nil {
				return err
			}
		case <-timer:
		case <-ctx.Done():
			return nil
		}
	}
}

// start begins as many tries as may run now. It returns when to look again if nothing
// ends before; zero for never.
func (s *sweep) start(ctx context.Context) (wake time.Time, err error) {
	for s.running < s.gate.width(s.Parallel) {
		now := time.Now()
		if s.gate.closed(now) {
			// Others may try their luck meanwhile.
			for i := len(s.open) - 1; i >= 0; i-- {
				if e := s.open[i]; e.running == 0 {
					if err := s.close(e); err != nil {
						return wake, err
					}
				}
			}
			if len(s.waiting) > 0 {
				wake = s.gate.opens
			}
			return wake, nil
		}
		i := slices.IndexFunc(s.open, func(e *estate) bool { return len(e.queue) > 0 })
		if i < 0 {
			switch {
			case len(s.waiting) == 0:
				return wake, nil
			case s.waiting[0].due.After(now):
				return s.waiting[0].due, nil
			}
			if err := s.claim(ctx, heap.Pop(&s.waiting).(*estate)); err != nil {
				return wake, err
			}
			continue
		}
		e := s.open[i]
		t := e.queue[0]
		e.queue = e.queue[1:]
		e.running++
		s.running++
		go func() {
			ended := s.try(ctx, t)
			ended.estate = e
			s.ended <- ended
		}()
	}
	return wake, nil
}

// claim takes an estate over, if it can be had, and does what needs no server.
func (s *sweep) claim(ctx context.Context, e *estate) error {
	claim, err := s.Journal.Claim(ctx, e.owner)
	switch {
	case errors.Is(err, journal.ErrOwned):
		return s.occupied(ctx, e)
	case errors.Is(err, journal.ErrDamaged):
		// A name that no process ever had. It must not keep us from the others.
		s.Logger.WarnContext(ctx, "tasks cannot be recovered", "error", err)
		s.skip[e.owner] = true
		return nil
	case err != nil:
		return err
	}
	delete(s.busy, e.owner)
	e.claim, e.next = claim, time.Time{}
	s.open = append(s.open, e)
	// What is begun is recorded though ctx may end meanwhile.
	keep := context.WithoutCancel(ctx)
	for _, run := range e.stale {
		if err := s.Journal.MarkExpired(keep, run); err != nil && !errors.Is(err, journal.ErrFinished) {
			return err
		}
	}
	e.stale = nil
	tasks, err := claim.Tasks(ctx)
	if err != nil {
		return err
	}
	now := time.Now()
	for _, t := range tasks {
		due, ok := s.due(t, now)
		switch {
		case !ok:
			continue
		case due.After(now):
			e.later(due)
			continue
		case s.kind(t) == ours && !s.expired(t, now):
			e.queue = append(e.queue, t)
			continue
		}
		state, err := s.settle(keep, t)
		if err != nil {
			return err
		}
		s.done(state)
	}
	if len(e.queue) == 0 {
		return s.close(e)
	}
	return nil
}

// occupied notes that another process holds an estate. It is looked at again later,
// for that process may die too.
func (s *sweep) occupied(ctx context.Context, e *estate) error {
	tasks, err := s.Journal.Tasks(ctx, journal.TaskFilter{Owner: e.owner, Unfinished: true})
	if err != nil {
		return err
	}
	n := 0
	for _, t := range tasks {
		if s.kind(t) == ours {
			n++
		}
	}
	if n == 0 {
		s.skip[e.owner] = true // nothing to wait for
		delete(s.busy, e.owner)
		return nil
	}
	s.busy[e.owner] = n
	if s.patient {
		e.due = time.Now().Add(recheck)
		heap.Push(&s.waiting, e)
	}
	return nil
}

// end takes what came of a try.
func (s *sweep) end(ending ending) error {
	e := ending.estate
	s.running--
	e.running--
	if ending.failure != nil || ending.state == journal.StateCompleted {
		s.report.Tries++
	}
	switch {
	case ending.err != nil:
		return ending.err
	case ending.state == journal.StateCompleted:
		s.gate.worked()
	case !ending.next.IsZero(): // else we broke it off
		s.report.Failure = ending.failure.Error()
		s.gate.failed(time.Now(), ending.wait)
		if !ending.state.Finished() {
			e.later(ending.next)
		}
	}
	s.done(ending.state)
	if e.running == 0 && len(e.queue) == 0 {
		return s.close(e)
	}
	return nil
}

// done counts a task that is finished.
func (s *sweep) done(state journal.State) {
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

// close releases an estate, and lets it wait if something of it is left for later.
func (s *sweep) close(e *estate) error {
	s.open = slices.DeleteFunc(s.open, func(o *estate) bool { return o == e })
	if len(e.queue) > 0 { // the gate closed before they were tried
		e.later(time.Now())
		e.queue = nil
	}
	if err := e.claim.Release(); err != nil {
		return err
	}
	e.claim = nil
	if !e.next.IsZero() {
		e.due = e.next
		heap.Push(&s.waiting, e)
	}
	return nil
}

// count fills in what is left, from the journal. A process that dies after the last
// look, at which all was done, is for the next sweep: it was not left by this one.
func (s *sweep) count(ctx context.Context) (err error) {
	orphans := s.found
	if !s.settled {
		if orphans, err = s.Journal.Orphans(ctx); err != nil {
			return err
		}
	}
	s.report.Waiting, s.report.Foreign, s.report.Busy, s.report.Authorities = 0, 0, 0, nil
	for _, t := range orphans {
		if s.kind(t) != foreign {
			s.report.Waiting++
			continue
		}
		s.report.Foreign++
		name := cmp.Or(t.Authority, nameless)
		if !slices.Contains(s.report.Authorities, name) {
			s.report.Authorities = append(s.report.Authorities, name)
		}
	}
	slices.Sort(s.report.Authorities)
	for owner, n := range s.busy {
		if !slices.ContainsFunc(orphans, func(t journal.Task) bool { return t.Owner == owner }) {
			s.report.Busy += n
		}
	}
	return nil
}
