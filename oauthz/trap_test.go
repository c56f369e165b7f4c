package oauthz_test

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const api = "https://api.example.com"

func read(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}

func config(s http.Handler, mode oauthz.Mode) oauthz.Config {
	return oauthz.Config{
		Issuer: fake.Issuer, ClientID: "analyst", ClientSecret: secret.New("client-secret-canary"), Mode: mode, Resource: api,
		Types: map[string]oauthz.Type{"file_access": {}}, HTTPClient: &http.Client{Transport: fake.Transport{Handler: s}},
	}
}

func permissions(cfg *oauthz.Config) {
	cfg.Audience = "docs"
	cfg.Types["file_access"] = oauthz.Type{Scopes: func(d rar.Detail) []string { return []string{d.Identifier + "#read"} }}
}

// permit changes the permissions of a requesting party token.
func permit(change func(first map[string]any) []any) func(map[string]any) {
	return func(claims map[string]any) {
		all := claims["authorization"].(map[string]any)
		all["permissions"] = change(all["permissions"].([]any)[0].(map[string]any))
	}
}

func scopes(cfg *oauthz.Config) {
	cfg.Types["file_access"] = oauthz.Type{Scopes: func(rar.Detail) []string { return []string{"docs:read"} }}
}

// A world is a task on a server, and an API that demands reading what is asked for.
type world struct {
	*fake.Server
	client *oauthz.Client
	task   *jit.Task
	http   *http.Client
	events []jit.Event
}

// open opens a task. The API takes the token that names its detail, or any but the
// agent's own where there is none.
func open(t *testing.T, s *fake.Server, cfg oauthz.Config) *world {
	t.Helper()
	client, err := oauthz.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	engine, err := jit.New(jit.Config{Authority: client, Wait: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Server: s, client: client}
	w.task = engine.Start(t.Context(), jit.TaskSpec{OnBehalfOf: "ada"}, func(e jit.Event) { w.events = append(w.events, e) })
	origin, _ := jit.ParseOrigin(api)
	guard := fake.Guard(func(r *http.Request) rar.Detail { return read(path.Base(r.URL.Path)) }, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "content")
	}))
	first := ""
	h := func(w http.ResponseWriter, r *http.Request) {
		auth := r.Header.Get("Authorization")
		if first == "" {
			first = auth
		}
		if cfg.Types["file_access"].Scopes != nil && auth != first {
			return // this API looks at scopes
		}
		guard.ServeHTTP(w, r)
	}
	w.http = &http.Client{Transport: &jit.Transport{Origin: origin, Base: fake.Transport{Handler: http.HandlerFunc(h)}}}
	return w
}

func (w *world) fetch(t *testing.T, id string) error {
	ctx := w.task.Call(t.Context(), jit.Call{Tool: "fetch", Ceiling: []rar.Detail{read(id)}})
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, api+"/docs/"+id, nil)
	resp, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return nil
}

// complete ends the task, and returns what its event says.
func (w *world) complete(t *testing.T) jit.Completed {
	t.Helper()
	if err := w.task.Complete(context.WithoutCancel(t.Context())); err != nil {
		t.Errorf("Complete() = %v", err)
	}
	end, _ := w.events[len(w.events)-1].(jit.Completed)
	return end
}

// on changes the answers of an endpoint.
func on(at string, change func(form url.Values, status int, body map[string]any) (int, map[string]any)) func(string, url.Values, int, map[string]any) (int, map[string]any) {
	return func(path string, form url.Values, status int, body map[string]any) (int, map[string]any) {
		if path == at {
			return change(form, status, body)
		}
		return status, body
	}
}

// asked reports whether a form asks for authority, and is not the agent's login.
func asked(form url.Values) bool {
	return form.Has("authorization_details") || form.Has("scope") || form.Has("auth_req_id") || form.Has("permission")
}

// What servers were seen to do, and what comes of it: each line is a row of
// docs/servers.md.
func TestTraps(t *testing.T) {
	drop := func(name string) func(url.Values, int, map[string]any) (int, map[string]any) {
		return func(form url.Values, status int, body map[string]any) (int, map[string]any) {
			if asked(form) {
				delete(body, name)
			}
			return status, body
		}
	}
	for _, tt := range []struct {
		name string
		mode oauthz.Mode
		cfg  func(*oauthz.Config)
		at   string
		trap func(url.Values, int, map[string]any) (int, map[string]any)
		no   func(url.Values, int) (int, map[string]any)
		jwt  func(map[string]any)

		want  error         // nil: the call works
		text  string        // in the error
		alive int           // tokens that allow something when the call is over
		left  int           // and when the task is
		until time.Duration // by which they expire, as the task's end says
	}{
		{name: "none, client credentials", alive: 1},
		{name: "none, CIBA", mode: oauthz.CIBA, alive: 1},
		{name: "none, scopes", cfg: scopes, alive: 1},
		{name: "none, UMA", mode: oauthz.UMA, cfg: permissions, alive: 1},
		{name: "none, UMA by the ids of resources", mode: oauthz.UMA, cfg: permissions, alive: 1, jwt: permit(func(p map[string]any) []any {
			p["rsid"], p["rsname"] = p["rsname"], "another word for it"
			return []any{p}
		})},
		{name: "none, token exchange", mode: oauthz.TokenExchange, cfg: scopes, alive: 1},
		{name: "none, token exchange with details", mode: oauthz.TokenExchange, alive: 1},
		{name: "another resource has that name, too", mode: oauthz.UMA, cfg: permissions, want: jit.ErrOvergrant, jwt: permit(func(p map[string]any) []any {
			other := maps.Clone(p)
			other["rsid"] = "mallory's"
			return []any{p, other}
		})},
		{name: "permits another resource", mode: oauthz.UMA, cfg: permissions, want: jit.ErrOvergrant, jwt: permit(func(p map[string]any) []any {
			p["rsname"] = "doc_2"
			return []any{p}
		})},
		{name: "permits all of another resource, too", mode: oauthz.UMA, cfg: permissions, want: jit.ErrOvergrant, jwt: permit(func(p map[string]any) []any {
			return []any{p, map[string]any{"rsid": "id-of-doc_2", "rsname": "doc_2"}}
		})},
		{name: "permissions that read in two ways", mode: oauthz.UMA, cfg: permissions, want: jit.ErrOvergrant, jwt: permit(func(p map[string]any) []any {
			p["scopes"] = "read"
			return []any{p}
		})},
		{name: "a scope beside the permissions", mode: oauthz.UMA, cfg: permissions, want: jit.ErrOvergrant, text: "scope doc_1#read admin, not doc_1#read", jwt: func(claims map[string]any) {
			claims["scope"] = "admin"
		}},
		{name: "no permissions in the token", mode: oauthz.UMA, cfg: permissions, want: jit.ErrSilent, jwt: func(claims map[string]any) { delete(claims, "authorization") }},
		{name: "no resource of that name", mode: oauthz.UMA, cfg: permissions, want: jit.ErrDenied, no: no(400, "invalid_resource", "Resource does not exist.")},
		{name: "gives another kind of token in exchange", mode: oauthz.TokenExchange, cfg: scopes, at: "/token", want: jit.ErrSpent, text: "not said to be an access token", trap: drop("issued_token_type")},
		{name: "ignores authorization details", at: "/token", trap: drop("authorization_details"), want: jit.ErrSilent},
		{name: "ignores them, CIBA", mode: oauthz.CIBA, at: "/token", trap: drop("authorization_details"), want: jit.ErrSilent},
		{name: "grants other details", at: "/token", want: jit.ErrOvergrant, trap: func(form url.Values, status int, body map[string]any) (int, map[string]any) {
			if asked(form) {
				body["authorization_details"] = []rar.Detail{{Type: "file_access", Actions: []string{"read", "delete"}, Identifier: "doc_1"}}
			}
			return status, body
		}},
		{name: "grants scopes beside the details", at: "/token", want: jit.ErrOvergrant, trap: func(form url.Values, status int, body map[string]any) (int, map[string]any) {
			if asked(form) {
				body["scope"] = "admin"
			}
			return status, body
		}},
		{name: "grants wider scopes", cfg: scopes, at: "/token", want: jit.ErrOvergrant, trap: func(form url.Values, status int, body map[string]any) (int, map[string]any) {
			if asked(form) {
				body["scope"] = "docs:read docs:write"
			}
			return status, body
		}},
		{name: "leaves the scope out", cfg: scopes, at: "/token", trap: drop("scope"), want: jit.ErrSilent},
		{name: "the agent's own token may do something", at: "/token", want: errAny, text: "may already do something", trap: func(_ url.Values, status int, body map[string]any) (int, map[string]any) {
			body["scope"] = "default"
			return status, body
		}},
		{name: "lives too long", at: "/token", want: jit.ErrSpent, text: "24h0m0s", trap: func(form url.Values, status int, body map[string]any) (int, map[string]any) {
			if asked(form) {
				body["expires_in"] = 86400
			}
			return status, body
		}},
		{name: "denies", want: jit.ErrDenied, no: no(400, "invalid_authorization_details", "")},
		{name: "pending is 403 access_denied", want: jit.ErrDenied, text: "request_submitted", no: no(403, "access_denied", "request_submitted")},
		{name: "wrong secret: 401 and no header", at: "/token", want: errAny, text: "refuses the client's own credentials", trap: func(url.Values, int, map[string]any) (int, map[string]any) {
			return 401, nil
		}},
		{name: "the user denies", mode: oauthz.CIBA, no: ends("access_denied"), want: jit.ErrDenied},
		{name: "nobody decides", mode: oauthz.CIBA, no: ends("expired_token"), want: jit.ErrDenied, text: "expired"},
		{name: "the answer to a poll is lost", mode: oauthz.CIBA, at: "/token", want: jit.ErrSpent, alive: 1, until: time.Hour, trap: func(form url.Values, status int, body map[string]any) (int, map[string]any) {
			if form.Has("auth_req_id") && status == 200 {
				return 0, nil
			}
			return status, body
		}},
		{name: "the answer to a token request is lost", at: "/token", want: errAny, alive: 1, left: 1, until: time.Hour, trap: func(form url.Values, status int, body map[string]any) (int, map[string]any) {
			if asked(form) {
				return 0, nil
			}
			return status, body
		}},
		{name: "cannot revoke JWTs", at: "/revoke", alive: 1, until: 5 * time.Minute, trap: func(url.Values, int, map[string]any) (int, map[string]any) {
			return 400, map[string]any{"error": "unsupported_token_type"}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &fake.Server{Refuse: tt.no, Claims: tt.jwt}
				if tt.trap != nil {
					s.Answer = on(tt.at, tt.trap)
				}
				cfg := config(s, tt.mode)
				if tt.cfg != nil {
					tt.cfg(&cfg)
				}
				w, began := open(t, s, cfg), time.Now()
				err := w.fetch(t, "doc_1")
				if (err == nil) != (tt.want == nil) || tt.want != nil && tt.want != errAny && !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.text) {
					t.Errorf("GET = %v, want %v %q", err, tt.want, tt.text)
				}
				if err != nil && strings.Contains(err.Error(), "canary") {
					t.Errorf("the error holds a credential: %v", err)
				}
				if n := w.Live(); n != tt.alive {
					t.Errorf("%d tokens alive after the call, want %d", n, tt.alive)
				}
				end := w.complete(t)
				if n := w.Live(); n != tt.left && tt.at != "/revoke" {
					t.Errorf("%d tokens alive after the task, want %d", n, tt.left)
				}
				if (tt.until == 0) != end.ExpiresAt.IsZero() || end.ExpiresAt.After(began.Add(tt.until+time.Minute)) {
					t.Errorf("the task says that what is left expires at %v, want within %v of %v", end.ExpiresAt, tt.until, began)
				}
			})
		})
	}
}

var errAny = errors.New("any")

// no refuses what is asked for.
func no(status int, code, description string) func(url.Values, int) (int, map[string]any) {
	return func(form url.Values, _ int) (int, map[string]any) {
		if !asked(form) {
			return 0, nil
		}
		return status, map[string]any{"error": code, "error_description": description}
	}
}

// ends leaves a request pending for two polls.
func ends(code string) func(url.Values, int) (int, map[string]any) {
	return func(_ url.Values, n int) (int, map[string]any) {
		switch {
		case n == 0 || n > 2 && code == "":
			return 0, nil
		case n > 2:
			return 400, map[string]any{"error": code}
		}
		return 400, map[string]any{"error": "authorization_pending"}
	}
}
