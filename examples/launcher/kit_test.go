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
	router := web.BuildBaseRouter()
	server := httptest.NewUnstartedServer(router)
	s.url = "http://" + server.Listener.Addr().String()
	var base *url.URL
	if behind {
		if base, err = url.Parse(s.url); err != nil {
			t.Fatal(err)
		}
		s.decides = &http.Client{Transport: as("rita")}
	}
	a, err := open(t.Context(), servers, filepath.Join(t.TempDir(), "state"), base, func(user, _ string, e jit.Event) { narrate(s, user, e) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	server.Start()
	t.Cleanup(server.Close)
	if behind {
		s.mount(router, a, &secured{app: a, out: s, users: s.users()})
	} else {
		s.mount(router, a, api.NewLauncher())
		s.mount(router, a, webui.NewLauncher())
	}
	return s
}

func (s *served) mount(router *mux.Router, a *app, l web.Sublauncher) {
	s.Helper()
	if _, err := l.Parse(nil); err != nil {
		s.Fatal(err)
	}
	if err := l.SetupSubrouters(router, a.config()); err != nil {
		s.Fatal(err)
	}
}

// users is a file of the users ada, ben and mallory, and of rita, who decides. Their tokens
// are their names.
func (s *served) users() string {
	path := filepath.Join(s.TempDir(), "users")
	var text string
	for _, user := range []string{"ada", "ben", "mallory", "rita approvers"} {
		name, _, _ := strings.Cut(user, " ")
		text += serve.Hash(secret.New(name)) + " " + user + "\n"
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

// approves has a person approve, at the page, the request that an answer names: that of the
// application, or of the authorization server where nobody is known to the application.
func (s *served) approves(answer string) {
	s.Helper()
	found := regexp.MustCompile(`(http://[^ "]+/)(approve|approvals)/(jit_\w+)`).FindStringSubmatch(answer)
	if found == nil || (found[1] == s.url+"/") != s.secured {
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
	at := "http://" + link.Host + "/approvals/" + found[3]
	if s.secured {
		at = found[0]
		if status, page := s.as("ben", http.MethodGet, "/approvals/"+found[3], nil); status != http.StatusForbidden {
			s.Errorf("who does not decide is answered %d: %s", status, page)
		}
	}
	page := s.form(at, nil)
	if !strings.Contains(page, "task") || strings.Contains(page, name+" (task_") {
		s.Errorf("the page does not say for which message: %s", page)
	}
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
