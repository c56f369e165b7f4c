package faults

import (
	"strings"
	"testing"
	"time"
)

func TestTable(t *testing.T) {
	r := report{Commit: "abc", Seed: 7, Rows: []*row{{Fault: "one", Trials: 1, Alive: 2, Orphans: 3, Duplicates: 4, Lost: 5, Unknown: 6, Foreign: 7, Other: 8, Clean: 9 * time.Millisecond, Note: "a note"}}}
	var out strings.Builder
	r.write(&out)
	want := strings.Fields("one 1 2 3 4 5 6 7 8 9ms a note")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if got := strings.Fields(lines[len(lines)-1]); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the row is %q, want %q", got, want)
	}
	if !strings.Contains(lines[0], "abc") || !strings.Contains(lines[0], "seed 7") {
		t.Errorf("the first line is %q, want commit and seed", lines[0])
	}
}
