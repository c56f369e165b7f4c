package challenge_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

// FuzzParse holds for any response: Parse answers with exactly one of a bounded
// challenge, ErrNone and a MalformedError; and what it reads, Write can send
// again so that it is read alike.
func FuzzParse(f *testing.F) {
	f.Add(403, std(object), "", "", "")
	f.Add(401, "", bearer, "application/json", hint(object))
	f.Add(403, "", "", "application/json", hint("["+object+"]"))
	f.Add(403, std(object)+", "+std(`{"type":"b"}`), bearer+`, error_description="x"`, "", "")
	f.Add(403, strings.TrimRight(std(bothOdd), "="), `Bearer error="insufficient_scope"`, "text/html", "<html>")
	f.Add(403, "", bearer, "application/json", `{"error":"insufficient_authorization_details","error_description":"a\u202e"}`)
	f.Add(403, "!", `Negotiate YII=, Basic realm="x"`, "application/problem+json", "{")
	f.Fuzz(func(t *testing.T, status int, details, authenticate, contentType, body string) {
		h := make(http.Header)
		for name, value := range map[string]string{
			challenge.Header: details, "Www-Authenticate": authenticate, "Content-Type": contentType,
		} {
			if value != "" {
				h[name] = strings.Split(value, "\n") // so that the fuzzer can make lines
			}
		}
		got, err := challenge.Parse(status, h, []byte(body))
		if err != nil {
			checkRefusal(t, got, err)
			return
		}
		checkBounds(t, got)
		for _, d := range got.Details {
			w := httptest.NewRecorder()
			if err := challenge.Write(w, http.StatusForbidden, d, got.Description); err != nil {
				if len(body) > challenge.MaxHeader/2 {
					continue // a hint in the body may be larger than a header
				}
				t.Fatalf("Write(%v): %v", d, err)
			}
			again, err := challenge.Parse(w.Code, w.Header(), w.Body.Bytes())
			if err != nil {
				t.Fatalf("what Write sent: %v", err)
			}
			want := &challenge.Challenge{
				Details: []rar.Detail{d}, Error: challenge.ErrorCode, Description: got.Description, Source: challenge.SourceHeader,
			}
			if d.IsScopes() {
				want.Error, want.Source, again.Description = challenge.ScopeCode, challenge.SourceParameter, want.Description
			}
			if diff := cmp.Diff(want, again); diff != "" {
				t.Errorf("round trip (-want +got):\n%s", diff)
			}
			w = httptest.NewRecorder()
			if err := challenge.WriteRemediation(w, d, ""); err != nil {
				continue // the same
			}
			again, err = challenge.Parse(w.Code, w.Header(), nil)
			if err != nil || !rar.Equal(again.Details[0], d) || again.Reference == "" && !d.IsScopes() {
				t.Errorf("what WriteRemediation sent: %v, %v", again, err)
			}
		}
	})
}

// checkRefusal holds that err is one of the three that Parse may return.
func checkRefusal(t *testing.T, got *challenge.Challenge, err error) {
	t.Helper()
	kinds := 0
	if _, ok := errors.AsType[*challenge.MalformedError](err); ok {
		kinds++
	}
	if step, ok := errors.AsType[*challenge.StepUpError](err); ok {
		kinds++
		for _, name := range step.Classes {
			if strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) >= 0 {
				t.Errorf("a name %q", name)
			}
		}
	}
	if errors.Is(err, challenge.ErrNone) {
		kinds++
	}
	if got != nil || kinds != 1 || len(err.Error()) > 1000 {
		t.Errorf("Parse = %v, %v", got, err)
	}
}

// FuzzParameter holds for what stands in a parameter of WWW-Authenticate, in its two
// dialects, and as details in a body: it is read within bounds or refused.
func FuzzParameter(f *testing.F) {
	for _, text := range []string{
		object, "[" + object + "]", `{"authorization_details":[` + object + `],"authorization_reference":"Yb7q3AC5d"}`,
		`{"authorization_details":{"type":"a"},"authorization_reference":""}`, `{"Authorization_Details":[]}`, "{", "null",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		coded := base64.RawURLEncoding.EncodeToString([]byte(text))
		for _, h := range []http.Header{
			lines(`Bearer error="insufficient_authorization", authorization_remediation="` + coded + `"`),
			lines(bearer + `, authorization_details="` + coded + `"`),
			with(lines(bearer), "Cache-Control", "no-store"),
		} {
			got, err := challenge.Parse(http.StatusUnauthorized, h, []byte(`{"authorization_details":`+text+`}`))
			if err != nil {
				checkRefusal(t, got, err)
				continue
			}
			checkBounds(t, got)
			if len(got.Reference) > challenge.MaxReference || got.Reference != "" && got.Error != challenge.RemediationCode {
				t.Errorf("reference %q of %s", got.Reference, got.Error)
			}
		}
	})
}

// FuzzStepUp holds that scopes are read as they are written or not at all, and that a login
// is named in bounds and never becomes a demand.
func FuzzStepUp(f *testing.F) {
	f.Add("files:read files:write", "gold silver", "300")
	f.Add("a  b", "\x7f", "-1")
	f.Add("\u202e", strings.Repeat("x", 600), "99999999999")
	f.Fuzz(func(t *testing.T, scope, classes, age string) {
		for _, c := range []challenge.AuthChallenge{
			{Scheme: "Bearer", Params: params{"error": challenge.ScopeCode, "scope": scope}},
			{Scheme: "Bearer", Params: params{"scope": scope}},
			{Scheme: "Bearer", Params: params{"error": challenge.LoginCode, "acr_values": classes, "max_age": age}},
		} {
			got, err := challenge.Parse(http.StatusForbidden, lines(write(t, c)), nil)
			if err != nil {
				checkRefusal(t, got, err)
				continue
			}
			checkBounds(t, got)
			if want := rar.Scopes(strings.Fields(scope)...); !rar.Equal(got.Details[0], want) || len(got.Details) > 1 {
				t.Errorf("Parse = %v, want %v", got.Details, want)
			}
		}
	})
}

// FuzzTransaction holds that whatever an API signs, and whatever is passed off as signed, is
// read within bounds or refused; and that what nobody signed is never a demand.
func FuzzTransaction(f *testing.F) {
	reader, sign := signedReader(f)
	const claims = `{"iss":"api","aud":"as","iat":1,"exp":9000000000,"jti":"j","txn":"t","reason":"r","authorization_details":[`
	f.Add(claims+object+`]}`, "")
	f.Add(claims+`{"type":"oauth_scope","actions":["a"]}]}`, "a.b.c")
	f.Add(claims+object+`],"cnf":{"jkt":""}}`, "eyJhbGciOiJub25lIn0.e30.")
	f.Fuzz(func(t *testing.T, payload, unsigned string) {
		for i, jwt := range []string{sign([]byte(payload)), unsigned} {
			c := challenge.AuthChallenge{Scheme: "Bearer", Params: params{"error": challenge.TransactionCode, "transaction_challenge": jwt}}
			got, err := reader.Parse(http.StatusUnauthorized, lines(write(t, c)), nil, "")
			switch {
			case err != nil:
				checkRefusal(t, got, err)
			case i == 1:
				t.Errorf("%q is read as %v", unsigned, got)
			default:
				if checkBounds(t, got); got.Error != challenge.TransactionCode || got.Reference == "" || len(got.Reference) > challenge.MaxReference {
					t.Errorf("%s, %q", got.Error, got.Reference)
				}
			}
		}
	})
}

func checkBounds(t *testing.T, c *challenge.Challenge) {
	t.Helper()
	if len(c.Details) == 0 || len(c.Details) > rar.MaxDetails ||
		c.Details[0].IsScopes() != (c.Error == "" || c.Error == challenge.ScopeCode) {
		t.Fatalf("%d details, error %q", len(c.Details), c.Error)
	}
	for i, d := range c.Details {
		if _, err := d.Check(); err != nil {
			t.Error(err)
		}
		for _, other := range c.Details[:i] {
			if rar.Equal(d, other) {
				t.Errorf("%v comes twice", d)
			}
		}
	}
	if len(c.Description) > challenge.MaxDescription {
		t.Errorf("a description of %d bytes", len(c.Description))
	}
	for _, r := range c.Description {
		if !unicode.IsPrint(r) {
			t.Errorf("description %q holds %U", c.Description, r)
		}
	}
}

// FuzzWWWAuthenticate holds that what is read can be written in one plain way and
// is then read alike.
func FuzzWWWAuthenticate(f *testing.F) {
	for _, line := range []string{
		bearer, `Basic realm="simple", Newauth realm="apps", type=1, title="Login to \"apps\""`, "Negotiate YII+/==, NTLM",
		`Bearer realm="x"` + "\n" + `error="y"`, `a b=, c`, "a=", `a b="\`, ",,", "x \t y \t= \t z",
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := challenge.WWWAuthenticate(lines(strings.Split(text, "\n")...))
		if err != nil {
			if got != nil || len(err.Error()) > 200 {
				t.Errorf("WWWAuthenticate = %v, %v", got, err)
			}
			return
		}
		if len(got) > challenge.MaxChallenges {
			t.Fatalf("%d challenges", len(got))
		}
		var plain []string
		for _, c := range got {
			if c.Scheme == "" || len(c.Params) > challenge.MaxParams || c.Token68 != "" && c.Params != nil {
				t.Fatalf("WWWAuthenticate(%q) gave %+v", text, c)
			}
			plain = append(plain, write(t, c))
		}
		if len(strings.Join(plain, "")) > challenge.MaxHeader {
			return // quoting made it longer
		}
		again, err := challenge.WWWAuthenticate(lines(plain...))
		if err != nil {
			t.Fatalf("WWWAuthenticate(%q): %v", plain, err)
		}
		if diff := cmp.Diff(got, again); diff != "" {
			t.Errorf("round trip of %q (-want +got):\n%s", text, diff)
		}
	})
}

// write puts a challenge into one line, all values quoted.
func write(t *testing.T, c challenge.AuthChallenge) string {
	t.Helper()
	if c.Token68 != "" {
		return c.Scheme + " " + c.Token68
	}
	var all []string
	for name, value := range c.Params {
		if name != strings.ToLower(name) {
			t.Errorf("parameter %q is not in lower case", name)
		}
		all = append(all, name+`="`+strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value)+`"`)
	}
	return c.Scheme + " " + strings.Join(all, ", ")
}
