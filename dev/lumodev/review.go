package lumodev

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/approval"
)

// Page sizes of the list of pending requests.
const (
	defaultPage = 50
	maxPage     = 100
)

// pending serves GET /jit/pending, the list for reviewers. Its members are those
// that any SDK or the specification reads.
func (c *call) pending() (any, error) {
	page, err := c.number("page", 1, 1<<20)
	if err != nil {
		return nil, err
	}
	limit, err := c.number("limit", defaultPage, maxPage)
	if err != nil {
		return nil, err
	}
	open := c.st.pending(c.s.cfg.RedemptionWindow, c.now)
	total := len(open)
	first := min((page-1)*limit, total)
	items := []object{}
	for _, r := range open[first:min(first+limit, total)] {
		items = append(items, c.forReviewer(&r))
	}
	pages := (total + limit - 1) / limit
	return object{
		"requests": items, "pending_requests": items, "data": items, "count": len(items),
		"pagination": object{
			"total": total, "page": page, "limit": limit, "totalPages": pages,
			"hasNextPage": page < pages, "hasPreviousPage": page > 1,
		},
	}, nil
}

// number reads a positive number of the query, or gives its default.
func (c *call) number(name string, def, most int) (int, error) {
	raw := c.r.URL.Query().Get(name)
	if raw == "" {
		return def, nil
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < 1 {
		return 0, invalid("%s must be a positive number", name)
	}
	return min(n, most), nil
}

// maxBefore is how many earlier decisions a reviewer is shown.
const maxBefore = 8

// view is a request as it is shown to a person.
func (c *call) view(r *request) approval.Request {
	t := c.st.tasks[r.TaskID]
	v := approval.Request{
		ID: r.ID, TaskID: r.TaskID, TaskName: t.Name, Details: []rar.Detail{r.Detail},
		Tool: r.For.Tool, CallID: r.For.CallID, Args: []byte(r.For.Args), Origin: r.For.Origin, User: r.For.User,
		OnBehalfOf: t.OnBehalfOf, Risk: string(r.Risk), Justification: r.Justification, TTL: r.RequestedTTL,
		ExpiresAt: r.ExpiresAt, Agent: r.ClientID,
	}
	if agent := c.s.agents[r.ClientID]; agent != nil {
		v.Agent = agent.Name + " (" + agent.AgentID + ")"
	}
	for _, id := range slices.Backward(c.st.ofTask[r.TaskID]) {
		earlier := c.st.requests[id]
		if earlier.DecidedBy != 0 && len(v.Before) < maxBefore {
			v.Before = append(v.Before, approval.Earlier{Detail: earlier.granted(), Status: string(earlier.Status)})
		}
	}
	return v
}

// forReviewer is a pending request as the person who decides sees it.
func (c *call) forReviewer(r *request) object {
	t := c.st.tasks[r.TaskID]
	out := c.describe(r, statusPending)
	out["justification"] = r.Justification
	out["requested_ttl"] = seconds(r.RequestedTTL)
	out["created_at"] = stamp(r.CreatedAt)
	if agent := c.s.agents[r.ClientID]; agent != nil {
		out["agent_id"], out["agent_name"] = agent.AgentID, agent.Name
	}
	out.setIf("task_name", t.Name)
	out.setIf("on_behalf_of", t.OnBehalfOf)
	out["accepts_less"] = true // our own: approve takes authorization_details
	if before := c.view(r).Before; len(before) > 0 {
		out["before"] = before
	}
	return out
}

type approveIn struct {
	TTL          *int64         `json:"ttl"`
	Notes        string         `json:"notes"`
	AgentMessage string         `json:"agent_message"`
	Less         jsontext.Value `json:"authorization_details"`
	Digest       string         `json:"digest"`
}

// approve serves POST /jit/approve/{request}. More than LumoAuth's, it takes less than
// was asked in authorization_details, and the digest of what the reviewer was shown.
func (c *call) approve(in approveIn) (any, error) {
	how := approval.Decision{Approve: true, Reason: in.Notes, Message: in.AgentMessage, Digest: in.Digest}
	if in.TTL != nil {
		ttl, err := c.ttl(in.TTL)
		if err != nil {
			return nil, err
		}
		how.TTL = ttl
	}
	if len(in.Less) > 0 && in.Less.Kind() != 'n' {
		less, err := rar.Parse(in.Less)
		if err != nil {
			return nil, fail(http.StatusBadRequest, codeInvalidDetails, "%v", err)
		}
		how.Less = less
	}
	r, err := c.decideAs(c.r.PathValue("request"), c.who.user.ID, how)
	if err != nil {
		return nil, err
	}
	return object{
		"request_id": r.ID, "status": r.Status, "granted_ttl": seconds(r.GrantedTTL), "decided_at": stamp(r.DecidedAt),
	}, nil
}

type denyIn struct {
	Reason       string `json:"reason"`
	AgentMessage string `json:"agent_message"`
	Digest       string `json:"digest"`
}

// deny serves POST /jit/deny/{request}. Enough denials suspend the task.
func (c *call) deny(in denyIn) (any, error) {
	r, err := c.decideAs(c.r.PathValue("request"), c.who.user.ID, approval.Decision{Reason: in.Reason, Message: in.AgentMessage, Digest: in.Digest})
	if err != nil {
		return nil, err
	}
	return object{"request_id": r.ID, "status": r.Status, "decided_at": stamp(r.DecidedAt)}, nil
}

// decideAs enters what a person decides about a request, and returns it as it is then.
// Decisions are made inState, one at a time: whoever comes second finds the request no
// longer pending.
func (c *call) decideAs(id string, user int, d approval.Decision) (request, error) {
	if max(len(d.Reason), len(d.Message)) > maxText {
		return request{}, tooLong("a text", maxText)
	}
	r, known := c.st.requests[id]
	if !known {
		return r, fail(http.StatusNotFound, codeNotFound, "no such request")
	}
	if now := c.statusOf(&r); now != statusPending {
		return r, fail(http.StatusBadRequest, codeInvalidState, "the request is %s: it can no longer be decided", now)
	}
	shown := c.view(&r)
	if d.Digest != "" && d.Digest != shown.Digest() {
		return r, fail(http.StatusConflict, codeOtherRequest, "the request is not the one that was shown: look at it again")
	}
	r.Status, r.DecidedAt, r.DecidedBy = statusDenied, c.now, user
	r.Notes, r.AgentMessage = d.Reason, d.Message
	if d.Approve {
		r.Status, r.GrantedTTL = statusApproved, cmp.Or(d.TTL, r.RequestedTTL)
		if d.Less != nil {
			if err := shown.Within(d.Less); err != nil || len(d.Less) != 1 {
				return r, fail(http.StatusBadRequest, codeInvalidDetails, "what is granted must lie within what was asked, in one object")
			}
			r.Granted = &d.Less[0]
		}
		c.ch.add(r)
		c.ch.decided = append(c.ch.decided, r)
		return r, nil
	}
	t := c.st.tasks[r.TaskID]
	t.denied(&r, c.now)
	if c.s.cfg.CAEP.exceeded(t.Score, t.Denials) {
		c.suspend(t)
	} else {
		c.ch.add(t)
	}
	c.ch.add(r)
	c.ch.decided = append(c.ch.decided, r)
	return r, nil
}
