package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/mux"
	"google.golang.org/adk/v2/cmd/launcher/web"
	"google.golang.org/adk/v2/cmd/launcher/web/api"
	"google.golang.org/adk/v2/cmd/launcher/web/webui"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
)

// A served is the application as the launcher serves it.
type served struct {
	*testing.T
	url     string
	secured bool
	page    string       // signs in who decides
	reports string       // the folder
	decides *http.Client // who decides; nil before they signed in

	mu    sync.Mutex
	lines []string // of narrate
	more  chan struct{}
}

// start serves what "web api webui" does, or "web secured".
func start(t *testing.T, behind bool) *served {
	t.Helper()
	s := &served{T: t, secured: behind, reports: t.TempDir(), more: make(chan struct{})}
	servers, err := dev.Start(t.Context(), dev.Config{Documents: &docapi.Config{Reports: s.reports}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := servers.Close(); err != nil {
			t.Error(err)
		}
	})
	s.page = servers.Auth.SignIn()
	a, err := open(t.Context(), servers, filepath.Join(t.TempDir(), "state"), func(user, _ string, e jit.Event) { narrate(s, user, e) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	router := web.BuildBaseRouter()
	server := httptest.NewServer(router)
	t.Cleanup(server.Close)
	s.url = server.URL
	if behind {
		s.mount(router, a, &secured{app: a, out: s}, "-url", s.url, "-users", s.users())
	} else {
		s.mount(router, a, api.NewLauncher())
		s.mount(router, a, webui.NewLauncher())
	}
	return s
}

func (s *served) mount(router *mux.Router, a *app, l web.Sublauncher, args ...string) {
	s.Helper()
	if _, err := l.Parse(args); err != nil {
		s.Fatal(err)
	}
	if err := l.SetupSubrouters(router, a.config()); err != nil {
		s.Fatal(err)
	}
}

// users is a file of the users ada, ben and mallory, whose tokens are their names.
func (s *served) users() string {
	path := filepath.Join(s.TempDir(), "users")
	var text string
	for _, user := range []string{"ada", "ben", "mallory"} {
		text += serve.Hash(secret.New(user)) + " " + user + "\n"
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}
	return path
}

// Write takes a line of narrate.
func (s *served) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, strings.TrimSpace(string(p)))
	close(s.more)
	s.more = make(chan struct{})
	return len(p), nil
}

// said returns what was narrated.
func (s *served) said() (lines []string, more <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.lines), s.more
}

// hears waits for a line.
func (s *served) hears(line string) {
	s.Helper()
	limit, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	for {
		lines, more := s.said()
		if slices.Contains(lines, line) {
			return
		}
		select {
		case <-more:
		case <-limit.Done():
			s.Fatalf("%q was not said: %q", line, lines)
		}
	}
}

func (s *served) do(client *http.Client, req *http.Request) (int, string) {
	s.Helper()
	resp, err := client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}

// as makes a request of a user's.
func (s *served) as(user, method, path string, body any) (int, string) {
	s.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.Fatal(err)
	}
	req, err := http.NewRequestWithContext(s.Context(), method, s.url+path, bytes.NewReader(text))
	if err != nil {
		s.Fatal(err)
	}
	if s.secured {
		req.Header.Set("Authorization", "Bearer "+user)
	}
	return s.do(http.DefaultClient, req)
}

const name = "protected_data_analyst"

// send sends a message of some parts.
func (s *served) send(route, user string, parts ...any) (int, string) {
	s.Helper()
	return s.as(user, http.MethodPost, "/api/"+route, map[string]any{
		"appName": name, "userId": user, "sessionId": "s", "newMessage": map[string]any{"role": "user", "parts": parts},
	})
}

func (s *served) begin(user string) {
	s.Helper()
	if status, answer := s.as(user, http.MethodPost, "/api/apps/"+name+"/users/"+user+"/sessions/s", map[string]any{}); status != http.StatusOK {
		s.Fatalf("the session was not made: %d %s", status, answer)
	}
}

func text(s string) any { return map[string]any{"text": s} }

// approves has a person approve, at the page, the request that an answer names.
func (s *served) approves(answer string) {
	s.Helper()
	id := regexp.MustCompile(`approve/(jit_\w+)`).FindStringSubmatch(answer)
	if id == nil {
		s.Fatalf("nothing is to be decided: %s", answer)
	}
	link, err := url.Parse(s.page)
	if err != nil {
		s.Fatal(err)
	}
	if s.decides == nil {
		jar, err := cookiejar.New(nil)
		if err != nil {
			s.Fatal(err)
		}
		s.decides = &http.Client{Jar: jar}
		s.form("http://"+link.Host+link.Path, link.Query())
	}
	at := "http://" + link.Host + "/approvals/" + id[1]
	page := s.form(at, nil)
	digest := regexp.MustCompile(`name="?digest"? value="?([^"> ]+)`).FindStringSubmatch(page)
	if digest == nil {
		s.Fatalf("the page has no request: %s", page)
	}
	if page = s.form(at, url.Values{"decision": {"approve"}, "digest": digest[1:]}); !strings.Contains(page, "Approved.") {
		s.Fatal(page)
	}
}

// form fills a form in as who decides, or gets a page where there is none.
func (s *served) form(at string, values url.Values) string {
	s.Helper()
	method := http.MethodGet
	if values != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(context.WithoutCancel(s.Context()), method, at, strings.NewReader(values.Encode()))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, page := s.do(s.decides, req)
	if status != http.StatusOK {
		s.Fatalf("%s: %d %s", at, status, page)
	}
	return page
}
