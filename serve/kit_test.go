package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
	"github.com/jitagent/jitagent/state/approval"
	stateruns "github.com/jitagent/jitagent/state/runs"
	states "github.com/jitagent/jitagent/state/session"
	"github.com/jitagent/jitagent/state/sqlite"
	"github.com/jitagent/jitagent/tools"
)

const name = "protected_data_analyst"

// An app is a served application.
type app struct {
	answers   func(ctx context.Context) string // what the model says
	authority *fake.Authority
	sessions  session.Service
	journal   *sqlite.Journal
	config    func(*serve.Config)
	url       string
	shared    bool // journal and runs are kept as several processes share them
	runs      runner.Runs
	tools     []tool.Tool
	served    serve.Config
	routes    []string
	patience  time.Duration // with a body; 0 is without an end
	behalf    string        // on whose behalf something is asked
	lend      func(runner.Runs) runner.Runs
	deciding  func() // called before a decision counts

	mu      sync.Mutex
	decided map[string]jit.Status // of requests by their ids; a person decides about all
	reasons map[string]string     // why they were denied
	refuses map[string]error      // of requests that cannot be decided, why
}

// document is what the tool reads.
type document struct {
	ID string `json:"id"`
}

func (d document) detail() rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: d.ID}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// stateDir is a directory as the program makes one.
func stateDir(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// fake returns an authority at which a person decides about every request.
func (a *app) fake() *fake.Authority {
	a.decided, a.reasons = map[string]jit.Status{}, map[string]string{}
	look := func(id string) jit.Decision {
		a.mu.Lock()
		defer a.mu.Unlock()
		if id == "" {
			id = fmt.Sprintf("jit_%d", len(a.decided)+1)
			a.decided[id] = jit.StatusPending
		}
		return jit.Decision{RequestID: id, Status: a.decided[id], Risk: "high", ExpiresAt: time.Now().Add(time.Hour)}
	}
	return &fake.Authority{
		Decide: func(jit.Request) (jit.Decision, error) { return look(""), nil },
		Look:   func(id string, _ int) (jit.Decision, error) { return look(id), nil },
	}
}

// Pending implements [approval.Decider].
func (a *app) Pending(context.Context) (list []approval.Request, more bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id, status := range a.decided {
		if status == jit.StatusPending {
			list = append(list, approval.Request{ID: id, Tool: "read", OnBehalfOf: a.behalf})
		}
	}
	return list, false, nil
}

// Decide implements [approval.Decider].
func (a *app) Decide(_ context.Context, id string, d approval.Decision) error {
	if a.deciding != nil {
		a.deciding()
	}
	a.mu.Lock()
	err := a.refuses[id]
	if err == nil && a.decided[id] != jit.StatusPending {
		err = approval.ErrDecided
	}
	if err == nil {
		a.reasons[id] = d.Message
	}
	a.mu.Unlock()
	if err == nil {
		a.decide(id, d.Approve)
	}
	return err
}

func (a *app) decide(id string, approve bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.decided[id] = jit.StatusDenied
	if approve {
		a.decided[id] = jit.StatusApproved
	}
}

// Name implements [model.LLM].
func (*app) Name() string { return "model" }

// GenerateContent implements [model.LLM]: it reads the document that it is told to, and
// says its answer to anything else; to "hold", when nobody waits for it any more.
func (a *app) GenerateContent(ctx context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		last := req.Contents[len(req.Contents)-1].Parts[0]
		if ids, ok := strings.CutPrefix(last.Text, "read "); ok {
			var calls []*genai.Part
			for id := range strings.FieldsSeq(strings.TrimPrefix(ids, "both ")) {
				calls = append(calls, genai.NewPartFromFunctionCall("read", map[string]any{"id": id}))
			}
			yield(&model.LLMResponse{Content: genai.NewContentFromParts(calls, genai.RoleModel), TurnComplete: true}, nil)
			return
		}
		if last.Text == "hold" {
			<-ctx.Done()
		}
		yield(&model.LLMResponse{Content: genai.NewContentFromText(a.answers(ctx), genai.RoleModel), TurnComplete: true}, nil)
	}
}

// handler makes the application, with the users ada and ben.
func (a *app) handler(t *testing.T) http.Handler {
	t.Helper()
	if a.answers == nil {
		a.answers = func(context.Context) string { return "done" }
	}
	dir := stateDir(t)
	store, err := states.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	journal, err := sqlite.Memory(t.Context(), sqlite.Options{})
	if a.shared {
		journal, err = sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = journal.Close() })
	a.authority, a.sessions, a.journal = a.fake(), store, journal
	engine := must(jit.New(jit.Config{Authority: a.authority, Journal: journal}))
	read := must(tools.New(tools.Spec[document]{
		Name: "read", Description: "reads", Ceiling: func(d document) []rar.Detail { return []rar.Detail{d.detail()} },
	}, func(ctx tools.Context, d document) (map[string]any, error) {
		_, err := jit.Acquire(ctx, d.detail())
		return map[string]any{"text": "the text of " + d.ID}, err
	}))
	root := must(agent.New(agent.Config{Model: a, Tools: []tool.Tool{read}}))
	agents, runs := adk.NewSingleLoader(root), runner.LocalRuns()
	if a.shared {
		kept := must(stateruns.Open(t.Context(), dir, stateruns.Options{Journal: journal}))
		t.Cleanup(func() { _ = kept.Close() })
		runs = kept
	}
	if a.lend != nil {
		runs = a.lend(runs)
	}
	a.runs, a.tools = runs, []tool.Tool{read}
	both := runner.Config{Agent: root, Engine: engine, Sessions: a.sessions, Suspensions: store, Runs: runs, ManyUsers: true, AllowUnnamed: true}
	guard, again := must(runner.NewPlugin(runner.PluginConfig{Config: both, Agents: agents})), must(runner.New(both))
	users := must(serve.TokenFile(tokens(t, line("ada", "ada"), line("ben", "ben@example.com", "staff", "reviewers"))))
	cfg := serve.Config{
		Agents: agents, Sessions: a.sessions, Plugins: []*plugin.Plugin{guard}, Users: users, Resume: map[string]*runner.Runner{name: again}, Runs: runs, Journal: journal,
		Decider: a, Rights: approval.Rights{Allow: []approval.Group{{Name: "reviewers"}}},
	}
	if a.config != nil {
		a.config(&cfg)
	}
	if cfg.URL == nil {
		cfg.URL = must(url.Parse("http://localhost"))
	}
	a.routes = must(serve.Routes(cfg))
	return must(serve.New(cfg))
}

func (a *app) start(t *testing.T) *app {
	t.Helper()
	server := httptest.NewServer(a.handler(t))
	t.Cleanup(server.Close)
	a.url = server.URL
	return a
}

// line is one of a file of tokens, for the token of a name.
func line(name, user string, groups ...string) string {
	return serve.Hash(secret.New(name+"-token")) + " " + user + " " + strings.Join(groups, " ")
}

func tokens(t *testing.T, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// An answer is what came of a request.
type answer struct {
	status int
	body   string
	header http.Header
}

func (a *app) do(t *testing.T, token, method, path string, body any, headers ...string) answer {
	t.Helper()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(t.Context(), method, a.url+path, bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token+"-token")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, string(got), resp.Header}
}

func sessionsOf(user string) string { return "/api/apps/" + name + "/users/" + user + "/sessions" }

// says is a message of a text, for the session "s".
func says(user, text string, changes ...func(map[string]any)) map[string]any {
	m := map[string]any{
		"appName": name, "userId": user, "sessionId": "s",
		"newMessage": map[string]any{"role": "user", "parts": []any{map[string]any{"text": text}}},
	}
	for _, change := range changes {
		change(m)
	}
	return m
}

// emptyLoader has no agents.
type emptyLoader struct{ adk.Loader }

func (emptyLoader) ListAgents() []string { return nil }

func somePlugin(t *testing.T) []*plugin.Plugin {
	t.Helper()
	p, err := plugin.New(plugin.Config{Name: "some"})
	if err != nil {
		t.Fatal(err)
	}
	return []*plugin.Plugin{p}
}
