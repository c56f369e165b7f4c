package explain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// The picture of a task: a row for the task, each call and each token, with time in
// the middle. Places are in percent, so that it fits wherever it is shown, and the
// page's style says how all of it looks.
type chart struct {
	Ticks []tick
	Zones []bar // in which nobody worked on the task
	Rows  []row
}

// A pct is a place in a row, or a part of its length.
type pct float64

// String writes it for an attribute.
func (p pct) String() string { return fmt.Sprintf("%.2f%%", float64(p)) }

// A tick says on the axis how long after the beginning a place is, or what it is.
type tick struct {
	X                   pct
	Anchor, Class, Text string // Class is empty for a length of time
}

// A row is one line of the picture.
type row struct {
	Class, Name, Result string
	Tone                Tone
	Bars                []bar
	Marks               []mark
	Path                []word // what happened, in words
}

// A bar is something that lasts.
type bar struct {
	X, W       pct
	Class, Tip string
}

// A mark is something that happened at a moment.
type mark struct {
	X                pct
	Path, Class, Tip string
}

// A word names a step.
type word struct{ Text, Class string }

// A scale places moments. A stretch between two of them is as wide as the logarithm of
// its length, so that milliseconds can be seen beside minutes of waiting.
type scale struct {
	moments []time.Time // in order
	at      []pct
}

func newScale(moments []time.Time) scale {
	moments = slices.CompactFunc(slices.SortedFunc(slices.Values(moments), time.Time.Compare), time.Time.Equal)
	s := scale{moments, make([]pct, len(moments))}
	for i := 1; i < len(moments); i++ {
		s.at[i] = s.at[i-1] + pct(math.Log1p(moments[i].Sub(moments[i-1]).Seconds()*1000))
	}
	if whole := s.at[len(s.at)-1]; whole > 0 {
		for i := range s.at {
			s.at[i] *= 100 / whole
		}
	}
	return s
}

// x places one of the moments. Another one is where the one before it is.
func (s scale) x(t time.Time) pct {
	i, found := slices.BinarySearchFunc(s.moments, t, time.Time.Compare)
	if !found {
		i = max(0, i-1)
	}
	return s.at[i]
}

// A sketch lays out the picture of a task.
type sketch struct {
	calendar
	scale
	task *Task
	now  time.Time
	busy bool // too much happens to name the ordinary
}

// manyCalls is how many calls are still described step by step.
const manyCalls = 12

func (t *Task) chart(now time.Time, c calendar) chart {
	k := &sketch{calendar: c, task: t, now: now, busy: len(t.Calls) > manyCalls}
	k.scale = newScale(k.all())
	out := chart{Rows: []row{k.taskRow()}}
	for _, call := range t.Calls {
		out.Rows = append(out.Rows, k.callRow(call))
		for _, g := range t.Grants {
			if g.call == call {
				out.Rows = append(out.Rows, k.grantRow(g))
			}
		}
	}
	for _, g := range t.Grants {
		if !slices.Contains(t.Calls, g.call) {
			out.Rows = append(out.Rows, k.grantRow(g))
		}
	}
	for _, d := range t.Deaths {
		until, text := d.RecoveredAt, "process died"
		if d.closing {
			text = "process ended"
		}
		out.Ticks = append(out.Ticks, k.tick(d.LastSign, "bad", text))
		if until.IsZero() {
			until = now
		} else {
			out.Ticks = append(out.Ticks, k.tick(until, "good", "recovered"))
		}
		out.Zones = append(out.Zones, k.bar("dead", d.LastSign, until, fmt.Sprintf("Nobody worked on the task for %s.", span(until.Sub(d.LastSign)))))
	}
	if !t.State.Finished() {
		out.Ticks = append(out.Ticks, k.tick(now, "warn", "now"))
	}
	out.Ticks = append(out.Ticks, k.axis()...)
	return out
}

// all returns the moments that must be visible, at least one.
func (k *sketch) all() []time.Time {
	t := k.task
	out := []time.Time{t.Opened, t.Last, k.now}
	if t.State.Finished() {
		out = []time.Time{t.Opened, t.Last, t.Ended}
	}
	for _, s := range t.Steps {
		out = append(out, s.Time)
	}
	for _, c := range t.Calls {
		out = append(out, c.Began, k.callEnd(c))
		for _, s := range c.Steps {
			out = append(out, s.Time)
		}
	}
	for _, g := range t.Grants {
		out = append(out, g.Issued, k.grantEnd(g))
	}
	for _, d := range t.Deaths {
		out = append(out, d.LastSign, d.RecoveredAt)
	}
	if out = keep(out, func(m time.Time) bool { return !m.IsZero() }); len(out) == 0 {
		return []time.Time{{}} // nothing has a time
	}
	return out
}

// tickRoom is the least distance of two lengths of time on the axis.
const tickRoom pct = 23

// axis says how long after the beginning some of the moments are.
func (k *sketch) axis() []tick {
	var out []tick
	last := -tickRoom
	for i, m := range k.moments {
		d := m.Sub(k.task.Opened)
		text := span(d)
		if d < 0 {
			text = "−" + span(-d)
		}
		if k.at[i]-last >= tickRoom && (len(out) == 0 || out[len(out)-1].Text != text) {
			last = k.at[i]
			out = append(out, k.tick(m, "", text))
		}
	}
	return out
}

func (k *sketch) tick(at time.Time, class, text string) tick {
	t := tick{X: k.x(at), Anchor: "middle", Class: class, Text: text}
	switch {
	case t.X < 10:
		t.Anchor = "start"
	case t.X > 90:
		t.Anchor = "end"
	}
	return t
}

// bar draws what lasts, wide enough to be seen.
func (k *sketch) bar(class string, from, to time.Time, tip string) bar {
	const least pct = 0.5
	x := min(k.x(from), 100-least)
	return bar{X: x, W: max(least, k.x(to)-x), Class: class, Tip: tip}
}

func (k *sketch) taskRow() row {
	t := k.task
	r := row{Class: "task", Name: "the task", Result: string(t.State), Tone: Warn, Marks: k.marks(t.Steps)}
	switch t.State {
	case journal.StateCompleted:
		r.Tone = Good
	case journal.StateUnknown:
		r.Tone = Bad
	}
	to := t.Ended
	if to.IsZero() {
		to = k.now
	}
	r.Bars = []bar{k.bar("life", t.Opened, to, fmt.Sprintf("The task: %s%s.", t.State, after(t.Opened, to)))}
	return r
}

func (k *sketch) callRow(c *Call) row {
	r := row{Class: "call", Name: fmt.Sprintf("%d  %s", c.Number, c.invocation()), Result: c.verdict(), Tone: c.tone(), Marks: k.marks(c.Steps)}
	end := k.callEnd(c)
	r.Bars = []bar{k.bar("life "+string(c.Fate), c.Began, end, fmt.Sprintf("Call %d%s: %s", c.Number, after(c.Began, end), c.verdict()))}
	for _, q := range k.task.Asked {
		if q.call == c && !q.Pending.IsZero() {
			until := q.Decided
			if until.IsZero() {
				until = end
			}
			r.Bars = append(r.Bars, k.bar("wait", q.Pending, until, fmt.Sprintf("Request %s waited %s for a person.", ident(q.ID), span(until.Sub(q.Pending)))))
		}
	}
	for _, s := range c.Steps {
		w := word{s.Label, ""}
		if s.Tone == Bad || !s.ordinary() {
			w.Class = string(s.Tone)
		}
		if s.Label != "" && (!k.busy || !s.ordinary()) && (len(r.Path) == 0 || r.Path[len(r.Path)-1] != w) {
			r.Path = append(r.Path, w)
		}
	}
	return r
}

// callEnd is where the bar of a call ends.
func (k *sketch) callEnd(c *Call) time.Time {
	switch {
	case !c.Ended.IsZero():
		return c.Ended
	case c.Fate == FateRunning:
		return k.now
	case len(c.Steps) > 0:
		return c.Steps[len(c.Steps)-1].Time
	}
	return c.Began
}

func (k *sketch) grantRow(g *Grant) row {
	detail, _, _ := strings.Cut(g.Detail.text(), " locations=") // the same all over a task
	r := row{Class: "grant", Name: "token: " + detail, Result: string(g.End)}
	switch g.End {
	case journal.GrantRevoked:
		r.Tone = Good
	case journal.GrantUnknown, journal.GrantExpires:
		r.Tone = Bad
	case journal.GrantLive:
		r.Tone = Warn
	}
	r.Bars = []bar{k.bar("token "+string(g.End), g.Issued, k.grantEnd(g), fmt.Sprintf("Token for %s (request %s): %s.", g.Detail.text(), ident(g.Request), g.life(k.calendar)))}
	for _, u := range g.Uses {
		status := "no answer recorded"
		if u.Status != 0 {
			status = fmt.Sprint(u.Status)
		}
		r.Bars = append(r.Bars, k.bar("use", u.Time, u.Time, fmt.Sprintf("%s: %s %s: %s", k.exact(u.Time), ident(u.Method), address(u.URL), status)))
	}
	return r
}

// grantEnd is where the bar of a grant ends.
func (k *sketch) grantEnd(g *Grant) time.Time {
	switch {
	case !g.Ended.IsZero():
		return g.Ended
	case g.End == journal.GrantExpires:
		return g.Expires
	case k.task.State.Finished():
		return k.task.Last
	}
	return k.now
}

// together is the distance below which marks would cover each other.
const together pct = 1.6

// marks draws steps. Those that would cover each other share the mark of the gravest.
func (k *sketch) marks(steps []Step) []mark {
	steps = slices.SortedStableFunc(slices.Values(steps), func(a, b Step) int { return a.Time.Compare(b.Time) })
	var out []mark
	for len(steps) > 0 {
		n := 1
		for n < len(steps) && k.x(steps[n].Time)-k.x(steps[0].Time) < together {
			n++
		}
		worst := slices.MaxFunc(steps[:n], func(a, b Step) int { return a.weight() - b.weight() })
		m := mark{X: k.x(worst.Time), Path: worst.shape(), Class: cmp.Or(string(worst.Tone), "plain")}
		for i, s := range steps[:n] {
			if i == 12 {
				m.Tip += fmt.Sprintf("and %d more", n-i)
				break
			}
			m.Tip += k.exact(s.Time) + " " + s.Text + "\n"
		}
		out, steps = append(out, m), steps[n:]
	}
	return out
}

// weight is how much a step matters.
func (s Step) weight() int {
	w := map[Tone]int{Bad: 40, Good: 5}[s.Tone]
	if s.Tone == Warn && !s.ordinary() {
		w = 20
	}
	if s.Kind == jit.EntryDecision {
		w += 5 // what it is all about
	}
	return w
}

// ordinary reports whether a step is what every call goes through.
func (s Step) ordinary() bool {
	switch s.Kind {
	case jit.EntryCall, jit.EntryRefused, jit.EntryRequest, jit.EntryGrant, jit.EntryUse, jit.EntryCallSent:
		return true
	case jit.EntryDecision, jit.EntryCallReturned, jit.EntryCallEnded:
		return s.Tone == Good || s.Tone == Warn && s.Kind == jit.EntryCallReturned
	}
	return false
}

// shape returns the outline of a step's mark around its place. Shapes differ by what
// happened and colours by how it went, so that neither is needed to read the other.
func (s Step) shape() string {
	switch s.Kind {
	case jit.EntryRefused: // a triangle
		return "M-5.5 4.5h11l-5.5 -10z"
	case jit.EntryDecision: // a diamond
		return "M-6 0l6 -6l6 6l-6 6z"
	case jit.EntryBlocked, StepDied, StepSilent, journal.EntryTaskUnknown, journal.EntryTaskAttempt: // a cross
		return "M-5 -3l2 -2l3 3l3 -3l2 2l-3 3l3 3l-2 2l-3 -3l-3 3l-2 -2l3 -3z"
	case jit.EntryCallSent, jit.EntryCallReturned, jit.EntryUse: // a square
		return "M-4.5 -4.5h9v9h-9z"
	}
	return "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z" // a circle
}

// tone is how the end of a call is to be taken.
func (c *Call) tone() Tone {
	switch {
	case c.Fate == FateCut:
		return Bad
	case c.Fate != FateEnded || c.Result == "pending":
		return Warn
	case c.Result == "ok":
		return Good
	}
	return Bad
}
