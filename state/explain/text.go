package explain

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"github.com/jitagent/jitagent/internal/plain"
)

// textWidth is the number of columns that text is folded to.
const textWidth = 80

// WriteText writes the story for people, with times in the given zone (nil means
// UTC). It writes no control characters but line breaks.
func (s *Story) WriteText(w io.Writer, zone *time.Location) error {
	p, v := &page{}, s.view(zone)
	for i, t := range v.Tasks {
		if i > 0 {
			p.para(0, "")
		}
		p.task(t)
	}
	if len(v.Tasks) == 0 {
		p.para(0, "There is nothing to tell: no entry names a task.")
	}
	if len(v.Elsewhere) > 0 {
		p.heading(0, "Elsewhere in the journal")
		p.steps(2, v.Elsewhere)
	}
	if _, err := io.WriteString(w, plain.Text(p.String())); err != nil {
		return fmt.Errorf("explain: write the story: %w", err)
	}
	return nil
}

// A page is a text in the making.
type page struct{ strings.Builder }

// item writes a text behind a label, folded below itself.
func (p *page) item(indent int, label, text string) {
	head := strings.Repeat(" ", indent) + label + "  "
	p.WriteString(head + plain.Fold(text, textWidth, uniseg.StringWidth(head)) + "\n")
}

// para writes a text with an indent.
func (p *page) para(indent int, text string) {
	p.WriteString(strings.Repeat(" ", indent) + plain.Fold(text, textWidth, indent) + "\n")
}

func (p *page) heading(indent int, text string) {
	p.para(0, "")
	p.para(indent, text)
}

func (p *page) task(t taskView) {
	p.para(0, t.Title)
	p.facts(2, t.Facts)
	p.para(0, "")
	for _, s := range t.Summary {
		p.para(2, s)
	}
	if t.Omitted != "" {
		p.para(2, t.Omitted)
	}
	for _, n := range t.Notes {
		p.item(2, "Note:", n)
	}
	for _, c := range t.Calls {
		p.heading(2, fmt.Sprintf("Call %d: %s — %s", c.Number, c.Name, c.Verdict))
		p.facts(4, c.Facts)
		p.steps(4, c.Steps)
	}
	if len(t.Steps) > 0 {
		p.heading(2, "The task itself")
		p.steps(4, t.Steps)
	}
	if len(t.Grants) > 0 {
		p.heading(2, "Tokens")
	}
	for _, g := range t.Grants {
		p.item(4, g.Time, g.For+": "+g.Life)
	}
	if len(t.Effects) > 0 {
		p.heading(2, "Requests that may change something")
	}
	for _, e := range t.Effects {
		p.item(4, fmt.Sprintf("%-14s", e.Outcome), fmt.Sprintf("%s, Idempotency-Key %s: sent %s. %s", e.Request, e.Key, e.Sent, e.Why))
	}
}

func (p *page) facts(indent int, facts []fact) {
	for _, f := range facts {
		p.item(indent, fmt.Sprintf("%-12s", f.Name), f.Value)
	}
}

func (p *page) steps(indent int, steps []stepView) {
	for _, s := range steps {
		p.item(indent, s.Time, s.Text)
	}
}

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
