package resource_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

func TestConfigurationErrorsAreOneErrorBeforeAnyWork(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*resource.Config)
		want   []string
	}{
		{"nothing", func(c *resource.Config) { *c = resource.Config{HTTPClient: c.HTTPClient} },
			[]string{"Issuer is missing", "ClientID is missing", "ClientSecret is missing"}},
		{"plain http", func(c *resource.Config) { c.Issuer = "http://auth.acme-corp.com" }, []string{"Issuer must be https"}},
		{"no scheme", func(c *resource.Config) { c.JWKSURL = "auth.acme-corp.com/jwks" }, []string{"JWKSURL is not an absolute"}},
		{"ftp", func(c *resource.Config) { c.IntrospectionURL = "ftp://auth.acme-corp.com/" }, []string{"IntrospectionURL is not"}},
		{"userinfo", func(c *resource.Config) { c.MetadataURL = "https://u:CANARY@auth.acme-corp.com/" }, []string{"MetadataURL must have no user"}},
		{"broken userinfo", func(c *resource.Config) { c.MetadataURL = "https://u:CANARY%@auth.acme-corp.com/" }, []string{"MetadataURL is not a URL"}},
		{"query", func(c *resource.Config) { c.Issuer = "https://auth.acme-corp.com/?a" }, []string{"Issuer must have no user"}},
		{"loopback in a name", func(c *resource.Config) { c.Issuer = "http://localhost.acme-corp.com" }, []string{"must be https"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := resource.Config{
				Issuer: "https://auth.acme-corp.com", ClientID: "api", ClientSecret: secret.New("CANARY-SECRET"),
				HTTPClient: &http.Client{Transport: noNetwork{t}},
			}
			test.change(&cfg)
			_, err := resource.New(t.Context(), cfg)
			if err == nil {
				t.Fatal("New() = nil")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("New() = %v, want it to say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "CANARY") {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestExplicitURLsNeedNoNetwork(t *testing.T) {
	t.Parallel()
	_, err := resource.New(t.Context(), resource.Config{
		Issuer: "https://auth.acme-corp.com", ClientID: "api", ClientSecret: secret.New("x"),
		JWKSURL: "https://keys.acme-corp.com/jwks", IntrospectionURL: "https://auth.acme-corp.com/introspect",
		HTTPClient: &http.Client{Transport: noNetwork{t}},
	})
	if err != nil {
		t.Errorf("New() = %v", err)
	}
}

type noNetwork struct{ t *testing.T }

func (n noNetwork) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("a request to %s", r.URL)
	return nil, errors.New("no network")
}

// What a server answers where nothing is differs; OpenID Connect Discovery alone will do.
// One that fails is not passed over.
func TestDiscoveryGoesOnToOpenID(t *testing.T) {
	t.Parallel()
	for status, found := range map[int]bool{302: true, 400: true, 401: true, 403: true, 404: true, 405: true, 410: true, 500: false, 503: false} {
		server := httptest.NewServer(nil)
		server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/realm/.well-known/openid-configuration" {
				w.WriteHeader(status)
				return
			}
			_, _ = w.Write([]byte(`{"issuer":"` + server.URL + `/realm","jwks_uri":"` + server.URL + `/jwks"}`))
		})
		_, err := resource.New(t.Context(), resource.Config{Issuer: server.URL + "/realm", Trust: resource.Signed})
		if (err == nil) != found {
			t.Errorf("status %d: New() = %v", status, err)
		}
		server.Close()
	}
}

func TestDiscovery(t *testing.T) {
	t.Parallel()
	const wellKnown = "/.well-known/oauth-authorization-server"
	for _, test := range []struct {
		name, issuerPath, place, metadataPath string
	}{
		{"RFC 8414 with a path", "/orgs/acme-corp", wellKnown + "/orgs/acme-corp", ""},
		{"RFC 8414 without", "", wellKnown, ""},
		{"appended", "/orgs/acme-corp", "/orgs/acme-corp" + wellKnown, ""},
		{"OpenID", "/realms/acme", "/realms/acme/.well-known/openid-configuration", ""},
		{"LumoAuth", "/orgs/acme-corp", "/orgs/acme-corp/api/v1" + wellKnown, ""},
		{"explicit", "", "/orgs/acme-corp/api/v1" + wellKnown, "/orgs/acme-corp/api/v1" + wellKnown},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := newAuthServer(t)
			var as *httptest.Server
			as = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case test.place:
					answer(w, map[string]any{
						"issuer": as.URL + test.issuerPath, "jwks_uri": as.URL + "/jwks", "introspection_endpoint": as.URL + "/introspect",
					})
				case "/jwks":
					a.serveKeys(w, r)
				case "/introspect":
					a.serveIntrospection(w, r)
				default:
					http.NotFound(w, r)
				}
			}))
			t.Cleanup(as.Close)
			cfg := a.config()
			cfg.Issuer = as.URL + test.issuerPath
			if test.metadataPath != "" {
				cfg.MetadataURL = as.URL + test.metadataPath
			}
			v, err := resource.New(t.Context(), cfg)
			if err != nil {
				t.Fatalf("New() = %v", err)
			}
			if _, err := verify(t, v, a.token(map[string]any{"iss": cfg.Issuer})); err != nil {
				t.Errorf("Verify() = %v", err)
			}
		})
	}
}

func TestMetadataThatIsNotBelieved(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	var as *httptest.Server
	var body func() any
	as = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch v := body().(type) {
		case string:
			if strings.HasPrefix(v, "http") {
				http.Redirect(w, r, v, http.StatusFound)
				return
			}
			write(w, v)
		case int:
			w.WriteHeader(v)
		default:
			answer(w, v)
		}
	}))
	t.Cleanup(as.Close)
	metadata := func(issuer, keys, introspection string) map[string]any {
		return map[string]any{"issuer": issuer, "jwks_uri": keys, "introspection_endpoint": introspection}
	}
	for name, v := range map[string]any{
		"other issuer":                   metadata("https://evil.test", as.URL+"/jwks", as.URL+"/introspect"),
		"issuer with a slash more":       metadata(as.URL+"/", as.URL+"/jwks", as.URL+"/introspect"),
		"introspection on another port":  metadata(as.URL, as.URL+"/jwks", elsewhere.URL+"/introspect"),
		"keys on another port":           metadata(as.URL, elsewhere.URL+"/jwks", as.URL+"/introspect"),
		"introspection over another way": metadata(as.URL, as.URL+"/jwks", strings.Replace(as.URL, "http", "https", 1)),
		"no introspection":               metadata(as.URL, as.URL+"/jwks", ""),
		"relative":                       metadata(as.URL, "/jwks", "/introspect"),
		"html":                           "<html>",
		"duplicate":                      `{"issuer":"x","issuer":"` + as.URL + `"}`,
		"not found":                      404,
		"failing":                        500,
		"redirect":                       elsewhere.URL,
	} {
		t.Run(name, func(t *testing.T) {
			body = func() any { return v }
			_, err := resource.New(t.Context(), resource.Config{Issuer: as.URL, ClientID: "api", ClientSecret: secret.New("CANARY")})
			if err == nil || strings.Contains(err.Error(), "CANARY") {
				t.Errorf("New() = %v, want an error without the secret", err)
			}
			if _, missing := v.(int); missing && !strings.Contains(err.Error(), "set MetadataURL") {
				t.Errorf("New() = %v, want it to say what to set", err)
			}
		})
	}
}

// API owners who use no agent framework do not build one in.
func TestImports(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for dep := range strings.Lines(string(out)) {
		dep = strings.TrimSpace(dep)
		for _, banned := range []string{"google.golang.org/adk", "google.golang.org/genai", "github.com/jitagent/jitagent/lumoauth",
			"github.com/jitagent/jitagent/jitmw", "github.com/jitagent/jitagent/dev/docapi"} {
			if strings.HasPrefix(dep, banned) {
				t.Errorf("resource depends on %s", dep)
			}
		}
	}
}
