package resource

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/rar"
)

// claims is what this package reads of a token (RFC 9068, section 2.2, and
// LumoAuth's own).
type claims struct {
	Issuer       string         `json:"iss"`
	Subject      string         `json:"sub"`
	Audience     jsontext.Value `json:"aud"`
	Expires      unixTime       `json:"exp"`
	NotBefore    unixTime       `json:"nbf"`
	IssuedAt     unixTime       `json:"iat"`
	ID           string         `json:"jti"`
	ClientID     string         `json:"client_id"`
	AgentID      string         `json:"agent_id"`
	TaskID       string         `json:"task_id"`
	JIT          bool           `json:"jit"`
	Use          string         `json:"token_use"`
	Confirmation jsontext.Value `json:"cnf"`
	Details      jsontext.Value `json:"authorization_details"`
}

// signed returns the claims of raw, once its signature holds. Nothing of the
// payload is read before.
func (v *Verifier) signed(ctx context.Context, raw string) (*claims, error) {
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
		var c claims
		if strictjson.Unmarshal(payload, &c) != nil {
			return nil, invalid("claims are not strict JSON of the expected types")
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
func (v *Verifier) token(c *claims) (*Token, error) {
	now := v.now()
	switch {
	case c.Issuer != v.issuer:
		return nil, invalid("wrong issuer")
	case c.Subject == "":
		return nil, invalid("no subject")
	case c.Expires.IsZero():
		return nil, invalid("no expiry")
	case !now.Before(c.Expires.Add(v.leeway)):
		return nil, invalid("expired")
	case c.NotBefore.After(now.Add(v.leeway)):
		return nil, invalid("not yet valid")
	case c.IssuedAt.After(now.Add(v.leeway)):
		return nil, invalid("issued in the future")
	case !c.NotBefore.IsZero() && c.Expires.Before(c.NotBefore.Time):
		return nil, invalid("expires before it is valid")
	case c.Use != "" && c.Use != "access" && c.Use != "jit":
		return nil, invalid("not an access token") // an ID token may have typ JWT as well
	case present(c.Confirmation):
		return nil, invalid("bound to a key, not a bearer token")
	case v.audience != "" && !hasAudience(c.Audience, v.audience):
		return nil, invalid("wrong audience")
	}
	details, err := parseDetails(c.Details)
	if err != nil {
		return nil, invalid("authorization_details cannot be read")
	}
	return &Token{
		Subject:   c.Subject,
		AgentID:   c.AgentID,
		ClientID:  c.ClientID,
		TaskID:    c.TaskID,
		ID:        c.ID,
		Details:   details,
		ExpiresAt: c.Expires.Time,
		JIT:       c.JIT,
	}, nil
}

// parseDetails decodes authorization_details. Absent, null and an empty array
// grant nothing.
func parseDetails(raw jsontext.Value) ([]rar.Detail, error) {
	if !present(raw) || string(raw) == "[]" {
		return nil, nil
	}
	return rar.Parse(raw)
}

// present reports whether a member was there and not null.
func present(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

// hasAudience reports whether aud, a string or an array of strings (RFC 7519,
// section 4.1.3), names want.
func hasAudience(aud jsontext.Value, want string) bool {
	var one string
	if strictjson.Unmarshal(aud, &one) == nil {
		return one == want
	}
	var many []string
	return strictjson.Unmarshal(aud, &many) == nil && slices.Contains(many, want)
}

// A unixTime is a NumericDate (RFC 7519, section 2); zero when absent.
type unixTime struct{ time.Time }

// maxUnix is the end of the year 9999, where RFC 3339 ends too.
const maxUnix = 253402300799

var errDate = errors.New("not a date in seconds")

// UnmarshalJSON reads a number of seconds; fractions are cut. null is refused:
// a token with "exp": null shall not read like one that forgot it.
func (t *unixTime) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || !(f >= 1 && f <= maxUnix) {
		return errDate
	}
	t.Time = time.Unix(int64(f), 0)
	return nil
}
