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
func (c *call) pending() (*reply, error) {
	if _, err := c.reviewer(); err != nil {
		return nil, err
	}
	page, err := c.number("page", 1, 1<<20)
	if err != nil {
		return nil, err
	}
	limit, err := c.number("limit", defaultPage, maxPage)
	if err != nil {
		return nil, err
	}
	items := []object{}
	total := 0
	err = c.view(func(st *state) error {
		open := st.pending(c.s.cfg.RedemptionWindow, c.now)
		total = len(open)
		first := min((page-1)*limit, total)
		for _, r := range open[first:min(first+limit, total)] {
			items = append(items, c.forReviewer(st, &r))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	pages := (total + limit - 1) / limit
	return ok(object{
		"requests": items, "pending_requests": items, "data": items, "count": len(items),
		"pagination": object{
			"total": total, "page": page, "limit": limit, "totalPages": pages,
			"hasNextPage": page < pages, "hasPreviousPage": page > 1,
		},
	})
}

// number reads a positive number of the query, or gives its default.
func (c *call) number(name string, def, most int) (int, error) {
	raw := c.r.URL.Query().Get(name)
	if raw == "" {
		return def, nil
	}
	n, err := strconv.Atoi(raw)
	if err != nil || n < 1 {
		return 0, fail(http.StatusBadRequest, codeInvalidRequest, "%s must be a positive number", name)
	}
	return min(n, most), nil
}

// forReviewer is a pending request as the person who decides sees it.
func (c *call) forReviewer(st *state, r *request) object {
	t := st.tasks[r.TaskID]
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
func (c *call) approve() (*reply, error) {
	var in struct {
		TTL          *int64 `json:"ttl"`
		Notes        string `json:"notes"`
		AgentMessage string `json:"agent_message"`
	}
	reviewer, err := c.reviewer()
	if err != nil {
		return nil, err
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	r, err := c.decision(reviewer, in.Notes, in.AgentMessage, func(_ *state, _ *change, r *request) error {
		r.Status, r.GrantedTTL = statusApproved, r.RequestedTTL
		if in.TTL == nil {
			return nil
		}
		var err error
		r.GrantedTTL, err = c.ttl(in.TTL)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ok(object{
		"request_id": r.ID, "status": r.Status, "granted_ttl": seconds(r.GrantedTTL), "decided_at": stamp(r.DecidedAt),
	})
}

// deny serves POST /jit/deny/{request}. Enough denials suspend the task.
func (c *call) deny() (*reply, error) {
	var in struct {
		Reason       string `json:"reason"`
		AgentMessage string `json:"agent_message"`
	}
	reviewer, err := c.reviewer()
	if err != nil {
		return nil, err
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	r, err := c.decision(reviewer, in.Reason, in.AgentMessage, func(st *state, ch *change, r *request) error {
		r.Status = statusDenied
		t := st.tasks[r.TaskID]
		t.Denials++
		t.Score += max(c.s.cfg.CAEP.DenialScore, 0)
		if c.s.cfg.CAEP.exceeded(t.Score, t.Denials) {
			c.suspend(st, ch, t)
		} else {
			ch.tasks = append(ch.tasks, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ok(object{"request_id": r.ID, "status": r.Status, "decided_at": stamp(r.DecidedAt)})
}

// decision records what a person decided. The lock of update makes it one
// decision: whoever comes second finds the request no longer pending.
func (c *call) decision(reviewer *User, notes, message string, apply func(*state, *change, *request) error) (request, error) {
	if max(len(notes), len(message)) > maxText {
		return request{}, tooLong("a text", maxText)
	}
	var r request
	err := c.update(func(st *state, ch *change) error {
		var known bool
		if r, known = st.requests[c.params["request"]]; !known {
			return fail(http.StatusNotFound, codeNotFound, "no such request")
		}
		if now := st.statusOf(&r, c.s.cfg.RedemptionWindow, c.now); now != statusPending {
			return fail(http.StatusBadRequest, codeInvalidState, "the request is %s: it can no longer be decided", now)
		}
		r.DecidedAt, r.DecidedBy = c.now, reviewer.ID
		r.Notes, r.AgentMessage = notes, message
		if err := apply(st, ch, &r); err != nil {
			return err
		}
		ch.requests = append(ch.requests, r)
		return nil
	})
	return r, err
}
