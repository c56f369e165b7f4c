package lumodev

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/internal/strictjson"
)

// maxBody bounds request bodies.
const maxBody = 64 << 10

// The error codes of this server. Every code that leaves it is one of these.
const (
	codeInvalidRequest       = "invalid_request"
	codeInvalidGrant         = "invalid_grant"
	codeInvalidScope         = "invalid_scope"
	codeInvalidTarget        = "invalid_target"
	codeInvalidClient        = "invalid_client"
	codeInvalidToken         = "invalid_token"
	codeUnauthorizedClient   = "unauthorized_client"
	codeUnsupportedGrant     = "unsupported_grant_type"
	codeUnsupportedTokenType = "unsupported_token_type"
	codeInvalidDetails       = "invalid_authorization_details" // RFC 9396, section 5
	codeAccessDenied         = "access_denied"
	codeDelegationNotAllowed = "delegation_not_allowed"
	codeDepthExceeded        = "delegation_depth_exceeded"
	codeInsufficientScope    = "insufficient_scope"
	codeNotFound             = "not_found"
	codeInvalidTenant        = "invalid_tenant"
	codeMethodNotAllowed     = "method_not_allowed"
	codeSeeOther             = "see_other" // our own: of a redirect
	codeInvalidState         = "invalid_state"
	codeOtherRequest         = "other_request" // our own: not what was shown
	codeTooLarge             = "request_too_large"
	codeServerError          = "server_error"
)

// wireError is an error that the client is told about: its text was written for
// that. Any other error becomes a bare 500.
type wireError struct {
	status  int
	code    string
	text    string
	members map[string]any // further members of the body
	header  http.Header    // further headers
}

func (e *wireError) Error() string { return e.code + ": " + e.text }

func fail(status int, code, format string, args ...any) *wireError {
	return &wireError{status: status, code: code, text: fmt.Sprintf(format, args...)}
}

// invalid is the answer to what a client sent wrong.
func invalid(format string, args ...any) *wireError {
	return fail(http.StatusBadRequest, codeInvalidRequest, format, args...)
}

// denied is the answer to who may not.
func denied(format string, args ...any) *wireError {
	return fail(http.StatusForbidden, codeAccessDenied, format, args...)
}

// body is the one shape of all errors, which every SDK reads.
func (e *wireError) body() map[string]any {
	m := map[string]any{
		"error":             e.code,
		"error_description": e.text,
		"message":           e.text,
		"code":              e.code,
		"status":            e.status,
	}
	maps.Copy(m, e.members)
	return m
}

// unauthorized is the answer to a missing or bad bearer token (RFC 6750, section 3).
func unauthorized(text string) *wireError {
	e := fail(http.StatusUnauthorized, codeInvalidToken, "%s", text)
	e.header = http.Header{"Www-Authenticate": {`Bearer realm="lumodev", error="invalid_token"`}}
	return e
}

// badProof is the answer to a proof that does not hold (RFC 9449, sections 5, 7.1 and 8).
func badProof(status int, err error) *wireError {
	code := dpop.CodeProof
	if errors.Is(err, dpop.ErrNonce) {
		code = dpop.CodeNonce
	}
	e := fail(status, code, "the proof of the token's key is missing or does not hold")
	e.header = http.Header{"Www-Authenticate": {`DPoP realm="lumodev", error="` + code + `", algs="` + dpop.Algorithms + `"`}}
	return e
}

// badClient is the answer to failed client authentication (RFC 6749, section 5.2).
func badClient() *wireError {
	e := fail(http.StatusUnauthorized, codeInvalidClient, "client authentication failed")
	e.header = http.Header{"Www-Authenticate": {`Basic realm="lumodev"`}}
	return e
}

// object is a JSON object under construction.
type object map[string]any

// setIf sets a member unless the value is the empty string: SDKs read null badly,
// so what is not known is left out.
func (o object) setIf(name, value string) {
	if value != "" {
		o[name] = value
	}
}

// write sends status and v. It reports an error only for the log.
func write(w http.ResponseWriter, status int, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	w.WriteHeader(status)
	_, err = w.Write(append(data, '\n'))
	return err
}

// decode reads the JSON body into v, a pointer to a struct. An empty body leaves v
// as it is, whatever Content-Type says: SDKs send either without the other.
// Members that v does not name are ignored.
func (c *call) decode(v any) error {
	if len(c.body) == 0 {
		return nil
	}
	switch kind := c.mediaType(); {
	case kind == "", kind == "application/json", strings.HasSuffix(kind, "+json"):
	default:
		return invalid("content type must be application/json")
	}
	if err := strictjson.Unmarshal(c.body, v); err != nil {
		return invalid("the body is not as this endpoint wants it: %s", err) // strictjson quotes no values
	}
	return nil
}

func (c *call) mediaType() string {
	kind, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type"))
	if err != nil && c.r.Header.Get("Content-Type") != "" {
		return "invalid"
	}
	return kind
}

// withForm reads the form of an OAuth endpoint for its handler.
func withForm(h handler) handler {
	return func(c *call) (_ any, err error) {
		if c.form, err = c.readForm(); err != nil {
			return nil, err
		}
		return h(c)
	}
}

// readForm reads the body of an OAuth endpoint: a form, or JSON with string members.
// Parameters may not be repeated (RFC 6749, section 3.2). Nothing is read from the
// query string: it ends up in logs.
func (c *call) readForm() (url.Values, error) {
	switch c.mediaType() {
	case "application/json":
		var members map[string]string
		if err := c.decode(&members); err != nil {
			return nil, err
		}
		values := make(url.Values)
		for name, value := range members {
			values.Set(name, value)
		}
		return values, nil
	case "", "application/x-www-form-urlencoded":
		values, err := url.ParseQuery(string(c.body))
		if err != nil {
			return nil, invalid("the body is not a form")
		}
		for _, list := range values {
			if len(list) > 1 {
				return nil, invalid("a parameter is repeated")
			}
		}
		return values, nil
	}
	return nil, invalid("content type must be application/x-www-form-urlencoded or application/json")
}
