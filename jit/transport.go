package jit

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/jitagent/jitagent/jit/challenge"
)

// maxHeaderBytes bounds a whole response header. net/http's own bound is 10 MiB.
const maxHeaderBytes = 256 << 10

// HeaderIdempotencyKey names the header that lets an API recognise a repeated
// request (draft-ietf-httpapi-idempotency-key-header).
const HeaderIdempotencyKey = "Idempotency-Key"

// A Transport is an [http.RoundTripper] that obtains authority for requests to
// one origin when the API demands it. It works in any http.Client. The request's
// context must come from [Task.Call]; without one, and for every other origin,
// requests pass unchanged and without credentials. A Transport is safe for
// concurrent use.
//
// Where it departs from the RoundTripper contract: after a refusal whose demand
// cannot be met it returns an error and no response, so that the reason is not
// lost; and one RoundTrip may send the request more than once. It sends the
// request again only after a refusal, only with a replayable body, and with the
// same Idempotency-Key.
//
// Leave http.Client.Timeout at zero where a person may have to decide: it runs
// during the wait. Bound the call by its context.
type Transport struct {
	// Origin is the one origin that credentials go to. A Transport with the zero
	// Origin never sends any.
	Origin Origin
	// Base makes the round trips. nil means a transport of the package that caps
	// response headers at 256 KiB.
	Base http.RoundTripper
}

var _ http.RoundTripper = (*Transport)(nil)

var defaultBase = sync.OnceValue(func() http.RoundTripper {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport // someone replaced it, and means it
	}
	t := base.Clone()
	t.MaxResponseHeaderBytes = maxHeaderBytes
	t.MaxIdleConnsPerHost = 64 // parallel calls to one API are the normal case
	return t
})

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return defaultBase()
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	s := scopeOf(req.Context())
	if s == nil || !t.Origin.Contains(req.URL) {
		return t.base().RoundTrip(req)
	}
	resp, err := t.roundTrip(req, s)
	if err != nil && req.Body != nil {
		_ = req.Body.Close() // RoundTrip closes it in every case; closing twice is harmless
	}
	return resp, err
}

func (t *Transport) roundTrip(req *http.Request, s *scope) (*http.Response, error) {
	if req.Header.Get("Authorization") != "" {
		return nil, errors.New("jit: the request has an Authorization header of its own")
	}
	k := kindOf(s.call.Tool, req, t.Origin, s.call.Ceiling)
	grant, err := t.ahead(req.Context(), s, k)
	if err != nil {
		return nil, err
	}
	a := attempt{t: t, s: s, req: req}
	for try := 0; ; try++ {
		resp, err := a.send(grant)
		if err != nil || !refused(resp) {
			return resp, err
		}
		// Reading the refusal uses the response up only if there is a demand.
		ch, err := readChallenge(resp)
		if errors.Is(err, challenge.ErrNone) {
			if resp.StatusCode == http.StatusUnauthorized && grant != nil && try < s.task.engine.cfg.MaxEscalations && a.replayable() {
				// The token expired or was revoked. Start over without it.
				s.task.drop(grant)
				drain(resp)
				grant = nil
				continue
			}
			return resp, nil
		}
		drain(resp)
		if err != nil {
			return nil, fmt.Errorf("jit: %s %s: unreadable demand: %w", req.Method, shown(req.URL), err)
		}
		if try >= s.task.engine.cfg.MaxEscalations {
			return nil, fmt.Errorf("jit: %s %s: %w after %d tries", req.Method, shown(req.URL), ErrStillRefused, try+1)
		}
		if grant, err = a.escalate(resp.StatusCode, ch, grant, k); err != nil {
			return nil, err
		}
	}
}

// ahead picks the credential for the first attempt: a live grant that covers what
// this kind of call is known to need, or, where none does, one asked for ahead of
// the refusal. nil means the base token.
func (t *Transport) ahead(ctx context.Context, s *scope, k kind) (*Grant, error) {
	need, known := s.task.expect(k, s.call.Ceiling)
	if !known {
		return s.task.covering(t.Origin, s.call.Ceiling, nil), nil
	}
	if g := s.task.covering(t.Origin, s.call.Ceiling, &need); g != nil {
		return g, nil
	}
	return s.acquire(ctx, t.Origin, need, true)
}

// An attempt sends one request, perhaps several times.
type attempt struct {
	t    *Transport
	s    *scope
	req  *http.Request
	sent bool
	key  string // Idempotency-Key, made on first use
}

func (a *attempt) replayable() bool {
	return a.req.Body == nil || a.req.Body == http.NoBody || a.req.GetBody != nil
}

// send makes one round trip with the grant's token, or the base token.
func (a *attempt) send(grant *Grant) (*http.Response, error) {
	ctx := a.req.Context()
	var auth []string
	if grant != nil {
		auth = grant.header
	} else {
		base, err := a.s.task.baseToken(ctx)
		if err != nil {
			return nil, err
		}
		auth = bearer(base)
	}
	req := new(http.Request)
	*req = *a.req // shallow: only the header and the body are our own
	req.Header = make(http.Header, len(a.req.Header)+2)
	for name, values := range a.req.Header {
		req.Header[name] = values
	}
	req.Header["Authorization"] = auth
	if a.sent && a.req.GetBody != nil {
		body, err := a.req.GetBody()
		if err != nil {
			return nil, fmt.Errorf("jit: %s %s: body for another try: %w", req.Method, shown(req.URL), err)
		}
		req.Body = body
	}
	a.sent = true
	if safe(req.Method) {
		return a.t.base().RoundTrip(req)
	}
	return a.sendEffect(ctx, req)
}

// sendEffect sends a request that may change something: known to the journal
// before it leaves, and to the API by its key.
func (a *attempt) sendEffect(ctx context.Context, req *http.Request) (*http.Response, error) {
	if a.key == "" {
		if a.key = a.req.Header.Get(HeaderIdempotencyKey); a.key == "" {
			a.key = a.s.effectKey(a.req)
		}
	}
	req.Header[HeaderIdempotencyKey] = []string{a.key}
	entry := Entry{
		Kind: EntryCallSent, Run: a.s.task.run, TaskID: a.s.task.knownID(), CallID: a.s.call.ID, Tool: a.s.call.Tool,
		IdempotencyKey: a.key, Method: req.Method, URL: shown(req.URL),
	}
	if err := a.s.task.engine.record(ctx, entry); err != nil {
		return nil, err
	}
	resp, err := a.t.base().RoundTrip(req)
	entry.Kind = EntryCallReturned
	if err != nil {
		entry.Error = a.s.task.Scrub(err.Error())
	} else {
		entry.HTTPStatus = resp.StatusCode
	}
	if jerr := a.s.task.engine.record(context.WithoutCancel(ctx), entry); jerr != nil {
		a.s.task.engine.log.WarnContext(ctx, "call returned without a journal entry", "call_id", a.s.call.ID, "error", jerr)
	}
	return resp, err
}

// escalate turns a demand into a grant, or into the reason why not.
func (a *attempt) escalate(status int, ch *challenge.Challenge, used *Grant, k kind) (*Grant, error) {
	s, req := a.s, a.req
	s.task.emit(Refused{
		About: s.aboutNow(), Method: req.Method, URL: shown(req.URL), StatusCode: status, Demanded: ch.Details,
	})
	if len(ch.Details) > 1 {
		return nil, a.severalDemands(ch)
	}
	d := ch.Details[0]
	index, err := s.checkCeiling(d)
	if err != nil {
		return nil, err
	}
	if !a.replayable() {
		return nil, fmt.Errorf("jit: %s %s: %w", req.Method, shown(req.URL), ErrNotReplayable)
	}
	s.task.remember(k, demand{asked: d, ceiling: s.call.Ceiling[index], index: index})
	if used != nil && s.task.engine.cfg.Rules.Within(d, used.Detail) == nil {
		s.task.drop(used) // it should have been enough: it is void at the API
	}
	return s.acquire(req.Context(), a.t.Origin, d, false)
}

// severalDemands refuses a demand for several details at once. One request grants
// one detail and one call carries one token, so no number of requests would
// satisfy it.
func (a *attempt) severalDemands(ch *challenge.Challenge) error {
	for _, d := range ch.Details {
		if _, err := a.s.checkCeiling(d); err != nil {
			return err
		}
	}
	return fmt.Errorf("jit: %s %s: the API demands %d authorization details at once; one token carries one",
		a.req.Method, shown(a.req.URL), len(ch.Details))
}

// safe reports whether a method is read-only (RFC 9110, section 9.2.1).
func safe(method string) bool {
	switch method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return false
}

func refused(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
}

// readChallenge decodes the demand in a refusal. When there is none it returns
// [challenge.ErrNone] and leaves the response as it was, body included. The body
// is read only when the header does not say all.
func readChallenge(resp *http.Response) (*challenge.Challenge, error) {
	var body []byte
	if len(resp.Header.Values(challenge.Header)) == 0 {
		var err error
		body, err = io.ReadAll(io.LimitReader(resp.Body, challenge.MaxBody+1))
		resp.Body = rejoined{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
		if err != nil || len(body) > challenge.MaxBody {
			body = nil // no demand is that long
		}
	}
	return challenge.Parse(resp.StatusCode, resp.Header, body)
}

// rejoined is a body whose start was read and put back.
type rejoined struct {
	io.Reader
	io.Closer
}

// drain frees the connection of a response that nobody will read, unless that
// means reading more than is worth it.
func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, challenge.MaxBody)
	_ = resp.Body.Close()
}

// shown is a URL for people: without query, fragment and user information, where
// secrets hide.
func shown(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}
