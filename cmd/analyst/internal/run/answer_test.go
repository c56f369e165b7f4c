package run

import (
	"strings"
	"testing"

	"github.com/jitagent/jitagent/runner"
)

// TestAnswerIsWrittenOnce streams an answer whose final text comes in several parts,
// as that of a model that paused does.
func TestAnswerIsWrittenOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		live   bool
		events []runner.Event
		answer string
	}{
		"one part":        {true, []runner.Event{runner.Text{Text: "a ", Partial: true}, runner.Text{Text: "b", Partial: true}, runner.Text{Text: "a b", Final: true}}, "a b"},
		"two parts":       {true, []runner.Event{runner.Text{Text: "a ", Partial: true}, runner.Text{Text: "b", Partial: true}, runner.Text{Text: "a ", Final: true}, runner.Text{Text: "b", Final: true}}, "a b"},
		"not in pieces":   {true, []runner.Event{runner.Text{Text: "a b", Final: true}}, "a b"},
		"nobody watches":  {false, []runner.Event{runner.Text{Text: "a b", Partial: true}, runner.Text{Text: "a b", Final: true}}, "a b"},
		"said on the way": {true, []runner.Event{runner.Text{Text: "a b", Partial: true}, runner.Text{Text: "a b"}, runner.Text{Text: "c", Final: true}}, "c"},
	} {
		var out strings.Builder
		a := newAnswerPrinter(&out, false, tt.live)
		for _, e := range append(tt.events, runner.Finished{Answer: tt.answer}) {
			if err := a.see(e); err != nil {
				t.Fatal(err)
			}
		}
		if n := strings.Count(out.String(), tt.answer); n != 1 {
			t.Errorf("%s: %q has the answer %d times", name, &out, n)
		}
	}
}

// TestFolder: what a terminal shows fits it, breaks at spaces, and is the text otherwise,
// whatever pieces it comes in.
func TestFolder(t *testing.T) {
	const text = "Revenue rose by a tenth, says the review.\n\n- A list's item is continued under its text\n  12. and so is a numbered one\n| a table | has | lines | of | its | own |\nhttps://lumo.test/approve/jit_0123456789 is whole\n"
	const want = `Revenue rose by a tenth,
says the review.

- A list's item is
  continued under its text
  12. and so is a numbered
      one
| a table | has | lines | of | its | own |
https://lumo.test/approve/jit_0123456789
is whole
`
	for size := 1; size < 40; size += 13 {
		var out strings.Builder
		f := &folder{w: &out, width: 26}
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if _, err := f.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Errorf("in pieces of %d:\n%s\nwant:\n%s", size, &out, want)
		}
	}
}
