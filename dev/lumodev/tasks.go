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
	maxArgs = 16 << 10 // of a call that authority is asked for
)

func tooLong(name string, limit int) *wireError {
	return invalid("%s is over %d bytes", name, limit)
}

// stamp writes a time as LumoAuth does: RFC 3339, UTC, whole seconds.
func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

type taskIn struct {
	Name       string `json:"name"`
	Type       string `json:"type"`
	Parent     string `json:"parent_task_id"`
	OnBehalfOf string `json:"on_behalf_of"`
}

// createTask serves POST /jit/task.
func (c *call) createTask(in taskIn) (any, error) {
	if max(len(in.Name), len(in.Type)) > maxName {
		return nil, tooLong("name or type", maxName)
	}
	user, err := c.behalf(in.OnBehalfOf)
	if err != nil {
		return nil, err
	}
	agent := c.who.agent
	t := task{
		ID:        newID(taskPrefix),
		Session:   newID(sessionPrefix),
		ClientID:  agent.ClientID,
		Name:      in.Name,
		Type:      in.Type,
		Parent:    in.Parent,
		Depth:     1,
		Act:       c.who.token.Act,
		State:     taskActive,
		CreatedAt: c.now,
		ExpiresAt: c.now.Truncate(time.Second).Add(c.s.cfg.TaskTTL),
	}
	if user != nil {
		t.OnBehalfOf = user.Email
		if t.Act == nil {
			t.Act = &actor{Sub: subjectOf(agent), ClientID: c.who.id}
		}
	}
	if t.Parent != "" {
		if err := c.nest(&t); err != nil {
			return nil, err
		}
	}
	c.ch.add(t)
	c.status = http.StatusCreated
	out := object{
		"task_id":         t.ID,
		"caep_session_id": t.Session,
		"expires_at":      stamp(t.ExpiresAt),
		"agent_id":        agent.AgentID,
		"agent":           object{"id": agent.AgentID, "name": agent.Name},
		"status":          taskActive,
	}
	out.setIf("on_behalf_of", t.OnBehalfOf)
	out.setIf("parent_task_id", t.Parent)
	return out, nil
}

// behalf returns the user on whose behalf a task runs, or nil. A delegated token
// names the user already; without one the agent needs the permission.
func (c *call) behalf(email string) (*User, error) {
	who := c.who
	if who.user != nil {
		if email != "" && email != who.user.Email {
			return nil, invalid("on_behalf_of is not the user of the delegated token")
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
		return nil, invalid("on_behalf_of names no user who lets this agent act for them")
	}
	return user, nil
}

// nest puts a new task below its parent: it ends no later, and acts for the same
// user.
func (c *call) nest(t *task) error {
	parent, known := c.st.tasks[t.Parent]
	switch {
	case !known:
		return fail(http.StatusNotFound, codeNotFound, "no such parent task")
	case parent.ClientID != t.ClientID && !c.who.token.Act.includes(parent.ClientID):
		return denied("the parent task is of an agent that did not delegate to this one")
	case parent.stateAt(c.now) != taskActive:
		return fail(http.StatusBadRequest, codeInvalidState, "the parent task is %s", parent.stateAt(c.now))
	case parent.OnBehalfOf != "" && t.OnBehalfOf != "" && t.OnBehalfOf != parent.OnBehalfOf:
		return invalid("the parent task acts on behalf of another user")
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
	i := slices.IndexFunc(s.cfg.Users, func(u User) bool { return u.Email == email })
	if i < 0 {
		return nil
	}
	return &s.cfg.Users[i]
}

// own returns a record of the calling agent.
func own[R interface {
	record
	owner() string
}](c *call, of records[R], what, id string) (R, error) {
	r, known := of[id]
	switch {
	case !known:
		return r, fail(http.StatusNotFound, codeNotFound, "no such %s", what)
	case r.owner() != c.who.agent.ClientID:
		return r, denied("the %s is of another agent", what)
	}
	return r, nil
}

func (t task) owner() string         { return t.ClientID }
func (r request) owner() string      { return r.ClientID }
func (a pushApproval) owner() string { return a.ClientID }

// completeTask serves POST /jit/task/{task}/complete. It says completed whatever
// ended the task: SDKs complete again after evaluate, suspension and expiry.
func (c *call) completeTask() (any, error) {
	id := c.r.PathValue("task")
	if err := c.checkTask(id); err != nil {
		return nil, err
	}
	t, err := own(c, c.st.tasks, "task", id)
	if err != nil {
		return nil, err
	}
	if t.stateAt(c.now) == taskActive {
		t = c.st.endTask(c.ch, t, taskCompleted, c.now)
	}
	return object{
		"task_id":      t.ID,
		"status":       taskCompleted,
		"task_state":   t.stateAt(c.now),
		"completed_at": stamp(t.endedAt(c.now)),
	}, nil
}

type evaluateIn struct {
	Result taskState `json:"result"`
	Notes  string    `json:"notes"`
}

// evaluateTask serves POST /jit/task/{task}/evaluate. Without a result it is the
// check of the specification; with one it closes the task, as the SDKs mean it.
func (c *call) evaluateTask(in evaluateIn) (any, error) {
	if len(in.Notes) > maxText {
		return nil, tooLong("notes", maxText)
	}
	if !slices.Contains([]taskState{"", taskCompleted, taskFailed, taskCancelled}, in.Result) {
		return nil, invalid("result must be completed, failed or cancelled")
	}
	t, known := c.st.tasks[c.r.PathValue("task")]
	if !known {
		return nil, fail(http.StatusNotFound, codeNotFound, "no such task")
	}
	if err := c.mayEvaluate(t, in.Result); err != nil {
		return nil, err
	}
	action := "none"
	switch {
	case t.stateAt(c.now) != taskActive:
	case c.s.cfg.CAEP.exceeded(t.Score, t.Denials):
		action = "suspended"
		t = c.suspend(t)
	case in.Result != "":
		action = "closed"
		t.Notes = in.Notes
		t = c.st.endTask(c.ch, t, in.Result, c.now)
	}
	state := t.stateAt(c.now)
	out := object{
		"task_id": t.ID, "active": state == taskActive, "events": append([]caepEvent{}, t.Events...), "action": action,
		"status": state, "risk_score": t.Score, "denial_count": t.Denials,
	}
	if in.Result != "" {
		out["result"] = state
		out["completed_at"] = stamp(t.endedAt(c.now))
	}
	return out, nil
}

// mayEvaluate lets every principal of the organization look, and closes a task
// only for its agent, the agent of a task above it, or a reviewer. A JIT token
// speaks for its own task alone.
func (c *call) mayEvaluate(t task, result taskState) error {
	if c.who.kind == aTask && c.who.token.TaskID != t.ID {
		return denied("this JIT token is of another task")
	}
	if result == "" || (c.who.kind == aUser && c.who.user.Reviewer) {
		return nil
	}
	if c.who.agent != nil {
		for above, known := t, true; known; above, known = c.st.tasks[above.Parent] {
			if above.ClientID == c.who.agent.ClientID {
				return nil
			}
		}
	}
	return denied("only its agent, the agent of its parent or a reviewer may close a task")
}

// Suspend suspends an active task and those below it, as their behaviour would
// (see [CAEPPolicy]): from the same instant on their tokens are inactive and
// nothing can be asked for under them. A task that has ended stays as it is. An
// unknown id is an error.
func (s *Server) Suspend(taskID string) error {
	_, err := inState(func(c *call) (any, error) {
		t, known := c.st.tasks[taskID]
		if !known {
			return nil, fmt.Errorf("lumodev: suspend: no task %q", taskID)
		}
		if t.stateAt(c.now) == taskActive {
			c.suspend(t)
		}
		return nil, nil
	})(&call{s: s, r: new(http.Request), now: s.cfg.Now()})
	return err
}

// suspend ends a task for its behaviour and records why.
func (c *call) suspend(t task) task {
	t.Events = append(slices.Clone(t.Events), caepEvent{
		Type:      "risk_threshold_exceeded",
		Details:   caepDetails{RiskScore: t.Score, DenialCount: t.Denials},
		Timestamp: c.now.UTC().Truncate(time.Second),
	})
	return c.st.endTask(c.ch, t, taskSuspended, c.now)
}
