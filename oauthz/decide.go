package oauthz

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/rar"
)

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
