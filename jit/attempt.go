package jit

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

// An attempt sends one request, perhaps several times.
type attempt struct {
	t    *Transport
	s    *scope
	req  *http.Request
	sent bool // the request's own body was handed on

	effect *effect    // of a request that is not read-only; nil until it is sent
	lost   bool       // the answer to an earlier sending, so that it may have taken effect
	using  string     // the request whose grant is sent; "" for the base token
	sends  Credential // what the request was last sent with
	asked  string     // what a grant was last obtained for, as the API names it
	scopes []string   // of grants that the API refused for want of others

	answered chan struct{} // to be closed at the first answer, since others wait for it; nil otherwise
}

func (a *attempt) roundTrip() (*http.Response, error) {
	if _, own := field(a.req.Header, "Authorization"); own {
		return nil, a.errorf("the request has an Authorization header of its own")
	}
	if resp, err := a.answeredBefore(); resp != nil || err != nil {
		return resp, err
	}
	defer a.firstAnswer()
	exact := exactKind(a.s.call.Tool, a.req, a.t.Origin)
	grant, err := a.ahead(exact)
	if err != nil {
		return nil, err
	}
	limit := a.s.task.engine.cfg.MaxEscalations
	for try := 0; ; try++ {
		resp, err := a.send(grant)
		if errors.Is(err, errUsedUp) { // by others, since it was found
			if grant, err = a.s.acquire(a.req.Context(), grant.key, grant.covers, true); err != nil {
				return nil, err
			}
			try--
			continue
		}
		if err != nil || !refused(resp) {
			return resp, err
		}
		// Reading the refusal uses the response up only if there is a demand.
		ch, err := a.readChallenge(resp)
		ch, err = a.discover(resp, ch, err)
		if errors.Is(err, challenge.ErrNone) {
			if code := dpop.Refused(resp); code != "" && a.bound() {
				peer.Drain(resp)
				why := "the API refuses the proof that the token's key made: " + code
				a.refusal(resp.StatusCode, nil, why)
				return nil, a.errorf("%s", why)
			}
			if resp.StatusCode == http.StatusUnauthorized && grant != nil && try < limit && a.replayable() {
				// The token expired or was revoked. Start over without it.
				a.s.task.grants.drop(grant)
				peer.Drain(resp)
				grant = nil
				continue
			}
			return resp, nil
		}
		peer.Drain(resp)
		if err != nil {
			if kind := refusalKind(err); kind != nil {
				a.refusal(resp.StatusCode, nil, strings.TrimPrefix(err.Error(), "challenge: "))
				err = a.errorf("%w: %w", kind, err)
			}
			return nil, err
		}
		if try >= limit {
			return nil, a.errorf("%w after %d tries", ErrStillRefused, try+1)
		}
		if grant, err = a.escalate(resp.StatusCode, ch, grant, exact); err != nil {
			return nil, err
		}
	}
}

// errorf words an error about the request.
func (a *attempt) errorf(format string, args ...any) error {
	return fmt.Errorf("jit: %s %s: "+format, append([]any{a.req.Method, a.shown()}, args...)...)
}

// ahead picks the credential for the first attempt: a live grant that covers what
// this kind of call is known to need, or, where there is none, one asked for ahead
// of the refusal. nil means the base token, for a kind that nothing is known of: an
// endpoint that never demanded anything may not know the narrow token of another.
func (a *attempt) ahead(exact kind) (*Grant, error) {
	task, ceiling := a.s.task, a.s.call.Ceiling
	if g := task.grants.lastServed(exact, a.s); g != nil {
		return g, nil
	}
	k, named := kindOf(exact, ceiling)
	need, known := task.endpoints.expect(task, k, named, a.s.ceiling())
	if !known && len(ceiling) > 0 {
		var err error
		if a.answered, err = task.endpoints.goFirst(a.req.Context(), k); err != nil {
			return nil, err
		} else if a.answered == nil { // another went first
			need, known = task.endpoints.expect(task, k, named, a.s.ceiling())
		}
	}
	if !known {
		return nil, nil
	}
	g, err := a.s.acquire(a.req.Context(), keyOf(a.t.Origin, need), need, true)
	if err != nil {
		return nil, err
	}
	task.grants.serves(exact, ceiling, g)
	return g, nil
}

// firstAnswer tells those that wait that the first answer is there.
func (a *attempt) firstAnswer() {
	if a.answered != nil {
		close(a.answered)
		a.answered = nil
	}
}

func (a *attempt) replayable() bool {
	return a.req.Body == nil || a.req.Body == http.NoBody || a.req.GetBody != nil
}

// send makes one round trip with the grant's token, or the base token.
func (a *attempt) send(grant *Grant) (*http.Response, error) {
	if a.s.task.ended.Load() {
		return nil, a.errorf("%w", ErrTaskEnded)
	}
	req := new(http.Request)
	*req = *a.req // shallow: only the header and the body are our own
	req.Header = make(http.Header, len(a.req.Header)+2)
	for name, values := range a.req.Header {
		req.Header[name] = values
	}
	a.using = ""
	if grant != nil {
		a.sends, a.using = Credential{Token: grant.Token, DPoP: grant.DPoP}, grant.RequestID
	} else {
		var err error
		if a.sends, err = a.s.task.baseToken(a.req.Context(), a.t.Origin); err != nil {
			return nil, err
		}
	}
	if a.t.Transactions != nil {
		req.Header[challenge.HeaderTransaction] = []string{"?1"} // RFC 9651, section 3.3.6
	}
	switch { // what is bound to a key goes out with a proof only, see trip
	case a.bound() || a.sends.Token.IsZero():
	case grant != nil:
		req.Header["Authorization"] = grant.header()
	default:
		req.Header["Authorization"] = bearer(a.sends.Token)
	}
	if a.sent && a.req.GetBody != nil {
		body, err := a.req.GetBody()
		if err != nil {
			return nil, a.errorf("body for another try: %w", err)
		}
		req.Body = body
	}
	resp, err := a.deliver(req, grant)
	switch {
	case err != nil:
		return nil, err
	case resp == nil:
		return nil, a.errorf("the base transport returned neither a response nor an error")
	case resp.Body == nil:
		resp.Body = http.NoBody
	}
	if a.using != "" && a.safe() && a.s.task.engine.cfg.Journal != nil {
		e := a.entry(EntryUse)
		e.HTTPStatus = resp.StatusCode
		a.s.task.engine.note(e)
	}
	resp.Request = a.req // what was sent holds a token, and responses get logged
	return resp, nil
}

// bound reports whether what the request goes out with is bound to a key.
func (a *attempt) bound() bool { return a.sends.DPoP != nil && !a.sends.Token.IsZero() }

// trip hands a request on, with a fresh proof where its token is bound to a key.
func (a *attempt) trip(req *http.Request) (*http.Response, error) {
	a.sent = true
	if !a.bound() {
		return a.t.base().RoundTrip(req)
	}
	return a.sends.DPoP.RoundTrip(a.t.base(), req, a.sends.Token)
}

// refusal tells what the API demands, or why that is not asked for.
func (a *attempt) refusal(status int, demanded []rar.Detail, why string) {
	e := a.s.entry(EntryRefused)
	e.Method, e.URL, e.HTTPStatus, e.Demanded, e.Error = a.req.Method, a.shown(), status, demanded, why
	a.s.task.engine.note(e)
	a.s.task.emit(Refused{About: a.s.about(), Method: e.Method, URL: e.URL, StatusCode: status, Demanded: demanded, Error: why})
}

// escalate turns a demand into a grant, or into the reason why not.
func (a *attempt) escalate(status int, ch *challenge.Challenge, used *Grant, exact kind) (*Grant, error) {
	s, req := a.s, a.req
	a.refusal(status, ch.Details, "")
	if len(ch.Details) > 1 {
		return nil, a.severalDemands(ch)
	}
	d, index, err := s.checkCeiling(a.t.Origin, a.wider(ch.Details[0], used))
	if err != nil {
		return nil, err
	}
	if !a.replayable() {
		return nil, a.errorf("%w", ErrNotReplayable)
	}
	key, signed := keyOf(a.t.Origin, d), ch.Error == challenge.TransactionCode
	if !signed {
		k, named := kindOf(exact, s.call.Ceiling)
		s.task.endpoints.learn(k, named, d.Detail(), s.ceiling()[index].Detail())
	}
	a.firstAnswer()
	if ch.Error != challenge.ErrorCode && a.asked == cmp.Or(ch.Reference, d.Canonical()) {
		return nil, a.errorf("%w and freshly granted", ErrStillRefused)
	}
	if signed {
		key.call = s.alone()
		if !s.task.standing.begin(ch.Reference, key.call) {
			return nil, a.errorf("%w: the transaction is another operation's", ErrUnreadable)
		}
	}
	if used != nil && (!signed || used.key.call == key.call) && // what was granted for anything else is not for this
		(used.key.any() == key.any() || s.task.engine.cfg.Rules.Within(d, used.covers) == nil) {
		if used.calls != nil { // it was granted for this call alone, and nobody is asked again
			return nil, a.errorf("%w and granted", ErrStillRefused)
		}
		s.task.grants.drop(used) // it should have been enough: it is void at the API
	}
	g, err := s.acquire(req.Context(), key, d, false)
	if err == nil && signed {
		s.task.standing.spend(ch.Reference)
	}
	if err == nil && !g.issue.recorded.Load() { // it was never used, so it cannot have become void
		a.asked = cmp.Or(ch.Reference, d.Canonical())
	}
	return g, err
}

// wider returns what to ask for when the API demands d of a request that had a grant.
// APIs name all scopes that they want, or those alone that a token lacks, and do not say
// which. So what is named is asked for by itself first; where that is refused as well, all
// that was named for this request is asked for together. Where a person logs in for it,
// that is asked for at once, if it lies within the ceiling: they have agreed to a part of
// it, and would have to log in twice.
func (a *attempt) wider(d rar.Detail, used *Grant) rar.Detail {
	if !d.IsScopes() || used == nil || !used.Detail.IsScopes() {
		return d
	}
	again := a.scopes != nil
	a.scopes = append(a.scopes, used.Detail.Actions...)
	all := rar.Scopes(append(a.scopes, d.Actions...)...)
	if !again && a.s.task.logsIn.Load() {
		_, _, err := a.s.withinCeiling(a.t.Origin, all)
		again = err == nil
	}
	if again {
		return all
	}
	return d
}

// severalDemands refuses a demand for several details at once. One request grants
// one detail and one call carries one token, so no number of requests would
// satisfy it.
func (a *attempt) severalDemands(ch *challenge.Challenge) error {
	for _, d := range ch.Details {
		if _, _, err := a.s.checkCeiling(a.t.Origin, d); err != nil {
			return err
		}
	}
	return a.s.block(ch.Details[0], fmt.Errorf("it is one of %d details that are demanded at once, and a token carries one", len(ch.Details)))
}

// field returns the first value of a header field, whatever the case of its name
// in the map, and whether there is one.
func field(h http.Header, name string) (value string, ok bool) {
	for have, values := range h {
		if len(have) == len(name) && len(values) > 0 && strings.EqualFold(have, name) {
			return values[0], true
		}
	}
	return "", false
}

// safe reports whether the request is read-only, by its method (RFC 9110, section 9.2.1)
// or by what the Transport is told.
func (a *attempt) safe() bool {
	switch a.req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace:
		return true
	}
	return a.t.ReadOnly
}

// shown is the request's URL for people: without query, fragment and user
// information, where secrets hide, and without a token that a redirect put in.
func (a *attempt) shown() string {
	u := a.req.URL
	return a.s.task.Scrub((&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String())
}
