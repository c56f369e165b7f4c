package jit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// request runs the whole exchange with the authorization server for one demand.
func (s *scope) request(f *flight, d rar.Checked, ahead bool) (*Grant, error) {
	t, r := s.task, s.task.requests
	id, err := t.ID(r.ctx)
	if err != nil {
		return nil, err
	}
	sent := time.Now()
	req, err := s.ask(r.ctx, id, f, d, ahead)
	if err != nil {
		return nil, err
	}
	now, _ := r.look(f)
	key := now.key
	if req.Status == StatusPending {
		polling, err := r.await(f, req.Decision)
		if err != nil {
			return nil, err
		}
		dec, err := s.poll(polling, key, d, req.Decision, sent)
		if err != nil {
			r.lapse(key, req, err) // otherwise it stays open: a later call resumes it
			return nil, err
		}
		if err := r.decided(f); err != nil {
			return nil, err
		}
		req.Decision = dec
		r.keep(key, d, req)
		s.report(key, d, dec, time.Since(req.asked))
	}
	if req.Status != StatusApproved {
		return nil, deniedError(d, req.Decision)
	}
	g, err := s.redeem(r.ctx, key, d, req.Decision)
	if _, again := temporary(err); !again {
		r.done(key)
	}
	return g, err
}

// ask sends the request, or goes on with the one that an earlier call left open,
// or repeats a denial.
func (s *scope) ask(ctx context.Context, taskID string, f *flight, d rar.Checked, ahead bool) (openRequest, error) {
	t := s.task
	now, _ := t.requests.look(f)
	key := now.key
	if open, ok := t.requests.opened(key); ok {
		req, err := s.resume(ctx, key, d, open)
		if !open.left || !errors.Is(err, ErrSpent) {
			return req, err
		} // a login, say, that nobody waits for any more: another is begun
	}
	if err := t.standing.before(key.origin, d, t.engine.cfg.Rules); err != nil {
		return openRequest{}, err
	}
	if err := t.Alive(ctx); err != nil {
		return openRequest{}, err
	}
	detail := d.Detail()
	entry := s.entry(EntryRequest)
	entry.TaskID, entry.Detail, entry.Justification = taskID, &detail, s.call.Justification
	if err := t.record(ctx, entry); err != nil {
		return openRequest{}, err
	}
	t.emit(Requested{About: s.about(), Detail: detail, Justification: s.call.Justification, Ahead: ahead})
	req := openRequest{asked: time.Now()}
	var err error
	req.Decision, err = t.engine.cfg.Authority.Request(ctx, Request{
		TaskID: taskID, Detail: detail, Justification: s.call.Justification, TTL: t.engine.cfg.TTL, For: s.purpose(key.origin),
	})
	if err == nil {
		err = identify(&req.Decision, "", taskID)
	}
	if err != nil {
		return openRequest{}, &AuthorityError{opRequest, err}
	}
	s.compare(key, d, &req.Decision)
	if req.Status == StatusPending {
		if !req.ForTask {
			key = t.requests.bind(f, s)
		}
		if !req.ExpiresAt.After(time.Now()) {
			// The server names no end, or one that has passed as soon as it is named:
			// the clocks differ.
			req.ExpiresAt = req.asked.Add(t.engine.cfg.MaxPending)
		}
	}
	t.requests.keep(key, d, req)
	s.report(key, d, req.Decision, time.Since(req.asked))
	return req, nil
}

// resume looks at once at a request that was left open: the decision may have
// come while nobody waited.
func (s *scope) resume(ctx context.Context, key grantKey, d rar.Checked, open openRequest) (openRequest, error) {
	if open.Status != StatusPending {
		return open, nil
	}
	dec, err := s.look(ctx, key, d, open.Decision)
	if err != nil {
		s.task.requests.lapse(key, open, err)
		return openRequest{}, err
	}
	open.Decision = dec
	if dec.Status == StatusPending {
		if time.Now().Before(dec.ExpiresAt) {
			return open, nil
		}
		open.Status = StatusExpired
	}
	s.task.requests.keep(key, d, open)
	s.report(key, d, open.Decision, time.Since(open.asked))
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

func deniedError(d rar.Checked, dec Decision) *DeniedError {
	return &DeniedError{RequestID: dec.RequestID, Detail: d.Detail(), Risk: dec.Risk, Status: dec.Status, Message: dec.Message, DecidedBy: dec.DecidedBy}
}

// report tells journal and observer of a decision. A crash may lose the note: a
// decision by itself lets nobody do anything, and a grant has an entry of its own.
func (s *scope) report(key grantKey, d rar.Checked, dec Decision, waited time.Duration) {
	detail := d.Detail()
	e := s.entry(EntryDecision)
	e.TaskID, e.RequestID, e.Detail, e.Status, e.URL = dec.TaskID, dec.RequestID, &detail, dec.Status, key.origin.String()
	e.Risk, e.DecidedBy, e.Message, e.ExpiresAt, e.Digest = dec.Risk, dec.DecidedBy, dec.Message, dec.ExpiresAt, key.call
	s.task.engine.note(e)
	s.task.emit(Decided{
		About: s.about(), Detail: detail, RequestID: dec.RequestID, Status: dec.Status, Risk: dec.Risk, TTL: dec.TTL,
		ExpiresAt: dec.ExpiresAt, DecideAt: dec.DecideAt, DecidedBy: dec.DecidedBy, Message: dec.Message, Waited: waited,
	})
}

// acquire returns a grant for a demand that lies within the ceiling: a live one
// that covers it, or a new one. It waits for a person's decision as long as the
// engine's Wait, the context and the request allow. Where key has a call, the grant is for
// one operation of it: it is always a new one, and nobody else gets it.
func (s *scope) acquire(ctx context.Context, key grantKey, d rar.Checked, ahead bool) (*Grant, error) {
	t, alone := s.task, key.call != ""
	for {
		if g := t.grants.covering(key, d, s); g != nil {
			return g, nil
		}
		f := t.requests.join(key, s, func(f *flight) (*Grant, error) {
			if g := t.grants.covering(key, d, s); g != nil { // it came since we looked
				return g, nil
			}
			g, err := s.request(f, d, ahead)
			if err != nil && t.requests.ctx.Err() != nil {
				err = fmt.Errorf("jit: demand for %s: %w (%v)", d.Detail(), ErrTaskEnded, err)
			}
			return g, err
		})
		if f == nil {
			return nil, fmt.Errorf("jit: demand for %s: %w", d.Detail(), ErrTaskEnded)
		}
		g, err := s.ride(ctx, f, key, d)
		if err == nil && alone && !t.requests.take(f) {
			continue // it serves another operation of this call
		}
		if !errors.Is(err, errOtherCall) {
			return g, err
		}
	}
}

// ride waits until a flight has landed. It fails with errOtherCall where that is for a
// call of which a person is told something else.
func (s *scope) ride(ctx context.Context, f *flight, key grantKey, d rar.Checked) (*Grant, error) {
	t := s.task
	defer t.requests.leave(f)
	var giveUp <-chan struct{}
	for {
		now, changed := t.requests.look(f)
		switch {
		case now.key.call != "" && now.key.call != key.call && now.key.call != s.said():
			return nil, errOtherCall
		case now.state == landed:
			if now.grant != nil {
				t.grants.admit(now.grant, s)
			}
			return now.grant, now.err
		case now.state == waiting && giveUp == nil:
			wait, cancel := context.WithTimeout(t.engine.waits, t.engine.cfg.Wait)
			defer cancel()
			giveUp = wait.Done()
		}
		select {
		case <-changed:
		case <-giveUp:
			if t.engine.cfg.DenyPending {
				return nil, deniedError(d, now.pending)
			}
			return nil, pendingError(d, now.pending)
		case <-ctx.Done():
			if open, ok := t.requests.opened(now.key); ok && open.Status == StatusPending { // and it stays so
				return nil, fmt.Errorf("%w (%w)", pendingError(d, open.Decision), whyDone(ctx))
			}
			return nil, whyDone(ctx)
		}
	}
}

// whyDone returns the error of a context that is done, with its cause if it has
// one of its own.
func whyDone(ctx context.Context) error {
	err, cause := ctx.Err(), context.Cause(ctx)
	if errors.Is(cause, err) {
		return cause
	}
	return fmt.Errorf("%w: %w", err, cause)
}

func pendingError(d rar.Checked, dec Decision) *PendingError {
	return &PendingError{
		RequestID: dec.RequestID, TaskID: dec.TaskID, Detail: d.Detail(), Risk: dec.Risk,
		ExpiresAt: dec.ExpiresAt, DecideAt: dec.DecideAt, ConsentRequired: dec.ConsentRequired,
	}
}
