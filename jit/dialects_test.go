package jit_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"path"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
)

// A dialect refuses a call that needs d.
type dialect func(w http.ResponseWriter, d rar.Detail)

// bearerError refuses with a Bearer challenge of that error and perhaps parameters.
func bearerError(w http.ResponseWriter, status int, text string) {
	w.Header().Set("WWW-Authenticate", "Bearer "+text)
	w.WriteHeader(status)
}

func coded(text []byte) string { return base64.URLEncoding.EncodeToString(text) }

// remediation refuses as draft-ietf-oauth-rar-metadata-remediation has it, with a reference
// or without.
func remediation(w http.ResponseWriter, d rar.Detail, reference string) {
	text := `{"authorization_details":[` + string(must(d.Canonical())) + `]`
	if reference != "" {
		text += `,"authorization_reference":"` + reference + `"`
	}
	bearerError(w, 401, `error="insufficient_authorization", authorization_remediation="`+coded([]byte(text+"}"))+`"`)
}

var dialects = map[string]dialect{
	"L, header": func(w http.ResponseWriter, d rar.Detail) { _ = challenge.Write(w, 403, d, "") },
	"L, body": func(w http.ResponseWriter, d rar.Detail) {
		_, _ = fmt.Fprintf(forbidden(w), `{"error":"insufficient_authorization_details","authorization_details_hint":%s}`, must(d.Canonical()))
	},
	"W":               func(w http.ResponseWriter, d rar.Detail) { _ = challenge.WriteRemediation(w, d, "") },
	"W, no reference": func(w http.ResponseWriter, d rar.Detail) { remediation(w, d, "") },
	"Z, parameter": func(w http.ResponseWriter, d rar.Detail) {
		bearerError(w, 403, `error="insufficient_authorization_details", authorization_details="`+coded(must(d.Canonical()))+`"`)
	},
	"S": func(w http.ResponseWriter, d rar.Detail) {
		bearerError(w, 403, `error="insufficient_scope", scope="`+scopeOf(d).Actions[0]+`"`)
	},
	"S, no error": func(w http.ResponseWriter, d rar.Detail) { bearerError(w, 403, `scope="`+scopeOf(d).Actions[0]+`"`) },
	"Z, body": func(w http.ResponseWriter, d rar.Detail) {
		w.Header().Set("WWW-Authenticate", `Bearer error="insufficient_authorization_details"`)
		_, _ = fmt.Fprintf(forbidden(w), `{"authorization_details":[%s]}`, must(d.Canonical()))
	},
}

// scopeOf is what an API wants that has scopes and no details.
func scopeOf(d rar.Detail) rar.Detail { return rar.Scopes(d.Actions[0] + ":" + d.Identifier) }

func forbidden(w http.ResponseWriter) http.ResponseWriter {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(403)
	return w
}

// speaking is an API like needsPath's that refuses in a dialect.
func speaking(refuse dialect) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d := read(path.Base(r.URL.Path))
		if auth := r.Header.Get("Authorization"); auth == "Bearer "+fake.TokenFor(d) || auth == "Bearer "+fake.TokenFor(scopeOf(d)) {
			content(w, r)
			return
		}
		refuse(w, d)
	}
}

// TestDialects: whatever the dialect, the same demand has the same outcomes; and what is
// no demand of details asks for nothing, whatever the authorization server would say.
func TestDialects(t *testing.T) {
	decide := func(s jit.Status) func(jit.Request) (jit.Decision, error) {
		return func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: s}, nil }
	}
	outcomes := map[string]struct {
		document string // doc_1 lies within the ceiling
		decide   func(jit.Request) (jit.Decision, error)
		want     error
		requests int
	}{
		"granted": {"doc_1", nil, nil, 1},
		"outside": {"doc_2", nil, jit.ErrOutsideCeiling, 0},
		"denied":  {"doc_1", decide(jit.StatusDenied), jit.ErrDenied, 1},
		"pending": {"doc_1", decide(jit.StatusPending), jit.ErrPending, 1},
	}
	others := map[string]struct {
		refuse dialect
		want   error
	}{
		"S without a scope": {func(w http.ResponseWriter, _ rar.Detail) { bearerError(w, 403, `error="insufficient_scope"`) }, jit.ErrScope},
		"U": {func(w http.ResponseWriter, _ rar.Detail) {
			bearerError(w, 401, `error="insufficient_user_authentication", max_age=60`)
		}, jit.ErrLogin},
		"W without a remediation": {func(w http.ResponseWriter, _ rar.Detail) { bearerError(w, 401, `error="insufficient_authorization"`) }, jit.ErrUnreadable},
	}
	for name, o := range outcomes {
		run := func(refuse dialect, want error, requests int) func(*testing.T) {
			return func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					authority := &fake.Authority{Decide: o.decide, Look: func(id string, _ int) (jit.Decision, error) {
						return jit.Decision{RequestID: id, Status: jit.StatusPending}, nil
					}}
					c := offline(t, jit.Config{Authority: authority, Wait: time.Second}, nil).over(fake.Transport{Handler: speaking(refuse)})
					resp, err := c.get(t.Context(), o.document, read("doc_1"), scopeOf(read("doc_1")))
					if err == nil {
						_ = resp.Body.Close()
					}
					if !errors.Is(err, want) || err == nil && resp.StatusCode != 200 || len(authority.Requests()) != requests {
						t.Errorf("GET = %v after %d requests, want %v after %d", err, len(authority.Requests()), want, requests)
					}
				})
			}
		}
		for words, refuse := range dialects {
			t.Run(words+"/"+name, run(refuse, o.want, o.requests))
		}
		for words, other := range others {
			t.Run(words+"/"+name, run(other.refuse, other.want, 0))
		}
	}
}

// A 401 may say that a token is void, and then the call starts over with the base token; or
// that more is needed, and then it must not.
func TestRemediationIsNoLoop(t *testing.T) {
	void := func(w http.ResponseWriter) { bearerError(w, 401, `error="invalid_token"`) }
	for name, tt := range map[string]struct {
		answer         func(w http.ResponseWriter, n int, base bool) // the n-th call; nothing written is 200
		calls, granted int
		want           error
	}{
		"the same reference after a fresh token": {func(w http.ResponseWriter, _ int, _ bool) { remediation(w, read("doc_1"), "r") }, 2, 1, jit.ErrStillRefused},
		"no reference, the same demand":          {func(w http.ResponseWriter, _ int, _ bool) { remediation(w, read("doc_1"), "") }, 2, 1, jit.ErrStillRefused},
		"fresh tokens are void": {func(w http.ResponseWriter, _ int, base bool) {
			if base {
				remediation(w, read("doc_1"), "r")
			} else {
				void(w)
			}
		}, 3, 1, jit.ErrStillRefused},
		"another reference": {func(w http.ResponseWriter, n int, _ bool) {
			if n < 3 {
				remediation(w, read("doc_1"), fmt.Sprint(n))
			}
		}, 3, 2, nil},
		"another reference each time": {func(w http.ResponseWriter, n int, _ bool) { remediation(w, read("doc_1"), fmt.Sprint(n)) }, 4, 3, jit.ErrStillRefused},
	} {
		t.Run(name, func(t *testing.T) {
			calls, authority := 0, &fake.Authority{}
			c := offline(t, jit.Config{Authority: authority, MaxEscalations: 3}, nil)
			c.over(fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				calls++
				tt.answer(w, calls, r.Header.Get("Authorization") == "Bearer "+fake.BaseToken)
			})})
			resp, err := c.get(t.Context(), "doc_1", read("doc_1"))
			if err == nil {
				_ = resp.Body.Close()
			}
			if !errors.Is(err, tt.want) || calls != tt.calls || len(authority.Requests()) != tt.granted {
				t.Errorf("GET = %v after %d calls and %d requests, want %v after %d and %d", err, calls, len(authority.Requests()), tt.want, tt.calls, tt.granted)
			}
		})
	}
}

// A token that another call used may have been revoked since, and is replaced.
func TestRemediationReplacesARevokedToken(t *testing.T) {
	authority, revoked := &fake.Authority{}, false
	serve := speaking(dialects["W"])
	c := offline(t, jit.Config{Authority: authority}, nil).over(fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if revoked && r.Header.Get("Authorization") != "Bearer "+fake.BaseToken {
			revoked = false
			dialects["W"](w, read("doc_1"))
			return
		}
		serve(w, r)
	})})
	for _, url := range []string{c.base + "/docs/doc_1", c.base + "/other/doc_1"} {
		status, _, err := c.send(t.Context(), jit.Call{ID: "1", Ceiling: []rar.Detail{read("doc_1")}}, "GET", url, "")
		if err != nil || status != 200 {
			t.Fatalf("GET %s = %d, %v", url, status, err)
		}
		revoked = true
	}
	if n := len(authority.Requests()); n != 2 {
		t.Errorf("%d requests, want 2", n)
	}
}
