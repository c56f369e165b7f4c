package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// frame adds the axis and what goes through all rows.
func (k *sketch) frame(c *chart, id string) {
	c.ID, c.Width, c.Left, c.Right, c.Axis = id, chartWidth, plotLeft, plotRight, axisHeight
	c.Desc = strings.Join(k.task.Summary, " ")
	c.Ticks = k.ticks()
	height := c.Height - axisHeight
	for _, b := range k.breaks {
		c.Breaks = append(c.Breaks, box{
			X: b.x0, Y: axisHeight, W: b.x1 - b.x0, H: height, Mid: (b.x0 + b.x1) / 2, Label: b.label(),
			Tip: fmt.Sprintf("The scale is broken here: %s in which nothing else happened.", b.length()),
		})
	}
	flags := &shelf{levels: 2, from: 4, to: chartWidth - 4}
	flag := func(at time.Time, class, text string) {
		x := k.x(at)
		if n, ok := flags.place(x, text); ok {
			c.Flags = append(c.Flags, note{X: n.x, Y: 11 + 12*px(n.level), Anchor: "start", Class: class, Text: text, Line: x})
		} else {
			c.Flags = append(c.Flags, note{Class: class, Line: x})
		}
	}
	for i, d := range k.task.Deaths {
		if i == 4 { // one crash after the other looks like one
			break
		}
		text := "process died"
		if d.closing {
			text = "process ended"
		}
		flag(d.LastSign, "bad", text)
		until := d.RecoveredAt
		if until.IsZero() {
			until = k.at
		} else {
			flag(until, "good", "recovered")
		}
		x0, x1 := k.x(d.LastSign), k.x(until)
		c.Zones = append(c.Zones, box{X: x0, Y: axisHeight, W: max(2, x1-x0), H: height, Tip: fmt.Sprintf("Nobody worked on the task for %s.", span(until.Sub(d.LastSign)))})
	}
	if !k.task.State.Finished() {
		flag(k.at, "", "now")
	}
}

// A shelf places labels side by side, on a few levels.
type shelf struct {
	levels   int
	from, to px
	taken    [][]spot
}

// A spot is the place of a label.
type spot struct {
	x, end px
	level  int
}

// place finds room for a text that is to begin at x, or a little before where the
// picture ends.
func (s *shelf) place(x px, text string) (spot, bool) {
	if s.taken == nil {
		s.taken = make([][]spot, s.levels)
	}
	width := textLength(text) + 8
	x = max(s.from, min(x, s.to-width))
	for level := range s.levels {
		want := spot{x, x + width, level}
		if !slices.ContainsFunc(s.taken[level], func(t spot) bool { return t.x < want.end && want.x < t.end }) {
			s.taken[level] = append(s.taken[level], want)
			return want, true
		}
	}
	return spot{}, false
}
