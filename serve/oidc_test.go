package serve_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/serve"
)

func TestIssuedTokens(t *testing.T) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	give := func(path string, v any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) })
	}
	give("/.well-known/openid-configuration", map[string]any{"issuer": server.URL, "jwks_uri": server.URL + "/keys"})
	give("/keys", jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &key.PublicKey, KeyID: "k", Use: "sig", Algorithm: "ES256"}}})
	users, err := serve.Issued(t.Context(), serve.Issuer{URL: server.URL, Audience: "analyst", Groups: "roles"})
	if err != nil {
		t.Fatal(err)
	}
	sign := func(by *ecdsa.PrivateKey, changes map[string]any) secret.String {
		claims := map[string]any{
			"iss": server.URL, "aud": "analyst", "sub": "a/b c", "exp": time.Now().Add(time.Hour).Unix(), "email": "ada@example.com", "email_verified": true, "roles": []string{"staff"},
		}
		maps.Copy(claims, changes)
		signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: by, KeyID: "k"}}, (&jose.SignerOptions{}).WithType("at+jwt")))
		return secret.New(must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize()))
	}
	ada, err := users.Authenticate(t.Context(), sign(key, nil))
	if err != nil || ada.Email != "ada@example.com" || !slices.Equal(ada.Groups, []string{"staff"}) || len(ada.ID) != 32 {
		t.Fatalf("Authenticate() = %+v, %v", ada, err)
	}
	ben, err := users.Authenticate(t.Context(), sign(key, map[string]any{"sub": "b", "email_verified": false}))
	if err != nil || ben.ID == ada.ID || ben.Email != "" {
		t.Errorf("another user: %+v, %v", ben, err)
	}
	mux.HandleFunc("GET /2/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": server.URL + "/2", "jwks_uri": server.URL + "/keys"})
	})
	second := must(serve.Issued(t.Context(), serve.Issuer{URL: server.URL + "/2", Audience: "analyst"}))
	if same, err := second.Authenticate(t.Context(), sign(key, map[string]any{"iss": server.URL + "/2"})); err != nil || same.ID == ada.ID {
		t.Errorf("the same subject at another issuer: %+v, %v", same, err)
	}
	other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	for what, token := range map[string]secret.String{
		"none":                secret.New(""),
		"no JWT":              secret.New("ada-token"),
		"one for another":     sign(key, map[string]any{"aud": "other"}),
		"one without aud":     sign(key, map[string]any{"aud": nil}),
		"another issuer's":    sign(key, map[string]any{"iss": "https://evil.example"}),
		"an expired one":      sign(key, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()}),
		"one without an end":  sign(key, map[string]any{"exp": nil}),
		"one without subject": sign(key, map[string]any{"sub": nil}),
		"a forged one":        sign(other, nil),
		"one bound to a key":  sign(key, map[string]any{"cnf": map[string]any{"jkt": "x"}}),
	} {
		if p, err := users.Authenticate(t.Context(), token); !errors.Is(err, serve.ErrNoUser) {
			t.Errorf("%s: %+v, %v", what, p, err)
		}
	}
	if _, err := serve.Issued(t.Context(), serve.Issuer{URL: server.URL}); err == nil {
		t.Error("an issuer without an audience is taken")
	}
}
