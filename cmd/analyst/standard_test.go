//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// A standard is an authorization server that is not of this project, behind a proxy that
// sees what it issues, with the documents API beside it.
type standard struct {
	issuer, api, reports, state string
	introspection               string // the endpoint
	binary                      string
	env                         []string
	proxy, docs                 *httptest.Server
	bound                       bool // the API takes no bearer tokens

	mu      sync.Mutex
	asked   func()        // when a person has been asked; nil is nobody
	tokens  []string      // those issued that allow something
	refuses bool          // the person in front of the browser
	lose    bool          // the next answer that has one
	hold    chan struct{} // closed when that answer is held back; nil holds none
}

// clientSecret has what the encodings of RFC 6749, section 2.3.1, change.
func clientSecret(client string) string { return "the secret of " + client + ": long & 'odd'" }

// newStandard finds places for a server, whose issuer is at path, and for the API.
func newStandard(t *testing.T, binary, path string) *standard {
	s := &standard{binary: binary, reports: t.TempDir(), state: filepath.Join(t.TempDir(), "state")}
	s.proxy, s.docs = httptest.NewUnstartedServer(nil), httptest.NewUnstartedServer(nil)
	s.issuer, s.api = "http://"+s.proxy.Listener.Addr().String()+path, "http://"+s.docs.Listener.Addr().String()
	return s
}

// begin puts the server at origin behind the proxy, and starts the API, which looks at
// scopes and permissions if trust is nil, and else at authorization details.
func (s *standard) begin(t *testing.T, origin string, trust *resource.Trust) {
	t.Helper()
	to, err := url.Parse(origin)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to); r.Out.Host = r.In.Host },
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	s.proxy.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body) // or the server is sent less
		r.Body = io.NopCloser(bytes.NewReader(body))
		form, _ := url.ParseQuery(string(body))
		one := *forward
		one.ModifyResponse = func(resp *http.Response) error { return s.see(form, resp) }
		one.ServeHTTP(w, r)
	})
	s.proxy.Start()
	t.Cleanup(s.proxy.Close)
	var guard docapi.TokenVerifier = s
	if trust != nil {
		cfg := resource.Config{Issuer: s.issuer, Audience: s.api, Trust: *trust, ClientID: "docapi", ClientSecret: secret.New(clientSecret("docapi"))}
		if s.bound {
			cfg.DPoP, cfg.Nonces, cfg.Location = resource.RequireDPoP, true, s.api
		}
		guard, err = resource.New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
	}
	docs, err := docapi.New(docapi.Config{BaseURL: s.api, Reports: s.reports, Verifier: guard})
	if err != nil {
		t.Fatal(err)
	}
	s.docs.Config.Handler = docs
	s.docs.Start()
	t.Cleanup(func() { s.docs.Close(); _ = docs.Close() })
	s.env = append(os.Environ(),
		"OAUTH_ISSUER="+s.issuer, "OAUTH_CLIENT_ID=analyst", "OAUTH_CLIENT_SECRET="+clientSecret("analyst"), "OAUTH_TYPES=file_access",
		"ANALYST_API_URL="+s.api, "ANALYST_STATE_DIR="+s.state)
}

// set changes what see looks at.
func (s *standard) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// see keeps the tokens that pass and allow something, and loses or holds back an answer.
func (s *standard) see(form url.Values, resp *http.Response) error {
	s.mu.Lock()
	asked := s.asked
	s.mu.Unlock()
	if form.Has("login_hint") && asked != nil {
		asked()
	}
	scope := strings.Trim(form.Get("scope"), "openid ")
	if scope == "" && !form.Has("authorization_details") && !form.Has("permission") && !form.Has("auth_req_id") && !form.Has("code") {
		return nil
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	var answer struct {
		Token string `json:"access_token"`
	}
	if json.Unmarshal(body, &answer) != nil || answer.Token == "" {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = append(s.tokens, answer.Token)
	switch {
	case s.lose:
		s.lose = false
		return errors.New("lost")
	case s.hold != nil:
		close(s.hold)
		s.hold = nil
		<-resp.Request.Context().Done()
	}
	return nil
}

// startStandard starts the server from the folder OIDC_PROVIDER, with tokens that are
// opaque or JWTs, or for an API that looks at scopes or takes bound tokens alone. keys, a JWKS, are those of the
// client that has no secret.
func startStandard(t *testing.T, binary, kind string, keys ...string) *standard {
	t.Helper()
	s, format := newStandard(t, binary, ""), "opaque"
	trust := new(resource.Active)
	switch kind {
	case "jwt":
		*trust, format = resource.Signed, kind
	case "scopes":
		trust = nil
	case "bound":
		s.bound = true
	}
	s.introspection = s.issuer + "/token/introspection"
	args := append([]string{filepath.Join("testdata", "servers", "oidc-provider.mjs"), os.Getenv("OIDC_PROVIDER"), s.issuer, s.api, format}, keys...)
	cmd := exec.CommandContext(t.Context(), "node", args...)
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
	var said struct{ Origin string }
	if err == nil {
		err = json.Unmarshal(line, &said)
	}
	if err != nil {
		t.Fatalf("oidc-provider did not start: %v", err)
	}
	s.begin(t, said.Origin, trust)
	return s
}

// analyst runs the program and returns what it wrote.
func (s *standard) analyst(ctx context.Context, env []string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, s.binary, args...)
	cmd.Env = append(s.env, env...)
	if slices.Contains(env, "OAUTH_MODE=authorization_code") {
		return withBrowser(ctx, cmd, !s.refuses)
	}
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

// introspect says what the server says of a token to the API.
func (s *standard) introspect(ctx context.Context, token string) (said struct {
	Active *bool
	Scope  string
}, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.introspection, strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		return said, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth("docapi", url.QueryEscape(clientSecret("docapi")))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return said, err
	}
	defer func() { _ = resp.Body.Close() }()
	err = json.NewDecoder(resp.Body).Decode(&said)
	if err == nil && said.Active == nil {
		err = errors.New("introspection without active")
	}
	return said, err
}

// Verify is an API's that looks at scopes, and at the permissions of Keycloak's tokens.
func (s *standard) Verify(ctx context.Context, r *http.Request) (*resource.Token, error) {
	_, token, _ := strings.Cut(r.Header.Get("Authorization"), " ") // whose proof is not looked at
	said, err := s.introspect(ctx, token)
	if err != nil || !*said.Active {
		return nil, cmp.Or(err, resource.ErrNoToken)
	}
	var claims struct {
		Authorization struct {
			Permissions []struct {
				Name   string `json:"rsname"`
				Scopes []string
			}
		}
	}
	if parts := strings.Split(token, "."); len(parts) == 3 {
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		if err := json.Unmarshal(text, &claims); err != nil {
			return nil, err
		}
	}
	out := &resource.Token{Subject: "somebody", ExpiresAt: time.Now().Add(time.Minute)}
	allow := func(action, identifier string) {
		out.Details = append(out.Details, rar.Detail{Type: "file_access", Actions: []string{action}, Identifier: identifier, Locations: []string{s.api}})
	}
	for _, scope := range strings.Fields(said.Scope) {
		switch scope {
		case "documents:read":
			allow("read", "doc_9982")
		case "reports:write":
			allow("write", "reports")
		}
	}
	for _, p := range claims.Authorization.Permissions {
		for _, scope := range p.Scopes {
			allow(scope, p.Name)
		}
	}
	return out, nil
}

// live counts the tokens that allow something and that introspection says are active.
func (s *standard) live(t *testing.T) (issued, alive int) {
	t.Helper()
	s.mu.Lock()
	tokens := s.tokens
	s.mu.Unlock()
	for _, token := range tokens {
		said, err := s.introspect(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if *said.Active {
			alive++
		}
	}
	return len(tokens), alive
}

// person has the person who is asked decide at once.
func (s *standard) person(t *testing.T, approve bool) {
	s.set(func() {
		s.asked = func() { answerAs(t, s.issuer+"/_test/decide", "", fmt.Sprintf(`{"approve":%t}`, approve)) }
	})
}

// answerAs posts a decision, with the token of the device if that has one.
func answerAs(t *testing.T, endpoint, token, decision string) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(decision))
	if err != nil {
		t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %v", endpoint, cmp.Or(err, errors.New("refused")))
		return
	}
	_ = resp.Body.Close()
}

func (s *standard) reported() bool {
	files, _ := filepath.Glob(filepath.Join(s.reports, "*.md"))
	return len(files) == 1
}

// dying builds the program that can be killed at a point, if the variable says where a
// server is.
func dying(t *testing.T, variable, get string) string {
	t.Helper()
	if os.Getenv(variable) == "" {
		t.Skip("no server: " + get)
	}
	binary := filepath.Join(t.TempDir(), "analyst")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-tags", "failpoints", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary
}

// A try is one run of the whole job; mode is OAUTH_MODE.
type try struct {
	name, mode string
	works      bool
	says       string
	env        []string
}

// does runs the job, which leaves nothing alive but left tokens.
func (s *standard) does(t *testing.T, tt try, left int) {
	t.Helper()
	out, err := s.job(t.Context(), tt.mode, tt.env...)
	if (err == nil) != tt.works || s.reported() != tt.works || !strings.Contains(out, tt.says) {
		t.Errorf("the job: %v, report written: %v; want %v and %q\n%s", err, s.reported(), tt.works, tt.says, out)
	}
	if issued, alive := s.live(t); alive != left || tt.works && issued < 2 {
		t.Errorf("%d of %d tokens outlive the task, want %d\n%s", alive, issued, left, out)
	}
}

// points are where the program is killed on each server and in each mode.
var points = []string{"authority.requested", "authority.token_issued", "api.get.answered:2", "authority.completing", "authority.completed"}

// dies kills the job at a point; the next command leaves nothing alive.
func (s *standard) dies(t *testing.T, mode, point string, env ...string) {
	t.Helper()
	out, err := s.job(t.Context(), mode, append(env, "ANALYST_FAILPOINT="+point)...)
	if !killed(err) {
		t.Fatalf("it did not die: %v\n%s", err, out)
	}
	s.recovers(t, 0)
}

// diesPolling kills the job when an answer to its poll, or to the code of a login, is on
// its way with a token.
func (s *standard) diesPolling(t *testing.T, mode string, env ...string) {
	t.Helper()
	held := make(chan struct{})
	s.set(func() { s.hold = held })
	ctx, kill := context.WithCancel(t.Context())
	over := make(chan error, 1)
	go func() { _, err := s.job(ctx, mode, env...); over <- err }()
	<-held
	kill()
	if err := <-over; !killed(err) {
		t.Fatalf("it did not die: %v", err)
	}
	if issued, alive := s.live(t); issued != 1 || alive != 1 {
		t.Errorf("%d of %d tokens alive, want one", alive, issued)
	}
}

// boundTokens asks for tokens that are bound to a key.
var boundTokens = []string{"ANALYST_DPOP=true"}

// byScopes asks for scopes in the place of details.
const byScopes = "OAUTH_TYPES=file_access:read=documents:read,file_access:write=reports:write"

// TestStandardServer runs the analyst's whole job on oidc-provider, by client credentials
// and by asking a person (CIBA), and kills it. Nothing that allows anything outlives it.
func TestStandardServer(t *testing.T) {
	binary := dying(t, "OIDC_PROVIDER", "npm install --prefix V oidc-provider@9.13.3 && OIDC_PROVIDER=$PWD/V go test ./cmd/analyst -run TestStandardServer")
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, keys := jose.JSONWebKey{Key: key, KeyID: "k1", Use: "sig", Algorithm: "ES256"}, jose.JSONWebKeySet{}
	keys.Keys = append(keys.Keys, private.Public())
	public, _ := json.Marshal(keys)
	text, _ := json.Marshal(private)
	file := filepath.Join(t.TempDir(), "key.jwk")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	asSigner := []string{"OAUTH_CLIENT_ID=signer", "OAUTH_CLIENT_SECRET=", "OAUTH_CLIENT_KEY_FILE=" + file}
	for _, tt := range []struct {
		try
		kind    string // "" is opaque tokens with details
		set     string // what the server is told first
		approve bool   // what the person says; with "expired" and client credentials there is none
	}{
		{try: try{"client credentials", "client_credentials", true, "tokens revoked", nil}},
		{try: try{"scopes", "client_credentials", true, "tokens revoked", []string{byScopes}}, kind: "scopes"},
		{try: try{"a key in place of a secret", "client_credentials", true, "tokens revoked", asSigner}},
		{try: try{"bound to a key", "client_credentials", true, "tokens revoked", boundTokens}, kind: "bound"},
		{try: try{"bound to a key, with nonces", "client_credentials", true, "tokens revoked", append(boundTokens, asSigner...)}, kind: "bound", set: `{"nonce": true}`},
		{try: try{"bound to a key, approved, with nonces", "ciba", true, "tokens revoked", append(boundTokens, asSigner...)}, kind: "bound", set: `{"nonce": true}`, approve: true},
		{try: try{"bearer tokens at an API that takes none", "client_credentials", false, "401", nil}, kind: "bound"},
		{try: try{"approved", "ciba", true, "tokens revoked", nil}, approve: true},
		{try: try{"approved, with a key", "ciba", true, "tokens revoked", asSigner}, approve: true},
		{try: try{"denied", "ciba", false, "denied", nil}},
		{try: try{"expired", "ciba", false, "expired", nil}, set: `{"ttl": 3}`},
		{try: try{"lost poll answer", "ciba", false, "expires by itself", nil}, approve: true},
		{try: try{"logged in", "authorization_code", true, "tokens revoked", nil}, approve: true},
		{try: try{"logged in, for scopes", "authorization_code", true, "tokens revoked", []string{byScopes}}, kind: "scopes", approve: true},
		{try: try{"logged in, bound to a key", "authorization_code", true, "tokens revoked", boundTokens}, kind: "bound", approve: true},
		{try: try{"lost answer to a login", "authorization_code", false, "expires by itself", nil}, approve: true},
		{try: try{"not agreed to", "authorization_code", false, "denied", nil}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startStandard(t, binary, tt.kind, string(public))
			if tt.set != "" {
				s.ask(t, "/_test/set", tt.set, &struct{}{})
			}
			s.refuses = !tt.approve
			s.set(func() { s.lose = strings.HasPrefix(tt.name, "lost") })
			if tt.mode == "ciba" && tt.name != "expired" {
				s.person(t, tt.approve)
			}
			s.does(t, tt.try, 0)
		})
	}
	for _, mode := range []string{"client_credentials", "ciba", "authorization_code"} {
		for _, point := range points {
			t.Run(mode+"/"+point, func(t *testing.T) {
				t.Parallel()
				s := startStandard(t, binary, "opaque")
				s.person(t, true)
				s.dies(t, mode, point)
			})
		}
	}
	t.Run("in the middle of a poll", func(t *testing.T) {
		t.Parallel()
		s := startStandard(t, binary, "opaque")
		s.person(t, true)
		s.diesPolling(t, "ciba")
		s.recovers(t, 0)
	})
	// The keys die with the process, and what is bound to them is revoked without.
	t.Run("bound to a key that is gone", func(t *testing.T) {
		t.Parallel()
		for _, point := range []string{"authority.requested", "api.get.answered:3"} { // the first is refused for want of a nonce
			s := startStandard(t, binary, "bound")
			s.person(t, true)
			s.dies(t, "ciba", point, boundTokens...)
		}
		s := startStandard(t, binary, "bound")
		s.person(t, true)
		s.diesPolling(t, "ciba", boundTokens...)
		s.recovers(t, 0)
	})
	t.Run("in the middle of a login", func(t *testing.T) {
		t.Parallel()
		s := startStandard(t, binary, "opaque")
		s.diesPolling(t, "authorization_code")
		s.recovers(t, 0)
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

// recovers has the next command give back what is left, but for left tokens that the
// server cannot be told of, and that are said to expire.
func (s *standard) recovers(t *testing.T, left int) {
	t.Helper()
	issued, before := s.live(t)
	ctx, enough := context.WithTimeout(t.Context(), time.Minute) // it would try again and again
	defer enough()
	out, err := s.analyst(ctx, nil, "sweep")
	if _, alive := s.live(t); err != nil || alive != left {
		t.Errorf("after recovery %d tokens alive, want %d, of %d before and %d in all: %v\n%s", alive, left, before, issued, err, out)
	}
	list, err := s.analyst(t.Context(), nil, "tasks")
	if err != nil || !strings.Contains(list, "completed") || left > 0 && !strings.Contains(list, "expires at") {
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
