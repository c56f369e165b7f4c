package lumodev

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jitagent/jitagent/secret"
)

// clock is an injected clock that stands still until told otherwise.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Path prefixes of the two generations of clients.
const (
	orgs = "/orgs/acme-corp/api/v1"
	old  = "/t/acme-corp/api/v1"
)

// env is a running server and what tests need around it.
type env struct {
	*testing.T
	*Server
	clock  *clock
	url    string
	prefix string // orgs unless a test sets another
}

// start runs a server on loopback, with a clock that stands still, after mutate,
// if any, has changed the configuration.
func start(t *testing.T, mutate func(*Config)) *env {
	t.Helper()
	e := &env{T: t, clock: newClock(), prefix: orgs}
	cfg := DefaultConfig()
	cfg.Now = e.clock.Now
	cfg.Agents = append(cfg.Agents, Agent{ClientID: "other", ClientSecret: newSecret()})
	if mutate != nil {
		mutate(&cfg)
	}
	e.Server, e.url = served(t, cfg)
	return e
}

// served serves cfg on loopback until the test ends, at a URL that is its BaseURL unless
// it has one.
func served(t *testing.T, cfg Config) (*Server, string) {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	url := "http://" + ts.Listener.Addr().String()
	cfg.BaseURL = cmp.Or(cfg.BaseURL, url)
	s, err := New(cfg)
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	ts.Config.Handler = s
	ts.Start()
	t.Cleanup(func() {
		ts.Close()
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return s, url
}

// with returns e for a subtest.
func (e *env) with(t *testing.T) *env {
	sub := *e
	sub.T = t
	return &sub
}

// answer is one response.
type answer struct {
	status int
	header http.Header
	raw    string
	obj    map[string]any // nil when the body is no JSON object
}

func (a *answer) str(name string) string {
	s, _ := a.obj[name].(string)
	return s
}

// noRedirects fails a test that meets a redirect: the server must never send one.
var noRedirects = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send makes one request. body is nil, a string, url.Values, or anything for JSON.
func (e *env) send(method, path, token string, body any, edit ...func(*http.Request)) *answer {
	e.Helper()
	var r io.Reader
	kind := ""
	switch b := body.(type) {
	case nil:
	case string:
		r, kind = strings.NewReader(b), "application/json"
	case url.Values:
		r, kind = strings.NewReader(b.Encode()), "application/x-www-form-urlencoded"
	default:
		data, err := json.Marshal(b)
		if err != nil {
			e.Fatal(err)
		}
		r, kind = bytes.NewReader(data), "application/json"
	}
	if !strings.HasPrefix(path, "/") {
		path = e.prefix + "/" + path
	}
	req, err := http.NewRequestWithContext(e.Context(), method, e.url+path, r)
	if err != nil {
		e.Fatal(err)
	}
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, f := range edit {
		f(req)
	}
	resp, err := noRedirects.Do(req)
	if err != nil {
		e.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		e.Fatal(err)
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	_ = json.Unmarshal(raw, &a.obj) // left nil
	return a
}

func (e *env) get(path, token string) *answer { e.Helper(); return e.send("GET", path, token, nil) }

func (e *env) post(path, token string, body any) *answer {
	e.Helper()
	return e.send("POST", path, token, body)
}

// want fails the test unless a has the status, and returns it.
func (e *env) want(status int, a *answer) *answer {
	e.Helper()
	if a.status != status {
		e.Fatalf("status = %d, want %d: %s", a.status, status, a.raw)
	}
	return a
}

// wantError is want, and the error code.
func (e *env) wantError(status int, code string, a *answer) *answer {
	e.Helper()
	if a.status != status || a.str("error") != code {
		e.Errorf("got %d %s, want %d %s", a.status, a.raw, status, code)
	}
	return a
}

func (e *env) secretOf(clientID string) string {
	if a := e.agents[clientID]; a != nil {
		return a.ClientSecret.Reveal()
	}
	return e.clients[clientID].ClientSecret.Reveal()
}

// login returns a base token.
func (e *env) login(clientID string) string {
	e.Helper()
	a := e.want(200, e.post("oauth/token", "", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {clientID}, "client_secret": {e.secretOf(clientID)},
	}))
	return a.str("access_token")
}

func (e *env) user(email string) string {
	e.Helper()
	return reveal(e.T, e.UserToken, email)
}

func reveal(t *testing.T, f func(string) (secret.String, error), arg string) string {
	t.Helper()
	s, err := f(arg)
	if err != nil {
		t.Fatal(err)
	}
	return s.Reveal()
}

func (e *env) reviewerToken() string { e.Helper(); return e.user(DefaultReviewerEmail) }

func (e *env) task(token string) string {
	e.Helper()
	return e.want(201, e.post("jit/task", token, nil)).str("task_id")
}

// Details of the three kinds that tests use.
var (
	readDoc   = map[string]any{"type": "file_access", "actions": []string{"read"}, "identifier": "doc_9982"}
	writeDoc  = map[string]any{"type": "file_access", "actions": []string{"write"}, "identifier": "doc_9982"}
	deleteDoc = map[string]any{"type": "file_access", "actions": []string{"delete"}, "identifier": "doc_9982"}
)

func (e *env) ask(token, task string, detail any) *answer {
	e.Helper()
	return e.want(201, e.post("jit/request", token, map[string]any{
		"task_id": task, "authorization_details": detail, "requested_ttl": 300,
	}))
}

// jit returns a task and a JIT token for reading a document.
func (e *env) jit(token string) (task, jitToken string) {
	e.Helper()
	task = e.task(token)
	id := e.ask(token, task, readDoc).str("request_id")
	return task, e.want(200, e.post("jit/request/"+id+"/token", token, nil)).str("access_token")
}

// active asks as a resource server whether a token is.
func (e *env) active(token string) bool {
	e.Helper()
	a := e.want(200, e.post("oauth/introspect", "", e.rs(url.Values{"token": {token}})))
	active, isBool := a.obj["active"].(bool)
	if !isBool {
		e.Fatalf("introspection has no active: %s", a.raw)
	}
	if !active && strings.TrimSpace(a.raw) != `{"active":false}` {
		e.Errorf("inactive introspection = %s, want exactly {\"active\":false}", a.raw)
	}
	return active
}

// rs adds the resource server's credentials to a form.
func (e *env) rs(form url.Values) url.Values {
	form.Set("client_id", DefaultResourceServerID)
	form.Set("client_secret", e.secretOf(DefaultResourceServerID))
	return form
}
