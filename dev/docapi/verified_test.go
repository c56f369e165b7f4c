package docapi

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// The whole walk over sockets with the real verifier: refused, told what is
// missing, granted exactly that, served, revoked.
func TestWithRealTokens(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var revoked atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc("GET /jwks", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k"}}})
	})
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"active": !revoked.Load()})
	})
	as := httptest.NewServer(mux)
	t.Cleanup(as.Close)
	verifier, err := resource.New(t.Context(), resource.Config{
		Issuer: as.URL, JWKSURL: as.URL + "/jwks", IntrospectionURL: as.URL + "/introspect",
		ClientID: "docapi", ClientSecret: secret.New("x"),
	})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType("at+jwt").WithHeader("kid", "k"))
	if err != nil {
		t.Fatal(err)
	}
	token := func(details any) string {
		text, err := jwt.Signed(signer).Claims(map[string]any{
			"iss": as.URL, "sub": "agent:analyst", "client_id": "analyst", "exp": time.Now().Add(time.Minute).Unix(),
			"authorization_details": details,
		}).Serialize()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}

	f := serveAPI(t, func(c *Config) { c.Verifier = verifier })
	for _, call := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/v1/documents/doc_9982", "", 200},
		{"POST", "/v1/reports", q4, 201},
	} {
		refused := f.send(call.method, call.path, token([]any{}), call.body)
		c, err := challenge.Parse(refused.status, refused.header, []byte(refused.body))
		if err != nil {
			t.Fatalf("%s %s: %d %s: %v", call.method, call.path, refused.status, refused.body, err)
		}
		granted := token(c.Details)
		if got := f.send(call.method, call.path, granted, call.body); got.status != call.status {
			t.Errorf("%s %s with what it demanded: %d %s, want %d", call.method, call.path, got.status, got.body, call.status)
		}
		if got := f.send("GET", "/v1/documents/doc_1001", granted, ""); got.status != 403 {
			t.Errorf("another document with the same token: %d, want 403", got.status)
		}
		revoked.Store(true)
		if got := f.send(call.method, call.path, granted, call.body); got.status != 401 {
			t.Errorf("%s %s after revocation: %d, want 401", call.method, call.path, got.status)
		}
		revoked.Store(false)
	}
	as.Close()
	if got := f.send("GET", "/v1/documents/doc_9982", token([]any{}), ""); got.status != 503 {
		t.Errorf("without an authorization server: %d, want 503", got.status)
	}
}
