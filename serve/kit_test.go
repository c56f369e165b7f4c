package serve_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
)

const name = "protected_data_analyst"

// An app is a served application.
type app struct {
	answers   func(ctx context.Context) string // what the model says
	authority *fake.Authority
	sessions  session.Service
	config    func(*serve.Config)
	url       string
}

// Name implements [model.LLM].
func (*app) Name() string { return "model" }

// GenerateContent implements [model.LLM].
func (a *app) GenerateContent(ctx context.Context, _ *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: genai.NewContentFromText(a.answers(ctx), genai.RoleModel), TurnComplete: true}, nil)
	}
}

// handler makes the application, with the users ada and ben.
func (a *app) handler(t *testing.T) http.Handler {
	t.Helper()
	if a.answers == nil {
		a.answers = func(context.Context) string { return "done" }
	}
	a.authority, a.sessions = &fake.Authority{}, session.InMemoryService()
	engine, err := jit.New(jit.Config{Authority: a.authority})
	if err != nil {
		t.Fatal(err)
	}
	root, err := agent.New(agent.Config{Model: a})
	if err != nil {
		t.Fatal(err)
	}
	agents := adk.NewSingleLoader(root)
	guard, err := runner.NewPlugin(runner.PluginConfig{Engine: engine, Agents: agents, Sessions: a.sessions})
	if err != nil {
		t.Fatal(err)
	}
	users, err := serve.TokenFile(tokens(t, line("ada", "ada"), line("ben", "ben@example.com", "staff", "reviewers")))
	if err != nil {
		t.Fatal(err)
	}
	cfg := serve.Config{Agents: agents, Sessions: a.sessions, Plugins: []*plugin.Plugin{guard}, Users: users}
	if a.config != nil {
		a.config(&cfg)
	}
	h, err := serve.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return h
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
