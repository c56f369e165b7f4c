package oauthz_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// polls are the token requests of CIBA.
func polls(s *fake.Server) (forms []url.Values) {
	for _, form := range s.Sent("/token") {
		if form.Has("auth_req_id") {
			forms = append(forms, form)
		}
	}
	return forms
}

func TestPollingKeepsToTheServersInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		s := &fake.Server{Refuse: func(_ url.Values, n int) (int, map[string]any) {
			if n == 0 {
				return 0, nil
			}
			at = append(at, time.Now())
			switch n {
			case 1, 3:
				return 400, map[string]any{"error": "authorization_pending"}
			case 2:
				return 400, map[string]any{"error": "slow_down"}
			}
			return 0, nil
		}}
		w, began := open(t, s, config(s, oauthz.CIBA)), time.Now()
		if err := w.fetch(t, "doc_1"); err != nil {
			t.Fatal(err)
		}
		for i, least := range []time.Duration{5 * time.Second, 5 * time.Second, 10 * time.Second, 10 * time.Second} {
			if gap := at[i].Sub(began); gap < least || gap > least*5/4 {
				t.Errorf("poll %d came %v after the one before, want at least %v", i+1, gap, least)
			}
			began = at[i]
		}
		// Whoever looks too soon is told so, and the server hears nothing.
		w.complete(t)
		ask := s.Sent("/ciba")[0]
		if ask.Get("scope") != "openid" || ask.Get("login_hint") != "ada" || ask.Get("resource") != api || len(ask.Get("binding_message")) != 6 {
			t.Errorf("asked by %v", ask)
		}
	})
}

// An early look, two at once, and one after a lost answer: the server hears of none.
func TestAPollIsMadeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fake.Server{}
		client, err := oauthz.New(config(s, oauthz.CIBA))
		if err != nil {
			t.Fatal(err)
		}
		d, err := request(t, client, "doc_1")
		if err != nil || d.Status != jit.StatusPending {
			t.Fatalf("Request() = %+v, %v", d, err)
		}
		if early, err := client.Status(t.Context(), d.RequestID); err != nil || early.Status != jit.StatusPending || early.RetryAfter <= 0 || len(polls(s)) != 0 {
			t.Errorf("early Status() = %+v, %v after %d polls", early, err, len(polls(s)))
		}
		time.Sleep(6 * time.Second)
		gone, cancel := context.WithCancel(t.Context())
		cancel() // its caller has left, and its answer may hold the token
		for range 2 {
			if now, err := client.Status(gone, d.RequestID); err != nil || now.Status != jit.StatusApproved || len(polls(s)) != 1 {
				t.Errorf("Status() = %+v, %v after %d polls, want approved after one", now, err, len(polls(s)))
			}
		}
		lost, err := request(t, client, "doc_2")
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		s.Answer = on("/token", func(url.Values, int, map[string]any) (int, map[string]any) { return 0, nil })
		for range 2 {
			if _, err := client.Status(t.Context(), lost.RequestID); !errors.Is(err, jit.ErrSpent) || len(polls(s)) != 2 {
				t.Errorf("Status() = %v after %d polls, want ErrSpent after one more", err, len(polls(s)))
			}
		}
	})
}

func request(t *testing.T, c *oauthz.Client, id string) (jit.Decision, error) {
	t.Helper()
	task, err := c.CreateTask(t.Context(), jit.TaskSpec{OnBehalfOf: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	return c.Request(t.Context(), jit.Request{TaskID: task.ID, Detail: read(id), Justification: "the model says please"})
}

// A token request is brought to its end though its task is ending: what it brings can
// then be revoked.
func TestATokenRequestIsNotCutShort(t *testing.T) {
	s := &fake.Server{}
	client := must(oauthz.New(config(s, oauthz.ClientCredentials)))
	task := must(client.CreateTask(t.Context(), jit.TaskSpec{}))
	_ = must(client.Capabilities(t.Context()))
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if d, err := client.Request(gone, jit.Request{TaskID: task.ID, Detail: read("doc_1")}); err != nil || d.Status != jit.StatusApproved || s.Live() != 1 {
		t.Errorf("Request() = %+v, %v with %d tokens alive", d, err, s.Live())
	}
	if err := client.CompleteTask(t.Context(), task.ID); err != nil || s.Live() != 0 {
		t.Errorf("CompleteTask() = %v with %d tokens alive", err, s.Live())
	}
}

// What cannot be asked for is not asked for.
func TestNothingIsSent(t *testing.T) {
	for name, change := range map[string]func(*oauthz.Config){
		"a type that is not configured": func(c *oauthz.Config) { c.Types = map[string]oauthz.Type{"payment": {}} },
		"a detail without a scope": func(c *oauthz.Config) {
			c.Types["file_access"] = oauthz.Type{Scopes: func(rar.Detail) []string { return nil }}
		},
		"a permission for any resource": func(c *oauthz.Config) {
			c.Mode, c.Audience = oauthz.UMA, "docs"
			c.Types["file_access"] = oauthz.Type{Scopes: func(rar.Detail) []string { return []string{"#read"} }}
		},
		"a permission for all of a resource": func(c *oauthz.Config) {
			c.Mode, c.Audience = oauthz.UMA, "docs"
			c.Types["file_access"] = oauthz.Type{Scopes: func(d rar.Detail) []string { return []string{d.Identifier} }}
		},
		"two permissions in one": func(c *oauthz.Config) {
			c.Mode, c.Audience = oauthz.UMA, "docs"
			c.Types["file_access"] = oauthz.Type{Scopes: func(d rar.Detail) []string { return []string{d.Identifier + "#read,write"} }}
		},
		"nobody to ask": func(c *oauthz.Config) {
			c.Mode, c.Login = oauthz.CIBA, func(jit.TaskSpec) (string, error) { return "", nil }
		},
	} {
		s := &fake.Server{}
		cfg := config(s, oauthz.ClientCredentials)
		change(&cfg)
		client, err := oauthz.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = request(t, client, "doc_1")
		if r, ok := errors.AsType[jit.Refusal](err); !ok || r.Reason() == "" || len(s.Sent("/token"))+len(s.Sent("/ciba")) != 0 {
			t.Errorf("%s: Request() = %v, and the server heard of it", name, err)
		}
	}
}

// No word of the model reaches the server.
func TestJustificationIsNotSent(t *testing.T) {
	for _, mode := range []oauthz.Mode{oauthz.ClientCredentials, oauthz.CIBA} {
		s := &fake.Server{}
		client, err := oauthz.New(config(s, mode))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := request(t, client, "doc_1"); err != nil {
			t.Fatal(err)
		}
		for _, at := range []string{"/token", "/ciba"} {
			for _, form := range s.Sent(at) {
				if strings.Contains(form.Encode(), "please") {
					t.Errorf("sent to %s: %v", at, form)
				}
			}
		}
	}
}

// Where all tokens end with one, the agent's own does too: it is not used any more.
func TestRevokingOneRevokesAll(t *testing.T) {
	s := &fake.Server{Cascades: true}
	client := must(oauthz.New(config(s, oauthz.ClientCredentials)))
	d, err := request(t, client, "doc_1")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_ = must(client.AgentToken(t.Context()))
	}
	if err := client.Revoke(t.Context(), must(client.Token(t.Context(), d.RequestID)).Token); err != nil {
		t.Fatal(err)
	}
	_ = must(client.AgentToken(t.Context()))
	if logins := slices.DeleteFunc(s.Sent("/token"), asked); len(logins) != 2 {
		t.Errorf("%d logins, want one before and one after", len(logins))
	}
}

// What one process leaves, another ends: held tokens are revoked, a poll whose answer was
// lost is made good, and what nobody ever polled is left to run out.
func TestAnotherProcessEndsTheTask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &fake.Server{}
		cfg := config(s, oauthz.CIBA)
		cfg.Vault = oauthz.Memory() // of both
		first, second := must(oauthz.New(cfg)), must(oauthz.New(cfg))
		task, err := first.CreateTask(t.Context(), jit.TaskSpec{OnBehalfOf: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, id := range []string{"held", "lost", "open"} {
			d, err := first.Request(t.Context(), jit.Request{TaskID: task.ID, Detail: read(id)})
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, d.RequestID)
		}
		time.Sleep(6 * time.Second)
		if d, err := second.Status(t.Context(), ids[0]); err != nil || d.Status != jit.StatusApproved {
			t.Fatalf("Status() in another process = %+v, %v", d, err)
		}
		s.Answer = on("/token", func(url.Values, int, map[string]any) (int, map[string]any) { return 0, nil })
		if _, err := first.Status(t.Context(), ids[1]); !errors.Is(err, jit.ErrSpent) || s.Live() != 2 {
			t.Fatalf("Status() = %v, %d tokens alive; want ErrSpent and two", err, s.Live())
		}
		s.Answer = nil
		err = second.CompleteTask(t.Context(), task.ID)
		left, ok := errors.AsType[*jit.ExpiringError](err)
		if !ok || left.Tokens != 1 || s.Live() != 0 || len(polls(s)) != 3 {
			t.Errorf("CompleteTask() = %v, %d tokens alive after %d polls; want one that may last, none, 3", err, s.Live(), len(polls(s)))
		}
		if err := second.CompleteTask(t.Context(), task.ID); err != nil {
			t.Errorf("again = %v", err)
		}
		if err := second.CompleteTask(t.Context(), "oz_OTHER"); err == nil {
			t.Error("a task that nobody knows is said to be over")
		}
	})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// The client proves who it is in three ways.
func TestClientAuthentication(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	var header string
	s := &fake.Server{}
	seen := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			header = r.Header.Get("Authorization")
		}
		s.ServeHTTP(w, r)
	})
	for name, change := range map[string]func(*oauthz.Config){
		"basic": func(*oauthz.Config) {},
		"post":  func(c *oauthz.Config) { c.Post = true },
		"jwt":   func(c *oauthz.Config) { c.ClientSecret, c.Key, c.KeyID = secret.String{}, key, "k1" },
	} {
		cfg := config(seen, oauthz.ClientCredentials)
		change(&cfg)
		if _, err := must(oauthz.New(cfg)).AgentToken(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		forms := s.Sent("/token")
		form := forms[len(forms)-1]
		delete(form, "grant_type")
		delete(form, "resource")
		names := strings.Join(slices.Sorted(maps.Keys(form)), " ")
		want := map[string]string{"basic": "", "post": "client_id client_secret", "jwt": "client_assertion client_assertion_type client_id"}[name]
		if names != want || (header != "") != (name == "basic") {
			t.Errorf("%s: form %q, Authorization %q", name, names, header)
		}
		if name == "jwt" {
			parsed := must(jwt.ParseSigned(form.Get("client_assertion"), []jose.SignatureAlgorithm{jose.ES256}))
			var claims jwt.Claims
			if err := parsed.Claims(key.Public(), &claims); err != nil || claims.Issuer != "analyst" || claims.Audience[0] != fake.Issuer || claims.ID == "" || parsed.Headers[0].KeyID != "k1" {
				t.Errorf("assertion %+v, %v", claims, err)
			}
		}
	}
}

// What is exchanged is the agent's own token, or what Subject says of the task.
func TestTokenExchange(t *testing.T) {
	s := &fake.Server{}
	cfg := config(s, oauthz.TokenExchange)
	cfg.Audience = "docs"
	_ = must(request(t, must(oauthz.New(cfg)), "doc_1"))
	cfg.NoBase, cfg.Subject = true, func(_ context.Context, spec jit.TaskSpec) (secret.String, error) {
		return secret.New("token-of-" + spec.OnBehalfOf), nil
	}
	_ = must(request(t, must(oauthz.New(cfg)), "doc_1"))
	const token = "urn:ietf:params:oauth:token-type:access_token"
	forms := slices.DeleteFunc(s.Sent("/token"), func(f url.Values) bool { return !asked(f) })
	for i, subject := range []string{fake.BaseToken + "-1", "token-of-ada"} {
		f := forms[i]
		if f.Get("subject_token") != subject || f.Get("subject_token_type") != token || f.Get("requested_token_type") != token || f.Get("audience") != "docs" || f.Get("resource") != api {
			t.Errorf("sent %v, want %s exchanged", f, subject)
		}
	}
	before := len(s.Sent("/token"))
	cfg.NoBase, cfg.Subject = true, func(context.Context, jit.TaskSpec) (secret.String, error) { return secret.New("two words"), nil }
	if _, err := request(t, must(oauthz.New(cfg)), "doc_1"); err == nil || len(s.Sent("/token")) != before {
		t.Errorf("Request() = %v with what is no token", err)
	}
}

// Where tokens are bound to a key, one that comes in exchange is bound to that of the
// token which was given.
func TestAnExchangeKeepsTheKey(t *testing.T) {
	client := must(oauthz.New(bound(newBinding(t), oauthz.TokenExchange)))
	d := must(request(t, client, "doc_1"))
	if key := must(client.AgentToken(t.Context())).DPoP; key == nil || must(client.Token(t.Context(), d.RequestID)).DPoP != key {
		t.Error("the token that came in exchange is bound to another key")
	}
}

func TestConfigNamesEveryMistake(t *testing.T) {
	for name, cfg := range map[string]oauthz.Config{
		"Audience": {Mode: oauthz.UMA}, "DPoP": {Mode: oauthz.UMA, Audience: "docs", DPoP: true}, "Subject": {Mode: oauthz.TokenExchange, NoBase: true},
		"say no permission for file_access": {Mode: oauthz.UMA, Types: map[string]oauthz.Type{"file_access": {}}},
	} {
		if _, err := oauthz.New(cfg); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New() = %v, which does not name %s", err, name)
		}
	}
	_, err := oauthz.New(oauthz.Config{Issuer: "http://auth.example.com", Mode: 7, MaxLifetime: -1})
	for _, name := range []string{"Issuer", "ClientID", "ClientSecret", "Mode", "MaxLifetime"} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("New() = %v, which does not name %s", err, name)
		}
	}
}

// Metadata that is another issuer's, or sends secrets elsewhere, is not used.
func TestMetadataOfAnotherIsRefused(t *testing.T) {
	for name, value := range map[string]string{"issuer": "https://other.example.com", "token_endpoint": "https://other.example.com/token"} {
		s := &fake.Server{Answer: on("/.well-known/oauth-authorization-server", func(_ url.Values, status int, body map[string]any) (int, map[string]any) {
			body[name] = value
			return status, body
		})}
		if _, err := must(oauthz.New(config(s, oauthz.ClientCredentials))).AgentToken(t.Context()); err == nil {
			t.Errorf("%s elsewhere is used", name)
		}
	}
	// OpenID Connect Discovery alone will do.
	s := &fake.Server{}
	moved := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration":
			r.URL.Path = "/.well-known/oauth-authorization-server"
		case "/.well-known/oauth-authorization-server":
			r.URL.Path = "/nowhere"
		}
		s.ServeHTTP(w, r)
	})
	if _, err := must(oauthz.New(config(moved, oauthz.ClientCredentials))).AgentToken(t.Context()); err != nil {
		t.Errorf("AgentToken() = %v", err)
	}
}

// Demanded scopes are asked for as they are, and the proof is that they were granted exactly.
func TestDemandedScopes(t *testing.T) {
	for granted, want := range map[string]error{"b a": nil, "a b default": nil, "a b c": jit.ErrOvergrant, "a": jit.ErrOvergrant, "": jit.ErrSilent} {
		s := &fake.Server{Answer: on("/token", func(_ url.Values, status int, body map[string]any) (int, map[string]any) {
			body["scope"] = granted
			return status, body
		})}
		cfg := config(s, oauthz.ClientCredentials)
		cfg.Types, cfg.Always = nil, []string{"default"}
		client := must(oauthz.New(cfg))
		task := must(client.CreateTask(t.Context(), jit.TaskSpec{}))
		d := must(client.Request(t.Context(), jit.Request{TaskID: task.ID, Detail: rar.Scopes("b", "a")}))
		issued, err := client.Token(t.Context(), d.RequestID)
		if !errors.Is(err, want) || err == nil && (!rar.Equal(issued.Details[0], rar.Scopes("a", "b")) || issued.Scopes != nil) {
			t.Errorf("granted %q: Token() = %+v, %v, want %v", granted, issued, err, want)
		}
		if form := s.Sent("/token")[0]; form.Get("scope") != "a b" || form.Has("authorization_details") {
			t.Errorf("the server was sent %v", form)
		}
	}
}

// What the token itself names counts too, under either name and however it is written; what
// two readers may read in two ways is not used.
func TestScopesOfTheTokenItself(t *testing.T) {
	for said, want := range map[string]error{
		`{"scp":["docs:read"]}`:           nil,
		`{"scope":"docs:read","scp":"x"}`: jit.ErrOvergrant,
		`{"scp":["docs:read","admin"]}`:   jit.ErrOvergrant,
		`{"scp":"docs:read admin"}`:       jit.ErrOvergrant,
		`{"scope":["admin"]}`:             jit.ErrOvergrant,
		`{"scp":[["admin"]]}`:             jit.ErrOvergrant,
		`{"scope":{"admin":true}}`:        jit.ErrOvergrant,
		`{"Scope":"admin"}`:               jit.ErrOvergrant,
		`{"Authorization_Details":[]}`:    jit.ErrOvergrant,
		`Scope`:                           jit.ErrSpent,
		`Authorization_Details`:           jit.ErrSpent,
	} {
		s := &fake.Server{Answer: on("/token", func(_ url.Values, status int, body map[string]any) (int, map[string]any) {
			if body["access_token"] = "e30." + base64.RawURLEncoding.EncodeToString([]byte(said)) + ".e30"; said[0] != '{' {
				body[said] = "admin" // in the answer
			}
			return status, body
		})}
		cfg := config(s, oauthz.ClientCredentials)
		scopes(&cfg)
		client := must(oauthz.New(cfg))
		task := must(client.CreateTask(t.Context(), jit.TaskSpec{}))
		d := must(client.Request(t.Context(), jit.Request{TaskID: task.ID, Detail: read("doc_1")}))
		if issued, err := client.Token(t.Context(), d.RequestID); !errors.Is(err, want) || (err == nil) == issued.Token.IsZero() {
			t.Errorf("%s: Token() = %v, want %v", said, err, want)
		}
	}
}

// What a server cannot promise depends on what it is asked by.
func TestLimitsOfEachMode(t *testing.T) {
	s := &fake.Server{Answer: on("/.well-known/oauth-authorization-server", func(_ url.Values, status int, body map[string]any) (int, map[string]any) {
		body["grant_types_supported"] = []string{"client_credentials", "urn:ietf:params:oauth:grant-type:uma-ticket"}
		delete(body, "backchannel_authentication_endpoint")
		return status, body
	})}
	const nobody, grant, coarse = "no person decides", "it does not say that it takes grants of type", "asked for as scopes"
	for mode, want := range map[oauthz.Mode][]string{
		oauthz.ClientCredentials: {nobody, coarse}, oauthz.CIBA: {grant + " urn:openid:params:grant-type:ciba", "no endpoint to ask a person at", coarse},
		oauthz.UMA: {nobody}, oauthz.TokenExchange: {nobody, grant, coarse, "may end with the one that was given"},
	} {
		cfg := config(s, mode)
		permissions(&cfg)
		can := must(must(oauthz.New(cfg)).Capabilities(t.Context()))
		text := strings.Join(can.Limits, "\n")
		for _, limit := range []string{nobody, grant, coarse, "no endpoint", "may end with"} {
			if strings.Contains(text, limit) != strings.Contains(strings.Join(want, "\n"), limit) {
				t.Errorf("mode %d: limits are\n%s\nwant %q or not", mode, text, limit)
			}
		}
		for _, limit := range want {
			if !strings.Contains(text, limit) {
				t.Errorf("mode %d: limits are\n%s\nwant %q", mode, text, limit)
			}
		}
	}
}
