package explain

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rivo/uniseg"
)

// A px is a length in the picture.
type px float64

// String writes it for an SVG attribute.
func (p px) String() string { return fmt.Sprintf("%.1f", float64(p)) }

// charWidth is a generous guess at the mean width of a character in the picture's
// small print: labels are placed without measuring, since the reader's fonts are
// not known.
const charWidth px = 6.7

func textLength(s string) px { return px(uniseg.StringWidth(s)) * charWidth }

// cut shortens s to fit into a length.
func cut(s string, limit px) string {
	if textLength(s) <= limit {
		return s
	}
	var b strings.Builder
	room := limit - charWidth
	for g := uniseg.NewGraphemes(s); g.Next(); {
		if room -= px(g.Width()) * charWidth; room < 0 {
			break
		}
		b.WriteString(g.Str())
	}
	return strings.TrimRight(b.String(), " ") + "…"
}

// A scale places moments. It is linear but for a few breaks, where nothing happens
// for so long that the rest would be too small to see.
type scale struct {
	zero     time.Time // what ticks count from
	from, to time.Time
	x0, x1   px
	breaks   []breach
	perSec   px // of the linear parts
}

// A breach is a length of time that is drawn shorter than it is.
type breach struct {
	from, to time.Time
	x0, x1   px
}

func (b breach) label() string { return "// " + b.length() + " //" }

func (b breach) length() string { return span(b.to.Sub(b.from)) }

const (
	maxBreaks = 4
	minBreak  = px(60)

	// Gaps are broken only if what is left takes no more than this part of the
	// length, where one gap does it, or that one, where it takes several.
	worthOne, worthSeveral = 0.25, 0.2

	// A gap that is no more than this part of the length is none.
	leastGap = 0.2
)

// newScale makes a scale for moments, among which are its ends.
func newScale(zero time.Time, moments []time.Time, x0, x1 px) *scale {
	moments = slices.SortedFunc(slices.Values(moments), time.Time.Compare)
	moments = slices.CompactFunc(moments, time.Time.Equal)
	if len(moments) == 0 { // nothing has a time
		moments = []time.Time{zero}
	}
	s := &scale{zero: zero, from: moments[0], to: moments[len(moments)-1], x0: x0, x1: x1}
	s.chooseBreaks(moments)
	room, length := x1-x0, s.to.Sub(s.from)
	for i := range s.breaks {
		b := &s.breaks[i]
		b.x1 = max(minBreak, textLength(b.label())+16) // its width, for now
		room -= b.x1
		length -= b.to.Sub(b.from)
	}
	if length > 0 {
		s.perSec = room / px(length.Seconds())
	}
	for i := range s.breaks {
		b := &s.breaks[i]
		width := b.x1
		b.x0 = s.x(b.from) // needs the breaks before it only
		b.x1 = b.x0 + width
	}
	return s
}

// chooseBreaks breaks the longest gaps, as few as make a difference, again and
// again for what is left.
func (s *scale) chooseBreaks(moments []time.Time) {
	type gap struct{ from, to time.Time }
	length := func(g gap) time.Duration { return g.to.Sub(g.from) }
	var gaps []gap
	for i, m := range moments[1:] {
		gaps = append(gaps, gap{moments[i], m})
	}
	slices.SortStableFunc(gaps, func(a, b gap) int { return int(min(1, max(-1, length(b)-length(a)))) })
	left := s.to.Sub(s.from)
	var chosen []gap
	most := min(maxBreaks, len(gaps)/2) // with more, the exception would be the rule
	for pos := 0; pos < most; {
		rest, next, worth := left, pos, false
		for next < most && !worth && float64(length(gaps[next])) > leastGap*float64(left) {
			rest -= length(gaps[next])
			next++
			share := worthSeveral
			if next == pos+1 {
				share = worthOne
			}
			worth = float64(rest) <= share*float64(left)
		}
		if !worth || rest <= 0 {
			break
		}
		chosen = append(chosen, gaps[pos:next]...)
		left, pos = rest, next
	}
	slices.SortFunc(chosen, func(a, b gap) int { return a.from.Compare(b.from) })
	for _, g := range chosen {
		s.breaks = append(s.breaks, breach{from: g.from, to: g.to})
	}
}

// x places a moment. What lies outside the scale is at its ends.
func (s *scale) x(t time.Time) px {
	switch {
	case t.Before(s.from):
		t = s.from
	case t.After(s.to):
		t = s.to
	}
	x, at := s.x0, s.from
	for _, b := range s.breaks {
		if !t.After(b.from) {
			break
		}
		x += px(b.from.Sub(at).Seconds()) * s.perSec
		if t.Before(b.to) {
			return x + (b.x1-b.x0)*px(t.Sub(b.from).Seconds()/b.to.Sub(b.from).Seconds())
		}
		x, at = x+b.x1-b.x0, b.to
	}
	return min(s.x1, x+px(t.Sub(at).Seconds())*s.perSec)
}

// A tick is a mark of the axis. Label is empty where there is no room for one.
type tick struct {
	X     px
	Label string
}

// tickRoom is the least distance of ticks.
const tickRoom = 76

func steps() []time.Duration {
	var out []time.Duration
	for unit := 100 * time.Microsecond; unit < time.Second; unit *= 10 {
		out = append(out, unit, 2*unit, 5*unit)
	}
	for _, s := range []int{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 4 * 3600, 8 * 3600, 24 * 3600} {
		out = append(out, time.Duration(s)*time.Second)
	}
	return out
}

// maxTicks bounds the ticks of a scale that is longer than any step is made for.
const maxTicks = 40

// ticks returns those of the linear parts.
func (s *scale) ticks() []tick {
	switch far := 100 * 365 * 24 * time.Hour; {
	case s.perSec <= 0:
		return []tick{{s.x0, "0"}}
	case s.to.Sub(s.zero) > far || s.zero.Sub(s.from) > far:
		return nil // some clock was wrong; a time.Duration holds no much longer time
	}
	step := 24 * time.Hour
	for _, d := range steps() {
		if px(d.Seconds())*s.perSec >= tickRoom {
			step = d
			break
		}
	}
	for s.to.Sub(s.from)/step > maxTicks*100 {
		step *= 10
	}
	var out []tick
	full := s.x0 - tickRoom // where the last label ends
	part := func(from, to time.Time, stop px) {
		first := from.Sub(s.zero).Truncate(step)
		for d := first; ; d += step {
			at := s.zero.Add(d)
			if at.After(to) || len(out) > maxTicks {
				return
			}
			if at.Before(from) {
				continue
			}
			t := tick{X: s.x(at), Label: tickLabel(d)}
			half := textLength(t.Label)/2 + 4
			if t.X-half < full || t.X+half > stop+4 && stop < s.x1 {
				t.Label = ""
			} else {
				full = t.X + half
			}
			out = append(out, t)
		}
	}
	at := s.from
	for _, b := range s.breaks {
		part(at, b.from, b.x0)
		at, full = b.to, b.x1
	}
	part(at, s.to, s.x1)
	return out
}

// tickLabel writes a time since the beginning.
func tickLabel(d time.Duration) string {
	if d < 0 {
		return "-" + tickLabel(-d)
	}
	switch {
	case d == 0:
		return "0"
	case d < time.Second:
		return trimZeros(fmt.Sprintf("%.1f", float64(d)/float64(time.Millisecond))) + " ms"
	case d < time.Minute:
		return trimZeros(fmt.Sprintf("%.4f", d.Seconds())) + " s"
	}
	h, m, sec := int(d.Hours()), int(d.Minutes())%60, (d % time.Minute).Seconds()
	text := trimZeros(fmt.Sprintf("%07.4f", sec))
	if h > 0 {
		return fmt.Sprintf("%d:%02d:%s", h, m, text)
	}
	return fmt.Sprintf("%d:%s", m, text)
}

func trimZeros(s string) string { return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") }
