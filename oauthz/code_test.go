package oauthz_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/secret"
)

// A visit is a login that a person was sent to: where their browser is to come back to,
// and what the page asked.
type visit struct {
	client  *oauthz.Client
	task    string
	d       jit.Decision
	address string
	back    *url.URL
	asked   url.Values
	opened  func() // what the person does then
}

func logins(s *fake.Server, change func(*oauthz.Config)) (*oauthz.Client, *visit) {
	v := &visit{}
	cfg := config(s, oauthz.AuthorizationCode)
	cfg.ClientSecret = secret.String{}
	cfg.Open = func(_ context.Context, address string) error {
		v.address = address
		v.back, v.asked = s.Visit(address)
		if v.opened != nil {
			v.opened()
		}
		return nil
	}
	if change != nil {
		change(&cfg)
	}
	v.client = must(oauthz.New(cfg))
	return v.client, v
}

// begin asks for reading doc_1.
func begin(t *testing.T, s *fake.Server, change func(*oauthz.Config)) *visit {
	t.Helper()
	client, v := logins(s, change)
	v.task = must(client.CreateTask(t.Context(), jit.TaskSpec{OnBehalfOf: "ada"})).ID
	d, err := client.Request(t.Context(), jit.Request{TaskID: v.task, Detail: read("doc_1"), Justification: "the model says please"})
	if err != nil || d.Status != jit.StatusPending || v.back == nil {
		t.Fatalf("Request() = %+v, %v", d, err)
	}
	v.d = d
	t.Cleanup(func() { _ = client.CompleteTask(context.WithoutCancel(t.Context()), v.task) })
	return v
}

var web = &http.Client{Timeout: 10 * time.Second}

// browse is what a browser gets at a URL, and whether a login waited for it.
func browse(t *testing.T, at *url.URL) (page string, status int) {
	t.Helper()
	resp, err := web.Get(at.String()) //nolint:noctx // as a browser does
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	return string(must(io.ReadAll(resp.Body))), resp.StatusCode
}

func (v *visit) status(t *testing.T) (jit.Decision, error) {
	t.Helper()
	return v.client.Status(t.Context(), v.d.RequestID)
}

func (v *visit) with(name, value string) *url.URL {
	u := *v.back
	q := u.Query()
	if q.Del(name); value != "" {
		q.Set(name, value)
	}
	u.RawQuery = q.Encode()
	return &u
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestALoginIsRedeemedOnce(t *testing.T) {
	s := &fake.Server{}
	v := begin(t, s, nil)
	challenge := v.asked.Get("code_challenge")
	if v.asked.Get("response_type") != "code" || v.asked.Get("code_challenge_method") != "S256" || len(challenge) != 43 || v.asked.Get("resource") != api ||
		v.asked.Get("login_hint") != "ada" || v.asked.Get("client_id") != "analyst" || len(v.asked.Get("state")) < 22 || strings.Contains(v.address, "please") ||
		v.back.Hostname() != "127.0.0.1" || v.back.Path != "/callback" {
		t.Errorf("the page asks %v and comes back to %v", v.asked, v.back)
	}
	if now, err := v.status(t); err != nil || now.Status != jit.StatusPending || closed(now.Decided) {
		t.Errorf("Status() = %+v, %v before anybody came back", now, err)
	}
	if page, status := browse(t, v.back); status != 200 || strings.Contains(page, "canary") {
		t.Errorf("the browser gets %d: %s", status, page)
	}
	<-v.d.Decided
	for range 2 {
		if now, err := v.status(t); err != nil || now.Status != jit.StatusApproved || len(s.Sent("/token")) != 1 {
			t.Fatalf("Status() = %+v, %v after %d token requests; want approved after one", now, err, len(s.Sent("/token")))
		}
	}
	form := s.Sent("/token")[0]
	proof := sha256.Sum256([]byte(form.Get("code_verifier")))
	if form.Get("grant_type") != "authorization_code" || form.Get("resource") != api || base64.RawURLEncoding.EncodeToString(proof[:]) != challenge {
		t.Errorf("redeemed by %v", form)
	}
	if _, err := web.Get(v.back.String()); err == nil { //nolint:noctx,bodyclose // nobody listens
		t.Error("a code that comes again finds somebody who listens")
	}
	issued, err := v.client.Token(t.Context(), v.d.RequestID)
	if err != nil || issued.Token.IsZero() || s.Live() != 1 {
		t.Errorf("Token() = %+v, %v", issued, err)
	}
	if err := v.client.CompleteTask(t.Context(), v.task); err != nil || s.Live() != 0 {
		t.Errorf("CompleteTask() = %v with %d tokens alive", err, s.Live())
	}
}

// What does not come from the page that was asked, or says two things, is not redeemed.
func TestWhatALoginBringsIsChecked(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(v *visit) *url.URL
		quiet  bool // the address saw nothing, and the login goes on
		says   string
	}{
		{"another state", func(v *visit) *url.URL { return v.with("state", "guessed") }, true, ""},
		{"no state", func(v *visit) *url.URL { return v.with("state", "") }, true, ""},
		{"two codes", func(v *visit) *url.URL { u := v.with("", ""); u.RawQuery += "&code=another"; return u }, true, ""},
		{"another path", func(v *visit) *url.URL { u := v.with("", ""); u.Path = "/other"; return u }, true, ""},
		{"another issuer", func(v *visit) *url.URL { return v.with("iss", "https://evil.example.com") }, false, "does not come from the server"},
		{"an issuer spelled otherwise", func(v *visit) *url.URL { return v.with("iss", fake.Issuer+"/") }, false, "does not come from the server"},
		{"no issuer", func(v *visit) *url.URL { return v.with("iss", "") }, false, "does not come from the server"},
		{"no code", func(v *visit) *url.URL { return v.with("code", "") }, false, "no code"},
		{"an error", func(v *visit) *url.URL { return v.with("error", "server_error") }, false, "server_error"},
		{"another server's error", func(v *visit) *url.URL {
			u := v.with("iss", "https://evil.example.com")
			u.RawQuery += "&error=access_denied&error_description=canary"
			return u
		}, false, "does not come from the server"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &fake.Server{}
			v := begin(t, s, nil)
			if page, status := browse(t, tt.change(v)); status != http.StatusBadRequest || strings.Contains(page, "canary") {
				t.Errorf("the browser gets %d: %s", status, page)
			}
			now, err := v.status(t)
			if tt.quiet {
				if err != nil || now.Status != jit.StatusPending || closed(now.Decided) {
					t.Errorf("Status() = %+v, %v; want pending still", now, err)
				}
				return
			}
			if !errors.Is(err, jit.ErrSpent) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "canary") || len(s.Sent("/token")) != 0 {
				t.Errorf("Status() = %v after %d token requests; want ErrSpent and %q after none", err, len(s.Sent("/token")), tt.says)
			}
			if _, err := v.status(t); !errors.Is(err, jit.ErrSpent) {
				t.Errorf("Status() = %v later", err)
			}
		})
	}
}

// The first redirect counts, whatever comes after it.
func TestASecondRedirectChangesNothing(t *testing.T) {
	s := &fake.Server{}
	v := begin(t, s, nil)
	_, _ = browse(t, v.with("error", "access_denied"))
	if _, status := browse(t, v.back); status != http.StatusBadRequest {
		t.Errorf("the second redirect gets %d", status)
	}
	if now, err := v.status(t); err != nil || now.Status != jit.StatusDenied || len(s.Sent("/token")) != 0 {
		t.Errorf("Status() = %+v, %v; want denied", now, err)
	}
}

// Nobody comes back: the browser was closed, the time is over, or the task is.
func TestALoginThatNobodyEnds(t *testing.T) {
	s := &fake.Server{}
	v := begin(t, s, func(c *oauthz.Config) { c.LoginTimeout = time.Nanosecond })
	if now, err := v.status(t); err != nil || now.Status != jit.StatusExpired {
		t.Errorf("Status() = %+v, %v; want expired", now, err)
	}
	v = begin(t, s, nil)
	if err := v.client.CompleteTask(t.Context(), v.task); err != nil {
		t.Errorf("CompleteTask() = %v", err)
	}
	if _, err := web.Get(v.back.String()); err == nil { //nolint:noctx,bodyclose // nobody listens
		t.Error("somebody listens after the task")
	}
	if _, err := v.status(t); !errors.Is(err, jit.ErrSpent) {
		t.Errorf("Status() = %v after the task; want ErrSpent", err)
	}
	if len(s.Sent("/token")) != 0 {
		t.Error("something was redeemed")
	}
}

// A process that died over a redemption leaves what ends it.
func TestALostRedemptionIsMadeGood(t *testing.T) {
	s := &fake.Server{}
	vault := oauthz.Memory()
	v := begin(t, s, func(c *oauthz.Config) { c.Vault = vault })
	_, _ = browse(t, v.back)
	s.Answer = on("/token", func(url.Values, int, map[string]any) (int, map[string]any) {
		next, _ := logins(s, func(c *oauthz.Config) { c.Vault = vault })
		if _, err := next.Status(t.Context(), v.d.RequestID); !errors.Is(err, jit.ErrSpent) {
			t.Errorf("another process, before the answer: Status() = %v", err)
		}
		return 0, nil
	})
	for range 2 {
		if _, err := v.status(t); !errors.Is(err, jit.ErrSpent) || len(s.Sent("/token")) != 1 {
			t.Errorf("Status() = %v after %d token requests; want ErrSpent after one", err, len(s.Sent("/token")))
		}
	}
	s.Answer = nil
	next, _ := logins(s, func(c *oauthz.Config) { c.Vault = vault })
	if _, err := next.Status(t.Context(), v.d.RequestID); !errors.Is(err, jit.ErrSpent) || len(s.Sent("/token")) != 1 {
		t.Errorf("another process: Status() = %v", err)
	}
	left, ok := errors.AsType[*jit.ExpiringError](next.CompleteTask(t.Context(), v.task))
	if !ok || left.Tokens != 1 || s.Live() != 0 {
		t.Errorf("CompleteTask() = %v with %d tokens alive; want one that may last, and none", left, s.Live())
	}
}

// What is asked is pushed where the server wants that, and nothing of it is in the address.
func TestWhatIsAskedIsPushed(t *testing.T) {
	s := &fake.Server{Answer: on("/.well-known/oauth-authorization-server", func(_ url.Values, status int, body map[string]any) (int, map[string]any) {
		body["require_pushed_authorization_requests"] = true
		return status, body
	})}
	v := begin(t, s, nil)
	if strings.Contains(v.address, "doc_1") || !strings.Contains(v.address, "request_uri=") || !strings.Contains(v.asked.Get("authorization_details"), "doc_1") {
		t.Errorf("the address is %s", v.address)
	}
	_, _ = browse(t, v.back)
	if now, err := v.status(t); err != nil || now.Status != jit.StatusApproved {
		t.Errorf("Status() = %+v, %v", now, err)
	}
}

// A server without PKCE is not used, and a page elsewhere is nobody's.
func TestServersThatNobodyIsSentTo(t *testing.T) {
	for name, change := range map[string]func(map[string]any){
		"no PKCE":          func(m map[string]any) { delete(m, "code_challenge_methods_supported") },
		"plain PKCE":       func(m map[string]any) { m["code_challenge_methods_supported"] = []string{"plain"} },
		"no page":          func(m map[string]any) { delete(m, "authorization_endpoint") },
		"a page elsewhere": func(m map[string]any) { m["authorization_endpoint"] = "https://other.example.com/authorize" },
	} {
		s := &fake.Server{Answer: on("/.well-known/oauth-authorization-server", func(_ url.Values, status int, body map[string]any) (int, map[string]any) {
			change(body)
			return status, body
		})}
		client, v := logins(s, nil)
		task := must(client.CreateTask(t.Context(), jit.TaskSpec{}))
		if d, err := client.Request(t.Context(), jit.Request{TaskID: task.ID, Detail: read("doc_1")}); err == nil || v.back != nil {
			t.Errorf("%s: Request() = %+v, %v", name, d, err)
		}
	}
}
