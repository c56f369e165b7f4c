package main

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/resource"
)

// A world is an authorization server and a protected API on real sockets, apart
// from the command under test, and what the authorization server saw and issued.
type world struct {
	t    *testing.T
	auth *lumodev.Server
	env  map[string]string // that points the command at both

	frontMu sync.Mutex
	front   http.Handler // of the authorization server

	mu       sync.Mutex
	secrets  []string       // every credential there is: client secret, base tokens, grants
	grants   []string       // those that were issued for a request
	requests map[string]int // authorization server calls by the last path element, ids left out
	bodies   []string       // of requests for authority
}

// newWorld starts a world. api makes the protected API; nil is the real one.
func newWorld(t *testing.T, api func(w *world) http.Handler, change ...func(*lumodev.Config)) *world {
	t.Helper()
	w := &world{t: t, requests: map[string]int{}}
	authServer := httptest.NewUnstartedServer(nil)
	base := "http://" + authServer.Listener.Addr().String()
	cfg := lumodev.Config{BaseURL: base, Logger: slog.New(slog.DiscardHandler)}
	cfg.Risk.SensitiveIdentifiers = []string{"doc_7310"}
	for _, change := range change {
		change(&cfg)
	}
	var err error
	if w.auth, err = lumodev.New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.auth.Close() })
	agent := w.auth.Config().Agents[0]
	w.secrets = append(w.secrets, agent.ClientSecret.Reveal())
	w.front = w.recorded(w.auth)
	authServer.Config.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.facing().ServeHTTP(rw, r) })
	authServer.Start()
	t.Cleanup(authServer.Close)

	apiServer := httptest.NewUnstartedServer(nil)
	apiURL := "http://" + apiServer.Listener.Addr().String()
	w.env = map[string]string{
		cli.EnvURL: base, cli.EnvOrg: w.auth.Config().Org, cli.EnvClientID: agent.ClientID, cli.EnvSecret: agent.ClientSecret.Reveal(), cli.EnvAPI: apiURL,
	}
	if api == nil {
		api = w.documents
	}
	apiServer.Config.Handler = api(w)
	apiServer.Start()
	t.Cleanup(apiServer.Close)
	return w
}

// private is an environment with a state directory of its own, unless env names one:
// no test may touch that of whoever runs it.
func private(t testing.TB, env map[string]string) func(string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	return func(name string) string {
		if v, ok := env[name]; ok || name != cli.EnvState {
			return v
		}
		return dir
	}
}

// documents is the real protected API.
func (w *world) documents(*world) http.Handler {
	rs := w.auth.Config().ResourceServers[0]
	verifier, err := resource.New(w.t.Context(), resource.Config{Issuer: w.auth.Issuer(), ClientID: rs.ClientID, ClientSecret: rs.ClientSecret})
	if err != nil {
		w.t.Fatal(err)
	}
	api, err := docapi.New(docapi.Config{BaseURL: w.env[cli.EnvAPI], Reports: w.t.TempDir(), Verifier: verifier})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = api.Close() })
	return api
}

// recorded notes what the authorization server is asked and issues.
func (w *world) recorded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		var issued struct {
			AccessToken string `json:"access_token"`
		}
		w.mu.Lock()
		op := path.Base(r.URL.Path)
		w.requests[op]++
		if strings.HasSuffix(r.URL.Path, "/jit/request") {
			w.bodies = append(w.bodies, string(body))
		}
		if json.Unmarshal(rec.Body.Bytes(), &issued) == nil && issued.AccessToken != "" {
			w.secrets = append(w.secrets, issued.AccessToken)
			if strings.Contains(r.URL.Path, "/jit/request/") {
				w.grants = append(w.grants, issued.AccessToken)
			}
		}
		w.mu.Unlock()
		for name, values := range rec.Header() {
			rw.Header()[name] = values
		}
		rw.WriteHeader(rec.Code)
		_, _ = rw.Write(rec.Body.Bytes())
	})
}

// hijack puts a handler before the authorization server.
func (w *world) hijack(wrap func(http.Handler) http.Handler) {
	w.frontMu.Lock()
	defer w.frontMu.Unlock()
	w.front = wrap(w.front)
}

// facing returns what clients of the authorization server meet.
func (w *world) facing() http.Handler {
	w.frontMu.Lock()
	defer w.frontMu.Unlock()
	return w.front
}

// denying is a reviewer who denies each request as soon as it is pending.
func (w *world) denying(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(rw, r)
		if !strings.HasSuffix(r.URL.Path, "/jit/request") {
			return
		}
		token, err := w.auth.UserToken(lumodev.DefaultReviewerEmail)
		if err != nil {
			w.t.Error(err)
			return
		}
		for _, pending := range w.auth.Snapshot().Requests {
			deny := httptest.NewRequest(http.MethodPost, "/orgs/"+w.env[cli.EnvOrg]+"/api/v1/jit/deny/"+pending.ID, strings.NewReader(`{"agent_message":"not today"}`))
			deny.Header.Set("Authorization", "Bearer "+token.Reveal())
			deny.Header.Set("Content-Type", "application/json")
			w.auth.ServeHTTP(httptest.NewRecorder(), deny)
		}
	})
}

// asked returns how often authority was asked for.
func (w *world) asked() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.bodies)
}

// granted reports whether a call's Authorization is a grant.
func (w *world) granted(authorization string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Contains(w.grants, strings.TrimPrefix(authorization, "Bearer "))
}

// listenedTo serves the offline model by itself, has the command use it, and returns
// what the command sends it.
func (w *world) listenedTo() *logtest.Buffer {
	w.t.Helper()
	llms, err := dev.Models(slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	var heard logtest.Buffer
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &heard), r.Body}
		llms.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(srv.Close)
	w.env[cli.EnvModel], w.env["OPENAI_BASE_URL"], w.env["OPENAI_API_KEY"] = "openai/offline", srv.URL+"/v1", "any"
	return &heard
}

// credentials returns every credential known by now.
func (w *world) credentials() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]string(nil), w.secrets...)
}

// result is what a run of the command left.
type result struct {
	code           int
	stdout, stderr string
}

// run runs the command in this process.
func (w *world) run(args ...string) result {
	w.t.Helper()
	var stdout, stderr logtest.Buffer
	code := run(w.t.Context(), args, private(w.t, w.env), strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}
