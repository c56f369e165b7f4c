//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// A standard is an authorization server that is not of this project, npm's
// oidc-provider, with the documents API behind it.
type standard struct {
	issuer, api, reports, state string
	binary                      string
	env                         []string
}

// clientSecret has what the encodings of RFC 6749, section 2.3.1, change.
func clientSecret(client string) string { return "the secret of " + client + ": long & 'odd'" }

// startStandard starts the server from the folder OIDC_PROVIDER, with tokens that are
// opaque or JWTs.
func startStandard(t *testing.T, binary, format string) *standard {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &standard{binary: binary, api: "http://" + l.Addr().String(), reports: t.TempDir(), state: filepath.Join(t.TempDir(), "state")}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "servers", "oidc-provider.mjs"), os.Getenv("OIDC_PROVIDER"), s.api, format)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var said struct{ Issuer string }
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil {
		t.Fatalf("oidc-provider did not start: %v", err)
	}
	s.issuer = said.Issuer
	trust := resource.Active
	if format == "jwt" {
		trust = resource.Signed
	}
	guard, err := resource.New(t.Context(), resource.Config{
		Issuer: s.issuer, Audience: s.api, Trust: trust, ClientID: "docapi", ClientSecret: secret.New(clientSecret("docapi")),
	})
	if err != nil {
		t.Fatal(err)
	}
	docs, err := docapi.New(docapi.Config{BaseURL: s.api, Reports: s.reports, Verifier: guard})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(docs)
	_ = server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(func() { server.Close(); _ = docs.Close() })
	s.env = append(os.Environ(),
		"OAUTH_ISSUER="+s.issuer, "OAUTH_CLIENT_ID=analyst", "OAUTH_CLIENT_SECRET="+clientSecret("analyst"), "OAUTH_TYPES=file_access",
		"ANALYST_API_URL="+s.api, "ANALYST_STATE_DIR="+s.state)
	return s
}

// analyst runs the program and returns what it wrote.
func (s *standard) analyst(ctx context.Context, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = append(s.env, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// job is the analyst's whole job; mode is OAUTH_MODE.
func (s *standard) job(ctx context.Context, mode string, env ...string) (string, error) {
	return s.analyst(ctx, append(env, "OAUTH_MODE="+mode), "run", "--on-behalf-of", "ada@example.com", "--wait", "50s",
		"Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'.")
}

// ask posts to what the server has for tests.
func (s *standard) ask(t *testing.T, path, body string, answer any) {
	t.Helper()
	resp, err := http.DefaultClient.Post(s.issuer+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		t.Fatal(err)
	}
}

// live counts the tokens that allow something and that introspection says are active.
func (s *standard) live(t *testing.T) (issued, alive int) {
	t.Helper()
	var tokens []string
	s.ask(t, "/_test/tokens", "", &tokens)
	for _, token := range tokens {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, s.issuer+"/token/introspection", strings.NewReader(url.Values{"token": {token}}.Encode()))
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.SetBasicAuth("docapi", url.QueryEscape(clientSecret("docapi")))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !bytes.Contains(body, []byte(`"active"`)) {
			t.Fatalf("introspection: %s", body)
		}
		if bytes.Contains(body, []byte(`"active":true`)) {
			alive++
		}
	}
	return len(tokens), alive
}

// person decides whatever comes until the test is over.
func (s *standard) person(t *testing.T, approve bool) {
	body, _ := json.Marshal(map[string]bool{"approve": approve})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for tick := time.NewTicker(200 * time.Millisecond); ctx.Err() == nil; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if resp, err := http.DefaultClient.Post(s.issuer+"/_test/decide", "application/json", bytes.NewReader(body)); err == nil {
				_ = resp.Body.Close()
			}
		}
	}()
}

func (s *standard) reported() bool {
	files, _ := filepath.Glob(filepath.Join(s.reports, "*.md"))
	return len(files) == 1
}

// dying builds the program that can be killed at a point.
func dying(t *testing.T) string {
	t.Helper()
	if os.Getenv("OIDC_PROVIDER") == "" {
		t.Skip("no server: npm install --prefix V oidc-provider@9.13.3 && OIDC_PROVIDER=$PWD/V go test ./cmd/analyst -run TestStandardServer")
	}
	binary := filepath.Join(t.TempDir(), "analyst")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "failpoints", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// TestStandardServer runs the analyst's whole job on oidc-provider, by client credentials
// and by asking a person (CIBA), and kills it. Nothing that allows anything outlives it.
func TestStandardServer(t *testing.T) {
	binary := dying(t)
	for _, tt := range []struct {
		name, mode string
		set        string // what the server is told first
		approve    bool   // what the person says; with "expired" and client credentials there is none
		works      bool
		says       string
	}{
		{"client credentials", "client_credentials", ``, false, true, "tokens revoked"},
		{"approved", "ciba", ``, true, true, "tokens revoked"},
		{"denied", "ciba", ``, false, false, "denied"},
		{"expired", "ciba", `{"ttl": 3}`, false, false, "expired"},
		{"lost poll answer", "ciba", `{"lose": true}`, true, false, "expires by itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startStandard(t, binary, "opaque")
			if tt.set != "" {
				s.ask(t, "/_test/set", tt.set, &struct{}{})
			}
			if tt.mode == "ciba" && tt.name != "expired" {
				s.person(t, tt.approve)
			}
			out, err := s.job(t.Context(), tt.mode)
			if (err == nil) != tt.works || s.reported() != tt.works || !strings.Contains(out, tt.says) {
				t.Errorf("the job: %v, report written: %v; want %v and %q\n%s", err, s.reported(), tt.works, tt.says, out)
			}
			if issued, alive := s.live(t); alive != 0 || tt.works && issued < 2 {
				t.Errorf("%d of %d tokens outlive the task\n%s", alive, issued, out)
			}
		})
	}
	for _, mode := range []string{"client_credentials", "ciba"} {
		for _, point := range []string{"authority.requested", "authority.token_issued", "api.get.answered:2", "authority.completing", "authority.completed"} {
			t.Run(mode+"/"+point, func(t *testing.T) {
				t.Parallel()
				s := startStandard(t, binary, "opaque")
				s.person(t, true)
				out, err := s.job(t.Context(), mode, "ANALYST_FAILPOINT="+point)
				if !killed(err) {
					t.Fatalf("it did not die: %v\n%s", err, out)
				}
				s.recovers(t)
			})
		}
	}
	t.Run("in the middle of a poll", func(t *testing.T) {
		t.Parallel()
		s := startStandard(t, binary, "opaque")
		s.person(t, true)
		s.ask(t, "/_test/set", `{"hold": true}`, &struct{}{})
		ctx, kill := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { _, err := s.job(ctx, "ciba"); over <- err }()
		var mood struct{ Held bool } // it has answered, and nobody has read that
		for tick := time.NewTicker(100 * time.Millisecond); !mood.Held; <-tick.C {
			s.ask(t, "/_test/set", "{}", &mood)
		}
		kill()
		if err := <-over; !killed(err) {
			t.Fatalf("it did not die: %v", err)
		}
		if issued, alive := s.live(t); issued != 1 || alive != 1 {
			t.Errorf("%d of %d tokens alive, want one", alive, issued)
		}
		s.recovers(t)
	})
	// The server cannot revoke these, and the API asks nobody.
	t.Run("JWTs", func(t *testing.T) {
		t.Parallel()
		s := startStandard(t, binary, "jwt")
		out, err := s.job(t.Context(), "client_credentials")
		if err != nil || !s.reported() || !strings.Contains(out, "0 tokens revoked; what the server cannot revoke expires by itself at") {
			t.Errorf("the job: %v\n%s", err, out)
		}
		for _, args := range [][]string{{"explain", "last"}, {"tasks", "show", "last"}, {"doctor"}} {
			want := map[string]string{"doctor": "no promise"}[args[0]]
			if out, err := s.analyst(t.Context(), nil, args...); err != nil || !strings.Contains(out, cmp.Or(want, "expires")) {
				t.Errorf("%v: %v\n%s", args, err, out)
			}
		}
	})
}

// recovers has the next command give back what is left.
func (s *standard) recovers(t *testing.T) {
	t.Helper()
	issued, before := s.live(t)
	ctx, enough := context.WithTimeout(t.Context(), time.Minute) // it would try again and again
	defer enough()
	out, err := s.analyst(ctx, nil, "sweep")
	if _, alive := s.live(t); err != nil || alive != 0 {
		t.Errorf("after recovery %d tokens alive, of %d before and %d in all: %v\n%s", alive, before, issued, err, out)
	}
	if list, err := s.analyst(t.Context(), nil, "tasks"); err != nil || !strings.Contains(list, "completed") {
		t.Errorf("tasks: %v\n%s", err, list)
	}
}

func killed(err error) bool {
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}
