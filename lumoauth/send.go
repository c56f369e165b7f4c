package lumoauth

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/secret"
)

// maxBody bounds a response body, after decompression.
const maxBody = 1 << 20

// An answer is a response, read whole. A zero status means that there was none.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	sent     time.Time           // before the request left
	received time.Time           // when the header was there
	hide     func(string) string // without the credentials of the exchange
}

// clean makes a text of this answer fit for errors, logs and models.
func (a answer) clean(text string, limit int) string { return clean(text, limit, a.hide) }

// once sends r one time. An answer outside 2xx is an error as well as an answer.
//
// It uses the transport and not an http.Client: nothing below follows redirects,
// adds cookies, or writes URLs into errors.
func (c *Client) once(ctx context.Context, r call) (answer, error) {
	if err := cmp.Or(r.invalid, ctx.Err()); err != nil {
		return answer{}, &Error{Op: r.op, cause: err}
	}
	try, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, hide, err := c.request(try, r)
	if err != nil {
		return answer{}, &Error{Op: r.op, cause: errors.New("the request cannot be built")}
	}
	a := answer{sent: time.Now(), hide: hide}
	send := c.transport.RoundTrip
	if r.proven && c.key != nil {
		send = func(req *http.Request) (*http.Response, error) { return c.key.RoundTrip(c.transport, req, r.bearer) }
	}
	resp, err := send(req)
	if err == nil && resp == nil {
		err = errors.New("the transport gave neither response nor error")
	}
	if err != nil {
		e := c.failed(ctx, r, err, hide)
		c.logTry(ctx, r.op, 0, time.Since(a.sent))
		return a, e
	}
	a.received, a.status, a.header = time.Now(), resp.StatusCode, resp.Header
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	defer func() { _ = resp.Body.Close() }() // the answer is read, or given up
	a.body, err = strictjson.ReadAll(resp.Body, maxBody)
	c.logTry(ctx, r.op, a.status, time.Since(a.sent))
	if a.status < 200 || a.status > 299 {
		return a, c.refused(r, a, resp.Header.Get("Location")) // the body says more, if it could be read
	}
	switch {
	case errors.Is(err, strictjson.ErrTooLarge):
		return a, &Error{Op: r.op, StatusCode: a.status, kind: ErrInvalidResponse, cause: err}
	case err != nil:
		e := c.failed(ctx, r, err, hide)
		e.StatusCode = a.status
		return a, e
	}
	return a, nil
}

func (c *Client) logTry(ctx context.Context, op string, status int, took time.Duration) {
	c.log.LogAttrs(ctx, slog.LevelDebug, "authorization server called",
		slog.String("op", op), slog.String("host", c.host), slog.Int("status", status), slog.Duration("took", took))
}

// request builds the HTTP request, and what hides the credentials in it.
func (c *Client) request(ctx context.Context, r call) (*http.Request, func(string) string, error) {
	hide := append([]secret.String{c.secret, c.agent.peek(), r.bearer}, r.hide...)
	var body []byte
	contentType := ""
	switch {
	case r.form != nil:
		form := url.Values{}
		for k, v := range r.form {
			form[k] = v
		}
		if r.asClient && !c.basicAuth {
			form.Set("client_id", c.id)
			form.Set("client_secret", c.secret.Reveal())
		}
		body, contentType = []byte(form.Encode()), "application/x-www-form-urlencoded"
	case r.json != nil:
		body, contentType = r.json, "application/json"
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.userAgent)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	switch {
	case r.asClient && c.basicAuth:
		// Both halves are form-encoded first (RFC 6749, section 2.3.1).
		req.SetBasicAuth(url.QueryEscape(c.id), url.QueryEscape(c.secret.Reveal()))
		hide = append(hide, secret.New(req.Header.Get("Authorization")[len("Basic "):]))
	case !r.bearer.IsZero():
		req.Header.Set("Authorization", "Bearer "+r.bearer.Reveal()) // which a proof's own takes the place of
	}
	return req, hiding(hide...), nil
}

// failed explains a call without a usable answer. When the caller's context
// ended, the error wraps that; when only this try ran out of time, it does not,
// for the caller's deadline has not passed.
func (c *Client) failed(ctx context.Context, r call, err error, hide func(string) string) *Error {
	e := &Error{Op: r.op}
	if ctx.Err() != nil {
		e.cause = ctx.Err()
		return e
	}
	e.kind = ErrUnavailable
	fault := peer.Broke(err)
	text := fault.String()
	switch fault {
	case peer.Unknown: // of a transport of the caller's
		text = clean(innermost(err), maxMessage, hide)
	case peer.TimedOut:
		text = fmt.Sprintf("no answer within %v", c.timeout)
	case peer.Untrusted, peer.NoRoots, peer.NotTLS:
		e.hint = "check the instance, LUMOAUTH_URL, and the certificates this machine trusts"
	case peer.Refused, peer.NoSuchHost, peer.Unreachable, peer.NoProxy:
		e.hint = "check the instance, LUMOAUTH_URL, and the network"
	}
	e.cause = fmt.Errorf("%s: %s", c.host, text)
	if fault != peer.Untrusted && fault != peer.NoRoots && fault != peer.NotTLS { // those stay as they are
		e.again = r.repeat != repeatNever || peer.NeverSent(err)
	}
	return e
}

// innermost returns the text of err without the URL that http.Client adds, in case
// the transport wraps one.
func innermost(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err.Error()
	}
	return err.Error()
}

// refused explains an answer outside 2xx.
func (c *Client) refused(r call, a answer, location string) *Error {
	e := &Error{Op: r.op, StatusCode: a.status}
	e.read(a.body)
	if a.clean(e.Code, maxLabel) != e.Code {
		e.Code = "" // a credential dressed as a code
	}
	code := e.Code
	e.Message, e.kind = a.clean(e.Message, maxMessage), kindOf(a.status, code, r.asClient)
	e.hint = hintOf(e.kind, a.status, code, a.header.Get("Content-Type"))
	e.page = strings.Contains(a.header.Get("Content-Type"), "html")
	if d, ok := retryAfter(a.header, a.received); ok {
		e.RetryAfter = d
	}
	if errors.Is(e.kind, ErrRedirected) {
		e.Code, e.Message = "", "" // prose about another place
		if u, err := url.Parse(location); err == nil && u.Host != "" {
			e.Message = "to host " + a.clean(u.Host, maxLabel)
		}
	}
	e.again = mayPass(r.repeat, a.status) && code != codeSlowDown && !errors.Is(e.kind, ErrBudgetExceeded) && !errors.Is(e.kind, ErrInvalidClient)
	return e
}

// mayPass reports whether a call answered with status may be sent again.
func mayPass(rule repeat, status int) bool {
	switch status {
	case http.StatusTooManyRequests:
		return true // refused before anything was done
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return rule != repeatNever
	}
	return rule == repeatAlways && (status >= 500 || status == http.StatusRequestTimeout)
}

// unusable explains a success that could not be understood.
func unusable(op string, a answer, err error) *Error {
	e := &Error{Op: op, StatusCode: a.status, kind: ErrInvalidResponse, cause: err}
	e.hint = hintOf(nil, a.status, "", a.header.Get("Content-Type"))
	return e
}

// invalidArgument explains an argument that was not sent.
func invalidArgument(op, name string, err error) *Error {
	return &Error{Op: op, cause: fmt.Errorf("%s: %w", name, err)}
}
