package jit_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// fakeAPI serves GET /docs/{id} and POST /reports, each guarded by a demand.
type fakeAPI struct {
	*httptest.Server
	demand func(r *http.Request) rar.Detail

	mu   sync.Mutex
	seen []*http.Request // with bodies read
}

func newAPI(t testing.TB) *fakeAPI {
	api := &fakeAPI{demand: func(r *http.Request) rar.Detail {
		if r.Method == http.MethodPost {
			return write("reports")
		}
		return read(r.PathValue("id"))
	}}
	guarded := fake.Guard(func(r *http.Request) rar.Detail { return api.demand(r) }, http.HandlerFunc(content))
	serve := func(w http.ResponseWriter, r *http.Request) {
		api.note(r)
		guarded.ServeHTTP(w, r)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /docs/{id}", serve)
	mux.HandleFunc("POST /reports", serve)
	api.Server = httptest.NewServer(mux)
	t.Cleanup(api.Close)
	return api
}

func (a *fakeAPI) note(r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, r)
}

func (a *fakeAPI) calls() []*http.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.seen)
}

func (a *fakeAPI) origin() jit.Origin { return must(jit.ParseOrigin(a.URL)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func read(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}

func write(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"write"}, Identifier: id}
}

// client is an HTTP client for the API, with a task.
type client struct {
	*http.Client
	task *jit.Task
	base string

	engine *jit.Engine
}

func newClient(t testing.TB, cfg jit.Config, origin jit.Origin, base string, observe func(jit.Event)) *client {
	t.Helper()
	engine, err := jit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	task := engine.Start(t.Context(), jit.TaskSpec{Name: "test"}, observe)
	c := &client{&http.Client{Transport: &jit.Transport{Origin: origin}}, task, base, engine}
	t.Cleanup(func() {
		_ = task.Complete(context.WithoutCancel(t.Context()))
		c.CloseIdleConnections()
	})
	return c
}

// opened waits until the task is open, for tests that look at the order of things.
func (c *client) opened(t testing.TB) {
	t.Helper()
	if _, err := c.task.ID(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// over sends c's requests through base.
func (c *client) over(base http.RoundTripper) *client {
	transport := *c.Transport.(*jit.Transport)
	transport.Base = base
	c.Transport = &transport
	return c
}

// tripper is an API without sockets.
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// guarded answers 200 to the token for need and demands need of all others.
func guarded(need func(*http.Request) rar.Detail) tripper {
	return fake.Transport{Handler: fake.Guard(need, http.HandlerFunc(content))}.RoundTrip
}

func content(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "content") }

// needsPath demands reading what the last segment of the path names, or writing
// reports.
func needsPath(r *http.Request) rar.Detail {
	if r.Method == http.MethodPost {
		return write("reports")
	}
	return read(path.Base(r.URL.Path))
}

// offline is a client whose API and authorization server are function calls.
func offline(t testing.TB, cfg jit.Config, observe func(jit.Event)) *client {
	const base = "https://api.example.com"
	return newClient(t, cfg, must(jit.ParseOrigin(base)), base, observe).over(guarded(needsPath))
}

// send makes a request under call and returns the body of the answer.
func (c *client) send(ctx context.Context, call jit.Call, method, url, body string, header ...string) (int, string, error) {
	return c.sendCtx(c.task.Call(ctx, call), method, url, body, header...)
}

// sendCtx sends a request under the call that ctx carries.
func (c *client) sendCtx(ctx context.Context, method, url, body string, header ...string) (int, string, error) {
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, url, reader)
	if err != nil {
		return 0, "", err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// want200 fails unless the document can be fetched.
func (c *client) want200(t testing.TB, id string) {
	t.Helper()
	resp, err := c.get(t.Context(), id, read(id))
	if err != nil {
		t.Fatalf("GET %s: %v", id, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s = %d, want 200", id, resp.StatusCode)
	}
}

func (c *client) get(ctx context.Context, id string, ceiling ...rar.Detail) (*http.Response, error) {
	ctx = c.task.Call(ctx, jit.Call{ID: "call-" + id, Tool: "fetch", Ceiling: ceiling, Justification: "read " + id})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/docs/"+url.PathEscape(id), nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}
