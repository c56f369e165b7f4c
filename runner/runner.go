// Package runner is the session loop: it opens a JIT task, drives an ADK agent
// under it, reports what happens as typed events, and completes the task
// whatever happens.
//
//	for event, err := range r.Run(ctx, runner.Input{Text: prompt}) { ... }
//
// Invariants:
//
//   - Every path out of Run completes the task: the end of the run, an error, a
//     panic of the model, a cancelled context, a consumer that stops ranging. The
//     completion has a context of its own.
//   - Nothing of a run goes on after Run: it returns when model and tools have.
//   - Model calls, tool calls, parallel tools and wall time are bounded. A tool that
//     is an agent of its own runs outside of the first two: ADK gives it a runner
//     without plugins.
//   - User content holds text and media only. Parts that carry function calls or
//     results are refused: ADK would take them for the agent's own.
//   - A guarded tool is called for what the person named in the conversation, or was
//     allowed by whoever [Config.Ask] asks.
//   - A run that ends without an answer is a failure, also where ADK reports none.
//
// A task that cannot be opened does not stop the run: calls that need no authority
// go on, and those that do fail. If one did and nothing made up for it, the run's
// error says why the task could not be opened.
//
// The package stores no conversation of its own: that is ADK's session service.
package runner

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"strings"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/plugin"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
)

// Limits bound one run. The zero value means the defaults.
type Limits struct {
	ModelCalls    int           // default 24
	ToolCalls     int           // default 64; what is called beyond gets a result that says so
	ParallelTools int           // calls of one turn that run at once; default 16
	Wall          time.Duration // of the whole run, completion not counted; default 15 minutes

	// History is how many earlier events of a conversation a run's model is shown;
	// default 1000. A turn with one tool call makes four. Whole turns are left out,
	// so that no result is without its call, but never the last one, however long.
	// The conversation itself keeps everything; a [HistoryCut] says that the model
	// does not see all of it.
	History int
}

// Config sets up a [Runner].
type Config struct {
	// App names the application in sessions. "" means the agent's name.
	App string
	// Agent is what runs. Required.
	Agent adk.Agent
	// Engine opens the task. Required.
	Engine *jit.Engine
	// Sessions keeps conversations. nil keeps them in memory, for this Runner's
	// life.
	Sessions session.Service
	// Suspensions has a run end when a call waits for a person, so that
	// [Runner.Resume] goes on with it later, here or in another process. Engine's
	// journal must be a [jit.Rereader], and Sessions outlive the process. nil suspends
	// nothing: the model is told what waits, and the task completed. So it is for the
	// calls of an agent to which ADK does not come back by itself, such as one branch of
	// several.
	Suspensions Suspensions
	// Runs keep other runs out of a session, also those of other processes. nil: of this
	// Runner alone.
	Runs Runs
	// ManyUsers says that sessions are those of many users, who may give them the same
	// names: the journal names each by application, user and session, as with [NewPlugin].
	ManyUsers bool
	// Names returns what a message names and an answer must have been read for, such
	// as documents by their ids. A run that would pass as done ends with [ErrUnread] when
	// none of the names is an argument of a call in the session, and one without any
	// call when one of them is not.
	// nil asks for nothing.
	Names func(message string) []string
	// Ask asks a person whether a call may be made that they did not name: see
	// [jitmw.Gate]. nil refuses such calls, unless the operator's policy allows them.
	Ask func(ctx context.Context, q jitmw.Question) (bool, error)
	// AllowUnnamed makes calls whether the person named them or not. It is for runs
	// whose message no person wrote.
	AllowUnnamed bool
	// Ceilings are the most that the calls of agents may ask for, by the agents' names, beside
	// their own ceilings. An agent that is here works under a task of its own, below that of
	// the agent above it: nil is all that one may ask for, an empty list nothing, and what a
	// detail leaves out is not bounded ([jit.Task.Child]). An agent that is not here works in
	// the task of the one above it. Where there are any, calls of agents that are not below
	// Agent are refused: those of agents as tools, which ADK runs apart. A name that no agent
	// has is an error, as is a ceiling wider than one above it.
	Ceilings map[string][]rar.Detail
	// Unattended says what becomes of a call for which a person would have to be asked,
	// and cannot be. "" leaves one that waits for a decision to Suspensions, and refuses one
	// that nobody named. To have both refused, leave it and set [jit.Config.DenyPending].
	Unattended Unattended
	// Budget bounds what the run's models use.
	Budget Budget
	// Stream asks the model for its answer in pieces.
	Stream bool
	Limits Limits
	Logger *slog.Logger // nil discards
}

// Unattended says what becomes of a call for which a person would have to be asked. It is
// decided before the run, so that none waits for somebody who is not there.
type Unattended string

const (
	// UnattendedSuspend suspends the run, also for a call that nobody named: somebody is
	// asked when it is resumed.
	UnattendedSuspend Unattended = "suspend"
	// UnattendedFail ends the run with [ErrUnattended], before the model is asked again.
	UnattendedFail Unattended = "fail"
)

// A Runner runs an agent, again and again. It is safe for concurrent use, except
// that one session takes one run at a time.
type Runner struct {
	cfg    Config
	log    *slog.Logger
	runner *adkrunner.Runner
	lines  map[string][]string // of Config.Ceilings, see linesOf
}

// New checks cfg and returns a runner.
func New(cfg Config) (*Runner, error) {
	if cfg.Agent == nil {
		return nil, errors.New("runner: no Agent")
	}
	if cfg.Engine == nil {
		return nil, errors.New("runner: no Engine")
	}
	if err := cfg.Limits.fill(); err != nil {
		return nil, err
	}
	if cfg.App == "" {
		cfg.App = cfg.Agent.Name()
	}
	if cfg.Sessions == nil {
		cfg.Sessions = session.InMemoryService()
	}
	if cfg.Runs == nil {
		cfg.Runs = &localRuns{}
	}
	lines, err := linesOf(cfg.Engine, cfg.Ceilings, cfg.Agent)
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	cfg.Sessions = recent{all: cfg.Sessions, limit: cfg.Limits.History}
	r := &Runner{cfg: cfg, log: cfg.Logger, lines: lines}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	guard, err := plugin.New(guard(func(ctx adk.Context) *run { return runOf(ctx) }))
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	r.runner, err = adkrunner.New(adkrunner.Config{
		AppName:        cfg.App,
		Agent:          cfg.Agent,
		SessionService: cfg.Sessions,
		PluginConfig:   adkrunner.PluginConfig{Plugins: []*plugin.Plugin{guard}},
	})
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	return r, nil
}

// fill checks l and puts the defaults in.
func (l *Limits) fill() error {
	if l.ModelCalls < 0 || l.ToolCalls < 0 || l.ParallelTools < 0 || l.Wall < 0 || l.History < 0 {
		return errors.New("runner: a limit is negative")
	}
	setDefault(&l.ModelCalls, 24)
	setDefault(&l.ToolCalls, 64)
	setDefault(&l.ParallelTools, 16)
	setDefault(&l.Wall, 15*time.Minute)
	setDefault(&l.History, defaultHistory)
	return nil
}

const defaultHistory = 1000

func setDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Input is one message to the agent.
type Input struct {
	// Text is the message. Content may be given in its place, for media; it must
	// hold no function parts.
	Text    string
	Content *genai.Content
	// User and Session name the conversation. "" means "user", and a new session.
	User, Session string
	// Task says what the JIT task is for.
	Task jit.TaskSpec

	resume bool // there is no message
}

// content returns the message as ADK wants it.
func (in Input) content() (*genai.Content, error) {
	if in.resume {
		if in.Text != "" || in.Content != nil || in.Session == "" {
			return nil, errors.New("runner: what is resumed is a session, without a message")
		}
		return nil, nil
	}
	if in.Content == nil {
		if strings.TrimSpace(in.Text) == "" {
			return nil, errors.New("runner: the message is empty")
		}
		return genai.NewContentFromText(cleared(in.Text), genai.RoleUser), nil
	}
	if in.Text != "" {
		return nil, errors.New("runner: both Text and Content are given")
	}
	if in.Content.Role != "" && in.Content.Role != genai.RoleUser {
		return nil, fmt.Errorf("runner: the message has the role %q", in.Content.Role)
	}
	if len(in.Content.Parts) == 0 {
		return nil, errors.New("runner: the message is empty")
	}
	if err := onlyMedia(in.Content); err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	return withoutNUL(&genai.Content{Role: genai.RoleUser, Parts: slices.Clone(in.Content.Parts)}), nil
}

// Run sends one message to the agent and yields what happens. The last event is a
// [Finished]; an error, if there is one, follows it. Breaking out of the loop
// stops the run. In each case the task is completed, or suspended, before the loop is
// left.
//
// A session that is suspended is resumed first. If its calls still wait after that, the
// message is not said, and the error wraps [jit.ErrPending].
func (r *Runner) Run(ctx context.Context, in Input) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		content, err := in.content()
		if err != nil {
			yield(nil, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		run := &run{r: r, in: in, content: content, outcome: newTally(), events: make(chan Event, 64), done: make(chan struct{})}
		// Also when yield panics or breaks: the run is stopped and waited for.
		defer func() {
			cancel()
			for range run.pending() {
				continue
			}
		}()
		go run.drive(ctx)
		for e := range run.pending() {
			if !yield(e, nil) {
				return
			}
		}
		if run.err != nil {
			yield(nil, run.err)
		}
	}
}

// Resume goes on with a session without a new message: with the calls that wait, if it
// is suspended, or with a turn that was interrupted. in names the session, and its
// Task says what the task is for where a new one is opened. What Resume yields is what
// Run does. Of several that resume a session, in whatever processes, one does; the
// others get an error that wraps [jit.ErrClaimed]. [ErrNothingToResume] says that there
// is nothing to go on with; [jit.ErrKilled], that somebody ended it: then the calls that
// waited have results that say that they were not made, and the run is over.
func (r *Runner) Resume(ctx context.Context, in Input) iter.Seq2[Event, error] {
	in.resume = true
	return r.Run(ctx, in)
}

// GoOn resumes a session if it is suspended, and returns the calls that wait after that. A
// message can be said to it where those are none, and err is nil: also where somebody killed
// what waited.
func (r *Runner) GoOn(ctx context.Context, in Input) (waiting []Waiting, err error) {
	at := in.place(r.cfg.App)
	if r.cfg.Suspensions == nil || at.fresh {
		return nil, nil
	}
	if s, err := r.cfg.Suspensions.Load(ctx, at.app, at.user, at.session); s == nil {
		return nil, err
	}
	for ev, failure := range r.Resume(ctx, in) {
		if end, ok := ev.(Finished); ok {
			waiting = end.Waiting
		}
		err = failure
	}
	if errors.Is(err, ErrNothingToResume) || errors.Is(err, jit.ErrKilled) {
		err = nil
	}
	return waiting, err
}

// Drop gives up what a suspended session waits for: the calls are not made, which is
// their result, and the authority of the task is given back. A session that is not
// suspended is left as it is, with [ErrNothingToResume].
func (r *Runner) Drop(ctx context.Context, in Input) error {
	in.resume = true
	run := &run{r: r, in: in, outcome: newTally(), events: make(chan Event), done: make(chan struct{})}
	close(run.done) // nobody listens
	return run.dropped(ctx)
}
