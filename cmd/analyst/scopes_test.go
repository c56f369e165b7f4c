package main

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// An API that knows scopes and no details, and a standard server: what the operator's file
// allows is asked for and no more, and LumoAuth is never asked for scopes.
func TestScopesOfAnAPI(t *testing.T) {
	var asked, revoked []string
	server := httptest.NewServer(nil)
	t.Cleanup(server.Close)
	scopes := map[string]string{} // of tokens
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "application/json")
		switch r.URL.Path {
		case "/token":
			scope := r.PostForm.Get("scope")
			token := fmt.Sprint("token-canary-", len(asked), rand.Text())
			if scopes[token] = scope; scope != "" {
				asked = append(asked, scope)
			}
			_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":300,"scope":%q}`, token, scope)
		case "/introspect":
			scope, active := scopes[r.PostForm.Get("token")]
			_, _ = fmt.Fprintf(w, `{"active":%t,"scope":%q,"client_id":"analyst","exp":9000000000}`, active, scope)
		case "/revoke":
			revoked = append(revoked, scopes[r.PostForm.Get("token")])
			delete(scopes, r.PostForm.Get("token"))
		default:
			_, _ = fmt.Fprintf(w, `{"issuer":%[1]q,"token_endpoint":"%[1]s/token","introspection_endpoint":"%[1]s/introspect","revocation_endpoint":"%[1]s/revoke"}`, server.URL)
		}
	})
	verifier, err := resource.New(t.Context(), resource.Config{
		Issuer: server.URL, Trust: resource.Active, ClientID: "docapi", ClientSecret: secret.New("x"),
	})
	if err != nil {
		t.Fatal(err)
	}
	need := func(r *http.Request) (rar.Detail, error) {
		if r.Method == http.MethodPost {
			return rar.Scopes("reports:write"), nil
		}
		return rar.Scopes("documents:read"), nil
	}
	api := httptest.NewServer(verifier.Require(need, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		_, _ = fmt.Fprint(w, `{"id":"doc_1","title":"Q4","content":"Revenue rose by 17% in the fourth quarter. Costs fell by 4%."}`)
	})))
	t.Cleanup(api.Close)
	file := filepath.Join(t.TempDir(), "policy.yaml")
	policy := "tools:\n  fetch_document:\n    ceilings:\n      - scopes: [documents:read, documents:list]\n"
	if err := os.WriteFile(file, []byte(policy), 0o600); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, env: map[string]string{
		cli.EnvIssuer: server.URL, cli.EnvOAuthClient: "analyst", cli.EnvOAuthSecret: "secret-canary", cli.EnvTypes: "file_access", cli.EnvAPI: api.URL,
		cli.EnvState: filepath.Join(t.TempDir(), "state"),
	}}
	const prompt = "Fetch document doc_1, summarize it, and create a report titled 'Q4'."

	if got := w.run("plan", "--policy", file, prompt); got.code != 0 || !strings.Contains(got.stdout, "scopes documents:list,documents:read") {
		t.Errorf("plan: exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	if got := w.run("run", "Summarize doc_1"); got.code != cli.ExitDenied || len(asked) != 0 || !strings.Contains(got.stderr, `type: "oauth_scope" is that of none of`) {
		t.Errorf("without a policy: exit %d after asking for %q: %s", got.code, asked, got.stderr)
	}
	got := w.run("run", "--policy", file, prompt)
	if got.code != cli.ExitDenied || strings.Join(asked, ", ") != "documents:read" || strings.Join(revoked, ", ") != "documents:read" {
		t.Errorf("exit %d after asking for %q and revoking %q: %s", got.code, asked, revoked, got.stderr)
	}
	for _, line := range []string{"it demands scopes documents:read", "granted   scopes documents:read", "blocked   not asked for: scopes reports:write"} {
		if !strings.Contains(got.stderr, line) {
			t.Errorf("the timeline does not say %q:\n%s", line, got.stderr)
		}
	}
	if story := w.run("explain"); !strings.Contains(story.stdout, "scopes documents:read") || strings.Contains(story.stdout+got.stdout+got.stderr, "canary") {
		t.Errorf("explain: %s", story.stdout)
	}

	lumo := newWorld(t, func(*world) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { resource.Challenge(w, rar.Scopes("documents:read")) })
	})
	const no = "LumoAuth's API for agents grants authorization details, and no scopes"
	if got := lumo.run("run", "--policy", file, "Summarize doc_1"); got.code != cli.ExitFailed || lumo.asked() != 0 || !strings.Contains(got.stderr, no) {
		t.Errorf("at LumoAuth: exit %d after %d requests: %s", got.code, lumo.asked(), got.stderr)
	}
}
