package lumodev

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTaskRefuses(t *testing.T) {
	e := start(t, func(c *Config) {
		c.Users = append(c.Users, User{})
		c.Users[0] = User{Email: DefaultReviewerEmail, Reviewer: true}
		c.Users[1] = User{Email: DefaultUserEmail}
		c.Users[2] = User{Email: "shy@acme-corp.example", RefusesDelegation: true}
	})
	token, other := e.login(DefaultAgentClientID), e.login("other")
	task, jit := e.jit(token)

	e.wantError(401, codeInvalidToken, e.post("jit/task", "", nil))
	e.wantError(403, codeAccessDenied, e.post("jit/task", jit, nil))
	e.wantError(403, codeAccessDenied, e.post("jit/task", e.reviewerToken(), nil))
	e.wantError(403, codeAccessDenied, e.post("jit/task", e.login(DefaultResourceServerID), nil))
	e.wantError(400, codeInvalidRequest, e.post("jit/task", token, `{"on_behalf_of":"nobody@acme-corp.example"}`))
	e.wantError(400, codeInvalidRequest, e.post("jit/task", token, `{"on_behalf_of":"shy@acme-corp.example"}`))
	e.wantError(403, codeDelegationNotAllowed, e.post("jit/task", other, `{"on_behalf_of":"`+DefaultUserEmail+`"}`))
	for _, body := range []string{
		`[]`, `"x"`, `{"name":1}`, `{"name":"a"} {}`, `{"name":"a","name":"b"}`, "{\"name\":\"\xff\"}",
		`{"name":"` + strings.Repeat("a", maxName+1) + `"}`, strings.Repeat("[", 10000),
	} {
		e.wantError(400, codeInvalidRequest, e.post("jit/task", token, body))
	}
	e.wantError(413, codeTooLarge, e.post("jit/task", token, strings.Repeat(" ", maxBody+1)))

	e.wantError(404, codeNotFound, e.post("jit/task/task_x/complete", token, nil))
	e.wantError(403, codeAccessDenied, e.post("jit/task/"+task+"/complete", other, nil))
	e.wantError(403, codeAccessDenied, e.post("jit/task/"+task+"/complete", e.reviewerToken(), nil))
	e.wantError(401, codeInvalidToken, e.post("jit/task/"+task+"/complete", "", nil))
	if !e.active(jit) {
		t.Error("a refused call ended the task")
	}
}

func TestTaskNesting(t *testing.T) {
	e := start(t, func(c *Config) {
		c.Agents = append(c.Agents, Agent{ClientID: "sub", ClientSecret: newSecret(), Capabilities: []string{CapabilityDelegate}})
	})
	token := e.login(DefaultAgentClientID)
	child := func(as, parent string) *answer {
		return e.post("jit/task", as, map[string]string{"parent_task_id": parent})
	}
	root := e.task(token)
	e.wantError(404, codeNotFound, child(token, "task_x"))
	e.wantError(403, codeAccessDenied, child(e.login("sub"), root))

	e.clock.Advance(10 * time.Minute)
	second := e.want(201, child(token, root))
	if want := "2026-03-02T10:00:00Z"; second.str("expires_at") != want {
		t.Errorf("child expires at %s, want %s with its parent", second.str("expires_at"), want)
	}
	third := e.want(201, child(token, second.str("task_id")))
	a := e.wantError(400, codeDepthExceeded, child(token, third.str("task_id")))
	if a.obj["max_depth"] != 3.0 {
		t.Errorf("max_depth = %v, want 3", a.obj["max_depth"])
	}

	t.Run("below another agent's task by delegation only", func(t *testing.T) {
		e := e.with(t)
		exchange := func(subject, actor string) string {
			return e.want(200, e.post("oauth/token", "", url.Values{
				"grant_type": {grantTokenExchange}, "subject_token": {subject}, "subject_token_type": {typeAccessToken},
				"actor_token": {actor}, "actor_token_type": {typeAccessToken},
			})).str("access_token")
		}
		delegated := exchange(exchange(e.user(DefaultUserEmail), token), e.login("sub"))
		e.want(201, child(delegated, root))
		ada := e.want(201, e.post("jit/task", token, `{"on_behalf_of":"`+DefaultReviewerEmail+`"}`)).str("task_id")
		e.wantError(400, codeInvalidRequest, child(delegated, ada))
		if a := e.want(201, child(token, ada)); a.str("on_behalf_of") != DefaultReviewerEmail {
			t.Errorf("child of a delegated task: %s", a.raw)
		}
	})

	t.Run("completing the root completes all below", func(t *testing.T) {
		e := e.with(t)
		id := e.ask(token, third.str("task_id"), readDoc).str("request_id")
		jit := e.post("jit/request/"+id+"/token", token, nil).str("access_token")
		e.want(200, e.post("jit/task/"+root+"/complete", token, nil))
		if e.active(jit) {
			t.Error("a token below a completed root is active")
		}
		e.wantError(400, codeInvalidState, child(token, root))
		for _, info := range e.Snapshot().Tasks {
			if info.Parent != "" && info.OnBehalfOf != DefaultReviewerEmail && info.State != "completed" {
				t.Errorf("task %s is %s", info.ID, info.State)
			}
		}
	})
}

func TestRequestRefuses(t *testing.T) {
	e := start(t, nil)
	token, other := e.login(DefaultAgentClientID), e.login("other")
	task, jit := e.jit(token)
	ended := e.task(token)
	e.post("jit/task/"+ended+"/complete", token, nil)
	body := func(task, detail string) string {
		return `{"task_id":"` + task + `","authorization_details":` + detail + `}`
	}
	read := `{"type":"file_access","actions":["read"]}`
	before := e.Snapshot().Totals
	for name, row := range map[string]struct {
		token, body string
		status      int
		code        string
	}{
		"no token":            {"", body(task, read), 401, codeInvalidToken},
		"JIT token":           {jit, body(task, read), 403, codeAccessDenied},
		"user":                {e.reviewerToken(), body(task, read), 403, codeAccessDenied},
		"another agent":       {other, body(task, read), 403, codeAccessDenied},
		"unknown task":        {token, body("task_x", read), 404, codeNotFound},
		"ended task":          {token, body(ended, read), 400, codeInvalidState},
		"no task":             {token, `{"authorization_details":` + read + `}`, 400, codeInvalidRequest},
		"no details":          {token, `{"task_id":"` + task + `"}`, 400, codeInvalidDetails},
		"empty body":          {token, ``, 400, codeInvalidRequest},
		"case variant":        {token, body(task, `{"type":"a","Actions":["read"]}`), 400, codeInvalidDetails},
		"duplicate member":    {token, body(task, `{"type":"a","actions":["read"],"actions":["delete"]}`), 400, codeInvalidRequest},
		"duplicate details":   {token, `{"task_id":"` + task + `","authorization_details":` + read + `,"authorization_details":` + read + `}`, 400, codeInvalidRequest},
		"no type":             {token, body(task, `{"actions":["read"]}`), 400, codeInvalidDetails},
		"empty actions":       {token, body(task, `{"type":"a","actions":[]}`), 400, codeInvalidDetails},
		"deep":                {token, body(task, `{"type":"a","x":`+strings.Repeat("[", 60)+strings.Repeat("]", 60)+`}`), 400, codeInvalidDetails},
		"endless reason":      {token, `{"task_id":"` + task + `","authorization_details":` + read + `,"justification":"` + strings.Repeat("a", maxText+1) + `"}`, 400, codeInvalidRequest},
		"reason of no string": {token, `{"task_id":"` + task + `","authorization_details":` + read + `,"justification":[]}`, 400, codeInvalidRequest},
	} {
		if a := e.post("jit/request", row.token, row.body); a.status != row.status || a.str("error") != row.code {
			t.Errorf("%s: got %d %s, want %d %s", name, a.status, a.raw, row.status, row.code)
		}
	}
	if diff := cmp.Diff(before, e.Snapshot().Totals); diff != "" {
		t.Errorf("refused requests were counted (-before +after):\n%s", diff)
	}
}

func TestRedemption(t *testing.T) {
	e := start(t, nil)
	token, other := e.login(DefaultAgentClientID), e.login("other")
	task := e.task(token)
	redeem := func(as, id string) *answer { return e.post("jit/request/"+id+"/token", as, nil) }
	id := e.ask(token, task, readDoc).str("request_id")

	e.wantError(404, codeNotFound, redeem(token, "jit_x"))
	e.wantError(403, codeAccessDenied, redeem(other, id))
	e.wantError(403, codeAccessDenied, redeem(e.reviewerToken(), id))
	e.wantError(403, codeAccessDenied, redeem(token, e.ask(token, task, deleteDoc).str("request_id")))

	first := e.want(200, redeem(token, id))
	e.clock.Advance(100 * time.Second)
	again := e.want(200, redeem(token, id))
	if first.str("access_token") != again.str("access_token") || again.obj["expires_in"] != 200.0 {
		t.Errorf("redeemed again: other token or expires_in %v, want the same with 200", again.obj["expires_in"])
	}
	if n := e.Snapshot().Totals.Tokens; n != 1 {
		t.Errorf("%d tokens for one decision", n)
	}
	jit := first.str("access_token")
	e.wantError(403, codeAccessDenied, redeem(jit, id)) // a JIT token mints nothing, not even itself
	e.want(200, e.get("jit/request/"+id+"/status", jit))
	_, foreign := e.jit(token)
	e.wantError(403, codeAccessDenied, e.get("jit/request/"+id+"/status", foreign))
	e.wantError(403, codeAccessDenied, e.post("jit/task/"+task+"/complete", foreign, nil))
	e.wantError(403, codeAccessDenied, e.post("jit/task/"+task+"/evaluate", foreign, nil))
	for _, path := range []string{"agents/me", "oauth/userinfo", "jit/pending"} {
		e.wantError(403, codeAccessDenied, e.get(path, jit))
	}

	t.Run("not after the window", func(t *testing.T) {
		e := e.with(t)
		late := e.ask(token, task, readDoc).str("request_id")
		e.clock.Advance(5 * time.Minute)
		e.wantError(403, codeAccessDenied, redeem(token, late))
		if s := e.get("jit/request/"+late+"/status", token).str("status"); s != "expired" {
			t.Errorf("status = %s, want expired", s)
		}
	})
	t.Run("not again after the window", func(t *testing.T) {
		e := e.with(t)
		id := e.want(201, e.post("jit/request", token, map[string]any{"task_id": task, "authorization_details": readDoc, "requested_ttl": 900})).str("request_id")
		raw := e.want(200, redeem(token, id)).str("access_token")
		e.clock.Advance(5 * time.Minute)
		e.wantError(403, codeAccessDenied, redeem(token, id))
		if !e.active(raw) {
			t.Error("the end of the window ended the token")
		}
	})
	t.Run("not after revocation", func(t *testing.T) {
		e := e.with(t)
		id := e.ask(token, task, readDoc).str("request_id")
		raw := redeem(token, id).str("access_token")
		e.want(200, e.post("oauth/revoke", token, url.Values{"token": {raw}}))
		e.wantError(403, codeAccessDenied, redeem(token, id))
	})
	t.Run("no longer than the task", func(t *testing.T) {
		e := e.with(t)
		e.clock.Advance(49*time.Minute - 400*time.Second)
		token := e.login(DefaultAgentClientID)
		left := int(e.st.tasks[task].ExpiresAt.Sub(e.clock.Now()) / time.Second)
		id := e.want(201, e.post("jit/request", token, map[string]any{"task_id": task, "authorization_details": readDoc, "requested_ttl": 900})).str("request_id")
		if got := redeem(token, id).obj["expires_in"]; got != float64(left) {
			t.Errorf("expires_in = %v, want %d with the task", got, left)
		}
	})
}

// TestCompleteTakesEverything is the promise that a task's end is one instant.
func TestCompleteTakesEverything(t *testing.T) {
	e := start(t, nil)
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	task, first := e.jit(token)
	second := e.post("jit/request/"+e.ask(token, task, writeDoc).str("request_id")+"/token", token, nil).str("access_token")
	_, elsewhere := e.jit(token)
	approved := e.ask(token, task, readDoc).str("request_id")
	open := e.ask(token, task, deleteDoc).str("request_id")
	if n := e.Snapshot().LiveTokens; n != 3 {
		t.Errorf("LiveTokens = %d, want 3", n)
	}

	e.want(200, e.post("jit/task/"+task+"/complete", first, nil)) // by the task's own token

	if e.active(first) || e.active(second) || !e.active(elsewhere) {
		t.Error("completing did not revoke exactly the task's tokens")
	}
	if n := e.Snapshot().LiveTokens; n != 1 {
		t.Errorf("LiveTokens = %d, want 1", n)
	}
	e.wantError(401, codeInvalidToken, e.post("jit/task/"+task+"/complete", first, nil))
	for _, id := range []string{approved, open} {
		e.wantError(403, codeAccessDenied, e.post("jit/request/"+id+"/token", token, nil))
		if s := e.get("jit/request/"+id+"/status", token).str("status"); s != "expired" {
			t.Errorf("status = %s, want expired", s)
		}
	}
	e.wantError(400, codeInvalidState, e.post("jit/approve/"+open, reviewer, nil))
	e.wantError(400, codeInvalidState, e.post("jit/deny/"+open, reviewer, nil))
	if n := e.get("jit/pending", reviewer).obj["count"]; n != 0.0 {
		t.Errorf("count of pending = %v, want 0", n)
	}
}

func TestReview(t *testing.T) {
	e := start(t, nil)
	token, reviewer, user := e.login(DefaultAgentClientID), e.reviewerToken(), e.user(DefaultUserEmail)
	task := e.task(token)
	id := e.ask(token, task, deleteDoc).str("request_id")
	for _, path := range []string{"jit/approve/", "jit/deny/"} {
		e.wantError(401, codeInvalidToken, e.post(path+id, "", nil))
		e.wantError(403, codeAccessDenied, e.post(path+id, token, nil))
		e.wantError(403, codeInsufficientScope, e.post(path+id, user, nil))
		e.wantError(404, codeNotFound, e.post(path+"jit_x", reviewer, nil))
		e.wantError(400, codeInvalidRequest, e.post(path+id, reviewer, `{"agent_message":"`+strings.Repeat("a", maxText+1)+`"}`))
	}
	e.wantError(403, codeInsufficientScope, e.get("jit/pending", user))
	e.wantError(400, codeInvalidRequest, e.post("jit/approve/"+id, reviewer, `{"ttl":0}`))
	e.wantError(400, codeInvalidRequest, e.get("jit/pending?limit=x", reviewer))

	a := e.want(200, e.post("jit/approve/"+id, reviewer, `{"ttl":9000,"notes":"internal-note","agent_message":"fine"}`))
	if a.str("status") != "approved" || a.obj["granted_ttl"] != 900.0 {
		t.Errorf("approve: %s, want the lifetime clamped to 900", a.raw)
	}
	a = e.get("jit/request/"+id+"/status", token)
	if a.str("agent_message") != "fine" || a.str("decided_by") != DefaultReviewerEmail || a.obj["has_notes"] != true || a.obj["deny_reason"] != nil || strings.Contains(a.raw, "internal") {
		t.Errorf("status: %s", a.raw)
	}
	e.wantError(400, codeInvalidState, e.post("jit/approve/"+id, reviewer, nil))
	e.wantError(400, codeInvalidState, e.post("jit/deny/"+id, reviewer, nil))
	if a := e.want(200, e.post("jit/request/"+id+"/token", token, nil)); a.obj["expires_in"] != 900.0 {
		t.Errorf("token: %s", a.raw)
	}

	t.Run("nobody answers", func(t *testing.T) {
		e := e.with(t)
		id := e.ask(token, task, deleteDoc).str("request_id")
		e.clock.Advance(5*time.Minute - time.Nanosecond)
		if s := e.get("jit/request/"+id+"/status", token).str("status"); s != "pending" {
			t.Errorf("status = %s before the end of the window", s)
		}
		e.clock.Advance(time.Nanosecond)
		if s := e.get("jit/request/"+id+"/status", token).str("status"); s != "expired" {
			t.Errorf("status = %s, want expired", s)
		}
		e.wantError(400, codeInvalidState, e.post("jit/approve/"+id, reviewer, nil))
		e.wantError(403, codeAccessDenied, e.post("jit/request/"+id+"/token", token, nil))
	})

	t.Run("pages", func(t *testing.T) {
		e := e.with(t)
		task := e.task(token)
		var ids []any
		for range 5 {
			ids = append(ids, e.ask(token, task, deleteDoc).str("request_id"))
			e.clock.Advance(time.Second)
		}
		var seen []any
		for page := 1; page <= 4; page++ {
			a := e.get(fmt.Sprintf("jit/pending?page=%d&limit=2", page), reviewer)
			for _, item := range a.obj["requests"].([]any) {
				seen = append(seen, item.(map[string]any)["request_id"])
			}
			want := map[string]any{
				"total": 5.0, "page": float64(page), "limit": 2.0, "totalPages": 3.0, "hasNextPage": page < 3, "hasPreviousPage": page > 1,
			}
			if diff := cmp.Diff(any(want), a.obj["pagination"]); diff != "" {
				t.Errorf("page %d (-want +got):\n%s", page, diff)
			}
		}
		if diff := cmp.Diff(ids, seen); diff != "" {
			t.Errorf("all pages, oldest first (-want +got):\n%s", diff)
		}
	})
}

// TestFirstAnswerWins races approvals and denials of one request.
func TestFirstAnswerWins(t *testing.T) {
	e := start(t, nil)
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	for range 10 {
		id := e.ask(token, e.task(token), deleteDoc).str("request_id")
		answers := make([]*answer, 8)
		var wg sync.WaitGroup
		for i := range answers {
			path := "jit/approve/"
			if i%2 == 1 {
				path = "jit/deny/"
			}
			wg.Go(func() { answers[i] = e.post(path+id, reviewer, nil) })
		}
		wg.Wait()
		won := ""
		for _, a := range answers {
			switch {
			case a.status == 200 && won == "":
				won = a.str("status")
			case a.status != 400:
				t.Errorf("a second answer got %d %s", a.status, a.raw)
			}
		}
		if got := e.get("jit/request/"+id+"/status", token).str("status"); got != won {
			t.Errorf("status = %s, want %s of the first answer", got, won)
		}
	}
}

// A decision counts when it is there, not when its first byte was: a body that takes
// until the request has run out approves nothing.
func TestSlowDecisionIsTooLate(t *testing.T) {
	e := start(t, nil)
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	id := e.ask(token, e.task(token), deleteDoc).str("request_id")
	body := readerFunc(func(p []byte) (int, error) {
		e.clock.Advance(time.Hour / 2)
		return copy(p, "{}"), io.EOF
	})
	r := httptest.NewRequest(http.MethodPost, e.url+e.prefix+"/jit/approve/"+id, body)
	r.Header.Set("Authorization", "Bearer "+reviewer)
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	e.ServeHTTP(w, r)
	if w.Code != http.StatusBadRequest {
		t.Errorf("the answer is %d %s, want 400", w.Code, w.Body)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestRedeemingAtOnce gives all callers one token, and none after a completion.
func TestRedeemingAtOnce(t *testing.T) {
	e := start(t, nil)
	token := e.login(DefaultAgentClientID)
	for range 10 {
		task := e.task(token)
		id := e.ask(token, task, readDoc).str("request_id")
		got := make([]*answer, 6)
		var wg sync.WaitGroup
		for i := range got {
			if i == 3 {
				wg.Go(func() { got[i] = e.post("jit/task/"+task+"/complete", token, nil) })
				continue
			}
			wg.Go(func() { got[i] = e.post("jit/request/"+id+"/token", token, nil) })
		}
		wg.Wait()
		tokens := make(map[string]bool)
		for i, a := range got {
			if i != 3 && a.status == 200 {
				tokens[a.str("access_token")] = true
				if e.active(a.str("access_token")) {
					t.Error("a token outlived its task")
				}
			}
		}
		if len(tokens) > 1 {
			t.Errorf("%d different tokens for one decision", len(tokens))
		}
	}
	if n := e.Snapshot().LiveTokens; n != 0 {
		t.Errorf("LiveTokens = %d, want 0", n)
	}
}

func TestEvaluateIsForThoseConcerned(t *testing.T) {
	e := start(t, nil)
	token, other := e.login(DefaultAgentClientID), e.login("other")
	task := e.task(token)
	path := "jit/task/" + task + "/evaluate"
	e.wantError(401, codeInvalidToken, e.post(path, "", nil))
	e.want(200, e.post(path, other, nil))
	e.want(200, e.post(path, e.user(DefaultUserEmail), nil))
	e.wantError(403, codeAccessDenied, e.post(path, other, `{"result":"failed"}`))
	e.wantError(403, codeAccessDenied, e.post(path, e.user(DefaultUserEmail), `{"result":"failed"}`))
	e.wantError(404, codeNotFound, e.post("jit/task/task_x/evaluate", token, nil))
	if a := e.want(200, e.post(path, e.reviewerToken(), `{"result":"failed"}`)); a.str("result") != "failed" {
		t.Errorf("evaluate: %s", a.raw)
	}
	if a := e.want(200, e.post(path, token, `{"result":"completed"}`)); a.str("result") != "failed" {
		t.Errorf("a second outcome: %s, want the first to stand", a.raw)
	}
}
