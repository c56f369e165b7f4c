package lumodev

import (
	"net/http"
	"strconv"
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
	return out
}

// approve serves POST /jit/approve/{request}.
func (c *call) approve() (any, error) {
	var in struct {
		TTL          *int64 `json:"ttl"`
		Notes        string `json:"notes"`
		AgentMessage string `json:"agent_message"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	r, err := c.decision(statusApproved, in.Notes, in.AgentMessage)
	if err != nil {
		return nil, err
	}
	r.GrantedTTL = r.RequestedTTL
	if in.TTL != nil {
		if r.GrantedTTL, err = c.ttl(in.TTL); err != nil {
			return nil, err
		}
	}
	c.ch.add(r)
	return object{
		"request_id": r.ID, "status": r.Status, "granted_ttl": seconds(r.GrantedTTL), "decided_at": stamp(r.DecidedAt),
	}, nil
}

// deny serves POST /jit/deny/{request}. Enough denials suspend the task.
func (c *call) deny() (any, error) {
	var in struct {
		Reason       string `json:"reason"`
		AgentMessage string `json:"agent_message"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	r, err := c.decision(statusDenied, in.Reason, in.AgentMessage)
	if err != nil {
		return nil, err
	}
	t := c.st.tasks[r.TaskID]
	t.Denials++
	t.Score += max(c.s.cfg.CAEP.DenialScore, 0)
	if c.s.cfg.CAEP.exceeded(t.Score, t.Denials) {
		c.suspend(t)
	} else {
		c.ch.add(t)
	}
	c.ch.add(r)
	return object{"request_id": r.ID, "status": r.Status, "decided_at": stamp(r.DecidedAt)}, nil
}

// decision returns the request of the path as a person decided it. Decisions are made
// inState, one at a time: whoever comes second finds the request no longer pending.
func (c *call) decision(to status, notes, message string) (request, error) {
	if max(len(notes), len(message)) > maxText {
		return request{}, tooLong("a text", maxText)
	}
	r, known := c.st.requests[c.r.PathValue("request")]
	if !known {
		return r, fail(http.StatusNotFound, codeNotFound, "no such request")
	}
	if now := c.statusOf(&r); now != statusPending {
		return r, fail(http.StatusBadRequest, codeInvalidState, "the request is %s: it can no longer be decided", now)
	}
	r.Status, r.DecidedAt, r.DecidedBy = to, c.now, c.who.user.ID
	r.Notes, r.AgentMessage = notes, message
	return r, nil
}
