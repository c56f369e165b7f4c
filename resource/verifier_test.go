package resource_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

func TestClaimsThatDoNotHold(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	now := start.Unix()
	tests := []struct {
		name    string
		changes map[string]any
		reason  string
	}{
		{"other issuer", map[string]any{"iss": "https://evil.test"}, "wrong issuer"},
		{"issuer with a slash more", map[string]any{"iss": a.issuer() + "/"}, "wrong issuer"},
		{"no issuer", map[string]any{"iss": nil}, "wrong issuer"},
		{"no subject", map[string]any{"sub": nil}, "no subject"},
		{"no expiry", map[string]any{"exp": nil}, "no expiry"},
		{"expired", map[string]any{"exp": now - 10}, "expired"},
		{"expiry as text", map[string]any{"exp": "9999999999"}, "strict JSON"},
		{"expiry beyond dates", map[string]any{"exp": 1e300}, "strict JSON"},
		{"negative expiry", map[string]any{"exp": -1}, "strict JSON"},
		{"not yet valid", map[string]any{"nbf": now + 60}, "not yet valid"},
		{"issued in the future", map[string]any{"iat": now + 60}, "issued in the future"},
		{"expires before valid", map[string]any{"exp": now - 5, "nbf": now + 5}, "before it is valid"},
		{"id token", map[string]any{"token_use": "id"}, "not an access token"},
		{"bound to a key", map[string]any{"cnf": map[string]any{"jkt": "x"}}, "bound to a key"},
		{"details of no known form", map[string]any{"authorization_details": "all"}, "authorization_details"},
		{"details without type", map[string]any{"authorization_details": []any{map[string]any{}}}, "authorization_details"},
		{"subject of another kind", map[string]any{"sub": []string{"a"}}, "strict JSON"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			asked := a.introspections.Load()
			got, err := verify(t, v, a.token(test.changes))
			if !errors.Is(err, resource.ErrInvalidToken) || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("Verify() = %v, %v; want ErrInvalidToken: %s", got, err, test.reason)
			}
			if a.introspections.Load() != asked {
				t.Error("the authorization server was asked about a token that cannot hold")
			}
		})
	}
}

func TestDuplicateClaims(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	for _, claims := range []string{
		`{"iss":"` + a.issuer() + `","sub":"a","sub":"b","exp":1900000000}`,
		`{"iss":"` + a.issuer() + `","sub":"a","exp":1900000000,"authorization_details":[{"type":"a","type":"b"}]}`,
		`{"iss":"` + a.issuer() + `","sub":"a","exp":1900000000} {}`,
		`{"iss":"` + a.issuer() + `","sub":"a","exp":null}`,
		"{\"iss\":\"" + a.issuer() + "\",\"sub\":\"\xff\",\"exp\":1900000000}",
		`{"ISS":"` + a.issuer() + `","sub":"a","exp":1900000000}`,
		`[]`, `null`, ``,
		strings.Repeat("[", 5000),
	} {
		got, err := verify(t, v, a.sign(jose.ES256, a.key, "key-1", "at+jwt", []byte(claims)))
		if !errors.Is(err, resource.ErrInvalidToken) {
			t.Errorf("Verify(%.80q) = %v, %v; want ErrInvalidToken", claims, got, err)
		}
	}
}

func TestSignaturesThatDoNotHold(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	weak := rsaKey(t, 1024)
	strong := rsaKey(t, 2048)
	rsaPublic := jose.JSONWebKey{Key: &strong.PublicKey, KeyID: "rs-only", Algorithm: "RS256"}
	encryption := public("enc", a.key)
	encryption.Use, encryption.Algorithm = "enc", ""
	symmetric := jose.JSONWebKey{Key: []byte("0123456789abcdef0123456789abcdef"), KeyID: "oct"}
	leaked := jose.JSONWebKey{Key: a.key, KeyID: "private"}
	a.jwks = append(a.jwks, rsaPublic, jose.JSONWebKey{Key: &strong.PublicKey, KeyID: "any"}, encryption, symmetric, leaked,
		jose.JSONWebKey{Key: &weak.PublicKey, KeyID: "weak"},
		jose.JSONWebKey{Key: &p384.PublicKey, KeyID: "p384"})
	v := a.verifier(t)

	claims := a.claims(nil)
	good := a.token(nil)
	parts := strings.Split(good, ".")
	// The public key's own text as the secret of an HMAC: the classic confusion.
	text, err := a.jwks[0].MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, token string }{
		{"alg none", b64(`{"alg":"none","kid":"key-1","typ":"at+jwt"}`) + "." + parts[1] + "."},
		{"alg None with the signature", b64(`{"alg":"None","kid":"key-1","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2]},
		{"no alg", b64(`{"kid":"key-1","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2]},
		{"HS256 with the public key", a.sign(jose.HS256, text, "key-1", "at+jwt", claims)},
		{"HS256 with a published secret", a.sign(jose.HS256, symmetric.Key, "oct", "at+jwt", claims)},
		{"ES384", a.sign(jose.ES384, p384, "p384", "at+jwt", claims)},
		{"another key under a known id", a.sign(jose.ES256, newKey(t), "key-1", "at+jwt", claims)},
		{"PS256 with a key for RS256", a.sign(jose.PS256, strong, "rs-only", "at+jwt", claims)},
		{"a key for encryption", a.sign(jose.ES256, a.key, "enc", "at+jwt", claims)},
		{"a published private key", a.sign(jose.ES256, a.key, "private", "at+jwt", claims)},
		{"RSA key of 1024 bits", a.sign(jose.RS256, weak, "weak", "at+jwt", claims)},
		{"unknown kid", a.sign(jose.ES256, a.key, "key-2", "at+jwt", claims)},
		{"no kid", a.sign(jose.ES256, a.key, "", "at+jwt", claims)},
		{"no typ", a.sign(jose.ES256, a.key, "key-1", "", claims)},
		{"typ of something else", a.sign(jose.ES256, a.key, "key-1", "logout+jwt", claims)},
		{"payload exchanged", parts[0] + "." + b64(`{"sub":"root"}`) + "." + parts[2]},
		{"signature cut", good[:len(good)-4]},
		{"unused bits of the signature set", good[:len(good)-1] + string(good[len(good)-1]+1)},
		{"no signature", parts[0] + "." + parts[1] + "."},
		{"two parts", parts[0] + "." + parts[1]},
		{"four parts", good + ".x"},
		{"opaque", "2YotnFZFEjr1zCsicMWpAA"},
		{"unknown crit", b64(`{"alg":"ES256","kid":"key-1","typ":"at+jwt","crit":["x"],"x":1}`) + "." + parts[1] + "." + parts[2]},
		{"duplicate alg", b64(`{"alg":"none","alg":"ES256","kid":"key-1","typ":"at+jwt"}`) + "." + parts[1] + "." + parts[2]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			asked := a.introspections.Load()
			got, err := verify(t, v, test.token)
			if !errors.Is(err, resource.ErrInvalidToken) {
				t.Errorf("Verify() = %v, %v; want ErrInvalidToken", got, err)
			}
			if err != nil && strings.Contains(err.Error(), parts[1][:20]) {
				t.Errorf("the error holds the token: %v", err)
			}
			if a.introspections.Load() != asked {
				t.Error("the authorization server was asked about a token that it did not sign")
			}
		})
	}

	if _, err := verify(t, v, good); err != nil {
		t.Errorf("the control, a good token: %v", err)
	}
	if _, err := verify(t, v, a.sign(jose.RS256, strong, "rs-only", "JWT", claims)); err != nil {
		t.Errorf("RS256: %v", err)
	}
	if _, err := verify(t, v, a.sign(jose.PS256, strong, "any", "JWT", claims)); err != nil {
		t.Errorf("PS256: %v", err)
	}
}

func TestEmbeddedKeyIsNotTrusted(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: newKey(t)},
		(&jose.SignerOptions{EmbedJWK: true}).WithType("at+jwt").WithHeader("kid", "key-1"))
	if err != nil {
		t.Fatal(err)
	}
	jws, err := signer.Sign([]byte(`{"iss":"` + a.issuer() + `","sub":"a","exp":1900000000}`))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := verify(t, v, text); !errors.Is(err, resource.ErrInvalidToken) {
		t.Errorf("Verify() = %v, %v; want ErrInvalidToken", got, err)
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	doc1 := rar.Detail{
		Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1",
		Locations: []string{"https://api.acme-corp.com"},
	}
	jit := resource.Token{
		Subject: "agent:analyst:task:task_1", AgentID: "agt_1", ClientID: "analyst", TaskID: "task_1", ID: "jti-1",
		Details: []rar.Detail{doc1}, ExpiresAt: start.Add(300 * time.Second), JIT: true,
	}
	base := jit
	base.Details, base.JIT, base.TaskID, base.Subject = nil, false, "", "agent:analyst"

	claims := cmpopts.IgnoreFields(resource.Token{}, "Claims")
	got, err := verify(t, v, a.token(map[string]any{"groups": []string{"staff"}}))
	if err == nil && (got.Claims.Text("sub") != jit.Subject || !slices.Equal(got.Claims.Texts("groups"), []string{"staff"})) {
		t.Errorf("the claims are %v", got.Claims)
	}
	if diff := cmp.Diff(&jit, got, claims); err != nil || diff != "" {
		t.Errorf("Verify(JIT token): %v, -want +got:\n%s", err, diff)
	}
	got, err = verify(t, v, a.token(map[string]any{
		"authorization_details": nil, "jit": nil, "task_id": nil, "sub": "agent:analyst", "exp": start.Unix() + 300,
	}))
	if diff := cmp.Diff(&base, got, claims); err != nil || diff != "" {
		t.Errorf("Verify(base token): %v, -want +got:\n%s", err, diff)
	}
	for _, typ := range []string{"at+jwt", "AT+JWT", "application/at+jwt", "JWT"} {
		if _, err := verify(t, v, a.sign(jose.ES256, a.key, "key-1", typ, a.claims(nil))); err != nil {
			t.Errorf("Verify(typ %s) = %v", typ, err)
		}
	}
	// Within the leeway on both sides.
	if _, err := verify(t, v, a.token(map[string]any{"exp": start.Unix() - 9, "nbf": nil, "iat": nil})); err != nil {
		t.Errorf("Verify(expired within the leeway) = %v", err)
	}
	if _, err := verify(t, v, a.token(map[string]any{"nbf": start.Unix() + 9, "iat": start.Unix() + 9})); err != nil {
		t.Errorf("Verify(not yet valid within the leeway) = %v", err)
	}
}

func TestAudience(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	cfg := a.config()
	cfg.Audience = "https://api.acme-corp.com"
	v, err := resource.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, aud := range []any{nil, "https://other.test", []string{}, []string{"https://api.acme-corp.com/"}, 7,
		map[string]any{"https://api.acme-corp.com": true}} {
		if _, err := verify(t, v, a.token(map[string]any{"aud": aud})); !errors.Is(err, resource.ErrInvalidToken) {
			t.Errorf("Verify(aud %v) = %v, want ErrInvalidToken", aud, err)
		}
	}
	if _, err := verify(t, v, a.sign(jose.ES256, a.key, "key-1", "", a.claims(map[string]any{"aud": cfg.Audience}))); err != nil {
		t.Errorf("Verify(no typ, and the audience) = %v", err)
	}
	for _, aud := range []any{"https://api.acme-corp.com", []string{"x", "https://api.acme-corp.com"}} {
		if _, err := verify(t, v, a.token(map[string]any{"aud": aud})); err != nil {
			t.Errorf("Verify(aud %v) = %v", aud, err)
		}
	}
}

func TestAuthorizationHeader(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	good := a.token(nil)
	tests := []struct {
		name   string
		values []string
		target string
		want   error
	}{
		{"none", nil, "/", resource.ErrNoToken},
		{"empty", []string{""}, "/", resource.ErrNoToken},
		{"other scheme", []string{"Basic " + good}, "/", resource.ErrNoToken},
		{"DPoP", []string{"DPoP " + good}, "/", resource.ErrNoToken},
		{"token alone", []string{good}, "/", resource.ErrNoToken},
		{"scheme alone", []string{"Bearer"}, "/", resource.ErrMalformed},
		{"scheme and space", []string{"Bearer "}, "/", resource.ErrMalformed},
		{"two headers", []string{"Bearer " + good, "Bearer " + good}, "/", resource.ErrMalformed},
		{"two headers, one other", []string{"Basic eDp5", "Bearer " + good}, "/", resource.ErrMalformed},
		{"two tokens", []string{"Bearer " + good + " " + good}, "/", resource.ErrMalformed},
		{"list", []string{"Bearer " + good + ", Bearer x"}, "/", resource.ErrMalformed},
		{"tab", []string{"Bearer\t" + good}, "/", resource.ErrNoToken},
		{"quotes", []string{`Bearer "` + good + `"`}, "/", resource.ErrMalformed},
		{"padding alone", []string{"Bearer ="}, "/", resource.ErrMalformed},
		{"not ASCII", []string{"Bearer ä"}, "/", resource.ErrMalformed},
		{"giant", []string{"Bearer " + strings.Repeat("a", 16<<10+1)}, "/", resource.ErrMalformed},
		{"largest", []string{"Bearer " + strings.Repeat("a", 16<<10)}, "/", resource.ErrInvalidToken},
		{"query", nil, "/?access_token=" + good, resource.ErrMalformed},
		{"query besides", []string{"Bearer " + good}, "/?x=1&access_token=", resource.ErrMalformed},
		{"lower case", []string{"bearer " + good}, "/", nil},
		{"upper case, spaces", []string{"BEARER   " + good + " "}, "/", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, test.target, nil)
			r.Header["Authorization"] = test.values
			if _, err := v.Verify(t.Context(), r); !errors.Is(err, test.want) {
				t.Errorf("Verify() = %v, want %v", err, test.want)
			}
		})
	}
}

func FuzzAuthorization(f *testing.F) {
	a := newAuthServer(f)
	v := a.verifier(f)
	good := a.token(nil)
	for _, seed := range []string{"", "Bearer", "Bearer x", "Bearer " + good, "Basic eDp5", "Bearer a b", "bearer ..", "Bearer e30.e30.e30"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header["Authorization"] = []string{value}
		got, err := v.Verify(t.Context(), r)
		if err == nil {
			// Nobody but the server signs, so this is its token, spelled as sent.
			if token := strings.Trim(value[len("Bearer"):], " "); token[:strings.LastIndex(token, ".")] != good[:strings.LastIndex(good, ".")] {
				t.Errorf("Verify(%q) = %v", value, got)
			}
			return
		}
		if !errors.Is(err, resource.ErrNoToken) && !errors.Is(err, resource.ErrMalformed) && !errors.Is(err, resource.ErrInvalidToken) {
			t.Errorf("Verify(%q) = %v, none of the errors for a bad token", value, err)
		}
		if len(value) > 60 && strings.Contains(err.Error(), value[len(value)-50:]) {
			t.Errorf("the error holds the header: %v", err)
		}
	})
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func rsaKey(t *testing.T, bits int) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
