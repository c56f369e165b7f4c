package lumodev

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

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
			if !strings.Contains(text, "lumodev (development only) is listening") {
				t.Error("the log does not say that this is for development")
			}
		})
	}
}

func TestObserve(t *testing.T) {
	var mu sync.Mutex
	var seen []Request
	e := start(t, func(c *Config) {
		c.Observe = func(r Request) {
			mu.Lock()
			defer mu.Unlock()
			r.Duration = 0
			seen = append(seen, r)
		}
	})
	token := e.login(DefaultAgentClientID)
	task := e.task(token)
	e.get("jit/pending?limit=1", e.reviewerToken())
	e.get("agents/me/approvals/some-secret/status", token)
	e.get("/.well-known/jwks.json", "")
	e.get("/other", "")
	e.prefix = old
	e.post("jit/task/"+task+"/complete", token, nil)
	e.post("jit/task", "x", nil)

	want := []Request{
		{"POST", orgs + "/oauth/token", 200, "analyst", 0},
		{"POST", orgs + "/jit/task", 201, "analyst", 0},
		{"GET", orgs + "/jit/pending", 200, "user:1", 0},
		{"GET", orgs + "/agents/me/approvals/{token}/status", 404, "analyst", 0},
		{"GET", "/.well-known/jwks.json", 200, "", 0},
		{"GET", "unmatched", 404, "", 0},
		{"POST", old + "/jit/task/" + task + "/complete", 200, "analyst", 0},
		{"POST", old + "/jit/task", 401, "", 0},
	}
	mu.Lock()
	defer mu.Unlock()
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Errorf("observed (-want +got):\n%s", diff)
	}
}

func TestRateLimit(t *testing.T) {
	e := start(t, func(c *Config) { c.RateLimit = &RateLimit{Token: 5, API: 4, Unauthed: 3} })
	token, other := e.login(DefaultAgentClientID), e.login("other")
	check := func(a *answer, status int, limit, remaining string) {
		t.Helper()
		h := a.header
		if a.status != status || h.Get("X-RateLimit-Limit") != limit || h.Get("X-RateLimit-Remaining") != remaining || h.Get("X-RateLimit-Reset") == "" {
			t.Errorf("got %d, limit %s, remaining %s, reset %q, want %d, %s, %s",
				a.status, h.Get("X-RateLimit-Limit"), h.Get("X-RateLimit-Remaining"), h.Get("X-RateLimit-Reset"), status, limit, remaining)
		}
	}
	for _, remaining := range []string{"3", "2", "1", "0"} {
		check(e.get("agents/me", token), 200, "4", remaining)
	}
	a := e.get("agents/me", token)
	check(a, 429, "4", "0")
	want := map[string]any{
		"error": codeRateLimited, "code": codeRateLimited, "status": 429.0, "retry_after": 15.0,
		"error_description": "too many requests: wait 15 s", "message": "too many requests: wait 15 s",
	}
	if diff := cmp.Diff(want, a.obj); diff != "" || a.header.Get("Retry-After") != "15" {
		t.Errorf("Retry-After %q, body (-want +got):\n%s", a.header.Get("Retry-After"), diff)
	}
	check(e.get("agents/me", other), 200, "4", "3")
	for _, status := range []int{401, 404, 401, 429} {
		path := "agents/me"
		if status == 404 {
			path = "nothing"
		}
		if a := e.get(path, "x"); a.status != status || a.header.Get("X-RateLimit-Limit") != "3" {
			t.Errorf("without a token: %d, limit %s, want %d, 3", a.status, a.header.Get("X-RateLimit-Limit"), status)
		}
	}
	for range 4 {
		e.login(DefaultAgentClientID)
	}
	check(e.post("oauth/token", "", url.Values{"client_id": {DefaultAgentClientID}}), 429, "5", "0")
	check(e.post("oauth/token", "", url.Values{"client_id": {"other"}}), 400, "5", "3")
	e.clock.Advance(15e9)
	check(e.get("agents/me", token), 200, "4", "0")

	if h := start(t, nil).get("/.well-known/jwks.json", "").header; h.Get("X-RateLimit-Limit") != "" {
		t.Error("rate limit headers although it is off")
	}
}

// TestRateLimitMemoryIsBounded has more strangers than buckets.
func TestRateLimitMemoryIsBounded(t *testing.T) {
	now := newClock()
	l := newLimits(RateLimit{Unauthed: 2})
	take := func(host int) error {
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
		r.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:1", host)
		return l.take(&call{r: r, now: now.Now(), header: http.Header{}})
	}
	for host := range maxBuckets {
		if err := take(host); err != nil {
			t.Fatal(err)
		}
	}
	for host := range 3 {
		if err := take(maxBuckets + host); (err != nil) != (host == 2) {
			t.Errorf("stranger %d over the bound: %v", host, err)
		}
	}
	if n := len(l.buckets); n > maxBuckets+1 {
		t.Errorf("%d buckets", n)
	}
	now.Advance(time.Minute)
	if err := take(2 * maxBuckets); err != nil || len(l.buckets) != 1 {
		t.Errorf("a minute later: %v, %d buckets", err, len(l.buckets))
	}
}
