package oauthz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

var (
	_ jit.Authority = (*Client)(nil)
	_ jit.Revoker   = (*Client)(nil)
)

// A Client is a [jit.Authority] on one server, as one client of it. It is safe for
// concurrent use and needs no Close.
type Client struct {
	cfg       Config
	transport http.RoundTripper
	timeout   time.Duration
	known     atomic.Pointer[oauth.Metadata]
	logins    singleflight.Group
	found     bool // the server, or who we are there, is not in the configuration

	*shared
}

// shared is what the clients of one configuration have in common, whichever server each
// of them is for.
type shared struct {
	configured *Client    // the one that New returned
	given      Config     // without what was found
	api        jit.Origin // of the configured API; zero with none
	receiver   *receiver
	proofs     dpop.Client
	key        *dpop.Key // the agent's own; nil without DPoP

	registering sync.Mutex
	clients     map[string]place // that were registered, by issuer

	mu       sync.Mutex
	base     baseToken
	tasks    map[string]jit.TaskSpec
	keys     map[string]*dpop.Key // of tasks
	requests map[string]*request  // of the tasks that this process works on
	places   map[place]*Client
	issuers  map[string]*Client // for the APIs that named one, by origin
}

// New checks cfg whole and returns a client. It does no I/O. The error, a
// [*ConfigError], lists every problem.
func New(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.Types, cfg.Always = maps.Clone(cfg.Types), slices.Clone(cfg.Always)
	cfg.MaxLifetime = cmp.Or(cfg.MaxLifetime, DefaultMaxLifetime)
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "jitagent")
	if cfg.Mode == CIBA {
		cfg.Always = append(cfg.Always, "openid") // which CIBA asks for by rule
	}
	api, err := cfg.origin()
	if cfg.Mode == AuthorizationCode && (cfg.ClientSecret.IsZero() && cfg.Key == nil || err != nil) {
		cfg.NoBase = true // who proves nothing is nobody, and without an API there is nobody to tell
	}
	cfg.Redirect, cfg.LoginTimeout = cmp.Or(cfg.Redirect, defaultRedirect), cmp.Or(cfg.LoginTimeout, DefaultLoginTimeout)
	if cfg.Login == nil {
		cfg.Login = func(s jit.TaskSpec) (string, error) { return s.OnBehalfOf, nil }
	}
	if cfg.Vault == nil {
		cfg.Vault = Memory()
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	back, _ := url.Parse(cfg.Redirect) // it was checked
	c := &Client{cfg: cfg, timeout: defaultTimeout, shared: &shared{
		given: cfg, api: api,
		receiver: &receiver{log: cfg.Logger, on: net.JoinHostPort(back.Hostname(), cmp.Or(back.Port(), "0")), path: back.EscapedPath(), logins: map[string]*login{}},
		clients:  map[string]place{}, tasks: map[string]jit.TaskSpec{}, keys: map[string]*dpop.Key{}, requests: map[string]*request{},
		places: map[place]*Client{}, issuers: map[string]*Client{},
	}}
	c.configured = c
	if cfg.DPoP {
		if c.key, err = c.proofs.NewKey(); err != nil {
			return nil, err
		}
	}
	if hc := cfg.HTTPClient; hc != nil {
		c.transport, c.timeout = hc.Transport, cmp.Or(hc.Timeout, defaultTimeout)
	}
	c.transport = cmp.Or(c.transport, peer.Transport())
	return c, nil
}

// Format implements [fmt.Formatter]: a client prints as the place it talks to.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, "oauthz.Client("+c.cfg.Issuer+")")
}

// A baseToken is the agent's own, and when to replace it.
type baseToken struct {
	value   secret.String
	refresh time.Time
}

// AgentToken implements [jit.Authority]: a token of the client's own for the API, which
// allows nothing. One that says otherwise is not used: with it the API would demand
// nothing, and nothing would be asked for.
func (c *Client) AgentToken(ctx context.Context) (jit.Credential, error) {
	if c.cfg.NoBase {
		return jit.Credential{}, nil
	}
	c.mu.Lock()
	base := c.base
	c.mu.Unlock()
	if c.cfg.Mode == AuthorizationCode { // most clients that log people in have no more than that
		if m, err := c.metadata(ctx); err != nil || !slices.Contains(m.GrantTypes, ClientCredentials.grantType()) {
			return jit.Credential{}, err
		}
	}
	if time.Now().Before(base.refresh) {
		return jit.Credential{Token: base.value, DPoP: c.key, Origin: c.api}, nil
	}
	done := c.logins.DoChan("", func() (any, error) { return c.login(context.WithoutCancel(ctx)) })
	select {
	case r := <-done:
		if r.Err != nil {
			return jit.Credential{}, r.Err
		}
		return jit.Credential{Token: r.Val.(secret.String), DPoP: c.key, Origin: c.api}, nil
	case <-ctx.Done():
		return jit.Credential{}, ctx.Err()
	}
}

func (c *Client) login(ctx context.Context) (secret.String, error) {
	const op = "log in"
	body, sent, err := c.token(ctx, op, c.form(ClientCredentials), c.key)
	if err != nil {
		return secret.String{}, err
	}
	t, err := oauth.ParseToken(body, c.cfg.DPoP)
	if err == nil && (t.Details != nil || len(c.beyond(t.Scopes)) > 0) {
		err = fmt.Errorf("the agent's own token may already do something (scope %q): register the client without, or name it as always granted", strings.Join(t.Scopes, " "))
		_ = c.Revoke(ctx, t.Value) // it expires by itself
	}
	if err != nil {
		return secret.String{}, &Error{Op: op, cause: err}
	}
	life := cmp.Or(t.Lifetime, c.cfg.MaxLifetime)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.base = baseToken{t.Value, sent.Add(life - min(time.Minute, life/5))}
	return t.Value, nil
}

// beyond returns the scopes that are not always granted.
func (c *Client) beyond(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool { return slices.Contains(c.cfg.Always, s) })
}

// form begins the form of a token request.
func (c *Client) form(mode Mode) url.Values {
	form := url.Values{"grant_type": {mode.grantType()}}
	if c.cfg.Resource != "" {
		form.Set("resource", c.cfg.Resource)
	}
	return form
}

// keyOf returns the key that a task's tokens are bound to; nil without DPoP. It is this
// process's own: another one that goes on with the task makes another.
func (c *Client) keyOf(task string) (*dpop.Key, error) {
	if c.cfg.Mode == TokenExchange {
		return c.key, nil // that of the token which is given: servers want the same
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.keys[task]; k != nil || !c.cfg.DPoP {
		return k, nil
	}
	k, err := c.proofs.NewKey()
	if err == nil {
		c.keys[task] = k
	}
	return k, err
}

// token posts to the token endpoint, with a proof of key if that is not nil, and says when.
func (c *Client) token(ctx context.Context, op string, form url.Values, key *dpop.Key, hide ...string) (body []byte, sent time.Time, err error) {
	m, err := c.metadata(ctx)
	if err != nil {
		return nil, time.Time{}, err
	}
	sent = time.Now()
	body, err = c.post(ctx, op, m.TokenEndpoint, form, key, hide...)
	return body, sent, err
}

// errNoRevocation is a cause: nothing can be done about the token.
var errNoRevocation = errors.New("the server cannot revoke this token")

// Revoke implements [jit.Revoker] (RFC 7009). The agent's own token is got anew
// afterwards: there are servers at which it ends with any other.
func (c *Client) Revoke(ctx context.Context, token secret.String) error {
	var from *place
	c.mu.Lock()
	for _, q := range c.requests {
		if q.token.Reveal() == token.Reveal() {
			from = q.Server
		}
	}
	c.mu.Unlock()
	c, err := c.at(from)
	if err != nil {
		return err
	}
	return c.revoke(ctx, token.Reveal(), "access_token")
}

func (c *Client) revoke(ctx context.Context, token, hint string) error {
	const op = "revoke a token"
	m, err := c.metadata(ctx)
	if err != nil {
		return err
	}
	if m.RevocationEndpoint == "" {
		return &Error{Op: op, cause: errNoRevocation}
	}
	_, err = c.post(ctx, op, m.RevocationEndpoint, url.Values{"token": {token}, "token_type_hint": {hint}}, nil, token)
	if e, ok := errors.AsType[*Error](err); ok && (e.Code == "unsupported_token_type" || e.StatusCode == http.StatusNotFound) {
		e.cause = errNoRevocation // a JWT, at most servers that issue them
	}
	if err == nil {
		c.mu.Lock()
		c.base = baseToken{}
		c.mu.Unlock()
	}
	return err
}
