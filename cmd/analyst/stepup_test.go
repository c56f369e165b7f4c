package main

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// What an API wants that cannot be asked for is told wherever a run is told of. A login
// has a state of its own, since nobody can approve it.
func TestWhatCannotBeAskedForIsTold(t *testing.T) {
	for _, tt := range []struct {
		name, field  string
		code         int
		status, tell string // of the call, and in the timeline
		say          string // last of all
		story        string
	}{
		{
			"login", `Bearer error="insufficient_user_authentication", acr_values="gold", max_age=300`, cli.ExitLogin,
			"login_required", "refused   403 GET /v1/documents/doc_9982; insufficient_user_authentication: gold, at most 5m0s ago",
			"a login is required: fetch_document: the API wants the user to log in anew, which the agent cannot do (insufficient_user_authentication: gold, at most 5m0s ago)",
			"Nothing is asked for: “insufficient_user_authentication: gold, at most 5m0s ago”.",
		},
		{
			"scopes, not which", `Bearer error="insufficient_scope"`, cli.ExitDenied, "denied", "doc_9982; insufficient_scope",
			"authority denied: fetch_document: the API wants scopes and does not say which", "Nothing is asked for: “insufficient_scope”.",
		},
		{
			"unreadable", `Bearer error="insufficient_authorization"`, cli.ExitFailed, "failed", "doc_9982; malformed header: authorization_remediation: not base64url",
			"fetch_document failed: the API refused the call, and what it demands cannot be read", "Nothing is asked for: “malformed header",
		},
		{
			"scopes, outside", `Bearer error="insufficient_scope", scope="files:read"`, cli.ExitDenied, "denied", "it demands scopes files:read",
			"authority denied: fetch_document: the API demanded more authority than this call may ever ask for", "It demands scopes files:read.",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t, func(*world) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("WWW-Authenticate", tt.field)
					w.WriteHeader(http.StatusForbidden)
				})
			})
			w.env[cli.EnvState] = filepath.Join(t.TempDir(), "state")
			plain, asJSON := w.run("run", "Summarize doc_9982"), w.run("run", "--json", "Summarize doc_9982")
			for _, got := range []result{plain, asJSON} {
				if got.code != tt.code || !strings.Contains(got.stderr, tt.say) {
					t.Errorf("exit %d, want %d and %q:\n%s", got.code, tt.code, tt.say, got.stderr)
				}
			}
			if !strings.Contains(plain.stderr, tt.tell) {
				t.Errorf("the timeline does not say %q:\n%s", tt.tell, plain.stderr)
			}
			if !strings.Contains(asJSON.stdout, `"status":"`+tt.status+`"`) || !strings.Contains(asJSON.stdout, `"outcome":"`+tt.status+`"`) {
				t.Errorf("the events do not say %s:\n%s", tt.status, asJSON.stdout)
			}
			story := strings.Join(strings.Fields(w.run("explain").stdout), " ")
			if !strings.Contains(story, tt.story) || !strings.Contains(story, strings.ReplaceAll(tt.status, "_", " ")) {
				t.Errorf("explain does not say %q and %s:\n%s", tt.story, tt.status, story)
			}
			if w.asked() != 0 {
				t.Errorf("%d requests for authority", w.asked())
			}
		})
	}
}
