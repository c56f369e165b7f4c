package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
)

// run is one call of Runner.Run.
type run struct {
	r       *Runner
	in      Input
	content *genai.Content
	task    *jit.Task // nil when it could not be taken up
	place   place
	lease   Lease
	read    *session.GetResponse // what the session was found to be, until ADK asks for it

	over      *Suspension    // of this session, when its task was over before the run began
	claimed   bool           // and somebody had resumed it by then
	settled   *Suspension    // of which all is in the conversation
	suspended *Suspension    // what this run leaves behind
	held      *session.Event // the results that were held back for it
	taken     bool           // the task is that of the suspended run
	drops     bool           // what waits is given up
	killed    error          // why nothing is gone on with, and no task is opened, where somebody ended what is resumed
	earlier   []jit.Entry    // about calls of earlier runs, see inherit
	mended    []Event        // what is told of the calls that an earlier process left open

	events chan Event
	done   chan struct{} // closed when nothing more will be sent
	err    error         // read after done

	abort   context.CancelCauseFunc // stops the agent
	handing sync.Mutex              // held while the task's events are handed on
	ended   bool                    // guarded by handing

	start   time.Time
	counts  counts
	asking  sync.Map // the model that an agent asks, by its name, where a budget holds
	ids     callIDs
	calls   calls
	outcome *tally
	naming  naming
	turn    turn
	answer  strings.Builder
	usage   Usage
}

// emit hands an event to the consumer. Events that come after the end are
// dropped.
func (r *run) emit(e Event) {
	select {
	case r.events <- e:
	case <-r.done:
	}
}

// pending yields the events until the run is over.
func (r *run) pending() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for {
			select {
			case e := <-r.events:
				if !yield(e) {
					return
				}
			case <-r.done:
				for {
					select {
					case e := <-r.events:
						if !yield(e) {
							return
						}
					default:
						return
					}
				}
			}
		}
	}
}

// drive does the run from start to completion.
func (r *run) drive(ctx context.Context) {
	defer close(r.done)
	r.start = time.Now()
	r.place = r.in.place(r.r.cfg.App)
	under, err := r.open(ctx)
	if err == nil {
		err = r.guarded(under)
	}
	outcome := r.outcome.decide(err)
	if errors.Is(err, jit.ErrPending) {
		outcome = Pending
	}
	switch {
	case errors.Is(err, jit.ErrKilled):
		outcome = Failed // whatever it left: that is told by explain
	case outcome == Failed && errors.Is(err, ErrBudget):
		outcome = Spent
	}
	ends := outcome // for the session
	if err != nil && (outcome == Failed || outcome == InDoubt) && errors.Is(ctx.Err(), context.Canceled) {
		ends = Interrupted // also where something is in doubt: somebody may go on
		if outcome == Failed {
			outcome = Interrupted
		}
	}
	if _, said := errors.AsType[*ModelError](err); err != nil && !said {
		r.answer.Reset()
	}
	// The context may be cancelled, and often is: that is why the run ended.
	left := r.leave(context.WithoutCancel(ctx), ends)
	if left != nil {
		err, outcome = errors.Join(err, left), Failed
	}
	var failure error
	if !errors.Is(left, ErrLost) { // or the task is not ours to give back
		failure = r.close(context.WithoutCancel(ctx))
	}
	if failure != nil {
		const text = "the task could not be completed, so its tokens live until they expire"
		if err == nil {
			err, outcome = fmt.Errorf("runner: %s: %w", text, failure), Failed
		} else {
			err = fmt.Errorf("%w; and %s: %w", err, text, failure)
		}
	}
	if err == nil && outcome == Failed {
		err = r.unopened(ctx)
	}
	if err != nil {
		r.err = &runError{text: err.Error(), err: err}
		if r.task != nil {
			r.err = &runError{text: r.task.Scrub(err.Error()), err: err}
		}
	}
	r.finish(outcome)
}

// open enters the session and begins the run's task, or takes up the one that the
// session was suspended with. It returns the context of the run.
func (r *run) open(ctx context.Context) (_ context.Context, err error) {
	ctx, r.lease, err = r.r.cfg.Runs.Begin(ctx, r.r.cfg.App, r.place.user, r.place.session)
	if err != nil {
		return nil, fmt.Errorf("runner: session %s: %w", r.place.session, err)
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	r.lease.Opened()
	return ctx, nil
}

// begin is what open does in the session.
func (r *run) begin(ctx context.Context) error {
	var killed error
	if kept := r.r.cfg.Suspensions; kept != nil && !r.place.fresh {
		s, err := kept.Load(ctx, r.r.cfg.App, r.place.user, r.place.session)
		if err != nil {
			return fmt.Errorf("runner: session %s: %w", r.place.session, err)
		}
		if s != nil && (s.App != r.r.cfg.App || s.User != r.place.user || s.Session != r.place.session) {
			return fmt.Errorf("runner: session %s: %w", r.place.session, jit.ErrChanged)
		}
		if s != nil {
			task, err := r.r.cfg.Engine.Resume(ctx, s.Run, s.digest(), r.observe)
			switch {
			case err == nil:
				r.task, r.turn.resumed, r.taken = task, s, true
				return nil
			case !errors.Is(err, jit.ErrTaskEnded):
				return fmt.Errorf("runner: session %s: %w", r.place.session, err)
			case errors.Is(err, jit.ErrKilled):
				killed = err
			}
			r.over, r.claimed = s, errors.Is(err, jit.ErrClaimed)
		}
	}
	spec := r.in.Task
	if r.in.resume {
		last, err := r.r.cfg.Engine.Alive(ctx, r.name())
		if err = cmp.Or(killed, err); err != nil {
			err = fmt.Errorf("runner: session %s: %w", r.place.session, err)
			if !errors.Is(err, jit.ErrKilled) {
				return err
			}
			r.killed, r.drops = err, true // its calls have results that say so, and the run is over
			return nil
		}
		if err := r.unfinished(ctx); err != nil {
			return err
		}
		spec.After = last
	}
	spec.Session = r.name()
	r.task = r.r.cfg.Engine.Start(ctx, spec, r.observe)
	return nil
}

// leave ends what the run has of the session.
func (r *run) leave(ctx context.Context, outcome Outcome) (err error) {
	if r.lease == nil {
		return nil
	}
	if r.suspended == nil && r.settled != nil {
		r.drop(ctx, r.settled)
	}
	if r.suspended != nil {
		err = r.lease.Suspended(ctx, r.suspended.requests(), r.suspended.Until)
	} else {
		err = r.lease.Ended(ctx, outcome)
	}
	if err != nil {
		return fmt.Errorf("runner: session %s: %w", r.place.session, err)
	}
	return nil
}

// close gives the task back, unless it is suspended.
func (r *run) close(ctx context.Context) error {
	if r.task == nil || r.suspended != nil {
		return nil
	}
	return r.task.Complete(ctx)
}

// unopened returns why the task could not be opened, if that is so: the calls that
// failed for it could tell the model no more than that.
func (r *run) unopened(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	cancel() // it was opened or not by now
	if _, err := r.task.ID(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("runner: %w", err)
	}
	return nil
}

// observe takes the task's events. After the end it drops them, so that Finished
// is the last one.
func (r *run) observe(e jit.Event) {
	r.handing.Lock()
	defer r.handing.Unlock()
	if r.ended {
		return
	}
	if ended, ok := e.(jit.CallEnded); ok {
		r.outcome.end(ended.CallID, ended.Result) // told as ToolReturned, when the model is
		return
	}
	r.outcome.see(e)
	r.emit(e)
}

// recovered logs a panic, if there is one, and hands on its error. It must be
// deferred.
func (r *run) recovered(ctx context.Context, fail func(error)) {
	if p := recover(); p != nil {
		r.r.log.ErrorContext(ctx, "run panicked", "panic", r.task.Scrub(fmt.Sprint(p)), "stack", r.task.Scrub(string(debug.Stack())))
		fail(errPanic)
	}
}

// guarded runs the agent within the wall time and turns a panic in it into an
// error.
func (r *run) guarded(ctx context.Context) (err error) {
	defer r.recovered(ctx, func(p error) { err = fmt.Errorf("runner: %w", p) })
	ctx, cancel := context.WithTimeoutCause(ctx, r.r.cfg.Limits.Wall, ErrWall)
	defer cancel()
	ctx, r.abort = context.WithCancelCause(ctx)
	defer r.abort(nil)
	if err = r.talk(ctx); err != nil && ctx.Err() != nil {
		// Whatever model, tool or session made of it, this is why.
		return r.stopped(ctx)
	}
	return err
}

// stopped words the end of a run's context.
func (r *run) stopped(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	switch {
	case errors.Is(cause, ErrWall):
		return fmt.Errorf("runner: %w (%s)", ErrWall, r.r.cfg.Limits.Wall)
	case errors.Is(cause, errPanic), errors.Is(cause, ErrRepeats):
		return fmt.Errorf("runner: %w", cause)
	case errors.Is(cause, err):
		return fmt.Errorf("runner: %w", cause)
	}
	return fmt.Errorf("runner: %w (%w)", err, cause)
}

// finish reports how the run ended.
func (r *run) finish(outcome Outcome) {
	r.handing.Lock()
	r.ended = true
	r.handing.Unlock()
	f := Finished{
		Time: time.Now(), Session: r.place.session, Outcome: outcome, Answer: r.answer.String(), ModelCalls: r.counts.model(), ToolCalls: r.counts.tool(),
		Elapsed: time.Since(r.start), Usage: r.usage,
		Refused: r.outcome.refusals(), Failure: r.outcome.failure(outcome),
	}
	if r.suspended != nil {
		f.Waiting = r.suspended.Waiting()
	}
	if r.err != nil {
		f.Error = r.err.Error()
	}
	r.emit(f)
}
