package oauthz

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const (
	opRequest = "ask for a token"
	opAsk     = "ask the user"
	opRedeem  = "turn the login into a token"
	opPoll    = "learn what the user decided"
	opProve   = "say what the token covers"

	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token" // RFC 8693, section 3

	// Error codes (RFC 6749, section 5.2; CIBA Core, section 11; RFC 9396, section 5).
	codePending  = "authorization_pending"
	codeSlowDown = "slow_down"
	codeExpired  = "expired_token"
	codeDenied   = "access_denied"

	pollInterval = 5 * time.Second // unless the server says (CIBA Core, section 7.3)
)

// decidedByServer are the error codes that say no to what was asked, not to how; the last
// is Keycloak's.
var decidedByServer = []string{codeDenied, "invalid_authorization_details", "invalid_target", "invalid_scope", "invalid_resource"}

// Request implements [jit.Authority]. But for CIBA its answer is the token, which is in
// the vault before the request counts as approved.
func (c *Client) Request(ctx context.Context, req jit.Request) (jit.Decision, error) {
	at, err := c.server(ctx, req.For.Origin)
	if err != nil {
		return jit.Decision{}, err
	}
	form, err := at.wanted(ctx, req)
	if err != nil {
		return jit.Decision{}, err
	}
	d := jit.Decision{RequestID: req.TaskID + "." + rand.Text(), TaskID: req.TaskID}
	q := &request{record: record{Detail: req.Detail, Sent: time.Now()}}
	switch c.cfg.Mode {
	case CIBA:
		return at.ask(ctx, req, form, d, q)
	case AuthorizationCode:
		if earlier, form := at.refreshing(req); form != nil {
			again := &request{record: record{Detail: req.Detail, Sent: q.Sent, Server: earlier.place()}}
			if d, err := earlier.direct(ctx, req, form, d, again); err == nil && d.Status == jit.StatusApproved {
				return d, nil
			}
			d.RequestID = req.TaskID + "." + rand.Text()
		}
		return at.authorize(ctx, req, form, d, q)
	}
	return at.direct(ctx, req, form, d, q)
}

// direct asks for a token that is issued at once or not at all.
func (c *Client) direct(ctx context.Context, req jit.Request, form url.Values, d jit.Decision, q *request) (_ jit.Decision, err error) {
	// What is issued from here on may never be heard of: the answer is waited for though
	// the task may be ending, so that it can be revoked.
	ctx = context.WithoutCancel(ctx)
	if err := c.keep(ctx, d.RequestID, q.record); err != nil {
		return jit.Decision{}, &Error{Op: opRequest, cause: err}
	}
	q.Answer, q.Sent, err = c.issue(ctx, opRequest, form, &q.record, req.TaskID, form.Get("subject_token"), form.Get("refresh_token"))
	if e, ok := errors.AsType[*Error](err); ok && !e.lost {
		q.Answer = json.RawMessage("{}") // there is no token
		err = errors.Join(err, c.keep(ctx, d.RequestID, q.record))
	}
	if err == nil {
		err = c.take(ctx, d.RequestID, q)
	}
	if err != nil {
		return decided(d, err)
	}
	d.Status = jit.StatusApproved
	return d, nil
}

// decided returns the decision that an error is, where the server says no to what was
// asked, else the error.
func decided(d jit.Decision, err error) (jit.Decision, error) {
	e, ok := errors.AsType[*Error](err)
	if !ok || !slices.Contains(decidedByServer, e.Code) {
		return jit.Decision{}, err
	}
	d.RequestID, d.Status, d.Message = "", jit.StatusDenied, e.Reason()
	return d, nil
}

// take puts an answer into the vault. One that cannot be kept is given back.
func (c *Client) take(ctx context.Context, id string, q *request) error {
	keep := context.WithoutCancel(ctx)
	if !json.Valid(q.Answer) {
		q.Answer = json.RawMessage("null") // no JSON, and so no token that could be read
	}
	if err := c.keep(keep, id, q.record); err != nil {
		task, _ := split(id)
		_, _ = c.end(keep, q.record, task) // it expires by itself
		return &Error{Op: "keep the token", cause: errors.Join(err, jit.ErrSpent)}
	}
	c.hold(id, q)
	return nil
}

// wanted is the form of a token request. It fails where the answer could prove nothing,
// before anything is sent.
func (c *Client) wanted(ctx context.Context, req jit.Request) (url.Values, error) {
	d, form := req.Detail, c.form(c.cfg.Mode)
	if c.cfg.Audience != "" {
		form.Set("audience", c.cfg.Audience)
	}
	t, ok := c.typeOf(d)
	if !ok {
		return nil, &Error{Op: opRequest, Message: "demands of type " + d.Type + " are not configured for this server"}
	}
	if t.Scopes != nil {
		scopes := t.Scopes(d)
		if len(scopes) == 0 && !c.logsIn(d) {
			return nil, &Error{Op: opRequest, Message: "no scope is configured for " + d.String()}
		}
		if c.cfg.Mode == UMA {
			form["permission"] = scopes
			return form, namesPermissions(scopes)
		}
		if len(scopes) > 0 {
			form.Set("scope", strings.Join(scopes, " "))
		}
		return form, c.exchange(ctx, req.TaskID, form)
	}
	text, err := d.Canonical()
	if err != nil {
		return nil, &Error{Op: opRequest, cause: err}
	}
	m, err := c.metadata(ctx)
	if err == nil && !takes(m, d.Type) {
		err = &Error{Op: opRequest, Message: "the server takes no authorization details of type " + d.Type}
	}
	form.Set("authorization_details", "["+string(text)+"]")
	return form, errors.Join(err, c.exchange(ctx, req.TaskID, form))
}

// exchange puts into form what is given in exchange (RFC 8693, section 2.1), if anything is.
func (c *Client) exchange(ctx context.Context, task string, form url.Values) error {
	if c.cfg.Mode != TokenExchange {
		return nil
	}
	const op = "get the token to exchange"
	var subject secret.String
	spec, err := c.spec(ctx, task)
	if err != nil {
		return &Error{Op: op, cause: err}
	}
	if c.cfg.Subject == nil {
		base, err := c.AgentToken(ctx)
		if err != nil {
			return err
		}
		subject = base.Token
	} else if subject, err = c.cfg.Subject(ctx, spec); err == nil {
		err = oauth.CheckToken(subject)
	}
	if err != nil {
		return &Error{Op: op, cause: err}
	}
	form.Set("subject_token", subject.Reveal())
	form.Set("subject_token_type", typeAccessToken)
	form.Set("requested_token_type", typeAccessToken)
	return nil
}

// logsIn reports whether a detail stands for a person's login, which serves a whole task.
func (c *Client) logsIn(d rar.Detail) bool { return c.cfg.Mode == AuthorizationCode && d.IsScopes() }

// typeOf says how a detail is asked for.
func (c *Client) typeOf(d rar.Detail) (t Type, ok bool) {
	if d.IsScopes() {
		return Type{Scopes: func(d rar.Detail) []string { return d.Actions }}, true
	}
	t, ok = c.cfg.Types[d.Type]
	return t, ok
}

// ask has the server ask the user (CIBA Core, section 7.1). The justification is not
// sent: what the user is shown comes from the detail, and a code that analysts see too.
func (c *Client) ask(ctx context.Context, req jit.Request, form url.Values, d jit.Decision, q *request) (jit.Decision, error) {
	spec, err := c.spec(ctx, req.TaskID)
	if err != nil {
		return jit.Decision{}, &Error{Op: opAsk, cause: err}
	}
	hint, err := c.cfg.Login(spec)
	if err != nil || hint == "" {
		return jit.Decision{}, &Error{Op: opAsk, Message: "whom to ask is not known: a task needs a user on whose behalf it is", cause: err}
	}
	m, err := c.metadata(ctx)
	if err == nil && m.BackchannelEndpoint == "" {
		err = &Error{Op: opAsk, Message: "the server has no endpoint to ask a person at"}
	}
	if err != nil {
		return jit.Decision{}, err
	}
	code := rand.Text()[:6]
	form.Del("grant_type")
	form.Set("scope", strings.TrimSpace("openid "+form.Get("scope")))
	form.Set("login_hint", hint)
	form.Set("binding_message", code)
	body, err := c.post(ctx, opAsk, m.BackchannelEndpoint, form, nil)
	if err != nil {
		return decided(d, err) // without its id nobody can redeem it, so nothing is left behind
	}
	o, err := oauth.Decode(body)
	q.AuthReqID = o.Text("auth_req_id")
	life, said, lifeErr := o.Seconds("expires_in")
	interval, _, intervalErr := o.Seconds("interval")
	if err = errors.Join(err, lifeErr, intervalErr); err == nil && (q.AuthReqID == "" || !said) {
		err = errors.New("auth_req_id or expires_in is missing")
	}
	if err == nil {
		q.ExpiresAt, q.Interval = q.Sent.Add(life), max(interval, pollInterval)
		if interval > 0 {
			q.Interval = interval
		}
		q.next = q.Sent.Add(q.Interval)
		err = c.keep(ctx, d.RequestID, q.record)
	}
	if err != nil {
		return jit.Decision{}, &Error{Op: opAsk, cause: err}
	}
	c.hold(d.RequestID, q)
	d.Status, d.ExpiresAt, d.RetryAfter = jit.StatusPending, q.ExpiresAt, wait(q.Interval)
	d.Message = "the user is shown the code " + code
	return d, nil
}

// wait is an interval with a margin: a poll that comes a little early is one too many.
func wait(interval time.Duration) time.Duration { return interval + interval/10 }
