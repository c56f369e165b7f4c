package resource

import (
	"context"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/oauth"
)

// signed returns the claims of raw, once its signature holds. Nothing of the
// payload is read before.
func (v *Verifier) signed(ctx context.Context, raw string) (*oauth.Claims, error) {
	jwt, err := oauth.ParseSigned(raw)
	if err != nil {
		return nil, invalid(err.Error())
	}
	if !v.acceptsType(jwt.Type) {
		return nil, invalid("typ is none of at+jwt, application/at+jwt, JWT")
	}
	keys, err := v.keys.find(ctx, jwt)
	if err != nil {
		return nil, err
	}
	payload, ok := keys.Verify(jwt)
	switch {
	case len(keys) == 0:
		return nil, invalid("the authorization server publishes no such key")
	case !ok:
		return nil, invalid("wrong signature")
	}
	c, err := oauth.ParseClaims(payload)
	if err != nil {
		return nil, invalid("claims are not strict JSON of the expected types: " + err.Error())
	}
	return &c, nil
}

// acceptsType reports whether a typ header names an access token (RFC 9068, section 2.1)
// or the general JWT, which LumoAuth's samples have. One without typ may be another kind
// of token, such as an ID token: only the audience tells.
func (v *Verifier) acceptsType(typ string) bool {
	return slices.Contains([]string{"at+jwt", "application/at+jwt", "jwt"}, strings.ToLower(typ)) || typ == "" && v.audience != ""
}

// token checks the claims and returns what they grant.
func (v *Verifier) token(c *oauth.Claims) (*Token, error) {
	now := v.now()
	switch {
	case c.Issuer != v.issuer:
		return nil, invalid("wrong issuer")
	case c.Subject == "":
		return nil, invalid("no subject")
	case c.ExpiresAt.IsZero():
		return nil, invalid("no expiry")
	case !now.Before(c.ExpiresAt.Add(v.leeway)):
		return nil, invalid("expired")
	case c.NotBefore.After(now.Add(v.leeway)):
		return nil, invalid("not yet valid")
	case c.IssuedAt.After(now.Add(v.leeway)):
		return nil, invalid("issued in the future")
	case c.ExpiresAt.Before(c.NotBefore):
		return nil, invalid("expires before it is valid")
	case c.Use != "" && c.Use != "access" && c.Use != "jit":
		return nil, invalid("not an access token") // an ID token may have typ JWT as well
	case v.audience != "" && !slices.Contains(c.Audience, v.audience):
		return nil, invalid("this API is not in the token's audience")
	}
	return &Token{
		Subject:   c.Subject,
		AgentID:   c.AgentID,
		ClientID:  c.ClientID,
		TaskID:    c.TaskID,
		ID:        c.ID,
		Details:   c.Details,
		Scopes:    c.Scopes,
		ExpiresAt: c.ExpiresAt,
		JIT:       c.JIT,
		Key:       c.Thumbprint,
		Claims:    c.All,
	}, nil
}
