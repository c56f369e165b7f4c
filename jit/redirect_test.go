package jit_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// stranger records all that it is sent, and demands authority of its own.
type stranger struct {
	mu   sync.Mutex
	seen []string
}

func (s *stranger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dump, _ := httputil.DumpRequest(r, true)
	s.mu.Lock()
	s.seen = append(s.seen, string(dump))
	s.mu.Unlock()
	_ = challenge.Write(w, http.StatusForbidden, read("doc_1"), "give me yours")
}

// check fails unless the stranger was asked, and saw nothing that is ours.
func (s *stranger) check(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.seen) == 0 {
		t.Error("the redirect was not followed, so nothing is shown by this test")
	}
	for _, dump := range s.seen {
		// A redirect may bring a user name of its own, which is nothing of ours.
		dump = strings.ReplaceAll(dump, "Authorization: Basic ZXhhbXBsZS5jb206", "")
		for _, mark := range []string{"base-token", "grant-", "jit-", "authorization:", "idempotency-key:", "bearer"} {
			if strings.Contains(strings.ToLower(dump), mark) {
				t.Errorf("another listener saw %q in:\n%s", mark, dump)
			}
		}
		if strings.Contains(dump, base64.StdEncoding.EncodeToString([]byte(fake.BaseToken))) {
			t.Errorf("another listener saw the base token in base64:\n%s", dump)
		}
	}
}

// network is the API and one stranger, who answers at every other address, in
// plain and with TLS.
type network struct {
	api, tls, plain *httptest.Server
	stranger        *stranger
	base            *http.Transport
	hosts           map[string]*httptest.Server // where not the stranger answers
}

// newNetwork serves api at https://example.com, or at its own loopback address in
// plain.
func newNetwork(t *testing.T, secure bool, api http.Handler) *network {
	n := &network{stranger: &stranger{}, hosts: map[string]*httptest.Server{}}
	n.tls, n.plain = httptest.NewTLSServer(n.stranger), httptest.NewServer(n.stranger)
	if secure {
		n.api = httptest.NewTLSServer(api)
		n.hosts["example.com:443"] = n.api
	} else {
		n.api = httptest.NewServer(api)
		n.hosts[n.api.Listener.Addr().String()] = n.api
	}
	n.base = n.tls.Client().Transport.(*http.Transport).Clone()
	n.base.TLSClientConfig = &tls.Config{RootCAs: n.base.TLSClientConfig.RootCAs, ServerName: "example.com"}
	n.base.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		srv := n.plain
		addr = strings.ToLower(addr)
		if _, port, _ := net.SplitHostPort(addr); port == "443" || port == "8443" {
			srv = n.tls
		}
		if own := n.hosts[addr]; own != nil {
			srv = own
		}
		return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
	}
	t.Cleanup(func() {
		n.base.CloseIdleConnections()
		for _, srv := range []*httptest.Server{n.api, n.tls, n.plain} {
			srv.Close()
		}
	})
	return n
}

func (n *network) url() string {
	if n.hosts["example.com:443"] != nil {
		return "https://example.com"
	}
	return n.api.URL
}

func TestRedirectAwayCarriesNoToken(t *testing.T) {
	targets := map[bool][]string{
		true: { // from https://example.com
			"https://evil.test/x", "https://api.example.com/x", "https://example.com.evil.test/x",
			"https://example.com:8443/x", "http://example.com/x", "http://example.com:8080/x", "//evil.test/x",
			"https://example.com@evil.test/x", "http://localhost/x", "https://127.0.0.1/x",
		},
		false: { // from http://127.0.0.1:port
			"http://evil.test/x", "http://127.0.0.1:81/x", "http://localhost:81/x", "http://[::1]:81/x",
			"https://evil.test/x", "https://127.0.0.1:8443/x", "http://127.0.0.1/x",
		},
	}
	for secure, list := range targets {
		for _, target := range list {
			n := newNetwork(t, secure, redirecting(t, target))
			for _, status := range []int{301, 302, 303, 307, 308} {
				for _, method := range []string{"GET", "POST"} {
					for _, with := range []string{"base", "grant"} {
						t.Run(fmt.Sprintf("%s %d to %s with %s", method, status, target, with), func(t *testing.T) {
							redirectAway(t, n, method, with, status)
						})
					}
				}
			}
		}
	}
}

// redirecting is an API that answers GET /{credential}/{status} with a redirect,
// if the request has that credential.
func redirecting(t *testing.T, target string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/{with}/{status}", func(w http.ResponseWriter, r *http.Request) {
		want := "Bearer " + fake.BaseToken
		if r.PathValue("with") == "grant" {
			want = "Bearer " + fake.TokenFor(read("doc_1"))
		}
		if r.Header.Get("Authorization") != want {
			_ = challenge.Write(w, http.StatusForbidden, read("doc_1"), "")
			return
		}
		status, err := strconv.Atoi(r.PathValue("status"))
		if err != nil {
			t.Error(err)
		}
		http.Redirect(w, r, target, status)
	})
	return mux
}

func redirectAway(t *testing.T, n *network, method, with string, status int) {
	n.stranger.seen = nil
	authority := &fake.Authority{}
	c := newClient(t, jit.Config{Authority: authority}, must(jit.ParseOrigin(n.url())), n.url(), nil)
	c.over(keepIdle{n.base})
	got, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{read("doc_1")}}, method,
		fmt.Sprintf("%s/%s/%d", n.url(), with, status), bodyFor(method))
	if err != nil || got != http.StatusForbidden {
		t.Errorf("%s = %d, %v, want the stranger's 403 as it is", method, got, err)
	}
	want := 0
	if with == "grant" {
		want = 1
	}
	if asked := authority.Requests(); len(asked) != want {
		t.Errorf("%d requests, want %d: a stranger's demand is not acted upon", len(asked), want)
	}
	n.stranger.check(t)
}

// keepIdle is shared by many tests, so the end of one leaves its connections open.
type keepIdle struct{ http.RoundTripper }

func bodyFor(method string) string {
	if method == "POST" {
		return "the text"
	}
	return ""
}

func TestRedirectWithinTheOriginKeepsWorking(t *testing.T) {
	for _, target := range []string{"/docs/doc_1", "https://example.com/docs/doc_1", "https://EXAMPLE.com:443/docs/doc_1", "https://example.com./docs/doc_1"} {
		for _, status := range []int{302, 307, 308} {
			var bodies []string
			n := newNetwork(t, true, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/old" {
					http.Redirect(w, r, target, status)
					return
				}
				body, _ := io.ReadAll(r.Body)
				bodies = append(bodies, string(body))
				if r.Header.Get("Authorization") != "Bearer "+fake.TokenFor(read("doc_1")) {
					_ = challenge.Write(w, http.StatusForbidden, read("doc_1"), "")
				}
			}))
			n.hosts["example.com.:443"] = n.api
			authority := &fake.Authority{}
			c := newClient(t, jit.Config{Authority: authority}, must(jit.ParseOrigin("https://example.com")), "", nil).over(n.base)
			got, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{read("doc_1")}}, "POST", "https://example.com/old", "the text")
			if err != nil || got != 200 || len(authority.Requests()) != 1 {
				t.Errorf("%d to %s: POST = %d, %v after %d requests, want 200 after 1", status, target, got, err, len(authority.Requests()))
			}
			if want := 2; status != 302 && (len(bodies) != want || bodies[0] != "the text" || bodies[1] != "the text") {
				t.Errorf("%d to %s: bodies %q, want the text twice", status, target, bodies)
			}
		}
	}
}

// A server may keep several hosts apart by the Host header alone.
func TestHostHeaderOfAnotherNameGetsNoToken(t *testing.T) {
	var sent []*http.Request
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil).over(tripper(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r)
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	}))
	for host, want := range map[string]bool{
		"": true, "api.example.com": true, "API.example.com:443": true,
		"evil.test": false, "api.example.com:8443": false, "example.com": false,
	} {
		sent = nil
		req, err := http.NewRequestWithContext(c.task.Call(t.Context(), jit.Call{}), "GET", c.base, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if got := sent[0].Header.Get("Authorization") != ""; got != want {
			t.Errorf("Host %q: token sent = %t, want %t", host, got, want)
		}
	}
}

func TestOtherOriginPassesUnchanged(t *testing.T) {
	var sent *http.Request
	transport := &jit.Transport{Origin: must(jit.ParseOrigin("https://api.example.com")), Base: tripper(func(r *http.Request) (*http.Response, error) {
		sent = r
		return &http.Response{StatusCode: 403, Body: io.NopCloser(bytes.NewReader(nil))}, nil
	})}
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	inCall := c.task.Call(t.Context(), jit.Call{ID: "1"})
	for name, req := range map[string]*http.Request{
		"other origin":         must(http.NewRequestWithContext(inCall, "POST", "https://other.test/x", strings.NewReader("b"))),
		"no call":              must(http.NewRequestWithContext(t.Context(), "POST", "https://api.example.com/x", strings.NewReader("b"))),
		"a task, but no call":  must(http.NewRequestWithContext(jit.NewContext(t.Context(), c.task), "POST", "https://api.example.com/x", nil)),
		"own credential there": must(http.NewRequestWithContext(inCall, "GET", "https://other.test/x", nil)),
	} {
		if name == "own credential there" {
			req.Header.Set("Authorization", "Basic eDp5")
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = resp.Body.Close()
		if sent != req {
			t.Errorf("%s: the request was changed: %+v", name, sent.Header)
		}
	}
	if _, err := (&jit.Transport{Base: transport.Base}).RoundTrip(must(http.NewRequestWithContext(inCall, "GET", "https:///x", nil))); err != nil || sent.Header.Get("Authorization") != "" {
		t.Errorf("zero Origin: %v, header %v, want no token for a URL without a host", err, sent.Header)
	}
}
