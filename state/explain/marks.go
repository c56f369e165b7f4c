package explain

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// A cluster is steps that are too close to each other for marks of their own.
type cluster struct {
	x, last px
	steps   []Step
}

// together is the distance below which marks would cover each other.
const together px = 12

// clusters groups steps by their place in the picture.
func (k *sketch) clusters(steps []Step) []cluster {
	steps = slices.Clone(steps)
	slices.SortStableFunc(steps, func(a, b Step) int { return a.Time.Compare(b.Time) })
	var out []cluster
	for _, s := range steps {
		x := k.x(s.Time)
		if n := len(out); n > 0 && x-out[n-1].last < together && x-out[n-1].x < 3*together {
			out[n-1].steps, out[n-1].last = append(out[n-1].steps, s), x
			continue
		}
		out = append(out, cluster{x: x, last: x, steps: []Step{s}})
	}
	return out
}

// worst returns the step by which a cluster is drawn: the gravest, and among those
// the one that says most.
func (c cluster) worst() Step {
	return slices.MaxFunc(c.steps, func(a, b Step) int { return weight(a) - weight(b) })
}

func (c cluster) tone() Tone {
	if s := c.worst(); s.Tone == Bad || s.Tone == Warn && !s.ordinary() {
		return s.Tone
	}
	return ""
}

func weight(s Step) int {
	w := 0
	switch {
	case s.Tone == Bad:
		w = 40
	case s.Tone == Warn && !s.ordinary():
		w = 20
	case s.Tone == Good:
		w = 5
	}
	if s.Kind == jit.EntryDecision {
		w += 5 // what it is all about
	}
	return w
}

// byWeight orders clusters by how much they matter, the gravest first.
func byWeight(clusters []cluster) []cluster {
	return slices.SortedStableFunc(slices.Values(clusters), func(a, b cluster) int { return weight(b.worst()) - weight(a.worst()) })
}

// labels returns what the cluster may be called, the longest first. A busy picture
// names only what is not ordinary.
func (c cluster) labels(busy bool) []string {
	var words []string
	for _, s := range c.steps {
		if busy && s.ordinary() {
			continue
		}
		if s.Label != "" && (len(words) == 0 || words[len(words)-1] != s.Label) {
			words = append(words, s.Label)
		}
	}
	const arrow = " → "
	switch n := len(words); {
	case n == 0:
		return nil
	case n <= 2:
		return []string{strings.Join(words, arrow), words[n-1]}
	default:
		short := words[0] + " → … → " + words[n-1]
		if worst := c.worst().Label; worst != words[0] && worst != words[n-1] && slices.Contains(words, worst) {
			short = words[0] + " → " + worst + " → … " + words[n-1]
		}
		return []string{strings.Join(words, arrow), short, words[n-1]}
	}
}

// marks draws clusters along a line, in a row that is laid out from 0.
func (k *sketch) marks(clusters []cluster, y px) []mark {
	out := make([]mark, 0, len(clusters))
	for _, c := range clusters {
		s := c.worst()
		tips := make([]string, 0, len(c.steps))
		for i, one := range c.steps {
			if i == 12 {
				tips = append(tips, fmt.Sprintf("and %d more", len(c.steps)-i))
				break
			}
			tips = append(tips, k.exact(one.Time)+" "+one.Text)
		}
		class := string(s.Tone)
		if class == "" {
			class = "plain"
		}
		x := c.x
		if len(c.steps) > 1 && s.Time.After(c.steps[0].Time) {
			x = k.x(s.Time)
		}
		out = append(out, mark{Path: shape(s, x, y), Class: class, Tip: strings.Join(tips, "\n")})
	}
	return out
}

// shape returns the outline of a step's mark around a place. Shapes differ by what
// happened and colours by how it went, so that neither is needed to read the other.
func shape(s Step, x, y px) string {
	at := func(dx, dy px, rest string) string { return fmt.Sprintf("M%s %s", x+dx, y+dy) + rest }
	switch s.Kind {
	case jit.EntryRefused: // a triangle
		return at(-5.5, 4.5, "h11l-5.5 -10z")
	case jit.EntryDecision: // a diamond
		return at(-6, 0, "l6 -6l6 6l-6 6z")
	case jit.EntryBlocked, StepDied, StepSilent, journal.EntryTaskUnknown, journal.EntryTaskAttempt: // a cross
		return at(-5, -3, "l2 -2l3 3l3 -3l2 2l-3 3l3 3l-2 2l-3 -3l-3 3l-2 -2l3 -3z")
	case jit.EntryCallSent, jit.EntryCallReturned, jit.EntryUse: // a square
		return at(-4.5, -4.5, "h9v9h-9z")
	}
	return at(-5, 0, "a5 5 0 1 0 10 0a5 5 0 1 0 -10 0z") // a circle
}

// short names a call by its tool and what is short among its arguments.
func (c *Call) short() string {
	tool := orWord(ident(c.Tool), "call")
	var args map[string]any
	if json.Unmarshal(c.Args, &args) != nil {
		return tool
	}
	for _, name := range slices.Sorted(maps.Keys(args)) {
		if text, ok := args[name].(string); ok && len(text) > 0 && len(text) <= 40 && !strings.Contains(text, "…") {
			tool += " " + ident(text)
		}
	}
	return tool
}

// short names a detail without its locations, which are the same all over a task.
func (d Detail) short() string {
	text, _, _ := strings.Cut(d.text(), " locations=")
	return text
}
