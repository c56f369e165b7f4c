package jit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/jitagent/jitagent/internal/peer"
)

// An effect is what a request that is not read-only is meant to do at the API. It
// is to happen at most once, however often the request has to be sent.
type effect struct {
	key    string // Idempotency-Key
	digest string // of tool, method, URL and body; "" when the body cannot be read twice
}

// deliver hands a request on. One that may change something is known to the journal
// before it leaves, and to the API by its key.
func (a *attempt) deliver(req *http.Request, grant *Grant) (*http.Response, error) {
	if !a.safe() {
		return a.affect(req, grant)
	}
	if err := a.s.use(req.Context(), grant); err != nil {
		closeCopy(a, req)
		return nil, err
	}
	return a.read(req)
}

// read sends a request that changes nothing, again where the connection broke.
func (a *attempt) read(req *http.Request) (*http.Response, error) {
	var pause *pauses
	for {
		resp, err := a.trip(req)
		if err == nil || !peer.Broke(err).Passing() {
			return resp, err
		}
		if pause == nil {
			pause = a.pauses()
		}
		if !pause.wait(req.Context(), 0) || a.s.task.Alive(req.Context()) != nil {
			return resp, err
		}
		if req, err = a.again(req); err != nil {
			return nil, err
		}
	}
}

// affect sends a request that may change something, unless the task knows the answer.
// It is sent again only if it cannot have arrived, or under a key that the API honors.
func (a *attempt) affect(req *http.Request, grant *Grant) (resp *http.Response, err error) {
	task, ctx := a.s.task, req.Context()
	if a.effect == nil {
		a.effect = a.newEffect()
	}
	known, doubt, err := task.effects.begin(ctx, a.effect.digest, a.s.call.Repeats, a.t.HonorsIdempotencyKey)
	if err != nil || known != nil {
		closeCopy(a, req)
		if err != nil {
			return nil, err
		}
		return a.repeated(known)
	}
	var done *answer
	defer func() { task.effects.end(a.effect.digest, done, doubt) }()
	if doubt != nil {
		if !a.t.HonorsIdempotencyKey && a.req.Response == nil { // which is set where a redirect is followed
			closeCopy(a, req)
			a.s.addDoubt(doubt) // asking again does not make it known
			return nil, doubt
		}
		a.effect.key = doubt.IdempotencyKey // it is the same effect, so the API must see the same key
		a.lost = true
	}
	a.setKey(req.Header)
	if err := a.s.use(ctx, grant, a.entry(EntryCallSent)); err != nil {
		closeCopy(a, req)
		return nil, err
	}
	pause := a.pauses()
	for {
		resp, err := a.trip(req)
		fault := err
		if err == nil && resp != nil && a.t.HonorsIdempotencyKey && !refused(resp) { // a refusal is read with bounds of its own
			_, fault = peer.Peek(resp, maxKept, bodyWait) // of an answer that breaks off, nobody has seen a part
		}
		again, after := a.retryable(resp, fault, pause.tries)
		if again {
			a.lost = a.lost || resp != nil || !peer.NeverSent(err)
			next, fault := a.again(req)
			if again = fault == nil && pause.wait(ctx, after) && task.aliveNow(ctx) == nil; again {
				if resp != nil {
					peer.Drain(resp)
				}
				req = next
				continue
			}
		}
		resp, left, err := a.outcome(ctx, resp, err)
		switch {
		case left != nil:
			doubt = left
		case doubt != nil && resp != nil && !refused(resp): // the API has answered under the key
			doubt = nil
			a.s.clearDoubt(a.effect.key)
			task.emit(Cleared{About: a.s.about(), IdempotencyKey: a.effect.key})
		}
		if done = answerOf(resp); done != nil {
			a.s.did.Store(true)
		}
		if done != nil && grant != nil {
			done.under = &grant.covers
		}
		if done != nil && resp.Body != nil {
			resp.Body = &keptBody{ReadCloser: resp.Body, effects: &task.effects, answer: done}
		} else if done != nil {
			close(done.whole)
		}
		return resp, err
	}
}

// answeredBefore returns the answer to an effect that is not to be sent again, for which
// nobody need be asked; nil where there is none.
func (a *attempt) answeredBefore() (*http.Response, error) {
	if a.safe() || a.s.call.Repeats || a.s.task.ended.Load() {
		return nil, nil
	}
	a.effect = a.newEffect()
	if known := a.s.task.effects.answered(a.effect.digest, a.t.HonorsIdempotencyKey); known != nil {
		return a.repeated(known)
	}
	return nil, nil
}

// repeated answers the request as it was answered the first time, unless a call under
// another task had authority for it that this one may not have.
func (a *attempt) repeated(known *answer) (*http.Response, error) {
	if known.under != nil {
		if _, err := a.s.task.within(*known.under, a.s.ceiling()); err != nil {
			return nil, a.s.block(known.under.Detail(), err)
		}
	}
	a.s.task.emit(Repeated{About: a.s.about(), Method: a.req.Method, URL: a.shown(), StatusCode: known.status})
	return known.response(a.req)
}

// closeCopy closes the body of a request that is not sent, if it is a copy of ours.
func closeCopy(a *attempt, req *http.Request) {
	if a.sent && req.Body != nil {
		_ = req.Body.Close()
	}
}

// retryable reports whether an effect's request may be sent again after this
// answer or error, and the least wait before it.
func (a *attempt) retryable(resp *http.Response, err error, tries int) (bool, time.Duration) {
	switch {
	case err != nil && (a.t.HonorsIdempotencyKey || peer.NeverSent(err)):
		return peer.Broke(err).Passing(), 0
	case err != nil || resp == nil || !a.t.HonorsIdempotencyKey:
		return false, 0
	}
	wait, _ := peer.RetryAfter(resp.Header, time.Now())
	switch resp.StatusCode {
	case http.StatusConflict:
		// Under our own key: an earlier try is still being worked on. A first try that
		// conflicts with something else has its answer.
		return tries > 0, wait
	case http.StatusRequestTimeout, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, wait
	}
	return false, 0
}

// outcome records what became of an effect's request, and turns an answer that is
// lost for good into a [InDoubtError], which is the doubt.
func (a *attempt) outcome(ctx context.Context, resp *http.Response, err error) (_ *http.Response, doubt *InDoubtError, _ error) {
	entry := a.entry(EntryCallReturned)
	if resp != nil {
		entry.HTTPStatus = resp.StatusCode
	}
	switch {
	case err != nil && peer.NeverSent(err) && !a.lost:
		entry.Outcome, entry.Error = OutcomeNotSent, a.s.task.Scrub(err.Error())
	case err == nil && resp == nil:
		err = errors.New("the base transport returned neither a response nor an error")
		fallthrough
	case err != nil:
		doubt = a.inDoubt(ctx, entry.HTTPStatus, err)
		return nil, doubt, doubt
	case refused(resp) && !a.lost:
		entry.Outcome = OutcomeRefused
	default:
		if why := a.doubtful(resp); why != nil {
			return resp, a.inDoubt(ctx, resp.StatusCode, why), nil
		}
		entry.Outcome = OutcomeAnswered
	}
	a.s.task.engine.note(entry)
	return resp, nil, err
}

// doubtful returns why an answer leaves open if the effect happened, or nil. 2xx and
// 303 say that it did (RFC 9110, section 15.4.4), and 4xx that it did not, but for 408,
// and, after a try whose answer was lost, for those that are about the later try alone.
// All else leaves it open: what failed (5xx) may have failed after the effect, a gateway
// answers in the API's place, and some APIs send another redirect where they mean 303.
func (a *attempt) doubtful(resp *http.Response) error {
	switch code := resp.StatusCode; {
	case code/100 == 2, code == http.StatusSeeOther:
		return nil
	case code == http.StatusRequestTimeout:
	case refused(resp), code == http.StatusConflict, code == http.StatusTooEarly, code == http.StatusTooManyRequests:
		if !a.lost {
			return nil
		}
	case code/100 == 4:
		return nil
	}
	return fmt.Errorf("the API answered %d, which does not say whether it took effect", resp.StatusCode)
}

// inDoubt records that nobody knows whether the effect happened.
func (a *attempt) inDoubt(ctx context.Context, status int, cause error) *InDoubtError {
	task := a.s.task
	e := &InDoubtError{
		Tool: a.s.call.Tool, CallID: a.s.call.ID, Method: a.req.Method, URL: a.shown(),
		IdempotencyKey: a.effect.key, StatusCode: status, Err: cause,
	}
	a.s.addDoubt(e)
	entry := a.entry(EntryCallReturned)
	entry.Outcome, entry.HTTPStatus, entry.Error = OutcomeInDoubt, status, task.Scrub(cause.Error())
	if err := task.record(context.WithoutCancel(ctx), entry); err != nil {
		task.engine.log.WarnContext(ctx, "lost answer without a journal entry", "call_id", a.s.call.ID, "error", err)
	}
	task.emit(LeftInDoubt{About: a.s.about(), Method: e.Method, URL: e.URL, IdempotencyKey: e.IdempotencyKey, Error: entry.Error})
	return e
}

// entry is a journal entry about the attempt's request.
func (a *attempt) entry(kind EntryKind) Entry {
	e := a.s.entry(kind)
	e.Method, e.URL, e.RequestID = a.req.Method, a.shown(), a.using
	if a.effect != nil {
		e.IdempotencyKey, e.Effect = a.effect.key, a.effect.digest
	}
	return e
}

// again copies req for another try, with a new body.
func (a *attempt) again(req *http.Request) (*http.Request, error) {
	if !a.replayable() {
		return nil, a.errorf("%w", ErrNotReplayable)
	}
	next := new(http.Request)
	*next = *req
	if a.req.GetBody != nil && a.req.Body != nil {
		body, err := a.req.GetBody()
		if err != nil {
			return nil, a.errorf("body for another try: %w", err)
		}
		next.Body = body
	}
	return next, nil
}

// setKey sets the Idempotency-Key: the caller's, or the effect's own.
//
// The name is in lower case on purpose, which on the wire means the same. Under
// its canonical name net/http takes the header as leave to send the request again
// by itself when a connection breaks (golang.org/issue/19943). Whether the API
// honors the key is for the Transport to say, and a second effect without a word
// is what must not happen.
func (a *attempt) setKey(h http.Header) {
	for name := range h {
		if strings.EqualFold(name, HeaderIdempotencyKey) {
			delete(h, name)
		}
	}
	h[strings.ToLower(HeaderIdempotencyKey)] = []string{a.effect.key}
}

// newEffect names the effect of the attempt's request. A client that follows a redirect
// is still at the first request's.
func (a *attempt) newEffect() *effect {
	first := a.req
	for r := first.Response; r != nil && r.Request != nil && a.t.concerns(r.Request); r = first.Response {
		first = r.Request
	}
	e := a.s.effectOf(first)
	if own, ok := field(a.req.Header, HeaderIdempotencyKey); ok && own != "" {
		e.key = own
	}
	return &e
}

// pauses are the waits between the tries of one request.
type pauses struct {
	most  int
	tries int
	next  backoff.ExponentialBackOff
}

func (a *attempt) pauses() *pauses {
	p := &pauses{most: a.s.task.engine.cfg.Attempts - 1}
	p.next = backoff.ExponentialBackOff{InitialInterval: 50 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 3, MaxInterval: 5 * time.Second}
	return p
}

// maxRetryAfter bounds the wait that a server can ask for: a call is worth no more.
const maxRetryAfter = 30 * time.Second

// wait waits before another try. It reports false when there is to be none.
func (p *pauses) wait(ctx context.Context, least time.Duration) bool {
	if p.tries >= p.most || least > maxRetryAfter {
		return false
	}
	if p.tries == 0 {
		p.next.Reset()
	}
	p.tries++
	timer := time.NewTimer(max(least, p.next.NextBackOff()))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
