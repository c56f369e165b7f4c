//go:build linux

package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// startJVM runs a server until the test is over, and returns its origin once it answers
// at path. command is given the port.
func startJVM(t *testing.T, path string, command func(port int) *exec.Cmd) (origin string) {
	t.Helper()
	free := httptest.NewUnstartedServer(nil).Listener // the server wants a port that is named
	port := free.Addr().(*net.TCPAddr).Port
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := command(port)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a script may have the JVM as a child
	var log strings.Builder
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	go func() { defer close(over); _ = cmd.Wait() }()
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); <-over })
	origin = fmt.Sprintf("http://127.0.0.1:%d", port)
	late := time.After(4 * time.Minute)
	for tick := time.NewTicker(500 * time.Millisecond); ; {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, origin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return origin
			}
		}
		select {
		case <-tick.C:
		case <-over:
			t.Fatalf("the server ended:\n%s", &log)
		case <-late:
			t.Fatal("the server does not answer")
		}
	}
}

// fetch posts a form as a client and returns the access token of the answer.
func fetch(t *testing.T, endpoint, client string, form url.Values) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(client, url.QueryEscape(clientSecret(client)))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	var answer struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Token == "" {
		t.Fatalf("no token: %s", body)
	}
	return answer.Token
}

// subject is the setting for a user's token that is given in exchange.
func subject(t *testing.T, token string) string {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	return "OAUTH_SUBJECT_TOKEN_FILE=" + file
}

// A device is where Keycloak asks people, and holds the token to answer it with, by the
// issuer.
type device struct{ tokens sync.Map }

func (d *device) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	var claims struct{ Iss string }
	if parts := strings.Split(token, "."); len(parts) == 3 {
		text, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(text, &claims) // or nobody answers
	}
	d.tokens.Store(claims.Iss, token)
	w.WriteHeader(http.StatusCreated)
}

// TestKeycloak runs the job on Keycloak, which make servers fetches.
func TestKeycloak(t *testing.T) {
	binary := dying(t, "KEYCLOAK_HOME", "make servers")
	people := &device{}
	phone := httptest.NewServer(people)
	t.Cleanup(phone.Close)
	origin := startJVM(t, "/realms/jit/.well-known/openid-configuration", func(port int) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KEYCLOAK_HOME"), "bin", "kc.sh"), "start", "--optimized", "--import-realm",
			"--http-enabled=true", "--http-host=127.0.0.1", fmt.Sprintf("--http-port=%d", port), "--hostname-strict=false", "--cache=local",
			"--spi-ciba-auth-channel--ciba-http-auth-channel--http-authentication-channel-uri="+phone.URL)
		cmd.Env = append(os.Environ(), "JAVA_OPTS=-Xmx512m -XX:+UseSerialGC -XX:TieredStopAtLevel=1")
		return cmd
	})
	start := func(t *testing.T, says string) *standard {
		s := newStandard(t, binary, "/realms/jit")
		s.introspection = s.issuer + "/protocol/openid-connect/token/introspect"
		if says != "" {
			s.asked = func() {
				token, _ := people.tokens.Load(s.issuer)
				answerAs(t, s.issuer+"/protocol/openid-connect/ext/ciba/auth/callback", token.(string), `{"status":"`+says+`"}`)
			}
		}
		s.begin(t, origin, nil)
		return s
	}
	uma := []string{"OAUTH_TYPES=file_access:read=read,file_access:write=write", "OAUTH_AUDIENCE=docapi"}
	scoped := []string{byScopes}
	stranger := append(uma, "OAUTH_CLIENT_ID=stranger", "OAUTH_CLIENT_SECRET="+clientSecret("stranger"))
	for _, tt := range []struct {
		try
		says string // the person
		left int
	}{
		{try: try{"client credentials", "client_credentials", true, "tokens revoked", scoped}},
		{try: try{"permissions", "uma", true, "tokens revoked", uma}},
		{try: try{"no such permission", "uma", false, "denied", stranger}},
		{try: try{"bound to a key", "client_credentials", true, "tokens revoked", append(boundTokens, scoped...)}},
		{try: try{"exchange, bound to a key", "token_exchange", true, "tokens revoked", append(boundTokens, scoped...)}},
		{try: try{"approved, bound to a key", "ciba", true, "tokens revoked", append(boundTokens, scoped...)}, says: "SUCCEED"},
		{try: try{"exchange", "token_exchange", true, "tokens revoked", scoped}},
		{try: try{"exchange of a user's token", "token_exchange", true, "tokens revoked", scoped}},
		{try: try{"approved", "ciba", true, "tokens revoked", scoped}, says: "SUCCEED"},
		{try: try{"denied", "ciba", false, "denied", scoped}, says: "UNAUTHORIZED"},
		{try: try{"expired", "ciba", false, "expired", scoped}},
		// Nothing tells of the token that was lost, nor ends it: that it expires is said.
		{try: try{"lost poll answer", "ciba", false, "expires by itself", scoped}, says: "SUCCEED", left: 1},
		{try: try{"lost answer", "uma", false, "expires by itself", uma}, left: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.says)
			s.set(func() { s.lose = strings.HasPrefix(tt.name, "lost") })
			if tt.name == "exchange of a user's token" {
				tt.env = append(tt.env, subject(t, fetch(t, s.issuer+"/protocol/openid-connect/token", "web",
					url.Values{"grant_type": {"password"}, "username": {"ada"}, "password": {"ada's password"}})))
			}
			s.does(t, tt.try, tt.left)
		})
	}
	for mode, env := range map[string][]string{"client_credentials": scoped, "ciba": scoped, "uma": uma, "token_exchange": scoped} {
		for _, point := range points {
			t.Run(mode+"/"+point, func(t *testing.T) { start(t, "SUCCEED").dies(t, mode, point, env...) })
		}
	}
	t.Run("in the middle of a poll", func(t *testing.T) {
		s := start(t, "SUCCEED")
		s.diesPolling(t, "ciba", scoped...)
		s.recovers(t, 1)
	})
}

// TestSpring runs the job on Spring Authorization Server, which make servers fetches.
func TestSpring(t *testing.T) {
	binary := dying(t, "SPRING_HOME", "make servers")
	origin := startJVM(t, "/.well-known/oauth-authorization-server", func(port int) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("JAVA_HOME"), "bin", "java"), "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
			"-cp", "lib/*:classes", "lab.Server", "--spring.config.location=spring.yaml", "--server.address=127.0.0.1", fmt.Sprintf("--server.port=%d", port))
		cmd.Dir = os.Getenv("SPRING_HOME")
		return cmd
	})
	start := func(t *testing.T) *standard {
		s := newStandard(t, binary, "")
		s.introspection = s.issuer + "/oauth2/introspect"
		s.begin(t, origin, nil)
		s.env = append(s.env, byScopes)
		return s
	}
	for _, tt := range []struct {
		try
		left int
	}{
		{try: try{"client credentials", "client_credentials", true, "tokens revoked", nil}},
		{try: try{"bound to a key", "client_credentials", true, "tokens revoked", boundTokens}},
		{try: try{"a scope that the client has not", "client_credentials", false, "denied", []string{"OAUTH_TYPES=file_access:read=documents:all"}}},
		{try: try{"exchange", "token_exchange", false, "invalid_grant", nil}}, // of a token that no user has
		{try: try{"exchange of a user's token", "token_exchange", true, "tokens revoked", nil}},
		{try: try{"lost answer", "client_credentials", false, "expires by itself", nil}, left: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t)
			s.set(func() { s.lose = strings.HasPrefix(tt.name, "lost") })
			if tt.name == "exchange of a user's token" {
				tt.env = append(tt.env, subject(t, s.springLogin(t)))
			}
			s.does(t, tt.try, tt.left)
		})
	}
	for _, mode := range []string{"client_credentials", "token_exchange"} {
		for _, point := range points {
			t.Run(mode+"/"+point, func(t *testing.T) {
				s, env := start(t), []string(nil)
				if mode == "token_exchange" {
					env = append(env, subject(t, s.springLogin(t)))
				}
				s.dies(t, mode, point, env...)
			})
		}
	}
}

// springLogin logs a user in, by the form that Spring has for it, and returns a token of
// hers (RFC 6749, section 4.1; RFC 7636).
func (s *standard) springLogin(t *testing.T) string {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	client := &http.Client{Jar: jar, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if r.URL.Path == "/done" {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	const verifier = "a verifier that nobody guesses, of forty-three characters"
	challenge := sha256.Sum256([]byte(verifier))
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, s.issuer+"/oauth2/authorize?"+url.Values{
		"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {"http://127.0.0.1/done"}, "scope": {"documents:read"},
		"code_challenge_method": {"S256"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(challenge[:])},
	}.Encode(), nil)
	req.Header.Set("Accept", "text/html") // others are answered 401
	page, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(page.Body)
	_ = page.Body.Close()
	csrf := regexp.MustCompile(`name="_csrf"[^>]*value="([^"]+)"`).FindSubmatch(text)
	if csrf == nil {
		t.Fatalf("no form: %s", text)
	}
	done, err := client.PostForm(s.issuer+"/login", url.Values{"username": {"ada"}, "password": {"ada's password"}, "_csrf": {string(csrf[1])}})
	if err != nil {
		t.Fatal(err)
	}
	_ = done.Body.Close()
	to, err := done.Location()
	if err != nil {
		t.Fatalf("the login: %s, %v", done.Status, err)
	}
	token := fetch(t, s.issuer+"/oauth2/token", "web", url.Values{
		"grant_type": {"authorization_code"}, "code": {to.Query().Get("code")}, "redirect_uri": {"http://127.0.0.1/done"}, "code_verifier": {verifier},
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens = nil // the user's own is not the analyst's to end
	return token
}
