package jit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Errors of [Engine.Resume].
var (
	// ErrClaimed: the task is not suspended, since it was resumed, here or by another
	// process, or since the process that was to suspend it died. Whoever resumed it goes on
	// with it.
	ErrClaimed = errors.New("it was resumed already")
	// ErrChanged: what is to be resumed is not what was suspended.
	ErrChanged = errors.New("what was kept to go on with is not what was suspended")
)

// A Rereader is a [Journal] from which a suspended task can be taken up again.
//
// Its Append takes an [EntryTaskResumed] once for each [EntryTaskSuspended] of the
// run, whichever process it comes from, and makes the run the caller's own; once more for
// a process that has taken over what one left that is gone. Otherwise
// it fails, with an error that wraps [ErrTaskEnded] when the task is over, and
// [ErrClaimed] when it was resumed since.
type Rereader interface {
	Journal

	// Entries returns what was written about a run, in order, notes included.
	Entries(ctx context.Context, run string) ([]Entry, error)
	// Runs returns the runs whose tasks were opened for a session, in order, but for those
	// below others.
	Runs(ctx context.Context, session string) ([]string, error)
	// Below returns the runs whose tasks were opened directly below that of a run.
	Below(ctx context.Context, run string) ([]string, error)
}

// CanSuspend reports whether the engine's journal is a [Rereader], without which no
// task can be suspended.
func (e *Engine) CanSuspend() bool {
	_, ok := e.cfg.Journal.(Rereader)
	return ok
}

// Run returns the engine's own name of the task, by which [Engine.Resume] finds it.
func (t *Task) Run() string { return t.run }

// Suspend ends what this process does for a task that waits for decisions, and leaves
// the task open for [Engine.Resume]: nothing more is asked or sent from here, polling
// has stopped, and tokens are dropped, and revoked where the authorization server can
// revoke one by itself. The journal keeps digest, which names what the caller kept to
// go on with, and until when the task waits: Suspend returns that moment, at which the
// last open request runs out.
//
// other is until when something else than a request waits, at most until the task ends at
// the server; zero for nothing. Suspend fails where nothing waits or can be recorded.
// Such a task is to be completed; one that is suspended is not. The tasks below it are
// suspended with it, all or none.
func (t *Task) Suspend(ctx context.Context, digest string, other time.Time) (until time.Time, err error) {
	id, err := t.ID(ctx)
	if err == nil && !t.engine.CanSuspend() {
		err = errors.New("the journal cannot be read back")
	}
	if err == nil && t.parent != nil {
		err = errors.New("it is suspended with the one above it")
	}
	if err != nil {
		return until, fmt.Errorf("jit: suspend task: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, t.engine.cfg.CompleteTimeout)
	defer cancel()
	all := t.end()
	for _, one := range all {
		one.requests.close(ctx, t.engine.cfg.CompleteTimeout)
		if ends := one.requests.waitsUntil(); until.Before(ends) {
			until = ends
		}
	}
	if end := t.info.ExpiresAt; !end.IsZero() && other.After(end) {
		other = end
	}
	if until.Before(other) {
		until = other
	}
	if until.IsZero() {
		return until, errors.New("jit: suspend task: nobody is to decide anything")
	}
	all = slices.DeleteFunc(all, func(one *Task) bool { return one.waitOpened(ctx) != nil || one.info.ID == "" || one.completed.Load() })
	entries := make([]Entry, len(all))
	for i, one := range all {
		entries[i] = one.entry(EntryTaskSuspended)
		e := &entries[i]
		e.ExpiresAt, e.Digest = until, digest
		for _, token := range one.grants.close() {
			e.Issued++
			if one.revoke(ctx, token) {
				e.Revoked++
			}
		}
	}
	if err := t.record(ctx, entries...); err != nil {
		return until, err
	}
	for _, one := range all {
		one.completed.Store(true) // as far as this process is concerned
	}
	t.emit(Suspended{About: About{Time: time.Now(), TaskID: id}, Until: until})
	return until, nil
}

// waitsUntil returns when the last pending request runs out, zero when there is none.
func (r *requests) waitsUntil() (until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, req := range r.open {
		if req.Status == StatusPending && req.ExpiresAt.After(until) {
			until = req.ExpiresAt
		}
	}
	return until
}

// Resume takes up a suspended task, once: a second Resume, by whatever process, fails
// with [ErrClaimed]. The task goes on under its name: requests that were open are
// polled further and not asked for again, what was denied stays denied, and an effect
// that was sent is not sent again. digest must be that of [Task.Suspend]; for another
// one the task is completed, and the error wraps [ErrChanged]. An error that wraps
// [ErrTaskEnded] says that the task is over, of one that wraps [ErrKilled] that it is to be; if it does not wrap ErrClaimed as well, nobody
// resumed what was suspended, for example since nobody decided in time.
//
// observe is as for [Engine.Start]. The caller must call [Task.Complete], or
// [Task.Suspend] again.
func (e *Engine) Resume(ctx context.Context, run, digest string, observe func(Event)) (*Task, error) {
	t, err := e.resume(ctx, run, digest, observe)
	if err != nil {
		return nil, fmt.Errorf("jit: resume task: %w", err)
	}
	return t, nil
}

func (e *Engine) resume(ctx context.Context, run, digest string, observe func(Event)) (*Task, error) {
	journal, ok := e.cfg.Journal.(Rereader)
	if !ok {
		return nil, errors.New("the journal cannot be read back")
	}
	entries, err := journal.Entries(ctx, run)
	if err != nil {
		return nil, err
	}
	t := e.newTask(ctx, run, &family{observe: observe})
	if err := t.Alive(ctx); err != nil {
		return nil, err
	}
	kept := t.reread(entries)
	if t.info.ID == "" {
		return nil, errors.New("the journal knows no such task")
	}
	if kept.Authority != e.cfg.AuthorityName {
		return nil, fmt.Errorf("it belongs to %s", kept.Authority)
	}
	if kept.Parent != "" {
		return nil, errors.New("it is resumed with the one above it")
	}
	close(t.opened)
	close(t.announced)
	t.epoch++
	if err := e.record(ctx, t.entry(EntryTaskResumed)); err != nil {
		if kept.Kind != EntryTaskSuspended && errors.Is(err, ErrTaskEnded) {
			err = fmt.Errorf("%w: %w", ErrClaimed, err)
		}
		return nil, err
	}
	if kept.Digest != digest {
		changed := ErrChanged
		if kept.Kind != EntryTaskSuspended { // the process that was to suspend it, perhaps again, died over it
			changed = fmt.Errorf("%w: %w", ErrClaimed, ErrTaskEnded)
		}
		return nil, errors.Join(changed, t.Complete(context.WithoutCancel(ctx)))
	}
	below, err := t.resumeBelow(ctx, journal)
	if err != nil {
		return nil, errors.Join(err, t.Complete(context.WithoutCancel(ctx)))
	}
	t.emit(Resumed{About: About{Time: time.Now(), TaskID: t.info.ID}})
	t.Inherit(append(entries, below...))
	return t, nil
}

// reread brings a new task to where its entries leave it, and returns what they say of
// its authority and its last suspension, and whether that or a resumption came last.
func (t *Task) reread(entries []Entry) (kept Entry) {
	for _, e := range entries {
		t.info.ID = cmp.Or(t.info.ID, e.TaskID)
		switch e.Kind {
		case EntryTaskOpening:
			kept.Authority, kept.Parent = e.Authority, e.Parent
			t.spec = TaskSpec{Name: e.Name, OnBehalfOf: e.OnBehalfOf, Session: e.Session}
		case EntryTaskOpened:
			t.info = TaskInfo{ID: e.TaskID, ExpiresAt: e.ExpiresAt}
		case EntryTaskSuspended:
			kept.Kind, kept.Digest = e.Kind, e.Digest
		case EntryTaskResumed:
			kept.Kind, t.epoch = e.Kind, e.Epoch
		case EntryDecision:
			t.requests.reread(e)
		case EntryGrant:
			t.grants.count(e.ExpiresAt)
			t.requests.redeemed(e.RequestID)
		}
	}
	return kept
}

// Inherit takes over what calls came to that were made before, in a process that is gone,
// from what [Engine.Calls] has of them: an effect that was sent is not sent again, and what
// models used counts. Observers
// are told again how the calls ended, what was blocked, and what is in doubt.
func (t *Task) Inherit(calls []Entry) {
	for _, e := range calls {
		about := About{Time: e.Time, TaskID: e.TaskID, CallID: e.CallID, Tool: e.Tool}
		switch {
		case e.Kind == EntryUsage:
			t.models.add(Usage{e.Model, e.Prompt, e.Output})
		case e.Kind == EntryBlocked && e.Detail != nil:
			t.emit(Blocked{About: about, Demanded: *e.Detail, Reason: e.Error})
		case e.Kind == EntryCallEnded && CallStatus(e.Result) != CallPending:
			t.emit(CallEnded{About: about, Result: Result{Status: CallStatus(e.Result), Message: e.Error, Unnamed: e.Message}})
		}
	}
	for _, e := range Effects(calls) {
		t.effects.reread(e)
		if e.Outcome == OutcomeInDoubt {
			t.emit(LeftInDoubt{
				About:  About{Time: e.Time, TaskID: e.TaskID, CallID: e.CallID, Tool: e.Tool},
				Method: e.Method, URL: e.URL, IdempotencyKey: e.IdempotencyKey, Error: cmp.Or(e.Error, errForgotten.Error()),
			})
		}
	}
}

// Calls returns what the journal has about the calls that were made for a session since a
// moment, and about what models used, in order; nil where it cannot be read back. What came before, such as under a
// session of the same name that was deleted, is left out.
func (e *Engine) Calls(ctx context.Context, session string, since time.Time) (calls []Entry, err error) {
	journal, ok := e.cfg.Journal.(Rereader)
	if !ok {
		return nil, nil
	}
	runs, err := journal.Runs(ctx, session)
	for _, run := range slices.Backward(runs) {
		var made []Entry
		if made, err = entriesOf(ctx, journal, run); err != nil {
			break
		}
		made = slices.DeleteFunc(made, func(e Entry) bool { return e.CallID == "" && e.Kind != EntryUsage })
		all := len(made)
		made = slices.DeleteFunc(made, func(e Entry) bool { return e.Time.Before(since) })
		calls = append(made, calls...)
		if len(made) < all {
			break // the others are older
		}
	}
	if err != nil {
		return nil, fmt.Errorf("jit: calls of a session: %w", err)
	}
	return calls, nil
}

// Effects returns the requests among entries that may change something: each
// [EntryCallSent], with the Outcome and HTTPStatus of what came of it, and
// [OutcomeInDoubt], with the Error if one is known, where that is not known.
func Effects(entries []Entry) (sent []Entry) {
	at := map[string]int{}
	for _, e := range entries {
		i, known := at[e.IdempotencyKey]
		switch {
		case e.Kind == EntryCallSent:
			if !known {
				i = len(sent)
				at[e.IdempotencyKey], sent = i, append(sent, e)
			}
			sent[i], sent[i].Outcome = e, OutcomeInDoubt
		case e.Kind != EntryCallReturned || !known:
		case e.Outcome == OutcomeInDoubt:
			sent[i].Error = e.Error
		default:
			sent[i].Outcome, sent[i].HTTPStatus = e.Outcome, e.HTTPStatus
		}
	}
	return sent
}

// reread keeps what a decision of an earlier process means for later calls.
func (r *requests) reread(e Entry) {
	if e.Detail == nil {
		return
	}
	d, err := e.Detail.Check()
	if err != nil {
		return
	}
	origin, _ := ParseOrigin(e.URL) // none for one that is bound to no API
	key := keyOf(origin, d)
	if e.Digest != "" {
		r.persons[key] = true
		key.call = e.Digest
	}
	r.keep(key, d, openRequest{asked: e.Time, left: true, Decision: Decision{
		RequestID: e.RequestID, TaskID: e.TaskID, Status: e.Status, Risk: e.Risk, ExpiresAt: e.ExpiresAt,
		Message: e.Message, DecidedBy: e.DecidedBy,
	}})
}

// redeemed forgets a request whose token was issued.
func (r *requests) redeemed(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, open := range r.open {
		if open.RequestID == id {
			delete(r.open, key)
		}
	}
}

// errForgotten stands for an answer of which the journal keeps the status at most.
var errForgotten = errors.New("the process that sent it is gone")

// reread keeps what became of an effect that an earlier process sent. Of an answer the
// status is left: whoever asks for the effect again gets that, unless the API honors
// its key and can be asked for the rest.
func (s *effects) reread(sent Entry) {
	answered := answerOf(&http.Response{StatusCode: sent.HTTPStatus})
	if sent.Effect == "" || sent.Outcome != OutcomeInDoubt && (sent.Outcome != OutcomeAnswered || answered == nil) {
		return
	}
	if answered != nil {
		close(answered.whole)
	}
	if s.known == nil {
		s.known = map[string]*outcome{}
	}
	s.known[sent.Effect] = &outcome{answer: answered, doubt: &InDoubtError{
		Tool: sent.Tool, CallID: sent.CallID, Method: sent.Method, URL: sent.URL, IdempotencyKey: sent.IdempotencyKey,
		StatusCode: sent.HTTPStatus, Err: errForgotten,
	}}
}
