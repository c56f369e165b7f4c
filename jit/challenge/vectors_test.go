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

	"github.com/jitagent/jitagent/jit/challenge"
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
			got, err := challenge.Parse(resp.StatusCode, resp.Header, body)
			if said := outcome(t, got, err); said != want {
				t.Errorf("Parse says %s (%v)\nwant %s", said, err, want)
			}
		})
	}
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
