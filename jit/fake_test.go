package jit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const baseToken = "base-token-0123456789"

// fakeAuthority approves what it is asked for, unless told otherwise.
type fakeAuthority struct {
	decide  func(jit.Request) (jit.Decision, error)      // nil approves
	status  func(id string, n int) (jit.Decision, error) // nil approves
	issue   func(id string, d rar.Detail) jit.Issued     // nil issues exactly what was asked
	create  func() error                                 // nil works
	complet func(n int) error                            // nil works

	mu        sync.Mutex
	requests  []jit.Request
	polls     []time.Time
	tokens    int
	completed []string
	attempts  int
}

func (a *fakeAuthority) AgentToken(context.Context) (secret.String, error) {
	return secret.New(baseToken), nil
}

func (a *fakeAuthority) CreateTask(context.Context, jit.TaskSpec) (jit.TaskInfo, error) {
	if a.create != nil {
		if err := a.create(); err != nil {
			return jit.TaskInfo{}, err
		}
	}
	return jit.TaskInfo{ID: "task_1", ExpiresAt: time.Now().Add(time.Hour)}, nil
}

func (a *fakeAuthority) CompleteTask(_ context.Context, id string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.attempts++
	if a.complet != nil {
		if err := a.complet(a.attempts); err != nil {
			return err
		}
	}
	a.completed = append(a.completed, id)
	return nil
}

func (a *fakeAuthority) Request(_ context.Context, r jit.Request) (jit.Decision, error) {
	a.mu.Lock()
	a.requests = append(a.requests, r)
	n := len(a.requests)
	a.mu.Unlock()
	if a.decide != nil {
		d, err := a.decide(r)
		d.RequestID, d.TaskID = fmt.Sprintf("jit_%d", n), r.TaskID
		return d, err
	}
	return jit.Decision{RequestID: fmt.Sprintf("jit_%d", n), TaskID: r.TaskID, Status: jit.StatusApproved, Risk: "low", TTL: r.TTL}, nil
}

func (a *fakeAuthority) Status(_ context.Context, id string) (jit.Decision, error) {
	a.mu.Lock()
	a.polls = append(a.polls, time.Now())
	n := len(a.polls)
	a.mu.Unlock()
	if a.status != nil {
		d, err := a.status(id, n)
		d.RequestID = id
		return d, err
	}
	return jit.Decision{RequestID: id, Status: jit.StatusApproved}, nil
}

func (a *fakeAuthority) Token(_ context.Context, id string) (jit.Issued, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.tokens++
	var n int
	_, _ = fmt.Sscanf(id, "jit_%d", &n)
	d := a.requests[n-1].Detail
	if a.issue != nil {
		return a.issue(id, d), nil
	}
	return jit.Issued{Token: secret.New(tokenFor(d)), Type: "Bearer", ExpiresIn: 5 * time.Minute, Details: []rar.Detail{d}}, nil
}

func (a *fakeAuthority) asked() []jit.Request {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// tokenFor names what a token of the fake covers, so that the fake API can check
// it without a server between them.
func tokenFor(d rar.Detail) string {
	digest, err := d.Digest()
	if err != nil {
		panic(err)
	}
	return "grant-" + digest
}

// transient is a fault that is worth another try.
type transient struct{ wait time.Duration }

func (transient) Error() string                      { return "try again" }
func (t transient) Temporary() (time.Duration, bool) { return t.wait, true }

// fakeAPI serves GET /docs/{id} and POST /reports, each guarded by a demand.
type fakeAPI struct {
	*httptest.Server
	demand func(r *http.Request) rar.Detail

	mu   sync.Mutex
	seen []*http.Request // with bodies read
	body []string
}

func newAPI(t testing.TB) *fakeAPI {
	api := &fakeAPI{demand: func(r *http.Request) rar.Detail {
		if r.Method == http.MethodPost {
			return write("reports")
		}
		return read(r.PathValue("id"))
	}}
	serve := func(w http.ResponseWriter, r *http.Request) {
		api.note(r)
		need := api.demand(r)
		if r.Header.Get("Authorization") != "Bearer "+tokenFor(need) {
			_ = challenge.Write(w, http.StatusForbidden, need, "more authority needed")
			return
		}
		_, _ = fmt.Fprint(w, "content")
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

// events collects what a task reports.
type events struct {
	mu  sync.Mutex
	all []jit.Event
}

func (e *events) observe(ev jit.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) kinds() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var kinds []string
	for _, ev := range e.all {
		kinds = append(kinds, ev.Kind())
	}
	return kinds
}

// client is an HTTP client for the API, with a task.
type client struct {
	*http.Client
	task *jit.Task
	base string
}

func newClient(t testing.TB, cfg jit.Config, origin jit.Origin, base string, observe func(jit.Event)) *client {
	t.Helper()
	engine, err := jit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	task := engine.Start(t.Context(), jit.TaskSpec{Name: "test"}, observe)
	t.Cleanup(func() { _ = task.Complete(context.WithoutCancel(t.Context())) })
	return &client{&http.Client{Transport: &jit.Transport{Origin: origin}}, task, base}
}

func (c *client) get(ctx context.Context, id string, ceiling ...rar.Detail) (*http.Response, error) {
	ctx = c.task.Call(ctx, jit.Call{ID: "call-" + id, Tool: "fetch", Ceiling: ceiling, Justification: "read " + id})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/docs/"+url.PathEscape(id), nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}
