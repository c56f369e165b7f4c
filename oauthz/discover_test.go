package oauthz_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// A site is an API that names its authorization servers at places of its own, and those
// servers.
type site struct {
	resource, place, issuer string
	servers                 map[string]*fake.Server // by issuer; the fake's metadata is made to fit
	metadata                func(map[string]any)    // changes what a server says
	registered              []map[string]any
	token                   func(map[string]any) // changes a token response
	scopes                  map[string]string    // of each token that was issued
	api                     http.HandlerFunc     // what else there is at the API
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	at := "https://" + r.Host
	if at == api {
		if r.URL.Path == "/mcp" {
			s.api(w, r)
			return
		}
		if r.URL.Path != s.place {
			http.NotFound(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"resource": s.resource, "authorization_servers": []string{s.issuer}, "scopes_supported": []string{"mcp:basic"}})
		return
	}
	if r.URL.Path == "/register" {
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		s.registered = append(s.registered, body)
	}
	server := s.servers[at]
	if server.Answer == nil {
		server.Answer = func(path string, _ url.Values, status int, body map[string]any) (int, map[string]any) {
			if token, ok := body["access_token"].(string); ok {
				s.scopes[token], _ = body["scope"].(string)
				if s.token != nil {
					s.token(body)
				}
			}
			if strings.HasPrefix(path, "/.well-known/") {
				body = maps.Clone(body)
				if s.metadata != nil {
					s.metadata(body)
				}
				for name, value := range body {
					if text, ok := value.(string); ok {
						body[name] = strings.Replace(text, fake.Issuer, at, 1)
					}
				}
			}
			return status, body
		}
	}
	server.ServeHTTP(w, r)
}

const mcp = api + "/mcp"

func newSite() *site {
	return &site{
		resource: mcp, place: "/.well-known/oauth-protected-resource/mcp", issuer: "https://one.example.com",
		scopes:  map[string]string{},
		servers: map[string]*fake.Server{"https://one.example.com": {}, "https://two.example.com": {}},
	}
}

func (s *site) client(t *testing.T, change func(*oauthz.Config)) (*oauthz.Client, *visit) {
	t.Helper()
	return logins(s.servers["https://one.example.com"], func(c *oauthz.Config) {
		c.Issuer, c.ClientID, c.Resource = "", "", mcp
		c.HTTPClient = &http.Client{Transport: fake.Transport{Handler: s}}
		if change != nil {
			change(c)
		}
	})
}

func TestAnAPINamesItsServer(t *testing.T) {
	origin := must(jit.ParseOrigin(api))
	for _, tt := range []struct {
		name   string
		set    func(*site)
		change func(*oauthz.Config)
		said   string
		works  bool
	}{
		{"at the path", func(*site) {}, nil, "", true},
		{"at the root", func(s *site) { s.place, s.resource = "/.well-known/oauth-protected-resource", api }, nil, "", true},
		{"where the refusal says", func(s *site) { s.place = "/meta.json" }, nil, api + "/meta.json", true},
		{"where another says", func(*site) {}, nil, "https://evil.example.com/meta.json", false},
		{"not where the refusal says", func(*site) {}, nil, api + "/meta.json", false},
		{"nowhere", func(s *site) { s.place = "" }, nil, "", false},
		{"for another API", func(s *site) { s.resource = "https://evil.example.com/mcp" }, nil, "", false},
		{"at the path for the root", func(s *site) { s.resource = api }, nil, "", false},
		{"a server of its own machine", func(s *site) { s.issuer = "http://127.0.0.1:1" }, nil, "", false},
		{"the configured one", func(*site) {}, func(c *oauthz.Config) { c.Issuer, c.ClientID = "https://one.example.com", "known" }, "", true},
		{"another than the configured one", func(*site) {}, func(c *oauthz.Config) { c.Issuer, c.ClientID = "https://two.example.com", "known" }, "", false},
		{"nowhere, and one is configured", func(s *site) { s.place = "" }, func(c *oauthz.Config) { c.Issuer, c.ClientID = "https://one.example.com", "known" }, "", true},
	} {
		s := newSite()
		tt.set(s)
		client, _ := s.client(t, tt.change)
		scopes, err := client.Discover(t.Context(), origin, mcp, tt.said)
		if (err == nil) != tt.works || tt.works && s.place != "" && !slices.Equal(scopes, []string{"mcp:basic"}) {
			t.Errorf("%s: Discover() = %v, %v", tt.name, scopes, err)
		}
	}
}

// A client that nobody registered is a document where the server takes that, else the
// server makes one; at the next server it is another.
func TestWhoTheClientIs(t *testing.T) {
	ask := func(t *testing.T, client *oauthz.Client, task string) error {
		t.Helper()
		_, err := client.Discover(t.Context(), must(jit.ParseOrigin(api)), mcp, "")
		if err == nil {
			_, err = client.Request(t.Context(), jit.Request{TaskID: task, Detail: read("doc_1"), For: jit.Purpose{Origin: api}})
		}
		return err
	}
	s := newSite()
	client, v := s.client(t, nil)
	task := must(client.CreateTask(t.Context(), jit.TaskSpec{OnBehalfOf: "ada@example.com"})).ID
	for range 2 {
		if err := ask(t, client, task); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.registered) != 1 || v.asked.Get("client_id") != "registered-1" || v.asked.Get("resource") != mcp || v.asked.Has("login_hint") {
		t.Fatalf("registered %v, asked %v", s.registered, v.asked)
	}
	made := s.registered[0]
	if made["application_type"] != "native" || made["token_endpoint_auth_method"] != "none" || made["redirect_uris"].([]any)[0] != v.asked.Get("redirect_uri") {
		t.Errorf("registered as %v", made)
	}
	// The API moves: what the first server made is not known to the second.
	s.issuer = "https://two.example.com"
	if err := ask(t, client, task); err != nil || len(s.registered) != 2 || !strings.HasPrefix(v.address, "https://two.example.com/authorize?") {
		t.Errorf("Request() = %v, registered %d times, address %s", err, len(s.registered), v.address)
	}
	const document = "https://app.example.com/client.json"
	for name, tt := range map[string]struct {
		metadata func(map[string]any)
		want     string
	}{
		"documents are taken":     {func(m map[string]any) { m["client_id_metadata_document_supported"] = true }, document},
		"documents are not taken": {nil, "registered-1"},
		"nor clients made":        {func(m map[string]any) { delete(m, "registration_endpoint") }, ""},
		"no client can prove who it is": {func(m map[string]any) {
			m["token_endpoint_auth_methods_supported"] = []string{"tls_client_auth"}
		}, ""},
	} {
		s = newSite()
		s.metadata = tt.metadata
		client, v = s.client(t, func(c *oauthz.Config) { c.Document = document })
		task = must(client.CreateTask(t.Context(), jit.TaskSpec{})).ID
		if err := ask(t, client, task); (err == nil) != (tt.want != "") || v.asked.Get("client_id") != tt.want {
			t.Errorf("%s: Request() = %v as %q", name, err, v.asked.Get("client_id"))
		}
	}
}

// What a server made for us is in the vault with what it issued, so that another process
// can end it there.
func TestAnotherProcessEndsALoginAtTheSameServer(t *testing.T) {
	s := newSite()
	vault := oauthz.Memory()
	client, v := s.client(t, func(c *oauthz.Config) { c.Vault = vault })
	v.task = must(client.CreateTask(t.Context(), jit.TaskSpec{})).ID
	v.d = must(client.Request(t.Context(), jit.Request{TaskID: v.task, Detail: read("doc_1"), For: jit.Purpose{Origin: api}}))
	_, _ = browse(t, v.with("iss", s.issuer))
	one := s.servers[s.issuer]
	if now, err := v.status(t); err != nil || now.Status != jit.StatusApproved || one.Live() != 1 {
		t.Fatalf("Status() = %+v, %v with %d tokens alive", now, err, one.Live())
	}
	s.issuer = "https://two.example.com"
	next, _ := s.client(t, func(c *oauthz.Config) { c.Vault = vault })
	if err := next.CompleteTask(t.Context(), v.task); err != nil || one.Live() != 0 || one.Sent("/revoke")[0].Get("client_id") != "registered-1" {
		t.Errorf("CompleteTask() = %v with %d tokens alive", err, one.Live())
	}
}

// One token is revoked where it was issued.
func TestATokenIsRevokedWhereItWasIssued(t *testing.T) {
	s := newSite()
	client, v := s.client(t, nil)
	v.task = must(client.CreateTask(t.Context(), jit.TaskSpec{})).ID
	v.d = must(client.Request(t.Context(), jit.Request{TaskID: v.task, Detail: read("doc_1"), For: jit.Purpose{Origin: api}}))
	_, _ = browse(t, v.with("iss", s.issuer))
	_ = must(v.status(t))
	issued := must(client.Token(t.Context(), v.d.RequestID))
	if err := client.Revoke(t.Context(), issued.Token); err != nil || s.servers[s.issuer].Live() != 0 {
		t.Errorf("Revoke() = %v", err)
	}
}

func TestConfigOfALogin(t *testing.T) {
	open := config(&fake.Server{}, oauthz.AuthorizationCode)
	open.Open = func(context.Context, string) error { return nil }
	for name, tt := range map[string]struct {
		change func(*oauthz.Config)
		wrong  string
	}{
		"whole":                  {func(*oauthz.Config) {}, ""},
		"public":                 {func(c *oauthz.Config) { c.ClientSecret = secret.String{} }, ""},
		"no client":              {func(c *oauthz.Config) { c.ClientID, c.ClientSecret = "", secret.String{} }, ""},
		"nothing":                {func(c *oauthz.Config) { c.Issuer, c.ClientID, c.ClientSecret = "", "", secret.String{} }, ""},
		"a secret of no client":  {func(c *oauthz.Config) { c.ClientID = "" }, "ClientID"},
		"a client of any server": {func(c *oauthz.Config) { c.Issuer = "" }, "Issuer"},
		"nobody to open":         {func(c *oauthz.Config) { c.Open = nil }, "Open"},
		"a redirect elsewhere":   {func(c *oauthz.Config) { c.Redirect = "https://app.example.com/callback" }, "Redirect"},
		"a redirect by name":     {func(c *oauthz.Config) { c.Redirect = "http://localhost:8080/callback" }, "Redirect"},
		"a redirect with a port": {func(c *oauthz.Config) { c.Redirect = "http://127.0.0.1:8080/callback" }, ""},
	} {
		cfg := open
		tt.change(&cfg)
		_, err := oauthz.New(cfg)
		wrong, _ := errors.AsType[*oauthz.ConfigError](err)
		if tt.wrong == "" && err != nil || tt.wrong != "" && (wrong == nil || !strings.Contains(err.Error(), tt.wrong)) {
			t.Errorf("%s: New() = %v", name, err)
		}
	}
}

// A login serves every call of its task that its scopes suffice for; what it lacks is
// asked for together with them, within the ceiling, and not for ever.
func TestALoginServesTheTask(t *testing.T) {
	all := rar.Scopes("mcp:basic", "mcp:write", "mcp:admin")
	for _, tt := range []struct {
		name    string
		first   string // what the API says to a call without a token
		need    string // the scope that it then wants of a call
		ceiling []rar.Detail
		asked   []string // the scopes of each login
		want    error
	}{
		{"scopes are named", `, scope="mcp:basic"`, "mcp:basic", []rar.Detail{all}, []string{"mcp:basic"}, nil},
		{"scopes are named beside an error", `, error="invalid_token", scope="mcp:basic"`, "mcp:basic", []rar.Detail{rar.Scopes("mcp:basic", "mcp:other"), rar.Scopes()}, []string{"mcp:basic"}, nil},
		{"scopes are named elsewhere", ``, "mcp:basic", []rar.Detail{all}, []string{"mcp:basic"}, nil},
		{"none is needed", ``, "", []rar.Detail{rar.Scopes()}, []string{""}, nil},
		{"more are wanted", `, scope="mcp:basic"`, "mcp:write", []rar.Detail{all}, []string{"mcp:basic", "mcp:basic mcp:write"}, nil},
		{"more are wanted than together", `, scope="mcp:basic"`, "mcp:write", []rar.Detail{rar.Scopes("mcp:basic"), rar.Scopes("mcp:write")}, []string{"mcp:basic", "mcp:write"}, nil},
		{"others than the ceiling's", `, scope="mcp:basic"`, "mcp:root", []rar.Detail{all}, []string{"mcp:basic"}, jit.ErrOutsideCeiling},
		{"a login that the ceiling has not", ``, "", []rar.Detail{rar.Scopes("mcp:write")}, nil, jit.ErrOutsideCeiling},
		{"another scheme", `Basic realm="x"`, "", []rar.Detail{rar.Scopes()}, nil, nil},
		{"the same for ever", `, scope="mcp:basic"`, "never", []rar.Detail{all}, []string{"mcp:basic"}, jit.ErrStillRefused},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite()
			s.api = func(w http.ResponseWriter, r *http.Request) {
				token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
				scopes, known := s.scopes[token]
				need := tt.need
				switch {
				case token == "":
					if w.Header().Set("WWW-Authenticate", tt.first); !strings.HasPrefix(tt.first, "Basic") {
						w.Header().Set("WWW-Authenticate", `Bearer resource_metadata="`+api+s.place+`"`+tt.first)
					}
					w.WriteHeader(http.StatusUnauthorized)
				case !known:
					t.Errorf("the token %q comes to the API", token)
				case need == "never":
					need = "mcp:basic"
					fallthrough
				case !slices.Contains(strings.Fields(scopes), need) && need != "":
					w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_scope", scope="`+need+`"`)
					w.WriteHeader(http.StatusForbidden)
				}
			}
			client, v := s.client(t, nil)
			engine := must(jit.New(jit.Config{Authority: client, Wait: time.Minute, PollInterval: time.Hour}))
			task := engine.Start(t.Context(), jit.TaskSpec{}, nil)
			var asked []string
			v.opened = func() {
				asked = append(asked, v.asked.Get("scope"))
				_, _ = browse(t, v.with("iss", s.issuer))
			}
			web := &http.Client{Transport: &jit.Transport{Origin: must(jit.ParseOrigin(api)), Base: fake.Transport{Handler: s}}}
			for _, args := range []string{"one", "two"} {
				ctx := task.Call(t.Context(), jit.Call{Tool: "mcp__call", Args: args, Ceiling: tt.ceiling})
				req := must(http.NewRequestWithContext(ctx, http.MethodPost, mcp, strings.NewReader(args)))
				resp, err := web.Do(req)
				if !errors.Is(err, tt.want) {
					t.Errorf("%s: %v, want %v", args, err, tt.want)
				}
				if err == nil {
					_ = resp.Body.Close()
				}
				if tt.want != nil {
					break
				}
			}
			if !slices.Equal(asked, tt.asked) {
				t.Errorf("logged in for %q, want %q", asked, tt.asked)
			}
			if err := task.Complete(context.WithoutCancel(t.Context())); err != nil || s.servers[s.issuer].Live() != 0 {
				t.Errorf("Complete() = %v, %d tokens alive", err, s.servers[s.issuer].Live())
			}
		})
	}
}

// A refresh token spares the person another login for the same, for as long as the task
// lasts, and ends with it.
func TestALoginIsGoneOnWith(t *testing.T) {
	s := newSite()
	client, v := s.client(t, nil)
	one := s.servers[s.issuer]
	refuse := false
	one.Refuse = func(form url.Values, _ int) (int, map[string]any) {
		if form.Get("grant_type") == "refresh_token" && (refuse || form.Get("refresh_token") != "refresh-canary") {
			return 400, map[string]any{"error": "invalid_grant"}
		}
		return 0, nil
	}
	s.token = func(body map[string]any) { body["refresh_token"] = "refresh-canary" }
	v.opened = func() { _, _ = browse(t, v.with("iss", s.issuer)) }
	v.task = must(client.CreateTask(t.Context(), jit.TaskSpec{})).ID
	login := func(scope string) jit.Status {
		d := must(client.Request(t.Context(), jit.Request{TaskID: v.task, Detail: rar.Scopes(scope), For: jit.Purpose{Origin: api}}))
		first := d.Status
		if first == jit.StatusPending {
			d = must(client.Status(t.Context(), d.RequestID))
		}
		if issued, err := client.Token(t.Context(), d.RequestID); err != nil || issued.Token.IsZero() {
			t.Errorf("Token() = %v", err)
		}
		return first
	}
	if login("a") != jit.StatusPending || login("b") != jit.StatusPending || login("a") != jit.StatusApproved {
		t.Error("a person logs in for what they logged in for already, or not for something else")
	}
	refuse = true
	if login("a") != jit.StatusPending {
		t.Error("nobody is asked though the server does not go on")
	}
	if err := client.CompleteTask(t.Context(), v.task); err != nil || one.Live() != 0 {
		t.Errorf("CompleteTask() = %v with %d tokens alive", err, one.Live())
	}
	ended := 0
	for _, form := range one.Sent("/revoke") {
		if form.Get("token") == "refresh-canary" {
			ended++
		}
	}
	if ended != 4 {
		t.Errorf("the refresh token was revoked %d times, want once for each answer that had it", ended)
	}
}
