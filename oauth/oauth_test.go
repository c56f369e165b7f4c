package oauth

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/rar"
)

func TestCanonical(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	token := strings.Join([]string{b64([]byte(`{"alg":"ES256"}`)), b64([]byte(`{"sub":"a"}`)), b64(make([]byte, 64))}, ".")
	for text, want := range map[string]bool{
		token:                               true,
		token[:len(token)-1] + "B":          false, // unused bits set
		token + "==":                        false,
		token + "\n":                        false,
		token + ".":                         false,
		strings.Replace(token, ".", "", 1):  false,
		strings.Replace(token, "A", "+", 1): false,
		"":                                  false,
	} {
		if got := Canonical(text); got != want {
			t.Errorf("Canonical(%q) = %v", text, got)
		}
	}
}

func TestParseURL(t *testing.T) {
	for text, ok := range map[string]bool{
		"https://auth.test/x": true, "http://localhost:1": true, "http://127.0.0.1:1/x": true, "http://[::1]": true,
		"": false, "/x": false, "auth.test": false, "http://auth.test": false, "http://localhost.test": false, "ftp://localhost": false,
		"https://u:p@auth.test": false, "https://auth.test?x": false, "https://auth.test#": false, "https:///x": false, "https://a b": false,
		"https://auth.test/\u202etset": false, "https://\u0430uth.test": false,
	} {
		if _, err := ParseURL(text); (err == nil) != ok {
			t.Errorf("ParseURL(%q) = %v", text, err)
		}
	}
}

func TestMetadataPlaces(t *testing.T) {
	for issuer, want := range map[string][]string{
		"https://auth.test": {
			"https://auth.test/.well-known/oauth-authorization-server", "https://auth.test/api/v1/.well-known/oauth-authorization-server",
			"https://auth.test/.well-known/openid-configuration",
		},
		"https://auth.test/orgs/acme-corp/": {
			"https://auth.test/.well-known/oauth-authorization-server/orgs/acme-corp",
			"https://auth.test/orgs/acme-corp/.well-known/oauth-authorization-server",
			"https://auth.test/.well-known/openid-configuration/orgs/acme-corp",
			"https://auth.test/orgs/acme-corp/api/v1/.well-known/oauth-authorization-server",
			"https://auth.test/orgs/acme-corp/.well-known/openid-configuration",
		},
	} {
		got, err := MetadataPlaces(issuer)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("MetadataPlaces(%q) = %v (-want +got):\n%s", issuer, err, diff)
		}
	}
}

func TestResourcePlaces(t *testing.T) {
	const root = "https://api.test/.well-known/oauth-protected-resource"
	for _, tt := range []struct {
		resource, said string
		want           []ResourcePlace
	}{
		{"https://api.test", "", []ResourcePlace{{root, "https://api.test"}}},
		{"https://api.test/mcp", "", []ResourcePlace{{root + "/mcp", "https://api.test/mcp"}, {root, "https://api.test"}}},
		{"https://api.test/mcp", "https://api.test/meta.json", []ResourcePlace{{"https://api.test/meta.json", "https://api.test/mcp"}}},
		{"https://api.test/mcp", "https://evil.test/meta.json", nil},
		{"https://api.test/mcp", "http://api.test/meta.json", nil},
		{"http://api.test/mcp", "", nil},
	} {
		got, err := ResourcePlaces(tt.resource, tt.said)
		if diff := cmp.Diff(tt.want, got); (err == nil) != (tt.want != nil) || diff != "" {
			t.Errorf("ResourcePlaces(%q, %q) = %v (-want +got):\n%s", tt.resource, tt.said, err, diff)
		}
	}
}

func TestParseResource(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"resource":"https://api.test/mcp","authorization_servers":["https://auth.test"],"scopes_supported":["a","b"]}`: true,
		`{"resource":"https://api.test/mcp/","authorization_servers":["https://auth.test"]}`:                             false,
		`{"resource":"https://API.test/mcp","authorization_servers":["https://auth.test"]}`:                              false,
		`{"resource":"https://api.test/mcp"}`:                                                                            false,
		`{"resource":"https://api.test/mcp","authorization_servers":["http://auth.test"]}`:                               false,
		`{"resource":"https://api.test/mcp","authorization_servers":["https://auth.test","http://127.0.0.1:1"]}`:         false,
		`{"authorization_servers":["https://auth.test"]}`:                                                                false,
		`[]`: false,
	} {
		m, err := ParseResource([]byte(text), "https://api.test/mcp")
		if (err == nil) != ok || ok && (m.Servers[0] != "https://auth.test" || len(m.Scopes) != 2) {
			t.Errorf("ParseResource(%s) = %+v, %v", text, m, err)
		}
	}
	if _, err := ParseResource([]byte(`{"resource":"http://localhost:1/mcp","authorization_servers":["http://localhost:2"]}`), "http://localhost:1/mcp"); err != nil {
		t.Errorf("on loopback: %v", err)
	}
}

// TestWhatATokenCovers: silence, nothing and something are told apart.
func TestWhatATokenCovers(t *testing.T) {
	for members, want := range map[string][]rar.Detail{
		``:                                      nil,
		`,"authorization_details":null`:         {},
		`,"authorization_details":[]`:           {},
		`,"authorization_details":{"type":"x"}`: {{Type: "x"}},
	} {
		in, err := ParseIntrospection([]byte(`{"active":true` + members + `}`))
		if diff := cmp.Diff(want, in.Details); err != nil || diff != "" {
			t.Errorf("introspection with %q: %v (-want +got):\n%s", members, err, diff)
		}
	}
	if in, err := ParseIntrospection([]byte(`{"active":true,"authorization_details":[{"TYPE":"x"}]}`)); err == nil || in.Active {
		t.Errorf("details that cannot be read: %+v, %v", in, err)
	}
}
