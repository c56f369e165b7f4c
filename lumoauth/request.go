package lumoauth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
)

const opRequest = "request authority"

// codeSlowDown is how a server asks to be polled less often (RFC 8628, section 3.5).
const codeSlowDown = "slow_down"

// MaxTTL is the longest lifetime that LumoAuth documents for a granted token.
const MaxTTL = 900 * time.Second

// Request asks for one piece of authority. The lifetime is always sent, since the
// documented defaults differ: [jit.DefaultTTL] for 0. One over [MaxTTL] is sent as
// well; the answer says what was granted.
// It is sent again only when the server certainly did not act: a second request
// could be a second question to a person.
func (c *Client) Request(ctx context.Context, req jit.Request) (jit.Decision, error) {
	if err := checkID("task id", req.TaskID); err != nil {
		return jit.Decision{}, &Error{Op: opRequest, cause: err}
	}
	if req.Detail.IsScopes() {
		return jit.Decision{}, &Error{Op: opRequest, Message: "LumoAuth's API for agents grants authorization details, and no scopes"}
	}
	detail, err := req.Detail.Canonical()
	if err != nil {
		return jit.Decision{}, invalidArgument(opRequest, "authorization details", err)
	}
	ttl, err := seconds(req.TTL)
	if err != nil {
		return jit.Decision{}, invalidArgument(opRequest, "lifetime", err)
	}
	callback := ""
	if c.callback != nil {
		callback = c.callback(req.TaskID)
	}
	body, err := json.Marshal(struct {
		TaskID        string         `json:"task_id"`
		Detail        jsontext.Value `json:"authorization_details"`
		Justification string         `json:"justification,omitzero"`
		TTL           int64          `json:"requested_ttl"`
		Callback      string         `json:"callback_url,omitzero"`
		For           jit.Purpose    `json:"context,omitzero"` // ours: LumoAuth documents none
	}{req.TaskID, detail, req.Justification, ttl, callback, req.For})
	if err != nil {
		return jit.Decision{}, invalidArgument(opRequest, "justification or purpose", errors.New("not valid UTF-8 or JSON"))
	}
	r := call{op: opRequest, method: http.MethodPost, path: path("jit", "request"), json: body, repeat: repeatNever}
	d, err := ask(ctx, r, c.asAgent, decisionOf("", req.TaskID))
	return c.locate(d), err
}

// seconds is a wanted lifetime as the API takes it.
func seconds(ttl time.Duration) (int64, error) {
	switch {
	case ttl == 0:
		ttl = jit.DefaultTTL
	case ttl < time.Second:
		return 0, errors.New("under a second")
	}
	return int64(ttl / time.Second), nil
}

// Status reads the state of a request.
func (c *Client) Status(ctx context.Context, requestID string) (jit.Decision, error) {
	d, err := ask(ctx, call{
		op: "request status", invalid: checkID("request id", requestID), method: http.MethodGet, path: path("jit", "request", requestID, "status"), repeat: repeatSafe,
	}, c.asAgent, decisionOf(requestID, ""))
	if e, ok := errors.AsType[*Error](err); ok && e.Code == codeSlowDown {
		return c.locate(jit.Decision{RequestID: requestID, Status: jit.StatusPending, SlowDown: true, RetryAfter: e.RetryAfter}), nil
	}
	return c.locate(d), err
}

// locate says where a pending request can be decided: the endpoint that takes a
// reviewer's approval. It is built from the configuration, never from a response.
func (c *Client) locate(d jit.Decision) jit.Decision {
	switch {
	case d.Status != jit.StatusPending:
	case c.decideAt != nil:
		d.DecideAt = c.decideAt.JoinPath(url.PathEscape(d.RequestID)).String()
	default:
		d.DecideAt = c.base + path("jit", "approve", d.RequestID)
	}
	return d
}

// decisionOf reads the state of a request. An answer that names another request or
// task than the one asked about is refused; one that names none is taken for the
// request that was in the path, if any.
func decisionOf(requestID, taskID string) func(answer) (jit.Decision, error) {
	return func(a answer) (jit.Decision, error) {
		d, err := decodeDecision(a)
		if err != nil {
			return d, err
		}
		d.RequestID, d.TaskID = cmp.Or(d.RequestID, requestID), cmp.Or(d.TaskID, taskID)
		switch {
		case requestID != "" && d.RequestID != requestID:
			err = errors.New("request_id is of another request")
		case d.RequestID == "" && (d.Status == jit.StatusPending || d.Status == jit.StatusApproved):
			err = fmt.Errorf("%s without a request_id", d.Status)
		case taskID != "" && d.TaskID != taskID:
			err = errors.New("task_id is of another task")
		}
		return d, err
	}
}

// decodeDecision reads one decision. A status that is missing or unknown is
// [jit.StatusUnknown], which approves nothing.
func decodeDecision(a answer) (jit.Decision, error) {
	o, err := oauth.Decode(a.body)
	if err != nil {
		return jit.Decision{}, err
	}
	d := jit.Decision{
		RequestID: o.Text("request_id"),
		TaskID:    o.Text("task_id"),
		Status:    statusOf(o.Text("status")),
		Risk:      a.clean(o.Text("risk_level"), maxLabel),
		ExpiresAt: o.Time("expires_at"),
		// Several generations of the API name the decider's words differently. The
		// first is written for the agent; the others are what older ones sent.
		DecidedBy:       a.clean(o.Text("decided_by", "approved_by", "denied_by", "reviewed_by"), maxMessage),
		Message:         a.clean(o.Text("agent_message", "deny_reason", "review_notes", "message"), maxMessage),
		ConsentRequired: o.Flag("delegation_consent_required"),
	}
	for _, name := range []string{"request_id", "task_id"} {
		if o.Has(name) {
			if err := checkID(name, o.Text(name)); err != nil {
				return jit.Decision{}, err
			}
		}
	}
	if d.Status == jit.StatusApproved {
		if d.TTL, _, err = o.Seconds("granted_ttl"); err != nil {
			return jit.Decision{}, err
		}
	}
	d.RetryAfter, _ = retryAfter(a.header, a.received)
	if o.Has("context") {
		d.For = purpose(o.Object("context"))
	}
	d.Details, err = o.Details()
	return d, err
}

// purpose reads the call that a request is said to be for.
func purpose(o oauth.Object) *jit.Purpose {
	return &jit.Purpose{Tool: o.Text("tool"), CallID: o.Text("call_id"), Args: []byte(o["arguments"]), Origin: o.Text("origin"), User: o.Text("user")}
}

func statusOf(name string) jit.Status {
	for _, s := range []jit.Status{jit.StatusPending, jit.StatusApproved, jit.StatusDenied, jit.StatusExpired} {
		if name == s.String() {
			return s
		}
	}
	return jit.StatusUnknown
}

// Token redeems an approved request. It is repeated on faults that may pass,
// though no source says whether a request can be redeemed twice: if the first
// redemption did work and its answer was lost, the second brings a token for the
// very same approval, which ends with the same task, or a 403. Neither is more
// than was approved, and not asking again would waste a person's decision.
func (c *Client) Token(ctx context.Context, requestID string) (jit.Issued, error) {
	return ask(ctx, call{
		op: "redeem request", invalid: checkID("request id", requestID), method: http.MethodPost, path: path("jit", "request", requestID, "token"), repeat: repeatSafe,
	}, c.asAgent, func(a answer) (jit.Issued, error) {
		t, err := oauth.ParseToken(a.body, c.key != nil)
		if id := t.Answer.Text("jit_request_id"); err == nil && id != "" && id != requestID {
			err = errors.New("jit_request_id is of another request")
		}
		taskID := t.Answer.Text("task_id")
		if err == nil && taskID != "" {
			err = checkID("task_id", taskID)
		}
		if err != nil {
			return jit.Issued{}, err
		}
		kind := "Bearer"
		if c.key != nil {
			kind = dpop.Scheme
		}
		details, err := t.Covered()
		return jit.Issued{Token: t.Value, Type: kind, DPoP: c.key, ExpiresIn: t.Lifetime, Details: details, TaskID: taskID, RequestID: requestID}, err
	})
}

// checkID accepts what may stand in a path, a log line and a journal.
func checkID(name, id string) error {
	switch {
	case id == "":
		return fmt.Errorf("%s is missing", name)
	case len(id) > 256 || !oauth.Visible(id) || id == "." || id == "..":
		return fmt.Errorf("%s is not an identifier", name)
	}
	return nil
}
