package markdown

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// What makes the Markdown parser quadratic is gone from bounded text.
func TestBound(t *testing.T) {
	const n = 64 << 10
	for _, hostile := range []string{">", "> ", "- ", "* > ", "[a](", "*a_ ", "x", "word ", "\t", "   ", "四", "A. ", "> - a\n"} {
		out := bound(strings.Repeat(hostile, n/len(hostile)))
		paragraph := 0
		for line := range strings.Lines(out) {
			if strings.TrimSpace(line) == "" {
				paragraph = 0
				continue
			}
			if paragraph += len(line); paragraph > maxParagraph+maxParagraph/2 {
				t.Fatalf("%q: a paragraph of %d bytes", hostile, paragraph)
			}
			markers := 0
			for i, r := range line {
				if !strings.ContainsRune(" \t>-*+", r) {
					break
				}
				if strings.ContainsRune(">-*+", r) && (r == '>' || strings.HasPrefix(line[i+1:], " ")) {
					markers++
				}
			}
			if markers > maxNesting {
				t.Fatalf("%q: %d markers in %.60q", hostile, markers, line)
			}
		}
		if !utf8.ValidString(out) {
			t.Errorf("%q: a character was cut", hostile)
		}
	}
	const usual = "# H\n\n> - a quote\n\n    code\n\n1. item\n   - nested\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
	if diff := cmp.Diff(usual, bound(usual)); diff != "" {
		t.Errorf("usual text was changed (-want +got):\n%s", diff)
	}
}
