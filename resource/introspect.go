package resource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// An introspector asks the authorization server about tokens.
type introspector struct {
	client *http.Client
	url    string
	id     string
	secret secret.String
}

var errInactive = invalid("not active")

// ask returns what the server says about an active token, ErrInvalidToken for an
// inactive one, and ErrUnavailable for everything else.
func (i *introspector) ask(ctx context.Context, raw string) (*oauth.Introspection, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	form := url.Values{"token": {raw}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.url, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, unavailable(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	// Both halves are form-encoded first (RFC 6749, section 2.3.1).
	req.SetBasicAuth(url.QueryEscape(i.id), url.QueryEscape(i.secret.Reveal()))
	body, err := do(i.client, req)
	if s, ok := errors.AsType[*statusError](err); ok && s.status == http.StatusUnauthorized {
		return nil, unavailable(errors.New("the introspection endpoint refuses this API's own credentials: " +
			"check ClientID and ClientSecret"))
	}
	if s, ok := errors.AsType[*statusError](err); ok && s.code == "unsupported_token_type" {
		return nil, invalid("the authorization server introspects no such tokens") // it is no outage
	}
	if err != nil {
		return nil, unavailable(err)
	}
	in, err := oauth.ParseIntrospection(body)
	if err != nil {
		return nil, unavailable(fmt.Errorf("introspection response is not what RFC 7662 says: %w", err))
	}
	if !in.Active {
		return nil, errInactive
	}
	return &in, nil
}

// active returns what an authorization server says of a token, of which it is all that is
// known: nothing is read from the token itself.
func (v *Verifier) active(ctx context.Context, r *http.Request, raw string, proven bool) (*Token, error) {
	in, err := v.inspect.ask(ctx, raw)
	if err != nil {
		return nil, err
	}
	c := in.Claims
	c.Issuer = cmp.Or(c.Issuer, v.issuer)     // which was asked
	c.Subject = cmp.Or(c.Subject, c.ClientID) // a token of the client itself (RFC 9068, section 2.2)
	token, err := v.token(&c)
	if err == nil {
		err = v.agree(token, in)
	}
	if err == nil {
		err = v.prove(r, raw, proven, &c)
	}
	return token, err
}

// agree checks that in speaks of the token t and of an access token, and narrows
// t to what both say. Members that the server leaves out decide nothing: LumoAuth
// promises few.
func (v *Verifier) agree(t *Token, in *oauth.Introspection) error {
	switch {
	case in.TokenType != "" && !strings.EqualFold(in.TokenType, "Bearer") && (t.Key == "" || !strings.EqualFold(in.TokenType, dpop.Scheme)):
		return invalid("introspection: not an access token of this kind")
	case in.KeyBound && (t.Key == "" || in.Thumbprint != t.Key):
		return invalid("introspection: bound to another key, or in another way")
	case in.Issuer != "" && in.Issuer != v.issuer:
		return invalid("introspection: wrong issuer")
	case !in.ExpiresAt.IsZero() && !v.now().Before(in.ExpiresAt.Add(v.leeway)):
		return invalid("introspection: expired")
	case !same(&t.ID, in.ID), !same(&t.Subject, in.Subject), !same(&t.ClientID, in.ClientID),
		!same(&t.AgentID, in.AgentID), !same(&t.TaskID, in.TaskID):
		return invalid("introspection speaks of another token")
	}
	if !in.ExpiresAt.IsZero() && in.ExpiresAt.Before(t.ExpiresAt) {
		t.ExpiresAt = in.ExpiresAt
	}
	if in.Details != nil {
		t.Details = confirmed(t.Details, in.Details)
	}
	if in.Scopes != nil {
		t.Scopes = slices.DeleteFunc(slices.Clone(t.Scopes), func(s string) bool { return !slices.Contains(in.Scopes, s) })
	}
	return nil
}

// same reports whether got may stand for *have, and fills *have when the token
// itself was silent.
func same(have *string, got string) bool {
	*have = cmp.Or(*have, got)
	return got == "" || got == *have
}

// confirmed returns the details that lie within one of said.
func confirmed(details, said []rar.Detail) []rar.Detail {
	var out []rar.Detail
	server := &Token{Details: said}
	for _, d := range details {
		if server.Covers(d) {
			out = append(out, d)
		}
	}
	return out
}
