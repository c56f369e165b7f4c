package jit

import (
	"net/http"
	"net/url"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit/challenge"
)

// HeaderIdempotencyKey names the header that lets an API recognise a repeated
// request (draft-ietf-httpapi-idempotency-key-header).
const HeaderIdempotencyKey = "Idempotency-Key"

// A Transport is an [http.RoundTripper] that obtains authority for requests to
// one origin when the API demands it. It works in any http.Client. The request's
// context must come from [Task.Call]; without one, and for every other origin or
// Host, requests pass unchanged and without credentials. Once the task has ended
// nothing is sent ([ErrTaskEnded]). A Transport is safe for concurrent use.
//
// Where it departs from the RoundTripper contract: after a refusal whose demand
// cannot be met it returns an error and no response, so that the reason is not
// lost; and one RoundTrip may send the request more than once. It sends the
// request again after a refusal; when the connection broke and the method is
// read-only; and when the answer to an effect was lost and the API honors
// idempotency keys. Each only with a replayable body, under the same
// Idempotency-Key, and at most Config.Attempts times in all. An effect whose answer is
// lost for good is a [InDoubtError]; one that is answered with 5xx, say, has its answer,
// and [InDoubt] tells of the doubt. The response's Request is the caller's,
// without the headers that were added.
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
	// HonorsIdempotencyKey says that the API keeps the first response per
	// Idempotency-Key, answers 409 while one is in flight and never does the same
	// key twice. Only then is a request that may change something sent again when
	// its answer is lost. Do not set it on hearsay.
	HonorsIdempotencyKey bool
	// ReadOnly says that no request changes anything, whatever its method: each is sent as
	// a GET is, without a key, and again when the connection broke.
	ReadOnly bool
	// Transactions has the API asked for signed challenges, and says which are read; nil
	// asks for none. What such a challenge demands is for one operation: its grant serves
	// no later call.
	Transactions *challenge.Transactions
}

var _ http.RoundTripper = (*Transport)(nil)

func (t *Transport) base() http.RoundTripper {
	if t.Base != nil {
		return t.Base
	}
	return peer.Transport()
}

// CloseIdleConnections closes the idle connections of Base, if it has such a
// method. [http.Client.CloseIdleConnections] calls it.
func (t *Transport) CloseIdleConnections() {
	if c, ok := t.base().(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip implements [http.RoundTripper].
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	s := scopeOf(req.Context())
	if s == nil || !t.concerns(req) {
		return t.base().RoundTrip(req)
	}
	a := attempt{t: t, s: s, req: req}
	resp, err := a.roundTrip()
	if !a.sent && req.Body != nil {
		_ = req.Body.Close() // whoever sends it closes it
	}
	return resp, err
}

// concerns reports whether a request goes to our origin. The Host header counts
// too: behind one address there may be several servers, told apart by it.
func (t *Transport) concerns(req *http.Request) bool {
	if !t.Origin.Contains(req.URL) {
		return false
	}
	return req.Host == "" || req.Host == req.URL.Host ||
		t.Origin.Contains(&url.URL{Scheme: req.URL.Scheme, Host: req.Host})
}
