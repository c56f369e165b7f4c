package secret_test

import (
	"cmp"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/secret"
)

// knowing returns a scrubber that knows the tokens.
func knowing(tokens ...string) *secret.Scrubber {
	var s secret.Scrubber
	for _, tok := range tokens {
		s.Add(secret.New(tok))
	}
	return &s
}

const token = "eyJhbGciOiJFUzI1NiJ9.c3+bj/Q=?~x"

// Tokens are indexed late, and in a table that grows.
func TestScrubHidesWhatWasAddedSince(t *testing.T) {
	var s secret.Scrubber
	for i := range 100 {
		digest := sha512.Sum512([]byte{byte(i)})
		tok := hex.EncodeToString(digest[:])
		s.Add(secret.New(tok))
		for _, part := range []string{tok[:16], tok[50:66], tok[len(tok)-16:], base64.StdEncoding.EncodeToString([]byte(tok[:48]))} {
			if got := s.Scrub("{" + part + "}"); got != "{"+secret.Redacted+"}" {
				t.Fatalf("Scrub of a part of token %d = %q", i, got)
			}
		}
	}
}

func TestScrubHidesEveryForm(t *testing.T) {
	known := knowing(token)
	for name, form := range map[string]string{
		"raw":           token,
		"header":        "Bearer " + token,
		"query":         "https://x.test/?access_token=" + url.QueryEscape(token) + "&a=b",
		"path":          "https://x.test/" + url.PathEscape(token) + "/",
		"hex":           hex.EncodeToString([]byte("x" + token + "y")),
		"HEX":           strings.ToUpper(hex.EncodeToString([]byte("x" + token + "y"))),
		"twice":         token + token,
		"in a struct":   fmt.Sprintf("%+v", struct{ T string }{token}),
		"after its own": token[:10] + token,
	} {
		got := known.Scrub(form)
		if !strings.Contains(got, secret.Redacted) || strings.Contains(got, token) || len(got) > len(form)-len(token)+30 {
			t.Errorf("%s: Scrub(%q) = %q", name, form, got)
		}
	}
}

// A token somewhere in an encoded text is hidden whatever stands before it: each
// length in front shifts base64 differently.
func TestScrubHidesTokensInEncodedText(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tok := rapid.StringMatching(`[A-Za-z0-9._~+/=-]{8,80}`).Draw(rt, "token")
		before := rapid.StringN(0, 40, 60).Draw(rt, "before")
		after := rapid.StringN(0, 40, 60).Draw(rt, "after")
		known := knowing(tok)
		text := before + tok + after
		for name, enc := range map[string]*base64.Encoding{
			"std": base64.StdEncoding, "url": base64.URLEncoding, "raw std": base64.RawStdEncoding, "raw url": base64.RawURLEncoding,
		} {
			encoded := enc.EncodeToString([]byte(text))
			got := known.Scrub(encoded)
			// At each end one character may mix the token with its neighbour.
			most := len(encoded) - (len(tok)*4/3 - 2) + len(secret.Redacted)
			if !strings.Contains(got, secret.Redacted) || len(got) > most {
				rt.Errorf("%s: %q is left of %q with %q in it", name, got, encoded, tok)
			}
		}
		for _, form := range []string{text, hex.EncodeToString([]byte(text)), url.QueryEscape(text), url.PathEscape(text)} {
			if got := known.Scrub(form); !strings.Contains(got, secret.Redacted) {
				rt.Errorf("Scrub(%q) = %q", form, got)
			}
		}
	})
}

func TestScrubLeavesOtherTextAlone(t *testing.T) {
	known := knowing(token, "short")
	for _, text := range []string{
		"", " ", "short", "a short text", "shorts", hex.EncodeToString([]byte("short")), base64.StdEncoding.EncodeToString([]byte("short")),
		token[:len(token)-1], token[1:24], "Bearer eyJhbGciOiJFUzI1NiJ9.other", secret.Redacted, "\x00\xff", "[redacted",
	} {
		if got := known.Scrub(text); got != text {
			t.Errorf("Scrub(%q) = %q, want it as it was", text, got)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String().Draw(rt, "text")
		if got := known.Scrub(text); got != text && !strings.Contains(text, token) {
			rt.Errorf("Scrub(%q) = %q, want it as it was", text, got)
		}
	})
}

// One token may be the beginning of another; whichever was known first, nothing of
// the longer one is left.
func TestScrubHidesTheLongerToken(t *testing.T) {
	short, long := "session-1234", "session-1234-and-the-secret-rest"
	for _, tokens := range [][]string{{short, long}, {long, short}} {
		known := knowing(tokens...)
		for _, text := range []string{long, hex.EncodeToString([]byte(long)), base64.StdEncoding.EncodeToString([]byte("xy" + long))} {
			got := known.Scrub(text)
			if strings.Contains(got, "rest") || strings.Contains(got, hex.EncodeToString([]byte("rest"))) || strings.Count(got, secret.Redacted) != 1 || len(got) > 20 {
				t.Errorf("Scrub(%q) = %q, want all of it hidden", text, got)
			}
		}
	}
}

// Many tokens are kept in parts; an overlap across parts must not leave a rest.
func TestScrubHidesEachOfMany(t *testing.T) {
	var tokens []string
	for i := range 200 {
		tokens = append(tokens, fmt.Sprintf("token-%03d-of-many", i))
	}
	tokens = append(tokens, "token-000-of-many-and-the-secret-rest", "token-150")
	known := knowing(tokens...)
	if got := known.Scrub(strings.Join(tokens, " ")); got != strings.TrimSpace(strings.Repeat(secret.Redacted+" ", len(tokens))) {
		t.Errorf("Scrub() = %q, want nothing but %q", got, secret.Redacted)
	}
}

// spellings are ways in which somebody may write a token that it wants to be read.
func spellings(tok string) map[string]string {
	reversed := []byte(tok)
	slices.Reverse(reversed)
	wrapped := func(s string, n int, sep string) string {
		var lines []string
		for chunk := range slices.Chunk([]byte(s), n) {
			lines = append(lines, string(chunk))
		}
		return strings.Join(lines, sep)
	}
	each := func(format string) string {
		var b strings.Builder
		for _, c := range []byte(tok) {
			if format == "" || c == '.' || c == '-' || c == '_' {
				fmt.Fprintf(&b, cmp.Or(format, `\u%04x`), c)
			} else {
				b.WriteByte(c)
			}
		}
		return b.String()
	}
	b64 := base64.StdEncoding.EncodeToString([]byte("token=" + tok))
	flip := map[bool]string{true: "w", false: "g"}[strings.HasSuffix(tok, "A")]
	return map[string]string{
		"as it is":               tok,
		"escaped for a URL":      each("%%%02X"),
		"escaped for JSON":       each(`\u%04x`),
		"each of it escaped":     each(""),
		"escaped for HTML":       each("&#%d;"),
		"escaped for HTML, hex":  each("&#x%x;"),
		"in base64":              b64,
		"in base64, at 76":       wrapped(b64, 76, "\r\n"),
		"in base64, as a string": wrapped(b64, 76, `\n`),
		"in hex, by twos":        wrapped(hex.EncodeToString([]byte(tok)), 2, " "),
		"reversed":               string(reversed),
		"spaced":                 wrapped(tok, 1, " "),
		"quoted and spaced":      wrapped(tok, 5, `", "`),
		"behind marks":           wrapped(tok, 1, "%"),
		"other unused bits":      tok[:len(tok)-1] + flip,
		"without its head":       tok[strings.LastIndexByte(tok, '.')+1:],
		"half of the signature":  tok[len(tok)-40:],
		"in standard base64":     strings.NewReplacer("-", "+", "_", "/").Replace(tok),
	}
}

// TestScrubHidesEverySpelling: nothing of a signed token's signature that is as long as
// a run is left, however the API spells it.
func TestScrubHidesEverySpelling(t *testing.T) {
	var tokens []string
	for i := range 5 {
		random := sha512.Sum512([]byte{byte(i)})
		tokens = append(tokens, "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9.eyJzdWIiOiJhZ2VudF8xIiwiZXhwIjoxNzk1ODcxMTc1fQ."+base64.RawURLEncoding.EncodeToString(random[:]))
	}
	known := knowing(tokens...)
	for _, tok := range tokens {
		for name, spelling := range spellings(tok) {
			got := known.Scrub("before " + spelling + " after")
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, secret.Redacted) || len(got) > 150 {
				t.Errorf("%s: Scrub(%q) = %q", name, spelling, got)
			}
		}
	}
	signature := []byte(tokens[0][strings.LastIndexByte(tokens[0], '.')+1:])
	digits, wrapped := hex.EncodeToString(signature), base64.RawURLEncoding.EncodeToString(signature[:84])
	backwards := slices.Clone(signature)
	slices.Reverse(backwards)
	for _, spelling := range []string{string(signature), string(backwards), digits, strings.ToUpper(digits), wrapped} {
		for from := range len(spelling) - minRun + 1 {
			if run := spelling[from : from+minRun]; known.Scrub(run) != secret.Redacted {
				t.Errorf("Scrub(%q) left %q: a run of %q from %d", run, known.Scrub(run), spelling, from)
			}
		}
	}
	// What tokens share with others is no secret, and stays.
	other := sha512.Sum512([]byte("other"))
	for _, text := range []string{
		tokens[0][:strings.LastIndexByte(tokens[0], '.')],
		tokens[0][:strings.LastIndexByte(tokens[0], '.')+1] + base64.RawURLEncoding.EncodeToString(other[:]),
		tokens[0][len(tokens[0])-minRun+1:],
	} {
		if got := known.Scrub(text); got != text {
			t.Errorf("Scrub(%q) = %q, want it as it was", text, got)
		}
	}
}

const minRun = 16

// TestScrubTakesLinearTime: a text made of what it looks for costs what its length is.
func TestScrubTakesLinearTime(t *testing.T) {
	random := sha512.Sum512([]byte("token"))
	tok := "eyJhbGciOiJFUzI1NiJ9.e30." + base64.RawURLEncoding.EncodeToString(random[:])
	known := knowing(tok)
	for name, text := range map[string]string{
		"the token": strings.Repeat(tok, 5_000), "its blocks": strings.Repeat(tok[len(tok)-9:len(tok)-1], 50_000), "marks": strings.Repeat("%\\u&#", 80_000),
	} {
		start := time.Now()
		known.Scrub(text)
		if d := time.Since(start) / time.Duration(len(text)); d > 5*time.Microsecond {
			t.Errorf("%s: %s a byte", name, d)
		}
	}
}
