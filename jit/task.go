package jit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// A Task is one piece of work under which authority is asked for and, at its end,
// given back. It is safe for concurrent use.
type Task struct {
	*family
	engine *Engine
	run    string
	epoch  int // how often it was resumed
	spec   TaskSpec
	parent *Task // nil of one that [Engine.Start] began

	ceiling []rar.Checked // of a child; nil for all that its parent may ask for
	adopted bool          // it was resumed, and nobody asked for it since
	mu      sync.Mutex    // guards children, and their beginning
	below   []*Task

	opened  chan struct{} // closed when info or openErr is set
	info    TaskInfo
	openErr error

	announced   chan struct{} // closed when the journal has the task, or announceErr is set
	announceErr error

	alive      atomic.Pointer[time.Time] // when it was last seen not to be killed
	ended      atomic.Bool               // by Complete, whatever became of it: nothing more is sent
	completed  atomic.Bool               // and the server knows
	completing chan struct{}             // one completion at a time
	calls      atomic.Int64              // counts the calls without a name of their own
	logsIn     atomic.Bool               // a person logs in for it, see [Discoverer]

	grants    *grants
	requests  *requests
	endpoints endpoints
}

// A family is what a task shares with those below it: what one of them did, was denied, or
// used counts for all.
type family struct {
	observe   func(Event)
	observing sync.Mutex            // one event at a time
	broken    atomic.Pointer[error] // the journal's first failure

	models   models
	secrets  secret.Scrubber
	effects  effects
	standing standing
}

// create opens the task at the authorization server. ctx is not cancelled with
// the caller's: half an opening would leave a task that nobody knows of.
func (t *Task) create(ctx context.Context) {
	defer close(t.opened)
	ctx, cancel := context.WithTimeout(ctx, t.engine.cfg.CompleteTimeout)
	defer cancel()
	spec := t.spec
	opening := Entry{Kind: EntryTaskOpening, Run: t.run, Authority: t.engine.cfg.AuthorityName, Session: spec.Session, Name: spec.Name, OnBehalfOf: spec.OnBehalfOf}
	event := TaskOpened{}
	if t.parent != nil {
		spec.Parent, t.announceErr = t.parent.ID(ctx)
		opening.Parent, opening.Ceiling = t.parent.run, detailsOf(t.ceiling)
		event.Parent, event.Name = spec.Parent, spec.Name
	}
	if t.announceErr == nil {
		t.announceErr = t.record(ctx, opening)
	}
	close(t.announced)
	if t.openErr = t.announceErr; t.openErr != nil {
		return
	}
	info, err := t.engine.cfg.Authority.CreateTask(ctx, spec)
	if err != nil {
		t.openErr = &AuthorityError{opOpen, err}
		return
	}
	if info.ID == "" {
		t.openErr = &AuthorityError{opOpen, errors.New("the answer names no task")}
		return
	}
	t.info = info
	t.engine.note(Entry{Kind: EntryTaskOpened, Run: t.run, TaskID: info.ID, ExpiresAt: info.ExpiresAt})
	event.About, event.ExpiresAt = About{Time: time.Now(), TaskID: info.ID}, info.ExpiresAt
	t.emit(event)
}

// ID returns the task's id at the authorization server. It waits until the task
// is open, and fails if that failed.
func (t *Task) ID(ctx context.Context) (string, error) {
	if err := t.waitOpened(ctx); err != nil {
		return "", err
	}
	if t.openErr != nil {
		return "", t.openErr
	}
	return t.info.ID, nil
}

// waitOpened waits until the opening succeeded or failed.
func (t *Task) waitOpened(ctx context.Context) error {
	select {
	case <-t.opened:
		return nil
	default:
	}
	select {
	case <-t.opened:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// known waits until the journal has the task. Whoever takes it over finds it by its
// session, and with it what it sent.
func (t *Task) known(ctx context.Context) error {
	select {
	case <-t.announced:
		return t.announceErr
	default:
	}
	select {
	case <-t.announced:
		return t.announceErr
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Complete ends the task: nothing more can be asked or sent under it, requests
// under way are dropped, and the authorization server revokes its tokens. The tasks
// below it are completed first, in half of the time at most, and one that cannot be
// does not keep this one from it. Temporary faults are retried until ctx ends or the
// engine's CompleteTimeout runs out. Complete is idempotent, and after a failure it
// can be called again. Give it a context that outlives the run:
// context.WithoutCancel(ctx).
func (t *Task) Complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.engine.cfg.CompleteTimeout)
	defer cancel()
	for _, one := range t.end() {
		one.grants.close()
	}
	return errors.Join(t.completeBelow(ctx), t.completeAlone(ctx))
}

// completeAlone completes the task, but for those below it.
func (t *Task) completeAlone(ctx context.Context) error {
	if t.completed.Load() {
		return nil
	}
	select {
	case t.completing <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("jit: complete task: another completion is under way: %w", ctx.Err())
	}
	defer func() { <-t.completing }()
	if t.completed.Load() {
		return nil // the other one did it
	}
	// An authority that does not let go of a request costs a part of the time only:
	// completing matters more.
	t.requests.close(ctx, t.engine.cfg.CompleteTimeout/4)
	if err := t.waitOpened(ctx); err != nil {
		return t.finish(Completed{}, fmt.Errorf("jit: complete task: it is still being opened: %w", err))
	}
	id := t.info.ID // it may be open at the server though opening it failed here
	if id == "" {
		if t.announceErr == nil { // or a task under which nothing was granted stays open as long as this process lives
			t.engine.note(t.entry(EntryTaskCompleted))
		}
		return t.finish(Completed{}, nil)
	}
	// Giving authority back needs no record.
	completing := t.entry(EntryTaskCompleting)
	if err := t.aliveNow(ctx); err != nil {
		completing.Error = t.Scrub(err.Error())
	}
	t.engine.note(completing)
	return t.finish(t.complete(ctx, id))
}

// entry is a journal entry about the task.
func (t *Task) entry(kind EntryKind) Entry {
	return Entry{Kind: kind, Run: t.run, Epoch: t.epoch, TaskID: t.knownID()}
}

// knownID returns the task's id if the server gave one.
func (t *Task) knownID() string {
	select {
	case <-t.opened:
		return t.info.ID
	default:
		return ""
	}
}

// complete asks the server to complete the task, again and again while the fault
// is temporary.
func (t *Task) complete(ctx context.Context, id string) (Completed, error) {
	var last error
	var expiring *ExpiringError
	_, err := backoff.Retry(ctx, func() (struct{}, error) {
		last = t.engine.cfg.Authority.CompleteTask(ctx, id)
		if left, ok := errors.AsType[*ExpiringError](last); ok {
			expiring, last = left, nil
		}
		if last == nil {
			return struct{}{}, nil
		}
		wait, again := temporary(last)
		switch {
		case !again:
			return struct{}{}, backoff.Permanent(last)
		case wait > 0:
			return struct{}{}, &backoff.RetryAfterError{Duration: wait}
		}
		return struct{}{}, last
	}, backoff.WithMaxElapsedTime(t.engine.cfg.CompleteTimeout))
	c := Completed{About: About{TaskID: id}}
	c.Issued, c.Revoked = t.grants.tally(time.Now())
	if err != nil {
		return c, &AuthorityError{opComplete, last}
	}
	if expiring != nil {
		c.Revoked, c.ExpiresAt = max(c.Revoked-expiring.Tokens, 0), expiring.Until
	}
	entry := t.entry(EntryTaskCompleted)
	entry.Issued, entry.Revoked, entry.ExpiresAt = c.Issued, c.Revoked, c.ExpiresAt
	t.engine.note(entry)
	return c, nil
}

// finish reports the end of the task.
func (t *Task) finish(c Completed, err error) error {
	c.Time = time.Now()
	if err != nil {
		c.Revoked, c.Error = 0, t.Scrub(err.Error())
	} else {
		t.completed.Store(true)
	}
	t.emit(c)
	return err
}

func (t *Task) emit(e Event) {
	if t.observe == nil {
		return
	}
	t.observing.Lock()
	defer t.observing.Unlock()
	t.observe(e)
}

// baseToken returns the agent's own token for an API, if it has one for that, and
// remembers it for [Task.Scrub].
func (t *Task) baseToken(ctx context.Context, api Origin) (Credential, error) {
	tok, err := t.engine.cfg.Authority.AgentToken(ctx)
	if err != nil {
		return Credential{}, &AuthorityError{opLogin, err}
	}
	t.secrets.Add(tok.Token)
	if tok.Origin != (Origin{}) && tok.Origin != api {
		return Credential{}, nil
	}
	return tok, nil
}

// Scrub returns s without any token of this task, of those above it and of all below them,
// as [secret.Scrubber] has it. An API that echoes a request's headers would otherwise put a
// live token before the model.
func (t *Task) Scrub(s string) string { return t.secrets.Scrub(s) }
