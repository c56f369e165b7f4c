package resource_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// TestTrust tries each kind of token with each way to check it. What servers were seen to
// say about tokens is among them: a JWT that they introspect not at all, and "inactive"
// for an API that the token is not for.
func TestTrust(t *testing.T) {
	for _, tt := range []struct {
		name   string
		trust  resource.Trust
		opaque bool
		status int // of the introspection
		said   map[string]any
		want   error
		asked  int32
	}{
		{"signed and active", resource.SignedAndActive, false, 0, nil, nil, 1},
		{"signed and active, opaque", resource.SignedAndActive, true, 200, map[string]any{"active": true}, resource.ErrInvalidToken, 0},
		{"signed and active, no introspection of JWTs", resource.SignedAndActive, false, 400, map[string]any{"error": "unsupported_token_type"}, resource.ErrInvalidToken, 1},
		{"signed", resource.Signed, false, 500, nil, nil, 0},
		{"signed, opaque", resource.Signed, true, 0, nil, resource.ErrInvalidToken, 0},
		{"active", resource.Active, true, 200, map[string]any{
			"active": true, "client_id": "c", "exp": start.Unix() + 60, "aud": "https://api.example.com", "authorization_details": []any{detail("doc_1")},
		}, nil, 1},
		{"active, for another API", resource.Active, true, 200, map[string]any{"active": true, "client_id": "c", "exp": start.Unix() + 60, "aud": "https://other.example.com"}, resource.ErrInvalidToken, 1},
		{"active, no audience", resource.Active, true, 200, map[string]any{"active": true, "client_id": "c", "exp": start.Unix() + 60}, resource.ErrInvalidToken, 1},
		{"active, no expiry", resource.Active, true, 200, map[string]any{"active": true, "client_id": "c", "aud": "https://api.example.com"}, resource.ErrInvalidToken, 1},
		{"active, bound to a key", resource.Active, true, 200, map[string]any{
			"active": true, "client_id": "c", "exp": start.Unix() + 60, "aud": "https://api.example.com", "cnf": map[string]any{"jkt": "x"},
		}, resource.ErrInvalidToken, 1},
		{"inactive", resource.Active, true, 200, map[string]any{"active": false}, resource.ErrInvalidToken, 1},
		{"active, no introspection of JWTs", resource.Active, false, 400, map[string]any{"error": "unsupported_token_type"}, resource.ErrInvalidToken, 1},
		{"active, an outage", resource.Active, true, 500, nil, resource.ErrUnavailable, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAuthServer(t)
			if tt.status != 0 {
				a.introspect = func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(tt.status)
					answer(w, tt.said)
				}
			}
			token := a.token(map[string]any{"aud": "https://api.example.com"})
			if tt.opaque {
				token = "28gVLRJs14wApBFM8UNV-pxhZAegKh58BT6T3UNc6lB"
			}
			cfg := a.config()
			cfg.Trust, cfg.Audience = tt.trust, "https://api.example.com"
			v, err := resource.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			got, err := verify(t, v, token)
			if !errors.Is(err, tt.want) || a.introspections.Load() != tt.asked {
				t.Fatalf("Verify() = %v after %d introspections, want %v after %d", err, a.introspections.Load(), tt.want, tt.asked)
			}
			if err == nil && (got.Subject == "" || len(got.Details) != 1) {
				t.Errorf("token %+v", got)
			}
		})
	}
}

// Servers were seen to call a token inactive to whoever is not in its audience, which an
// operator must be told.
func TestInactiveForThisClient(t *testing.T) {
	const words = "this API's client is not in the token's audience"
	for aud, told := range map[string]bool{"": false, "https://api.example.com": true, apiID: false} {
		a := newAuthServer(t)
		a.introspect = func(w http.ResponseWriter, _ *http.Request) { answer(w, map[string]any{"active": false}) }
		claims := map[string]any{}
		if aud != "" {
			claims["aud"] = []string{aud}
		}
		if _, err := verify(t, a.verifier(t), a.token(claims)); !errors.Is(err, resource.ErrInvalidToken) || strings.Contains(err.Error(), words) != told {
			t.Errorf("Verify(aud %q) = %v; those words: %t", aud, err, told)
		}
	}
}

// An API that looks at signatures alone has no credentials of its own.
func TestTrustSaysWhatIsNeeded(t *testing.T) {
	cfg := resource.Config{Issuer: "https://auth.example.com", JWKSURL: "https://auth.example.com/jwks", Trust: resource.Signed}
	if _, err := resource.New(t.Context(), cfg); err != nil {
		t.Errorf("New() = %v", err)
	}
	cfg.Trust, cfg.ClientSecret = resource.Active, secret.String{}
	if _, err := resource.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "ClientSecret") {
		t.Errorf("New() = %v, want what is missing", err)
	}
}
