package jittest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// A World is an authorization server, a protected API and a client of both. Its
// methods are safe for concurrent use, except that those which may end the test
// (they say so) belong to the test's own goroutine.
type World struct {
	// API is the base URL of the protected API: http, loopback, no path.
	API *url.URL

	// Authority is the agent's client of the authorization server.
	Authority *lumoauth.Client

	// Engine opens tasks at it. Give it to what opens a task of its own, such as a
	// runner; what works under a given task gets [World.Context].
	Engine *jit.Engine

	t     testing.TB
	cfg   config
	auth  *lumodev.Server
	login lumoauth.Config // at its front

	record record
	client *http.Client
	task   func() *jit.Task
	calls  atomic.Int64
	log    logtest.Buffer
	logger *slog.Logger
}

// Start starts a world, which ends with the test. Without options everybody is
// friendly: what lies within a ceiling is granted, the API demands what a path
// names (see [Route]) and answers. A world that cannot be started ends the
// test.
func Start(t testing.TB, options ...Option) *World {
	t.Helper()
	w := &World{t: t, cfg: config{patience: 30 * time.Second}}
	for _, option := range options {
		option(&w.cfg)
	}
	w.record.changed = make(chan struct{})
	w.logger = slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	w.task = sync.OnceValue(w.open)
	if err := w.start(); err != nil {
		t.Fatalf("jittest: start: %v", err)
	}
	return w
}

func (w *World) start() error {
	if w.cfg.abuse != nil {
		w.openElsewhere()
	}
	transport := &http.Transport{MaxResponseHeaderBytes: 64 << 10}
	w.t.Cleanup(transport.CloseIdleConnections)
	plain := &http.Client{Transport: transport}
	// What the API asks goes to the authorization server itself, past the front: what
	// the front pretends is meant for the client.
	auth := w.authConfig()
	servers, err := dev.Start(w.t.Context(), dev.Config{
		Auth: auth, Logger: w.logger,
		Guard: func(cfg *resource.Config, base string) {
			cfg.Location, cfg.HTTPClient, cfg.Now = base, plain, auth.Now // both servers have one clock
		},
		API: func(guard *resource.Verifier, _ string) (http.Handler, error) { return w.protectedAPI(guard) },
	})
	if err != nil {
		return err
	}
	w.auth, w.API, w.login = servers.Auth, servers.API, servers.Client()
	front := httptest.NewServer(w.front())
	w.login.URL = front.URL
	w.t.Cleanup(func() {
		front.Close()
		_ = servers.Close()
	})
	w.record.know(w.login.ClientSecret, "the client secret")
	if err := w.connect(plain); err != nil {
		return err
	}
	w.t.Cleanup(w.end)
	return nil
}

// connect makes the client's side.
func (w *World) connect(plain *http.Client) error {
	cfg := w.login
	cfg.HTTPClient, cfg.Logger = plain, w.logger
	var err error
	if w.Authority, err = lumoauth.New(cfg); err != nil {
		return err
	}
	engine := jit.Config{Authority: w.Authority, Logger: w.logger, PollInterval: pollInterval}
	for _, change := range w.cfg.engine {
		change(&engine)
	}
	if w.Engine, err = jit.New(engine); err != nil {
		return err
	}
	origin, err := jit.OriginOf(w.API)
	if err != nil {
		return err
	}
	w.client = &http.Client{Transport: &jit.Transport{Origin: origin}}
	return nil
}

// pollInterval is short, since a decision by hand is followed by a look at it.
const pollInterval = 2 * time.Millisecond

// authConfig sets up the authorization server: decisions as the options say, and
// otherwise each at once, and a task never suspended for its history.
func (w *World) authConfig() lumodev.Config {
	cfg := lumodev.Config{
		Logger: w.logger,
		Risk: lumodev.RiskPolicy{
			Assess:       w.cfg.assess,
			HumanLevels:  []lumodev.Risk{levelPerson},
			DeniedLevels: []lumodev.Risk{levelDenied},
		},
		CAEP: lumodev.CAEPPolicy{RiskThreshold: -1, DenialThreshold: -1, BurstRequests: -1},
	}
	for _, change := range w.cfg.server {
		change(&cfg)
	}
	return cfg
}

// end gives back what is left, so that a test that fails midway leaves nothing
// behind. The servers are closed after it.
func (w *World) end() {
	if w.record.task() != nil {
		if err := w.complete(); err != nil {
			w.fail("the task could not be completed: %v", err)
		}
	}
	w.client.CloseIdleConnections()
}

func (w *World) complete() error {
	return w.Task().Complete(context.WithoutCancel(w.t.Context()))
}

// open opens the world's own task. It waits until that is done, so that the story is
// the same each time.
func (w *World) open() *jit.Task {
	task := w.Engine.Start(w.t.Context(), jit.TaskSpec{Name: "test"}, w.Observe)
	w.record.open(task)
	if _, err := task.ID(w.t.Context()); err != nil {
		w.fail("the task could not be opened: %v", err)
	}
	return task
}

// Task returns the world's task, which is opened when first asked for. A task that
// cannot be opened is an error of the test.
func (w *World) Task() *jit.Task { return w.task() }

// Context returns the test's context with the world's task in it, under which
// guarded tools run (see [jit.NewContext]).
func (w *World) Context() context.Context { return jit.NewContext(w.t.Context(), w.Task()) }

// Call returns the context of a new call under the world's task, with what it may
// ask for: see [jit.Task.Call]. It has no arguments, and what a person decides for it
// serves no other.
func (w *World) Call(ceiling ...rar.Detail) context.Context { return w.call(nil, ceiling) }

func (w *World) call(args map[string]any, ceiling []rar.Detail) context.Context {
	return w.Task().Call(w.t.Context(), jit.Call{
		ID: fmt.Sprintf("call-%d", w.calls.Add(1)), Tool: "test", Args: args, Ceiling: ceiling, Justification: "a test",
	})
}

// Client returns an HTTP client that obtains authority at the API. The requests'
// context must come from [World.Call].
func (w *World) Client() *http.Client { return w.client }

// Get fetches path (such as "/documents/doc_1") from the API in a call of its own
// that may ask for ceiling; the path is its argument. It returns the last answer's status
// and body.
func (w *World) Get(path string, ceiling ...rar.Detail) (status int, body string, err error) {
	return w.send(http.MethodGet, path, "", ceiling)
}

// Post sends a JSON text to the API; otherwise it is as [World.Get].
func (w *World) Post(path, json string, ceiling ...rar.Detail) (status int, body string, err error) {
	return w.send(http.MethodPost, path, json, ceiling)
}

// maxBody bounds what Get and Post read of an answer.
const maxBody = 8 << 20

func (w *World) send(method, path, body string, ceiling []rar.Detail) (int, string, error) {
	req, err := http.NewRequestWithContext(w.call(map[string]any{"method": method, "path": path, "body": body}, ceiling), method, w.API.String()+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	text, err := strictjson.ReadAll(resp.Body, maxBody)
	return resp.StatusCode, string(text), errors.Join(err, resp.Body.Close())
}

// Login returns what a program needs to log in at the authorization server as the
// world's agent: URL, Org, ClientID and ClientSecret.
func (w *World) Login() lumoauth.Config { return w.login }

// Issuer is the authorization server's issuer, for the [resource.Config] of an API
// that a test starts by itself.
func (w *World) Issuer() string { return w.auth.Issuer() }

// Logger returns a logger whose lines [World.NothingLeaked] searches. The engine
// and the servers log to it.
func (w *World) Logger() *slog.Logger { return w.logger }

// Observe takes an event into the record. It is the observer of the world's own
// task; give it to [jit.Engine.Start] for others.
func (w *World) Observe(e jit.Event) { w.record.observe(e) }

// Note adds a line to the story that failures tell.
func (w *World) Note(format string, args ...any) { w.record.note(fmt.Sprintf(format, args...)) }
