package oauthz

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/rar"
)

const (
	opLogin = "have the user log in"

	defaultRedirect = "http://127.0.0.1/callback"

	// DefaultLoginTimeout is that of [Config.LoginTimeout].
	DefaultLoginTimeout = 5 * time.Minute
)

// authorize sends a person to the server's page (RFC 6749, section 4.1; RFC 8252). What
// is asked for goes to the server beforehand only where that must be (RFC 9126): it is
// forgotten within a minute, and a person may take longer to follow an address.
func (c *Client) authorize(ctx context.Context, req jit.Request, form url.Values, d jit.Decision, q *request) (jit.Decision, error) {
	m, err := c.metadata(ctx)
	switch {
	case err != nil:
		return jit.Decision{}, err
	case m.AuthorizationEndpoint == "":
		err = &Error{Op: opLogin, Message: "the server has no page to log in at"}
	case !slices.Contains(m.Challenges, "S256"):
		err = &Error{Op: opLogin, Message: "the server does not say that it takes proofs of who asked for a code (PKCE, S256)"}
	}
	if err != nil {
		return jit.Decision{}, err
	}
	l := newLogin()
	l.issuer, l.saysIssuer = m.Issuer, m.SaysIssuer
	if l.redirect, err = c.receiver.expect(l); err != nil {
		return jit.Decision{}, &Error{Op: opLogin, cause: err}
	}
	at, address, err := c.address(ctx, m, req, form, l)
	if err == nil {
		if err = c.cfg.Open(ctx, address); err != nil {
			err = &Error{Op: opLogin, cause: err}
		}
	}
	if err != nil {
		c.receiver.drop(l)
		return decided(d, err)
	}
	q.login, q.Server, q.ExpiresAt = l, at.place(), q.Sent.Add(c.cfg.LoginTimeout)
	time.AfterFunc(c.cfg.LoginTimeout, func() { c.receiver.drop(l) })
	c.hold(d.RequestID, q)
	d.Status, d.ExpiresAt, d.Decided = jit.StatusPending, q.ExpiresAt, l.done
	d.ForTask = c.logsIn(req.Detail)
	d.Message = "the user is to log in"
	return d, nil
}

// address is where a person is to go, and the client that the server knows us as.
func (c *Client) address(ctx context.Context, m oauth.Metadata, req jit.Request, form url.Values, l *login) (*Client, string, error) {
	at, err := c.registered(ctx, m, l.redirect)
	if err != nil {
		return nil, "", err
	}
	challenge := sha256.Sum256([]byte(l.verifier))
	form.Del("grant_type")
	form.Set("client_id", at.cfg.ClientID)
	form.Set("response_type", "code")
	form.Set("redirect_uri", l.redirect)
	form.Set("state", l.state)
	form.Set("code_challenge", base64.RawURLEncoding.EncodeToString(challenge[:]))
	form.Set("code_challenge_method", "S256")
	if c.cfg.Issuer == c.given.Issuer { // whom an API names is not told who the user is
		spec, err := c.spec(ctx, req.TaskID)
		if err != nil {
			return nil, "", &Error{Op: opLogin, cause: err}
		}
		if hint, err := c.cfg.Login(spec); err == nil && hint != "" {
			form.Set("login_hint", hint)
		}
	}
	if m.OnlyPushed {
		body, err := at.post(ctx, opLogin, m.PushedEndpoint, form, nil)
		if err != nil {
			return nil, "", err
		}
		o, err := oauth.Decode(body)
		pushed := o.Text("request_uri")
		if err == nil && pushed == "" {
			err = errors.New("request_uri is missing")
		}
		if err != nil {
			return nil, "", &Error{Op: opLogin, cause: err}
		}
		form = url.Values{"client_id": {at.cfg.ClientID}, "request_uri": {pushed}}
	}
	return at, m.AuthorizationEndpoint + "?" + form.Encode(), nil
}

// refreshing returns how to go on with an earlier login of the task for the same scopes at
// the same server, and as whom; nil where there is none, or nothing came with it that
// spares the person another (RFC 6749, section 6).
func (c *Client) refreshing(req jit.Request) (earlier *Client, form url.Values) {
	if !c.logsIn(req.Detail) {
		return nil, nil
	}
	c.mu.Lock()
	held := maps.Clone(c.requests)
	c.mu.Unlock()
	var latest time.Time
	for id, q := range held {
		if task, _ := split(id); task != req.TaskID {
			continue
		}
		q.mu.Lock()
		r := q.record
		q.mu.Unlock()
		o, err := oauth.Decode(r.Answer)
		token := o.Text("refresh_token")
		if err != nil || token == "" || !rar.Equal(r.Detail, req.Detail) || r.Sent.Before(latest) {
			continue
		}
		if at, err := c.at(r.Server); err == nil && at.cfg.Issuer == c.cfg.Issuer && at.cfg.Resource == c.cfg.Resource {
			earlier, latest = at, r.Sent
			form = at.form(AuthorizationCode)
			form.Set("grant_type", "refresh_token")
			form.Set("refresh_token", token)
			if len(r.Detail.Actions) > 0 { // or its answer might leave out what it grants
				form.Set("scope", strings.Join(r.Detail.Actions, " "))
			}
		}
	}
	return earlier, form
}

// returned looks whether a person has come back. What redeems their code is then in q;
// until they have, and where they bring none, the decision says all.
func (c *Client) returned(q *request, d jit.Decision) (_ jit.Decision, redeem bool, err error) {
	l := q.login
	select {
	case <-l.done:
	default:
		d.Decided, d.ForTask = l.done, c.logsIn(q.Detail)
		if !time.Now().Before(q.ExpiresAt) {
			d.Status, q.Spent = jit.StatusExpired, true
		}
		return d, false, nil
	}
	c.receiver.drop(l)
	switch {
	case l.err == nil:
		q.Redeem = url.Values{"code": {l.code}, "redirect_uri": {l.redirect}, "code_verifier": {l.verifier}}
		return d, true, nil
	case slices.Contains(decidedByServer, l.err.Code):
		d.Status, d.Message, q.Spent = jit.StatusDenied, l.err.Reason(), true
		return d, false, nil
	}
	q.Spent = true
	l.err.cause = jit.ErrSpent
	return d, false, l.err
}
