package lumoauth

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
)

// Sentinels for callers that branch. An [*Error] unwraps to the one that fits.
var (
	// ErrInvalidClient: the client id or secret is wrong, or the client may not
	// do this. Trying again does not help.
	ErrInvalidClient = errors.New("client credentials refused")
	// ErrUnauthorized: 401, also after a fresh login.
	ErrUnauthorized = errors.New("not authenticated")
	// ErrForbidden: 403. For a token: not approved, no longer redeemable, or not
	// this agent's request.
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound: 404; LumoAuth also says so of an unknown organization.
	ErrNotFound = errors.New("not found")
	// ErrRateLimited: 429, but not for a budget.
	ErrRateLimited = errors.New("rate limited")
	// ErrBudgetExceeded: 429 because the agent's budget is spent.
	ErrBudgetExceeded = errors.New("agent budget exceeded")
	// ErrUnavailable: a 5xx, or no answer at all.
	ErrUnavailable = errors.New("authorization server unavailable")
	// ErrRedirected: a 3xx. Redirects are not followed.
	ErrRedirected = errors.New("redirect refused")
	// ErrInvalidResponse: a success that could not be understood, or that speaks
	// of something else than was asked. Nothing in it is used.
	ErrInvalidResponse = errors.New("unusable response")
)

// An Error reports a call that failed. It holds no credential: what the server
// sent is cut short, stripped of control characters and scrubbed.
type Error struct {
	Op         string        // what was tried, such as "create task"
	StatusCode int           // of the response; 0 when there was none
	Code       string        // wire code, such as "invalid_scope"; may be empty
	Message    string        // in the server's words; may be empty
	RetryAfter time.Duration // least wait before another try; 0 when not said
	MaxDepth   int           // with delegation_depth_exceeded: the longest chain allowed

	kind  error  // a sentinel, or nil
	cause error  // what failed underneath, or nil
	hint  string // what the operator can do
	page  bool   // the body is HTML
	again bool   // another try of this very call makes sense
}

var (
	_ jit.Temporary = (*Error)(nil)
	_ jit.Refusal   = (*Error)(nil)
)

func (e *Error) Error() string {
	parts := []string{"lumoauth: " + e.Op}
	if e.StatusCode != 0 {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("%d %s", e.StatusCode, http.StatusText(e.StatusCode))))
	}
	if e.kind != nil && (e.StatusCode == 0 || e.StatusCode < 300 || errors.Is(e.kind, ErrRedirected)) {
		parts = append(parts, e.kind.Error())
	}
	if e.Code != "" {
		parts = append(parts, e.Code)
	}
	if e.Message != "" {
		parts = append(parts, e.Message)
	}
	if e.cause != nil {
		parts = append(parts, e.cause.Error())
	}
	text := strings.Join(parts, ": ")
	if e.hint != "" {
		text += " (" + e.hint + ")"
	}
	return text
}

// Reason implements [jit.Refusal]: what speaks against the call, in the server's
// words where it has some.
func (e *Error) Reason() string {
	switch {
	case errors.Is(e.kind, ErrUnavailable), e.StatusCode == 0 && e.kind != nil:
		return ""
	case errors.Is(e.kind, ErrInvalidClient):
		return e.kind.Error()
	case e.Message != "":
		return e.Message
	case e.Code != "":
		return e.Code
	case e.StatusCode == 0 && e.cause != nil && !errors.Is(e.cause, context.Canceled) && !errors.Is(e.cause, context.DeadlineExceeded):
		return e.cause.Error() // of an argument, found before anything was sent
	case e.kind != nil:
		return e.kind.Error()
	}
	return ""
}

// Unwrap returns the sentinel and the cause, those that there are.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.kind != nil {
		errs = append(errs, e.kind)
	}
	if e.cause != nil {
		errs = append(errs, e.cause)
	}
	return errs
}

// ofAPI reports whether the API itself answered, for an organization that it
// knows. A 404 of a proxy or of a wrong organization says nothing about a task.
func (e *Error) ofAPI() bool {
	return !e.page && e.Code != "invalid_tenant" && e.Code != "tenant_not_found"
}

// Temporary implements [jit.Temporary]. It is true only when the same call can be
// made again without the risk of doing a thing twice.
func (e *Error) Temporary() (time.Duration, bool) { return e.RetryAfter, e.again }

// kindOf maps a status and code to a sentinel. asClient says that the call was
// authenticated with the client's own credentials.
func kindOf(status int, code string, asClient bool) error {
	switch {
	case code == "invalid_client", code == "unauthorized_client", status == http.StatusUnauthorized && asClient:
		return ErrInvalidClient
	case code == "budget_exceeded":
		return ErrBudgetExceeded
	case status == http.StatusUnauthorized:
		return ErrUnauthorized
	case status == http.StatusForbidden:
		return ErrForbidden
	case status == http.StatusNotFound:
		return ErrNotFound
	case status == http.StatusTooManyRequests:
		return ErrRateLimited
	case status >= 500:
		return ErrUnavailable
	case status >= 300 && status < 400:
		return ErrRedirected
	}
	return nil
}

// hintOf says what the operator can check, where that can be known.
func hintOf(kind error, status int, code, contentType string) string {
	media, _, _ := mime.ParseMediaType(contentType)
	foreign := media != "" && media != "application/json" && !strings.HasSuffix(media, "+json")
	switch {
	case errors.Is(kind, ErrInvalidClient):
		return "check the client id and secret, AGENT_CLIENT_ID and AGENT_CLIENT_SECRET"
	case code == dpop.CodeProof:
		return "it wants tokens that are bound to a key, and a proof of that: set DPoP, ANALYST_DPOP=true"
	case code == "invalid_tenant" || code == "tenant_not_found":
		return "check the organization, LUMOAUTH_ORG_ID"
	case errors.Is(kind, ErrRedirected):
		return "check the instance, LUMOAUTH_URL"
	case status == http.StatusNotFound && foreign:
		return "the answer is not JSON: check the instance and organization, LUMOAUTH_URL and LUMOAUTH_ORG_ID"
	case foreign:
		return "the answer is not JSON, a proxy may have sent it"
	}
	return ""
}

// read takes over the error body of any of LumoAuth's variants. What it cannot read it
// leaves out: the status decides.
func (e *Error) read(body []byte) {
	o, err := oauth.Decode(body)
	if err != nil {
		return
	}
	for _, name := range []string{"code", "error"} {
		if v := o.Text(name); e.Code == "" && isCode(v) {
			e.Code = v
		}
	}
	for _, name := range []string{"error_description", "message", "detail", "error"} {
		if v := o.Text(name); e.Message == "" && v != e.Code {
			e.Message = v
		}
	}
	if d, ok, err := o.Number("max_depth"); ok && err == nil && d >= 0 && d < 1<<16 {
		e.MaxDepth = int(d)
	}
	if d, ok, err := o.Seconds("retry_after"); ok && err == nil {
		e.RetryAfter = min(d, maxRetryAfter)
	}
}

// isCode reports whether v has the form of a wire code, and not of prose or of a
// credential.
func isCode(v string) bool {
	if v == "" || len(v) > 64 {
		return false
	}
	for _, c := range []byte(v) {
		if !isAlnum(c) && c != '_' && c != '.' && c != '-' {
			return false
		}
	}
	return true
}
