package docapi

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

var noon = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// A fakeVerifier knows tokens by name. The real one has its own tests, and one
// here at the end.
type fakeVerifier struct {
	base string
}

func (v *fakeVerifier) Verify(_ context.Context, r *http.Request) (*resource.Token, error) {
	name, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, resource.ErrNoToken
	}
	grant := func(client, action, identifier string) *resource.Token {
		return &resource.Token{ClientID: client, TaskID: "task_1", JIT: true, Details: []rar.Detail{{
			Type: "file_access", Actions: []string{action}, Identifier: identifier, Locations: []string{v.base},
		}}}
	}
	if name == "down" {
		return nil, resource.ErrUnavailable
	}
	if name == "base" {
		return &resource.Token{Subject: "agent:analyst", AgentID: "agt_1"}, nil
	}
	if name == "search" {
		return grant("analyst", "search", "documents"), nil
	}
	if id, ok := strings.CutPrefix(name, "read-"); ok {
		return grant("analyst", "read", id), nil
	}
	if client, ok := strings.CutPrefix(name, "writer-"); ok {
		return grant(client, "write", "reports"), nil
	}
	return nil, resource.ErrInvalidToken
}

// A fixture is a Server on a loopback socket.
type fixture struct {
	t       *testing.T
	url     string
	server  *Server
	reports string
	log     *syncBuffer

	mu    sync.Mutex
	clock time.Time
}

func (f *fixture) now() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.clock
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.clock = f.clock.Add(d)
}

// serveAPI starts a Server whose configuration change may alter.
func serveAPI(t *testing.T, change func(*Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, log: &syncBuffer{}, clock: noon}
	ts := httptest.NewUnstartedServer(nil)
	f.url = "http://" + ts.Listener.Addr().String()
	cfg := Config{
		BaseURL:  f.url,
		Reports:  filepath.Join(t.TempDir(), "reports"),
		Verifier: &fakeVerifier{base: f.url},
		Logger:   slog.New(slog.NewTextHandler(f.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:      f.now,
	}
	if change != nil {
		change(&cfg)
	}
	f.reports = cfg.Reports
	s, err := New(cfg)
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	f.server = s
	ts.Config = serve.New(s, ts.Listener, "http://x", slog.New(slog.DiscardHandler))
	ts.Start()
	t.Cleanup(func() {
		ts.Close()
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return f
}

// A reply is an answer that was read whole.
type reply struct {
	status int
	header http.Header
	body   string
}

// send makes a request; header holds names and values in turn.
func (f *fixture) send(method, path, token, body string, header ...string) reply {
	f.t.Helper()
	req, err := http.NewRequestWithContext(f.t.Context(), method, f.url+path, strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(header); i += 2 {
		req.Header[header[i]] = append(req.Header[header[i]][:0:0], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req) // follows no redirect
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

func (f *fixture) post(key, body string) reply {
	f.t.Helper()
	return f.send(http.MethodPost, "/v1/reports", "writer-analyst", body, "Idempotency-Key", key)
}

// files returns the names of all files in the reports directory, hidden ones
// included; none when there is no directory.
func (f *fixture) files() []string {
	f.t.Helper()
	entries, err := os.ReadDir(f.reports)
	if err != nil && !os.IsNotExist(err) {
		f.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
