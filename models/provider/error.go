package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/secret"
)

// An Error is a call that a provider did not answer, or not to the end. Its texts
// are for people; programs read Status, Reason and [Error.Temporary].
type Error struct {
	// Provider and Model name what was called: "openai" and "gpt-5-mini".
	Provider string
	Model    string
	// Status is the HTTP status of the failure, 0 when no answer came or when the
	// answer itself was at fault.
	Status int
	// Reason is the provider's code, such as RESOURCE_EXHAUSTED or
	// context_length_exceeded, as [Code] lets it pass; empty when it gave none.
	Reason string
	// Problem says what happened and Remedy what to do, in one line each.
	Problem string
	Remedy  string
	// RetryAfter is the wait that the provider asked for, 0 when it asked for none.
	RetryAfter time.Duration

	cause     error // never holds text of the provider's
	permanent bool  // or passing: whatever the status says
	passing   bool
	inCall    bool // the model had begun a call
	said      secret.String
}

// Said returns the provider's own words, for whoever debugs: one line, cut, without
// the API key. They may quote the prompt, so they are no part of the error's text,
// of what it prints as, or of what is shown without being asked for.
func (e *Error) Said() string { return e.said.Reveal() }

// Error is one line: models: PROVIDER/MODEL: problem (status reason): remedy.
func (e *Error) Error() string {
	var code string
	switch {
	case e.Status != 0 && e.Reason != "":
		code = fmt.Sprintf(" (%d %s)", e.Status, e.Reason)
	case e.Status != 0:
		code = fmt.Sprintf(" (%d)", e.Status)
	case e.Reason != "":
		code = " (" + e.Reason + ")"
	}
	return fmt.Sprintf("models: %s/%s: %s%s: %s", e.Provider, e.Model, e.Problem, code, e.Remedy)
}

// Unwrap returns the typed error of the library that made the call, or of the
// network, without the texts in it that the provider wrote; nil when there is none.
func (e *Error) Unwrap() error { return e.cause }

// Temporary reports whether the same call may succeed later, and the least wait
// before it (0 when the provider named none). It may after 408, 429, 5xx, a connection
// that was refused, reset or closed before an answer, and an answer that broke off or a stream that
// cannot be read; not where the provider says something that no wait of seconds changes: an account without means,
// the quota of a day, a prompt that does not fit, a server without support for tools.
func (e *Error) Temporary() (time.Duration, bool) {
	switch {
	case e.permanent:
		return e.RetryAfter, false
	case e.Status == http.StatusRequestTimeout, e.Status == http.StatusTooManyRequests, e.Status >= 500:
		return e.RetryAfter, true
	case e.Status != 0:
		return e.RetryAfter, false
	}
	return e.RetryAfter, e.passing || errors.Is(e.cause, syscall.ECONNREFUSED) || errors.Is(e.cause, syscall.ECONNRESET) ||
		errors.Is(e.cause, syscall.EPIPE) || errors.Is(e.cause, errHungUp)
}

// errHungUp is a connection that the server closed before it answered.
var errHungUp = errors.New("the connection was closed before an answer")

var codes = lazy.Regexp(`^[A-Za-z][A-Za-z_]{0,47}$`)

// Code returns s when it reads like a provider's code (letters and underscores,
// at most 48), and "" for free text.
func Code(s string) string {
	if codes().MatchString(s) {
		return s
	}
	return ""
}

// A Problem is what people are told about a failure: what happened, and what to do.
type Problem struct{ Text, Remedy string }

// A Target names what calls go to, for errors. It is a value: set it once, copy it
// freely.
type Target struct {
	// Provider and Model become those of each [Error].
	Provider string
	Model    string
	// Host is where requests go, for errors of the network.
	Host string
	// Key is the variable that holds the API key; empty when there is none.
	Key string
	// Account names who pays, for errors; empty means the account behind Key.
	Account string
	// Hosted says that the provider's own servers are called, whose settings nobody can
	// change who reads an error.
	Hosted bool
	// Secret is the key itself, which [Error.Said] never holds.
	Secret secret.String
}

// Fail returns an error of t. cause is what [Error.Unwrap] gives, and must hold no
// text that the provider wrote; nil is fine.
func (t Target) Fail(p Problem, cause error) *Error {
	return &Error{Provider: t.Provider, Model: Shorten(t.Model), Problem: p.Text, Remedy: p.Remedy, cause: cause, passing: p == BrokenOff}
}

// Ended returns the end of ctx as an error that names t, and nil while ctx goes on.
// Callers find [context.Canceled] and [context.DeadlineExceeded] in it.
func (t Target) Ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("models: %s/%s: %w", t.Provider, Shorten(t.Model), err)
	}
	return nil
}

// Unanswered returns the error for a call that failed with err and without an
// answer's status: the network, a body over the limit, or one that could not be
// read, which may pass where x says that a stream had begun; x may be nil. Of err it
// keeps only what the network stack itself says.
func (t Target) Unanswered(x *Exchange, err error) *Error {
	p, cause := t.network(err)
	e := t.Fail(p, cause)
	e.passing = e.passing || p == Unreadable && x != nil && x.Seen().Streams
	return e
}

func (t Target) network(err error) (Problem, error) {
	to := "no connection to " + t.Host
	if e, ok := errors.AsType[*TooLargeError](err); ok {
		return Problem{fmt.Sprintf("the answer is over %d MiB", e.Limit>>20), "ask for less"}, e
	}
	// A url.Error is the client's: no answer had begun. Later errors are the body's.
	_, early := errors.AsType[*url.Error](err)
	number, _ := errors.AsType[syscall.Errno](err)
	var cause error
	if number != 0 {
		cause = number
	}
	switch fault := peer.Broke(err); {
	case fault == peer.NoProxy && strings.Contains(err.Error(), http.StatusText(http.StatusProxyAuthRequired)):
		return proxyLogin, nil
	case fault == peer.NoProxy:
		return Problem{to + ": the proxy does not connect", "check HTTPS_PROXY, and NO_PROXY for hosts that need none"}, nil
	case fault == peer.NoSuchHost:
		return Problem{to + ": the host name was not found", "check the base URL and the network"}, nil
	case fault == peer.Untrusted:
		return Problem{to + ": its certificate is not trusted", "check the base URL; where a proxy or a company signs certificates, name its authority's file in SSL_CERT_FILE"}, nil
	case fault == peer.NoRoots:
		return Problem{to + ": the certificates that this machine trusts cannot be read", "check that SSL_CERT_FILE, where it is set, names a file of certificates (PEM) that can be read"}, nil
	case fault == peer.NotTLS:
		return Problem{to + ": it does not speak TLS", "check the base URL: http is for servers on this machine"}, nil
	case fault == peer.Refused:
		return Problem{to + ": connection refused", "check that it runs, the base URL, and network and proxy settings"}, cause
	case early && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)):
		return Problem{to + ": it closed the connection without an answer", "try again; if it stays so, check the base URL"}, errHungUp
	case early && fault != peer.Unknown, fault == peer.Unreachable:
		return Problem{to, "check the network and proxy settings"}, cause
	case fault == peer.BrokenOff:
		return BrokenOff, cause
	}
	return Unreadable, nil
}

// Shorten bounds what an error repeats of a caller's text.
func Shorten(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "..."
}
