package resource

import (
	"net/http"
	"strings"
)

// maxToken bounds a token, and with it what is decoded before a signature is
// checked.
const maxToken = 16 << 10

// bearer returns the one token of r (RFC 6750, section 2.1). The query and the
// body are no place for a token: the first ends up in logs, and reading the
// second belongs to the handler.
func bearer(r *http.Request) (string, error) {
	if r.URL.RawQuery != "" && r.URL.Query().Has("access_token") {
		return "", malformed("token in the query")
	}
	values := r.Header.Values("Authorization")
	switch {
	case len(values) == 0:
		return "", ErrNoToken
	case len(values) > 1:
		return "", malformed("several Authorization headers")
	}
	return parseBearer(values[0])
}

// parseBearer reads the value of an Authorization header. A scheme other than
// Bearer counts as no token, since it may be meant for someone else.
func parseBearer(value string) (string, error) {
	scheme, rest, found := strings.Cut(value, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", ErrNoToken
	}
	token := strings.Trim(rest, " ")
	switch {
	case !found || token == "":
		return "", malformed("empty token")
	case len(token) > maxToken:
		return "", malformed("token too long")
	case !isToken68(token):
		return "", malformed("not one token")
	}
	return token, nil
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
