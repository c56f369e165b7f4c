package resource

import (
	"context"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/oauth"
)

// signed returns the claims of raw, once its signature holds. Nothing of the
// payload is read before.
func (v *Verifier) signed(ctx context.Context, raw string) (*oauth.Claims, error) {
	// Another spelling of a token is another token: see oauth.Canonical.
	if !oauth.Canonical(raw) {
		return nil, invalid("not a JWT in canonical base64url")
	}
	jws, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256})
	if err != nil {
		return nil, invalid("not a JWT signed with ES256, RS256 or PS256")
	}
	header := jws.Signatures[0].Protected
	if !acceptedType(header.ExtraHeaders[jose.HeaderType]) {
		return nil, invalid("typ is none of at+jwt, application/at+jwt, JWT")
	}
	if header.KeyID == "" {
		return nil, invalid("no kid")
	}
	keys, err := v.keys.find(ctx, header.KeyID, jose.SignatureAlgorithm(header.Algorithm))
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		payload, err := jws.Verify(k.Key)
		if err != nil {
			continue
		}
		c, err := oauth.ParseClaims(payload)
		if err != nil {
			return nil, invalid("claims are not strict JSON of the expected types: " + err.Error())
		}
		return &c, nil
	}
	if len(keys) == 0 {
		return nil, invalid("the authorization server publishes no such key")
	}
	return nil, invalid("wrong signature")
}

// acceptedType reports whether a typ header names an access token (RFC 9068,
// section 2.1) or the general JWT, which LumoAuth's samples have.
func acceptedType(typ any) bool {
	s, _ := typ.(string)
	for _, t := range []string{"at+jwt", "application/at+jwt", "JWT"} {
		if strings.EqualFold(s, t) {
			return true
		}
	}
	return false
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
	case c.KeyBound:
		return nil, invalid("bound to a key, not a bearer token")
	case v.audience != "" && !slices.Contains(c.Audience, v.audience):
		return nil, invalid("wrong audience")
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
	}, nil
}
