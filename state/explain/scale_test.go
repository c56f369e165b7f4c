package explain

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rivo/uniseg"
	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/state/journal"
)

func zero() time.Time { return time.Date(2026, 11, 2, 14, 2, 3, 0, time.UTC) }

// TestScaleIsInOrder places moments of any spread.
func TestScaleIsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var moments []time.Time
		for _, d := range rapid.SliceOfN(rapid.Int64Range(0, int64(100*time.Hour)), 1, 40).Draw(t, "after") {
			unit := rapid.SampledFrom([]int64{1, 1000, 1000_000}).Draw(t, "unit")
			moments = append(moments, zero().Add(time.Duration(d/unit)))
		}
		s := newScale(moments[0], moments, plotLeft, plotRight)
		slices.SortFunc(moments, time.Time.Compare)
		last := s.x0
		for i := len(moments) - 1; i > 0; i-- { // and what lies between them, perhaps in a break
			moments = slices.Insert(moments, i, moments[i-1].Add(moments[i].Sub(moments[i-1])/3))
		}
		for _, m := range moments {
			x := s.x(m)
			if x < last || x < s.x0 || x > s.x1 || x != x {
				t.Fatalf("%v is at %v, after %v, of %v to %v", m, x, last, s.x0, s.x1)
			}
			last = x
		}
		if len(moments) > 1 && moments[0] != moments[len(moments)-1] && s.x1-last > 1 {
			t.Errorf("the last moment is at %v, not at the end %v", last, s.x1)
		}
		checkTicks(t, s)
	})
}

type fataler interface{ Errorf(string, ...any) }

// checkTicks wants labels side by side, and none over the label of a break.
func checkTicks(t fataler, s *scale) {
	type interval struct {
		from, to px
		text     string
	}
	var labels []interval
	add := func(mid px, text string) {
		if half := textLength(text) / 2; text != "" {
			labels = append(labels, interval{mid - half, mid + half, text})
		}
	}
	for _, tick := range s.ticks() {
		add(tick.X, tick.Label)
	}
	for _, b := range s.breaks {
		add((b.x0+b.x1)/2, b.label())
	}
	slices.SortFunc(labels, func(a, b interval) int { return int(a.from - b.from) })
	for i := range labels[min(1, len(labels)):] {
		if a, b := labels[i], labels[i+1]; a.to > b.from {
			t.Errorf("%q (to %v) is over %q (from %v)", a.text, a.to, b.text, b.from)
		}
	}
}

func TestScaleBreaksWhereNothingHappens(t *testing.T) {
	ms := func(after ...int) []time.Time {
		var out []time.Time
		for _, n := range after {
			out = append(out, zero().Add(time.Duration(n)*time.Millisecond))
		}
		return out
	}
	for _, tt := range []struct {
		name    string
		moments []time.Time
		breaks  int
	}{
		{"one moment", ms(0), 0},
		{"two moments", ms(0, 1000), 0},
		{"50 ms, evenly", ms(0, 10, 20, 30, 40, 50), 0},
		{"40 ms, in jumps", ms(0, 12, 13, 16, 17, 31, 32, 38), 0},
		{"a person's three minutes", ms(0, 20, 40, 180_040, 180_060), 1},
		{"a model's two thoughts", ms(0, 20, 40, 940, 980, 1880, 1900), 2},
		{"twenty minutes, evenly", ms(0, 300_000, 600_000, 900_000, 1_200_000), 0},
	} {
		s := newScale(zero(), tt.moments, plotLeft, plotRight)
		if len(s.breaks) != tt.breaks {
			t.Errorf("%s: %d breaks, want %d", tt.name, len(s.breaks), tt.breaks)
		}
		if len(s.ticks()) == 0 {
			t.Errorf("%s: no tick", tt.name)
		}
		checkTicks(t, s)
	}
}

func TestTickLabels(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0", 100 * time.Microsecond: "0.1 ms", 20 * time.Millisecond: "20 ms", 1500 * time.Millisecond: "1.5 s", 20 * time.Second: "20 s",
		time.Minute: "1:00", 3*time.Minute + 2500*time.Millisecond: "3:02.5", time.Hour + 2*time.Minute: "1:02:00", -time.Second: "-1 s",
	} {
		if got := tickLabel(d); got != want {
			t.Errorf("tickLabel(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 ms", 0: "0 ms", 400 * time.Microsecond: "0.4 ms", 71 * time.Millisecond: "71 ms", 999_600 * time.Microsecond: "1 s",
		2200 * time.Millisecond: "2.2 s", 59_990 * time.Millisecond: "1 min", 3*time.Minute + 2*time.Second: "3 min 2 s",
		time.Hour - time.Millisecond: "1 h", 2*time.Hour + 5*time.Minute: "2 h 5 min", 24*time.Hour - time.Second: "1 d", 50 * time.Hour: "2 d 2 h",
	} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestCutFits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "text")
		limit := px(rapid.Float64Range(10, 300).Draw(t, "limit"))
		got := cut(s, limit)
		if textLength(got) > limit && got != "…" {
			t.Errorf("cut(%q, %v) = %q, which takes %v", s, limit, got, textLength(got))
		}
		if textLength(s) <= limit && got != s {
			t.Errorf("cut(%q, %v) = %q, want it whole", s, limit, got)
		}
	})
}

func TestWrapLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		words := rapid.SliceOf(rapid.StringMatching(`[a-zä漢]{1,30}`)).Draw(t, "words")
		width := rapid.IntRange(5, 60).Draw(t, "width")
		lines := wrap(strings.Join(words, " "), width)
		if got := strings.Fields(strings.Join(lines, " ")); !slices.Equal(got, words) && len(words) > 0 {
			t.Errorf("wrap gives %q of %q", got, words)
		}
		for _, line := range lines {
			if uniseg.StringWidth(line) > width && strings.Contains(line, " ") {
				t.Errorf("%q is longer than %d and could be broken", line, width)
			}
		}
	})
}

func TestShelfKeepsLabelsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := &shelf{levels: rapid.IntRange(1, 3).Draw(t, "levels"), from: 0, to: 300}
		var placed []spot
		for i, x := range rapid.SliceOf(rapid.Float64Range(-20, 320)).Draw(t, "x") {
			p, ok := s.place(px(x), strings.Repeat("x", i%9+1))
			if !ok {
				continue
			}
			if p.x < s.from || p.end > s.to {
				t.Errorf("a label is at %v to %v", p.x, p.end)
			}
			for _, o := range placed {
				if o.level == p.level && o.x < p.end && p.x < o.end {
					t.Errorf("labels overlap: %+v and %+v", o, p)
				}
			}
			placed = append(placed, p)
		}
		if len(placed) == 0 && len(s.taken) > 0 {
			t.Error("not even the first label found room")
		}
	})
}

// TestChartsAreNotTooLongAndHaveAllRows lays out a task of many calls.
func TestChartsAreNotTooLongAndHaveAllRows(t *testing.T) {
	task := &Task{State: "completed", Opened: zero(), Last: zero().Add(time.Minute), Ended: zero().Add(time.Minute)}
	for i := range 70 {
		c := &Call{Number: i + 1, Tool: fmt.Sprintf("tool_%d", i), Began: zero().Add(time.Duration(i) * time.Second), Fate: FateEnded, Result: "ok"}
		c.Steps = []Step{{Time: c.Began, Kind: "call", Label: "called"}}
		task.Calls = append(task.Calls, c)
		grants := i % 3
		if i == 50 {
			grants = 90 // more than a chart holds
		}
		for range grants {
			task.Grants = append(task.Grants, &Grant{Issued: c.Began, Ended: task.Ended, End: journal.GrantRevoked, call: c})
		}
	}
	task.Grants = append(task.Grants, &Grant{Issued: zero(), End: journal.GrantUnknown}) // of no call
	rows := 0
	for i, c := range newSketch(task, task.Last, calendar{time.UTC, zero()}).charts("x") {
		rows += len(c.Rows)
		if c.Height > maxHeight+10 {
			t.Errorf("chart %d is %v high, want at most %v", i, c.Height, maxHeight)
		}
		if len(c.Ticks) == 0 || c.Title == "" || c.ID == "" {
			t.Errorf("chart %d has no axis or title", i)
		}
		y := axisHeight
		for _, r := range c.Rows {
			if r.Y != y {
				t.Errorf("chart %d: a row is at %v, want %v", i, r.Y, y)
			}
			y += r.H
			for _, b := range r.Boxes {
				if b.Y < r.Y || b.Y+b.H > r.Y+r.H || b.X < plotLeft-4 || b.X+b.W > plotRight+4 {
					t.Errorf("chart %d: a box is outside its row: %+v", i, b)
				}
			}
			for _, n := range r.Notes {
				if n.Y-8 < r.Y || n.Y > r.Y+r.H {
					t.Errorf("chart %d: a label is outside its row: %+v", i, n)
				}
			}
		}
	}
	if want := 1 + len(task.Calls) + len(task.Grants); rows != want {
		t.Errorf("%d rows, want %d", rows, want)
	}
}
