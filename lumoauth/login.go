package lumoauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v5"
	"golang.org/x/sync/singleflight"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

const (
	opLogin = "agent login"

	refreshAhead  = 60 * time.Second // before a token's expiry
	agentLifetime = time.Hour        // when the server does not say

	// A failed login is remembered, so that many callers make no storm of them:
	// for growing pauses up to longestPause, and for refusedPause when the
	// credentials themselves are wrong. That is also the most that a server's
	// Retry-After adds: a task must be completed however long it asks for.
	longestPause = 30 * time.Second
	refusedPause = 60 * time.Second

	// dropPause is the least time between two logins for tokens that the server
	// has never accepted.
	dropPause = 10 * time.Second
)

// AgentToken returns the agent's access token. The first call logs in; later
// ones share the token until 60 seconds before its expiry, or a fifth of a shorter
// lifetime. Callers who come together share one login, and each can leave it with
// its context. While a refresh fails, the old token serves until it expires.
func (c *Client) AgentToken(ctx context.Context) (jit.Credential, error) {
	_, credential, err := c.fresh(ctx, c.agent)
	return credential, err
}

// fresh returns the token of a source, trying again as for a call that may be repeated.
func (c *Client) fresh(ctx context.Context, s *tokenSource) (*cachedToken, jit.Credential, error) {
	t, err := retry(ctx, c, repeatSafe, func(ctx context.Context) (*cachedToken, error) { return s.get(ctx, s.op) })
	if err != nil {
		return nil, jit.Credential{}, err
	}
	return t, jit.Credential{Token: t.value, DPoP: c.key}, nil
}

// login makes one try with the client credentials (RFC 6749, section 4.4).
func (c *Client) login(ctx context.Context) (*cachedToken, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if len(c.scopes) > 0 {
		form.Set("scope", strings.Join(c.scopes, " "))
	}
	return ask(ctx, call{
		op: opLogin, method: http.MethodPost, path: "/oauth/token", form: form, asClient: true, proven: true, repeat: repeatSafe,
	}, c.once, c.issued)
}

// A cachedToken is a token and when to replace it.
type cachedToken struct {
	value     secret.String
	scopes    []string
	refreshAt time.Time
	expiresAt time.Time
	accepted  atomic.Bool // by the API, at least once
}

// issued reads a token. Its lifetime counts from sending the request, which errs on the
// safe side.
func (c *Client) issued(a answer) (*cachedToken, error) {
	t, err := oauth.ParseToken(a.body, c.key != nil)
	life := cmp.Or(t.Lifetime, agentLifetime)
	return &cachedToken{
		value: t.Value, scopes: t.Scopes,
		refreshAt: a.sent.Add(life - min(refreshAhead, life/5)), expiresAt: a.sent.Add(life),
	}, err
}

// A tokenSource keeps one token fresh: one fetch at a time for all who wait.
type tokenSource struct {
	op      string
	timeout time.Duration // of a fetch, which no caller's context ends
	fetch   func(context.Context) (*cachedToken, error)
	flight  singleflight.Group

	mu        sync.Mutex // guards what follows
	current   *cachedToken
	failure   error // of the last fetch; nil after a success
	notBefore time.Time
	pauses    *backoff.ExponentialBackOff
	dropped   time.Time // when the last unaccepted token was dropped
}

func newTokenSource(op string, timeout time.Duration, fetch func(context.Context) (*cachedToken, error)) *tokenSource {
	return &tokenSource{op: op, timeout: timeout, fetch: fetch, pauses: newPauses(longestPause)}
}

// get returns a token that is not due for refresh, or one that is still valid
// when a fresh one cannot be had. op names the call that needs it.
func (s *tokenSource) get(ctx context.Context, op string) (*cachedToken, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Op: op, cause: err}
	}
	if t, err := s.known(time.Now()); t != nil || err != nil {
		return t, err
	}
	done := s.flight.DoChan("", func() (any, error) {
		// The first caller may leave, the others still wait.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
		defer cancel()
		return s.renew(ctx)
	})
	select {
	case r := <-done:
		if r.Err != nil {
			return nil, r.Err
		}
		return r.Val.(*cachedToken), nil
	case <-ctx.Done():
		return nil, &Error{Op: op, cause: ctx.Err()}
	}
}

// known returns what can be said without a fetch: a fresh token, or the failure
// of a fetch that is too recent to try again. Neither means: fetch.
func (s *tokenSource) known(now time.Time) (*cachedToken, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.current != nil && now.Before(s.current.refreshAt):
		return s.current, nil
	case s.failure == nil || !now.Before(s.notBefore):
		return nil, nil
	case s.current != nil && now.Before(s.current.expiresAt):
		return s.current, nil
	}
	return nil, remembered(s.failure, s.notBefore.Sub(now))
}

// remembered returns err with the wait that is left.
func remembered(err error, left time.Duration) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return err
	}
	again := *e
	again.RetryAfter = left
	return &again
}

// renew fetches a token and keeps it, or keeps the failure.
func (s *tokenSource) renew(ctx context.Context) (*cachedToken, error) {
	// Another flight may have landed between known and this one.
	if t, err := s.known(time.Now()); t != nil || err != nil {
		return t, err
	}
	t, err := s.fetch(ctx)
	if err != nil && ctx.Err() != nil {
		// The time of the fetch ran out, which is no deadline of a caller.
		err = &Error{Op: s.op, kind: ErrUnavailable, cause: fmt.Errorf("no token within %v", s.timeout), again: true}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.current, s.failure = t, nil
		s.pauses.Reset()
		return t, nil
	}
	now := time.Now()
	pause := s.pauses.NextBackOff()
	if errors.Is(err, ErrInvalidClient) {
		pause = refusedPause
	}
	if wait, ok := temporary(err); ok {
		pause = max(pause, min(wait, refusedPause))
	}
	s.failure, s.notBefore = err, now.Add(pause)
	if s.current != nil && now.Before(s.current.expiresAt) {
		return s.current, nil
	}
	return nil, remembered(err, pause)
}

// drop forgets t, which the server has refused, and reports whether getting
// another makes sense. Tokens that were never accepted are dropped at most once
// per dropPause: a server that refuses what it has just issued must not be asked
// for more with every call.
func (s *tokenSource) drop(t *cachedToken) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != t {
		return true // someone else dropped it
	}
	if !t.accepted.Load() {
		if now := time.Now(); now.Sub(s.dropped) >= dropPause {
			s.dropped = now
		} else {
			return false
		}
	}
	s.current = nil
	return true
}

// peek returns the token that is kept, so that it can be hidden.
func (s *tokenSource) peek() secret.String {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current == nil {
		return secret.String{}
	}
	return s.current.value
}
