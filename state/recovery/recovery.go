package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// Embedded is the name of an authorization server inside the process that owns the
// task. It died with that process, and with it all that it ever granted.
const Embedded = "embedded"

// nameless stands for the name of an engine that has none.
const nameless = "an authority without a name"

// embeddedGone says so in the journal.
const embeddedGone = "the embedded authorization server died with its process: nobody honours what it granted"

// A Completer ends a task at an authorization server, which revokes every token
// granted under it; [*jit.ExpiringError] says that it ended and not all could be. It must be idempotent, heed its context, be safe for concurrent
// use, and return errors that hold no secret. Every [jit.Authority] is one. Errors
// that implement [jit.Temporary] say when to try again.
type Completer interface {
	CompleteTask(ctx context.Context, taskID string) error
}

// A Journal is what recovery needs of one; [journal.Store] documents the methods.
type Journal interface {
	Owner() string
	Task(ctx context.Context, run string) (journal.Task, error)
	Tasks(ctx context.Context, f journal.TaskFilter) ([]journal.Task, error)
	Orphans(ctx context.Context, due time.Time) ([]journal.Task, error)
	Claim(ctx context.Context, owner string) (release func() error, err error)
	CleanOwners(ctx context.Context) (removed int, err error)
	Note(e jit.Entry)
	Mark(ctx context.Context, run string, m journal.Mark) error
}

// Config says what to recover, and how.
type Config struct {
	// Journal knows the tasks. Required; opened for writing.
	Journal Journal

	// Authority names the authorization server and agent that Completer speaks for,
	// as jit.Config.AuthorityName did when the task was opened. "" is nobody's name:
	// then, as with a nil Completer, only what needs no server is done.
	Authority string
	Completer Completer

	// Spare returns the tasks without those that somebody will go on with, which are left
	// alone. It is asked about tasks whose process is gone. nil spares none.
	Spare func(ctx context.Context, tasks []journal.Task) ([]journal.Task, error)

	// Parallel bounds the completions under way at once. 0 means 4.
	Parallel int

	// TryTimeout bounds one call of the Completer. 0 means 10 seconds.
	TryTimeout time.Duration

	// Progress is told how far the work is after each task that something came of,
	// and when a pause begins, by one call at a time. nil tells nobody.
	Progress func(Report)

	// Logger receives what goes wrong with single tasks. nil discards.
	Logger *slog.Logger
}

// check fills in the defaults.
func (cfg Config) check() (Config, error) {
	switch {
	case cfg.Journal == nil:
		return cfg, errors.New("recovery: no Journal")
	case cfg.Parallel < 0 || cfg.TryTimeout < 0:
		return cfg, errors.New("recovery: Parallel or TryTimeout is negative")
	}
	cfg.Parallel = cmp.Or(cfg.Parallel, 4)
	cfg.TryTimeout = cmp.Or(cfg.TryTimeout, 10*time.Second)
	if cfg.Completer == nil || cfg.Authority == Embedded {
		cfg.Authority = ""
	}
	if cfg.Spare == nil {
		cfg.Spare = func(_ context.Context, tasks []journal.Task) ([]journal.Task, error) { return tasks, nil }
	}
	if cfg.Progress == nil {
		cfg.Progress = func(Report) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return cfg, nil
}

// A Report says what came of the tasks whose processes are gone. Its counts are
// tasks, except for Tries. Its JSON is what commands print.
type Report struct {
	Completed int `json:"completed"` // the authorization server confirmed their end
	Expired   int `json:"expired"`   // nobody confirmed it, but nothing under them can be valid any more
	Unknown   int `json:"unknown"`   // nobody can confirm it: their server is gone for good

	Waiting int `json:"waiting"` // of this authority, and not given back yet; for Progress, about so many
	Foreign int `json:"foreign"` // of other authorities, and left alone
	Busy    int `json:"busy"`    // that another process is recovering

	Tries   int       `json:"tries"`             // completions tried, not counting what the Completer repeats
	Next    time.Time `json:"-"`                 // when the next try is due, in a pause; else zero
	Failure string    `json:"failure,omitempty"` // why the last try failed; empty when none did

	Authorities []string `json:"authorities,omitempty"` // the other authorities, sorted
}

// Left returns how many tasks somebody still has to do something about.
func (r Report) Left() int { return r.Waiting + r.Foreign + r.Busy }

// Done returns how many tasks are finished that were not before.
func (r Report) Done() int { return r.Completed + r.Expired + r.Unknown }

// Pass makes one round: each task is tried at most once, those whose next try is not
// due yet are left, and when the server does not answer, so are the rest. That ctx
// ends is no error: Report.Left says what is left. An error means that the journal
// cannot be used; the report is good as far as it goes.
func Pass(ctx context.Context, cfg Config) (Report, error) { return work(ctx, cfg, false) }

// Sweep is Pass again and again, with pauses, until all tasks of this authority are
// done or ctx ends.
func Sweep(ctx context.Context, cfg Config) (Report, error) { return work(ctx, cfg, true) }

// Keep makes a Pass every ten seconds until ctx ends: for what processes leave that die
// while this one lives. What goes wrong is logged.
func Keep(ctx context.Context, cfg Config) {
	for pause.For(ctx, 10*time.Second) {
		if _, err := Pass(ctx, cfg); err != nil && cfg.Logger != nil {
			cfg.Logger.WarnContext(ctx, "what is left cannot be given back now", "error", err)
		}
	}
}

func work(ctx context.Context, cfg Config, patient bool) (Report, error) {
	cfg, err := cfg.check()
	if err != nil {
		return Report{}, err
	}
	s := newSweep(cfg, patient)
	err = s.run(ctx)
	// What is left is counted from the journal, whatever happened.
	err = errors.Join(err, s.count(context.WithoutCancel(ctx)))
	if err != nil {
		err = fmt.Errorf("recovery: %w", err)
	}
	return s.report, err
}

// Complete tries once to complete one task whose process is gone, due or not, and
// returns the task as it is then. It fails with [journal.ErrOwned] if the process is
// alive or somebody else recovers its tasks, and with the Completer's error if the
// server did not confirm the end; the journal then knows when to try again. A task of
// another authority is an error. One that is finished is none: it stays as it is.
func Complete(ctx context.Context, cfg Config, task journal.Task) (_ journal.Task, err error) {
	if cfg, err = cfg.check(); err != nil {
		return task, err
	}
	if task.State.Finished() {
		return task, nil
	}
	release, err := cfg.Journal.Claim(ctx, task.Owner)
	if err != nil {
		return task, fmt.Errorf("recovery: %w", err)
	}
	defer func() { err = errors.Join(err, release()) }()
	// It may have changed before the claim.
	if task, err = cfg.Journal.Task(ctx, task.Run); err != nil || task.State.Finished() {
		return task, err
	}
	var failure error
	switch kind := cfg.kind(task); {
	case kind == ours:
		e := cfg.try(ctx, task, func() {})
		err, failure = e.err, e.failure
	case kind == foreign && !over(task, time.Now()):
		return task, fmt.Errorf("recovery: task %s belongs to %s", cmp.Or(task.ID, task.Run), cmp.Or(task.Authority, nameless))
	default:
		_, err = cfg.settle(ctx, task)
	}
	if err != nil {
		return task, fmt.Errorf("recovery: %w", err)
	}
	if task, err = cfg.Journal.Task(context.WithoutCancel(ctx), task.Run); err != nil {
		return task, fmt.Errorf("recovery: %w", err)
	}
	if failure != nil && !task.State.Finished() {
		return task, fmt.Errorf("recovery: %w", failure)
	}
	return task, nil
}

// Leave prepares the tasks of the journal's own process for whoever comes after it:
// what could not be given back gets an attempt with the reason, so that the next
// process finds it. A suspended task is left as it is, and one that the server never named is closed: nothing can be under
// it. Leave returns how many tasks are left. Call it at the end, when no run is under
// way; reason must hold no secret.
func Leave(ctx context.Context, j Journal, reason string) (left int, err error) {
	tasks, err := j.Tasks(ctx, journal.TaskFilter{Owner: j.Owner(), Unfinished: true})
	if err != nil {
		return 0, fmt.Errorf("recovery: %w", err)
	}
	var errs []error
	for _, t := range tasks {
		if t.State == journal.StateSuspended {
			continue // on purpose
		}
		if t.ID == "" && t.Until.IsZero() {
			errs = append(errs, j.Mark(ctx, t.Run, journal.Mark{State: journal.StateExpired}))
			continue
		}
		left++
		errs = append(errs, j.Mark(ctx, t.Run, journal.Mark{State: journal.StateCompleting, Reason: reason, Next: time.Now().Add(delay(t.Attempts))}))
	}
	if err := errors.Join(errs...); err != nil {
		return left, fmt.Errorf("recovery: %w", err)
	}
	return left, nil
}
