package lumoauth

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/secret"
)

func TestNewRefusesBadConfiguration(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no URL", func(c *Config) { c.URL = "" }, "URL (LUMOAUTH_URL) is not set"},
		{"no scheme", func(c *Config) { c.URL = "app.lumoauth.dev" }, "URL (LUMOAUTH_URL) names no scheme"},
		{"host:port only", func(c *Config) { c.URL = "localhost:8000" }, "URL (LUMOAUTH_URL) names no host"},
		{"remote http", func(c *Config) { c.URL = "http://app.lumoauth.dev" }, "plain http"},
		{"loopback look-alike", func(c *Config) { c.URL = "http://127.0.0.1.example.com" }, "plain http"},
		{"other scheme", func(c *Config) { c.URL = "ftp://app.lumoauth.dev" }, "neither an https nor an http"},
		{"path", func(c *Config) { c.URL = "https://app.lumoauth.dev/orgs/acme" }, "has a path"},
		{"query", func(c *Config) { c.URL = "https://app.lumoauth.dev?a=b" }, "query or fragment"},
		{"empty query", func(c *Config) { c.URL = "https://app.lumoauth.dev?" }, "query or fragment"},
		{"fragment", func(c *Config) { c.URL = "https://app.lumoauth.dev#x" }, "query or fragment"},
		{"user information", func(c *Config) { c.URL = "https://me:hunter22@app.lumoauth.dev" }, "user information"},
		{"control character", func(c *Config) { c.URL = "https://app.lumoauth.dev\n" }, "not a URL"},
		{"no host", func(c *Config) { c.URL = "https://" }, "names no host"},
		{"no org", func(c *Config) { c.Org = "" }, "Org (LUMOAUTH_ORG_ID) is not set"},
		{"org with slash", func(c *Config) { c.Org = "a/b" }, "is not a slug"},
		{"org climbing", func(c *Config) { c.Org = ".." }, "is not a slug"},
		{"no client id", func(c *Config) { c.ClientID = "" }, "ClientID (AGENT_CLIENT_ID) is not set"},
		{"no client secret", func(c *Config) { c.ClientSecret = secret.String{} }, "ClientSecret (AGENT_CLIENT_SECRET) is not set"},
		{"secret with newline", func(c *Config) { c.ClientSecret = secret.New("hunter22\n") }, "white space at an end"},
		{"secret with control character", func(c *Config) { c.ClientSecret = secret.New("hun\x00ter22") }, "printable ASCII"},
		{"scope with space", func(c *Config) { c.Scopes = []string{"a b"} }, "not a scope"},
		{"user agent with newline", func(c *Config) { c.UserAgent = "a\nb" }, "UserAgent"},
		{"negative tries", func(c *Config) { c.Tries = -1 }, "Tries is negative"},
		{"negative wait", func(c *Config) { c.MaxWait = -1 }, "MaxWait is negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := testConfig("https://app.lumoauth.dev")
			tt.change(&cfg)
			_, err := New(cfg)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("New() = %v, want an error with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "hunter22") {
				t.Errorf("New() = %v, which shows a password", err)
			}
		})
	}
}

func TestNewNamesEveryProblemAtOnce(t *testing.T) {
	_, err := New(Config{})
	ce, ok := errors.AsType[*ConfigError](err)
	if !ok || len(ce.Problems) != 4 {
		t.Fatalf("New(Config{}) = %v, want a ConfigError with 4 problems", err)
	}
	for _, name := range []string{"LUMOAUTH_URL", "LUMOAUTH_ORG_ID", "AGENT_CLIENT_ID", "AGENT_CLIENT_SECRET"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("New(Config{}) = %v, want it to name %s", err, name)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("New(Config{}) = %q, want one line", err)
	}
}

func TestURLForms(t *testing.T) {
	tests := []struct {
		url    string
		legacy bool
		want   string
	}{
		{"https://app.lumoauth.dev", false, "https://app.lumoauth.dev/orgs/acme-corp/api/v1"},
		{"https://APP.lumoauth.dev:443/", false, "https://app.lumoauth.dev/orgs/acme-corp/api/v1"},
		{"http://localhost:8000/", true, "http://localhost:8000/t/acme-corp/api/v1"},
		{"http://[::1]:8000", false, "http://[::1]:8000/orgs/acme-corp/api/v1"},
	}
	for _, tt := range tests {
		cfg := testConfig(tt.url)
		cfg.LegacyPrefix = tt.legacy
		if c := newClient(t, cfg); c.base != tt.want {
			t.Errorf("base of %s = %s, want %s", tt.url, c.base, tt.want)
		}
	}
}

func TestClientAuthentication(t *testing.T) {
	f := newFake(nil)
	form := overSockets(t, f, func(c *Config) { c.Scopes = []string{"agent:basic", "jit:request"} })
	basic := overSockets(t, f, func(c *Config) { c.BasicAuth = true; c.ClientSecret = secret.New("a+b c%d:e8") })
	for _, c := range []*Client{form, basic} {
		if _, err := c.AgentToken(t.Context()); err != nil {
			t.Fatalf("AgentToken() = %v", err)
		}
	}
	calls := f.saw(loginRoute)
	want := "client_id=analyst&client_secret=" + testSecret + "&grant_type=client_credentials&scope=agent%3Abasic+jit%3Arequest"
	if calls[0].body != want || calls[0].auth != "" {
		t.Errorf("login by form sent %q with Authorization %q, want %q and none", calls[0].body, calls[0].auth, want)
	}
	r := http.Request{Header: calls[1].header}
	id, pass, _ := r.BasicAuth()
	if id != "analyst" || pass != "a%2Bb+c%25d%3Ae8" || calls[1].body != "grant_type=client_credentials" {
		t.Errorf("login by Basic sent %q, %q and the form %q", id, pass, calls[1].body)
	}
}

func TestLegacyPrefixReachesTheServer(t *testing.T) {
	var got []string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.URL.Path)
		reply(w, 200, `{"access_token":"t-1234","token_type":"bearer","task_id":"task_1"}`)
	})
	c := inMemory(t, h, func(c *Config) { c.LegacyPrefix = true })
	if _, err := c.CreateTask(t.Context(), jit.TaskSpec{}); err != nil {
		t.Fatalf("CreateTask() = %v", err)
	}
	if len(got) != 2 || got[0] != "/t/acme-corp/api/v1/oauth/token" || got[1] != "/t/acme-corp/api/v1/jit/task" {
		t.Errorf("paths = %q", got)
	}
}
