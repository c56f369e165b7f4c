package main

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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
	"github.com/jitagent/jitagent/jit/challenge"
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

// leaks returns the credentials that text holds, in whatever spelling: a run of 16
// characters of a credential's secret part, its signature if it has one, reversed or
// not, in base64, in hex or as it is, between whatever other characters.
func leaks(text string, credentials []string) []string {
	marks := map[int]map[string]string{} // runs by their length, and whose they are
	add := func(form, of string, n int) {
		for n = min(n, len(form)); len(form) >= n && n > 0; form = form[1:] {
			if marks[n] == nil {
				marks[n] = map[string]string{}
			}
			marks[n][form[:n]] = of
		}
	}
	for _, c := range credentials {
		secret := c[strings.LastIndexByte(c, '.')+1:]
		add(significant(secret), secret, 16)
		add(backwards(significant(secret)), secret, 16)
		add(hex.EncodeToString([]byte(secret)), secret, 32)
		for shift := range 3 {
			encoded := base64.RawURLEncoding.EncodeToString([]byte("xx"[:shift] + secret))
			add(encoded[min(4, len(encoded)):len(encoded)-1], secret, 24) // the ends mix with what is around
		}
	}
	var found []string
	for _, reading := range []string{significant(text), significant(undone(text)), strings.ToLower(significant(text))} {
		for n, known := range marks {
			for i := 0; i+n <= len(reading); i++ {
				if of, ok := known[reading[i:i+n]]; ok && !slices.Contains(found, of[:8]+"…") {
					found = append(found, of[:8]+"…")
				}
			}
		}
	}
	return found
}

var others = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// significant is text without the characters that no token has.
func significant(text string) string {
	return others.ReplaceAllLiteralString(strings.NewReplacer("+", "-", "/", "_").Replace(text), "")
}

func backwards(s string) string {
	b := []byte(s)
	slices.Reverse(b)
	return string(b)
}

var escapes = regexp.MustCompile(`%([0-9A-Fa-f]{2})|\\+u([0-9A-Fa-f]{4})|&(?:amp;)*#x([0-9a-f]+);|&(?:amp;)*#([0-9]+);|\\+[nrt]`)

// undone is text with the escapes of URLs, JSON and HTML read, also where they were
// escaped once more.
func undone(text string) string {
	return escapes.ReplaceAllStringFunc(text, func(escape string) string {
		m := escapes.FindStringSubmatch(escape)
		v, err := strconv.ParseUint(m[1]+m[2]+m[3], 16, 32)
		if m[4] != "" {
			v, err = strconv.ParseUint(m[4], 10, 32)
		}
		if err != nil || v >= 0x80 {
			return ""
		}
		return string(rune(v))
	})
}

// spellings are ways in which an API may write a token that it wants to be read.
func spellings(tok string) map[string]string {
	chunks := func(s string, n int, sep string) string {
		var all []string
		for chunk := range slices.Chunk([]byte(s), n) {
			all = append(all, string(chunk))
		}
		return strings.Join(all, sep)
	}
	each := func(format string) string {
		var b strings.Builder
		for _, c := range []byte(tok) {
			fmt.Fprintf(&b, format, c)
		}
		return b.String()
	}
	encoded := base64.StdEncoding.EncodeToString([]byte("Authorization: Bearer " + tok + " more"))
	return map[string]string{
		"as it is":              tok,
		"its dots escaped":      strings.ReplaceAll(url.QueryEscape(tok), ".", "%2E"),
		"escaped for a URL":     each("%%%02X"),
		"escaped for JSON":      each(`\u%04x`),
		"escaped for HTML":      each("&#%d;"),
		"base64":                encoded,
		"base64 URL, shifted":   base64.RawURLEncoding.EncodeToString([]byte("x" + tok)),
		"base64, shifted twice": base64.StdEncoding.EncodeToString([]byte("xy" + tok)),
		"base64, at 76":         chunks(encoded, 76, "\r\n"),
		"base64, as a string":   chunks(encoded, 76, `\n`),
		"hex":                   hex.EncodeToString([]byte(tok)),
		"upper hex, by twos":    strings.ToUpper(chunks(hex.EncodeToString([]byte(tok)), 2, " ")),
		"reversed":              backwards(tok),
		"spaced":                chunks(tok, 1, " "),
		"behind marks":          chunks(tok, 1, "%"),
		"other unused bits":     tok[:len(tok)-1] + string(tok[len(tok)-1]^1),
		"half of its signature": tok[len(tok)-40:],
	}
}

// TestLeaksFindsEveryForm checks the check.
func TestLeaksFindsEveryForm(t *testing.T) {
	random := sha512.Sum512([]byte("token"))
	signed := "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZ2VudF8xIn0." + base64.RawURLEncoding.EncodeToString(random[:])
	for name, text := range spellings(signed) {
		for where, text := range map[string]string{"text": text, "JSON": strconv.Quote(text), "JSON in a page": html.EscapeString(strconv.Quote(text))} {
			if len(leaks("before "+text+" after", []string{signed})) == 0 {
				t.Errorf("%s in %s: not found in %s", name, where, text)
			}
		}
	}
	const plain = "canary+token/0123456789=abcdef"
	for _, text := range []string{plain, url.QueryEscape(plain), hex.EncodeToString([]byte(plain))} {
		if len(leaks(text, []string{plain})) == 0 {
			t.Errorf("%s: not found", text)
		}
	}
	if found := leaks("nothing here, and what tokens share: "+signed[:40], []string{plain, signed}); len(found) > 0 {
		t.Errorf("found %v in nothing", found)
	}
}

// echoing answers with the caller's credentials in every spelling: a careless API, or
// one that wants them before the model. If it answers 200, it first demands what the
// calls of the tests may ask for, so that there is a grant to be echoed.
func echoing(status int) func(w *world) http.Handler {
	return func(world *world) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a := r.Header.Get("Authorization")
			var forms []string
			for _, form := range spellings(strings.TrimPrefix(a, "Bearer ")) {
				forms = append(forms, form)
			}
			status := status
			if status == http.StatusOK && !world.granted(a) {
				status = http.StatusForbidden
				need := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: path.Base(r.URL.Path)}
				if r.Method == http.MethodPost {
					need.Actions = []string{"write"}
				}
				text, err := json.Marshal(need)
				if err != nil {
					world.t.Error(err)
				}
				w.Header().Set(challenge.Header, base64.StdEncoding.EncodeToString(text))
			}
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]string{
				"id": "doc_1", "title": "Echo " + a, "content": "The header was " + strings.Join(forms, " . "), "error_description": backwards(a), // of errors only so much is shown
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
		{"API answers and echoes, and takes a report", echoing(200), []string{"--json", job}, false, cli.ExitDone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, tt.api)
			heard := w.listenedTo()
			if tt.deny {
				w.hijack(w.denying)
			}
			w.env[cli.EnvState] = filepath.Join(t.TempDir(), "state")
			got := w.run(append([]string{"run"}, tt.args...)...)
			if got.code != tt.code {
				t.Errorf("exit %d, want %d: %s", got.code, tt.code, got.stderr)
			}
			if len(w.credentials()) < 2 || !strings.Contains(heard.String(), "doc_") {
				t.Fatal("no token was issued or no model was asked, so nothing was tested")
			}
			for where, text := range map[string]string{
				"stdout": got.stdout, "stderr": got.stderr, "the model's messages": heard.String(), "spans": fmt.Sprintf("%+v", spans().GetSpans()), "journal": files(t, w.env[cli.EnvState]),
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
	if err != nil || !strings.Contains(all.String(), "task_opening") || !strings.Contains(all.String(), "invocation_id") {
		t.Errorf("no journal or no conversation was searched: %v", err)
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
