package main

import (
	"strings"
	"testing"
	"time"
)

// Each number that must be zero makes the verdict an error that says why.
func TestVerdict(t *testing.T) {
	for name, count := range map[string]func(*row) *int{
		"orphans":    func(r *row) *int { return &r.Orphans },
		"duplicates": func(r *row) *int { return &r.Duplicates },
		"lost":       func(r *row) *int { return &r.Lost },
		"foreign":    func(r *row) *int { return &r.Foreign },
		"other":      func(r *row) *int { return &r.Other },
	} {
		bad := &row{Fault: "the bad one"}
		bad.wrong(count(bad), "because of %s", name)
		r := report{Rows: []*row{{Fault: "a good one", Trials: 3}, bad}}
		if err := r.verdict(); err == nil || !strings.Contains(err.Error(), "the bad one: because of "+name) {
			t.Errorf("%s: verdict() = %v, want an error that explains it", name, err)
		}
		unexplained := &row{}
		*count(unexplained) = 1
		if err := (&report{Rows: []*row{unexplained}}).verdict(); err == nil {
			t.Errorf("%s, without an explanation: verdict() = nil", name)
		}
	}
	good := report{Rows: []*row{{Fault: "a good one", Trials: 3, Alive: 4, Unknown: 2, Clean: time.Second}}}
	if err := good.verdict(); err != nil {
		t.Errorf("verdict() = %v of a good report", err)
	}
}

func TestTable(t *testing.T) {
	r := report{Commit: "abc", Seed: 7, Rows: []*row{{Fault: "one", Trials: 1, Alive: 2, Orphans: 3, Duplicates: 4, Lost: 5, Unknown: 6, Foreign: 7, Other: 8, Clean: 9 * time.Millisecond, Note: "a note"}}}
	var out strings.Builder
	if err := r.table(&out); err != nil {
		t.Fatal(err)
	}
	want := strings.Fields("one 1 2 3 4 5 6 7 8 9ms a note")
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if got := strings.Fields(lines[len(lines)-1]); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("the row is %q, want %q", got, want)
	}
	if !strings.Contains(lines[0], "abc") || !strings.Contains(lines[0], "seed 7") {
		t.Errorf("the first line is %q, want commit and seed", lines[0])
	}
}

func TestParse(t *testing.T) {
	for _, args := range [][]string{{"-trials", "0"}, {"-workers", "0"}, {"-only", "("}, {"further"}, {"-nonsense"}} {
		var stderr strings.Builder
		if o, err := parse(args, &stderr); err == nil {
			t.Errorf("parse(%q) = %+v, want an error", args, o)
		}
	}
	var stderr strings.Builder
	o, err := parse([]string{"-seed", "9", "-only", "kill"}, &stderr)
	if err != nil || o.seed != 9 || !o.only.MatchString("kills") || o.only.MatchString("full") {
		t.Errorf("parse() = %+v, %v", o, err)
	}
	if o, err := parse(nil, &stderr); err != nil || o.seed == 0 {
		t.Errorf("parse() without a seed = %+v, %v, want one from the clock", o, err)
	}
}
