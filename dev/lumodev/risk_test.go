package lumodev

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/rar"
)

func TestAssess(t *testing.T) {
	policy, err := RiskPolicy{SensitiveIdentifiers: []string{"doc_7"}, SensitiveTypes: []string{"hr"}}.resolved()
	if err != nil {
		t.Fatal(err)
	}
	d := func(kind, id string, actions ...string) rar.Detail {
		return rar.Detail{Type: kind, Identifier: id, Actions: actions}
	}
	for _, row := range []struct {
		detail rar.Detail
		want   Risk
	}{
		{d("file_access", "doc_1", "read"), Low},
		{d("api_call", "doc_1", "GET"), Low},
		{d("database_query", "doc_1", "SELECT"), Low},
		{d("file_access", "doc_1", "read", "write"), Medium},
		{d("api_call", "doc_1", "PATCH"), Medium},
		{d("file_access", "doc_1", "read", "delete"), High},
		{d("api_call", "doc_1", "DELETE"), High},
		{d("tool_invocation", "doc_1", "execute"), High},
		{d("file_access", "doc_1", "admin"), High},
		{d("file_access", "doc_1", "frobnicate"), High},
		{d("file_access", "doc_1", "*"), High},
		{d("file_access", "doc_*", "read"), High},
		{d("file_access", "doc_1"), High}, // no actions: whatever the type means by that
		{rar.Detail{Type: "a", Identifier: "doc_1", Actions: []string{"read"}, Privileges: []string{"p"}}, High},
		{d("file_access", "doc_7", "read"), High},
		{d("file_access", "", "read"), High}, // may reach doc_7
		{rar.Detail{Type: "a", Identifier: "doc_1", Actions: []string{"read"}, Locations: []string{"https://h.example/v1/doc_7?x=1"}}, High},
		{d("hr", "doc_1", "read"), High},
		{d("payment", "doc_1", "read"), Critical},
		{d("user_data", "doc_1", "read"), Critical},
		{d("credentials", "doc_1", "read"), Critical},
		{d("wire_transfer", "doc_1", "read"), Critical},
	} {
		if got := policy.assess(row.detail); got != row.want {
			t.Errorf("assess(%v) = %s, want %s", row.detail, got, row.want)
		}
	}
	if got := (&RiskPolicy{}).assess(d("calendar_access", "", "read")); got != Low {
		t.Errorf("without sensitive identifiers = %s, want low", got)
	}
	policy.Assess = func(d rar.Detail) Risk { return Risk(d.Identifier) }
	for id, want := range map[string]Risk{"low": Low, "critical": Critical, "": High, "harmless": Critical} {
		if got := policy.assess(d("file_access", id, "delete")); got != want {
			t.Errorf("Assess says %q: %s, want %s", id, got, want)
		}
	}
}

func TestRiskDecides(t *testing.T) {
	for name, row := range map[string]struct {
		policy RiskPolicy
		want   map[string]string // status by action
	}{
		"default": {RiskPolicy{}, map[string]string{"read": "approved", "write": "approved", "delete": "pending"}},
		"writes":  {RiskPolicy{HumanLevels: []Risk{Medium, High, Critical}}, map[string]string{"read": "approved", "write": "pending"}},
		"nobody":  {RiskPolicy{HumanLevels: []Risk{}}, map[string]string{"delete": "approved"}},
		"denied":  {RiskPolicy{DeniedLevels: []Risk{Low, High}}, map[string]string{"read": "denied", "write": "approved", "delete": "denied"}},
		"sensitive": {RiskPolicy{Assess: func(d rar.Detail) Risk {
			if d.Identifier == "doc_9982" {
				return High
			}
			return ""
		}}, map[string]string{"read": "pending"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := start(t, func(c *Config) { c.Risk = row.policy })
			token := e.login(DefaultAgentClientID)
			for action, want := range row.want {
				task := e.task(token) // one each: denials make what comes after them riskier
				a := e.ask(token, task, map[string]any{"type": "file_access", "actions": []string{action}, "identifier": "doc_9982"})
				if a.str("status") != want {
					t.Errorf("%s: %s, want %s", action, a.raw, want)
				}
			}
		})
	}
}

func TestDenialsSuspend(t *testing.T) {
	e := start(t, nil)
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	task, jit := e.jit(token)
	left := e.ask(token, task, readDoc).str("request_id")
	e.denyThrice(token, task)

	if e.active(jit) {
		t.Error("a suspended task has an active token")
	}
	e.wantError(400, codeInvalidState, e.post("jit/request", token, map[string]any{"task_id": task, "authorization_details": readDoc}))
	e.wantError(403, codeAccessDenied, e.post("jit/request/"+left+"/token", token, nil))
	a := e.want(200, e.post("jit/task/"+task+"/evaluate", reviewer, nil))
	want := map[string]any{
		"task_id": task, "active": false, "action": "none", "status": "suspended", "risk_score": 62.0, "denial_count": 3.0,
		"events": []any{map[string]any{
			"type": "risk_threshold_exceeded", "timestamp": "2026-03-02T09:00:00Z",
			"details": map[string]any{"risk_score": 62.0, "denial_count": 3.0},
		}},
	}
	if diff := cmp.Diff(want, a.obj); diff != "" {
		t.Errorf("evaluate (-want +got):\n%s", diff)
	}
}

// A person who says no to all but one of a turn's requests leaves the task alone.
func TestDenialsTogetherAreOne(t *testing.T) {
	e := start(t, nil)
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	task := e.task(token)
	ask := func() string { return e.ask(token, task, deleteDoc).str("request_id") }
	deny := func(id string) {
		e.clock.Advance(time.Second)
		e.want(200, e.post("jit/deny/"+id, reviewer, nil))
	}
	yes, no := ask(), []string{ask(), ask(), ask()}
	e.want(200, e.post("jit/approve/"+yes, reviewer, nil))
	for _, id := range no {
		deny(id)
	}
	if now := e.Snapshot().Tasks[0]; now.State != "active" || now.Denials != 1 {
		t.Errorf("after one no to three requests: %s, with %d denials", now.State, now.Denials)
	}
	e.want(200, e.post("jit/request/"+yes+"/token", token, nil))
	deny(ask())
	deny(ask())
	if now := e.Snapshot().Tasks[0]; now.State != "suspended" || now.Denials != 3 {
		t.Errorf("after it asked on, twice: %s, with %d denials", now.State, now.Denials)
	}
}

// Whoever always asks once more before the last no is told no as often.
func TestDenialsThatOverlapCount(t *testing.T) {
	e := start(t, nil)
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	task := e.task(token)
	asked := []string{e.ask(token, task, deleteDoc).str("request_id"), e.ask(token, task, deleteDoc).str("request_id")}
	for n := 0; n < 8 && e.Snapshot().Tasks[0].State == "active"; n++ {
		e.clock.Advance(time.Second)
		e.want(200, e.post("jit/deny/"+asked[n], reviewer, nil))
		e.clock.Advance(time.Second)
		if e.Snapshot().Tasks[0].State == "active" {
			asked = append(asked, e.ask(token, task, deleteDoc).str("request_id"))
		}
	}
	if now := e.Snapshot().Tasks[0]; now.State != "suspended" || now.Denials != 3 {
		t.Errorf("after %d requests: %s, with %d denials", len(asked), now.State, now.Denials)
	}
}

func TestPolicyDenialsSuspend(t *testing.T) {
	e := start(t, func(c *Config) { c.Risk.DeniedLevels = []Risk{High} })
	token := e.login(DefaultAgentClientID)
	task, jit := e.jit(token)
	for want := 1; want <= 3; want++ {
		a := e.ask(token, task, deleteDoc)
		if got := e.Snapshot().Tasks[0].Denials; a.str("status") != "denied" || a.str("deny_reason") == "" || got != want {
			t.Errorf("denial %d: %s, and %d denials are counted", want, a.raw, got)
		}
		e.wantError(403, codeAccessDenied, e.post("jit/request/"+a.str("request_id")+"/token", token, nil))
	}
	if e.active(jit) {
		t.Error("a suspended task has an active token")
	}
}

func TestSuspend(t *testing.T) {
	e := start(t, nil)
	token := e.login(DefaultAgentClientID)
	task, jit := e.jit(token)
	child := e.want(201, e.post("jit/task", token, map[string]any{"parent_task_id": task})).str("task_id")
	if err := e.Suspend("task_of_nobody"); err == nil {
		t.Error("Suspend of an unknown task = nil")
	}
	if !e.active(jit) {
		t.Fatal("the token is inactive before the task is suspended")
	}
	for range 2 {
		if err := e.Suspend(task); err != nil {
			t.Fatalf("Suspend() = %v", err)
		}
	}
	if e.active(jit) {
		t.Error("a suspended task has an active token")
	}
	for _, id := range []string{task, child} {
		e.wantError(400, codeInvalidState, e.post("jit/request", token, map[string]any{"task_id": id, "authorization_details": readDoc}))
	}
	a := e.want(200, e.post("jit/task/"+task+"/evaluate", token, nil))
	if events, _ := a.obj["events"].([]any); a.str("status") != "suspended" || len(events) != 1 {
		t.Errorf("evaluate: %s, want suspended with one event", a.raw)
	}
	other := e.task(token)
	e.want(200, e.post("jit/task/"+other+"/complete", token, nil))
	if err := e.Suspend(other); err != nil {
		t.Errorf("Suspend of a completed task = %v", err)
	}
	for _, task := range e.Snapshot().Tasks {
		if task.ID == other && task.State != "completed" {
			t.Errorf("a completed task became %s", task.State)
		}
	}
}

func TestHistoryRaisesRisk(t *testing.T) {
	e := start(t, nil)
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	task := e.task(token)
	deny := func() {
		e.want(200, e.post("jit/deny/"+e.ask(token, task, deleteDoc).str("request_id"), reviewer, nil))
	}
	levels := []string{}
	level := func() { levels = append(levels, e.ask(token, task, readDoc).str("risk_level")) }
	level() // 1
	deny()  // 21
	level() // 22
	for range 11 {
		e.ask(token, task, readDoc) // 33
	}
	level()
	deny()
	level()
	if diff := cmp.Diff([]string{"low", "low", "medium", "critical"}, levels); diff != "" {
		t.Errorf("levels of reading (-want +got):\n%s", diff)
	}
}

func TestScoreSuspends(t *testing.T) {
	e := start(t, func(c *Config) { c.CAEP = CAEPPolicy{RiskThreshold: 3} })
	token := e.login(DefaultAgentClientID)
	task, jit := e.jit(token) // 1
	e.ask(token, task, readDoc)
	a := e.ask(token, task, readDoc) // 3: the request that is too much
	if a.str("status") != "denied" || a.str("agent_message") == "" {
		t.Errorf("request over the threshold: %s, want denied", a.raw)
	}
	if e.active(jit) {
		t.Error("a suspended task has an active token")
	}
}

func TestBurst(t *testing.T) {
	e := start(t, func(c *Config) { c.CAEP = CAEPPolicy{BurstRequests: 2} })
	token := e.login(DefaultAgentClientID)
	task := e.task(token)
	score := func() float64 {
		e.ask(token, task, readDoc)
		return e.Snapshot().Tasks[0].RiskScore
	}
	got := []float64{score(), score(), score()}
	e.clock.Advance(time.Minute)
	got = append(got, score())
	if diff := cmp.Diff([]float64{1, 2, 13, 14}, got); diff != "" {
		t.Errorf("scores (-want +got):\n%s", diff)
	}
}

func TestCAEPOff(t *testing.T) {
	e := start(t, func(c *Config) {
		c.CAEP = CAEPPolicy{RiskThreshold: -1, DenialThreshold: -1, BurstRequests: -1}
	})
	token := e.login(DefaultAgentClientID)
	task := e.task(token)
	for range 2 {
		e.denyThrice(token, task)
	}
	for range 80 {
		e.ask(token, task, readDoc)
	}
	if state := e.Snapshot().Tasks[0].State; state != "active" {
		t.Errorf("task is %s, want active", state)
	}
}
