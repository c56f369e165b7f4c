package resource_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
	"github.com/jitagent/jitagent/secret"
)

func TestRevokedTokenStopsAtOnce(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	token := a.token(nil)
	if _, err := verify(t, v, token); err != nil {
		t.Fatal(err)
	}
	a.locked(func() { a.revoked[token] = true })
	if _, err := verify(t, v, token); !errors.Is(err, resource.ErrInvalidToken) {
		t.Errorf("Verify(revoked) = %v, want ErrInvalidToken", err)
	}
}

// The signature holds in all these cases, and the server calls the token active.
func TestIntrospectionThatDisagrees(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	for _, said := range []map[string]any{
		{"jti": "jti-2"},
		{"sub": "agent:other"},
		{"client_id": "other"},
		{"agent_id": "agt_2"},
		{"task_id": "task_2"},
		{"iss": "https://evil.test"},
		{"exp": start.Unix() - 60},
		{"token_type": "refresh_token"},
		{"token_type": "DPoP"},
		{"cnf": map[string]any{"jkt": "x"}},
		{"active": false},
	} {
		a.locked(func() { a.said = said })
		if got, err := verify(t, v, a.token(nil)); !errors.Is(err, resource.ErrInvalidToken) {
			t.Errorf("Verify() with introspection %v = %v, %v; want ErrInvalidToken", said, got, err)
		}
	}
}

func TestIntrospectionThatDecidesNothing(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("a redirect was followed to %s", r.URL)
	}))
	t.Cleanup(elsewhere.Close)
	tests := map[string]http.HandlerFunc{
		"500":          status(http.StatusInternalServerError),
		"429":          status(http.StatusTooManyRequests),
		"401":          status(http.StatusUnauthorized),
		"204":          status(http.StatusNoContent),
		"201 active":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); write(w, `{"active":true}`) },
		"empty":        text(``),
		"html":         text(`<html>active: true</html>`),
		"array":        text(`[{"active":true}]`),
		"no active":    text(`{"sub":"agent:analyst:task:task_1"}`),
		"null active":  text(`{"active":null}`),
		"text active":  text(`{"active":"true"}`),
		"number":       text(`{"active":1}`),
		"other case":   text(`{"Active":true}`),
		"duplicate":    text(`{"active":false,"active":true}`),
		"two values":   text(`{"active":true}{}`),
		"bad date":     text(`{"active":true,"exp":"soon"}`),
		"date as text": text(`{"active":true,"exp":"9999999999"}`),
		"bad details":  text(`{"active":true,"authorization_details":[{"type":"file_access","TYPE":"x"}]}`),
		"endless":      func(w http.ResponseWriter, r *http.Request) { endless(w, r) },
		"gzip bomb":    gzipBomb,
		"hangs up":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirect 302": redirect(elsewhere.URL, http.StatusFound),
		"redirect 307": redirect(elsewhere.URL, http.StatusTemporaryRedirect),
		"redirect 308": redirect(elsewhere.URL, http.StatusPermanentRedirect),
	}
	for name, handler := range tests {
		t.Run(name, func(t *testing.T) {
			a.locked(func() { a.introspect = handler })
			token := a.token(nil)
			got, err := verify(t, v, token)
			if !errors.Is(err, resource.ErrUnavailable) {
				t.Fatalf("Verify() = %v, %v; want ErrUnavailable", got, err)
			}
			if strings.Contains(err.Error(), token) || strings.Contains(err.Error(), apiSecret) {
				t.Errorf("the error holds a secret: %v", err)
			}
		})
	}
}

func TestSlowIntrospectionEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	a.introspect = func(_ http.ResponseWriter, r *http.Request) {
		cancel() // the client leaves while the server thinks
		<-r.Context().Done()
		close(gone)
	}
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil)
	r.Header.Set("Authorization", "Bearer "+a.token(nil))
	if _, err := v.Verify(ctx, r); !errors.Is(err, resource.ErrUnavailable) {
		t.Errorf("Verify() = %v, want ErrUnavailable", err)
	}
	<-gone
}

func TestIntrospectionDown(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	token := a.token(nil)
	if _, err := verify(t, v, token); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := verify(t, v, token); !errors.Is(err, resource.ErrUnavailable) {
		t.Errorf("Verify() = %v, want ErrUnavailable", err)
	}
}

func TestOwnCredentialsRefused(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	cfg := a.config()
	cfg.ClientSecret = secret.New("CANARY-SECRET")
	v, err := resource.New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	_, err = verify(t, v, a.token(nil))
	if !errors.Is(err, resource.ErrUnavailable) || !strings.Contains(err.Error(), "check ClientID and ClientSecret") {
		t.Errorf("Verify() = %v, want ErrUnavailable that says what to check", err)
	}
	if strings.Contains(err.Error(), "CANARY") {
		t.Errorf("the error holds the secret: %v", err)
	}
}

// Only what both the token and the server say is granted.
func TestDetailsAreNarrowedToWhatTheServerConfirms(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	wide := detail("doc_1")
	wide["actions"] = []string{"read", "write"}
	tests := []struct {
		name string
		said any // nil: the member is left out
		want []string
	}{
		{"says nothing", "absent", []string{"doc_1", "doc_2"}},
		{"says null", nil, nil},
		{"says none", []any{}, nil},
		{"says one", []any{detail("doc_2")}, []string{"doc_2"}},
		{"says more", []any{detail("doc_2"), detail("doc_3")}, []string{"doc_2"}},
		{"says wider", []any{wide}, []string{"doc_1"}},
		{"says one object", detail("doc_1"), []string{"doc_1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a.locked(func() {
				a.introspect = func(w http.ResponseWriter, _ *http.Request) {
					m := map[string]any{"active": true, "authorization_details": test.said}
					if test.said == "absent" {
						delete(m, "authorization_details")
					}
					answer(w, m)
				}
			})
			token, err := verify(t, v, a.token(map[string]any{"authorization_details": []any{detail("doc_1"), detail("doc_2")}}))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, d := range token.Details {
				got = append(got, d.Identifier)
			}
			if strings.Join(got, " ") != strings.Join(test.want, " ") {
				t.Errorf("details of %v, want %v", got, test.want)
			}
		})
	}
}

func TestServerFillsInWhatTheTokenLeavesOut(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	v := a.verifier(t)
	a.said = map[string]any{"client_id": "analyst", "jti": "jti-9", "exp": start.Unix() + 30}
	got, err := verify(t, v, a.token(map[string]any{"client_id": nil, "jti": nil}))
	if err != nil || got.ClientID != "analyst" || got.ID != "jti-9" || got.ExpiresAt.Unix() != start.Unix()+30 {
		t.Errorf("Verify() = %+v, %v", got, err)
	}
}

func TestCoversDoesNotAddDetailsUp(t *testing.T) {
	t.Parallel()
	read := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1"}
	write := rar.Detail{Type: "file_access", Actions: []string{"write"}, Identifier: "doc_1"}
	both := rar.Detail{Type: "file_access", Actions: []string{"read", "write"}, Identifier: "doc_1"}
	token := &resource.Token{Details: []rar.Detail{read, write}}
	if !token.Covers(read) || !token.Covers(write) {
		t.Error("a detail does not cover itself")
	}
	for name, need := range map[string]rar.Detail{"sum of two": both, "zero": {}, "no actions": {Type: "file_access", Identifier: "doc_1"}} {
		if token.Covers(need) {
			t.Errorf("%s: covered", name)
		}
	}
	if (&resource.Token{}).Covers(read) {
		t.Error("a token without details covers something")
	}
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		if code != http.StatusNoContent {
			write(w, `{"active":true}`)
		}
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { write(w, body) }
}

func redirect(to string, code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, code) }
}

func write(w io.Writer, body string) { _, _ = io.WriteString(w, body) }

func endless(w http.ResponseWriter, r *http.Request) {
	write(w, `{"active":true,"x":"`)
	for r.Context().Err() == nil {
		if _, err := io.WriteString(w, strings.Repeat("x", 4096)); err != nil {
			return
		}
	}
}

func gzipBomb(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	write(z, `{"active":true,"x":"`)
	for range 1024 {
		write(z, strings.Repeat("x", 4096))
	}
	write(z, `"}`)
	_ = z.Close()
}

// A server that takes the question and stays silent holds a call for ten seconds
// and not longer.
func TestSilentAuthorizationServer(t *testing.T) {
	t.Parallel()
	a := newAuthServer(t)
	token := a.token(nil)
	keys := httptest.NewRecorder()
	a.serveKeys(keys, nil)
	for _, silent := range []string{"/jwks", "/introspect"} {
		synctest.Test(t, func(t *testing.T) {
			cfg := a.config()
			cfg.JWKSURL, cfg.IntrospectionURL = "https://as.test/jwks", "https://as.test/introspect"
			cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
				if r.URL.Path == silent {
					<-r.Context().Done()
					return nil, r.Context().Err()
				}
				return &http.Response{StatusCode: 200, Request: r, Body: io.NopCloser(bytes.NewReader(keys.Body.Bytes()))}, nil
			})}
			v, err := resource.New(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if _, err := verify(t, v, token); !errors.Is(err, resource.ErrUnavailable) {
				t.Errorf("Verify() with silent %s = %v, want ErrUnavailable", silent, err)
			}
			if took := time.Since(began); took != 10*time.Second {
				t.Errorf("Verify() with silent %s took %v, want 10s", silent, took)
			}
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
