package run

import (
	"strings"
	"testing"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
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
		a := newAnswerPrinter(&cli.Program{Stdout: &out}, false, tt.live)
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
