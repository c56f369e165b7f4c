package jit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
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
	if _, err := s.checkCeiling(Origin{}, detail); err != nil {
		return nil, err
	}
	return s.acquire(ctx, Origin{}, detail, true)
}

// checkCeiling returns which element of the ceiling holds d. It refuses, and
// reports, a demand outside the ceiling, and one that the API at origin makes for
// another origin's resources.
func (s *scope) checkCeiling(origin Origin, d rar.Detail) (index int, err error) {
	index, err = s.task.engine.within(d, s.call.Ceiling)
	if err == nil {
		err = elsewhere(origin, d)
	}
	if err == nil {
		return index, nil
	}
	s.task.engine.note(Entry{
		Kind: EntryBlocked, Run: s.task.run, TaskID: s.task.knownID(), CallID: s.call.ID, Tool: s.call.Tool, Detail: &d, Error: err.Error(),
	})
	s.task.emit(Blocked{About: s.aboutNow(), Demanded: d, Reason: err.Error()})
	return -1, &EnvelopeError{Tool: s.call.Tool, CallID: s.call.ID, Demanded: d, Reason: err}
}

// elsewhere reports a location of d at another origin than o. A ceiling may name
// two APIs; a token for the one, asked for on the word of the other, would then
// be sent to that other. Locations that are no web addresses (RFC 9396, section
// 2.2, leaves that open) are left to the ceiling.
func elsewhere(o Origin, d rar.Detail) error {
	if o == (Origin{}) {
		return nil // Acquire: what the tool itself asks for is sent nowhere
	}
	for _, location := range d.Locations {
		u, err := url.Parse(location)
		if err != nil {
			return errors.New("a location is no URI")
		}
		if (u.Host != "" || u.Scheme == "https" || u.Scheme == "http") && !o.Contains(u) {
			return fmt.Errorf("a location is at another origin than %s", o)
		}
	}
	return nil
}

func (s *scope) aboutNow() About {
	a := s.about()
	a.Time = time.Now()
	return a
}

// acquire returns a grant for a demand that lies within the ceiling: a live one
// that covers it, or a new one. It waits for a person's decision as long as the
// engine's Wait, the context and the request allow.
func (s *scope) acquire(ctx context.Context, origin Origin, d rar.Detail, ahead bool) (*Grant, error) {
	key, err := keyOf(origin, d)
	if err != nil {
		return nil, fmt.Errorf("jit: demand: %w", err)
	}
	if g := s.task.covering(key, d, s.call.Ceiling); g != nil {
		return g, nil
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
			if open, ok := s.task.openRequest(key); ok && open.Status == StatusPending { // and it stays so
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

func pendingError(d rar.Detail, dec Decision) *PendingError {
	return &PendingError{
		RequestID: dec.RequestID, TaskID: dec.TaskID, Detail: d, Risk: dec.Risk,
		ExpiresAt: dec.ExpiresAt, DecideAt: dec.DecideAt, ConsentRequired: dec.ConsentRequired,
	}
}

// report tells journal and observer of a decision. A crash may lose the note: a
// decision by itself lets nobody do anything, and a grant has an entry of its own.
func (s *scope) report(d rar.Detail, dec Decision, waited time.Duration) {
	t := s.task
	t.engine.note(Entry{
		Kind: EntryDecision, Run: t.run, TaskID: dec.TaskID, CallID: s.call.ID, Tool: s.call.Tool, RequestID: dec.RequestID,
		Detail: &d, Status: dec.Status, Risk: dec.Risk, DecidedBy: dec.DecidedBy, Message: dec.Message, ExpiresAt: dec.ExpiresAt,
	})
	t.emit(Decided{
		About: s.aboutNow(), Detail: d, RequestID: dec.RequestID, Status: dec.Status, Risk: dec.Risk, TTL: dec.TTL,
		ExpiresAt: dec.ExpiresAt, DecideAt: dec.DecideAt, DecidedBy: dec.DecidedBy, Message: dec.Message, Waited: waited,
	})
}

// redeem fetches the token of an approved request and checks what it covers.
func (s *scope) redeem(ctx context.Context, key grantKey, d rar.Detail, dec Decision) (*Grant, error) {
	t := s.task
	start := time.Now()
	issued, err := t.engine.cfg.Authority.Token(ctx, dec.RequestID)
	if err != nil {
		return nil, &AuthorityError{opToken, err}
	}
	t.secrets.add(issued.Token)
	ttl := lifetime(issued.ExpiresIn, dec.TTL, t.engine.cfg.TTL)
	t.mu.Lock()
	t.issued = append(t.issued, start.Add(ttl)) // used or not, it is alive
	t.mu.Unlock()
	if err := usable(issued, dec); err != nil {
		return nil, &AuthorityError{opToken, err}
	}
	granted, err := t.engine.granted(issued, d)
	if err != nil {
		return nil, &OvergrantError{RequestID: dec.RequestID, Asked: d, Reason: err}
	}
	issued.TaskID, issued.RequestID = dec.TaskID, dec.RequestID
	g := newGrant(issued, granted, key, start, ttl)
	err = t.engine.record(ctx, Entry{
		Kind: EntryGrant, Run: t.run, TaskID: g.TaskID, CallID: s.call.ID, Tool: s.call.Tool, RequestID: dec.RequestID,
		Detail: &granted, ExpiresAt: g.ExpiresAt, TokenHash: issued.Token.Fingerprint(t.engine.cfg.TokenHashKey),
	})
	if err != nil {
		return nil, err // an unrecorded token is never used
	}
	if !t.keep(g) {
		return nil, fmt.Errorf("jit: grant for %s: %w", d, ErrTaskEnded)
	}
	t.emit(Granted{About: s.aboutNow(), Detail: g.Detail, RequestID: g.RequestID, Origin: key.origin.String(), ExpiresAt: g.ExpiresAt})
	return g, nil
}

// usable reports why a token cannot be sent as a bearer token, or is not the one
// that was asked for. One under another task would outlive this one.
func usable(issued Issued, dec Decision) error {
	switch {
	case issued.Token.IsZero():
		return errors.New("it is empty")
	case issued.Type != "" && !strings.EqualFold(issued.Type, "Bearer"):
		return errors.New("it is not a bearer token") // RFC 6749, section 7.1
	case issued.RequestID != "" && issued.RequestID != dec.RequestID:
		return errors.New("it belongs to another request")
	case issued.TaskID != "" && issued.TaskID != dec.TaskID:
		return errors.New("it belongs to another task")
	}
	return nil
}

// granted returns what a token covers, if that lies within what was asked.
func (e *Engine) granted(issued Issued, asked rar.Detail) (rar.Detail, error) {
	if issued.Details == nil {
		return asked, nil // RFC 9396, section 7: not said means as asked
	}
	if len(issued.Details) != 1 {
		return rar.Detail{}, fmt.Errorf("%d authorization details for one that was asked", len(issued.Details))
	}
	if _, err := e.withinAny(issued.Details[0], []rar.Detail{asked}); err != nil {
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
