package explain

import (
	"fmt"
	"slices"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// The picture of a task: names on the left, time in the middle, outcomes on the
// right. All lengths are in the units of its view box.
const (
	chartWidth px = 1100
	plotLeft   px = 276
	plotRight  px = 976
	axisHeight px = 44
	maxHeight  px = 900 // of one chart, which fits on a printed page; a longer one goes on in the next
)

// A chart is one picture.
type chart struct {
	Width, Height px
	Left, Right   px
	Axis          px // where the plot begins, below the axis
	ID            string
	Title, Desc   string
	Ticks         []tick
	Breaks        []box
	Zones         []box // in which nobody worked on the task
	Flags         []note
	Rows          []row
}

// A box is a rectangle with words: a tip, and perhaps a label.
type box struct {
	X, Y, W, H px
	Class      string
	Tip        string
	Label      string
	Mid        px
}

// A note is a text at a place.
type note struct {
	X, Y   px
	Anchor string // start, middle or end
	Class  string
	Text   string
	Line   px // where its line stands
}

// A mark is a small shape at a moment.
type mark struct {
	Path  string // around its place in a row that begins at 0
	Y     px     // of the row
	Class string
	Tip   string
}

// A row is one line of the picture.
type row struct {
	Class  string
	Y, H   px
	Base   px // of its texts
	Name   string
	Tip    string
	Result string
	Tone   Tone
	Boxes  []box
	Marks  []mark
	Notes  []note
}

// A sketch lays out the charts of a task.
type sketch struct {
	calendar
	task *Task
	at   time.Time
	*scale
	busy bool // too much happens to name the ordinary
}

// manyCalls is how many calls are still described mark by mark.
const manyCalls = 12

func newSketch(t *Task, at time.Time, c calendar) *sketch {
	k := &sketch{calendar: c, task: t, at: at, busy: len(t.Calls) > manyCalls}
	k.scale = newScale(t.Opened, k.moments(), plotLeft, plotRight)
	return k
}

// moments are all that must be visible.
func (k *sketch) moments() []time.Time {
	t := k.task
	out := []time.Time{t.Opened, t.Last}
	for _, s := range t.Steps {
		out = append(out, s.Time)
	}
	for _, c := range t.Calls {
		for _, s := range c.Steps {
			out = append(out, s.Time)
		}
		if c.Fate == FateRunning {
			out = append(out, k.at)
		}
	}
	for _, g := range t.Grants {
		out = append(out, g.Issued, k.grantEnd(g))
	}
	if !t.State.Finished() {
		out = append(out, k.at)
	}
	return keep(out, func(m time.Time) bool { return !m.IsZero() })
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
	return k.at
}

// charts lays the task out, a call with its grants never torn apart unless it is
// longer than a chart.
func (k *sketch) charts(id string) []chart {
	groups := [][]row{{k.taskRow()}}
	for _, c := range k.task.Calls {
		group := []row{k.callRow(c)}
		for _, g := range k.task.Grants {
			if g.call == c {
				group = append(group, k.grantRow(g))
			}
		}
		groups = append(groups, group)
	}
	var foreign []row
	for _, g := range k.task.Grants {
		if !slices.Contains(k.task.Calls, g.call) {
			foreign = append(foreign, k.grantRow(g))
		}
	}
	if len(foreign) > 0 {
		groups = append(groups, foreign)
	}
	var out []chart
	one := chart{}
	y := axisHeight
	flush := func() {
		if len(one.Rows) == 0 {
			return
		}
		one.Height = y + 6
		k.frame(&one, fmt.Sprintf("%s-%d", id, len(out)+1))
		out = append(out, one)
		one, y = chart{}, axisHeight
	}
	for _, group := range groups {
		height := px(0)
		for _, r := range group {
			height += r.H
		}
		if y+height > maxHeight && len(one.Rows) > 1 {
			flush()
		}
		for _, r := range group {
			if y+r.H > maxHeight {
				flush()
			}
			one.Rows = append(one.Rows, r.moved(y))
			y += r.H
		}
	}
	flush()
	for i := range out {
		out[i].Title = "Timeline of " + k.task.title()
		if len(out) > 1 {
			out[i].Title += fmt.Sprintf(", part %d of %d", i+1, len(out))
		}
	}
	return out
}

// moved places a row that was laid out from 0.
func (r row) moved(y px) row {
	r.Y, r.Base = y, r.Base+y
	for i := range r.Boxes {
		r.Boxes[i].Y += y
	}
	for i := range r.Notes {
		r.Notes[i].Y += y
	}
	for i := range r.Marks {
		r.Marks[i].Y += y
	}
	return r
}

func (k *sketch) taskRow() row {
	t := k.task
	r := row{Class: "task", H: 26, Base: 17, Name: "the task", Tip: t.title(), Result: string(t.State)}
	switch t.State {
	case "completed":
		r.Tone = Good
	case "unknown":
		r.Tone = Bad
	default:
		r.Tone = Warn
	}
	to := t.Ended
	if to.IsZero() {
		to = k.at
	}
	x0, x1 := k.x(t.Opened), k.x(to)
	r.Boxes = []box{{X: x0, Y: 11, W: max(3, x1-x0), H: 4, Class: "life", Tip: fmt.Sprintf("The task: %s%s.", t.State, after(t.Opened, to))}}
	r.Marks = k.marks(k.clusters(t.Steps), 13)
	return r
}

func (k *sketch) callRow(c *Call) row {
	r := row{Class: "call", Name: cut(fmt.Sprintf("%d  %s", c.Number, c.short()), plotLeft-28), Tip: c.invocation(), Result: cut(c.verdict(), chartWidth-plotRight-18), Tone: c.tone()}
	clusters := k.clusters(c.Steps)
	labels := &shelf{levels: 3, from: plotLeft - 4, to: plotRight + 8}
	if k.busy {
		labels.levels = 1
	}
	used := 0
	var notes []note
	for _, cl := range byWeight(clusters) { // the gravest find room first
		for _, text := range cl.labels(k.busy) {
			if s, ok := labels.place(cl.x-4, text); ok {
				notes = append(notes, note{X: s.x, Y: px(s.level), Anchor: "start", Class: string(cl.tone()), Text: text})
				used = max(used, s.level+1)
				break
			}
		}
	}
	top := 4 + 13*px(used) // of the bar
	for i := range notes {
		// the lowest level is next to the bar
		notes[i].Y = top - 3 - 13*notes[i].Y
	}
	r.H, r.Base, r.Notes = top+20, top+10, notes
	x0, x1 := k.x(c.Began), k.x(k.callEnd(c))
	r.Boxes = []box{{X: x0, Y: top + 4, W: max(3, x1-x0), H: 5, Class: "life " + string(c.Fate), Tip: fmt.Sprintf("Call %d%s: %s", c.Number, after(c.Began, k.callEnd(c)), c.verdict())}}
	for _, q := range k.task.Asked {
		if q.call == c && !q.Pending.IsZero() {
			end := k.waitEnd(q, c)
			a, b := k.x(q.Pending), k.x(end)
			r.Boxes = append(r.Boxes, box{
				X: a, Y: top + 1, W: max(3, b-a), H: 11, Class: "wait",
				Tip: fmt.Sprintf("Request %s waited %s for a person.", ident(q.ID), span(end.Sub(q.Pending))),
			})
		}
	}
	r.Marks = k.marks(clusters, top+6.5)
	return r
}

// waitEnd is when a request stopped waiting for a person.
func (k *sketch) waitEnd(q *Request, c *Call) time.Time {
	if !q.Decided.IsZero() {
		return q.Decided
	}
	return k.callEnd(c)
}

// callEnd is where the bar of a call ends.
func (k *sketch) callEnd(c *Call) time.Time {
	switch {
	case !c.Ended.IsZero():
		return c.Ended
	case c.Fate == FateRunning:
		return k.at
	case len(c.Steps) > 0:
		return c.Steps[len(c.Steps)-1].Time
	}
	return c.Began
}

func (k *sketch) grantRow(g *Grant) row {
	r := row{Class: "grant", H: 20, Base: 14, Name: cut("token: "+g.Detail.short(), plotLeft-42), Result: string(g.End)}
	switch g.End {
	case journal.GrantRevoked:
		r.Tone = Good
	case journal.GrantUnknown, journal.GrantExpires:
		r.Tone = Bad
	case journal.GrantLive:
		r.Tone = Warn
	}
	r.Tip = fmt.Sprintf("Token for %s (request %s): %s.", g.Detail.text(), ident(g.Request), g.life(k.calendar))
	x0, x1 := k.x(g.Issued), k.x(k.grantEnd(g))
	r.Boxes = []box{{X: x0, Y: 4, W: max(3, x1-x0), H: 12, Class: "token " + string(g.End), Tip: r.Tip}}
	for _, u := range g.Uses {
		status := "no answer recorded"
		if u.Status != 0 {
			status = fmt.Sprint(u.Status)
		}
		r.Boxes = append(r.Boxes, box{X: k.x(u.Time) - 1, Y: 4, W: 2, H: 12, Class: "use", Tip: fmt.Sprintf("%s: %s %s: %s", k.exact(u.Time), ident(u.Method), address(u.URL), status)})
	}
	return r
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
