package lumoauth

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

var _ jit.Authority = (*Client)(nil)

// A Client talks to one organization of one instance as one agent. It is safe for
// concurrent use, keeps the agent's access token in memory, and needs no Close:
// connections that nobody uses end by themselves.
type Client struct {
	base      string // https://host/orgs/slug/api/v1
	host      string
	id        string
	secret    secret.String
	basicAuth bool
	scopes    []string
	userAgent string
	transport http.RoundTripper
	timeout   time.Duration // of one try
	tries     int
	maxWait   time.Duration
	log       *slog.Logger
	agent     *tokenSource
	decideAt  *url.URL // of Config
	callback  func(taskID string) string
	key       *dpop.Key // that the agent's tokens are bound to; nil for bearer tokens
}

// New checks cfg whole and returns a client. It does no I/O: the first call logs
// in. The error, a [*ConfigError], lists every problem.
func New(cfg Config) (*Client, error) {
	base, err := cfg.check()
	if err != nil {
		return nil, err
	}
	c := &Client{
		base:      base,
		host:      strings.Split(base, "/")[2],
		id:        cfg.ClientID,
		secret:    cfg.ClientSecret,
		basicAuth: cfg.BasicAuth,
		scopes:    slices.Clone(cfg.Scopes),
		userAgent: cmp.Or(cfg.UserAgent, "jitagent"),
		timeout:   DefaultTimeout,
		tries:     cmp.Or(cfg.Tries, DefaultTries),
		maxWait:   cmp.Or(cfg.MaxWait, DefaultMaxWait),
		log:       cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		decideAt:  cfg.DecideAt,
		callback:  cfg.Callback,
	}
	if hc := cfg.HTTPClient; hc != nil {
		c.transport, c.timeout = hc.Transport, cmp.Or(hc.Timeout, DefaultTimeout)
	}
	if c.transport == nil {
		c.transport = defaultTransport()
	}
	if cfg.DPoP {
		if c.key, err = new(dpop.Client).NewKey(); err != nil {
			return nil, err
		}
	}
	c.agent = newTokenSource(opLogin, 2*c.timeout, c.login)
	return c, nil
}

// Format implements [fmt.Formatter]: a client prints as the place it talks to,
// whatever its transport may hold.
func (c Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "lumoauth.Client("+c.base+")") }

// A call is one request to the server, built from configuration and checked
// arguments only.
type call struct {
	op       string
	invalid  error // what is wrong with the arguments: then nothing is sent
	method   string
	path     string // below the base, escaped
	form     url.Values
	json     []byte
	bearer   secret.String
	proven   bool // with a proof of the agent's key, if it has one
	asClient bool // authenticate with the client credentials
	repeat   repeat
	hide     []secret.String // credentials in form, besides the client's own
}

// repeat says when a call may be sent again.
type repeat uint8

const (
	// repeatNever: only when the server certainly did not act, which is when it
	// could not be reached or said 429.
	repeatNever repeat = iota
	// repeatSafe: on network faults, 429, 502, 503 and 504.
	repeatSafe
	// repeatAlways: on every fault that may pass, until the context ends.
	repeatAlways
)

// path joins segments, each escaped, to a path below the base.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// ask sends a call, and reads the answer. What cannot be read is an error, and nothing of
// it is used.
func ask[T any](ctx context.Context, r call, send func(context.Context, call) (answer, error), read func(answer) (T, error)) (T, error) {
	a, err := send(ctx, r)
	if err != nil {
		return *new(T), err
	}
	got, err := read(a)
	if err != nil {
		return *new(T), unusable(r.op, a, err)
	}
	return got, nil
}

// plain sends a call that needs no agent token.
func (c *Client) plain(ctx context.Context, r call) (answer, error) {
	return retry(ctx, c, r.repeat, func(ctx context.Context) (answer, error) { return c.once(ctx, r) })
}

// asAgent sends a call with the agent's token.
func (c *Client) asAgent(ctx context.Context, r call) (answer, error) {
	if r.invalid != nil {
		return answer{}, &Error{Op: r.op, cause: r.invalid}
	}
	return retry(ctx, c, r.repeat, func(ctx context.Context) (answer, error) {
		return c.withAgent(ctx, r.op, func(token secret.String) call {
			r.bearer = token
			return r
		})
	})
}

// asUser returns what sends a call with the token of a person.
func (c *Client) asUser(user secret.String) func(context.Context, call) (answer, error) {
	return func(ctx context.Context, r call) (answer, error) {
		if err := oauth.CheckToken(user); err != nil {
			return answer{}, invalidArgument(r.op, "user token", err)
		}
		r.bearer = user
		return c.plain(ctx, r)
	}
}

// withAgent makes one try with the agent's token. When the server refuses a token
// that was cached, it drops that token, logs in once and sends the call once more:
// a 401 says that the server did not act.
func (c *Client) withAgent(ctx context.Context, op string, build func(token secret.String) call) (answer, error) {
	token, err := c.agent.get(ctx, op)
	if err != nil {
		return answer{}, err
	}
	send := func() (answer, error) {
		r := build(token.value)
		r.proven = true
		return c.once(ctx, r)
	}
	a, err := send()
	if a.status == http.StatusUnauthorized && c.agent.drop(token) {
		if token, err = c.agent.get(ctx, op); err != nil {
			return answer{}, err
		}
		a, err = send()
	}
	if err == nil {
		token.accepted.Store(true)
	}
	return a, err
}
