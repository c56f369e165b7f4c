package oauthz_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const other = "https://mcp.example.com"

// apis are two APIs of one server, each at paths that are resources of their own: they want
// the scope a. seen has for whom each token was made that came to a path.
type apis struct {
	server *fake.Server
	demand string // in place of the scope
	made   map[string]string
	seen   map[string][]string
}

func newAPIs() *apis {
	s := &apis{server: &fake.Server{}, made: map[string]string{"": "none"}, seen: map[string][]string{}}
	s.server.Answer = func(path string, form url.Values, status int, body map[string]any) (int, map[string]any) {
		switch token, _ := body["access_token"].(string); {
		case path == "/.well-known/oauth-authorization-server":
			body["grant_types_supported"] = []string{"authorization_code", "client_credentials"}
		case form.Get("grant_type") == "client_credentials" && form.Get("scope") == "":
			s.made[token] = "the agent's own for " + form.Get("resource")
		case token != "":
			s.made[token] = form.Get("resource")
			body["refresh_token"] = "refresh for " + form.Get("resource")
		}
		return status, body
	}
	return s
}

func (s *apis) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	at := "https://" + r.Host
	if at == fake.Issuer {
		s.server.ServeHTTP(w, r)
		return
	}
	if path, ok := strings.CutPrefix(r.URL.Path, wellKnown); ok {
		_ = json.NewEncoder(w).Encode(map[string]any{"resource": at + path, "authorization_servers": []string{fake.Issuer}})
		return
	}
	made := s.made[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	s.seen[at+r.URL.Path] = append(s.seen[at+r.URL.Path], made)
	status, says := http.StatusUnauthorized, `Bearer scope="a", resource_metadata="`+at+wellKnown+strings.TrimRight(r.URL.Path, "/")+`"`
	switch {
	case s.demand != "":
		says = s.demand
	case made != "none":
		status, says = http.StatusForbidden, `Bearer error="insufficient_scope", scope="a"`
	}
	if made == "none" || strings.HasPrefix(made, "the agent's own") {
		w.Header().Set("WWW-Authenticate", says)
		w.WriteHeader(status)
	}
}

// call sends a request to each address, in one task.
func (s *apis) call(t *testing.T, mode oauthz.Mode, change func(*oauthz.Config), addresses ...string) (last error) {
	t.Helper()
	client, v := logins(s.server, func(c *oauthz.Config) {
		c.Mode, c.API, c.ClientSecret = mode, api, secret.New("client-secret-canary")
		c.HTTPClient = &http.Client{Transport: fake.Transport{Handler: s}}
		if change != nil {
			change(c)
		}
	})
	v.opened = func() { _, _ = browse(t, v.back) }
	task := must(jit.New(jit.Config{Authority: client, Wait: time.Minute, PollInterval: time.Hour})).Start(t.Context(), jit.TaskSpec{}, nil)
	for _, address := range addresses {
		web := &http.Client{Transport: &jit.Transport{Origin: must(jit.ParseOrigin(address)), Base: fake.Transport{Handler: s}}}
		ctx := task.Call(t.Context(), jit.Call{Tool: "look", Args: address, Ceiling: []rar.Detail{rar.Scopes("a"), read("doc_1")}})
		resp, err := web.Do(must(http.NewRequestWithContext(ctx, http.MethodGet, address, nil)))
		if last = err; err == nil {
			_ = resp.Body.Close()
		}
	}
	if err := task.Complete(t.Context()); err != nil || s.server.Live() != 0 {
		t.Errorf("Complete() = %v with %d tokens alive", err, s.server.Live())
	}
	return last
}

// What one API is shown it can use wherever that is taken: a token for another would be its own.
func TestATokenGoesToTheAPIItWasMadeFor(t *testing.T) {
	details := `Bearer error="insufficient_authorization_details", authorization_details="` +
		base64.RawURLEncoding.EncodeToString([]byte(`[{"type":"file_access","actions":["read"],"identifier":"doc_1"}]`)) + `"`
	for name, tt := range map[string]struct {
		mode   oauthz.Mode
		change func(*oauthz.Config)
		demand string
		calls  []string
		says   string // the error of the last call
		want   map[string][]string
	}{
		"another origin": {mode: oauthz.AuthorizationCode, calls: []string{api + "/", other + "/mcp", api + "/"}, want: map[string][]string{
			api + "/": {"the agent's own for " + api, api, api}, other + "/mcp": {"none", other + "/mcp"},
		}},
		"another origin first, and no API": {mode: oauthz.AuthorizationCode, change: func(c *oauthz.Config) { c.API, c.Resource = "", "" }, calls: []string{other + "/mcp"}, want: map[string][]string{
			other + "/mcp": {"none", other + "/mcp"},
		}},
		"another origin, and nobody logs in": {mode: oauthz.ClientCredentials, calls: []string{api + "/", other + "/mcp"}, says: "not the API that tokens are configured for", want: map[string][]string{
			api + "/": {"the agent's own for " + api, api}, other + "/mcp": {"none"},
		}},
		"another path": {mode: oauthz.AuthorizationCode, calls: []string{other + "/a", other + "/b"}, says: "a token is for one of them", want: map[string][]string{
			other + "/a": {"none", other + "/a"}, other + "/b": {"none"},
		}},
		"another path that demands details": {mode: oauthz.AuthorizationCode, demand: details, calls: []string{other + "/a", other + "/b"}, says: "a token is for one of them", want: map[string][]string{
			other + "/a": {"none", other + "/a"}, other + "/b": {"none"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAPIs()
			s.demand = tt.demand
			err := s.call(t, tt.mode, tt.change, tt.calls...)
			if (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("the last call: %v, want %q", err, tt.says)
			}
			if diff := cmp.Diff(tt.want, s.seen); diff != "" {
				t.Errorf("tokens that came (-want +got):\n%s", diff)
			}
			for _, form := range s.server.Sent("/token") {
				if form.Has("refresh_token") {
					t.Errorf("gone on with as %v", form)
				}
			}
		})
	}
}

// An API that moves to another server is not gone on with there: that would hand it what
// the first one gave.
func TestALoginIsNotGoneOnWithElsewhere(t *testing.T) {
	s := newSite()
	client, v := s.client(t, nil)
	s.token = func(body map[string]any) { body["refresh_token"] = "refresh-canary" }
	v.opened = func() { _, _ = browse(t, v.with("iss", s.issuer)) }
	v.task = must(client.CreateTask(t.Context(), jit.TaskSpec{})).ID
	for _, s.issuer = range []string{"https://one.example.com", "https://two.example.com"} {
		_ = must(client.Discover(t.Context(), must(jit.ParseOrigin(api)), mcp, ""))
		v.d = must(client.Request(t.Context(), jit.Request{TaskID: v.task, Detail: rar.Scopes("a"), For: jit.Purpose{Origin: api}}))
		if now, err := v.status(t); v.d.Status != jit.StatusPending || s.issuer == "https://one.example.com" && (err != nil || now.Status != jit.StatusApproved) {
			t.Errorf("at %s: %v, then %+v, %v", s.issuer, v.d.Status, now, err)
		}
	}
	for _, server := range s.servers {
		if slices.ContainsFunc(server.Sent("/token"), func(f url.Values) bool { return f.Has("refresh_token") }) {
			t.Error("a server is shown a refresh token")
		}
	}
	if err := client.CompleteTask(t.Context(), v.task); err != nil {
		t.Error(err)
	}
}

// What a server issued is ended there, also by a process that another is configured for,
// and without that one's credentials.
func TestWhatIsConfiguredForAnotherServerStaysThere(t *testing.T) {
	s, vault := newSite(), oauthz.Memory()
	client, v := s.client(t, func(c *oauthz.Config) { c.Issuer, c.ClientID, c.Vault = s.issuer, "known", vault })
	v.task = must(client.CreateTask(t.Context(), jit.TaskSpec{})).ID
	_ = must(client.Discover(t.Context(), must(jit.ParseOrigin(api)), mcp, ""))
	v.d = must(client.Request(t.Context(), jit.Request{TaskID: v.task, Detail: read("doc_1"), For: jit.Purpose{Origin: api}}))
	_, _ = browse(t, v.with("iss", s.issuer))
	if now := must(v.status(t)); now.Status != jit.StatusApproved {
		t.Fatalf("Status() = %+v", now)
	}
	next, _ := s.client(t, func(c *oauthz.Config) {
		c.Issuer, c.MetadataURL, c.ClientID, c.ClientSecret, c.Vault = "https://two.example.com", "https://two.example.com/meta", "two", secret.New("secret-of-two"), vault
		c.HTTPClient.Transport = fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if _, _, ok := r.BasicAuth(); ok || r.Host != "one.example.com" {
				t.Errorf("%s%s is sent credentials (%v)", r.Host, r.URL.Path, ok)
			}
			s.ServeHTTP(w, r)
		})}
	})
	if err := next.CompleteTask(t.Context(), v.task); err != nil || s.servers["https://one.example.com"].Live() != 0 {
		t.Errorf("CompleteTask() = %v with %d tokens alive", err, s.servers["https://one.example.com"].Live())
	}
}

// Where browsers come back to nothing but that is answered, nothing of it is told to
// where they go next, and nobody listens longer than a login may take.
func TestWhereBrowsersComeBackTo(t *testing.T) {
	s := &fake.Server{}
	v := begin(t, s, nil)
	resp, err := web.Post(v.back.String(), "", nil) //nolint:noctx // as a browser does
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if now := must(v.status(t)); resp.StatusCode != http.StatusBadRequest || now.Status != jit.StatusPending || closed(now.Decided) {
		t.Errorf("POST gets %d, and the login is %v", resp.StatusCode, now.Status)
	}
	resp, err = web.Get(v.back.String()) //nolint:noctx // as a browser does
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if h := resp.Header; resp.StatusCode != http.StatusOK || h.Get("Referrer-Policy") != "no-referrer" || h.Get("Cache-Control") != "no-store" {
		t.Errorf("GET gets %d with %v", resp.StatusCode, h)
	}
	v = begin(t, s, func(c *oauthz.Config) { c.LoginTimeout = time.Millisecond })
	at := v.with("state", "guessed").String()
	for began := time.Now(); ; {
		resp, err := web.Get(at) //nolint:noctx // as a browser does
		if err != nil {
			break
		}
		_ = resp.Body.Close()
		if time.Since(began) > 10*time.Second {
			t.Fatal("somebody listens though the time is over")
		}
	}
	if _, err := v.status(t); err != nil && !errors.Is(err, jit.ErrSpent) {
		t.Errorf("Status() = %v", err)
	}
}
