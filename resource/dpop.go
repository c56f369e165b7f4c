package resource

import (
	"errors"
	"net/http"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

// A refusal is an error of Verify, with how the client is to send a token.
type refusal struct {
	error
	schemes []string // the one that the error is about, and then what else is taken
	nonce   string   // for the next proof; "" where none is wanted
}

// Unwrap returns the error itself.
func (r *refusal) Unwrap() error { return r.error }

// schemes are those that are taken, the one that was used first.
func (v *Verifier) schemes(proven bool) []string {
	switch {
	case v.dpop == RequireDPoP:
		return []string{dpop.Scheme}
	case proven:
		return []string{dpop.Scheme, "Bearer"}
	}
	return []string{"Bearer", dpop.Scheme}
}

// prove checks that a token is sent as what it is: with a proof of its key if it is bound
// to one, and else without.
func (v *Verifier) prove(r *http.Request, raw string, proven bool, c *oauth.Claims) error {
	switch {
	case !proven && c.KeyBound:
		return invalid("bound to a key, not a bearer token")
	case !proven:
		return nil
	case c.Thumbprint == "":
		return invalid("not bound to a key, or in another way")
	}
	_, err := v.proofs.Verify(r, secret.New(raw), c.Thumbprint)
	if errors.Is(err, dpop.ErrFull) {
		return unavailable(err)
	}
	return err
}
