package oauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// maxToken bounds an access token, in bytes. Larger ones do not fit the header
// limits of common servers.
const maxToken = 16 << 10

// A Token is a success of the token endpoint (RFC 6749, section 5.1; RFC 9396,
// section 7).
type Token struct {
	Value    secret.String
	Lifetime time.Duration // 0 when not said
	Scopes   []string
	Details  []rar.Detail   // nil when not said
	Said     jsontext.Value // Details as they were written

	// The answer as a whole, for members that servers add.
	Answer Object
}

// ParseToken decodes a token response. bound says that the token was asked for with a
// proof of a key: then it must be bound to that (RFC 9449, section 5), and else it must be
// a bearer token. What it is not cannot be used.
func ParseToken(body []byte, bound bool) (Token, error) {
	o, err := Decode(body)
	if err != nil {
		return Token{}, err
	}
	t := Token{Value: secret.New(o.Text("access_token")), Said: o[memberDetails], Answer: o}
	if err := CheckToken(t.Value); err != nil {
		return Token{}, fmt.Errorf("access_token %w", err)
	}
	switch kind := o.Text("token_type"); {
	case kind == "":
		return Token{}, errors.New("token_type is missing")
	case strings.EqualFold(kind, "DPoP") == bound && (bound || strings.EqualFold(kind, "Bearer")):
	case bound:
		return Token{}, errors.New("the token is not bound to the key that it was asked for with: whoever has it could use it")
	case strings.EqualFold(kind, "DPoP"):
		return Token{}, errors.New("the token is bound to a key (DPoP), and none was shown")
	default:
		return Token{}, errors.New("token_type is not Bearer")
	}
	life, said, err := o.Seconds("expires_in")
	switch {
	case err != nil:
		return Token{}, err
	case said && life == 0:
		return Token{}, errors.New("expires_in is out of range")
	}
	t.Lifetime = life
	if t.Details, err = o.Details(); err != nil {
		return Token{}, err
	}
	if t.Scopes, err = o.Scopes("scope"); err != nil {
		return Token{}, err
	}
	return t, nil
}

// CheckToken accepts what fits into an Authorization header as one word (RFC 6750,
// section 2.1; opaque tokens of other visible characters are let through).
func CheckToken(token secret.String) error {
	switch v := token.Reveal(); {
	case v == "":
		return errors.New("is missing")
	case len(v) > maxToken:
		return fmt.Errorf("is larger than %d bytes", maxToken)
	case !Visible(v) || strings.ContainsAny(v, `",\`):
		return errors.New("has characters that no bearer token has")
	}
	return nil
}

// Canonical reports whether a JWT in compact form (RFC 7515, section 3.1) is written
// in the one way that base64url has for it: no unused bits set, no line breaks, no
// padding. The last character of a signature usually has bits that no decoder looks
// at, so the same token has other spellings; whoever accepts those cannot be told to
// forget the token, nor find it in a text.
func Canonical(token string) bool {
	parts := strings.Split(token, ".")
	for _, part := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil {
			return false
		}
	}
	return len(parts) == 3 && !strings.ContainsAny(token, "\r\n") // which are skipped
}

// Visible reports whether s is printable ASCII without spaces.
func Visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
