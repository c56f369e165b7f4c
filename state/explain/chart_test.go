package explain

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/state/journal"
)

func zero() time.Time { return time.Date(2026, 11, 2, 14, 2, 3, 0, time.UTC) }

// TestScaleIsInOrder wants every moment in the picture, in order, with the longer
// stretch the wider one.
func TestScaleIsInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		moments := []time.Time{zero()}
		for _, ns := range rapid.SliceOfN(rapid.Int64Range(-1<<40, 1<<62), 0, 30).Draw(t, "moments") {
			moments = append(moments, zero().Add(time.Duration(ns)))
		}
		s := newScale(moments)
		slices.SortFunc(moments, time.Time.Compare)
		last, widest, longest := pct(0), pct(0), time.Duration(0)
		for i, m := range moments {
			x := s.x(m)
			if math.IsNaN(float64(x)) || x < last || x > 100.001 {
				t.Fatalf("x(%v) = %v after %v", m, x, last)
			}
			if i > 0 && m.Sub(moments[i-1]) > longest {
				longest = m.Sub(moments[i-1])
				if x-last < widest {
					t.Errorf("a stretch of %v is %v wide, and a shorter one %v", longest, x-last, widest)
				}
			}
			widest, last = max(widest, x-last), x
		}
	})
}

func TestMomentsThatAreNotOnTheScale(t *testing.T) {
	s := newScale([]time.Time{zero(), zero().Add(time.Second)})
	for at, want := range map[time.Duration]pct{-time.Hour: 0, 0: 0, time.Millisecond: 0, time.Second: 100, time.Hour: 100} {
		if got := s.x(zero().Add(at)); got != want {
			t.Errorf("x(%v) = %v, want %v", at, got, want)
		}
	}
}

// TestChartHasAllRows lays out a task of many calls.
func TestChartHasAllRows(t *testing.T) {
	task := &Task{State: "completed", Opened: zero(), Last: zero().Add(time.Minute), Ended: zero().Add(time.Minute)}
	for i := range 70 {
		c := &Call{Number: i + 1, Tool: fmt.Sprintf("tool_%d", i), Began: zero().Add(time.Duration(i) * time.Second), Fate: FateEnded, Result: "ok"}
		c.Steps = []Step{{Time: c.Began, Kind: "call", Label: "called"}, {Time: c.Began, Kind: "blocked", Tone: Bad, Label: "blocked"}}
		task.Calls = append(task.Calls, c)
		for range i % 3 {
			task.Grants = append(task.Grants, &Grant{Issued: c.Began, Ended: task.Ended, End: journal.GrantRevoked, call: c})
		}
	}
	task.Grants = append(task.Grants, &Grant{Issued: zero(), End: journal.GrantUnknown}) // of no call
	got := task.chart(task.Last, calendar{time.UTC, zero()})
	if want := 1 + len(task.Calls) + len(task.Grants); len(got.Rows) != want {
		t.Errorf("%d rows, want %d", len(got.Rows), want)
	}
	if len(got.Ticks) < 2 || len(got.Ticks) > 7 {
		t.Errorf("%d ticks, want a handful: %+v", len(got.Ticks), got.Ticks)
	}
	for _, r := range got.Rows {
		for _, b := range r.Bars {
			if b.X < 0 || b.W <= 0 || b.X+b.W > 100.001 {
				t.Errorf("%s: a bar is outside its row: %+v", r.Name, b)
			}
		}
		if r.Class == "call" && (len(r.Marks) != 1 || r.Marks[0].Class != "bad" || len(r.Path) != 1 || r.Path[0].Text != "blocked") {
			t.Errorf("%s: %+v, %+v, want one mark for both steps, and the extraordinary one in words", r.Name, r.Marks, r.Path)
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
