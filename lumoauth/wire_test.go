package lumoauth

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

func TestErrorVariants(t *testing.T) {
	const asJSON = "application/json"
	tests := []struct {
		name, contentType, body string
		status                  int
		want                    Error
		kind                    error
		text                    string // of the error, after the operation
	}{
		{"A OAuth", asJSON, `{"error":"invalid_scope","error_description":"no such scope","error_uri":"https://x"}`, 400,
			Error{Code: "invalid_scope", Message: "no such scope"}, nil, "400 Bad Request: invalid_scope: no such scope"},
		{"B legacy", asJSON, `{"error":true,"message":"Task not found","status":404,"code":"resource_not_found","details":{}}`, 404,
			Error{Code: "resource_not_found", Message: "Task not found"}, ErrNotFound, "404 Not Found: resource_not_found: Task not found"},
		{"B without code", asJSON, `{"error":true,"message":"No","status":403}`, 403,
			Error{Message: "No"}, ErrForbidden, "403 Forbidden: No"},
		{"C new", asJSON, `{"error":"permission_denied","message":"not yours","status":403}`, 403,
			Error{Code: "permission_denied", Message: "not yours"}, ErrForbidden, "403 Forbidden: permission_denied: not yours"},
		{"code before error", asJSON, `{"error":"something","code":"conflict","status":409}`, 409,
			Error{Code: "conflict", Message: "something"}, nil, "409 Conflict: conflict: something"},
		{"D rate limit", asJSON, `{"error":"rate_limit_exceeded","error_description":"slow down","retry_after":30}`, 429,
			Error{Code: "rate_limit_exceeded", Message: "slow down", RetryAfter: 30 * time.Second}, ErrRateLimited, "429 Too Many Requests: rate_limit_exceeded: slow down"},
		{"budget", asJSON, `{"error":"budget_exceeded"}`, 429,
			Error{Code: "budget_exceeded"}, ErrBudgetExceeded, "429 Too Many Requests: budget_exceeded"},
		{"F depth", asJSON, `{"error":"delegation_depth_exceeded","max_depth":3}`, 403,
			Error{Code: "delegation_depth_exceeded", MaxDepth: 3}, ErrForbidden, "403 Forbidden: delegation_depth_exceeded"},
		{"G problem", "application/problem+json", `{"type":"about:blank","title":"Forbidden","status":403,"detail":"Access Denied."}`, 403,
			Error{Message: "Access Denied."}, ErrForbidden, "403 Forbidden: Access Denied."},
		{"order of messages", asJSON, `{"error_description":"1","message":"2","detail":"3","error":"4 prose"}`, 400,
			Error{Message: "1"}, nil, "400 Bad Request: 1"},
		{"empty description", asJSON, `{"error_description":"","message":null,"detail":"3"}`, 400,
			Error{Message: "3"}, nil, "400 Bad Request: 3"},
		{"error is prose", asJSON, `{"error":"you may not do that"}`, 403,
			Error{Message: "you may not do that"}, ErrForbidden, "403 Forbidden: you may not do that"},
		{"numbers for texts", asJSON, `{"error":17,"message":[1],"code":404}`, 400, Error{}, nil, "400 Bad Request"},
		{"unknown organization", asJSON, `{"error":"invalid_tenant"}`, 404,
			Error{Code: "invalid_tenant"}, ErrNotFound, "404 Not Found: invalid_tenant (check the organization, LUMOAUTH_ORG_ID)"},
		{"HTML 404", "text/html; charset=utf-8", `<html>nothing here</html>`, 404, Error{}, ErrNotFound,
			"404 Not Found (the answer is not JSON: check the instance and organization, LUMOAUTH_URL and LUMOAUTH_ORG_ID)"},
		{"HTML 403", "text/html", `<html>blocked</html>`, 403, Error{}, ErrForbidden,
			"403 Forbidden (the answer is not JSON, a proxy may have sent it)"},
		{"plain text", "text/plain", `no`, 400, Error{}, nil, "400 Bad Request (the answer is not JSON, a proxy may have sent it)"},
		{"empty", "", ``, 401, Error{}, ErrUnauthorized, "401 Unauthorized"},
		{"array", asJSON, `["error"]`, 400, Error{}, nil, "400 Bad Request"},
		{"not UTF-8", asJSON, "{\"error\":\"a\xff\"}", 400, Error{}, nil, "400 Bad Request"},
		{"duplicates", asJSON, `{"error":"a","error":"b"}`, 400, Error{}, nil, "400 Bad Request"},
		{"controls", asJSON, `{"error":"bad","message":"a\r\n\u001b[31mb\u0000\u202e\u200bc  d"}`, 400,
			Error{Code: "bad", Message: "a [31mb c d"}, nil, "400 Bad Request: bad: a [31mb c d"},
		{"long", asJSON, `{"message":"` + strings.Repeat("ä", 4000) + `"}`, 400,
			Error{Message: strings.Repeat("ä", maxMessage/2-2) + "…"}, nil, "400 Bad Request: " + strings.Repeat("ä", maxMessage/2-2) + "…"},
		{"unknown status", asJSON, `{}`, 499, Error{}, nil, "499"},
		{"depth 10 000", asJSON, strings.Repeat(`{"a":`, 10000), 400, Error{}, nil, "400 Bad Request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			routes := goodRoutes()
			routes[taskRoute] = func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(tt.status)
				_, _ = w.Write([]byte(tt.body))
			}
			c := inMemory(t, newFake(routes), func(c *Config) { c.Tries = 1 })
			_, err := c.CreateTask(t.Context(), jit.TaskSpec{})
			got, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("CreateTask() = %v, want an *Error", err)
			}
			tt.want.Op, tt.want.StatusCode = opCreateTask, tt.status
			if diff := cmp.Diff(tt.want, *got, cmpopts.IgnoreUnexported(Error{})); diff != "" {
				t.Errorf("CreateTask() error (-want +got):\n%s", diff)
			}
			if !errors.Is(got.kind, tt.kind) {
				t.Errorf("CreateTask() = %v, want the kind %v", err, tt.kind)
			}
			if want := "lumoauth: create task: " + tt.text; err.Error() != want {
				t.Errorf("CreateTask() = %q, want %q", err, want)
			}
		})
	}
}

func TestDecisionsThatAreRefused(t *testing.T) {
	bodies := map[string]string{
		"empty":                         ``,
		"array":                         `[{"request_id":"jit_1","status":"approved"}]`,
		"duplicate status":              `{"request_id":"jit_1","status":"denied","status":"approved"}`,
		"approved without request id":   `{"status":"approved","task_id":"task_1"}`,
		"pending without request id":    `{"status":"pending","task_id":"task_1"}`,
		"approved with null request id": `{"status":"approved","request_id":null}`,
		"numeric request id":            `{"status":"approved","request_id":17}`,
		"climbing request id":           `{"status":"approved","request_id":".."}`,
		"request id with newline":       `{"status":"approved","request_id":"a\nb"}`,
		"request id too long":           `{"status":"approved","request_id":"` + strings.Repeat("a", 300) + `"}`,
		"other task":                    `{"status":"approved","request_id":"jit_1","task_id":"task_2"}`,
		"negative ttl":                  `{"status":"approved","request_id":"jit_1","granted_ttl":-1}`,
		"absurd ttl":                    `{"status":"approved","request_id":"jit_1","granted_ttl":1e12}`,
	}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			c := inMemory(t, newFake(map[string]http.HandlerFunc{requestRoute: replies(201, body)}))
			d, err := c.Request(t.Context(), jit.Request{TaskID: "task_1", Detail: docDetail})
			if !errors.Is(err, ErrInvalidResponse) || !cmp.Equal(d, jit.Decision{}) {
				t.Errorf("Request() = %+v, %v, want %v", d, err, ErrInvalidResponse)
			}
		})
	}
}

func TestDecisionsThatAreRead(t *testing.T) {
	tests := []struct {
		name, body string
		header     http.Header
		want       jit.Decision
	}{
		{"approved", `{"request_id":"jit_1","status":"approved","risk_level":"low","task_id":"task_1","granted_ttl":300}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusApproved, Risk: "low", TTL: 5 * time.Minute}},
		{"ttl as text", `{"request_id":"jit_1","status":"approved","granted_ttl":"120"}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusApproved, TTL: 2 * time.Minute}},
		{"pending", `{"request_id":"jit_1","status":"pending","risk_level":"high","task_id":"task_1","status_url":"/x",
			"expires_at":"2030-01-02T03:04:05Z","message":"waiting","delegation_consent_required":true}`, http.Header{"Retry-After": {"12"}},
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusPending, Risk: "high", Message: "waiting",
				ExpiresAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC), ConsentRequired: true, RetryAfter: 12 * time.Second}},
		{"another form of date", `{"request_id":"jit_1","status":"pending","expires_at":"2030-01-02T03:04:05+0000"}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusPending, ExpiresAt: time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)}},
		{"unreadable date", `{"request_id":"jit_1","status":"pending","expires_at":"tomorrow"}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusPending}},
		{"denied at once", `{"request_id":"jit_1","status":"denied","agent_message":"not today","deny_reason":"d","review_notes":"r","has_notes":true}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusDenied, Message: "not today"}},
		{"deny_reason", `{"request_id":"jit_1","status":"denied","agent_message":null,"deny_reason":"d","review_notes":"r"}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusDenied, Message: "d"}},
		{"review_notes", `{"request_id":"jit_1","status":"denied","review_notes":"r","message":"m"}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusDenied, Message: "r"}},
		{"denied without request id", `{"status":"denied"}`, nil, jit.Decision{TaskID: "task_1", Status: jit.StatusDenied}},
		{"expired", `{"request_id":"jit_1","status":"expired"}`, nil, jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusExpired}},
		{"unknown status", `{"request_id":"jit_1","status":"granted"}`, nil, jit.Decision{RequestID: "jit_1", TaskID: "task_1"}},
		{"other case", `{"request_id":"jit_1","status":"APPROVED"}`, nil, jit.Decision{RequestID: "jit_1", TaskID: "task_1"}},
		{"no status", `{"request_id":"jit_1","approved":true}`, nil, jit.Decision{RequestID: "jit_1", TaskID: "task_1"}},
		{"object echoed", `{"request_id":"jit_1","status":"denied","authorization_details":{"type":"x"}}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusDenied, Details: []rar.Detail{{Type: "x"}}}},
		{"array echoed", `{"request_id":"jit_1","status":"denied","authorization_details":[{"type":"x"}]}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusDenied, Details: []rar.Detail{{Type: "x"}}}},
		{"call echoed", `{"request_id":"jit_1","status":"denied","context":{"tool":"fetch","arguments":{"n":1234567890123456789}}}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusDenied, For: &jit.Purpose{Tool: "fetch", Args: []byte(`{"n":1234567890123456789}`)}}},
		{"words from a bad decider", `{"request_id":"jit_1","status":"denied","agent_message":"see\u0000 canary-client-secret-4711 and agent-token-1"}`, nil,
			jit.Decision{RequestID: "jit_1", TaskID: "task_1", Status: jit.StatusDenied, Message: "see [redacted] and [redacted]"}},
	}
	for _, tt := range tests {
		for _, status := range []int{200, 201, 202} {
			c := inMemory(t, newFake(map[string]http.HandlerFunc{requestRoute: func(w http.ResponseWriter, _ *http.Request) {
				for k, v := range tt.header {
					w.Header()[k] = v
				}
				reply(w, status, tt.body)
			}}))
			if tt.want.Status == jit.StatusPending {
				tt.want.DecideAt = decideAt(tt.want.RequestID)
			}
			got, err := c.Request(t.Context(), jit.Request{TaskID: "task_1", Detail: docDetail})
			if err != nil {
				t.Errorf("%s: Request() = %v", tt.name, err)
			} else if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s: Request() (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}

func TestStatusIsOfTheRequestAskedAbout(t *testing.T) {
	f := newFake(nil)
	c := inMemory(t, f)
	f.routes[statusRoute] = replies(200, `{"request_id":"jit_2","status":"approved"}`)
	if d, err := c.Status(t.Context(), "jit_1"); !errors.Is(err, ErrInvalidResponse) || d.Status == jit.StatusApproved {
		t.Errorf("Status() of another request = %+v, %v, want %v", d, err, ErrInvalidResponse)
	}
	f.routes[statusRoute] = replies(200, `{"status":"approved"}`)
	if d, err := c.Status(t.Context(), "jit_1"); err != nil || d.RequestID != "jit_1" || d.Status != jit.StatusApproved {
		t.Errorf("Status() without an id = %+v, %v, want the one asked about", d, err)
	}
}

func TestRequestSendsExactlyWhatIsAsked(t *testing.T) {
	tests := []struct {
		name  string
		req   jit.Request
		want  string // "" for an error before anything is sent
		names string // in that error
	}{
		{"default lifetime", jit.Request{TaskID: "task_1", Detail: docDetail},
			`{"task_id":"task_1","authorization_details":{"actions":["read"],"identifier":"doc_9982","type":"file_access"},"requested_ttl":300}`, ""},
		{"all", jit.Request{TaskID: "task_1", Detail: docDetail, Justification: "to answer", TTL: 90500 * time.Millisecond},
			`{"task_id":"task_1","authorization_details":{"actions":["read"],"identifier":"doc_9982","type":"file_access"},"justification":"to answer","requested_ttl":90}`, ""},
		{"longer than is granted", jit.Request{TaskID: "task_1", Detail: rar.Detail{Type: "x"}, TTL: time.Hour},
			`{"task_id":"task_1","authorization_details":{"type":"x"},"requested_ttl":3600}`, ""},
		{"negative lifetime", jit.Request{TaskID: "task_1", Detail: docDetail, TTL: -1}, "", "lifetime"},
		{"no lifetime to speak of", jit.Request{TaskID: "task_1", Detail: docDetail, TTL: time.Millisecond}, "", "lifetime"},
		{"no task", jit.Request{Detail: docDetail}, "", "task id"},
		{"no type", jit.Request{TaskID: "task_1", Detail: rar.Detail{Actions: []string{"read"}}}, "", "authorization details"},
		{"not UTF-8", jit.Request{TaskID: "task_1", Detail: docDetail, Justification: "\xff"}, "", "justification"},
	}
	for _, tt := range tests {
		f := newFake(goodRoutes())
		_, err := inMemory(t, f).Request(t.Context(), tt.req)
		if tt.want == "" {
			if err == nil || f.count("") != 0 {
				t.Errorf("%s: Request() = %v after %d requests, want an error and none", tt.name, err, f.count(""))
			} else if !strings.Contains(err.Error(), tt.names) {
				t.Errorf("%s: Request() = %v, want it to name %s", tt.name, err, tt.names)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: Request() = %v", tt.name, err)
		} else if got := f.saw(requestRoute)[0].body; got != tt.want {
			t.Errorf("%s: sent %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestIssuedTokens(t *testing.T) {
	write := rar.Detail{Type: "file_access", Actions: []string{"write"}}
	tests := []struct {
		name, body string
		want       *jit.Issued // nil for a refusal
	}{
		{"plain", `{"access_token":"jit-token","token_type":"Bearer","expires_in":300}`,
			&jit.Issued{Type: "Bearer", ExpiresIn: 5 * time.Minute, RequestID: "jit_1"}},
		{"array", `{"access_token":"jit-token","token_type":"bearer","expires_in":"60","task_id":"task_1","jit_request_id":"jit_1",
			"authorization_details":[{"type":"file_access","actions":["read"],"identifier":"doc_9982"},{"type":"file_access","actions":["write"]}]}`,
			&jit.Issued{Type: "Bearer", ExpiresIn: time.Minute, RequestID: "jit_1", TaskID: "task_1", Details: []rar.Detail{docDetail, write}}},
		{"object", `{"access_token":"jit-token","token_type":"BEARER","authorization_details":{"type":"file_access","actions":["write"]}}`,
			&jit.Issued{Type: "Bearer", RequestID: "jit_1", Details: []rar.Detail{write}}},
		{"null details", `{"access_token":"jit-token","token_type":"Bearer","authorization_details":null}`,
			&jit.Issued{Type: "Bearer", RequestID: "jit_1"}},
		{"no details", `{"access_token":"jit-token","token_type":"Bearer","authorization_details":[]}`, nil},
		{"case variant", `{"access_token":"jit-token","token_type":"Bearer","authorization_details":[{"type":"x","Actions":["a"]}]}`, nil},
		{"no type", `{"access_token":"jit-token","token_type":"Bearer","authorization_details":[{"actions":["a"]}]}`, nil},
		{"details as text", `{"access_token":"jit-token","token_type":"Bearer","authorization_details":"[]"}`, nil},
		{"other request", `{"access_token":"jit-token","token_type":"Bearer","jit_request_id":"jit_2"}`, nil},
		{"task is no id", `{"access_token":"jit-token","token_type":"Bearer","task_id":"a b"}`, nil},
		{"DPoP", `{"access_token":"jit-token","token_type":"DPoP"}`, nil},
		{"negative lifetime", `{"access_token":"jit-token","token_type":"Bearer","expires_in":-300}`, nil},
		{"no token", `{"token_type":"Bearer"}`, nil},
	}
	for _, tt := range tests {
		c := inMemory(t, newFake(map[string]http.HandlerFunc{tokenRoute: replies(200, tt.body)}))
		got, err := c.Token(t.Context(), "jit_1")
		if tt.want == nil {
			if !errors.Is(err, ErrInvalidResponse) || !got.Token.IsZero() {
				t.Errorf("%s: Token() = %+v, %v, want %v", tt.name, got, err, ErrInvalidResponse)
			}
			continue
		}
		if err != nil || got.Token.Reveal() != "jit-token" {
			t.Errorf("%s: Token() = %+v, %v", tt.name, got, err)
		}
		got.Token = secret.String{}
		if diff := cmp.Diff(*tt.want, got, cmpopts.IgnoreFields(jit.Issued{}, "Token")); diff != "" {
			t.Errorf("%s: Token() (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestIntrospection(t *testing.T) {
	for _, body := range []string{``, `{}`, `{"active":"true"}`, `{"active":1}`, `{"active":null}`, `{"Active":true}`,
		`{"active":true,"exp":-1}`, `{"active":true,"exp":"never"}`, `{"active":true,"exp":"1900000000"}`, `{"active":true,"sub":5}`,
		`{"active":false,"active":true}`} {
		c := inMemory(t, newFake(map[string]http.HandlerFunc{"POST /oauth/introspect": replies(200, body)}))
		if in, err := c.Introspect(t.Context(), secret.New("some-token")); !errors.Is(err, ErrInvalidResponse) || in.Active {
			t.Errorf("Introspect() of %s = %+v, %v, want %v", body, in, err, ErrInvalidResponse)
		}
	}
	f := newFake(map[string]http.HandlerFunc{"POST /oauth/introspect": inTurn(
		replies(200, `{"active":true,"token_type":"Bearer","scope":"a b","client_id":null,"sub":"agent_1","exp":1900000000,
			"iat":1800000000,"iss":"https://lumo.test","aud":["x","y"],"jti":"j","task_id":"task_1","authorization_details":[{"type":"t"}]}`),
		replies(200, `{"active":false,"sub":"leaked"}`),
		replies(401, `{"error":"invalid_client"}`))})
	c := inMemory(t, f)
	got, err := c.Introspect(t.Context(), secret.New("some-token"))
	want := oauth.Introspection{Active: true, TokenType: "Bearer", Claims: oauth.Claims{Scopes: []string{"a", "b"}, Subject: "agent_1", Issuer: "https://lumo.test",
		Audience: []string{"x", "y"}, ID: "j", TaskID: "task_1", Details: []rar.Detail{{Type: "t"}},
		ExpiresAt: time.Unix(1900000000, 0), IssuedAt: time.Unix(1800000000, 0)}}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(oauth.Claims{}, "All")); err != nil || diff != "" {
		t.Errorf("Introspect() = %v (-want +got):\n%s", err, diff)
	}
	if got, err := c.Introspect(t.Context(), secret.New("some-token")); err != nil || !cmp.Equal(got, oauth.Introspection{}) {
		t.Errorf("Introspect() of an inactive token = %+v, %v, want nothing", got, err)
	}
	if _, err := c.Introspect(t.Context(), secret.New("some-token")); !errors.Is(err, ErrInvalidClient) {
		t.Errorf("Introspect() = %v, want %v", err, ErrInvalidClient)
	}
	sent := f.count("")
	if got, err := c.Introspect(t.Context(), secret.New("no token\r\n")); err != nil || got.Active || f.count("") != sent {
		t.Errorf("Introspect() of what is no token = %+v, %v, want inactive without a call", got, err)
	}
	if err := c.Revoke(t.Context(), secret.String{}); err == nil || f.count("") != sent {
		t.Errorf("Revoke() of nothing = %v, want an error without a call", err)
	}
}

func TestIdentity(t *testing.T) {
	tests := []struct {
		body string
		want Identity
	}{
		{`{"identity":{"id":"1","type":"agent","tenant":"acme-corp","agent_id":"agt_1","status":"active"},"capabilities":["a","b"],"workspace":{"slug":"x"}}`,
			Identity{ID: "1", AgentID: "agt_1", Type: "agent", Tenant: "acme-corp", Status: "active", Capabilities: []string{"a", "b"}}},
		{`{"agent_id":"agt_1","name":"analyst","scopes":["s"],"capabilities":null,"delegated_by":null}`,
			Identity{AgentID: "agt_1", Name: "analyst", Scopes: []string{"s"}}},
		{`{"identity":null,"agent_id":"agt_1"}`, Identity{AgentID: "agt_1"}},
		{`{"identity":{},"capabilities":[]}`, Identity{}},
		{`{}`, Identity{}},
		{`[]`, Identity{}},
	}
	for _, tt := range tests {
		c := inMemory(t, newFake(map[string]http.HandlerFunc{"GET /agents/me": replies(200, tt.body)}))
		got, err := c.Me(t.Context())
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("Me() of %s (-want +got):\n%s", tt.body, diff)
		}
		if bad := cmp.Equal(tt.want, Identity{}); errors.Is(err, ErrInvalidResponse) != bad {
			t.Errorf("Me() of %s = %v", tt.body, err)
		}
	}
}

func TestMetadata(t *testing.T) {
	const good = `"token_endpoint":"https://lumo.test/t","jwks_uri":"https://lumo.test/j"`
	for _, body := range []string{``, `[]`, `{}`, `{` + good + `}`, `{"issuer":"https://lumo.test"}`,
		`{"issuer":"http://lumo.test",` + good + `}`, `{"issuer":"https://u:p@lumo.test",` + good + `}`,
		`{"issuer":"https://lumo.test",` + good + `,"introspection_endpoint":"http://evil.test/"}`,
		`{"issuer":"https://lumo.test",` + good + `,"revocation_endpoint":"javascript:alert(1)"}`} {
		c := inMemory(t, newFake(map[string]http.HandlerFunc{metadataRoute: replies(200, body)}))
		if m, err := c.Metadata(t.Context()); !errors.Is(err, ErrInvalidResponse) {
			t.Errorf("Metadata() of %s = %+v, %v, want %v", body, m, err, ErrInvalidResponse)
		}
	}
	f := newFake(map[string]http.HandlerFunc{metadataRoute: replies(200, `{"issuer":"https://lumo.test/orgs/acme-corp",`+good+`,
		"introspection_endpoint":"https://lumo.test/i","grant_types_supported":["client_credentials"],"dpop_signing_alg_values_supported":["ES256"]}`)})
	got, err := inMemory(t, f).Metadata(t.Context())
	want := oauth.Metadata{Issuer: "https://lumo.test/orgs/acme-corp", TokenEndpoint: "https://lumo.test/t", JWKSURI: "https://lumo.test/j",
		IntrospectionEndpoint: "https://lumo.test/i", GrantTypes: []string{"client_credentials"}, DPoPAlgorithms: []string{"ES256"}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Metadata() = %v (-want +got):\n%s", err, diff)
	}
	if calls := f.saw(""); len(calls) != 1 || calls[0].auth != "" {
		t.Errorf("Metadata() sent %d requests, with Authorization %q, want one without", len(calls), calls[0].auth)
	}
}

func TestPingComparesClocks(t *testing.T) {
	for _, skew := range []time.Duration{0, 90 * time.Second, -90 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			good := goodRoutes()[metadataRoute]
			c := inMemory(t, newFake(map[string]http.HandlerFunc{metadataRoute: func(w http.ResponseWriter, r *http.Request) {
				<-time.After(2 * time.Second)
				w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
				<-time.After(2 * time.Second)
				good(w, r)
			}}))
			p, err := c.Ping(t.Context())
			if err != nil || p.RoundTrip != 4*time.Second || p.Metadata.Issuer == "" {
				t.Fatalf("Ping() = %+v, %v", p, err)
			}
			if off := p.Skew - skew; off < -time.Second || off > time.Second {
				t.Errorf("Ping().Skew = %v, want about %v", p.Skew, skew)
			}
		})
	}
	f := newFake(map[string]http.HandlerFunc{metadataRoute: goodRoutes()[metadataRoute]})
	if p, err := inMemory(t, f).Ping(t.Context()); err != nil || !p.ServerTime.IsZero() || p.Skew != 0 {
		t.Errorf("Ping() without a Date = %+v, %v, want no server time", p, err)
	}
}
