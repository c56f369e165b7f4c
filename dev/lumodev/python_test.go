package lumodev

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// challengingAPI is a protected API: 200 with an active JIT token, else 403 with the
// challenge of section 5 of the API reference.
func challengingAPI(e *env) *httptest.Server {
	challenge := base64.StdEncoding.EncodeToString([]byte(`{"type":"file_access","actions":["read"],"identifier":"doc_9982"}`))
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		a := e.post("oauth/introspect", "", e.rs(url.Values{"token": {token}}))
		if a.obj["jit"] != true {
			w.Header().Set("Insufficient-Authorization-Details", challenge)
			w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_authorization_details"`)
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	e.Cleanup(api.Close)
	return api
}

// TestPythonSDK runs the published SDK, in whichever versions LUMODEV_PYTHON_SDK
// names interpreters for (separated like a PATH).
func TestPythonSDK(t *testing.T) {
	interpreters := os.Getenv("LUMODEV_PYTHON_SDK")
	if interpreters == "" {
		t.Skip("needs LumoAuth's Python SDK: python3 -m venv V && V/bin/pip install lumoauth==1.1.0 && " +
			"LUMODEV_PYTHON_SDK=$PWD/V/bin/python go test ./dev/lumodev -run TestPythonSDK")
	}
	for _, python := range strings.Split(interpreters, string(os.PathListSeparator)) {
		t.Run(python, func(t *testing.T) {
			e := start(t, nil)
			cmd := exec.CommandContext(t.Context(), python, "testdata/sdk.py")
			cmd.Env = append(os.Environ(),
				"LUMOAUTH_URL="+e.url, "LUMOAUTH_ORG_ID="+DefaultOrg,
				"AGENT_CLIENT_ID="+DefaultAgentClientID, "AGENT_CLIENT_SECRET="+e.secretOf(DefaultAgentClientID),
				"LUMODEV_REVIEWER_TOKEN="+e.reviewerToken(), "LUMODEV_USER_TOKEN="+e.user(DefaultUserEmail),
				"LUMODEV_API_URL="+challengingAPI(e).URL,
			)
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s", err, stderr.String())
			}
			var got map[string]any
			if err := json.Unmarshal(stdout.Bytes(), &got); err != nil {
				t.Fatalf("%v: %s", err, stdout.String())
			}
			want := map[string]any{
				"login": true, "login_again": true, "scopes": []any{"agent:basic", "jit:request"}, "info": "agent", "identity": "agent",
				"budget_exhausted": false, "allowed": true, "not_allowed": false, "mcp": "https://mcp.acme-corp.com/mcp", "task": true,
				"low": "approved", "call": 200.0, "first": "pending", "high": []any{"approved", "fine"}, "high_token": true,
				"details":             []any{map[string]any{"type": "file_access", "actions": []any{"read"}, "identifier": "doc_9982"}},
				"agent_lists_pending": 403.0, "evaluate": true, "complete": true, "after": 403.0, "escalated": 200.0,
				"delegated": true, "act": true, "delegated_complete": true, "logged_out_exchange": 400.0, "approval": "pending",
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("what the SDK saw (-want +got):\n%s", diff)
			}
			if n := e.Snapshot().LiveTokens; n != 0 {
				t.Errorf("LiveTokens = %d, want 0", n)
			}
		})
	}
}
