package resource

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/jitagent/jitagent/dpop"
)

// What [Verifier.Verify] returns, wrapped with a reason for the log. The reasons
// hold no token. Besides, it returns [dpop.ErrProof] and [dpop.ErrNonce] for a token that
// is bound to a key and may well be good: 401. Any other error is not returned.
var (
	// ErrNoToken says that the request carries no bearer token: 401.
	ErrNoToken = errors.New("resource: no access token")

	// ErrMalformed says that the request carries a token in a way that RFC 6750,
	// section 3.1, calls an invalid request: several Authorization headers, a
	// token in the query, something else than one token after "Bearer": 400.
	ErrMalformed = errors.New("resource: malformed authorization")

	// ErrInvalidToken says that the token does not hold here: expired, revoked,
	// of another issuer, wrongly signed, not a JWT, not a bearer token: 401.
	ErrInvalidToken = errors.New("resource: access token not valid")

	// ErrUnavailable says that the token could not be checked, because the
	// authorization server did not answer or answered nonsense: 503.
	ErrUnavailable = errors.New("resource: access token cannot be checked")
)

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }
func invalid(reason string) error   { return fmt.Errorf("%w: %s", ErrInvalidToken, reason) }

// unavailable keeps the cause out of the error's chain: callers branch on the
// sentinel, and the cause is text for the log.
func unavailable(cause error) error { return fmt.Errorf("%w: %s", ErrUnavailable, cause.Error()) }

// refusals is the one table of what a client is told for an error of Verify.
var refusals = []struct {
	err         error
	status      int
	code        string
	description string
	challenge   bool // whether WWW-Authenticate carries code
}{
	{ErrNoToken, http.StatusUnauthorized, "unauthorized",
		"this call needs a bearer access token", false},
	{ErrMalformed, http.StatusBadRequest, "invalid_request",
		"send exactly one access token, in one Authorization header with the Bearer scheme", true},
	{ErrInvalidToken, http.StatusUnauthorized, "invalid_token",
		"the access token is expired, revoked or not valid here", true},
	{dpop.ErrProof, http.StatusUnauthorized, dpop.CodeProof,
		"the proof is missing, was sent before, or was not made for this request", true},
	{dpop.ErrNonce, http.StatusUnauthorized, dpop.CodeNonce,
		"repeat the call with a proof that has the nonce", true},
	{ErrUnavailable, http.StatusServiceUnavailable, "temporarily_unavailable",
		"the access token cannot be checked at the moment, try again shortly", false},
}

// Refuse answers a request whose token [Verifier.Verify] did not accept: 401 and
// 400 with a WWW-Authenticate challenge (RFC 6750, section 3), 503 with
// Retry-After, or 500 for an err that is none of this package's. The text that
// the client gets depends on the kind of error only; err's own text is for the
// log. An empty realm is "api".
func Refuse(w http.ResponseWriter, realm string, err error) {
	h := w.Header()
	schemes := []string{"Bearer"}
	if bound, ok := errors.AsType[*refusal](err); ok {
		schemes = bound.schemes
		if bound.nonce != "" {
			h.Set(dpop.HeaderNonce, bound.nonce)
		}
	}
	for _, r := range refusals {
		if !errors.Is(err, r.err) {
			continue
		}
		if r.status == http.StatusServiceUnavailable {
			h.Set("Retry-After", "2")
			schemes = nil
		}
		h.Del("WWW-Authenticate")
		for i, scheme := range schemes {
			value := scheme + " realm=" + quote(realm)
			if r.challenge && i == 0 { // without a token there is no error to report (RFC 6750, section 3.1)
				value += fmt.Sprintf(`, error="%s", error_description="%s"`, r.code, r.description)
			}
			if scheme == dpop.Scheme {
				value += `, algs="` + dpop.Algorithms + `"`
			}
			h.Add("WWW-Authenticate", value)
		}
		WriteError(w, r.status, r.code, r.description)
		return
	}
	WriteError(w, http.StatusInternalServerError, "server_error", "the request could not be handled")
}

// WriteError answers with an OAuth style JSON error: {"error": code,
// "error_description": description}. Both texts reach the client as they are, so
// neither may hold the text of an error.
func WriteError(w http.ResponseWriter, status int, code, description string) {
	body, err := json.Marshal(struct {
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}{code, description})
	if err != nil { // a description that is not UTF-8
		status, body = http.StatusInternalServerError, []byte(`{"error":"server_error"}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n')) // a client that has left is no concern
}

// quote writes s as an RFC 9110 quoted-string; what cannot stand in one is
// dropped.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range []byte(cmp.Or(s, "api")) {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= 0x20 && c < 0x7f:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
