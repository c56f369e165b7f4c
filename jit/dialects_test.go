package jit_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/oauth"
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
	"T": func(w http.ResponseWriter, d rar.Detail) {
		bearerError(w, 401, `error="transaction_authorization_required", transaction_challenge="`+signed.sign(d)+`"`)
	},
	"U": func(w http.ResponseWriter, _ rar.Detail) {
		bearerError(w, 401, `error="insufficient_user_authentication", max_age=60`)
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
// no demand of authority asks for nothing, whatever the authorization server would say. The
// table is that of docs/challenges.md.
func TestDialects(t *testing.T) {
	decide := func(s jit.Status) func(jit.Request) (jit.Decision, error) {
		return func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: s}, nil }
	}
	table := "| | L | W | Z | T | S | U |\n| --- | --- | --- | --- | --- | --- | --- |\n"
	for _, o := range []struct {
		name     string
		document string // doc_1 lies within the ceiling
		decide   func(jit.Request) (jit.Decision, error)
	}{
		{"granted", "doc_1", nil},
		{"demand outside the ceiling", "doc_2", nil},
		{"denied", "doc_1", decide(jit.StatusDenied)},
		{"not decided", "doc_1", decide(jit.StatusPending)},
	} {
		table += "| " + o.name + " |"
		for _, letter := range []string{"L", "W", "Z", "T", "S", "U"} {
			said := map[string][]string{} // outcomes, and the ways to say it that have them
			for words, refuse := range dialects {
				if strings.HasPrefix(words, letter) {
					outcome := outcomeOf(t, refuse, o.document, o.decide)
					said[outcome] = append(said[outcome], words)
				}
			}
			if len(said) != 1 {
				t.Errorf("%s: %v", o.name, said)
			}
			for outcome := range said {
				table += " " + outcome + " |"
			}
		}
		table += "\n"
	}
	page, err := os.ReadFile("../docs/challenges.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "\n\n"+table+"\n") {
		t.Errorf("docs/challenges.md has not this table:\n%s", table)
	}
}

// outcomeOf says what came of a call, and how many requests were sent for it.
func outcomeOf(t *testing.T, refuse dialect, document string, decide func(jit.Request) (jit.Decision, error)) (outcome string) {
	synctest.Test(t, func(t *testing.T) {
		authority := &fake.Authority{Decide: decide, Look: func(id string, _ int) (jit.Decision, error) {
			return jit.Decision{RequestID: id, Status: jit.StatusPending}, nil
		}}
		c := offline(t, jit.Config{Authority: authority, Wait: time.Second}, nil).over(fake.Transport{Handler: speaking(refuse)})
		c.Transport.(*jit.Transport).Transactions = signed.reader
		resp, err := c.get(t.Context(), document, read("doc_1"), scopeOf(read("doc_1")))
		outcome = "served"
		if err == nil && resp.StatusCode != 200 {
			outcome = resp.Status
		}
		if err == nil {
			_ = resp.Body.Close()
		} else {
			outcome = err.Error()
		}
		for name, sentinel := range map[string]error{
			"`ErrOutsideCeiling`": jit.ErrOutsideCeiling, "`ErrDenied`": jit.ErrDenied, "`ErrPending`": jit.ErrPending, "`ErrLogin`": jit.ErrLogin,
		} {
			if errors.Is(err, sentinel) {
				outcome = name
			}
		}
		outcome = fmt.Sprintf("%s, %d", outcome, len(authority.Requests()))
	})
	return outcome
}

// A demand that names nothing to ask for ends the call.
func TestDemandOfNothing(t *testing.T) {
	for text, want := range map[string]error{
		`error="insufficient_scope"`:                 jit.ErrScope,
		`error="insufficient_authorization"`:         jit.ErrUnreadable,
		`error="transaction_authorization_required"`: jit.ErrUnreadable,
	} {
		authority := &fake.Authority{}
		c := offline(t, jit.Config{Authority: authority}, nil).over(fake.Transport{Handler: speaking(func(w http.ResponseWriter, _ rar.Detail) { bearerError(w, 401, text) })})
		c.Transport.(*jit.Transport).Transactions = signed.reader
		if _, err := c.get(t.Context(), "doc_1", read("doc_1")); !errors.Is(err, want) || len(authority.Requests()) != 0 { //nolint:bodyclose // there is none
			t.Errorf("%s: GET = %v after %d requests, want %v after none", text, err, len(authority.Requests()), want)
		}
	}
}

// A demand that cannot be read is none for the token: nobody is asked again, and the tool
// learns why.
func TestUnreadableStepUpIsNoVoidToken(t *testing.T) {
	for _, text := range []string{
		`error="insufficient_user_authentication", acr_values="gold`,
		`error="insufficient_user_authentication", max_age=60, max_age=70`,
		`error="insufficient_scope", scope="a", scope="b"`,
	} {
		authority := &fake.Authority{}
		c := offline(t, jit.Config{Authority: authority}, nil).over(fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer "+fake.BaseToken {
				dialects["L, header"](w, read("doc_1"))
				return
			}
			bearerError(w, 401, text)
		})})
		if err := fetch(t.Context(), c, "doc_1"); !errors.Is(err, jit.ErrUnreadable) || len(authority.Requests()) != 1 {
			t.Errorf("%s: GET = %v after %d requests, want unreadable after 1", text, err, len(authority.Requests()))
		}
	}
}

// An API may name the scopes of its tokens beside what it demands, which is what counts.
func TestDetailsInTheBodyBeatScopes(t *testing.T) {
	authority := &fake.Authority{}
	c := offline(t, jit.Config{Authority: authority}, nil).over(fake.Transport{Handler: speaking(func(w http.ResponseWriter, d rar.Detail) {
		w.Header().Set("WWW-Authenticate", `Bearer realm="api", scope="docs:read"`)
		dialects["L, body"](w, d)
	})})
	resp, err := c.get(t.Context(), "doc_1", rar.Scopes("docs:read"), read("doc_1"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if asked := authority.Asked(); resp.StatusCode != 200 || len(asked) != 1 || asked[0].IsScopes() {
		t.Errorf("GET = %s after asking for %v", resp.Status, asked)
	}
}

// signed is an API that signs its challenges, of transactions that it numbers.
var signed = sync.OnceValue(func() (s struct {
	sign   func(d rar.Detail, thumbprint ...string) string // of the key that it is bound to, if any
	reader *challenge.Transactions
}) {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	signer := must(jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key},
		(&jose.SignerOptions{}).WithType("txn-authz-challenge+jwt").WithHeader("kid", "api-1")))
	n := 0
	s.sign = func(d rar.Detail, thumbprint ...string) string {
		n++
		claims := map[string]any{
			"iss": "https://api.example.com", "aud": "https://auth.example.com", "iat": time.Now().Unix(), "exp": time.Now().Unix() + 60,
			"jti": fmt.Sprint(n), "txn": fmt.Sprint("txn-", n), "authorization_details": []rar.Detail{d},
		}
		if thumbprint != nil {
			claims["cnf"] = map[string]string{"jkt": thumbprint[0]}
		}
		jws := must(signer.Sign(must(json.Marshal(claims))))
		return must(jws.CompactSerialize())
	}
	s.reader = &challenge.Transactions{
		Keys:   oauth.Keys{{Key: key.Public(), KeyID: "api-1"}},
		Issuer: "https://api.example.com", Audience: "https://auth.example.com",
	}
	return s
})()

// What a signed challenge demands is for one operation: each call asks for its own.
func TestTransactionsAreAskedForOneByOne(t *testing.T) {
	authority, calls := &fake.Authority{}, 0
	speak := speaking(dialects["T"])
	c := offline(t, jit.Config{Authority: authority}, nil).over(fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if calls++; r.Header.Get(challenge.HeaderTransaction) != "?1" {
			t.Errorf("call %d does not ask for signed challenges", calls)
		}
		speak(w, r)
	})})
	c.Transport.(*jit.Transport).Transactions = signed.reader
	for n := 1; n <= 3; n++ {
		if c.want200(t, "doc_1"); calls != 2*n || len(authority.Requests()) != n {
			t.Errorf("%d calls of the API and %d requests after %d calls of the tool", calls, len(authority.Requests()), n)
		}
	}
	c.Transport.(*jit.Transport).Transactions = nil
	c.over(fake.Transport{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, asks := r.Header[challenge.HeaderTransaction]; asks {
			t.Error("a signed challenge is asked for that nobody reads")
		}
		dialects["T"](w, read("doc_1"))
	})})
	if resp, err := c.get(t.Context(), "doc_1", read("doc_1")); err != nil || resp.StatusCode != 401 { //nolint:bodyclose // a recorder's
		t.Errorf("GET = %v, %v, want the refusal as it is", resp, err)
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
