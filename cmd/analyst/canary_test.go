package main

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/tools"
)

// spans collects what would be exported. ADK takes the tracer when its package
// starts, but through a delegate that this provider replaces.
var spans = sync.OnceValue(func() *tracetest.InMemoryExporter {
	exporter := tracetest.NewInMemoryExporter()
	otel.SetTracerProvider(trace.NewTracerProvider(trace.WithSyncer(exporter)))
	return exporter
})

// leaks returns the credentials that text holds: as they are, or in base64, hex or
// URL escapes. It finds them by undoing the encodings, not by applying them.
func leaks(text string, credentials []string) []string {
	texts := []string{text}
	if un, err := url.QueryUnescape(strings.ReplaceAll(text, "%", "%25")); err == nil {
		texts = append(texts, un)
	}
	texts = append(texts, regexp.MustCompile(`%[0-9A-Fa-f]{2}`).ReplaceAllStringFunc(text, func(s string) string {
		b, _ := hex.DecodeString(s[1:])
		return string(b)
	}))
	for _, run := range regexp.MustCompile(`[0-9A-Fa-f]{32,}`).FindAllString(text, -1) {
		for shift := range 2 {
			even := run[shift:]
			if b, err := hex.DecodeString(even[:len(even)&^1]); err == nil {
				texts = append(texts, string(b))
			}
		}
	}
	for _, run := range regexp.MustCompile(`[A-Za-z0-9+/_-]{24,}`).FindAllString(text, -1) {
		run = strings.NewReplacer("-", "+", "_", "/").Replace(run)
		for shift := range 4 {
			part := run[min(shift, len(run)):]
			if len(part)%4 == 1 {
				part = part[:len(part)-1]
			}
			if b, err := base64.RawStdEncoding.DecodeString(part); err == nil {
				texts = append(texts, string(b))
			}
		}
	}
	var found []string
	for _, c := range credentials {
		marks := []string{c}
		if i := strings.LastIndexByte(c, '.'); i > 0 {
			marks = append(marks, c[i+1:]) // the signature, without which a token is worth nothing
		}
		for _, m := range marks {
			for _, t := range texts {
				if strings.Contains(t, m) {
					found = append(found, m[:8]+"…")
				}
			}
		}
	}
	return found
}

// TestLeaksFindsEveryForm checks the check.
func TestLeaksFindsEveryForm(t *testing.T) {
	const mark = "canary+token/0123456789=abcdef"
	for name, text := range map[string]string{
		"raw": "x" + mark, "base64": base64.StdEncoding.EncodeToString([]byte("Authorization: Bearer " + mark + " more")),
		"base64 url": base64.RawURLEncoding.EncodeToString([]byte("a" + mark)), "base64 shifted": base64.StdEncoding.EncodeToString([]byte("ab" + mark)),
		"hex": hex.EncodeToString([]byte("z" + mark)), "upper hex": strings.ToUpper(hex.EncodeToString([]byte(mark))), "url": "q=" + url.QueryEscape(mark),
	} {
		if len(leaks("before "+text+" after", []string{mark})) == 0 {
			t.Errorf("%s: not found", name)
		}
	}
	if found := leaks("nothing here", []string{mark}); len(found) > 0 {
		t.Errorf("found %v in nothing", found)
	}
}

// echoing answers with the caller's credentials in every form: a careless API, or
// one that wants them before the model.
func echoing(status int) func(w *world) http.Handler {
	return func(*world) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := r.Header.Get("Authorization")
			forms := strings.Join([]string{
				a, base64.StdEncoding.EncodeToString([]byte(a)), base64.RawURLEncoding.EncodeToString([]byte("x" + a)), base64.StdEncoding.EncodeToString([]byte("xy" + a)),
				hex.EncodeToString([]byte(a)), strings.ToUpper(hex.EncodeToString([]byte(a))), url.QueryEscape(a), url.PathEscape(a),
			}, " . ")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{
				"id": "doc_1", "title": "Echo " + a, "content": "The header was " + forms, "error_description": forms, "error": forms,
			})
		})
	}
}

// TestNoCredentialIsShown runs the command in every mode and searches everything
// that it lets out for every credential there was.
func TestNoCredentialIsShown(t *testing.T) {
	spans().Reset()
	const job = "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."
	for _, tt := range []struct {
		name string
		api  func(*world) http.Handler
		args []string
		deny bool
		code int
	}{
		{"success", nil, []string{job}, false, cli.ExitDone},
		{"success as JSON", nil, []string{"--json", job}, false, cli.ExitDone},
		{"success with debug log", nil, []string{"--debug", job}, false, cli.ExitDone},
		{"pending", nil, []string{"--debug", "--wait", "0s", "Summarize doc_7310"}, false, cli.ExitPending},
		{"denied", nil, []string{"--debug", "--wait", "30s", "Summarize doc_7310"}, true, cli.ExitDenied},
		{"API fails and echoes", echoing(500), []string{"--debug", job}, false, cli.ExitFailed},
		{"API refuses and echoes", echoing(403), []string{"--debug", "--json", job}, false, cli.ExitFailed},
		{"API answers and echoes", echoing(200), []string{"--debug", "Summarize doc_1"}, false, cli.ExitDone},
		{"API answers and echoes, JSON", echoing(200), []string{"--debug", "--json", "Summarize doc_1"}, false, cli.ExitDone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.api)
			if tt.deny {
				w.hijack(w.denying)
			}
			w.env[cli.EnvState] = filepath.Join(t.TempDir(), "state")
			got := w.run(append([]string{"run"}, tt.args...)...)
			if got.code != tt.code {
				t.Errorf("exit %d, want %d: %s", got.code, tt.code, got.stderr)
			}
			if len(w.credentials()) < 2 {
				t.Fatal("no token was issued, so nothing was tested")
			}
			for where, text := range map[string]string{
				"stdout": got.stdout, "stderr": got.stderr, "spans": fmt.Sprintf("%+v", spans().GetSpans()), "journal": files(t, w.env[cli.EnvState]),
			} {
				if found := leaks(text, w.credentials()); len(found) > 0 {
					t.Errorf("%s holds %v:\n%s", where, found, text)
				}
			}
		})
	}
	if len(spans().GetSpans()) == 0 {
		t.Error("no spans were recorded, so none were searched")
	}
}

// files is all that stands in the files below a directory.
func files(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all.Write(text)
		return err
	})
	if err != nil || !strings.Contains(all.String(), "task_opening") {
		t.Errorf("no journal was searched: %v", err)
	}
	return all.String()
}

// recordingModel calls one tool and keeps all that it is shown.
type recordingModel struct {
	call *genai.FunctionCall
	mu   sync.Mutex
	seen []string
}

func (*recordingModel) Name() string { return "recording" }

func (m *recordingModel) GenerateContent(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	text, err := json.Marshal(req)
	m.mu.Lock()
	m.seen = append(m.seen, string(text))
	first := len(m.seen) == 1
	m.mu.Unlock()
	return func(yield func(*model.LLMResponse, error) bool) {
		part := genai.NewPartFromText("done")
		if first {
			part = &genai.Part{FunctionCall: m.call}
		}
		yield(&model.LLMResponse{Content: &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{part}}, TurnComplete: true}, err)
	}
}

type leakyArgs struct {
	How string `json:"how"`
}

// leakyTool gets a grant and does with its token what no tool should.
func leakyTool(t *testing.T, logger *slog.Logger) tool.Tool {
	t.Helper()
	need := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1"}
	made, err := tools.New(tools.Spec[leakyArgs]{
		Name: "leaky", Description: "leaks", Logger: logger,
		Ceiling: func(leakyArgs) []rar.Detail { return []rar.Detail{need} },
	}, func(ctx tools.Context, a leakyArgs) (map[string]any, error) {
		grant, err := jit.Acquire(ctx, need)
		if err != nil {
			return nil, err
		}
		token := grant.Token.Reveal()
		switch a.How {
		case "panic":
			panic("lost my mind over " + token)
		case "error":
			return nil, fmt.Errorf("call with %s failed", token)
		}
		return map[string]any{"token": token, token: []any{map[string]any{"x": base64.StdEncoding.EncodeToString([]byte("ab" + token))}}, "grant": grant}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// TestNoCredentialReachesModelOrSession drives a tool that leaks on purpose and
// searches the model's messages, the session store, the events, the log and the
// spans.
func TestNoCredentialReachesModelOrSession(t *testing.T) {
	for _, how := range []string{"result", "error", "panic"} {
		t.Run(how, func(t *testing.T) {
			spans().Reset()
			w := newWorld(t, nil)
			var log logtest.Buffer
			logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			authority, err := lumoauth.New(lumoauth.Config{
				URL: w.env[cli.EnvURL], Org: w.env[cli.EnvOrg], ClientID: w.env[cli.EnvClientID], ClientSecret: secret.New(w.env[cli.EnvSecret]), Logger: logger,
			})
			if err != nil {
				t.Fatal(err)
			}
			engine, err := jit.New(jit.Config{Authority: authority, Logger: logger})
			if err != nil {
				t.Fatal(err)
			}
			llm := &recordingModel{call: &genai.FunctionCall{ID: "call_1", Name: "leaky", Args: map[string]any{"how": how}}}
			a, err := agent.New(agent.Config{Model: llm, Tools: []tool.Tool{leakyTool(t, logger)}})
			if err != nil {
				t.Fatal(err)
			}
			sessions := session.InMemoryService()
			r, err := runner.New(runner.Config{App: "test", Agent: a, Engine: engine, Sessions: sessions, Logger: logger, Limits: runner.Limits{Wall: time.Minute}})
			if err != nil {
				t.Fatal(err)
			}
			var events strings.Builder
			for e, err := range r.Run(t.Context(), runner.Input{Text: "go", Session: "s1"}) {
				fmt.Fprintf(&events, "%+v %v\n", e, err)
				if e != nil {
					line, err := runner.MarshalEvent(e)
					if err != nil {
						t.Fatal(err)
					}
					events.Write(line)
				}
			}
			got, err := sessions.Get(t.Context(), &session.GetRequest{AppName: "test", UserID: "user", SessionID: "s1"})
			if err != nil {
				t.Fatal(err)
			}
			var stored strings.Builder
			for ev := range got.Session.Events().All() {
				text, err := json.Marshal(ev)
				if err != nil {
					t.Fatal(err)
				}
				stored.Write(text)
			}
			if len(llm.seen) != 2 || len(w.credentials()) < 3 {
				t.Fatalf("%d model calls and %d credentials, want 2 and a grant among them", len(llm.seen), len(w.credentials()))
			}
			for where, text := range map[string]string{
				"the model's messages": strings.Join(llm.seen, "\n"), "events": events.String(), "session store": stored.String(),
				"log": log.String(), "spans": fmt.Sprintf("%+v", spans().GetSpans()),
			} {
				if found := leaks(text, w.credentials()); len(found) > 0 {
					t.Errorf("%s: %v:\n%s", where, found, text)
				}
			}
			if strings.Contains(strings.Join(llm.seen, ""), "goroutine") {
				t.Error("the model saw a stack")
			}
		})
	}
}
