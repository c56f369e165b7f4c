package jit

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// An effect is what a request that is not read-only is meant to do at the API. It
// is to happen at most once, however often the request has to be sent.
type effect struct {
	key    string // Idempotency-Key
	digest string // of tool, method, URL and body; "" when the body cannot be read twice
}

// maxKept bounds how much of an answer to an effect is read before it is handed
// on, so that an answer that breaks off can be asked for again.
const maxKept = 1 << 20

// deliver hands a request on. One that may change something is known to the journal
// before it leaves, and to the API by its key.
func (a *attempt) deliver(req *http.Request) (*http.Response, error) {
	if safe(req.Method) {
		return a.read(req)
	}
	return a.affect(req)
}

// read sends a request that changes nothing, again where the connection broke.
func (a *attempt) read(req *http.Request) (*http.Response, error) {
	var pause *pauses
	for {
		a.sent = true
		resp, err := a.t.base().RoundTrip(req)
		if err == nil || !brokeOff(err) {
			return resp, err
		}
		if pause == nil {
			pause = a.pauses()
		}
		if !pause.wait(req.Context(), 0) {
			return resp, err
		}
		if req, err = a.again(req); err != nil {
			return nil, err
		}
	}
}

// affect sends a request that may change something. It is sent again only if it
// cannot have arrived, or under a key that the API honours.
func (a *attempt) affect(req *http.Request) (*http.Response, error) {
	task, ctx := a.s.task, req.Context()
	if a.effect == nil {
		e := a.newEffect()
		a.effect = &e
	}
	if lost := task.lostEffect(a.effect.digest); lost != nil {
		if !a.t.HonoursIdempotencyKey {
			a.s.lose(lost) // asking again does not make it known
			return nil, lost
		}
		a.effect.key = lost.IdempotencyKey // it is the same effect, so the API must see the same key
	}
	a.setKey(req.Header)
	if err := task.engine.record(ctx, a.entry(EntryCallSent)); err != nil {
		if a.sent && req.Body != nil {
			_ = req.Body.Close() // our copy
		}
		return nil, err
	}
	pause := a.pauses()
	for {
		a.sent = true
		resp, err := a.t.base().RoundTrip(req)
		if err == nil && resp != nil && a.t.HonoursIdempotencyKey {
			err = keepBody(resp)
		}
		retry, after := a.retryable(resp, err, pause.tries)
		if !retry {
			return a.outcome(ctx, resp, err)
		}
		next, rerr := a.again(req)
		if rerr != nil || !pause.wait(ctx, after) {
			return a.outcome(ctx, resp, err)
		}
		if resp != nil {
			drain(resp)
		}
		req = next
	}
}

// retryable reports whether an effect's request may be sent again after this
// answer or error, and the least wait before it.
func (a *attempt) retryable(resp *http.Response, err error, tries int) (bool, time.Duration) {
	switch {
	case err != nil && neverSent(err):
		return brokeOff(err), 0
	case !a.t.HonoursIdempotencyKey:
		return false, 0
	case err != nil:
		return brokeOff(err), 0
	case resp == nil:
		return false, 0
	}
	switch resp.StatusCode {
	case http.StatusConflict:
		// Under our own key: an earlier try is still being worked on. A first try that
		// conflicts with something else has its answer.
		return tries > 0, retryAfter(resp)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, retryAfter(resp)
	}
	return false, 0
}

// outcome records what became of an effect's request, and turns an answer that is
// lost for good into a [MaybeExecutedError].
func (a *attempt) outcome(ctx context.Context, resp *http.Response, err error) (*http.Response, error) {
	entry := a.entry(EntryCallReturned)
	if resp != nil {
		entry.HTTPStatus = resp.StatusCode
	}
	switch {
	case err != nil && neverSent(err):
		entry.Outcome, entry.Error = OutcomeNotSent, a.s.task.Scrub(err.Error())
	case err != nil:
		return nil, a.lost(ctx, entry.HTTPStatus, err)
	case resp == nil:
		return nil, a.lost(ctx, 0, errors.New("the base transport returned neither a response nor an error"))
	case refused(resp):
		entry.Outcome = OutcomeRefused
	case a.doubtful(resp):
		_ = a.lost(ctx, resp.StatusCode, errors.New("a gateway answered in the API's place"))
		return resp, nil
	default:
		entry.Outcome = OutcomeAnswered
		a.settle()
		if !a.t.HonoursIdempotencyKey && resp.Body != nil {
			resp.Body = &effectBody{ReadCloser: resp.Body, attempt: a, ctx: ctx, status: resp.StatusCode}
		}
	}
	a.s.task.engine.note(entry)
	return resp, err
}

// doubtful reports whether an answer leaves open if the API got the request: a
// gateway made it (RFC 9110, sections 15.6.3 and 15.6.5), or, after a try whose
// answer was lost, it says only that the key is in use.
func (a *attempt) doubtful(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusBadGateway, http.StatusGatewayTimeout:
		return true
	case http.StatusConflict, http.StatusServiceUnavailable:
		return a.resent
	}
	return false
}

// lost records that nobody knows whether the effect happened.
func (a *attempt) lost(ctx context.Context, status int, cause error) *MaybeExecutedError {
	task := a.s.task
	e := &MaybeExecutedError{
		Tool: a.s.call.Tool, CallID: a.s.call.ID, Method: a.req.Method, URL: a.shown(),
		IdempotencyKey: a.effect.key, StatusCode: status, Err: cause,
	}
	task.remindLost(a.effect.digest, e)
	a.s.lose(e)
	entry := a.entry(EntryCallReturned)
	entry.Outcome, entry.HTTPStatus, entry.Error = OutcomeMaybeExecuted, status, task.Scrub(cause.Error())
	if err := task.engine.record(context.WithoutCancel(ctx), entry); err != nil {
		task.engine.log.WarnContext(ctx, "lost answer without a journal entry", "call_id", a.s.call.ID, "error", err)
	}
	task.emit(Uncertain{About: a.s.aboutNow(), Method: e.Method, URL: e.URL, IdempotencyKey: e.IdempotencyKey, Error: entry.Error})
	return e
}

// settle takes back what lost said, if it did: the API has answered under the key.
func (a *attempt) settle() {
	a.s.settle(a.effect.key)
	if a.s.task.forgetLost(a.effect.digest) {
		a.s.task.emit(Settled{About: a.s.aboutNow(), IdempotencyKey: a.effect.key})
	}
}

// entry is a journal entry about the attempt's effect.
func (a *attempt) entry(kind EntryKind) Entry {
	t := a.s.task
	return Entry{
		Kind: kind, Run: t.run, TaskID: t.knownID(), CallID: a.s.call.ID, Tool: a.s.call.Tool,
		IdempotencyKey: a.effect.key, Method: a.req.Method, URL: a.shown(), RequestID: a.using,
	}
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
	a.resent = true
	return next, nil
}

// setKey sets the Idempotency-Key: the caller's, or the effect's own.
//
// The name is in lower case on purpose, which on the wire means the same. Under
// its canonical name net/http takes the header as leave to send the request again
// by itself when a connection breaks (golang.org/issue/19943). Whether the API
// honours the key is for the Transport to say, and a second effect without a word
// is what must not happen.
func (a *attempt) setKey(h http.Header) {
	for name := range h {
		if strings.EqualFold(name, HeaderIdempotencyKey) {
			delete(h, name)
		}
	}
	h[strings.ToLower(HeaderIdempotencyKey)] = []string{a.effect.key}
}

// newEffect names the effect of the attempt's request.
func (a *attempt) newEffect() effect {
	e := a.s.effectOf(a.req)
	if own, ok := field(a.req.Header, HeaderIdempotencyKey); ok && own != "" {
		e.key = own
	}
	return e
}

// pauses are the waits between the tries of one request.
type pauses struct {
	most  int
	tries int
	next  backoff.ExponentialBackOff
}

func (a *attempt) pauses() *pauses {
	p := &pauses{most: a.s.task.engine.cfg.MaxResends}
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

// neverSent reports whether err came before any byte of the request could leave.
func neverSent(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// brokeOff reports whether err is a fault of the connection, which another one may
// not have. The end of a context, a certificate that is not trusted and a malformed
// answer are none.
func brokeOff(err error) bool {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return false
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}

// retryAfter is the wait that an answer asks for in seconds (RFC 9110, section
// 10.2.3); a date counts as none.
func retryAfter(resp *http.Response) time.Duration {
	d, err := time.ParseDuration(resp.Header.Get("Retry-After") + "s")
	if err != nil || d < 0 {
		return 0
	}
	return d
}
