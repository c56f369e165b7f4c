package main

import (
	"net/http"
	"path"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// TestRefusalsAreWorded: what an authorization server refuses or shortens is said with
// what the person typed or set, and ends with the documented code.
func TestRefusalsAreWorded(t *testing.T) {
	for _, tt := range []struct {
		name  string
		args  []string
		env   map[string]string
		front func(*world) func(http.Handler) http.Handler // of the authorization server
		code  int
		say   []string // on stderr
	}{
		{
			name: "wrong secret", env: map[string]string{cli.EnvSecret: "wrong-secret-canary"}, code: cli.ExitFailed,
			say: []string{"analyst: log in at http://", "401 Unauthorized: invalid_client", "check the client id and secret, AGENT_CLIENT_ID and AGENT_CLIENT_SECRET"},
		},
		{
			name: "unknown user", args: []string{"--on-behalf-of", "nobody@acme.test"}, code: cli.ExitFailed,
			say: []string{"task      none was opened", "did not open the task", "names no user who lets this agent act for them"},
		},
		{
			name: "suspended while it asks", front: suspending("request"), code: cli.ExitFailed,
			say: []string{"suspended"},
		},
		{
			name: "suspended before its token", front: suspending("token"), code: cli.ExitFailed,
			say: []string{"did not issue the token: the request is expired, not approved"},
		},
		{name: "lifetime under a second", args: []string{"--ttl", "500ms"}, code: cli.ExitUsage, say: []string{"--ttl is a whole number of seconds, at least 1s"}},
		{name: "lifetime over the server's", args: []string{"--ttl", "30m"}, code: cli.ExitDone, say: []string{"for 15m0s of the 30m0s that were asked for", "token lives 15m0s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, nil)
			for name, value := range tt.env {
				w.env[name] = value
			}
			if tt.front != nil {
				w.hijack(tt.front(w))
			}
			got := w.run(append([]string{"run"}, append(tt.args, "Summarize doc_9982")...)...)
			if got.code != tt.code {
				t.Errorf("exit %d, want %d", got.code, tt.code)
			}
			for _, say := range tt.say {
				if !strings.Contains(got.stderr, say) {
					t.Errorf("stderr does not say %q", say)
				}
			}
			if strings.Contains(got.stdout+got.stderr, "canary") {
				t.Error("the secret is in the output")
			}
			if t.Failed() || testing.Verbose() {
				t.Logf("stdout:\n%s\nstderr:\n%s", got.stdout, got.stderr)
			}
		})
	}
}

// suspending suspends every task when an address that ends in last is called.
func suspending(last string) func(*world) func(http.Handler) http.Handler {
	return func(w *world) func(http.Handler) http.Handler {
		return func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				for _, task := range w.auth.Snapshot().Tasks {
					if path.Base(r.URL.Path) == last {
						if err := w.auth.Suspend(task.ID); err != nil {
							w.t.Error(err)
						}
					}
				}
				next.ServeHTTP(rw, r)
			})
		}
	}
}
