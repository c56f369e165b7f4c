package lumodev

import (
	"encoding/json"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestRules is the nine rules of section 8 of the API reference.
func TestRules(t *testing.T) {
	t.Run("1 a JSON object on every 2xx, integers, dates, no nulls", func(t *testing.T) {
		for _, a := range everySuccess(start(t, nil)) {
			if a.status != 200 && a.status != 201 {
				t.Errorf("status = %d, want 200 or 201: %s", a.status, a.raw)
			}
			if a.obj == nil || a.header.Get("Content-Type") != "application/json" {
				t.Errorf("body = %q (%s), want a JSON object", a.raw, a.header.Get("Content-Type"))
			}
			for _, name := range []string{"scope", "expires_in", "capabilities", "identity", "granted_ttl", "agent_message"} {
				if v, there := a.obj[name]; there && v == nil {
					t.Errorf("%s is null: %s", name, a.raw)
				}
			}
			for name, v := range a.obj {
				if n, isNumber := v.(float64); isNumber && name != "risk_score" && n != float64(int64(n)) {
					t.Errorf("%s = %v, want an integer", name, v)
				}
				if s, isString := v.(string); isString && strings.HasSuffix(name, "_at") {
					if _, err := time.Parse(time.RFC3339, s); err != nil || !strings.HasSuffix(s, "Z") {
						t.Errorf("%s = %q, want RFC 3339 in UTC", name, s)
					}
				}
			}
		}
	})
	t.Run("2 statuses", func(t *testing.T) {
		e := start(t, nil)
		token := e.login(DefaultAgentClientID) // wants 200
		task := e.want(201, e.post("jit/task", token, nil)).str("task_id")
		e.ask(token, task, readDoc) // wants 201
		e.want(200, e.post("jit/task/"+task+"/complete", token, nil))
	})
	t.Run("3 members of requests", func(t *testing.T) {
		for _, prefix := range []string{orgs, old} {
			e := start(t, nil)
			e.prefix = prefix
			token := e.login(DefaultAgentClientID)
			task := e.task(token)
			for _, detail := range []any{readDoc, writeDoc, deleteDoc} {
				a := e.ask(token, task, detail)
				id := a.str("request_id")
				for range 2 { // as created, and as its status is read
					for _, name := range []string{"request_id", "status", "risk_level", "task_id"} {
						if a.str(name) == "" {
							t.Errorf("no %s: %s", name, a.raw)
						}
					}
					switch base := prefix + "/jit/request/" + id; a.str("status") {
					case "pending":
						if a.str("status_url") != base+"/status" || a.str("expires_at") == "" {
							t.Errorf("pending: %s", a.raw)
						}
					case "approved":
						if a.str("token_url") != base+"/token" || a.obj["granted_ttl"] != 300.0 {
							t.Errorf("approved: %s", a.raw)
						}
					}
					a = e.get("jit/request/"+id+"/status", token)
				}
			}
		}
	})
	t.Run("4 agent tokens live well above 60 s", func(t *testing.T) {
		e := start(t, nil)
		a := e.post("oauth/token", "", url.Values{
			"grant_type": {"client_credentials"}, "client_id": {DefaultAgentClientID}, "client_secret": {e.secretOf(DefaultAgentClientID)},
		})
		if a.obj["expires_in"] != 3600.0 {
			t.Errorf("expires_in = %v, want 3600", a.obj["expires_in"])
		}
	})
	t.Run("5 complete after everything", func(t *testing.T) {
		for name, end := range map[string]func(e *env, token, task string){
			"complete": func(e *env, token, task string) { e.post("jit/task/"+task+"/complete", token, nil) },
			"evaluate": func(e *env, token, task string) {
				e.want(200, e.post("jit/task/"+task+"/evaluate", token, `{"result":"failed"}`))
			},
			"suspension": func(e *env, token, task string) { e.denyThrice(token, task) },
			"expiry":     func(e *env, _, _ string) { e.clock.Advance(59 * time.Minute) },
		} {
			t.Run(name, func(t *testing.T) {
				e := start(t, func(c *Config) { c.TaskTTL = 50 * time.Minute })
				token := e.login(DefaultAgentClientID)
				task := e.task(token)
				end(e, token, task)
				for range 2 {
					a := e.want(200, e.post("jit/task/"+task+"/complete", token, nil))
					if a.str("status") != "completed" || a.str("task_id") != task || a.str("completed_at") == "" {
						t.Errorf("complete after %s: %s", name, a.raw)
					}
				}
			})
		}
	})
	t.Run("6 whatever was granted is granted again", func(t *testing.T) {
		e := start(t, nil)
		scope := ""
		for _, ask := range []string{"", "agent:basic jit:request", "read:documents anything"} {
			a := e.want(200, e.post("oauth/token", "", url.Values{
				"grant_type": {"client_credentials"}, "client_id": {DefaultAgentClientID},
				"client_secret": {e.secretOf(DefaultAgentClientID)}, "scope": {ask},
			}))
			if scope = a.str("scope"); ask != "" && scope != ask {
				t.Errorf("granted %q, want %q", scope, ask)
			}
		}
	})
	t.Run("7 plain http on loopback", func(t *testing.T) {
		if e := start(t, nil); !strings.HasPrefix(e.url, "http://127.0.0.1:") {
			t.Errorf("URL = %s, want plain http on loopback", e.url)
		}
	})
	t.Run("8 errors", func(t *testing.T) {
		for _, a := range everyError(start(t, nil)) {
			code, text := a.str("error"), a.str("error_description")
			want := map[string]any{
				"error": code, "error_description": text, "message": text, "code": code, "status": float64(a.status),
			}
			if diff := cmp.Diff(want, a.obj); diff != "" || code == "" || text == "" || a.status < 400 {
				t.Errorf("error body (-want +got):\n%s", diff)
			}
		}
	})
	t.Run("9 token exchange without client credentials", func(t *testing.T) {
		e := start(t, nil)
		form := url.Values{
			"grant_type": {grantTokenExchange}, "subject_token": {e.user(DefaultUserEmail)}, "subject_token_type": {typeAccessToken},
			"actor_token": {e.login(DefaultAgentClientID)}, "actor_token_type": {typeAccessToken},
		}
		e.want(200, e.post("oauth/token", "", form))
		form.Del("actor_token") // what a logged-out, older Python SDK sends
		e.wantError(400, codeInvalidRequest, e.post("oauth/token", "", form))
		form.Del("actor_token_type")
		e.wantError(400, codeInvalidRequest, e.post("oauth/token", "", form))
	})
}

// denyThrice has a reviewer deny three requests, which suspends the task.
func (e *env) denyThrice(token, task string) {
	e.Helper()
	reviewer := e.reviewerToken()
	for range 3 {
		id := e.ask(token, task, deleteDoc).str("request_id")
		e.want(200, e.post("jit/deny/"+id, reviewer, `{"reason":"internal-note","agent_message":"no"}`))
	}
}

// everySuccess calls every endpoint once, successfully.
func everySuccess(e *env) []*answer {
	e.Helper()
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	task, jit := e.jit(token)
	read := e.ask(token, task, readDoc).str("request_id")
	first, second := e.ask(token, task, deleteDoc).str("request_id"), e.ask(token, task, deleteDoc).str("request_id")
	approval := e.post("agents/me/approvals", token, `{"task_id":"t","reason":"r","impact":"low","on_behalf_of":2,"meta":null}`)
	path := "agents/me/approvals/" + approval.str("approval_token")
	return []*answer{
		e.get(".well-known/jwks.json", ""), e.get(".well-known/oauth-authorization-server", ""),
		e.get(".well-known/openid-configuration", ""), approval,
		e.post("jit/task", token, `{"name":"n","type":"analysis","parent_task_id":null,"on_behalf_of":null}`),
		e.post("jit/task", token, `{"on_behalf_of":"`+DefaultUserEmail+`"}`),
		e.ask(token, task, writeDoc), e.get("jit/request/"+read+"/status", token), e.post("jit/request/"+read+"/token", token, nil),
		e.get("jit/request/"+first+"/status", token), e.get("jit/pending", reviewer),
		e.post("jit/approve/"+first, reviewer, nil), e.post("jit/deny/"+second, reviewer, nil),
		e.get("jit/request/"+first+"/status", token), e.get("jit/request/"+second+"/status", token),
		e.get("agents/me", token), e.get("agents/me", reviewer), e.post("agents/ask", token, `{"action":"fly","context":{"a":1}}`),
		e.get(path+"/status", token), e.post("dev/"+strings.TrimPrefix(path, "agents/me/")+"/approve", e.user(DefaultUserEmail), nil),
		e.get(path+"/status", token), e.get("oauth/userinfo", token), e.post("oauth/userinfo", token, nil), e.get("oauth/userinfo", reviewer),
		e.post("oauth/introspect", "", e.rs(url.Values{"token": {jit}})), e.post("oauth/introspect", "", e.rs(url.Values{"token": {"x"}})),
		e.post("oauth/introspect", "", e.rs(url.Values{"token": {reviewer}})), e.post("oauth/revoke", token, url.Values{"token": {jit}}),
		e.post("jit/task/"+task+"/evaluate", token, nil), e.post("jit/task/"+task+"/evaluate", token, `{"result":"cancelled"}`),
		e.post("jit/task/"+task+"/complete", token, nil),
	}
}

// everyError provokes one error of each kind that has no further members.
func everyError(e *env) []*answer {
	e.Helper()
	token := e.login(DefaultAgentClientID)
	return []*answer{
		e.get("/", ""), e.get("jit/nothing", token), e.get("jit/task", token), e.send("PUT", "jit/pending", token, nil),
		e.post("/orgs/unknown/api/v1/jit/task", token, nil), e.get("/orgs/unknown/.well-known/jwks.json", ""),
		e.post("jit/task", "", nil), e.post("jit/task", "x", nil), e.post("jit/task", token, "["), e.post("jit/request", token, "{}"),
		e.post("jit/task/task_x/complete", token, nil), e.get("jit/request/jit_x/status", token), e.get("jit/pending", token),
		e.post("oauth/token", "", url.Values{}), e.post("oauth/token", "", url.Values{"grant_type": {"refresh_token"}}),
		e.post("oauth/token", "", url.Values{"grant_type": {"client_credentials"}}), e.post("oauth/introspect", "", url.Values{"token": {"x"}}),
		e.get("oauth/userinfo", ""), e.post("oauth/bc-authorize", token, nil), e.get("ssf/stream", token), e.get("mcp/m/challenge", ""),
		e.post("jit/task", token, strings.Repeat("x", maxBody+1)),
	}
}

func TestNothingRedirectsOrIsEmpty(t *testing.T) {
	e := start(t, nil)
	token := e.login(DefaultAgentClientID)
	for _, path := range []string{
		"//t/acme-corp/api/v1/jit/task", "/t//acme-corp/api/v1//jit/task/", "/orgs/acme-corp/api/v1/jit/task/",
		"///orgs/acme-corp/api/v1/jit/task", "/orgs/acme%2Dcorp/api/v1/jit/task",
	} {
		e.want(201, e.post(path, token, nil))
	}
	for _, path := range []string{
		"/orgs/acme-corp/api/v1/../v1/jit/task", "/orgs/./acme-corp/api/v1/jit/task", "/orgs/x%2Facme-corp/api/v1/jit/task",
		"/orgs/ACME-CORP/api/v1/jit/task", "/api/v1/jit/task", "/jit/task", "/oauth/token",
	} {
		e.want(404, e.post(path, token, nil))
	}
	for _, path := range []string{
		"/", "/orgs", "/orgs/acme-corp", "/t/acme-corp", "/orgs/acme-corp/", "/orgs/acme-corp/api", orgs, old, orgs + "/jit", "/.well-known",
		"/orgs/acme-corp/.well-known", "/.well-known/jwks.json/orgs", orgs + "/jit/request/%2e%2e/status/..", orgs + "/jit/task/a%2Fb",
	} {
		e.wantError(404, codeNotFound, e.get(path, token))
	}
	for _, method := range []string{"OPTIONS", "CONNECT"} { // of the server as a whole, and of another
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, map[string]string{"OPTIONS": "*", "CONNECT": "other:1"}[method], nil))
		if w.Code != 404 || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%s = %d %q, want 404 and an object", method, w.Code, w.Body)
		}
	}
	a := e.wantError(405, codeMethodNotAllowed, e.get("jit/task", token))
	if a.header.Get("Allow") != "POST" {
		t.Errorf("Allow = %q, want POST", a.header.Get("Allow"))
	}
	for _, method := range []string{"OPTIONS", "DELETE", "PATCH", "BREW"} {
		e.want(405, e.send(method, "jit/task", token, nil))
	}
	if a := e.send("HEAD", "agents/me", token, nil); a.status != 200 {
		t.Errorf("HEAD = %d, want 200", a.status)
	}
}

// TestDisagreements is the server's column of section 7 of the API reference.
// Rows that a test elsewhere holds are named there.
func TestDisagreements(t *testing.T) {
	e := start(t, nil)
	token, reviewer := e.login(DefaultAgentClientID), e.reviewerToken()
	t.Run("1 the other JIT model is not served", func(t *testing.T) {
		e := e.with(t)
		e.want(404, e.get("jit/status/task_x", token))
	})
	t.Run("2 both prefixes are one", func(t *testing.T) {
		e := e.with(t)
		task := e.want(201, e.post(old+"/jit/task", token, nil)).str("task_id")
		e.want(200, e.post(orgs+"/jit/task/"+task+"/complete", token, nil))
		// URLs have the prefix of the request: rule 3.
	})
	t.Run("3 TTL", func(t *testing.T) {
		e := e.with(t)
		task := e.task(token)
		for body, want := range map[string]float64{
			`"requested_ttl":900`: 900, `"requested_ttl":901`: 900, `"requested_ttl":9223372036854775807`: 900, `"requested_ttl":30`: 30, `"requested_ttl":null`: 600, `"x":1`: 600,
		} {
			a := e.want(201, e.post("jit/request", token, `{"task_id":"`+task+`","authorization_details":{"type":"a","actions":["read"]},`+body+`}`))
			if a.obj["granted_ttl"] != want {
				t.Errorf("%s: granted_ttl = %v, want %v", body, a.obj["granted_ttl"], want)
			}
		}
		for _, bad := range []string{"0", "-1", "30.5", `"300"`, "1e3", "99999999999999999999"} {
			e.wantError(400, codeInvalidRequest, e.post("jit/request", token,
				`{"task_id":"`+task+`","authorization_details":{"type":"a","actions":["read"]},"requested_ttl":`+bad+`}`))
		}
	})
	t.Run("4 evaluate has both shapes", func(t *testing.T) {
		e := e.with(t)
		task, jit := e.jit(token)
		a := e.want(200, e.post("jit/task/"+task+"/evaluate", token, nil))
		want := map[string]any{
			"task_id": task, "active": true, "events": []any{}, "action": "none", "status": "active", "risk_score": 1.0, "denial_count": 0.0,
		}
		if diff := cmp.Diff(want, a.obj); diff != "" {
			t.Errorf("evaluate without a result (-want +got):\n%s", diff)
		}
		a = e.want(200, e.post("jit/task/"+task+"/evaluate", token, `{"result":"failed","notes":"internal-note"}`))
		want = map[string]any{
			"task_id": task, "active": false, "events": []any{}, "action": "closed", "status": "failed", "risk_score": 1.0,
			"denial_count": 0.0, "result": "failed", "completed_at": "2026-03-02T09:00:00Z",
		}
		if diff := cmp.Diff(want, a.obj); diff != "" {
			t.Errorf("evaluate with a result (-want +got):\n%s", diff)
		}
		if e.active(jit) {
			t.Error("evaluate with a result left a token active")
		}
		e.wantError(400, codeInvalidRequest, e.post("jit/task/"+e.task(token)+"/evaluate", token, `{"result":"great"}`))
	})
	// 5, 6 and 7: TestConformance and TestRules.
	t.Run("8 denial text", func(t *testing.T) {
		e := e.with(t)
		id := e.ask(token, e.task(token), deleteDoc).str("request_id")
		e.want(200, e.post("jit/deny/"+id, reviewer, `{"reason":"internal-note","agent_message":"ask ada"}`))
		a := e.get("jit/request/"+id+"/status", token)
		if a.str("agent_message") != "ask ada" || a.str("deny_reason") != "ask ada" || a.obj["has_notes"] != true {
			t.Errorf("status of a denied request: %s", a.raw)
		}
		if strings.Contains(a.raw, "internal-note") {
			t.Errorf("internal notes reach the agent: %s", a.raw)
		}
	})
	t.Run("9 object in, array out", func(t *testing.T) {
		e := e.with(t)
		task := e.task(token)
		want := map[string]any{"type": "file_access", "actions": []any{"read"}, "identifier": "doc_9982"}
		for _, detail := range []any{readDoc, []any{readDoc}} {
			a := e.ask(token, task, detail)
			if diff := cmp.Diff(any(want), a.obj["authorization_details"]); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
			a = e.post("jit/request/"+a.str("request_id")+"/token", token, nil)
			if diff := cmp.Diff(any([]any{want}), a.obj["authorization_details"]); diff != "" {
				t.Errorf("token (-want +got):\n%s", diff)
			}
			a = e.post("oauth/introspect", "", e.rs(url.Values{"token": {a.str("access_token")}}))
			if diff := cmp.Diff(any([]any{want}), a.obj["authorization_details"]); diff != "" {
				t.Errorf("introspection (-want +got):\n%s", diff)
			}
		}
		for _, bad := range []any{[]any{}, []any{readDoc, readDoc}, "x", nil, 1, map[string]any{}, []any{[]any{readDoc}}} {
			e.wantError(400, codeInvalidDetails, e.post("jit/request", token, map[string]any{"task_id": task, "authorization_details": bad}))
		}
	})
	t.Run("10 writes are medium, at once", func(t *testing.T) {
		e := e.with(t)
		if a := e.ask(token, e.task(token), writeDoc); a.str("status") != "approved" || a.str("risk_level") != "medium" {
			t.Errorf("write: %s, want approved, medium", a.raw)
		}
	})
	// 11: rule 6. 12:
	t.Run("12 ask wants an action", func(t *testing.T) {
		e := e.with(t)
		e.wantError(400, codeInvalidRequest, e.post("agents/ask", token, `{"question":"may I?"}`))
		a := e.want(200, e.post("agents/ask", token, `{"action":"fly","context":{"to":"moon"}}`))
		if a.obj["allowed"] != false || a.str("action") != "fly" || a.str("reason") == "" || a.str("audit_id") == "" {
			t.Errorf("ask: %s", a.raw)
		}
		if diff := cmp.Diff(any(map[string]any{"to": "moon"}), a.obj["context"]); diff != "" {
			t.Errorf("context (-want +got):\n%s", diff)
		}
	})
	t.Run("13 me is nested", func(t *testing.T) {
		e := e.with(t)
		a := e.want(200, e.get("agents/me", token))
		id := a.str("agent_id")
		want := map[string]any{"id": id, "type": "agent", "tenant": "acme-corp", "agent_id": id, "status": "active"}
		if diff := cmp.Diff(any(want), a.obj["identity"]); diff != "" || !strings.HasPrefix(id, "agt_") {
			t.Errorf("identity (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(any(map[string]any{"slug": "acme-corp", "api_base": e.url + orgs + "/"}), a.obj["workspace"]); diff != "" {
			t.Errorf("workspace (-want +got):\n%s", diff)
		}
	})
	t.Run("14 one issuer", func(t *testing.T) {
		e := e.with(t)
		for _, path := range []string{
			"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration",
			orgs + "/.well-known/openid-configuration", old + "/.well-known/oauth-authorization-server",
			"/orgs/acme-corp/.well-known/openid-configuration", "/t/acme-corp/.well-known/oauth-authorization-server",
			"/.well-known/oauth-authorization-server/orgs/acme-corp", "/.well-known/openid-configuration/t/acme-corp",
		} {
			a := e.want(200, e.get(path, ""))
			if a.str("issuer") != e.url+"/orgs/acme-corp" {
				t.Errorf("%s: issuer = %q", path, a.str("issuer"))
			}
			for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri"} {
				if !strings.HasPrefix(a.str(name), e.url+orgs+"/") {
					t.Errorf("%s = %q", name, a.str(name))
				}
			}
			if a.header.Get("Cache-Control") != "public, max-age=3600" || a.header.Get("Access-Control-Allow-Origin") != "*" {
				t.Errorf("%s: headers %v", path, a.header)
			}
			e.want(200, e.get(strings.TrimPrefix(a.str("jwks_uri"), e.url), ""))
		}
	})
	t.Run("15 and 16 approvals", func(t *testing.T) {
		e := e.with(t)
		a := e.want(201, e.post("agents/me/approvals", token, `{"task_id":"t","reason":"r","impact":"low","on_behalf_of":"2","meta":null}`))
		path := "approvals/" + a.str("approval_token")
		e.wantError(403, codeAccessDenied, e.get("agents/me/"+path+"/status", e.login("other")))
		for _, bad := range []string{
			`{}`, `{"task_id":"t","reason":"r","impact":"odd","on_behalf_of":2}`, `{"task_id":"t","reason":"r","impact":"low"}`,
			`{"task_id":"t","reason":"r","impact":"low","on_behalf_of":2,"meta":[]}`, `{"task_id":"t","impact":"low","on_behalf_of":2}`,
			`{"task_id":"` + strings.Repeat("t", 129) + `","reason":"r","impact":"low","on_behalf_of":2}`,
			`{"task_id":"t","reason":"` + strings.Repeat("r", 481) + `","impact":"low","on_behalf_of":2}`,
		} {
			e.wantError(400, codeInvalidRequest, e.post("agents/me/approvals", token, bad))
		}
		e.wantError(404, codeNotFound, e.post("agents/me/approvals", token, `{"task_id":"t","reason":"r","impact":"low","on_behalf_of":"x"}`))
		e.wantError(404, codeNotFound, e.post("agents/me/approvals", token, `{"task_id":"task_X","reason":"r","impact":"low","on_behalf_of":2}`))
		e.wantError(403, codeAccessDenied, e.post("agents/me/approvals", token,
			`{"task_id":"`+e.task(e.login("other"))+`","reason":"r","impact":"low","on_behalf_of":2}`))
		e.want(201, e.post("agents/me/approvals", token, `{"task_id":"`+e.task(token)+`","reason":"r","impact":"low","on_behalf_of":2}`))
		e.wantError(403, codeDelegationNotAllowed,
			e.post("agents/me/approvals", e.login("other"), `{"task_id":"t","reason":"r","impact":"low","on_behalf_of":2}`))
		e.wantError(403, codeAccessDenied, e.post("dev/"+path+"/approve", reviewer, nil))
		e.want(200, e.post("dev/"+path+"/approve", e.user(DefaultUserEmail), nil))
		e.wantError(400, codeInvalidState, e.post("dev/"+path+"/deny", e.user(DefaultUserEmail), nil))
		a = e.want(200, e.get("agents/me/"+path+"/status", token))
		if diff := cmp.Diff(any(map[string]any{"user_id": 2.0, "email": DefaultUserEmail}), a.obj["approved_by"]); diff != "" {
			t.Errorf("approved_by (-want +got):\n%s", diff)
		}
		a = e.post("agents/me/approvals", token, `{"task_id":"t","reason":"r","impact":"low","on_behalf_of":2}`)
		e.clock.Advance(2 * time.Minute)
		if s := e.get("agents/me/approvals/"+a.str("approval_token")+"/status", token).str("status"); s != "expired" {
			t.Errorf("status = %s after two minutes, want expired", s)
		}
	})
	t.Run("17 userinfo without openid", func(t *testing.T) {
		e := e.with(t)
		a := e.want(200, e.get("oauth/userinfo", token))
		for _, name := range []string{"sub", "name", "agent_id", "capabilities", "tenant", "identity_type", "budget_policy"} {
			if a.obj[name] == nil {
				t.Errorf("no %s: %s", name, a.raw)
			}
		}
	})
	// 18 and 19: rate limits and signatures of webhooks are not built.
	t.Run("20 CIBA is not served", func(t *testing.T) {
		e := e.with(t)
		e.wantError(404, codeNotFound, e.post("oauth/bc-authorize", token, nil))
		e.wantError(400, codeUnsupportedGrant, e.post("oauth/token", "", url.Values{"grant_type": {"urn:openid:params:grant-type:ciba"}}))
	})
}

func TestEveryResponseSaysDevelopment(t *testing.T) {
	e := start(t, nil)
	for _, a := range slices.Concat(everySuccess(e), everyError(e)) {
		if a.header.Get("Server") != serverName {
			t.Errorf("Server = %q, want %q", a.header.Get("Server"), serverName)
		}
		if a.header.Get("Cache-Control") == "" || a.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("headers = %v", a.header)
		}
		if strings.Contains(a.header.Get("Cache-Control"), "public") && a.header.Get("Access-Control-Allow-Origin") == "" {
			t.Errorf("headers = %v", a.header)
		}
	}
}
