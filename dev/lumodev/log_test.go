package lumodev

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/internal/logtest"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// TestLogsHoldNoSecret drives every endpoint, in the right and in the wrong way,
// with marked secrets, and looks for the marks.
func TestLogsHoldNoSecret(t *testing.T) {
	for name, handler := range map[string]func(*logtest.Buffer) slog.Handler{
		"text": func(b *logtest.Buffer) slog.Handler {
			return slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
		"json": func(b *logtest.Buffer) slog.Handler {
			return slog.NewJSONHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})
		},
	} {
		t.Run(name, func(t *testing.T) {
			var log logtest.Buffer
			e := start(t, func(c *Config) {
				c.Logger = slog.New(handler(&log))
				c.Agents[0].ClientSecret = secret.New("canary-agent-secret")
				c.ResourceServers[0].ClientSecret = secret.New("canary-rs-secret")
				c.Risk.Assess = func(d rar.Detail) Risk {
					if d.Type == "panic" {
						panic("canary-panic")
					}
					return ""
				}
			})
			secrets := []string{"canary"}
			for _, a := range append(everySuccess(e), everyError(e)...) {
				for _, name := range []string{"access_token", "approval_token"} {
					if v := a.str(name); v != "" {
						secrets = append(secrets, v)
					}
				}
			}
			token := e.login(DefaultAgentClientID)
			secrets = append(secrets, token, e.reviewerToken())
			e.wantError(500, codeServerError, e.post("jit/request", token, `{"task_id":"canary","authorization_details":{"type":"panic"}}`))
			e.post("jit/task", token, `{"name":"canary-body"}`)
			// Secrets in places where they do not belong.
			e.get("agents/me?access_token=canary-query", token)
			e.get("jit/request/canary-path/status", token)
			e.post("jit/task/"+token+"/complete", token, nil)
			e.get("canary/unknown", token)
			e.get("/orgs/canary-org/api/v1/jit/pending", token)
			e.send("CANARY", "jit/pending", token, nil)
			e.send("POST", "oauth/token", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {"canary-client"}, "client_secret": {"canary"}})
			e.send("POST", "oauth/token", "", nil, func(r *http.Request) { r.SetBasicAuth("canary-user", "canary-basic") })

			text := strings.ToLower(log.String())
			if strings.Count(text, "request") < 60 {
				t.Fatalf("too few log lines:\n%s", text)
			}
			for _, s := range secrets {
				for _, form := range []string{
					s, base64.StdEncoding.EncodeToString([]byte(s)), hex.EncodeToString([]byte(s)), url.QueryEscape(s),
				} {
					if strings.Contains(text, strings.ToLower(form)) {
						t.Errorf("the log holds %.20s...", form)
					}
				}
			}
			if !strings.Contains(text, "lumodev (development only) starts") {
				t.Error("the log does not say that this is for development")
			}
		})
	}
}

// TestLogLines: one for each request, with what may be told of its path.
func TestLogLines(t *testing.T) {
	var log logtest.Buffer
	e := start(t, func(c *Config) { c.Logger = slog.New(slog.NewJSONHandler(&log, nil)) })
	token := e.login(DefaultAgentClientID)
	task := e.task(token)
	e.get("jit/pending?limit=1", e.reviewerToken())
	e.get("agents/me/approvals/some-secret/status", token)
	e.get("/.well-known/jwks.json", "")
	e.get("/other", "")
	e.get("/orgs/other/api/v1/agents/me", "")
	e.prefix = old
	e.post("jit/task/"+task+"/complete", token, nil)
	e.post("jit/task", "x", nil)

	type line struct {
		Method, Path string
		Status       int
		Client       string
	}
	want := []line{
		{"POST", orgs + "/oauth/token", 200, "analyst"},
		{"POST", orgs + "/jit/task", 201, "analyst"},
		{"GET", orgs + "/jit/pending", 200, "user:1"},
		{"GET", orgs + "/agents/me/approvals/{token}/status", 404, "analyst"},
		{"GET", "/.well-known/jwks.json", 200, ""},
		{"GET", "unmatched", 404, ""},
		{"GET", "/orgs/{org}/api/v1/agents/me", 404, ""},
		{"POST", old + "/jit/task/" + task + "/complete", 200, "analyst"},
		{"POST", old + "/jit/task", 401, ""},
	}
	var seen []line
	for text := range strings.Lines(log.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatal(err)
		}
		if l.Method != "" {
			seen = append(seen, l)
		}
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}
