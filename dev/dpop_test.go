package dev_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// wire notes what is sent.
type wire struct{ sent []*http.Request }

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.sent = append(w.sent, r.Clone(context.Background()))
	return http.DefaultTransport.RoundTrip(r)
}

// sendAgain sends a request that was on the wire, from elsewhere, and returns the answer.
func sendAgain(t *testing.T, r *http.Request, change func(http.Header)) (status int, challenge string) {
	t.Helper()
	again := r.Clone(t.Context())
	change(again.Header)
	resp, err := http.DefaultTransport.RoundTrip(again)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header.Get("WWW-Authenticate")
}

// Whoever copies all that goes over both wires has nothing that works: not the agent's own
// token, nor a grant's, as they were sent or as bearer tokens. Servers that do not demand
// it bind tokens to a key where they are asked to.
func TestCopiedTokensAreOfNoUse(t *testing.T) {
	for name, demanded := range map[string]bool{"demanded": true, "asked for": false} {
		t.Run(name, func(t *testing.T) {
			s, err := dev.Start(t.Context(), dev.Config{Auth: lumodev.Config{DPoP: demanded}, Documents: &docapi.Config{Reports: t.TempDir()}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			var api, auth wire
			cfg := s.Client()
			cfg.DPoP, cfg.HTTPClient = true, &http.Client{Transport: &auth}
			client, err := lumoauth.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			engine, err := jit.New(jit.Config{Authority: client})
			if err != nil {
				t.Fatal(err)
			}
			task := engine.Start(t.Context(), jit.TaskSpec{}, nil)
			origin, err := jit.OriginOf(s.API)
			if err != nil {
				t.Fatal(err)
			}
			agent := &http.Client{Transport: &jit.Transport{Origin: origin, Base: &api}}
			ceiling := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982", Locations: []string{s.API.String()}}
			for range 2 {
				ctx := task.Call(t.Context(), jit.Call{Tool: "fetch", Ceiling: []rar.Detail{ceiling}})
				req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.API.JoinPath("v1/documents/doc_9982").String(), nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := agent.Do(req)
				if err != nil || resp.StatusCode != http.StatusOK || demanded && resp.Header.Get("DPoP-Nonce") == "" {
					t.Fatalf("GET = %v, %v", resp, err)
				}
				_ = resp.Body.Close()
			}
			proofs := map[string]bool{}
			for _, r := range append(api.sent, auth.sent...) {
				if auth := r.Header.Get("Authorization"); auth != "" && !strings.HasPrefix(auth, "DPoP ") {
					t.Errorf("sent to %s: %.10s", r.URL.Path, auth)
				}
				if proof := r.Header.Get("DPoP"); proof == "" || proofs[proof] {
					t.Errorf("sent to %s without a fresh proof", r.URL.Path)
				} else {
					proofs[proof] = true
				}
			}
			last := api.sent[len(api.sent)-1]
			var status *http.Request // of the task, by the agent's own token
			for _, r := range auth.sent {
				if strings.HasSuffix(r.URL.Path, "/token") && strings.Contains(r.URL.Path, "/jit/request/") {
					status = r
				}
			}
			for _, r := range []*http.Request{last, status} {
				token := strings.TrimPrefix(r.Header.Get("Authorization"), "DPoP ")
				for attack, change := range map[string]func(http.Header){
					"as it was":           func(http.Header) {},
					"as bearer":           func(h http.Header) { h.Set("Authorization", "Bearer "+token); h.Del("DPoP") },
					"as bearer, proven":   func(h http.Header) { h.Set("Authorization", "Bearer "+token) },
					"without a proof":     func(h http.Header) { h.Del("DPoP") },
					"with one of another": func(h http.Header) { h.Set("DPoP", proofOf(t, r, token)) },
				} {
					if got, challenge := sendAgain(t, r, change); got != http.StatusUnauthorized {
						t.Errorf("%s, sent again %s: %d %s", r.URL.Path, attack, got, challenge)
					}
				}
			}
			if err := task.Complete(t.Context()); err != nil {
				t.Fatal(err)
			}
			plain := s.Client()
			plain.DPoP = false
			without, err := lumoauth.New(plain)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := without.AgentToken(t.Context()); (err == nil) == demanded || demanded && !strings.Contains(err.Error(), "invalid_dpop_proof") {
				t.Errorf("AgentToken() without a key = %v", err)
			}
		})
	}
}

// What was issued before is no way around.
func TestBearerTokensFromBeforeAreRefused(t *testing.T) {
	cfg := dev.Config{StateDir: t.TempDir()}
	if err := os.Chmod(cfg.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	var token secret.String
	for _, want := range []int{http.StatusOK, http.StatusUnauthorized} {
		s, err := dev.Start(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if token.IsZero() {
			client, err := lumoauth.New(s.Client())
			if err != nil {
				t.Fatal(err)
			}
			base, err := client.AgentToken(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			token = base.Token
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.AuthURL+"/orgs/acme-corp/api/v1/agents/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := sendAgain(t, r, func(h http.Header) { h.Set("Authorization", "Bearer "+token.Reveal()) }); got != want {
			t.Errorf("demanded %v: %d, want %d", cfg.Auth.DPoP, got, want)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		cfg.Auth.DPoP = true
	}
}

// proofOf is a proof by a key that the token is not bound to, good otherwise.
func proofOf(t *testing.T, r *http.Request, token string) (proof string) {
	t.Helper()
	var c dpop.Client
	key, err := c.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	unsent := roundTripper(func(r *http.Request) (*http.Response, error) {
		proof = r.Header.Get("DPoP")
		return &http.Response{Header: http.Header{}}, nil
	})
	for _, over := range []http.RoundTripper{http.DefaultTransport, unsent} { // the first is told the nonce
		resp, err := key.RoundTrip(over, r.Clone(t.Context()), secret.New(token))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
	return proof
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A token that is bound to a key is exchanged by who has the key.
func TestBoundTokenIsExchangedByItsOwner(t *testing.T) {
	s, err := dev.Start(t.Context(), dev.Config{Auth: lumodev.Config{DPoP: true}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	user, err := s.Auth.UserToken(lumodev.DefaultUserEmail)
	if err != nil {
		t.Fatal(err)
	}
	owner, err := lumoauth.New(s.Client())
	if err != nil {
		t.Fatal(err)
	}
	d, err := owner.ExchangeOnBehalfOf(t.Context(), lumoauth.Exchange{Subject: func(context.Context) (secret.String, error) { return user, nil }})
	if err != nil {
		t.Fatal(err)
	}
	token, err := d.Token(t.Context())
	if err != nil || token.DPoP == nil {
		t.Fatalf("Token() = %v, %v", token, err)
	}
	var c dpop.Client
	thief, err := c.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	form := url.Values{
		"grant_type":    {"urn:ietf:params:oauth:grant-type:token-exchange"},
		"subject_token": {user.Reveal()}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
		"actor_token": {token.Token.Reveal()}, "actor_token_type": {"urn:ietf:params:oauth:token-type:access_token"},
	}
	base, err := owner.AgentToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	form.Set("actor_token", base.Token.Reveal())
	for name, key := range map[string]*dpop.Key{"its owner": base.DPoP, "a thief": thief} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.AuthURL+"/orgs/acme-corp/api/v1/oauth/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := key.RoundTrip(http.DefaultTransport, req, secret.String{})
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if (resp.StatusCode == http.StatusOK) != (name == "its owner") {
			t.Errorf("an exchange by %s: %d %s", name, resp.StatusCode, text)
		}
	}
}
