package lumoauth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testSecret = "canary-client-secret-4711"
	apiPrefix  = "/orgs/acme-corp/api/v1"

	loginRoute    = "POST /oauth/token"
	taskRoute     = "POST /jit/task"
	completeRoute = "POST /jit/task/task_1/complete"
	evaluateRoute = "POST /jit/task/task_1/evaluate"
	requestRoute  = "POST /jit/request"
	statusRoute   = "GET /jit/request/jit_1/status"
	tokenRoute    = "POST /jit/request/jit_1/token"
	pendingRoute  = "GET /jit/pending"
	metadataRoute = "GET /.well-known/oauth-authorization-server"
)

// A recorded is what the fake server saw of a request.
type recorded struct {
	route  string
	auth   string
	header http.Header
	body   string
	at     time.Time
}

// A fake answers like LumoAuth by a table of routes, and records what it saw.
type fake struct {
	routes map[string]http.HandlerFunc // "METHOD /path below the prefix"

	mu    sync.Mutex
	calls []recorded
}

// newFake returns a fake that issues agent tokens agent-token-1, -2, ... unless
// routes says otherwise.
func newFake(routes map[string]http.HandlerFunc) *fake {
	f := &fake{routes: map[string]http.HandlerFunc{}}
	logins := 0
	f.routes[loginRoute] = func(w http.ResponseWriter, _ *http.Request) {
		f.mu.Lock()
		logins++
		n := logins
		f.mu.Unlock()
		reply(w, 200, fmt.Sprintf(`{"access_token":"agent-token-%d","token_type":"Bearer","expires_in":3600}`, n))
	}
	for k, v := range routes {
		f.routes[k] = v
	}
	return f
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	path, ok := cutPrefix(r.URL.EscapedPath())
	route := r.Method + " " + path
	f.mu.Lock()
	f.calls = append(f.calls, recorded{route, r.Header.Get("Authorization"), r.Header.Clone(), string(body), time.Now()})
	f.mu.Unlock()
	h := f.routes[route]
	if !ok || h == nil {
		reply(w, 404, `{"error":"not_found"}`)
		return
	}
	h(w, r)
}

func cutPrefix(path string) (string, bool) {
	if len(path) >= len(apiPrefix) && path[:len(apiPrefix)] == apiPrefix {
		return path[len(apiPrefix):], true
	}
	return path, false
}

// saw returns the requests to route, or all when route is "".
func (f *fake) saw(route string) []recorded {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []recorded
	for _, c := range f.calls {
		if route == "" || c.route == route {
			out = append(out, c)
		}
	}
	return out
}

func (f *fake) count(route string) int { return len(f.saw(route)) }

// times returns when route was called, counted from the first call.
func (f *fake) times(route string) []time.Duration {
	var out []time.Duration
	calls := f.saw(route)
	for _, c := range calls {
		out = append(out, c.at.Sub(calls[0].at))
	}
	return out
}

func reply(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body)
}

func replies(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { reply(w, status, body) }
}

// inTurn answers with one handler after another; the last one stays.
func inTurn(handlers ...http.HandlerFunc) http.HandlerFunc {
	var mu sync.Mutex
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		h := handlers[min(n, len(handlers)-1)]
		n++
		mu.Unlock()
		h(w, r)
	}
}

// memory is a transport without sockets, for tests in which time is simulated.
type memory struct{ handler http.Handler }

func (m memory) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	rec := httptest.NewRecorder()
	m.handler.ServeHTTP(rec, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

// roundTrip is a transport by function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func testConfig(url string) Config {
	return Config{
		URL: url, Org: "acme-corp", ClientID: "analyst", ClientSecret: secret.New(testSecret),
		MaxWait: 5 * time.Millisecond,
	}
}

// inMemory returns a client of f without sockets.
func inMemory(t *testing.T, f http.Handler, change ...func(*Config)) *Client {
	t.Helper()
	cfg := testConfig("https://lumo.test")
	cfg.MaxWait = 0
	cfg.HTTPClient = &http.Client{Transport: memory{f}}
	for _, c := range change {
		c(&cfg)
	}
	return newClient(t, cfg)
}

// overSockets returns a client of f behind a real server.
func overSockets(t *testing.T, f http.Handler, change ...func(*Config)) *Client {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	cfg := testConfig(srv.URL)
	for _, c := range change {
		c(&cfg)
	}
	return newClient(t, cfg)
}

func newClient(t *testing.T, cfg Config) *Client {
	t.Helper()
	c, err := New(cfg)
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	return c
}

var docDetail = rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"}

// An operation is one method of Client, for tests that hold for all of them.
type operation struct {
	name  string
	route string
	call  func(context.Context, *Client) error
}

// operations lists every method that talks to the server.
func operations() []operation {
	user := secret.New("user-token-canary")
	return []operation{
		{"AgentToken", loginRoute, func(ctx context.Context, c *Client) error { _, err := c.AgentToken(ctx); return err }},
		{"CreateTask", taskRoute, func(ctx context.Context, c *Client) error {
			_, err := c.CreateTask(ctx, jit.TaskSpec{Name: "n"})
			return err
		}},
		{"CompleteTask", completeRoute, func(ctx context.Context, c *Client) error { return c.CompleteTask(ctx, "task_1") }},
		{"Evaluate", evaluateRoute, func(ctx context.Context, c *Client) error { _, err := c.Evaluate(ctx, "task_1"); return err }},
		{"Request", requestRoute, func(ctx context.Context, c *Client) error {
			_, err := c.Request(ctx, jit.Request{TaskID: "task_1", Detail: docDetail})
			return err
		}},
		{"Status", statusRoute, func(ctx context.Context, c *Client) error { _, err := c.Status(ctx, "jit_1"); return err }},
		{"Token", tokenRoute, func(ctx context.Context, c *Client) error { _, err := c.Token(ctx, "jit_1"); return err }},
		{"Pending", pendingRoute, func(ctx context.Context, c *Client) error { _, _, err := as(c, user).Pending(ctx); return err }},
		{"Approve", "POST /jit/approve/jit_1", func(ctx context.Context, c *Client) error {
			return as(c, user).Decide(ctx, "jit_1", approval.Decision{Approve: true})
		}},
		{"Deny", "POST /jit/deny/jit_1", func(ctx context.Context, c *Client) error {
			return as(c, user).Decide(ctx, "jit_1", approval.Decision{})
		}},
		{"Introspect", "POST /oauth/introspect", func(ctx context.Context, c *Client) error {
			_, err := c.Introspect(ctx, secret.New("inspected-token-canary"))
			return err
		}},
		{"Revoke", "POST /oauth/revoke", func(ctx context.Context, c *Client) error {
			return c.Revoke(ctx, secret.New("revoked-token-canary"))
		}},
		{"ExchangeOnBehalfOf", loginRoute, func(ctx context.Context, c *Client) error {
			_, err := c.ExchangeOnBehalfOf(ctx, Exchange{Subject: static(user)})
			return err
		}},
		{"Me", "GET /agents/me", func(ctx context.Context, c *Client) error { _, err := c.Me(ctx); return err }},
		{"Metadata", metadataRoute, func(ctx context.Context, c *Client) error { _, err := c.Metadata(ctx); return err }},
		{"Ping", metadataRoute, func(ctx context.Context, c *Client) error { _, err := c.Ping(ctx); return err }},
	}
}

// goodRoutes answers every operation with a success.
func goodRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		taskRoute:     replies(201, `{"task_id":"task_1","expires_at":"2030-01-01T10:00:00Z","agent_id":"agt_1"}`),
		completeRoute: replies(200, `{"task_id":"task_1","status":"completed"}`),
		evaluateRoute: replies(200, `{"task_id":"task_1","active":true,"events":[]}`),
		requestRoute: replies(201, `{"request_id":"jit_1","status":"approved","risk_level":"low","task_id":"task_1",
			"token_url":"/orgs/acme-corp/api/v1/jit/request/jit_1/token","granted_ttl":300}`),
		statusRoute:  replies(200, `{"request_id":"jit_1","status":"approved","risk_level":"low","task_id":"task_1","granted_ttl":300}`),
		tokenRoute:   replies(200, `{"access_token":"jit-token-canary","token_type":"Bearer","expires_in":300,"task_id":"task_1","jit_request_id":"jit_1"}`),
		pendingRoute: replies(200, `{"pending_requests":[],"count":0}`),

		"POST /jit/approve/jit_1": replies(200, `{"request_id":"jit_1","status":"approved","granted_ttl":300}`),
		"POST /jit/deny/jit_1":    replies(200, `{"request_id":"jit_1","status":"denied"}`),
		"POST /oauth/introspect":  replies(200, `{"active":false}`),
		"POST /oauth/revoke":      replies(200, `{}`),
		"GET /agents/me":          replies(200, `{"identity":{"id":"1","type":"agent","tenant":"acme-corp","agent_id":"agt_1"},"capabilities":["a"]}`),
		metadataRoute: replies(200, `{"issuer":"https://lumo.test/orgs/acme-corp","token_endpoint":"https://lumo.test/t",
			"jwks_uri":"https://lumo.test/j"}`),
	}
}

func routesOf(calls []recorded) []string {
	var out []string
	for _, c := range calls {
		out = append(out, c.route)
	}
	return slices.Clip(out)
}

// decideAt is where the pending request of an in-memory client can be decided.
func decideAt(requestID string) string {
	return "https://lumo.test/orgs/acme-corp/api/v1/jit/approve/" + requestID
}

// as is a person who decides.
func as(c *Client, user secret.String) Reviewer { return Reviewer{Client: c, Token: static(user)} }

// static gives the same token always.
func static(token secret.String) func(context.Context) (secret.String, error) {
	return func(context.Context) (secret.String, error) { return token, nil }
}
