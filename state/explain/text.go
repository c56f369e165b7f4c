package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
)

// textWidth is the number of columns that text is wrapped to.
const textWidth = 100

// WriteText writes the story for people, with times in the given zone (nil means
// UTC). It writes no control characters but line breaks.
func (s *Story) WriteText(w io.Writer, zone *time.Location) error {
	if zone == nil {
		zone = time.UTC
	}
	p := &page{zone: zone}
	for i, t := range s.Tasks {
		if i > 0 {
			p.line("")
		}
		p.task(t)
	}
	if len(s.Tasks) == 0 {
		p.line("There is nothing to tell: no entry names a task.")
	}
	if len(s.Strays)+len(s.Gaps) > 0 {
		p.line("")
		p.line("Elsewhere in the journal")
	}
	for _, g := range s.Gaps {
		p.item(2, g.Time.In(zone).Format("2 Jan 2006 15:04:05"), g.Text)
	}
	p.calendar = calendar{zone: zone}
	p.steps(2, s.Strays)
	if _, err := io.WriteString(w, plain.Text(p.b.String())); err != nil {
		return fmt.Errorf("explain: write the story: %w", err)
	}
	return nil
}

// A page is a text in the making.
type page struct {
	calendar
	zone *time.Location
	b    strings.Builder
}

func (p *page) line(s string) { p.b.WriteString(s + "\n") }

// item writes a text behind a label, wrapped below itself.
func (p *page) item(indent int, label, text string) {
	head := strings.Repeat(" ", indent) + label + "  "
	hang := strings.Repeat(" ", uniseg.StringWidth(head))
	for i, line := range wrap(text, textWidth-len(hang)) {
		if i == 0 {
			p.line(head + line)
		} else {
			p.line(hang + line)
		}
	}
}

// para writes a text with an indent.
func (p *page) para(indent int, text string) {
	for _, line := range wrap(text, textWidth-indent) {
		p.line(strings.Repeat(" ", indent) + line)
	}
}

// wrap breaks a text at spaces. A word that is longer than a line stays whole, so
// that it can be copied.
func wrap(text string, width int) []string {
	var lines []string
	line, used := "", 0
	for word := range strings.FieldsSeq(text) {
		n := uniseg.StringWidth(word)
		if used > 0 && used+1+n > width {
			lines, line, used = append(lines, line), "", 0
		}
		if used > 0 {
			line, used = line+" ", used+1
		}
		line, used = line+word, used+n
	}
	return append(lines, line)
}

func (p *page) task(t *Task) {
	p.calendar = calendar{p.zone, t.Opened}
	p.para(0, t.title())
	for _, f := range t.facts(p.calendar) {
		p.item(2, fmt.Sprintf("%-12s", f.Name), f.Value)
	}
	p.line("")
	for _, s := range t.Summary {
		p.para(2, s)
	}
	if t.Omitted > 0 {
		p.para(2, fmt.Sprintf("The other %s of the task %s left out here.", plain.Count(t.Omitted, "call"), plural(t.Omitted, "is", "are")))
	}
	for _, n := range t.Notes {
		p.item(2, "Note:", n)
	}
	for _, c := range t.Calls {
		p.call(c)
	}
	if len(t.Steps) > 0 {
		p.line("")
		p.line("  The task itself")
		p.steps(4, t.Steps)
	}
	if len(t.Grants) > 0 {
		p.line("")
		p.line("  Tokens")
	}
	for _, g := range t.Grants {
		p.item(4, p.exact(g.Issued), fmt.Sprintf("%s (request %s): %s", g.Detail.text(), ident(g.Request), g.life(p.calendar)))
	}
	if len(t.Effects) > 0 {
		p.line("")
		p.line("  Requests that may change something")
	}
	for _, e := range t.Effects {
		p.item(4, fmt.Sprintf("%-14s", e.outcome()), fmt.Sprintf("%s %s, Idempotency-Key %s: sent %s. %s",
			ident(e.Method), address(e.URL), orWord(ident(e.Key), "not recorded"), times(len(e.Sends)), e.Why))
	}
}

func (p *page) call(c *Call) {
	p.line("")
	p.para(2, fmt.Sprintf("Call %d: %s — %s", c.Number, c.invocation(), c.verdict()))
	if c.ID != "" {
		p.item(4, fmt.Sprintf("%-12s", "id"), ident(c.ID))
	}
	p.item(4, fmt.Sprintf("%-12s", "may ask for"), join(c.Ceiling, "or"))
	if c.Justification != "" {
		p.item(4, fmt.Sprintf("%-12s", "because"), quote(c.Justification))
	}
	p.steps(4, c.Steps)
}

func (p *page) steps(indent int, steps []Step) {
	for _, s := range steps {
		p.item(indent, p.exact(s.Time), s.Text)
	}
}

// A fact is a line of a task's head.
type fact struct{ Name, Value string }

func (t *Task) title() string {
	name := t.ID
	if name == "" {
		name = "of run " + t.Run
	}
	if t.Name == "" {
		return "Task " + ident(name)
	}
	return fmt.Sprintf("Task %s: %s", ident(name), quote(t.Name))
}

// facts are what a task's head says.
func (t *Task) facts(c calendar) []fact {
	facts := []fact{{"state", string(t.State)}}
	if t.OnBehalfOf != "" {
		facts = append(facts, fact{"for", ident(t.OnBehalfOf)})
	}
	if t.Authority != "" {
		facts = append(facts, fact{"authority", address(t.Authority)})
	}
	if t.Session != "" {
		facts = append(facts, fact{"session", ident(t.Session)})
	}
	facts = append(facts, fact{"run", ident(t.Run)}, fact{"began", c.full(t.Opened)})
	ends := map[journal.State]string{journal.StateCompleted: "ended", journal.StateExpired: "expired", journal.StateUnknown: "given up"}
	if name := ends[t.State]; name != "" {
		facts = append(facts, fact{name, fmt.Sprintf("%s,%s", c.clock(t.Ended), after(t.Opened, t.Ended))})
	}
	return facts
}

// life words how long a token was valid and how often it was used.
func (g *Grant) life(c calendar) string {
	uses := "used " + times(len(g.Uses))
	if len(g.Uses) == 0 {
		uses = "never used for a request"
	}
	granted := ""
	if !g.Expires.IsZero() {
		granted = " of " + span(g.Expires.Sub(g.Issued))
	}
	switch g.End {
	case journal.GrantRevoked:
		return fmt.Sprintf("revoked at %s,%s%s; %s", c.exact(g.Ended), after(g.Issued, g.Ended), granted, uses)
	case journal.GrantExpired:
		return fmt.Sprintf("expired by itself at %s,%s; %s", c.clock(g.Ended), after(g.Issued, g.Ended), uses)
	case journal.GrantLive:
		if g.Expires.IsZero() {
			return "alive; " + uses
		}
		return fmt.Sprintf("alive, until %s; %s", c.clock(g.Expires), uses)
	}
	if g.End == journal.GrantUnknown {
		return "not known whether it was revoked; " + uses
	}
	return fmt.Sprintf("not known whether it was revoked, ends by itself at %s; %s", c.clock(g.Expires), uses)
}

// outcome words what became of an effect.
func (e *Effect) outcome() string { return ident(strings.ReplaceAll(string(e.Outcome), "_", " ")) }

// WriteJSON writes the story as JSON. What is not printable stands there as an
// escape, so that no terminal acts on it and no text is lost.
func (s *Story) WriteJSON(w io.Writer) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("explain: encode the story: %w", err)
	}
	if _, err := w.Write(append(plain.JSON(text), '\n')); err != nil {
		return fmt.Errorf("explain: write the story: %w", err)
	}
	return nil
}
