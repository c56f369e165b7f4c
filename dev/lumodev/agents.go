package lumodev

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// me serves GET /agents/me: the nested form, and the flat members that older
// clients read.
func (c *call) me() (any, error) {
	workspace := object{"slug": c.s.cfg.Org, "api_base": c.s.cfg.BaseURL + c.root() + "/"}
	switch p := c.who; p.kind {
	case anAgent:
		id := p.agent.AgentID
		out := object{
			"identity": object{
				"id": id, "type": "agent", "tenant": c.s.cfg.Org, "agent_id": id, "status": "active",
			},
			"capabilities": p.agent.Capabilities,
			"workspace":    workspace,
			"agent_id":     id,
			"name":         p.agent.Name,
			"scopes":       strings.Fields(p.token.Scope),
		}
		if p.user != nil {
			out["delegated_by"] = p.user.Email
		}
		return out, nil
	case aUser:
		return object{
			"identity":     object{"id": p.token.Subject, "type": "user", "tenant": c.s.cfg.Org, "status": "active"},
			"capabilities": []string{},
			"workspace":    workspace,
		}, nil
	}
	return nil, c.checkAgent()
}

type askIn struct {
	Action  string         `json:"action"`
	Context map[string]any `json:"context"`
}

// ask serves POST /agents/ask: an action is allowed when it is one of the agent's
// capabilities, letter by letter.
func (c *call) ask(in askIn) (any, error) {
	if in.Action == "" {
		return nil, invalid("action is required")
	}
	if len(in.Action) > maxName {
		return nil, tooLong("action", maxName)
	}
	if in.Context == nil {
		in.Context = map[string]any{}
	}
	allowed := slices.Contains(c.who.agent.Capabilities, in.Action)
	reason := "The agent does not have this capability."
	if allowed {
		reason = "The agent has this capability."
	}
	return object{
		"allowed": allowed, "action": in.Action, "context": in.Context, "reason": reason, "audit_id": newID(auditPrefix),
	}, nil
}

// Limits of push approvals, as LumoAuth documents them.
const (
	maxApprovalTask   = 128
	maxApprovalReason = 480
)

type approvalIn struct {
	TaskID     string         `json:"task_id"`
	Reason     string         `json:"reason"`
	Impact     Risk           `json:"impact"`
	OnBehalfOf any            `json:"on_behalf_of"` // a user's id or email
	Meta       map[string]any `json:"meta"`
}

// createApproval serves POST /agents/me/approvals. It always answers 201: SDKs
// cannot read the 202 of a user without a device. The task_id is the agent's own
// label, unless it is of the form of ours: then it names one of the agent's tasks.
func (c *call) createApproval(in approvalIn) (any, error) {
	switch {
	case in.TaskID == "" || len(in.TaskID) > maxApprovalTask:
		return nil, invalid("task_id is required, up to %d bytes", maxApprovalTask)
	case in.Reason == "" || utf8.RuneCountInString(in.Reason) > maxApprovalReason:
		return nil, invalid("reason is required, up to %d characters", maxApprovalReason)
	case in.Impact.rank() < 0:
		return nil, invalid("impact must be low, medium, high or critical")
	case !c.who.agent.canDelegate():
		return nil, fail(http.StatusForbidden, codeDelegationNotAllowed, "the agent may not act on behalf of users")
	}
	if strings.HasPrefix(in.TaskID, taskPrefix) {
		if _, err := own(c, c.st.tasks, "task", in.TaskID); err != nil {
			return nil, err
		}
	}
	var user *User
	switch ref := in.OnBehalfOf.(type) {
	case string:
		if user = c.s.userByEmail(ref); user == nil {
			id, _ := strconv.Atoi(ref) // no user has the id 0
			user = c.s.users[id]
		}
	case float64:
		if float64(int(ref)) == ref {
			user = c.s.users[int(ref)]
		}
	default:
		return nil, invalid("on_behalf_of is required: a user's id or email")
	}
	if user == nil {
		return nil, fail(http.StatusNotFound, codeNotFound, "no such user")
	}
	token := newSecret().Reveal() // to the agent that asked
	a := pushApproval{
		Hash:      hashOf(token),
		ClientID:  c.who.agent.ClientID,
		TaskID:    in.TaskID,
		Reason:    in.Reason,
		Impact:    in.Impact,
		UserID:    user.ID,
		ExpiresAt: c.now.Truncate(time.Second).Add(c.s.cfg.ApprovalTTL),
		Status:    statusPending,
	}
	c.ch.add(a)
	c.status = http.StatusCreated
	return object{
		"approval_token": token, "status": a.Status, "expires_at": stamp(a.ExpiresAt), "task_id": a.TaskID, "impact": a.Impact,
	}, nil
}

// hashOf is the key under which an approval is kept.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// approvalStatus serves GET /agents/me/approvals/{token}/status.
func (c *call) approvalStatus() (any, error) {
	a, err := own(c, c.st.approvals, "approval", hashOf(c.r.PathValue("token")))
	if err != nil {
		return nil, err
	}
	now := a.statusAt(c.now)
	out := object{
		"approval_token": c.r.PathValue("token"), "status": now, "task_id": a.TaskID, "impact": a.Impact, "reason": a.Reason,
		"responded_at": nil, "approved_by": nil,
	}
	if !a.RespondedAt.IsZero() {
		out["responded_at"] = stamp(a.RespondedAt)
	}
	if user := c.s.users[a.UserID]; user != nil && now == statusApproved {
		out["approved_by"] = object{"user_id": user.ID, "email": user.Email}
	}
	return out, nil
}

// answerApproval serves POST /dev/approvals/{token}/approve and deny, which stand
// for the tap on a phone. They need the token of the user who was asked.
func answerApproval(to status) handler {
	return func(c *call) (any, error) {
		a, known := c.st.approvals[hashOf(c.r.PathValue("token"))]
		switch now := a.statusAt(c.now); {
		case !known:
			return nil, fail(http.StatusNotFound, codeNotFound, "no such approval")
		case c.who.kind != aUser || c.who.user.ID != a.UserID:
			return nil, denied("only the user who was asked may answer")
		case now != statusPending:
			return nil, fail(http.StatusBadRequest, codeInvalidState, "the approval is %s", now)
		}
		a.Status, a.RespondedAt = to, c.now
		c.ch.add(a)
		return object{"status": a.Status, "task_id": a.TaskID}, nil
	}
}
