package oauthz

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/dpop"
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

// A record is what the vault keeps of a request: what it takes to end it.
type record struct {
	Detail    rar.Detail      `json:"detail"`
	Sent      time.Time       `json:"sent"`                  // the request, or the poll that was answered
	AuthReqID string          `json:"auth_req_id,omitempty"` // whoever has it and is the client may redeem
	ExpiresAt time.Time       `json:"expires_at,omitzero"`   // of the user's time to decide
	Redeem    url.Values      `json:"redeem,omitempty"`      // a code that the user brought, and what proves that it is ours
	Server    *place          `json:"server,omitempty"`      // where it was asked for; nil for the configured one
	Interval  time.Duration   `json:"interval,omitzero"`
	Polled    bool            `json:"polled,omitzero"` // at least once, so that a token may have been issued
	Spent     bool            `json:"spent,omitzero"`  // the answer to a poll was lost: there is no other
	Answer    json.RawMessage `json:"answer,omitzero"` // with the token
	Key       string          `json:"jkt,omitzero"`    // thumbprint of the key that the token is bound to
}

// mayLast is until when a token may be valid whose answer was lost.
func (r record) mayLast(life time.Duration) time.Time {
	at := r.Sent
	if r.AuthReqID != "" {
		at = r.ExpiresAt
		if now := time.Now(); now.Before(at) {
			at = now
		}
	}
	return at.Add(life)
}

// A request is one that this process works on. One call about it is made at a time.
type request struct {
	mu sync.Mutex
	record
	next  time.Time     // when it may be polled again
	login *login        // that is waited for, as long as it has brought nothing
	token secret.String // that was handed out; guarded by Client.mu
}

// split returns the task of a request and its name in the vault, by its id.
func split(id string) (task, name string) {
	task, name, _ = strings.Cut(id, ".")
	return task, name
}

// keep keeps what is known of a request; it is on disk when keep returns.
func (c *Client) keep(ctx context.Context, id string, r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	task, name := split(id)
	return c.cfg.Vault.Put(ctx, task, name, text)
}

// find returns a request, from the vault if another process made it.
func (c *Client) find(ctx context.Context, id string) (*request, error) {
	c.mu.Lock()
	q := c.requests[id]
	c.mu.Unlock()
	if q != nil {
		return q, nil
	}
	task, name := split(id)
	records, err := c.cfg.Vault.Load(ctx, task)
	if err == nil && records[name] == nil {
		err = fmt.Errorf("no such request: %w", jit.ErrSpent)
	}
	q = &request{}
	if err == nil {
		err = json.Unmarshal(records[name], &q.record)
	}
	if err != nil {
		return nil, &Error{Op: opPoll, cause: err}
	}
	q.Spent = q.Spent || q.Redeem != nil // by a process that is gone
	return c.hold(id, q), nil
}

// hold returns the request that this process knows by an id, q if there is none.
func (c *Client) hold(id string, q *request) *request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if have := c.requests[id]; have != nil {
		return have
	}
	c.requests[id] = q
	return q
}

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

// Status implements [jit.Authority]: it polls, no sooner than the server allows. A poll is
// brought to its end though ctx is done, since its answer may hold the token.
func (c *Client) Status(ctx context.Context, id string) (jit.Decision, error) {
	q, err := c.find(ctx, id)
	if err != nil {
		return jit.Decision{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	task, _ := split(id)
	d := jit.Decision{RequestID: id, TaskID: task, Status: jit.StatusPending, ExpiresAt: q.ExpiresAt}
	switch {
	case q.Answer != nil:
		d.Status = jit.StatusApproved
		return d, nil
	case q.Spent || q.AuthReqID == "" && q.Redeem == nil && q.login == nil:
		return d, &Error{Op: opPoll, Message: "the answer that may have held the token was lost", cause: jit.ErrSpent}
	case time.Now().Before(q.next):
		d.RetryAfter = time.Until(q.next)
		return d, nil
	}
	if q.login != nil && q.Redeem == nil {
		now, redeem, err := c.returned(q, d)
		if !redeem {
			return now, err
		}
	}
	ctx = context.WithoutCancel(ctx)
	if !q.Polled {
		q.Polled = true
		if err := c.keep(ctx, id, q.record); err != nil {
			return d, &Error{Op: opPoll, cause: err}
		}
	}
	at, err := c.at(q.Server)
	if err != nil {
		return d, err
	}
	answer, sent, err := at.redeem(ctx, &q.record, task)
	q.next = sent.Add(wait(q.Interval))
	e, failed := errors.AsType[*Error](err)
	switch {
	case err == nil:
		q.Answer, q.Sent = answer, sent
		d.Status = jit.StatusApproved
		return d, c.take(ctx, id, q)
	case !failed:
		return d, err
	case e.Code == codeSlowDown:
		q.Interval += pollInterval
		q.next = sent.Add(wait(q.Interval))
	case e.Code == codePending:
	case e.Code == codeDenied || e.Code == codeExpired:
		d.Status, d.Message = jit.StatusDenied, e.Message
		if e.Code == codeExpired {
			d.Status = jit.StatusExpired
		}
		return d, c.spend(ctx, id, q, false)
	case e.lost || e.refused() && !e.again && e.StatusCode != 401: // 401: nobody looked at the request
		e.cause = errors.Join(e.cause, jit.ErrSpent, c.spend(ctx, id, q, e.lost))
		e.again = false
		return d, e
	default:
		return d, e
	}
	d.RetryAfter = time.Until(q.next)
	return d, nil
}

// spend notes that a request will not be polled any more. It may be out all the same, if
// the answer was lost.
func (c *Client) spend(ctx context.Context, id string, q *request, lost bool) error {
	q.Spent = true
	if !lost {
		q.Polled = false // so that nothing is to be looked for
	}
	return c.keep(ctx, id, q.record)
}

// redeem polls once (CIBA Core, section 10.1), or brings the code that a user came back with
// (RFC 6749, section 4.1.3).
func (c *Client) redeem(ctx context.Context, r *record, task string) (answer []byte, sent time.Time, err error) {
	if r.Redeem == nil {
		return c.issue(ctx, opPoll, url.Values{"grant_type": {CIBA.grantType()}, "auth_req_id": {r.AuthReqID}}, r, task, r.AuthReqID)
	}
	form := c.form(AuthorizationCode)
	maps.Copy(form, r.Redeem)
	return c.issue(ctx, opRedeem, form, r, task, form.Get("code"), form.Get("code_verifier"))
}

// issue asks for a token that is bound to the task's key, if it has one.
func (c *Client) issue(ctx context.Context, op string, form url.Values, r *record, task string, hide ...string) (answer []byte, sent time.Time, err error) {
	key, err := c.keyOf(task)
	if err != nil {
		return nil, time.Now(), &Error{Op: op, cause: err}
	}
	if key != nil {
		r.Key = key.Thumbprint()
	}
	return c.token(ctx, op, form, key, hide...)
}

// Token implements [jit.Authority]: it hands out the token that is held, if its answer
// proves how narrow it is. Another is revoked, and the error says why.
func (c *Client) Token(ctx context.Context, id string) (jit.Issued, error) {
	q, err := c.find(ctx, id)
	if err != nil {
		return jit.Issued{}, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.Answer == nil {
		return jit.Issued{}, &Error{Op: opProve, Message: "the request is not approved", cause: jit.ErrSpent}
	}
	task, _ := split(id)
	key, err := c.keyOf(task)
	var issued jit.Issued
	if err == nil {
		issued, err = c.issued(q.record, key)
	}
	if err == nil {
		issued.RequestID, issued.TaskID = id, task
		c.mu.Lock()
		q.token = issued.Token
		c.mu.Unlock()
		return issued, nil
	}
	if _, failed := c.end(context.WithoutCancel(ctx), q.record, task); failed != nil {
		c.cfg.Logger.WarnContext(ctx, "a token that is not used lives until the task ends", "request_id", id, "error", failed)
	}
	return jit.Issued{}, &Error{Op: opProve, cause: errors.Join(err, jit.ErrSpent)}
}

// issued reads a token and what proves its narrowness, for the process that has its key.
func (c *Client) issued(r record, key *dpop.Key) (jit.Issued, error) {
	t, err := oauth.ParseToken(r.Answer, key != nil)
	if err != nil {
		return jit.Issued{}, err
	}
	kind := "Bearer"
	if key != nil {
		kind = dpop.Scheme
		if r.Key != key.Thumbprint() {
			return jit.Issued{}, errors.New("the key that the token is bound to ended with the process that asked for it")
		}
	}
	if t.Lifetime > c.cfg.MaxLifetime {
		return jit.Issued{}, fmt.Errorf("the token lives for %v, and %v is the longest allowed", t.Lifetime, c.cfg.MaxLifetime)
	}
	life := cmp.Or(t.Lifetime, c.cfg.MaxLifetime)
	issued := jit.Issued{Token: t.Value, Type: kind, DPoP: key, ExpiresIn: life - time.Since(r.Sent)}
	if issued.ExpiresIn <= 0 {
		return jit.Issued{}, errors.New("the token has expired")
	}
	said, err := t.Covered()
	claims, claimsErr := t.Claims()
	own, ownErr := claims.Scopes("scope", "scp") // Entra and Okta have scp
	if err = errors.Join(err, claimsErr, ownErr); err != nil {
		return jit.Issued{}, fmt.Errorf("%w: %w", jit.ErrOvergrant, err)
	}
	if c.cfg.Mode == TokenExchange && t.Answer.Text("issued_token_type") != typeAccessToken {
		return jit.Issued{}, errors.New("it is not said to be an access token")
	}
	// Of the token's own scopes those count that its answer leaves out.
	got := c.beyond(append(t.Scopes, own...))
	var asked []string
	asks, _ := c.typeOf(r.Detail)
	if asks.Scopes != nil {
		asked = slices.Compact(slices.Sorted(slices.Values(asks.Scopes(r.Detail))))
	}
	switch {
	case c.cfg.Mode == UMA:
		permitted, err := permissions(claims, asked)
		if err != nil {
			return jit.Issued{}, err
		}
		issued.Details, got = []rar.Detail{r.Detail}, append(permitted, got...)
	case asks.Scopes == nil:
		issued.Details = said // nil is the engine's to refuse
	default:
		issued.Details = []rar.Detail{r.Detail}
		if !r.Detail.IsScopes() { // which stand for themselves
			issued.Scopes = asked
		}
		asked = c.beyond(asked)
		got = slices.Compact(slices.Sorted(slices.Values(got)))
		if !t.Answer.Has("scope") && !(c.logsIn(r.Detail) && len(asked) == 0) || len(got) == 0 && len(asked) > 0 {
			// The specification takes a missing scope for the one that was asked for, and
			// there are servers that leave it out when they grant none.
			return jit.Issued{}, jit.ErrSilent
		}
	}
	switch {
	case asks.Scopes != nil && said != nil:
		return jit.Issued{}, fmt.Errorf("%w: authorization details as well", jit.ErrOvergrant)
	case !slices.Equal(got, asked):
		// Beside details, or permissions, any scope is a right that nobody asked for.
		return jit.Issued{}, fmt.Errorf("%w: scope %s, not %s", jit.ErrOvergrant, strings.Join(got, " "), cmp.Or(strings.Join(asked, " "), "none"))
	}
	return issued, nil
}
