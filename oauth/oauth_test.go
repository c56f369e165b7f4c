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
