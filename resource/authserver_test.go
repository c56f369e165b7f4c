package resource_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

const (
	apiID     = "documents api" // holds a space: both halves of Basic are form-encoded
	apiSecret = "s3cret:+%"
)

var start = time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC)

// An authServer is an authorization server on a loopback socket.
type authServer struct {
	*httptest.Server
	t   testing.TB
	key *ecdsa.PrivateKey

	mu         sync.Mutex
	clock      time.Time
	jwks       []jose.JSONWebKey
	revoked    map[string]bool
	introspect http.HandlerFunc // nil answers from the token's own claims
	said       map[string]any   // laid over those answers

	keyFetches, introspections atomic.Int32
}

func newAuthServer(t testing.TB) *authServer {
	t.Helper()
	a := &authServer{t: t, key: newKey(t), clock: start, revoked: map[string]bool{}}
	a.jwks = []jose.JSONWebKey{public("key-1", a.key)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/oauth-authorization-server/orgs/acme-corp", a.metadata)
	mux.HandleFunc("GET /jwks", a.serveKeys)
	mux.HandleFunc("POST /introspect", a.serveIntrospection)
	a.Server = httptest.NewServer(mux)
	t.Cleanup(a.Close)
	return a
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func public(kid string, key *ecdsa.PrivateKey) jose.JSONWebKey {
	return jose.JSONWebKey{Key: &key.PublicKey, KeyID: kid, Use: "sig", Algorithm: "ES256"}
}

func (a *authServer) issuer() string { return a.URL + "/orgs/acme-corp" }

func (a *authServer) now() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.clock
}

func (a *authServer) pass(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.clock = a.clock.Add(d)
}

// locked runs f while no request reads the server's fields.
func (a *authServer) locked(f func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f()
}

func (a *authServer) metadata(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer":                 a.issuer(),
		"jwks_uri":               a.URL + "/jwks",
		"introspection_endpoint": a.URL + "/introspect",
		"token_endpoint":         a.URL + "/token",
	})
}

func (a *authServer) serveKeys(w http.ResponseWriter, _ *http.Request) {
	a.keyFetches.Add(1)
	a.mu.Lock()
	defer a.mu.Unlock()
	answer(w, jose.JSONWebKeySet{Keys: a.jwks})
}

func (a *authServer) serveIntrospection(w http.ResponseWriter, r *http.Request) {
	a.introspections.Add(1)
	id, password, _ := r.BasicAuth()
	id, _ = url.QueryUnescape(id)
	password, _ = url.QueryUnescape(password)
	if id != apiID || password != apiSecret {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	a.mu.Lock()
	custom, revoked, said := a.introspect, a.revoked[r.PostFormValue("token")], a.said
	a.mu.Unlock()
	switch {
	case custom != nil:
		custom(w, r)
	case revoked:
		answer(w, map[string]any{"active": false})
	default:
		jws, err := jose.ParseSignedCompact(r.PostFormValue("token"), []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256})
		if err != nil {
			answer(w, map[string]any{"active": false})
			return
		}
		var c map[string]any
		if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &c); err != nil {
			a.t.Errorf("introspected claims: %v", err)
		}
		c["active"], c["token_type"] = true, "Bearer"
		maps.Copy(c, said)
		answer(w, c)
	}
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (a *authServer) config() resource.Config {
	return resource.Config{
		Issuer:       a.issuer(),
		ClientID:     apiID,
		ClientSecret: secret.New(apiSecret),
		HTTPClient:   a.Client(),
		Now:          a.now,
	}
}

func (a *authServer) verifier(t testing.TB) *resource.Verifier {
	t.Helper()
	v, err := resource.New(t.Context(), a.config())
	if err != nil {
		t.Fatalf("New() = %v", err)
	}
	return v
}

// claims returns those of a good JIT token, with changes laid over them; a nil
// value removes one.
func (a *authServer) claims(changes map[string]any) map[string]any {
	now := a.now().Unix()
	c := map[string]any{
		"iss":                   a.issuer(),
		"sub":                   "agent:analyst:task:task_1",
		"agent_id":              "agt_1",
		"client_id":             "analyst",
		"task_id":               "task_1",
		"jti":                   "jti-1",
		"jit":                   true,
		"iat":                   now,
		"nbf":                   now,
		"exp":                   now + 300,
		"token_use":             "access",
		"authorization_details": []any{detail("doc_1")},
	}
	for name, value := range changes {
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
	}
	return c
}

func detail(id string) map[string]any {
	return map[string]any{
		"type": "file_access", "actions": []string{"read"}, "identifier": id,
		"locations": []string{"https://api.acme-corp.com"},
	}
}

// token signs the changed claims as key-1.
func (a *authServer) token(changes map[string]any) string {
	return a.sign(jose.ES256, a.key, "key-1", "at+jwt", a.claims(changes))
}

func (a *authServer) sign(alg jose.SignatureAlgorithm, key any, kid, typ string, claims any) string {
	a.t.Helper()
	payload, ok := claims.([]byte)
	if !ok {
		var err error
		if payload, err = json.Marshal(claims); err != nil {
			a.t.Fatal(err)
		}
	}
	options := &jose.SignerOptions{}
	if kid != "" {
		options.WithHeader("kid", kid)
	}
	if typ != "" {
		options.WithType(jose.ContentType(typ))
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, options)
	if err != nil {
		a.t.Fatal(err)
	}
	jws, err := signer.Sign(payload)
	if err != nil {
		a.t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		a.t.Fatal(err)
	}
	return text
}

// verify verifies a request with the token.
func verify(t *testing.T, v *resource.Verifier, token string) (*resource.Token, error) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+token)
	return v.Verify(t.Context(), r)
}
