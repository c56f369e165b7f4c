package lumoauth

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const (
	opApprove = "approve request"
	opDeny    = "deny request"
)

// A PendingRequest is a request that waits for a person. Everything but the id is
// as far as the server says.
type PendingRequest struct {
	RequestID     string
	TaskID        string
	TaskName      string
	Risk          string
	Details       []rar.Detail
	For           jit.Purpose // the call; zero where the server does not keep it
	Justification string      // in the agent's words: a claim, not a fact
	AgentID       string
	AgentName     string
	OnBehalfOf    string
	TTL           time.Duration // that was asked for; 0 when it is not said
	ExpiresAt     time.Time
	AcceptsLess   bool      // the server can grant less than was asked
	Before        []Decided // earlier decisions in the same task, the latest first
	// Problem says why Details cannot be read, or that there are none. Such a
	// request must not be approved: nobody can see what it asks.
	Problem error
}

// A Decided is an earlier decision.
type Decided struct {
	Detail rar.Detail
	Status string
}

// A PendingList is what a reviewer may decide.
type PendingList struct {
	Requests []PendingRequest
	// More says that there are further requests: the list would be over 20 pages long,
	// or the server does not give its next page.
	More bool
}

// maxPages is how many pages of requests [Client.Pending] reads.
const maxPages = 20

// Pending lists the requests that wait for a decision. user is the token of a
// person with the permission jit.approve: agents get [ErrForbidden].
func (c *Client) Pending(ctx context.Context, user secret.String) (PendingList, error) {
	all := PendingList{More: true}
	known := map[string]bool{} // pages shift while others decide, or are all the same one
	for page := 1; all.More && page <= maxPages; page++ {
		r := call{op: "list pending requests", method: http.MethodGet, path: path("jit", "pending"), repeat: repeatSafe}
		if page > 1 {
			r.path += "?page=" + strconv.Itoa(page)
		}
		next, err := ask(ctx, r, c.asUser(user), decodePending)
		if err != nil {
			return PendingList{}, err
		}
		all.More = next.More
		before := len(all.Requests)
		for _, p := range next.Requests {
			if !known[p.RequestID] {
				known[p.RequestID] = true
				all.Requests = append(all.Requests, p)
			}
		}
		if len(all.Requests) == before {
			break
		}
	}
	return all, nil
}

// decodePending reads the list under any of the names in use, or a bare array. An
// answer without a list is an error: an empty one would read as "nothing to do".
func decodePending(a answer) (PendingList, error) {
	body := a.body
	var list PendingList
	if o, err := oauth.Decode(body); err == nil {
		list.More = o.Object("pagination").Flag("hasNextPage")
		body = nil
		for _, name := range []string{"pending_requests", "data", "requests"} {
			if o[name].Kind() == '[' {
				body = o[name]
				break
			}
		}
	}
	items, ok := oauth.Objects(body)
	if !ok {
		return PendingList{}, errors.New("no list of requests")
	}
	for _, o := range items {
		p := PendingRequest{
			RequestID:     o.Text("request_id", "id"),
			TaskID:        o.Text("task_id"),
			Risk:          a.clean(o.Text("risk_level"), maxLabel),
			Justification: a.clean(o.Text("justification"), maxMessage),
			AgentID:       a.clean(o.Text("agent_id"), maxLabel),
			OnBehalfOf:    a.clean(o.Text("on_behalf_of"), maxLabel),
			ExpiresAt:     o.Time("expires_at"),
		}
		if err := checkID("request_id", p.RequestID); err != nil {
			return PendingList{}, err
		}
		if p.TaskID != "" && checkID("task_id", p.TaskID) != nil {
			p.TaskID = ""
		}
		p.TaskName, p.AgentName = a.clean(o.Text("task_name"), maxMessage), a.clean(o.Text("agent_name"), maxLabel)
		p.For = *purpose(o.Object("context"))
		p.TTL, _, _ = o.Seconds("requested_ttl")
		p.AcceptsLess = o.Flag("accepts_less")
		earlier, _ := oauth.Objects(o["before"])
		for _, e := range earlier {
			if details, err := e.Details(); err == nil && len(details) == 1 {
				p.Before = append(p.Before, Decided{details[0], a.clean(e.Text("status"), maxLabel)})
			}
		}
		p.Details, p.Problem = o.Details()
		if p.Details == nil && p.Problem == nil {
			p.Problem = errors.New("the server does not say what is asked")
		}
		list.Requests = append(list.Requests, p)
	}
	return list, nil
}

// An Approval says how a request is granted.
type Approval struct {
	TTL     time.Duration // lifetime in place of the requested one; 0 keeps that, at most [MaxTTL]
	Notes   string        // for the organization
	Message string        // for the agent

	// Less is what is granted of what was asked; nil is all of it. LumoAuth documents no
	// such thing and would grant everything: set it only where
	// [PendingRequest.AcceptsLess] says so. Digest names what the reviewer was shown, for
	// servers that check it.
	Less   []rar.Detail
	Digest string
}

// Approve grants a request. user is a person's token, as for [Client.Pending]. It
// is sent again only when the server certainly did not act. A request that was
// decided before is an [*Error] with status 400.
func (c *Client) Approve(ctx context.Context, user secret.String, requestID string, how Approval) (jit.Decision, error) {
	if how.TTL != 0 && (how.TTL < time.Second || how.TTL > MaxTTL) {
		return jit.Decision{}, invalidArgument(opApprove, "lifetime", errors.New("outside 1 s to 15 min"))
	}
	body, err := json.Marshal(struct {
		TTL     int64        `json:"ttl,omitzero"`
		Notes   string       `json:"notes,omitzero"`
		Message string       `json:"agent_message,omitzero"`
		Less    []rar.Detail `json:"authorization_details,omitzero"`
		Digest  string       `json:"digest,omitzero"`
	}{int64(how.TTL / time.Second), how.Notes, how.Message, how.Less, how.Digest})
	if err != nil {
		return jit.Decision{}, invalidArgument(opApprove, "notes or message", errors.New("not valid UTF-8"))
	}
	return c.decide(ctx, user, opApprove, "approve", requestID, body, jit.StatusApproved)
}

// A Denial says why a request is refused.
type Denial struct {
	Reason  string // for the organization
	Message string // for the agent
	Digest  string // as in [Approval]
}

// Deny refuses a request; otherwise it is as [Client.Approve].
func (c *Client) Deny(ctx context.Context, user secret.String, requestID string, why Denial) (jit.Decision, error) {
	body, err := json.Marshal(struct {
		Reason  string `json:"reason,omitzero"`
		Message string `json:"agent_message,omitzero"`
		Digest  string `json:"digest,omitzero"`
	}(why))
	if err != nil {
		return jit.Decision{}, invalidArgument(opDeny, "reason or message", errors.New("not valid UTF-8"))
	}
	return c.decide(ctx, user, opDeny, "deny", requestID, body, jit.StatusDenied)
}

// decide sends a decision and makes sure that it is the one which was recorded.
func (c *Client) decide(ctx context.Context, user secret.String, op, verb, requestID string, body []byte, want jit.Status) (jit.Decision, error) {
	return ask(ctx, call{
		op: op, invalid: checkID("request id", requestID), method: http.MethodPost, path: path("jit", verb, requestID), json: body, repeat: repeatNever,
	}, c.asUser(user), func(a answer) (jit.Decision, error) {
		d, err := decisionOf(requestID, "")(a)
		if err == nil && d.Status != want {
			err = errors.New("the recorded decision is " + d.Status.String())
		}
		return d, err
	})
}
