package explain

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/rar"
)

// Lengths in runes to which texts are cut within sentences. The story's fields
// have them whole.
const (
	maxIdent = 120 // an identifier or a name
	maxURL   = 240
	maxText  = 600 // a free text
	maxArg   = 80  // one argument of a call
)

func ident(s string) string { return plain.Line(s, maxIdent) }

func address(s string) string { return plain.Line(s, maxURL) }

// quote shows a free text so that it cannot be taken for one of our own words.
func quote(s string) string {
	s = strings.NewReplacer("“", `"`, "”", `"`).Replace(s)
	return "“" + plain.Line(s, maxText) + "”"
}

// sentence formats a sentence. One that ends in a quotation with a full stop of its
// own gets no second one.
func sentence(format string, args ...any) string {
	s := fmt.Sprintf(format, args...)
	for _, stop := range []string{".", "!", "?"} {
		s = strings.ReplaceAll(s, stop+"”.", stop+"”")
	}
	return s
}

// because returns ": “s”", or nothing for an empty text.
func because(s string) string { return quoted(": ", s, "") }

// quoted quotes a text between two others, and returns nothing for an empty one.
func quoted(before, s, after string) string {
	if s == "" {
		return ""
	}
	return before + quote(s) + after
}

// span words a length of time with two units at most.
func span(d time.Duration) string {
	if d < 0 {
		d = 0
	}
	two := func(a int64, an string, b int64, bn string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, an)
		}
		return fmt.Sprintf("%d %s %d %s", a, an, b, bn)
	}
	switch {
	case d == 0:
		return "0 ms"
	case d < 10*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
	case d.Round(time.Millisecond) < time.Second:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	case d.Round(100*time.Millisecond) < time.Minute:
		return strings.TrimSuffix(fmt.Sprintf("%.1f", d.Seconds()), ".0") + " s"
	case d.Round(time.Second) < time.Hour:
		s := int64(d.Round(time.Second).Seconds())
		return two(s/60, "min", s%60, "s")
	case d.Round(time.Minute) < 24*time.Hour:
		m := int64(d.Round(time.Minute).Minutes())
		return two(m/60, "h", m%60, "min")
	}
	h := int64(d.Round(time.Hour).Hours())
	return two(h/24, "d", h%24, "h")
}

// A calendar writes moments in a zone, with the date only where it is not that of
// the day that is told about.
type calendar struct {
	zone *time.Location
	day  time.Time
}

func (c calendar) sameDay(t time.Time) bool {
	y, m, d := c.day.In(c.zone).Date()
	ty, tm, td := t.In(c.zone).Date()
	return y == ty && m == tm && d == td
}

// clock writes a moment to the second.
func (c calendar) clock(t time.Time) string { return c.format(t, "15:04:05") }

// exact writes a moment to the millisecond.
func (c calendar) exact(t time.Time) string { return c.format(t, "15:04:05.000") }

func (c calendar) format(t time.Time, layout string) string {
	if t.IsZero() {
		return "(no time)"
	}
	if !c.sameDay(t) {
		layout = "2 Jan 2006 " + layout
	}
	return t.In(c.zone).Format(layout)
}

// full writes a moment with date and zone.
func (c calendar) full(t time.Time) string {
	if t.IsZero() {
		return "(no time)"
	}
	return t.In(c.zone).Format("Mon 2 Jan 2006 15:04:05 MST")
}

// after words how long after the first moment the second one is, if both are known.
func after(from, to time.Time) string {
	if from.IsZero() || to.IsZero() {
		return ""
	}
	return " after " + span(to.Sub(from))
}

// detail copies d for a story.
func detail(d rar.Detail) Detail {
	out := Detail{Text: d.String()}
	if text, err := d.Canonical(); err == nil {
		out.Detail = text
	}
	return out
}

func details(ds []rar.Detail) []Detail {
	out := make([]Detail, len(ds))
	for i, d := range ds {
		out[i] = detail(d)
	}
	return out
}

// join words a list of details.
func join(ds []Detail, and string) string {
	if len(ds) == 0 {
		return "nothing"
	}
	texts := make([]string, len(ds))
	for i, d := range ds {
		texts[i] = plain.Line(d.Text, maxURL)
	}
	return strings.Join(texts, " "+and+" ")
}

func detailOf(d *rar.Detail) Detail {
	if d == nil {
		return Detail{Text: "something that is not recorded"}
	}
	return detail(*d)
}

// arguments keeps what was recorded as arguments in a form that is JSON.
func arguments(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 || json.Valid(raw) {
		return slices.Clone(raw)
	}
	text, err := json.Marshal(string(raw))
	if err != nil {
		return nil
	}
	return text
}

// invocation writes a call as a programmer would.
func (c *Call) invocation() string {
	tool := cmp.Or(ident(c.Tool), "a call without a name")
	var args map[string]json.RawMessage
	if json.Unmarshal(c.Args, &args) != nil {
		if len(c.Args) == 0 || string(c.Args) == "null" {
			return tool
		}
		return tool + "(" + plain.Line(string(c.Args), maxArg) + ")"
	}
	parts := make([]string, 0, len(args))
	for _, name := range slices.Sorted(maps.Keys(args)) {
		parts = append(parts, ident(name)+": "+plain.Line(string(args[name]), maxArg))
	}
	return tool + "(" + plain.Line(strings.Join(parts, ", "), 2*maxURL) + ")"
}
