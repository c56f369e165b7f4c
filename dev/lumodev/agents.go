package lumodev

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// me serves GET /agents/me: the nested form, and the flat members that older
// clients read.
func (c *call) me() (*reply, error) {
	if c.whoErr != nil {
		return nil, c.whoErr
	}
	workspace := object{"slug": c.s.cfg.Org, "api_base": c.s.cfg.BaseURL + c.root + "/"}
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
		return ok(out)
	case aUser:
		return ok(object{
			"identity":     object{"id": p.token.Subject, "type": "user", "tenant": c.s.cfg.Org, "status": "active"},
			"capabilities": []string{},
			"workspace":    workspace,
		})
	}
	_, err := c.agentCaller()
	return nil, err
}

// ask serves POST /agents/ask: an action is allowed when it is one of the agent's
// capabilities, letter by letter.
func (c *call) ask() (*reply, error) {
	who, err := c.agentCaller()
	if err != nil {
		return nil, err
	}
	var in struct {
		Action  string         `json:"action"`
		Context jsontext.Value `json:"context"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if in.Action == "" {
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "action is required")
	}
	if len(in.Action) > maxName {
		return nil, tooLong("action", maxName)
	}
	switch in.Context.Kind() {
	case '{':
	case 0, 'n':
		in.Context = jsontext.Value("{}")
	default:
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "context must be an object")
	}
	allowed := slices.Contains(who.agent.Capabilities, in.Action)
	reason := "The agent does not have this capability."
	if allowed {
		reason = "The agent has this capability."
	}
	return ok(object{
		"allowed": allowed, "action": in.Action, "context": in.Context, "reason": reason, "audit_id": newID(auditPrefix),
	})
}

// Limits of push approvals, as LumoAuth documents them.
const (
	maxApprovalTask   = 128
	maxApprovalReason = 480
)

// createApproval serves POST /agents/me/approvals. It always answers 201: SDKs
// cannot read the 202 of a user without a device.
func (c *call) createApproval() (*reply, error) {
	who, err := c.agentCaller()
	if err != nil {
		return nil, err
	}
	var in struct {
		TaskID     string         `json:"task_id"`
		Reason     string         `json:"reason"`
		Impact     Risk           `json:"impact"`
		OnBehalfOf jsontext.Value `json:"on_behalf_of"` // a user's id or email
		Meta       jsontext.Value `json:"meta"`         // an object or null
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	switch {
	case in.TaskID == "" || len(in.TaskID) > maxApprovalTask:
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "task_id is required, up to %d bytes", maxApprovalTask)
	case in.Reason == "" || len([]rune(in.Reason)) > maxApprovalReason:
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "reason is required, up to %d characters", maxApprovalReason)
	case in.Impact.rank() < 0:
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "impact must be low, medium, high or critical")
	case !slices.Contains([]jsontext.Kind{0, 'n', '{'}, in.Meta.Kind()):
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "meta must be an object or null")
	case !slices.Contains([]jsontext.Kind{'"', '0'}, in.OnBehalfOf.Kind()):
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "on_behalf_of is required: a user's id or email")
	case !who.agent.canDelegate():
		return nil, fail(http.StatusForbidden, codeDelegationNotAllowed, "the agent may not act on behalf of users")
	}
	user := c.s.userByRef(in.OnBehalfOf)
	if user == nil {
		return nil, fail(http.StatusNotFound, codeNotFound, "no such user")
	}
	token := newSecret().Reveal() // to the agent that asked
	a := approval{
		Hash:      hashOf(token),
		ClientID:  who.agent.ClientID,
		TaskID:    in.TaskID,
		Reason:    in.Reason,
		Impact:    in.Impact,
		UserID:    user.ID,
		ExpiresAt: c.now.Truncate(time.Second).Add(c.s.cfg.ApprovalTTL),
		Status:    statusPending,
	}
	err = c.update(func(_ *state, ch *change) error {
		ch.approvals = append(ch.approvals, a)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return created(object{
		"approval_token": token, "status": a.Status, "expires_at": stamp(a.ExpiresAt), "task_id": a.TaskID, "impact": a.Impact,
	})
}

// hashOf is the key under which an approval is kept.
func hashOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// userByRef resolves a JSON string or number: an email or an id.
func (s *Server) userByRef(ref jsontext.Value) *User {
	text := string(ref)
	if ref.Kind() == '"' {
		unquoted, err := jsontext.AppendUnquote(nil, ref)
		if err != nil {
			return nil
		}
		text = string(unquoted)
	}
	if id, err := strconv.Atoi(text); err == nil {
		return s.users[id]
	}
	return s.userByEmail(text)
}

// approvalStatus serves GET /agents/me/approvals/{token}/status.
func (c *call) approvalStatus() (*reply, error) {
	who, err := c.agentCaller()
	if err != nil {
		return nil, err
	}
	token := c.params["token"]
	var a approval
	err = c.view(func(st *state) error {
		var known bool
		switch a, known = st.approvals[hashOf(token)]; {
		case !known:
			return fail(http.StatusNotFound, codeNotFound, "no such approval")
		case a.ClientID != who.agent.ClientID:
			return fail(http.StatusForbidden, codeAccessDenied, "the approval is of another agent")
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	now := a.statusAt(c.now)
	out := object{
		"approval_token": token, "status": now, "task_id": a.TaskID, "impact": a.Impact, "reason": a.Reason,
		"responded_at": nil, "approved_by": nil,
	}
	if !a.RespondedAt.IsZero() {
		out["responded_at"] = stamp(a.RespondedAt)
	}
	if user := c.s.users[a.UserID]; user != nil && now == statusApproved {
		out["approved_by"] = object{"user_id": user.ID, "email": user.Email}
	}
	return ok(out)
}

// answerApproval serves POST /dev/approvals/{token}/approve and deny, which stand
// for the tap on a phone. They need the token of the user who was asked.
func answerApproval(yes bool) handler {
	return func(c *call) (*reply, error) {
		if c.whoErr != nil {
			return nil, c.whoErr
		}
		var a approval
		err := c.update(func(st *state, ch *change) error {
			var known bool
			a, known = st.approvals[hashOf(c.params["token"])]
			switch {
			case !known:
				return fail(http.StatusNotFound, codeNotFound, "no such approval")
			case c.who.kind != aUser || c.who.user.ID != a.UserID:
				return fail(http.StatusForbidden, codeAccessDenied, "only the user who was asked may answer")
			case a.statusAt(c.now) != statusPending:
				return fail(http.StatusBadRequest, codeInvalidState, "the approval is %s", a.statusAt(c.now))
			}
			a.Status, a.RespondedAt = statusDenied, c.now
			if yes {
				a.Status = statusApproved
			}
			ch.approvals = append(ch.approvals, a)
			return nil
		})
		if err != nil {
			return nil, err
		}
		return ok(object{"status": a.Status, "task_id": a.TaskID})
	}
}
