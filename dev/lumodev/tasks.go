package lumodev

import (
	"fmt"
	"net/http"
	"slices"
	"time"
)

// Limits of texts that clients send. LumoAuth documents none.
const (
	maxName = 256
	maxText = 4096
)

func tooLong(name string, limit int) *wireError {
	return fail(http.StatusBadRequest, codeInvalidRequest, "%s is over %d bytes", name, limit)
}

// stamp writes a time as LumoAuth does: RFC 3339, UTC, whole seconds.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// createTask serves POST /jit/task.
func (c *call) createTask() (*reply, error) {
	who, err := c.agentCaller()
	if err != nil {
		return nil, err
	}
	var in struct {
		Name       string `json:"name"`
		Type       string `json:"type"`
		Parent     string `json:"parent_task_id"`
		OnBehalfOf string `json:"on_behalf_of"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if max(len(in.Name), len(in.Type)) > maxName {
		return nil, tooLong("name or type", maxName)
	}
	user, err := c.behalf(who, in.OnBehalfOf)
	if err != nil {
		return nil, err
	}
	t := task{
		ID:        newID(taskPrefix),
		Session:   newID(sessionPrefix),
		ClientID:  who.agent.ClientID,
		Name:      in.Name,
		Type:      in.Type,
		Parent:    in.Parent,
		Depth:     1,
		Act:       who.token.Act,
		State:     taskActive,
		CreatedAt: c.now,
		ExpiresAt: c.now.Truncate(time.Second).Add(c.s.cfg.TaskTTL),
	}
	if user != nil {
		t.OnBehalfOf = user.Email
		if t.Act == nil {
			t.Act = &actor{Sub: subjectOf(who.agent), ClientID: who.id}
		}
	}
	err = c.update(func(st *state, ch *change) error {
		if t.Parent != "" {
			if err := c.nest(st, &t, who); err != nil {
				return err
			}
		}
		ch.tasks = append(ch.tasks, t)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := object{
		"task_id":         t.ID,
		"caep_session_id": t.Session,
		"expires_at":      stamp(t.ExpiresAt),
		"agent_id":        who.agent.AgentID,
		"agent":           object{"id": who.agent.AgentID, "name": who.agent.Name},
		"status":          taskActive,
	}
	out.setIf("on_behalf_of", t.OnBehalfOf)
	out.setIf("parent_task_id", t.Parent)
	return created(out)
}

// behalf returns the user on whose behalf a task runs, or nil. A delegated token
// names the user already; without one the agent needs the permission.
func (c *call) behalf(who principal, email string) (*User, error) {
	if who.user != nil {
		if email != "" && email != who.user.Email {
			return nil, fail(http.StatusBadRequest, codeInvalidRequest, "on_behalf_of is not the user of the delegated token")
		}
		return who.user, nil
	}
	if email == "" {
		return nil, nil
	}
	if !who.agent.canDelegate() {
		return nil, fail(http.StatusForbidden, codeDelegationNotAllowed, "the agent may not act on behalf of users")
	}
	user := c.s.userByEmail(email)
	if user == nil || user.RefusesDelegation {
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "on_behalf_of names no user who lets this agent act for them")
	}
	return user, nil
}

// nest puts a new task below its parent: it ends no later, and acts for the same
// user.
func (c *call) nest(st *state, t *task, who principal) error {
	parent, known := st.tasks[t.Parent]
	switch {
	case !known:
		return fail(http.StatusNotFound, codeNotFound, "no such parent task")
	case parent.ClientID != t.ClientID && !who.token.Act.includes(parent.ClientID):
		return fail(http.StatusForbidden, codeAccessDenied, "the parent task is of an agent that did not delegate to this one")
	case parent.stateAt(c.now) != taskActive:
		return fail(http.StatusBadRequest, codeInvalidState, "the parent task is %s", parent.stateAt(c.now))
	case parent.OnBehalfOf != "" && t.OnBehalfOf != "" && t.OnBehalfOf != parent.OnBehalfOf:
		return fail(http.StatusBadRequest, codeInvalidRequest, "the parent task acts on behalf of another user")
	case parent.Depth >= maxDelegationDepth:
		e := fail(http.StatusBadRequest, codeDepthExceeded, "tasks nest %d deep at most", maxDelegationDepth)
		e.members = map[string]any{"max_depth": maxDelegationDepth}
		return e
	}
	t.Depth = parent.Depth + 1
	if t.OnBehalfOf == "" {
		t.OnBehalfOf, t.Act = parent.OnBehalfOf, parent.Act
	}
	if parent.ExpiresAt.Before(t.ExpiresAt) {
		t.ExpiresAt = parent.ExpiresAt
	}
	return nil
}

func (s *Server) userByEmail(email string) *User {
	for i := range s.cfg.Users {
		if s.cfg.Users[i].Email == email {
			return &s.cfg.Users[i]
		}
	}
	return nil
}

// completeTask serves POST /jit/task/{task}/complete. It says completed whatever
// ended the task: SDKs complete again after evaluate, suspension and expiry.
func (c *call) completeTask() (*reply, error) {
	id := c.params["task"]
	who, err := c.taskCaller(id)
	if err != nil {
		return nil, err
	}
	var t task
	err = c.update(func(st *state, ch *change) error {
		var known bool
		switch t, known = st.tasks[id]; {
		case !known:
			return fail(http.StatusNotFound, codeNotFound, "no such task")
		case t.ClientID != who.agent.ClientID:
			return fail(http.StatusForbidden, codeAccessDenied, "the task is of another agent")
		case t.stateAt(c.now) == taskActive:
			st.endTask(ch, t, taskCompleted, c.now)
			t = ch.tasks[0]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ok(object{
		"task_id":      t.ID,
		"status":       taskCompleted,
		"task_state":   t.stateAt(c.now),
		"completed_at": stamp(t.endedAt(c.now)),
	})
}

// evaluateTask serves POST /jit/task/{task}/evaluate. Without a result it is the
// check of the specification; with one it closes the task, as the SDKs mean it.
func (c *call) evaluateTask() (*reply, error) {
	if c.whoErr != nil {
		return nil, c.whoErr
	}
	var in struct {
		Result string `json:"result"`
		Notes  string `json:"notes"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if len(in.Notes) > maxText {
		return nil, tooLong("notes", maxText)
	}
	outcome := taskState(in.Result)
	if in.Result != "" && !slices.Contains([]taskState{taskCompleted, taskFailed, taskCancelled}, outcome) {
		return nil, fail(http.StatusBadRequest, codeInvalidRequest, "result must be completed, failed or cancelled")
	}
	var t task
	action := "none"
	err := c.update(func(st *state, ch *change) error {
		var known bool
		if t, known = st.tasks[c.params["task"]]; !known {
			return fail(http.StatusNotFound, codeNotFound, "no such task")
		}
		if err := c.mayEvaluate(st, t, outcome); err != nil {
			return err
		}
		if t.stateAt(c.now) != taskActive {
			return nil
		}
		switch {
		case c.s.cfg.CAEP.exceeded(t.Score, t.Denials):
			action = "suspended"
			t = c.suspend(st, ch, t)
		case outcome != "":
			action = "closed"
			t.Notes = in.Notes
			st.endTask(ch, t, outcome, c.now)
			t = ch.tasks[0]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	state := t.stateAt(c.now)
	events := t.Events
	if events == nil {
		events = []caepEvent{}
	}
	out := object{
		"task_id": t.ID, "active": state == taskActive, "events": events, "action": action,
		"status": state, "risk_score": t.Score, "denial_count": t.Denials,
	}
	if outcome != "" {
		out["result"] = state
		out["completed_at"] = stamp(t.endedAt(c.now))
	}
	return ok(out)
}

// mayEvaluate lets every principal of the organization look, and closes a task
// only for its agent, the agent of a task above it, or a reviewer. A JIT token
// speaks for its own task alone.
func (c *call) mayEvaluate(st *state, t task, outcome taskState) error {
	if c.who.kind == aTask && c.who.token.jit.TaskID != t.ID {
		return fail(http.StatusForbidden, codeAccessDenied, "this JIT token is of another task")
	}
	if outcome == "" || (c.who.kind == aUser && c.who.user.Reviewer) {
		return nil
	}
	if c.who.agent != nil {
		for above, known := t, true; known; above, known = st.tasks[above.Parent] {
			if above.ClientID == c.who.agent.ClientID {
				return nil
			}
		}
	}
	return fail(http.StatusForbidden, codeAccessDenied, "only its agent, the agent of its parent or a reviewer may close a task")
}

// Suspend suspends an active task and those below it, as their behaviour would
// (see [CAEPPolicy]): from the same instant on their tokens are inactive and
// nothing can be asked for under them. A task that has ended stays as it is. An
// unknown id is an error.
func (s *Server) Suspend(taskID string) error {
	c := &call{s: s, r: new(http.Request), now: s.cfg.Now()}
	return c.update(func(st *state, ch *change) error {
		t, known := st.tasks[taskID]
		if !known {
			return fmt.Errorf("lumodev: suspend: no task %q", taskID)
		}
		if t.stateAt(c.now) == taskActive {
			c.suspend(st, ch, t)
		}
		return nil
	})
}

// suspend ends a task for its behaviour and records why.
func (c *call) suspend(st *state, ch *change, t task) task {
	t.Events = append(slices.Clone(t.Events), caepEvent{
		Type:      "risk_threshold_exceeded",
		Details:   caepDetails{RiskScore: t.Score, DenialCount: t.Denials},
		Timestamp: c.now.UTC().Truncate(time.Second),
	})
	at := len(ch.tasks)
	st.endTask(ch, t, taskSuspended, c.now)
	return ch.tasks[at]
}
