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
	"github.com/jitagent/jitagent/state/approval"
)

// A Reviewer decides requests at the server as a person, for the page of package approval
// and whatever else takes its Decider. It is as safe for concurrent use as Token is.
type Reviewer struct {
	Client *Client
	// Token returns the token of a person with the permission jit.approve: agents get
	// [ErrForbidden]. It is asked each time, so that the token is held no longer than it is
	// used.
	Token func(context.Context) (secret.String, error)
}

var _ approval.Decider = Reviewer{}

// maxPages is how many pages of requests [Reviewer.Pending] reads.
const maxPages = 20

// Pending implements [approval.Decider]. What the server does not say of a request, but for
// its id, is zero. There are more where the list would be over 20 pages long, or the server
// does not give its next page.
func (r Reviewer) Pending(ctx context.Context) (list []approval.Request, more bool, err error) {
	user, err := r.Token(ctx)
	if err != nil {
		return nil, false, err
	}
	known := map[string]bool{} // pages shift while others decide, or are all the same one
	more = true
	for page := 1; more && page <= maxPages; page++ {
		c := call{op: "list pending requests", method: http.MethodGet, path: path("jit", "pending"), repeat: repeatSafe}
		if page > 1 {
			c.path += "?page=" + strconv.Itoa(page)
		}
		next, err := ask(ctx, c, r.Client.asUser(user), decodePending)
		if err != nil {
			return nil, false, err
		}
		more = next.more
		before := len(list)
		for _, q := range next.requests {
			if !known[q.ID] {
				known[q.ID] = true
				list = append(list, q)
			}
		}
		if len(list) == before {
			break
		}
	}
	return list, more, nil
}

// A pendingPage is one page of what waits.
type pendingPage struct {
	requests []approval.Request
	more     bool
}

// decodePending reads the list under any of the names in use, or a bare array. An
// answer without a list is an error: an empty one would read as "nothing to do".
func decodePending(a answer) (page pendingPage, err error) {
	body := a.body
	if o, err := oauth.Decode(body); err == nil {
		page.more = o.Object("pagination").Flag("hasNextPage")
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
		return page, errors.New("no list of requests")
	}
	for _, o := range items {
		q, err := decodeRequest(a, o)
		if err != nil {
			return page, err
		}
		page.requests = append(page.requests, q)
	}
	return page, nil
}

// decodeRequest reads a request that waits. One whose details cannot be read, or that has
// none, says so: nobody could see what it asks.
func decodeRequest(a answer, o oauth.Object) (approval.Request, error) {
	about := purpose(o.Object("context"))
	q := approval.Request{
		ID:            o.Text("request_id", "id"),
		TaskID:        o.Text("task_id"),
		TaskName:      a.clean(o.Text("task_name"), maxMessage),
		Tool:          about.Tool,
		CallID:        about.CallID,
		Args:          about.Args,
		Origin:        about.Origin,
		User:          about.User,
		Agent:         a.clean(o.Text("agent_id"), maxLabel),
		OnBehalfOf:    a.clean(o.Text("on_behalf_of"), maxLabel),
		Risk:          a.clean(o.Text("risk_level"), maxLabel),
		Justification: a.clean(o.Text("justification"), maxMessage),
		ExpiresAt:     o.Time("expires_at"),
		OnlyWhole:     !o.Flag("accepts_less"),
	}
	if err := checkID("request_id", q.ID); err != nil {
		return q, err
	}
	if q.TaskID != "" && checkID("task_id", q.TaskID) != nil {
		q.TaskID = ""
	}
	if name := a.clean(o.Text("agent_name"), maxLabel); name != "" {
		q.Agent = name + " (" + q.Agent + ")"
	}
	q.TTL, _, _ = o.Seconds("requested_ttl")
	earlier, _ := oauth.Objects(o["before"])
	for _, e := range earlier {
		if details, err := e.Details(); err == nil && len(details) == 1 {
			q.Before = append(q.Before, approval.Earlier{Detail: details[0], Status: a.clean(e.Text("status"), maxLabel)})
		}
	}
	var err error
	switch q.Details, err = o.Details(); {
	case err != nil:
		q.Problem = err.Error()
	case q.Details == nil:
		q.Problem = "the server does not say what is asked"
	}
	return q, nil
}

// Decide implements [approval.Decider]. It is sent again only when the server certainly did
// not act. A lifetime is a second at least, and at most [MaxTTL]. LumoAuth documents no
// approval of less than was asked, and would grant everything: less is for requests that
// are not [approval.Request.OnlyWhole].
func (r Reviewer) Decide(ctx context.Context, id string, how approval.Decision) error {
	op, verb, want := "deny request", "deny", jit.StatusDenied
	if how.Approve {
		op, verb, want = "approve request", "approve", jit.StatusApproved
		if how.TTL != 0 && (how.TTL < time.Second || how.TTL > MaxTTL) {
			return invalidArgument(op, "lifetime", errors.New("outside 1 s to 15 min"))
		}
	}
	said := struct {
		TTL     int64        `json:"ttl,omitzero"`
		Notes   string       `json:"notes,omitzero"`
		Reason  string       `json:"reason,omitzero"`
		Message string       `json:"agent_message,omitzero"`
		Less    []rar.Detail `json:"authorization_details,omitzero"`
		Digest  string       `json:"digest,omitzero"`
	}{Message: how.Message, Digest: how.Digest}
	if how.Approve {
		said.TTL, said.Notes, said.Less = int64(how.TTL/time.Second), how.Reason, how.Less
	} else {
		said.Reason = how.Reason
	}
	body, err := json.Marshal(said)
	if err != nil {
		return invalidArgument(op, "reason or message", errors.New("not valid UTF-8"))
	}
	user, err := r.Token(ctx)
	if err != nil {
		return err
	}
	_, err = ask(ctx, call{
		op: op, invalid: checkID("request id", id), method: http.MethodPost, path: path("jit", verb, id), json: body, repeat: repeatNever,
	}, r.Client.asUser(user), func(a answer) (jit.Decision, error) {
		d, err := decisionOf(id, "")(a)
		if err == nil && d.Status != want { // what counts is what was recorded
			err = errors.New("the recorded decision is " + d.Status.String())
		}
		return d, err
	})
	if e, ok := errors.AsType[*Error](err); ok {
		switch {
		case e.StatusCode == http.StatusConflict:
			return approval.ErrOtherRequest
		case e.StatusCode == http.StatusNotFound, e.StatusCode == http.StatusBadRequest && e.Code == "invalid_state":
			return approval.ErrDecided
		}
	}
	return err
}
