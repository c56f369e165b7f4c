package dev_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/resource"
)

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// checkHosts: a page of a name that was pointed at this machine reads nothing here, on
// any path.
func checkHosts(t *testing.T, base string) {
	t.Helper()
	for host, misdirected := range map[string]bool{
		"": false, "localhost": false, "LOCALHOST:1": false, "127.0.0.2:80": false, "[::1]:9": false,
		"rebound.example": true, "rebound.example:80": true, "127.0.0.1.rebound.example": true, "localhost.rebound.example": true, "192.0.2.1": true,
		"127.0.0.1@rebound.example": true, "0.0.0.0": true, "[::]": true, "[::ffff:127.0.0.1]": false,
	} {
		for _, path := range []string{"/", "/v1/documents", "/orgs/acme-corp/api/v1/oauth/token", "/.well-known/jwks.json"} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Host = host
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if (resp.StatusCode == http.StatusMisdirectedRequest) != misdirected && resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s%s with Host %q = %d, want misdirected: %t", base, path, host, resp.StatusCode, misdirected)
			}
		}
	}
}

// TestStart starts all three, logs in by what they say, and finds nobody listening
// after Close.
func TestStart(t *testing.T) {
	hello := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "a model") })
	s, err := dev.Start(t.Context(), dev.Config{Documents: &docapi.Config{Reports: t.TempDir()}, Model: hello})
	if err != nil {
		t.Fatal(err)
	}
	client, err := lumoauth.New(s.Client())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.AgentToken(t.Context()); err != nil {
		t.Errorf("AgentToken() = %v", err)
	}
	if status, _ := get(t, s.API.JoinPath("v1/documents/doc_9982").String()); status != http.StatusUnauthorized {
		t.Errorf("a document without a token: %d, want 401", status)
	}
	if _, body := get(t, s.Model.String()); body != "a model" {
		t.Errorf("the model says %q", body)
	}
	for _, base := range []string{s.AuthURL, s.API.String(), s.Model.String()} {
		checkHosts(t, base)
	}
	hosts := []string{s.API.Host, s.Model.Host}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	}
	for _, host := range hosts {
		if l, err := net.Listen("tcp", host); err != nil {
			t.Errorf("after Close: %v", err)
		} else {
			_ = l.Close()
		}
	}
}

// TestFailedStart leaves nobody listening: the port of what had started is free.
// Servers come back at the addresses where they were, and at others where somebody else
// listens by now.
func TestAddressesAreKept(t *testing.T) {
	cfg := dev.Config{Documents: &docapi.Config{}, StateDir: t.TempDir()}
	if err := os.Chmod(cfg.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	start := func() (*dev.Servers, string) {
		s, err := dev.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		return s, s.AuthURL + " " + s.API.String()
	}
	s, first := start()
	if _, err := dev.Start(t.Context(), cfg); !errors.Is(err, lumodev.ErrInUse) {
		t.Errorf("a second one at once: %v, want ErrInUse", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, again := start()
	if again != first {
		t.Errorf("the next time: %s, want %s", again, first)
	}
	taken := s.API.Host
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := serve.Listen(taken, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s, other := start()
	defer func() { _ = s.Close() }()
	if other == first {
		t.Errorf("though somebody listens there: %s", other)
	}
}

func TestFailedStart(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no such API")
	for name, cfg := range map[string]dev.Config{
		"api":    {API: func(*resource.Verifier, string) (http.Handler, error) { return nil, broken }},
		"two":    {API: func(*resource.Verifier, string) (http.Handler, error) { return nil, nil }, Documents: &docapi.Config{}},
		"remote": {Model: http.NotFoundHandler(), ModelAddr: "0.0.0.0:0"},
	} {
		cfg.AuthAddr = addr
		if _, err := dev.Start(t.Context(), cfg); err == nil {
			t.Errorf("%s: it started", name)
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatalf("%s: the port is taken: %v", name, err)
		}
		_ = l.Close()
	}
}
