package resource_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

func doc(id string) rar.Detail {
	return rar.Detail{
		Type: "file_access", Actions: []string{"read"}, Identifier: id,
		Locations: []string{"https://api.acme-corp.com"},
	}
}

func TestRequire(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	var log bytes.Buffer
	cfg := a.config()
	cfg.Realm = `doc"s`
	cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	v, err := resource.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	reached, needed := 0, 0
	api := httptest.NewServer(v.Require(
		func(r *http.Request) (rar.Detail, error) {
			needed++
			switch id := strings.TrimPrefix(r.URL.Path, "/"); id {
			case "bad":
				return rar.Detail{}, errors.New("CANARY-NEED")
			case "invalid":
				return rar.Detail{}, nil
			default:
				return doc(id), nil
			}
		},
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reached++
			token, ok := resource.FromContext(r.Context())
			if !ok || token.TaskID != "task_1" {
				t.Errorf("FromContext() = %+v, %t", token, ok)
			}
			if h := r.Header.Values("Authorization"); len(h) != 0 {
				t.Error("the handler sees the token")
			}
			write(w, "secret text")
		})))
	t.Cleanup(api.Close)

	good, expired, revoked := a.token(nil), a.token(map[string]any{"exp": start.Unix() - 60}), a.token(map[string]any{"jti": "r"})
	a.revoked[revoked] = true
	invalid := `Bearer realm="doc\"s", error="invalid_token", error_description="the access token is expired, revoked or not valid here"`
	tests := []struct {
		name, path string
		header     []string
		status     int
		challenge  string
		code       string
		needed     int
	}{
		{"no token", "/doc_1", nil, 401, `Bearer realm="doc\"s"`, "unauthorized", 0},
		{"two headers", "/doc_1", []string{"Bearer " + good, "Bearer " + good}, 400,
			`Bearer realm="doc\"s", error="invalid_request", error_description="send exactly one access token, in one Authorization header with the Bearer scheme"`,
			"invalid_request", 0},
		{"nonsense", "/doc_1", []string{"Bearer x"}, 401, invalid, "invalid_token", 0},
		{"expired", "/doc_1", []string{"Bearer " + expired}, 401, invalid, "invalid_token", 0},
		{"revoked", "/doc_1", []string{"Bearer " + revoked}, 401, invalid, "invalid_token", 0},
		{"need in doubt", "/bad", []string{"Bearer " + good}, 400, "", "invalid_request", 1},
		{"need without type", "/invalid", []string{"Bearer " + good}, 500, "", "server_error", 1},
		{"other document", "/doc_2", []string{"Bearer " + good}, 403,
			`Bearer error="insufficient_authorization_details", error_description="the access token does not cover this call"`,
			"insufficient_authorization_details", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			needed, reached = 0, 0
			resp, body := get(t, api.URL+test.path, test.header)
			if resp.StatusCode != test.status || resp.Header.Get("WWW-Authenticate") != test.challenge {
				t.Errorf("status %d, challenge %q; want %d, %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"), test.status, test.challenge)
			}
			if !strings.HasPrefix(body, `{"error":"`+test.code+`"`) || resp.Header.Get("Content-Type") != "application/json" {
				t.Errorf("body %s (%s), want the error %s", body, resp.Header.Get("Content-Type"), test.code)
			}
			if resp.Header.Get("Cache-Control") != "no-store" {
				t.Error("a refusal may be cached")
			}
			if reached != 0 || needed != test.needed {
				t.Errorf("the handler was reached %d times and need asked %d times, want 0 and %d", reached, needed, test.needed)
			}
			if strings.Contains(body, "CANARY") {
				t.Errorf("the client sees an error's text: %s", body)
			}
		})
	}

	if resp, body := get(t, api.URL+"/doc_1", []string{"Bearer " + good}); resp.StatusCode != 200 || body != "secret text" {
		t.Errorf("a covered call: %d %s", resp.StatusCode, body)
	}
	a.Close()
	resp, body := get(t, api.URL+"/doc_1", []string{"Bearer " + good})
	if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || strings.Contains(body, "127.0.0.1") {
		t.Errorf("without an authorization server: %d, Retry-After %q, %s; want 503", resp.StatusCode, resp.Header.Get("Retry-After"), body)
	}
	for _, s := range []string{good, expired, revoked, apiSecret} {
		if strings.Contains(log.String(), s) {
			t.Error("the log holds a token or the secret")
		}
	}
	if !strings.Contains(log.String(), "expired") || !strings.Contains(log.String(), "CANARY-NEED") {
		t.Errorf("the log lacks the reasons:\n%s", &log)
	}
}

// An API says in its dialect what a call needs; what else it answers stays as it is.
func TestDialect(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	cfg := a.config()
	cfg.Dialect = resource.Remediation
	v, err := resource.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	need := doc("doc_2")
	api := httptest.NewServer(v.Require(func(*http.Request) (rar.Detail, error) { return need, nil }, http.NotFoundHandler()))
	t.Cleanup(api.Close)
	resp, body := get(t, api.URL, []string{"Bearer " + a.token(nil)})
	got, err := challenge.Parse(resp.StatusCode, resp.Header, nil)
	if err != nil || resp.StatusCode != 401 || got.Error != challenge.RemediationCode || !rar.Equal(got.Details[0], need) {
		t.Errorf("%d %v %s: %v, %v", resp.StatusCode, resp.Header, body, got, err)
	}
	if resp, _ := get(t, api.URL, nil); resp.StatusCode != 401 || strings.Contains(resp.Header.Get("WWW-Authenticate"), "error") {
		t.Errorf("without a token: %d %v", resp.StatusCode, resp.Header)
	}
	need = rar.Detail{}
	if resp, body := get(t, api.URL, []string{"Bearer " + a.token(nil)}); resp.StatusCode != 500 {
		t.Errorf("a detail that is none: %d %s", resp.StatusCode, body)
	}
	cfg.Dialect = 7
	if _, err := resource.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "Dialect") {
		t.Errorf("New = %v, want an error", err)
	}
}

// A need of scopes is answered in RFC 6750's words, and a token's scope covers it, as far as
// the server says the same.
func TestScopes(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	need := rar.Scopes("docs:read", "docs:list")
	api := httptest.NewServer(a.verifier(t).Require(func(*http.Request) (rar.Detail, error) { return need, nil }, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	t.Cleanup(api.Close)
	for name, tt := range map[string]struct {
		scope, said any
		status      int
	}{
		"none":               {nil, nil, 403},
		"one":                {"docs:read", nil, 403},
		"both":               {"docs:list docs:read other", nil, 200},
		"as a list":          {[]string{"docs:read", "docs:list"}, nil, 200},
		"another case":       {"docs:LIST docs:read", nil, 403},
		"the server says so": {"docs:list docs:read", "docs:read docs:list", 200},
		"or less":            {"docs:list docs:read", "docs:read", 403},
		"or none":            {"docs:list docs:read", "", 403},
		"or more":            {"docs:read", "docs:read docs:list", 403},
	} {
		a.locked(func() {
			if a.said = nil; tt.said != nil {
				a.said = map[string]any{"scope": tt.said}
			}
		})
		resp, body := get(t, api.URL, []string{"Bearer " + a.token(map[string]any{"scope": tt.scope})})
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %d %s, want %d", name, resp.StatusCode, body, tt.status)
		}
		if tt.status == 200 {
			continue
		}
		if got, err := challenge.Parse(resp.StatusCode, resp.Header, nil); err != nil || got.Error != challenge.ScopeCode || !rar.Equal(got.Details[0], need) {
			t.Errorf("%s: %v: %v, %v", name, resp.Header, got, err)
		}
	}
}

// A need of no scopes is a login: there is nothing to demand of a token that holds.
func TestNoScopesAreALogin(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	for need, want := range map[string]int{"": 200, "x": 500} { // which is no need that is valid
		api := httptest.NewServer(a.verifier(t).Require(func(*http.Request) (rar.Detail, error) {
			return rar.Detail{Type: rar.ScopeType, Identifier: need}, nil
		}, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		t.Cleanup(api.Close)
		if resp, body := get(t, api.URL, []string{"Bearer " + a.token(nil)}); resp.StatusCode != want {
			t.Errorf("identifier %q: %d %s, want %d", need, resp.StatusCode, body, want)
		}
		if resp, _ := get(t, api.URL, nil); resp.StatusCode != 401 {
			t.Errorf("without a token: %d", resp.StatusCode)
		}
	}
}

// What Require demands is what a client reads, and what covers the call.
func TestChallengeNamesWhatCovers(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	api := httptest.NewServer(a.verifier(t).Require(
		func(*http.Request) (rar.Detail, error) { return doc("doc_7"), nil },
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	t.Cleanup(api.Close)
	base := a.token(map[string]any{"authorization_details": nil})
	resp, body := get(t, api.URL, []string{"Bearer " + base})
	c, err := challenge.Parse(resp.StatusCode, resp.Header, []byte(body))
	if err != nil {
		t.Fatalf("the client cannot read the challenge: %v", err)
	}
	if diff := cmp.Diff([]rar.Detail{doc("doc_7")}, c.Details); diff != "" {
		t.Errorf("demand, -want +got:\n%s", diff)
	}
	granted := a.token(map[string]any{"authorization_details": c.Details})
	if resp, _ := get(t, api.URL, []string{"Bearer " + granted}); resp.StatusCode != 200 {
		t.Errorf("with exactly what was demanded: %d", resp.StatusCode)
	}
}

func TestRefuseUnknownError(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	resource.Refuse(w, "", errors.New("CANARY"))
	if w.Code != 500 || strings.Contains(w.Body.String(), "CANARY") {
		t.Errorf("Refuse(other error) = %d %s, want 500 without its text", w.Code, w.Body)
	}
	w = httptest.NewRecorder()
	resource.Refuse(w, "", nil)
	if w.Code != 500 {
		t.Errorf("Refuse(nil) = %d, want 500", w.Code)
	}
	w = httptest.NewRecorder()
	resource.Refuse(w, "a\r\nX: \"\\é", resource.ErrNoToken)
	if got := w.Header().Get("WWW-Authenticate"); got != `Bearer realm="aX: \"\\"` {
		t.Errorf("challenge %q", got)
	}
}

func get(t *testing.T, url string, authorization []string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header["Authorization"] = authorization
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req) // others that end would end a shared one
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}
