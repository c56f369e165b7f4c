package dpop_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/secret"
)

const (
	origin = "https://api.example.com"
	place  = origin + "/docs/doc_1"
)

var token = secret.New("token-canary")

// A roundTripper is an API, or a token endpoint.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// api answers as an API that checks proofs with v, and counts what it is sent.
func api(v *dpop.Verifier, bound secret.String, sent *[]*http.Request) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		*sent = append(*sent, r)
		if r.Body != nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
		}
		rec := httptest.NewRecorder()
		if nonce := v.Nonce(); nonce != "" {
			rec.Header().Set("DPoP-Nonce", nonce)
		}
		switch _, err := v.Verify(r, bound, ""); {
		case errors.Is(err, dpop.ErrNonce):
			rec.Header().Set("WWW-Authenticate", `Bearer, DPoP realm="x", error="use_dpop_nonce", algs="ES256"`)
			rec.WriteHeader(http.StatusUnauthorized)
		case err != nil:
			rec.Header().Set("WWW-Authenticate", `DPoP error=invalid_dpop_proof`)
			rec.Header().Set("X-Reason", err.Error())
			rec.WriteHeader(http.StatusUnauthorized)
		}
		return rec.Result(), nil
	}
}

func verifier(t *testing.T, change func(*dpop.Config)) *dpop.Verifier {
	t.Helper()
	cfg := dpop.Config{Origin: origin}
	if change != nil {
		change(&cfg)
	}
	v, err := dpop.NewVerifier(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func key(t *testing.T, c *dpop.Client) *dpop.Key {
	t.Helper()
	k, err := c.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func request(t *testing.T, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// proof returns the proof that a key makes for a request.
func proof(t *testing.T, k *dpop.Key, method, url string, token secret.String) string {
	t.Helper()
	var made string
	_, err := k.RoundTrip(roundTripper(func(r *http.Request) (*http.Response, error) {
		made = r.Header.Get("DPoP")
		return httptest.NewRecorder().Result(), nil
	}), request(t, method, url, ""), token)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestEachSendingHasAProofOfItsOwn(t *testing.T) {
	var sent []*http.Request
	v, k := verifier(t, nil), key(t, &dpop.Client{})
	for range 3 {
		req := request(t, http.MethodPost, place+"?q=1#f", "body")
		resp, err := k.RoundTrip(api(v, token, &sent), req, token)
		if err != nil || resp.StatusCode != http.StatusOK || dpop.Refused(resp) != "" {
			t.Fatalf("RoundTrip() = %v, %v: %s", resp, err, resp.Header.Get("X-Reason"))
		}
		if len(req.Header) != 0 || resp.Request != req {
			t.Errorf("the caller's request has headers %v", req.Header)
		}
	}
	for _, r := range sent {
		if auth := r.Header["Authorization"]; len(auth) != 1 || auth[0] != "DPoP token-canary" {
			t.Errorf("Authorization: %q", auth)
		}
	}
	if got, err := v.Verify(sent[2], token, k.Thumbprint()); !errors.Is(err, dpop.ErrProof) || got != "" {
		t.Errorf("a proof counts twice: %q, %v", got, err)
	}
}

// A connection that was kept open is lost before any answer. A transport repeats what is
// idempotent by itself; each sending has a proof of its own all the same, and what is not
// idempotent is sent once. What goes over the wire is what it was without proofs.
func TestALostConnectionCostsANewProof(t *testing.T) {
	for name, tt := range map[string]struct {
		method, body, key string
		lost, want        int // requests that get no answer, and those that are sent
	}{
		"GET":                  {"GET", "", "", 1, 2},
		"HEAD":                 {"HEAD", "", "", 1, 2},
		"POST":                 {"POST", "x", "", 1, 1},
		"POST with a key":      {"POST", "x", "k", 1, 2},
		"an empty one":         {"POST", "", "k", 1, 2},
		"DELETE with a key":    {"DELETE", "", "k", 1, 2},
		"GET of a body":        {"GET", "x", "", 1, 2},
		"a fresh one lost too": {"GET", "", "", 2, 2},
	} {
		var mu sync.Mutex
		proofs, lost := map[string]bool{}, tt.lost
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			text, _ := io.ReadAll(r.Body)
			if r.URL.Path == "/first" {
				return
			}
			if r.Method != tt.method || string(text) != tt.body || r.Header.Get("Idempotency-Key") != tt.key || r.Method != "POST" && tt.body == "" && len(r.TransferEncoding) > 0 {
				t.Errorf("%s: sent %s %q, %v %v", name, r.Method, text, r.Header, r.TransferEncoding)
			}
			mu.Lock()
			defer mu.Unlock()
			proofs[r.Header.Get("DPoP")] = true
			if lost--; lost < 0 {
				return
			}
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_ = c.Close()
		}))
		k, base := key(t, &dpop.Client{}), &http.Transport{}
		first := must(k.RoundTrip(base, request(t, http.MethodGet, server.URL+"/first", ""), token))
		_, _ = io.Copy(io.Discard, first.Body)
		_ = first.Body.Close()
		req := must(http.NewRequestWithContext(t.Context(), tt.method, server.URL, strings.NewReader(tt.body)))
		if tt.key != "" {
			req.Header.Set("Idempotency-Key", tt.key)
		}
		resp, err := k.RoundTrip(base, req, token)
		if err == nil {
			_ = resp.Body.Close()
		}
		mu.Lock()
		if sent := tt.lost - lost; sent != tt.want || len(proofs) != sent || (err == nil) != (tt.want > tt.lost) {
			t.Errorf("%s: sent %d times, with %d proofs, want %d: %v", name, sent, len(proofs), tt.want, err)
		}
		mu.Unlock()
		base.CloseIdleConnections()
		server.Close()
	}
}

// Nothing of this is taken. Each row is a change of one thing.
func TestVerifyRefuses(t *testing.T) {
	good := func() map[string]any {
		return map[string]any{"jti": rand.Text(), "htm": "GET", "htu": place, "iat": time.Now().Unix(), "ath": hashOf(token)}
	}
	p256, other := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)), must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	long := must(rsa.GenerateKey(rand.Reader, 2048))
	sign := func(claims any, alg jose.SignatureAlgorithm, signing, shown any, typ string) string {
		opts := (&jose.SignerOptions{}).WithType(jose.ContentType(typ))
		if shown != nil {
			opts = opts.WithHeader("jwk", jose.JSONWebKey{Key: shown})
		}
		payload, ok := claims.([]byte)
		if !ok {
			payload = must(json.Marshal(claims))
		}
		return must(must(must(jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: signing}, opts)).Sign(payload)).CompactSerialize())
	}
	with := func(changed map[string]any) string {
		c := good()
		maps.Copy(c, changed)
		return sign(c, jose.ES256, p256, p256.Public(), "dpop+jwt")
	}
	thumb := func(k any) string {
		v := verifier(t, nil)
		r := request(t, "GET", place, "")
		r.Header.Set("DPoP", sign(good(), jose.ES256, k, k.(*ecdsa.PrivateKey).Public(), "dpop+jwt"))
		return must(v.Verify(r, token, ""))
	}
	for name, tt := range map[string]struct {
		proof string
		more  []string // further headers
		bound string
		want  string
	}{
		"good":                       {proof: with(nil)},
		"good, of the key":           {proof: with(nil), bound: thumb(p256)},
		"good, fraction":             {proof: with(map[string]any{"iat": float64(time.Now().UnixMilli()) / 1000})},
		"good, URL in other words":   {proof: with(map[string]any{"htu": "HTTPS://API.example.com:443/docs/doc%5F1?q#f"})},
		"of another key":             {proof: with(nil), bound: thumb(other), want: "another key"},
		"none":                       {want: "not one proof"},
		"two":                        {proof: with(nil), more: []string{with(nil)}, want: "not one proof"},
		"too long":                   {proof: with(map[string]any{"x": strings.Repeat("x", 9000)}), want: "not one proof"},
		"no JWT":                     {proof: "abc", want: "not a JWT"},
		"unsigned":                   {proof: "eyJhbGciOiJub25lIiwidHlwIjoiZHBvcCtqd3QifQ.e30.", want: "not a JWT"},
		"by a shared secret":         {proof: sign(good(), jose.HS256, make([]byte, 32), nil, "dpop+jwt"), want: "not a JWT"},
		"by RSA":                     {proof: sign(good(), jose.RS256, long, long.Public(), "dpop+jwt"), want: "not a JWT"},
		"other typ":                  {proof: sign(good(), jose.ES256, p256, p256.Public(), "jwt"), want: "typ"},
		"no key":                     {proof: sign(good(), jose.ES256, p256, nil, "dpop+jwt"), want: "no public key"},
		"key of another kind":        {proof: sign(good(), jose.ES256, p256, long.Public(), "dpop+jwt"), want: "no public key"},
		"private key":                {proof: sign(good(), jose.ES256, p256, p256, "dpop+jwt"), want: "not a JWT"},
		"signed by another":          {proof: sign(good(), jose.ES256, other, p256.Public(), "dpop+jwt"), want: "wrong signature"},
		"a member twice":             {proof: sign([]byte(`{"jti":"a","jti":"b"}`), jose.ES256, p256, p256.Public(), "dpop+jwt"), want: "strict JSON"},
		"no object":                  {proof: sign([]byte(`[]`), jose.ES256, p256, p256.Public(), "dpop+jwt"), want: "strict JSON"},
		"no jti":                     {proof: with(map[string]any{"jti": ""}), want: "no jti"},
		"other method":               {proof: with(map[string]any{"htm": "POST"}), want: "another method"},
		"method in lower case":       {proof: with(map[string]any{"htm": "get"}), want: "another method"},
		"other path":                 {proof: with(map[string]any{"htu": origin + "/docs/doc_2"}), want: "another URL"},
		"path with a slash more":     {proof: with(map[string]any{"htu": place + "/"}), want: "another URL"},
		"escaped slash":              {proof: with(map[string]any{"htu": origin + "/docs%2Fdoc_1"}), want: "another URL"},
		"path in capitals":           {proof: with(map[string]any{"htu": origin + "/docs/DOC_1"}), want: "another URL"},
		"other host":                 {proof: with(map[string]any{"htu": "https://evil.example/docs/doc_1"}), want: "another URL"},
		"other port":                 {proof: with(map[string]any{"htu": "https://api.example.com:8443/docs/doc_1"}), want: "another URL"},
		"other scheme":               {proof: with(map[string]any{"htu": "http://api.example.com/docs/doc_1"}), want: "another URL"},
		"a user":                     {proof: with(map[string]any{"htu": "https://api.example.com@evil.example/docs/doc_1"}), want: "another URL"},
		"path alone":                 {proof: with(map[string]any{"htu": "/docs/doc_1"}), want: "another URL"},
		"other token":                {proof: with(map[string]any{"ath": hashOf(secret.New("another"))}), want: "another token"},
		"no token":                   {proof: with(map[string]any{"ath": ""}), want: "another token"},
		"made long ago":              {proof: with(map[string]any{"iat": time.Now().Add(-62 * time.Second).Unix()}), want: "about now"},
		"made in the future":         {proof: with(map[string]any{"iat": time.Now().Add(62 * time.Second).Unix()}), want: "about now"},
		"made when nobody was there": {proof: with(map[string]any{"iat": 1e300}), want: "about now"},
		"no time":                    {proof: with(map[string]any{"iat": nil}), want: "about now"},
		"time as text":               {proof: with(map[string]any{"iat": "1"}), want: "strict JSON"},
	} {
		r := request(t, http.MethodGet, place+"?q=2", "")
		r.Host = "evil.example" // which is the sender's word
		if tt.proof != "" {
			r.Header.Set("DPoP", tt.proof)
		}
		for _, more := range tt.more {
			r.Header.Add("DPoP", more)
		}
		got, err := verifier(t, nil).Verify(r, token, tt.bound)
		if ok := tt.want == ""; ok != (err == nil) || ok == (got == "") || !ok && (!errors.Is(err, dpop.ErrProof) || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: Verify() = %q, %v, want %q", name, got, err, tt.want)
		}
		if err != nil && (strings.Contains(err.Error(), "canary") || tt.proof != "" && strings.Contains(err.Error(), tt.proof)) {
			t.Errorf("%s: the error quotes: %v", name, err)
		}
	}
	// Who knows the jti of another's proof cannot use it up.
	v, claims := verifier(t, nil), good()
	for _, k := range []*ecdsa.PrivateKey{p256, other} {
		r := request(t, http.MethodGet, place, "")
		r.Header.Set("DPoP", sign(claims, jose.ES256, k, k.Public(), "dpop+jwt"))
		if _, err := v.Verify(r, token, ""); err != nil {
			t.Errorf("a jti that another key has: %v", err)
		}
	}
}

func hashOf(token secret.String) string {
	sum := sha256.Sum256([]byte(token.Reveal()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A nonce comes with any answer, and the next proof has it. One that is wanted costs one
// more sending; a server that is never content does not keep us.
func TestNonces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent []*http.Request
		v, c := verifier(t, func(c *dpop.Config) { c.Nonces = true }), &dpop.Client{}
		k := key(t, c)
		ask := func(k *dpop.Key, want int, sendings int) {
			t.Helper()
			sent = nil
			resp, err := k.RoundTrip(api(v, token, &sent), request(t, http.MethodPost, place, "body"), token)
			if err != nil || resp.StatusCode != want || len(sent) != sendings {
				t.Errorf("RoundTrip() = %v, %v after %d sendings, want %d after %d", resp.StatusCode, err, len(sent), want, sendings)
			}
		}
		ask(k, 200, 2)
		ask(k, 200, 1)
		ask(key(t, c), 200, 1) // keys of a client know the same
		time.Sleep(4 * time.Minute)
		ask(k, 200, 1) // and its answer has a new one
		time.Sleep(4 * time.Minute)
		ask(k, 200, 1)
		time.Sleep(6 * time.Minute)
		ask(k, 200, 2) // too old
		stranger := verifier(t, func(c *dpop.Config) { c.Nonces = true })
		r := sent[1]
		shared := func(c *dpop.Config) { c.Nonces, c.NonceKey = true, make([]byte, 32) }
		if here, there := verifier(t, shared).Nonce(), verifier(t, shared).Nonce(); here != there {
			t.Errorf("nonces of processes with one key: %s, %s", here, there)
		}
		if _, err := stranger.Verify(r, token, ""); !errors.Is(err, dpop.ErrNonce) {
			t.Errorf("the nonce of another server: %v", err)
		}
	})
	for name, tt := range map[string]struct {
		nonce func(n int) string
		most  int
	}{
		"always another": {func(n int) string { return fmt.Sprint("n", n) }, 3},
		"always this":    {func(int) string { return "n" }, 2},
		"none":           {func(int) string { return "" }, 1},
		"no nonce":       {func(n int) string { return fmt.Sprintf(`n"%d`, n) }, 1},
		"a long one":     {func(n int) string { return strings.Repeat("n", 2000+n) }, 1},
	} {
		n := 0
		refuses := roundTripper(func(_ *http.Request) (*http.Response, error) {
			n++
			rec := httptest.NewRecorder()
			rec.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			rec.Header().Set("DPoP-Nonce", tt.nonce(n))
			rec.WriteHeader(http.StatusUnauthorized)
			return rec.Result(), nil
		})
		resp, err := key(t, &dpop.Client{}).RoundTrip(refuses, request(t, http.MethodGet, place, ""), token)
		if err != nil || dpop.Refused(resp) == "" || n != tt.most {
			t.Errorf("%s: %d sendings, %v, want %d", name, n, err, tt.most)
		}
	}
}

// telling answers with a nonce of each server's own, and tells what proofs have.
func telling(had *[]string) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		var claims struct{ Nonce string }
		jws := must(jose.ParseSignedCompact(r.Header.Get("DPoP"), []jose.SignatureAlgorithm{jose.ES256}))
		if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &claims); err != nil {
			return nil, err
		}
		*had = append(*had, claims.Nonce)
		rec := httptest.NewRecorder()
		rec.Header().Set("DPoP-Nonce", "of-"+r.URL.Host)
		return rec.Result(), nil
	}
}

// A nonce is for the server that it came from: another learns nothing by it. So many are
// remembered.
func TestNoncesAreOfOneServer(t *testing.T) {
	k := key(t, &dpop.Client{})
	var had []string
	ask := func(host string) {
		_ = must(k.RoundTrip(telling(&had), request(t, http.MethodGet, "https://"+host+"/x", ""), token)).Body.Close()
	}
	for _, host := range []string{"a", "b", "a:8443", "a"} {
		ask(host)
	}
	if diff := cmp.Diff([]string{"", "", "", "of-a"}, had); diff != "" {
		t.Errorf("nonces (-want +got):\n%s", diff)
	}
	for i := range 64 {
		ask(fmt.Sprint("n", i))
	}
	had = nil
	ask("n63")
	ask("a")
	if diff := cmp.Diff([]string{"of-n63", ""}, had); diff != "" {
		t.Errorf("nonces after many servers (-want +got):\n%s", diff)
	}
}

// An API refuses a proof with 401 only (section 7.1).
func TestAnotherStatusIsNoRefusalOfAProof(t *testing.T) {
	n := 0
	resp := must(key(t, &dpop.Client{}).RoundTrip(roundTripper(func(*http.Request) (*http.Response, error) {
		n++
		rec := httptest.NewRecorder()
		rec.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		rec.Header().Set("DPoP-Nonce", "n")
		rec.WriteHeader(http.StatusBadRequest)
		return rec.Result(), nil
	}), request(t, http.MethodGet, place, ""), token))
	_ = resp.Body.Close()
	if n != 1 || dpop.Refused(resp) != "" {
		t.Errorf("sent %d times, refused: %v", n, dpop.Refused(resp))
	}
}

// A nonce that another process made is good, but none that was made for later.
func TestNoncesOfTheFuture(t *testing.T) {
	for ahead, want := range map[time.Duration]error{time.Minute: nil, 6 * time.Minute: dpop.ErrNonce} {
		shared := func(c *dpop.Config) { c.Nonces, c.NonceKey = true, make([]byte, 32) }
		there := verifier(t, func(c *dpop.Config) {
			shared(c)
			c.Now = func() time.Time { return time.Now().Add(ahead) }
		})
		k := key(t, &dpop.Client{})
		_ = must(k.RoundTrip(roundTripper(func(*http.Request) (*http.Response, error) {
			rec := httptest.NewRecorder()
			rec.Header().Set("DPoP-Nonce", there.Nonce())
			return rec.Result(), nil
		}), request(t, http.MethodGet, place, ""), token)).Body.Close()
		r := request(t, http.MethodGet, place, "")
		r.Header.Set("DPoP", proof(t, k, http.MethodGet, place, token))
		if _, err := verifier(t, shared).Verify(r, token, ""); !errors.Is(err, want) {
			t.Errorf("made %v ahead: %v, want %v", ahead, err, want)
		}
	}
}

// A token endpoint says it in the body (section 8), which its reader finds whole. A body
// that cannot be sent twice is not.
func TestTokenEndpoint(t *testing.T) {
	for name, tt := range map[string]struct {
		status     int
		body, path string
		once       bool
		most       int
	}{
		"wants a nonce":            {400, `{"error":"use_dpop_nonce"}`, "/token", false, 2},
		"wants one, other status":  {401, `{"error":"use_dpop_nonce"}`, "/token", false, 2},
		"body of one use":          {400, `{"error":"use_dpop_nonce"}`, "/token", true, 1},
		"refuses for another":      {400, `{"error":"authorization_pending"}`, "/token", false, 1},
		"no JSON":                  {400, `use_dpop_nonce`, "/token", false, 1},
		"the same, of a 500":       {500, `{"error":"use_dpop_nonce"}`, "/token", false, 1},
		"says it to people":        {400, `{"error":"x","error_description":"use_dpop_nonce"}`, "/token", false, 1},
		"says it twice, otherwise": {400, `{"error":"use_dpop_nonce","error":"x"}`, "/token", false, 1},
	} {
		n := 0
		endpoint := roundTripper(func(r *http.Request) (*http.Response, error) {
			n++
			if text, _ := io.ReadAll(r.Body); string(text) != "form" || r.Header.Get("Authorization") != "Basic own" {
				t.Errorf("%s: sent %q", name, text)
			}
			rec := httptest.NewRecorder()
			rec.Header().Set("DPoP-Nonce", "n-1")
			rec.WriteHeader(tt.status)
			_, _ = io.WriteString(rec, tt.body)
			return rec.Result(), nil
		})
		req := request(t, http.MethodPost, origin+tt.path, "form")
		req.Header.Set("Authorization", "Basic own")
		if tt.once {
			req.GetBody = nil
		}
		resp, err := key(t, &dpop.Client{}).RoundTrip(endpoint, req, secret.String{})
		if err != nil || n != tt.most {
			t.Fatalf("%s: %d sendings, %v, want %d", name, n, err, tt.most)
		}
		if body, err := io.ReadAll(resp.Body); err != nil || string(body) != tt.body {
			t.Errorf("%s: the body is left as %q, %v", name, body, err)
		}
	}
}

// A server whose clock is off is met at its own time, from its second answer on.
func TestClocks(t *testing.T) {
	for _, off := range []time.Duration{-time.Hour, 0, time.Hour, 48 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			now := func() time.Time { return time.Now().Add(off) }
			var sent []*http.Request
			v := verifier(t, func(c *dpop.Config) { c.Now = now })
			check := api(v, token, &sent)
			dated := roundTripper(func(r *http.Request) (*http.Response, error) {
				resp, err := check(r)
				resp.Header.Set("Date", now().UTC().Format(http.TimeFormat))
				return resp, err
			})
			k := key(t, &dpop.Client{})
			for try, want := range []int{2, 1} {
				if off == 0 || off > 24*time.Hour {
					want = 1
				}
				sent = nil
				resp, err := k.RoundTrip(dated, request(t, http.MethodGet, place, ""), token)
				if err != nil || (resp.StatusCode == 200) != (off.Abs() < 24*time.Hour) || len(sent) != want {
					t.Errorf("%v off, try %d: %d, %v after %d sendings, want %d", off, try, resp.StatusCode, err, len(sent), want)
				}
			}
		})
	}
}

// What is remembered is bounded, and forgotten only when it is too old to be sent again. A
// client that fills it with proofs leaves room to others.
func TestReplaysAreRefusedForAsLongAsTheyCouldCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v, k := verifier(t, func(c *dpop.Config) { c.Proofs = 6 }), key(t, &dpop.Client{})
		send := func(text string) error {
			r := request(t, http.MethodGet, place, "")
			r.Header.Set("DPoP", text)
			_, err := v.Verify(r, token, "")
			return err
		}
		for range 5 {
			first := proof(t, k, http.MethodGet, place, token)
			if err := send(first); err != nil {
				t.Fatalf("a first proof: %v", err)
			}
			for range 14 {
				if err := send(first); !errors.Is(err, dpop.ErrProof) {
					t.Errorf("a proof counts again: %v", err)
				}
				time.Sleep(5 * time.Second)
			}
			time.Sleep(45 * time.Second) // so that what is remembered changes its place at any age
		}
		time.Sleep(time.Hour)
		other, third := key(t, &dpop.Client{}), key(t, &dpop.Client{})
		for i, tt := range []struct {
			key  *dpop.Key
			want error
		}{{k, nil}, {k, nil}, {k, nil}, {k, dpop.ErrFull}, {other, nil}, {k, dpop.ErrFull}, {other, nil}, {other, dpop.ErrFull}, {third, nil}, {third, dpop.ErrFull}} {
			if err := send(proof(t, tt.key, http.MethodGet, place, token)); !errors.Is(err, tt.want) {
				t.Errorf("proof %d: %v, want %v", i, err, tt.want)
			}
		}
	})
}

func TestKeysAreNotShown(t *testing.T) {
	k := key(t, &dpop.Client{})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		for _, v := range []any{k, struct{ k *dpop.Key }{k}, []*dpop.Key{k}} {
			if text := strings.ReplaceAll(fmt.Sprintf(verb, v), k.Thumbprint(), ""); len(text) > 80 {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
	if text, err := json.Marshal([]any{k}); err != nil || string(text) != "[{}]" {
		t.Errorf("JSON: %s, %v", text, err)
	}
	jws := must(jose.ParseSignedCompact(proof(t, k, http.MethodGet, place, token), []jose.SignatureAlgorithm{jose.ES256}))
	if jwk := jws.Signatures[0].Protected.JSONWebKey; !jwk.IsPublic() || jwk.KeyID != "" {
		t.Errorf("the proof shows %v", jwk)
	}
}

func TestConfig(t *testing.T) {
	for _, cfg := range []dpop.Config{
		{}, {Origin: "api.example.com"}, {Origin: "https://"}, {Origin: "ftp://x"}, {Origin: "https://u@x"}, {Origin: "https://x/v1"},
		{Origin: origin, NonceKey: make([]byte, 31)}, {Origin: origin, Window: -1}, {Origin: origin, Proofs: -1},
	} {
		if _, err := dpop.NewVerifier(cfg); err == nil {
			t.Errorf("NewVerifier(%+v) works", cfg)
		}
	}
	if v := verifier(t, nil); v.Nonce() != "" {
		t.Error("a nonce where none is wanted")
	}
}

// However a proof is changed, it is refused.
func FuzzVerify(f *testing.F) {
	v, err := dpop.NewVerifier(dpop.Config{Origin: origin})
	if err != nil {
		f.Fatal(err)
	}
	for _, text := range []string{"", "a.b.c", "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwiY3J2IjoiUC0yNTYifX0.e30.AA"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, place, nil)
		r.Header["Dpop"] = []string{text}
		if _, err := v.Verify(r, token, ""); !errors.Is(err, dpop.ErrProof) {
			t.Errorf("Verify(%q) = %v", text, err)
		}
	})
}
