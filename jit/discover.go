package jit

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

// A Discoverer is an [Authority] that learns from an API who issues its tokens, and has a
// person log in there. Such a login serves the whole task.
type Discoverer interface {
	// Discover is called when the API at origin refused a request that carried no token,
	// before anything is asked for: api is the request's URL without its query, and
	// metadata where the refusal says that the API describes itself (RFC 9728, section
	// 5.1), "" when it does not say. It returns the scopes that the API says are of use at
	// it: none when it names none, nil when the Authority has no use for any of this.
	Discover(ctx context.Context, origin Origin, api, metadata string) (scopes []string, err error)
}

// discover reads what a refusal of a request without a token asks for: the scopes that it
// names, else all that the API names elsewhere, as far as they lie within the ceiling,
// else a login without any. It changes nothing where no token is asked for, and where
// something else than scopes is, the Authority only learns who issues tokens there.
func (a *attempt) discover(resp *http.Response, ch *challenge.Challenge, err error) (*challenge.Challenge, error) {
	authority, ok := a.s.task.engine.cfg.Authority.(Discoverer)
	scopes := err == nil && len(ch.Details) == 1 && ch.Details[0].IsScopes()
	none := errors.Is(err, challenge.ErrNone)
	if !ok || !a.sends.Token.IsZero() || err != nil && (!none || resp.StatusCode != http.StatusUnauthorized) {
		return ch, err
	}
	schemes, _ := challenge.WWWAuthenticate(resp.Header) // what cannot be read asks for nothing
	i := slices.IndexFunc(schemes, func(c challenge.AuthChallenge) bool {
		return strings.EqualFold(c.Scheme, "Bearer") || strings.EqualFold(c.Scheme, "DPoP")
	})
	var metadata string
	var named []string
	switch {
	case i >= 0:
		metadata, named = schemes[i].Params["resource_metadata"], strings.Fields(schemes[i].Params["scope"])
	case none:
		return ch, err
	}
	u := a.req.URL
	known, fault := authority.Discover(a.req.Context(), a.t.Origin, (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String(), metadata)
	if fault != nil {
		return nil, &AuthorityError{opDiscover, fault}
	}
	if known == nil || !none && !scopes {
		return ch, err
	}
	a.s.task.logsIn.Store(true)
	if scopes {
		return ch, nil
	}
	d := rar.Scopes(named...) // some do so beside invalid_token, though there was none
	if len(named) == 0 {
		d = rar.Scopes(known...)
		if _, _, outside := a.s.withinCeiling(a.t.Origin, d); outside != nil {
			d = rar.Scopes()
		}
	}
	return &challenge.Challenge{Details: []rar.Detail{d}, Source: challenge.SourceParameter}, nil
}
