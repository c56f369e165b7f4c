package resource

import (
	"net/http"
	"strings"

	"github.com/jitagent/jitagent/dpop"
)

// maxToken bounds a token, and with it what is decoded before a signature is
// checked.
const maxToken = 16 << 10

// credential returns the one token of r, and whether it is sent as one that is bound to a
// key (RFC 6750, section 2.1; RFC 9449, section 7.1). The query and the
// body are no place for a token: the first ends up in logs, and reading the
// second belongs to the handler.
func (v *Verifier) credential(r *http.Request) (token string, proven bool, err error) {
	if r.URL.RawQuery != "" && r.URL.Query().Has("access_token") {
		return "", false, malformed("token in the query")
	}
	values := r.Header.Values("Authorization")
	switch {
	case len(values) == 0:
		return "", false, ErrNoToken
	case len(values) > 1:
		return "", false, malformed("several Authorization headers")
	}
	// A scheme that is not ours counts as no token, since it may be meant for someone else.
	scheme, rest, found := strings.Cut(values[0], " ")
	proven = v.proofs != nil && strings.EqualFold(scheme, dpop.Scheme)
	if !proven && !strings.EqualFold(scheme, "Bearer") {
		return "", false, ErrNoToken
	}
	token = strings.Trim(rest, " ")
	switch {
	case !found || token == "":
		return "", proven, malformed("empty token")
	case len(token) > maxToken:
		return "", proven, malformed("token too long")
	case !isToken68(token):
		return "", proven, malformed("not one token")
	case !proven && v.dpop == RequireDPoP:
		return "", false, invalid("a bearer token, where tokens must be bound to a key")
	}
	return token, proven, nil
}

// isToken68 reports whether s is a token68 of RFC 9110, section 11.2.
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	if body == "" {
		return false
	}
	for _, c := range []byte(body) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("-._~+/", c) >= 0:
		default:
			return false
		}
	}
	return true
}
