package jit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// Acquire obtains a grant for detail, or returns a live one, for a tool that
// knows what it needs and does not speak HTTP: a database, a queue. The context
// must come from [Task.Call], and detail must lie within that call's ceiling. The
// grant is bound to no origin; [Transport] never sends it.
//
// Errors are those of a refused call: *EnvelopeError, *DeniedError,
// *PendingError, *OvergrantError, [ErrTaskEnded].
func Acquire(ctx context.Context, detail rar.Detail) (*Grant, error) {
	s := scopeOf(ctx)
	if s == nil {
		return nil, fmt.Errorf("jit: acquire: %w", ErrNoCall)
	}
	if _, err := s.checkCeiling(detail); err != nil {
		return nil, err
	}
	if g := s.task.covering(Origin{}, s.call.Ceiling, &detail); g != nil {
		return g, nil
	}
	return s.acquire(ctx, Origin{}, detail, true)
}

// checkCeiling returns which element of the ceiling holds d. It refuses, and
// reports, a demand outside the ceiling.
func (s *scope) checkCeiling(d rar.Detail) (index int, err error) {
	index, err = s.task.engine.within(d, s.call.Ceiling)
	if err == nil {
		return index, nil
	}
	s.task.emit(Blocked{About: s.aboutNow(), Demanded: d, Reason: err.Error()})
	return -1, &EnvelopeError{Tool: s.call.Tool, CallID: s.call.ID, Demanded: d, Reason: err}
}

func (s *scope) aboutNow() About {
	a := s.about()
	a.Time = time.Now()
	return a
}

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

// errAbandoned ends a flight that nobody waits for.
var errAbandoned = errors.New("jit: nobody waits for this request any more")

// acquire returns a grant for a demand that lies within the ceiling. It waits for
// a person's decision as long as the engine's Wait, the context and the request
// allow.
func (s *scope) acquire(ctx context.Context, origin Origin, d rar.Detail, ahead bool) (*Grant, error) {
	key, err := keyOf(origin, d)
	if err != nil {
		return nil, fmt.Errorf("jit: demand: %w", err)
	}
	f, g, err := s.join(key, d, ahead)
	if err != nil || g != nil {
		return g, err
	}
	defer s.task.leave(key, f)

	waiting := f.waiting
	var giveUp <-chan time.Time
	for {
		select {
		case <-f.done:
			return f.grant, f.err
		case <-waiting:
			waiting = nil
			timer := time.NewTimer(s.task.engine.cfg.Wait)
			defer timer.Stop()
			giveUp = timer.C
		case <-giveUp:
			return nil, pendingError(d, f.pending)
		case <-ctx.Done():
			if waiting == nil { // the request is known and stays open
				return nil, fmt.Errorf("%w (%w)", pendingError(d, f.pending), context.Cause(ctx))
			}
			return nil, ctx.Err()
		}
	}
}

func pendingError(d rar.Detail, dec Decision) *PendingError {
	return &PendingError{
		RequestID: dec.RequestID, TaskID: dec.TaskID, Detail: d, Risk: dec.Risk,
		ExpiresAt: dec.ExpiresAt, DecideAt: dec.DecideAt, ConsentRequired: dec.ConsentRequired,
	}
}

// join returns a live grant for key, or the flight under way, or starts one.
func (s *scope) join(key grantKey, d rar.Detail, ahead bool) (*flight, *Grant, error) {
	t := s.task
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil, nil, fmt.Errorf("jit: demand for %s: %w", d, ErrTaskEnded)
	}
	if denied := t.denied[key]; denied != nil {
		return nil, nil, denied
	}
	for _, g := range t.grants {
		if g.origin == key.origin && g.Live() && rar.Equal(g.Detail, d) {
			return nil, g, nil
		}
	}
	f := t.flights[key]
	if f == nil {
		f = &flight{waiting: make(chan struct{}), done: make(chan struct{})}
		t.flights[key] = f
		t.inFlight.Add(1)
		go func() {
			defer t.inFlight.Done()
			f.grant, f.err = s.request(t.flying, f, key, d, ahead)
			t.mu.Lock()
			t.forget(key, f)
			t.mu.Unlock()
			close(f.done)
		}()
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
func (t *Task) pollable(ctx context.Context, key grantKey, f *flight) (context.Context, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.waiters == 0 {
		t.forget(key, f)
		return nil, errAbandoned
	}
	ctx, f.stopPoll = context.WithCancel(ctx)
	return ctx, nil
}

// request runs the whole exchange with the authorization server for one demand.
func (s *scope) request(ctx context.Context, f *flight, key grantKey, d rar.Detail, ahead bool) (*Grant, error) {
	t := s.task
	id, err := t.ID(ctx)
	if err != nil {
		return nil, err
	}
	start := time.Now()
	dec, err := s.ask(ctx, id, key, d, ahead)
	if err != nil {
		return nil, err
	}
	if dec.Status == StatusPending {
		f.pending = dec
		close(f.waiting)
		polling, err := t.pollable(ctx, key, f)
		if err != nil {
			return nil, err
		}
		defer f.stopPoll()
		dec, err = s.poll(polling, dec)
		if err != nil {
			return nil, err // the request stays in t.pending: a later call resumes it
		}
		s.report(ctx, d, dec, time.Since(start))
	}
	t.mu.Lock()
	delete(t.pending, key)
	t.mu.Unlock()
	if dec.Status != StatusApproved {
		err := &DeniedError{RequestID: dec.RequestID, Detail: d, Risk: dec.Risk, Status: dec.Status, Message: dec.Message}
		if dec.Status == StatusDenied {
			// A person's no stands for the whole task: asking again until they
			// tire would make the decision worthless.
			t.mu.Lock()
			t.denied[key] = err
			t.mu.Unlock()
		}
		return nil, err
	}
	return s.redeem(ctx, id, key.origin, d, dec)
}

// ask sends the request, or picks up the one that an earlier call left pending.
func (s *scope) ask(ctx context.Context, taskID string, key grantKey, d rar.Detail, ahead bool) (Decision, error) {
	t := s.task
	t.mu.Lock()
	left, resumed := t.pending[key]
	t.mu.Unlock()
	if resumed {
		return left, nil
	}
	entry := Entry{
		Kind: EntryDemand, Run: t.run, TaskID: taskID, CallID: s.call.ID, Tool: s.call.Tool,
		Detail: &d, Justification: s.call.Justification,
	}
	if err := t.engine.record(ctx, entry); err != nil {
		return Decision{}, err
	}
	t.emit(Requested{About: s.aboutNow(), Detail: d, Justification: s.call.Justification, Ahead: ahead})
	start := time.Now()
	dec, err := t.engine.cfg.Authority.Request(ctx, Request{
		TaskID: taskID, Detail: d, Justification: s.call.Justification, TTL: t.engine.cfg.TTL,
	})
	if err != nil {
		return Decision{}, fmt.Errorf("jit: request %s: %w", d, err)
	}
	if dec.Status == StatusPending {
		if dec.ExpiresAt.IsZero() {
			dec.ExpiresAt = start.Add(t.engine.cfg.MaxPending)
		}
		t.mu.Lock()
		t.pending[key] = dec
		t.mu.Unlock()
	}
	s.report(ctx, d, dec, time.Since(start))
	return dec, nil
}

// report tells journal and observer of a decision. The journal's failure does not
// undo what the server decided: the grant's own entry stops its use.
func (s *scope) report(ctx context.Context, d rar.Detail, dec Decision, waited time.Duration) {
	t := s.task
	err := t.engine.record(ctx, Entry{
		Kind: EntryDecision, Run: t.run, TaskID: dec.TaskID, CallID: s.call.ID, Tool: s.call.Tool, RequestID: dec.RequestID,
		Detail: &d, Status: dec.Status, Risk: dec.Risk, ExpiresAt: dec.ExpiresAt,
	})
	if err != nil {
		t.engine.log.WarnContext(ctx, "decision without a journal entry", "request_id", dec.RequestID, "error", err)
	}
	t.emit(Decided{
		About: s.aboutNow(), Detail: d, RequestID: dec.RequestID, Status: dec.Status, Risk: dec.Risk, TTL: dec.TTL,
		ExpiresAt: dec.ExpiresAt, DecideAt: dec.DecideAt, Message: dec.Message, Waited: waited,
	})
}

// redeem fetches the token of an approved request and checks what it covers.
func (s *scope) redeem(ctx context.Context, taskID string, origin Origin, d rar.Detail, dec Decision) (*Grant, error) {
	t := s.task
	start := time.Now()
	issued, err := t.engine.cfg.Authority.Token(ctx, dec.RequestID)
	if err != nil {
		return nil, fmt.Errorf("jit: token for request %s: %w", dec.RequestID, err)
	}
	t.secrets.add(issued.Token)
	ttl := lifetime(issued.ExpiresIn, dec.TTL, t.engine.cfg.TTL)
	t.mu.Lock()
	t.issued = append(t.issued, start.Add(ttl)) // used or not, it is alive
	t.mu.Unlock()
	granted, err := t.engine.granted(issued, d)
	if err != nil {
		return nil, &OvergrantError{RequestID: dec.RequestID, Asked: d, Reason: err}
	}
	issued.TaskID, issued.RequestID = taskID, dec.RequestID
	g := newGrant(issued, granted, origin, start, ttl)
	err = t.engine.record(ctx, Entry{
		Kind: EntryGrant, Run: t.run, TaskID: taskID, CallID: s.call.ID, Tool: s.call.Tool, RequestID: dec.RequestID,
		Detail: &granted, ExpiresAt: g.ExpiresAt, TokenHash: issued.Token.Fingerprint(t.engine.cfg.TokenHashKey),
	})
	if err != nil {
		return nil, err // an unrecorded token is never used
	}
	if !t.keep(g) {
		return nil, fmt.Errorf("jit: grant for %s: %w", d, ErrTaskEnded)
	}
	t.emit(Granted{About: s.aboutNow(), Detail: g.Detail, RequestID: g.RequestID, Origin: origin.String(), ExpiresAt: g.ExpiresAt})
	return g, nil
}

// granted returns what a token covers, if that lies within what was asked.
func (e *Engine) granted(issued Issued, asked rar.Detail) (rar.Detail, error) {
	if issued.Details == nil {
		return asked, nil // RFC 9396, section 7: not said means as asked
	}
	if len(issued.Details) != 1 {
		return rar.Detail{}, fmt.Errorf("%d authorization details for one that was asked", len(issued.Details))
	}
	if err := e.cfg.Rules.Within(issued.Details[0], asked); err != nil {
		return rar.Detail{}, err
	}
	return issued.Details[0], nil
}

// lifetime picks the first lifetime that was said; a server that says none gets
// the one that was asked for.
func lifetime(said ...time.Duration) time.Duration {
	for _, d := range said {
		if d > 0 {
			return d
		}
	}
	return 0
}
