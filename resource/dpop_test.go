package resource_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

// A proving API and a caller with a key.
type proving struct {
	*authServer
	key    *dpop.Key
	server *httptest.Server
	inside []*http.Request // what the handler saw
}

func newProving(t *testing.T, change func(*resource.Config)) *proving {
	t.Helper()
	var keys dpop.Client
	key, err := keys.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	p := &proving{authServer: newAuthServer(t), key: key}
	var api http.Handler
	p.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { api.ServeHTTP(w, r) }))
	t.Cleanup(p.server.Close)
	cfg := p.config()
	cfg.Now, cfg.DPoP, cfg.Location = time.Now, resource.AcceptDPoP, p.server.URL
	if change != nil {
		change(&cfg)
	}
	v, err := resource.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	need := func(*http.Request) (rar.Detail, error) {
		return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1", Locations: []string{"https://api.acme-corp.com"}}, nil
	}
	api = v.Require(need, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { p.inside = append(p.inside, r) }))
	return p
}

// bound is a token with these confirmations; nil is none.
func (p *proving) bound(cnf map[string]any) string {
	now, confirmed := time.Now().Unix(), any(nil)
	if cnf != nil {
		confirmed = cnf
	}
	return p.token(map[string]any{"exp": now + 60, "iat": now, "nbf": now, "cnf": confirmed})
}

func (p *proving) request(t *testing.T) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.server.URL+"/docs/doc_1", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (p *proving) send(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	resp, err := p.server.Client().Transport.RoundTrip(r) // others that end would end a shared one
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return resp
}

// A token is taken as what it is, and otherwise not at all.
func TestBoundTokens(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		dpop   resource.DPoP
		scheme string
		cnf    func(p *proving) map[string]any
		change func(*proving, *http.Request) // of a request with a proof
		said   map[string]any                // by introspection
		status int
		want   []string // challenges, without realm and description
	}{
		"bound":                          {resource.AcceptDPoP, "DPoP", own, nil, nil, 200, nil},
		"bound, required":                {resource.RequireDPoP, "DPoP", own, nil, nil, 200, nil},
		"introspection says so":          {resource.AcceptDPoP, "DPoP", own, nil, map[string]any{"token_type": "DPoP"}, 200, nil},
		"bearer":                         {resource.AcceptDPoP, "Bearer", nil, nil, nil, 200, nil},
		"bearer, where none is taken":    {resource.RequireDPoP, "Bearer", nil, nil, nil, 401, []string{"DPoP invalid_token"}},
		"bound, sent as bearer":          {resource.AcceptDPoP, "Bearer", own, nil, nil, 401, []string{"Bearer invalid_token", "DPoP"}},
		"bound, where none is taken":     {resource.NoDPoP, "DPoP", own, nil, nil, 401, []string{"Bearer"}},
		"bound, as bearer, as ever":      {resource.NoDPoP, "Bearer", own, nil, nil, 401, []string{"Bearer invalid_token"}},
		"not bound, with a proof":        {resource.AcceptDPoP, "DPoP", nil, nil, nil, 401, []string{"DPoP invalid_token", "Bearer"}},
		"bound otherwise":                {resource.AcceptDPoP, "DPoP", certificate, nil, nil, 401, []string{"DPoP invalid_token", "Bearer"}},
		"bound otherwise as well":        {resource.AcceptDPoP, "DPoP", both, nil, nil, 401, []string{"DPoP invalid_token", "Bearer"}},
		"bound to another key":           {resource.AcceptDPoP, "DPoP", others, nil, nil, 401, []string{"DPoP invalid_dpop_proof", "Bearer"}},
		"introspection has another key":  {resource.AcceptDPoP, "DPoP", own, nil, map[string]any{"cnf": map[string]any{"jkt": "x"}}, 401, []string{"DPoP invalid_token", "Bearer"}},
		"introspection has one, it none": {resource.AcceptDPoP, "Bearer", nil, nil, map[string]any{"cnf": map[string]any{"jkt": "x"}}, 401, []string{"Bearer invalid_token", "DPoP"}},
		"no proof":                       {resource.AcceptDPoP, "DPoP", own, func(_ *proving, r *http.Request) { r.Header.Del("DPoP") }, nil, 401, []string{"DPoP invalid_dpop_proof", "Bearer"}},
		"proof of another method":        {resource.RequireDPoP, "DPoP", own, func(_ *proving, r *http.Request) { r.Method = "PUT" }, nil, 401, []string{"DPoP invalid_dpop_proof"}},
		"proof of another path":          {resource.RequireDPoP, "DPoP", own, func(_ *proving, r *http.Request) { r.URL.Path = "/docs/doc_2" }, nil, 401, []string{"DPoP invalid_dpop_proof"}},
		"proof of another token": {resource.RequireDPoP, "DPoP", own, func(p *proving, r *http.Request) {
			r.Header.Set("Authorization", "DPoP "+p.bound(own(p)))
		}, nil, 401, []string{"DPoP invalid_dpop_proof"}},
		"nobody":           {resource.AcceptDPoP, "", nil, nil, nil, 401, []string{"Bearer", "DPoP"}},
		"nobody, required": {resource.RequireDPoP, "", nil, nil, nil, 401, []string{"DPoP"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProving(t, func(c *resource.Config) { c.DPoP = tt.dpop })
			p.said = tt.said
			var cnf map[string]any
			if tt.cnf != nil {
				cnf = tt.cnf(p)
			}
			token, r := p.bound(cnf), p.request(t)
			var resp *http.Response
			if tt.scheme == "DPoP" {
				_, _ = p.key.RoundTrip(tripper(func(out *http.Request) (*http.Response, error) {
					if tt.change != nil {
						tt.change(p, out)
					}
					resp = p.send(t, out)
					return resp, nil
				}), r, secret.New(token))
			} else {
				if tt.scheme != "" {
					r.Header.Set("Authorization", tt.scheme+" "+token)
				}
				resp = p.send(t, r)
			}
			var got []string
			for _, line := range resp.Header.Values("WWW-Authenticate") {
				scheme, params, _ := strings.Cut(line, " ")
				for param := range strings.SplitSeq(params, ", ") {
					if code, ok := strings.CutPrefix(param, "error="); ok {
						scheme += " " + strings.Trim(code, `"`)
					}
				}
				if strings.HasPrefix(line, "DPoP") != strings.Contains(line, `algs="ES256 EdDSA"`) {
					t.Errorf("challenge %s", line)
				}
				got = append(got, scheme)
			}
			if resp.StatusCode != tt.status || cmp.Diff(tt.want, got) != "" {
				t.Errorf("%d %q, want %d %q", resp.StatusCode, got, tt.status, tt.want)
			}
			if len(p.inside) != map[int]int{200: 1}[tt.status] {
				t.Errorf("the handler was called %d times", len(p.inside))
			}
			for _, r := range p.inside {
				if r.Header.Get("Authorization")+r.Header.Get("DPoP") != "" {
					t.Errorf("the handler sees %v", r.Header)
				}
				if token, ok := resource.FromContext(r.Context()); !ok || tt.cnf != nil && token.Key != p.key.Thumbprint() || tt.cnf == nil && token.Key != "" {
					t.Errorf("token %+v", token)
				}
			}
		})
	}
}

func own(p *proving) map[string]any { return map[string]any{"jkt": p.key.Thumbprint()} }

func others(*proving) map[string]any {
	return map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}
}

func certificate(*proving) map[string]any { return map[string]any{"x5t#S256": "x"} }

func both(p *proving) map[string]any {
	return map[string]any{"x5t#S256": "x", "jkt": p.key.Thumbprint()}
}

type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A proof counts once, and a nonce comes with every answer.
func TestProofsCountOnce(t *testing.T) {
	t.Parallel()
	for _, trust := range []resource.Trust{resource.SignedAndActive, resource.Active, resource.Signed} {
		p := newProving(t, func(c *resource.Config) { c.DPoP, c.Nonces, c.Trust = resource.RequireDPoP, true, trust })
		token := secret.New(p.bound(own(p)))
		var sent []*http.Request
		resp, err := p.key.RoundTrip(tripper(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r)
			return p.send(t, r), nil
		}), p.request(t), token)
		if err != nil || resp.StatusCode != 200 || len(sent) != 2 || resp.Header.Get("DPoP-Nonce") == "" {
			t.Fatalf("trust %d: %v, %v after %d sendings", trust, resp, err, len(sent))
		}
		if again := p.send(t, sent[1]); again.StatusCode != 401 || dpop.Refused(again) == "" || again.Header.Get("DPoP-Nonce") == "" {
			t.Errorf("trust %d: the same once more: %d %v", trust, again.StatusCode, again.Header)
		}
	}
}

// What npm's dpop makes is taken: with the nonce that it is told, once, and for its request.
func TestProofsOfAnotherLibrary(t *testing.T) {
	folder := os.Getenv("NPM_DPOP")
	if folder == "" {
		t.Skip("no library: npm install --prefix V dpop@2.1.2 && NPM_DPOP=$PWD/V go test ./resource -run TestProofsOfAnotherLibrary")
	}
	cmd := exec.CommandContext(t.Context(), "node", "testdata/dpop.mjs", folder)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatal("it says nothing")
	}
	p := newProving(t, func(c *resource.Config) { c.DPoP, c.Nonces = resource.RequireDPoP, true })
	token := p.bound(map[string]any{"jkt": lines.Text()})
	ask := func(method, nonce string) *http.Request {
		r := p.request(t)
		if err := json.NewEncoder(in).Encode(map[string]string{"url": r.URL.String(), "method": method, "nonce": nonce, "token": token}); err != nil || !lines.Scan() {
			t.Fatalf("no proof: %v", err)
		}
		r.Header.Set("Authorization", "DPoP "+token)
		r.Header.Set("DPoP", lines.Text())
		return r
	}
	wants := p.send(t, ask("GET", ""))
	nonce := wants.Header.Get("DPoP-Nonce")
	if wants.StatusCode != 401 || !strings.Contains(wants.Header.Get("WWW-Authenticate"), "use_dpop_nonce") {
		t.Fatalf("without a nonce: %d %v", wants.StatusCode, wants.Header)
	}
	good := ask("GET", nonce)
	for _, tt := range []struct {
		name string
		r    *http.Request
		want int
	}{{"a proof", good, 200}, {"the same once more", good, 401}, {"another", ask("GET", nonce), 200}, {"of another method", ask("PUT", nonce), 401}} {
		if resp := p.send(t, tt.r); resp.StatusCode != tt.want {
			t.Errorf("%s: %d %v, want %d", tt.name, resp.StatusCode, resp.Header, tt.want)
		}
	}
}

func TestConfigOfProofs(t *testing.T) {
	good := resource.Config{Issuer: "https://auth.example.com", JWKSURL: "https://auth.example.com/jwks", Trust: resource.Signed, DPoP: resource.RequireDPoP, Location: "https://api.example.com"}
	for name, change := range map[string]func(*resource.Config){
		"good":             func(*resource.Config) {},
		"no location":      func(c *resource.Config) { c.Location = "" },
		"no origin":        func(c *resource.Config) { c.Location = "https://api.example.com/v1" },
		"none such":        func(c *resource.Config) { c.DPoP = 3 },
		"no proofs":        func(c *resource.Config) { c.Proofs = -1 },
		"nonces of nobody": func(c *resource.Config) { c.DPoP, c.Nonces = resource.NoDPoP, true },
	} {
		cfg := good
		change(&cfg)
		if _, err := resource.New(t.Context(), cfg); (err == nil) != (name == "good") {
			t.Errorf("%s: New() = %v", name, err)
		}
	}
}
