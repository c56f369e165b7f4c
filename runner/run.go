package runner

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/platform"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
)

// Errors that end a run. A run's error wraps one of them where a caller may want
// to branch.
var (
	// ErrNoAnswer: the model ended the run without saying anything.
	ErrNoAnswer = errors.New("the model gave no answer")
	// ErrModelCalls, ErrToolCalls and ErrWall: a limit of the run was reached.
	ErrModelCalls = errors.New("limit of model calls reached")
	ErrToolCalls  = errors.New("limit of tool calls reached")
	ErrWall       = errors.New("limit of wall time reached")
	// ErrBusy: the session has a run under way.
	ErrBusy = errors.New("the session has a run under way")
)

// A ModelError is an answer by which the model's provider ends the run, such as
// "SAFETY".
type ModelError struct{ Code, Message string }

func (e *ModelError) Error() string {
	if e.Message == "" {
		return "the model ended with " + e.Code
	}
	return fmt.Sprintf("the model ended with %s: %s", e.Code, e.Message)
}

// run is one call of Runner.Run.
type run struct {
	r       *Runner
	in      Input
	content *genai.Content
	task    *jit.Task

	events chan Event
	done   chan struct{} // closed when nothing more will be sent
	err    error         // read after done

	start   time.Time
	counts  counts
	outcome tally
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
	r.task = r.r.cfg.Engine.Start(ctx, r.in.Task, r.observe)
	r.err = r.guarded(ctx)
	// The context may be cancelled, and often is: that is why the run ended.
	if err := r.task.Complete(context.WithoutCancel(ctx)); err != nil {
		r.err = errors.Join(r.err, fmt.Errorf("runner: the task could not be completed, its tokens live until they expire: %w", err))
	}
	r.finish(ctx)
}

// observe takes the task's events.
func (r *run) observe(e jit.Event) {
	r.outcome.see(e)
	r.emit(e)
}

// guarded runs the agent and turns a panic in it into an error.
func (r *run) guarded(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.r.log.ErrorContext(ctx, "run panicked", "panic", r.task.Scrub(fmt.Sprint(p)), "stack", r.task.Scrub(string(debug.Stack())))
			err = errors.New("runner: internal failure, see the log")
		}
	}()
	ctx, cancel := context.WithTimeoutCause(ctx, r.r.cfg.Limits.Wall, ErrWall)
	defer cancel()
	err = r.turn(ctx)
	if cause := context.Cause(ctx); cause != nil && err != nil && errors.Is(cause, ErrWall) {
		err = fmt.Errorf("runner: %w", ErrWall)
	}
	return err
}

// turn opens the session and runs the agent on the message.
func (r *run) turn(ctx context.Context) error {
	user, id, release, err := r.r.session(ctx, r.in)
	if err != nil {
		return err
	}
	defer release()
	r.emit(Started{Time: time.Now(), Session: id, Agent: r.r.cfg.Agent.Name()})

	ctx = jit.NewContext(ctx, r.task)
	ctx = context.WithValue(ctx, runKey{}, r)
	ctx = platform.WithTaskRunner(ctx, bounded(r.r.cfg.Limits.ParallelTools))
	cfg := adk.RunConfig{}
	if r.r.cfg.Stream {
		cfg.StreamingMode = adk.StreamingModeSSE
	}
	for ev, err := range r.r.runner.Run(ctx, user, id, r.content, cfg) {
		if err != nil {
			return r.modelError(ctx, err)
		}
		if err := r.see(ev); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("runner: %w", err)
	}
	if strings.TrimSpace(r.answer.String()) == "" {
		return fmt.Errorf("runner: %w", ErrNoAnswer)
	}
	return nil
}

// modelError words an error of ADK's run. A cancelled context counts as that,
// whatever the model made of it.
func (r *run) modelError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("runner: %w", ctx.Err())
	}
	return fmt.Errorf("runner: %w", err)
}

// see turns one event of ADK into ours.
func (r *run) see(ev *session.Event) error {
	if ev == nil {
		return nil
	}
	if ev.ErrorCode != "" {
		return fmt.Errorf("runner: %w", &ModelError{Code: ev.ErrorCode, Message: r.task.Scrub(ev.ErrorMessage)})
	}
	if ev.UsageMetadata != nil && !ev.Partial {
		r.usage.add(ev.UsageMetadata)
	}
	if ev.Content == nil {
		return nil
	}
	final := ev.IsFinalResponse()
	for _, p := range ev.Content.Parts {
		switch {
		case p == nil:
		case p.FunctionCall != nil && !ev.Partial:
			r.emit(ToolCalled{Time: time.Now(), CallID: p.FunctionCall.ID, Tool: p.FunctionCall.Name, Args: p.FunctionCall.Args})
		case p.FunctionResponse != nil && !ev.Partial:
			returned := toolReturned(p.FunctionResponse)
			r.outcome.returned(returned)
			r.emit(returned)
		case p.Text != "" && !p.Thought:
			r.emit(Text{Time: time.Now(), Text: p.Text, Partial: ev.Partial, Final: final && !ev.Partial})
			if final && !ev.Partial {
				r.answer.WriteString(p.Text)
			}
		}
	}
	if !ev.Partial && len(ev.Content.Parts) > 0 && ev.Content.Parts[0].FunctionResponse != nil {
		r.outcome.nextTurn()
	}
	return nil
}

// finish reports how the run ended.
func (r *run) finish(ctx context.Context) {
	f := Finished{
		Time: time.Now(), Answer: r.answer.String(), ModelCalls: r.counts.model(), ToolCalls: r.counts.tool(),
		Elapsed: time.Since(r.start), Usage: r.usage,
	}
	f.Outcome = r.outcome.decide(r.err)
	if ctx.Err() != nil && r.err != nil && errors.Is(r.err, context.Canceled) {
		f.Outcome = Interrupted
	}
	if r.err != nil {
		f.Error = r.task.Scrub(r.err.Error())
		f.Answer = ""
	}
	r.emit(f)
}

// bounded runs a turn's tool calls with at most n at once.
func bounded(n int) platform.TaskRunner {
	return func(ctx context.Context, tasks []func(context.Context)) {
		slots := make(chan struct{}, n)
		var wg sync.WaitGroup
		for _, task := range tasks {
			slots <- struct{}{}
			wg.Go(func() {
				defer func() { <-slots }()
				task(ctx)
			})
		}
		wg.Wait()
	}
}
