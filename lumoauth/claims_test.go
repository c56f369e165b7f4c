package lumoauth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// TestTokenThatCoversMoreThanItsResponseSaysIsRefused redeems tokens whose claims
// and response differ.
func TestTokenThatCoversMoreThanItsResponseSaysIsRefused(t *testing.T) {
	const one = `{"type":"file_access","actions":["read"],"identifier":"doc_1"}`
	const wide = `{"type":"file_access","actions":["read","delete"],"identifier":"doc_1"}`
	jwt := func(claims string) string {
		enc := base64.RawURLEncoding.EncodeToString
		return enc([]byte(`{"alg":"ES256"}`)) + "." + enc([]byte(claims)) + ".c2lnbmF0dXJl"
	}
	read := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_1"}
	wider := rar.Detail{Type: "file_access", Actions: []string{"read", "delete"}, Identifier: "doc_1"}
	for _, tt := range []struct {
		name, token, said string
		want              []rar.Detail // nil with ok: as asked
		ok                bool
	}{
		{"wider claims", jwt(`{"authorization_details":[` + wide + `]}`), `[` + one + `]`, nil, false},
		{"a second claim", jwt(`{"authorization_details":[` + one + `,{"type":"payment"}]}`), `[` + one + `]`, nil, false},
		{"duplicate claims", jwt(`{"authorization_details":[` + one + `],"authorization_details":[` + wide + `]}`), `[` + one + `]`, nil, false},
		{"unreadable claims", jwt(`{"authorization_details":"all"}`), `[` + one + `]`, nil, false},
		{"claims only, wide", jwt(`{"authorization_details":[` + wide + `]}`), ``, []rar.Detail{wider}, true}, // package jit compares with what was asked
		{"the same", jwt(`{"authorization_details":[` + one + `]}`), `[` + one + `]`, []rar.Detail{read}, true},
		{"narrower claims", jwt(`{"authorization_details":[` + one + `]}`), `[` + wide + `]`, []rar.Detail{wider}, true},
		{"no claims", jwt(`{"sub":"x"}`), `[` + one + `]`, []rar.Detail{read}, true},
		{"opaque", "opaque-token-1", `[` + one + `]`, []rar.Detail{read}, true},
		{"encrypted", "a.b.c", ``, nil, true},
		{"nothing said", jwt(`{}`), ``, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				if strings.HasSuffix(r.URL.Path, "/oauth/token") {
					_, _ = fmt.Fprint(w, `{"access_token":"base","token_type":"Bearer","expires_in":3600}`)
					return
				}
				said := ""
				if tt.said != "" {
					said = `,"authorization_details":` + tt.said
				}
				_, _ = fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":300%s}`, tt.token, said)
			}))
			defer srv.Close()
			c, err := New(Config{URL: srv.URL, Org: "o", ClientID: "c", ClientSecret: secret.New("s")})
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.Token(t.Context(), "jit_1")
			if (err == nil) != tt.ok {
				t.Fatalf("Token() = %v, want ok %v", err, tt.ok)
			}
			if err != nil && (!errors.Is(err, ErrInvalidResponse) || strings.Contains(err.Error(), tt.token)) {
				t.Errorf("Token() = %v, want an invalid response that does not quote the token", err)
			}
			if diff := cmp.Diff(tt.want, got.Details); diff != "" {
				t.Errorf("details (-want +got):\n%s", diff)
			}
		})
	}
}
