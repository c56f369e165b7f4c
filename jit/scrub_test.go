package jit_test

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// knowing returns a task that has seen the tokens.
func knowing(t testing.TB, tokens ...string) *jit.Task {
	t.Helper()
	n := 0
	authority := &fake.Authority{Issue: func(_ string, d rar.Detail) jit.Issued {
		n++
		return jit.Issued{Token: secret.New(tokens[n-1]), ExpiresIn: time.Minute, Details: []rar.Detail{d}}
	}}
	task := must(jit.New(jit.Config{Authority: authority})).Start(context.Background(), jit.TaskSpec{}, nil)
	for i := range tokens {
		d := read(fmt.Sprintf("doc_%d", i))
		if _, err := jit.Acquire(task.Call(context.Background(), jit.Call{Ceiling: []rar.Detail{d}}), d); err != nil {
			t.Fatal(err)
		}
	}
	return task
}

func end(t testing.TB, task *jit.Task) {
	t.Helper()
	if err := task.Complete(context.Background()); err != nil {
		t.Error(err)
	}
}

const token = "eyJhbGciOiJFUzI1NiJ9.c3+bj/Q=?~x"

func TestScrubHidesEveryForm(t *testing.T) {
	task := knowing(t, token)
	defer end(t, task)
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
		got := task.Scrub(form)
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
		task := knowing(t, tok)
		defer end(t, task)
		text := before + tok + after
		for name, enc := range map[string]*base64.Encoding{
			"std": base64.StdEncoding, "url": base64.URLEncoding, "raw std": base64.RawStdEncoding, "raw url": base64.RawURLEncoding,
		} {
			encoded := enc.EncodeToString([]byte(text))
			got := task.Scrub(encoded)
			// At each end one character may mix the token with its neighbour.
			most := len(encoded) - (len(tok)*4/3 - 2) + len(secret.Redacted)
			if !strings.Contains(got, secret.Redacted) || len(got) > most {
				rt.Errorf("%s: %q is left of %q with %q in it", name, got, encoded, tok)
			}
		}
		for _, form := range []string{text, hex.EncodeToString([]byte(text)), url.QueryEscape(text), url.PathEscape(text)} {
			if got := task.Scrub(form); !strings.Contains(got, secret.Redacted) {
				rt.Errorf("Scrub(%q) = %q", form, got)
			}
		}
	})
}

func TestScrubLeavesOtherTextAlone(t *testing.T) {
	task := knowing(t, token, "short")
	defer end(t, task)
	for _, text := range []string{
		"", " ", "short", "a short text", "shorts", hex.EncodeToString([]byte("short")), base64.StdEncoding.EncodeToString([]byte("short")),
		token[:len(token)-1], token[1:], "Bearer eyJhbGciOiJFUzI1NiJ9.other", secret.Redacted, "\x00\xff", "[redacted",
	} {
		if got := task.Scrub(text); got != text {
			t.Errorf("Scrub(%q) = %q, want it as it was", text, got)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		text := rapid.String().Draw(rt, "text")
		if got := task.Scrub(text); got != text && !strings.Contains(text, token) {
			rt.Errorf("Scrub(%q) = %q, want it as it was", text, got)
		}
	})
}

// One token may be the beginning of another; whichever was known first, nothing of
// the longer one is left.
func TestScrubHidesTheLongerToken(t *testing.T) {
	short, long := "session-1234", "session-1234-and-the-secret-rest"
	for _, tokens := range [][]string{{short, long}, {long, short}} {
		task := knowing(t, tokens...)
		for _, text := range []string{long, hex.EncodeToString([]byte(long)), base64.StdEncoding.EncodeToString([]byte("xy" + long))} {
			got := task.Scrub(text)
			if strings.Contains(got, "rest") || strings.Contains(got, hex.EncodeToString([]byte("rest"))) || strings.Count(got, secret.Redacted) != 1 || len(got) > 20 {
				t.Errorf("Scrub(%q) = %q, want all of it hidden", text, got)
			}
		}
		end(t, task)
	}
}

func TestScrubKnowsTheBaseToken(t *testing.T) {
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	c.want200(t, "doc_1")
	for _, tok := range []string{fake.BaseToken, fake.TokenFor(read("doc_1"))} {
		if got := c.task.Scrub("echo: " + tok); got != "echo: "+secret.Redacted {
			t.Errorf("Scrub(%q) = %q", tok, got)
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
	task := knowing(t, tokens...)
	defer end(t, task)
	if got := task.Scrub(strings.Join(tokens, " ")); got != strings.TrimSpace(strings.Repeat(secret.Redacted+" ", len(tokens))) {
		t.Errorf("Scrub() = %q, want nothing but %q", got, secret.Redacted)
	}
}

func TestScrubWhileTokensComeIn(t *testing.T) {
	c := offline(t, jit.Config{Authority: &fake.Authority{}}, nil)
	c.want200(t, "doc_0")
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() { c.want200(t, fmt.Sprintf("doc_%d", i)) })
		wg.Go(func() {
			if got := c.task.Scrub(fake.TokenFor(read("doc_0"))); got != secret.Redacted {
				t.Errorf("Scrub() = %q", got)
			}
		})
	}
	wg.Wait()
}
