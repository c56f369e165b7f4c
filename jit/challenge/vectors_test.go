package challenge_test

import (
	"bufio"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/oauth"
)

// TestVectors reads the responses of testdata: the first line says what they demand,
// the rest is as it comes over the wire. The first letter of a file is its dialect, as
// docs/challenges.md names it.
func TestVectors(t *testing.T) {
	files, err := filepath.Glob("testdata/*.http")
	if err != nil || len(files) < 40 {
		t.Fatalf("%d vectors, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".http"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			want, response, _ := strings.Cut(string(text), "\n")
			resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(response)), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close() //nolint:errcheck // a string's
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { // signed ones are of the first minutes of 2000
				got, err := vectorReader(t, file).Parse(resp.StatusCode, resp.Header, body, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I")
				if said := outcome(t, got, err); said != want {
					t.Errorf("Parse says %s (%v)\nwant %s", said, err, want)
				}
			})
		})
	}
}

// vectorReader reads signed challenges where the vector is of that dialect.
func vectorReader(t *testing.T, file string) *challenge.Transactions {
	t.Helper()
	if !strings.HasPrefix(filepath.Base(file), "t-") {
		return nil
	}
	set, err := os.ReadFile("testdata/t-keys.json")
	if err != nil {
		t.Fatal(err)
	}
	keys, err := oauth.ParseKeys(set)
	if err != nil {
		t.Fatal(err)
	}
	return &challenge.Transactions{Keys: keys, Issuer: "https://api.example.com", Audience: "https://auth.example.com", ClientID: "analyst"}
}

// outcome words what Parse returned in one line.
func outcome(t *testing.T, c *challenge.Challenge, err error) string {
	t.Helper()
	if bad, ok := errors.AsType[*challenge.MalformedError](err); ok {
		return "malformed " + string(bad.Source)
	}
	if step, ok := errors.AsType[*challenge.StepUpError](err); ok {
		return step.Error()
	}
	if errors.Is(err, challenge.ErrNone) {
		return "none"
	}
	var details []string
	for _, d := range c.Details {
		text, err := d.Canonical()
		if err != nil {
			t.Fatal(err)
		}
		details = append(details, string(text))
	}
	parts := []string{string(c.Source), c.Error, c.Reference, "[" + strings.Join(details, ",") + "]"}
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}
