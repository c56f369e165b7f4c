package provider

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/internal/peer"
)

// Bounds of one answer in bytes, after decompression. A streamed answer repeats its
// frame with each token, a few hundred bytes of it, so it may be longer.
const (
	MaxAnswer  = 16 << 20
	MaxStream  = 64 << 20
	maxProblem = 64 << 10 // the body of an answer that is no success
)

// A TooLargeError is an answer over its bound.
type TooLargeError struct{ Limit int64 }

func (e *TooLargeError) Error() string { return fmt.Sprintf("answer over %d bytes", e.Limit) }

// BaseURL reads the address of a provider: https, or http on loopback, since a key
// and documents are sent there. name is for errors, which never
// repeat raw: it may hold a password. The result has no slash at its end.
func BaseURL(name, raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		for _, scheme := range []string{"http://", "https://"} {
			if u, err := BaseURL(name, scheme+raw); err == nil {
				return nil, fmt.Errorf("models: base URL for %s has no scheme: did you mean %s?", name, u)
			}
		}
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Opaque != "",
		strings.ContainsFunc(u.Host, func(r rune) bool { return r <= ' ' || r > '~' }): // names are given in ASCII (RFC 3986, section 3.2.2)
		return nil, fmt.Errorf("models: malformed base URL for %s: use one such as https://host/path", name)
	case u.Scheme == "https", u.Scheme == "http" && Loopback(u):
		u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
		return u, nil
	}
	return nil, fmt.Errorf("models: base URL for %s must be https, or http on loopback: the API key is sent there", name)
}

// Loopback reports whether u stays on this machine: localhost or an address of the
// loopback network. No name is resolved.
func Loopback(u *url.URL) bool {
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Client returns a copy of c that follows no redirect, caps bodies, writes answers as
// the [Exchange] in a request's context wants them, and tells it what came back. nil
// means one with [peer.Transport]. c itself is not changed.
func Client(c *http.Client) *http.Client {
	var out http.Client
	if c != nil {
		out = *c
	}
	out.Transport = cmp.Or(out.Transport, peer.Transport())
	out.Transport = &transport{out.Transport}
	out.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &out
}

// transport caps bodies, rewrites answers, and reports to exchanges.
type transport struct{ base http.RoundTripper }

// RoundTrip implements [http.RoundTripper].
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	x, _ := req.Context().Value(exchangeKey{}).(*Exchange)
	x.hear(func(s *Seen) {
		*s = Seen{Status: resp.StatusCode, Streams: streams(resp), RetryAfter: retryAfter(resp.Header, time.Now())}
	})
	b := &body{ReadCloser: resp.Body, limit: MaxAnswer, exchange: x}
	switch {
	case resp.StatusCode < 200 || resp.StatusCode >= 300:
		b.limit, b.cut = maxProblem, true
	case streams(resp):
		b.limit = MaxStream
	}
	b.left = b.limit
	resp.Body = b
	switch {
	case b.cut:
		problem, _ := io.ReadAll(b) // what there is of it: the status is what counts
		_ = b.Close()
		problem = unwrapped(problem)
		x.hear(func(s *Seen) { s.Problem = problem })
		resp.Body = io.NopCloser(bytes.NewReader(problem))
	case x != nil && x.keep.Write != nil:
		resp.Body, resp.ContentLength = &rewritten{Closer: b, values: newValues(b), exchange: x}, -1
	}
	return resp, nil
}

type body struct {
	io.ReadCloser
	limit, left int64
	cut         bool // the rest is not missed: end as if it were not there
	exchange    *Exchange
}

func (b *body) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.exchange.ended(b.over())
	}
	// One byte more than may come, so that a body of just the limit ends well.
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left < 0 {
		n, err = n-1, b.over()
	}
	return n, b.exchange.ended(err)
}

func (b *body) over() error {
	if b.cut {
		return io.EOF
	}
	return &TooLargeError{b.limit}
}

// An Exchange hears what an HTTP answer says besides what the libraries pass on. It
// is for one call; its methods are safe for concurrent use.
type Exchange struct {
	keep Keep
	mu   sync.Mutex
	seen Seen
}

// Seen is what the last answer says. The zero Seen is none.
type Seen struct {
	Status int
	// Streams says that the answer is a success that says to be a stream of events:
	// whoever sent it speaks the API, as far as an answer can tell.
	Streams bool
	// RetryAfter is the wait that the headers ask for, 0 for none.
	RetryAfter time.Duration
	// Problem is the body of what is no success.
	Problem []byte
	// Err ended the body, if it is kept.
	Err error
}

// Seen returns what the last answer says so far.
func (x *Exchange) Seen() Seen {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.seen
}

// hear changes what is seen. A nil Exchange hears nothing.
func (x *Exchange) hear(change func(*Seen)) {
	if x != nil {
		x.mu.Lock()
		defer x.mu.Unlock()
		change(&x.seen)
	}
}

type exchangeKey struct{}

// Keep says what an [Exchange] does with the body of an answer.
type Keep struct {
	// Error ends a body that cannot be read further like one that is complete, and
	// keeps the error: for libraries that print it, or bury it.
	Error bool
	// Write appends to b what a library is to read in place of one of the answer's
	// [Values], [Done] aside. An error ends the body. nil leaves the body as it is.
	Write func(b, value []byte) ([]byte, error)
}

// Observe returns a context whose requests, sent through a [Client], report to the
// Exchange.
func Observe(ctx context.Context, keep Keep) (context.Context, *Exchange) {
	x := &Exchange{keep: keep}
	return context.WithValue(ctx, exchangeKey{}, x), x
}

func streams(resp *http.Response) bool {
	kind, _, _ := strings.Cut(resp.Header.Get("Content-Type"), ";")
	return resp.StatusCode/100 == 2 && strings.EqualFold(strings.TrimSpace(kind), "text/event-stream")
}

// ended hears of the error that a body ended with, and returns the one to go on with.
func (x *Exchange) ended(err error) error {
	if x == nil || !x.keep.Error || err == nil || err == io.EOF { //nolint:errorlint // a reader's end is io.EOF itself
		return err
	}
	x.hear(func(s *Seen) { s.Err = err })
	return io.EOF
}

// retryAfter reads Retry-After and OpenAI's finer retry-after-ms.
func retryAfter(h http.Header, now time.Time) time.Duration {
	if len(h["Retry-After"])+len(h["Retry-After-Ms"]) == 0 {
		return 0
	}
	if ms, err := strconv.ParseFloat(h.Get("Retry-After-Ms"), 64); err == nil {
		return peer.Seconds(ms / 1000)
	}
	wait, _ := peer.RetryAfter(h, now)
	return wait
}
