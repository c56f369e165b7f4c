package jit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// A flight is one request for authority that all calls with the same demand
// share. It lives under the task, not under the call that started it. When its
// last waiter leaves it stops polling; a request or redemption that is under way
// is still brought to its end, so that its answer is not lost.
type flight struct {
	waiting chan struct{} // closed when the request is pending
	pending Decision      // read after waiting is closed

	done  chan struct{}
	grant *Grant // with err, read after done is closed
	err   error

	// Guarded by Task.mu.
	waiters  int
	stopPoll context.CancelFunc // nil while nothing is polled
}

// An openRequest is one that the authorization server knows and that is not done
// with: pending, or approved and not redeemed. A call with the same demand goes on
// from there; nobody is asked twice.
type openRequest struct {
	Decision
	asked time.Time
}

// errAbandoned ends a flight that nobody waits for.
var errAbandoned = errors.New("jit: nobody waits for this request any more")

// join returns a live grant that was asked for by key, or the flight under way,
// or starts one.
func (s *scope) join(key grantKey, d rar.Detail, ahead bool) (*flight, *Grant, error) {
	t := s.task
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil, nil, fmt.Errorf("jit: demand for %s: %w", d, ErrTaskEnded)
	}
	if g := t.grants.asked[key]; g != nil && g.Live() { // it may have come since the caller looked
		return nil, g, nil
	}
	f := t.flights[key]
	if f == nil {
		f = &flight{waiting: make(chan struct{}), done: make(chan struct{})}
		t.flights[key] = f
		t.inFlight.Go(func() {
			defer close(f.done)
			f.grant, f.err = s.request(t.flying, f, key, d, ahead)
			if f.err != nil && t.flying.Err() != nil {
				f.err = fmt.Errorf("jit: demand for %s: %w (%v)", d, ErrTaskEnded, f.err)
			}
			t.mu.Lock()
			defer t.mu.Unlock()
			t.forget(key, f)
		})
	}
	f.waiters++
	return f, nil, nil
}

// leave drops one waiter. The last one stops the polling; a later call with the
// same demand starts a new flight, which picks up the pending request.
func (t *Task) leave(key grantKey, f *flight) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.waiters--; f.waiters == 0 && f.stopPoll != nil {
		f.stopPoll()
		t.forget(key, f)
	}
}

// forget takes a flight off the list. The caller holds t.mu.
func (t *Task) forget(key grantKey, f *flight) {
	if t.flights[key] == f {
		delete(t.flights, key)
	}
}

// pollable makes the context under which a flight polls, or fails when nobody
// waits any more.
func (t *Task) pollable(ctx context.Context, key grantKey, f *flight) (_ context.Context, stop context.CancelFunc, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.waiters == 0 {
		t.forget(key, f)
		return nil, nil, errAbandoned
	}
	ctx, f.stopPoll = context.WithCancel(ctx)
	return ctx, f.stopPoll, nil
}

// landed ends the polling of a flight that has its decision: from here on nobody's
// leaving stops it. It reports false when the flight was given up in the last
// moment: the next call looks for itself, or is doing so.
func (t *Task) landed(key grantKey, f *flight) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	f.stopPoll = nil
	return t.flights[key] == f
}

// request runs the whole exchange with the authorization server for one demand.
func (s *scope) request(ctx context.Context, f *flight, key grantKey, d rar.Detail, ahead bool) (*Grant, error) {
	t := s.task
	id, err := t.ID(ctx)
	if err != nil {
		return nil, err
	}
	sent := time.Now()
	req, err := s.ask(ctx, id, key, d, ahead)
	if err != nil {
		return nil, err
	}
	if req.Status == StatusPending {
		polling, stop, err := t.pollable(ctx, key, f)
		if err != nil {
			return nil, err
		}
		defer stop()
		// Only now: a waiter that does not wait leaves at once, and its leaving must
		// stop the polling, or the next call would join a flight that nobody is on.
		f.pending = req.Decision
		close(f.waiting)
		dec, err := s.poll(polling, req.Decision, sent)
		if err != nil {
			t.lapse(key, req) // otherwise it stays open: a later call resumes it
			return nil, err
		}
		if !t.landed(key, f) {
			return nil, errAbandoned
		}
		req.Decision = dec
		t.note(key, d, req)
		s.report(d, dec, time.Since(req.asked))
	}
	if req.Status != StatusApproved {
		return nil, deniedError(d, req.Decision)
	}
	g, err := s.redeem(ctx, key, d, req.Decision)
	if _, again := temporary(err); !again {
		t.settled(key)
	}
	return g, err
}

// ask sends the request, or goes on with the one that an earlier call left open,
// or repeats a denial.
func (s *scope) ask(ctx context.Context, taskID string, key grantKey, d rar.Detail, ahead bool) (openRequest, error) {
	t := s.task
	if open, ok := t.openRequest(key); ok {
		return s.resume(ctx, key, d, open)
	}
	if err := t.deniedBefore(d); err != nil {
		return openRequest{}, err
	}
	entry := Entry{
		Kind: EntryDemand, Run: t.run, TaskID: taskID, CallID: s.call.ID, Tool: s.call.Tool,
		Detail: &d, Justification: s.call.Justification,
	}
	if err := t.engine.record(ctx, entry); err != nil {
		return openRequest{}, err
	}
	t.emit(Requested{About: s.aboutNow(), Detail: d, Justification: s.call.Justification, Ahead: ahead})
	req := openRequest{asked: time.Now()}
	var err error
	req.Decision, err = t.engine.cfg.Authority.Request(ctx, Request{
		TaskID: taskID, Detail: d, Justification: s.call.Justification, TTL: t.engine.cfg.TTL,
	})
	if err == nil {
		err = identify(&req.Decision, "", taskID)
	}
	if err != nil {
		return openRequest{}, &AuthorityError{opRequest, err}
	}
	if req.Status == StatusPending && !req.ExpiresAt.After(time.Now()) {
		// The server names no end, or one that has passed as soon as it is named:
		// the clocks differ.
		req.ExpiresAt = req.asked.Add(t.engine.cfg.MaxPending)
	}
	t.note(key, d, req)
	s.report(d, req.Decision, time.Since(req.asked))
	return req, nil
}

// resume looks at once at a request that was left open: the decision may have
// come while nobody waited.
func (s *scope) resume(ctx context.Context, key grantKey, d rar.Detail, open openRequest) (openRequest, error) {
	if open.Status != StatusPending {
		return open, nil
	}
	dec, err := s.look(ctx, open.Decision)
	if err != nil {
		s.task.lapse(key, open)
		return openRequest{}, err
	}
	open.Decision = dec
	if dec.Status == StatusPending {
		if time.Now().Before(dec.ExpiresAt) {
			return open, nil
		}
		open.Status = StatusExpired
	}
	s.task.note(key, d, open)
	s.report(d, open.Decision, time.Since(open.asked))
	return open, nil
}

// identify fills in the ids that an answer leaves out, and refuses an answer that
// is about another request or task. requestID is "" for a new request.
func identify(dec *Decision, requestID, taskID string) error {
	if dec.RequestID == "" {
		dec.RequestID = requestID
	}
	if dec.TaskID == "" {
		dec.TaskID = taskID
	}
	switch {
	case requestID != "" && dec.RequestID != requestID:
		return errors.New("the answer is about another request")
	case dec.TaskID != taskID:
		return errors.New("the answer is about another task")
	case dec.RequestID == "" && (dec.Status == StatusPending || dec.Status == StatusApproved):
		return errors.New("the answer names no request")
	}
	return nil
}

func deniedError(d rar.Detail, dec Decision) *DeniedError {
	return &DeniedError{RequestID: dec.RequestID, Detail: d, Risk: dec.Risk, Status: dec.Status, Message: dec.Message}
}

// openRequest returns the request that earlier calls left open for key.
func (t *Task) openRequest(key grantKey) (openRequest, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	req, ok := t.open[key]
	return req, ok
}

// note keeps what a decision means for later calls.
func (t *Task) note(key grantKey, d rar.Detail, req openRequest) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch req.Status {
	case StatusPending, StatusApproved:
		t.open[key] = req
		return
	case StatusDenied:
		t.denied = append(t.denied, deniedError(d, req.Decision))
	}
	delete(t.open, key)
}

// settled forgets a request that was redeemed, or never will be.
func (t *Task) settled(key grantKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, key)
}

// lapse forgets a request whose state could not be read and whose window is over.
func (t *Task) lapse(key grantKey, req openRequest) {
	if !time.Now().Before(req.ExpiresAt) {
		t.settled(key)
	}
}

// deniedBefore returns the answer to a demand of which all or part was denied. A
// person's no stands for the whole task: asking again until they tire, or packed
// into something larger, would make the decision worthless.
func (t *Task) deniedBefore(d rar.Detail) error {
	t.mu.Lock()
	denied := t.denied[:len(t.denied):len(t.denied)]
	t.mu.Unlock()
	for _, e := range denied {
		if t.engine.cfg.Rules.Within(e.Detail, d) == nil {
			return e
		}
	}
	return nil
}
