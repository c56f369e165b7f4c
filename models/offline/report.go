package offline

import (
	"fmt"
	"regexp"
	"strings"
)

// maxTitle bounds a title that this model makes up, in bytes.
const maxTitle = 120

// reportTitle returns the title as the person gave it, or one made of what the
// documents are called.
func (w *work) reportTitle() string {
	if w.title != "" {
		return w.title
	}
	var titles []string
	for _, d := range w.docs {
		titles = append(titles, d.title)
	}
	if title := "Report on " + join(titles); len(title) <= maxTitle {
		return title
	}
	if len(titles) == 1 {
		return clip("Report on "+titles[0], maxTitle)
	}
	return fmt.Sprintf("Report on %d documents", len(titles))
}

// reportBody writes the report in Markdown.
func (w *work) reportBody() string {
	var b strings.Builder
	if len(w.docs) == 1 {
		w.writeDocument(&b, w.docs[0], "## Summary", "## ")
	} else {
		b.WriteString("## Overview\n\n")
		fmt.Fprintf(&b, "This report covers %d documents.\n\n", len(w.docs))
		for _, d := range w.docs {
			fmt.Fprintf(&b, "- %s: %s\n", escape(d.name()), escape(headline(w.summarize(d))))
		}
		b.WriteByte('\n')
		for _, d := range w.docs {
			w.writeDocument(&b, d, "## "+escape(d.heading()), "### ")
		}
	}
	if len(w.failed) > 0 {
		b.WriteString("## Missing\n\n")
		for _, o := range w.failed {
			fmt.Fprintf(&b, "- %s\n", escape(o.explain()))
		}
		b.WriteByte('\n')
	}
	b.WriteString("## Sources\n\n")
	for _, d := range w.docs {
		fmt.Fprintf(&b, "- %s", d.id)
		if d.title != d.id {
			fmt.Fprintf(&b, ": %s", escape(d.title))
		}
		b.WriteByte('\n')
	}
	b.WriteString("\nSentences and figures are taken from the sources word for word.\n")
	return b.String()
}

// headline returns the one line that says most.
func headline(s summary) string {
	for _, lines := range [][]string{s.lead, s.points, s.figures} {
		if len(lines) > 0 {
			return clip(lines[0], 280)
		}
	}
	return "no text that could be quoted"
}

// writeDocument writes what is quoted from d below the heading top; level begins
// the headings beneath.
func (w *work) writeDocument(b *strings.Builder, d *document, top, level string) {
	s := w.summarize(d)
	fmt.Fprintf(b, "%s\n\n", top)
	switch lead := escapeAll(s.lead); {
	case len(lead) > 0:
		fmt.Fprintf(b, "%s\n\n", joinSentences(lead))
	case len(s.points) == 0 && len(s.figures) == 0:
		b.WriteString("The document holds no text that could be quoted.\n\n")
	}
	list := func(heading string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(b, "%s%s\n\n", level, heading)
		for _, line := range escapeAll(lines) {
			fmt.Fprintf(b, "- %s\n", line)
		}
		b.WriteByte('\n')
	}
	list("Key points", s.points)
	list("Key figures", s.figures)
	for _, note := range d.notes() {
		fmt.Fprintf(b, "%s\n\n", note)
	}
}

// summarize quotes from d, dwelling on what the person asked about.
func (w *work) summarize(d *document) summary {
	return summarize(d, append(w.question[:len(w.question):len(w.question)], w.focus...), w.want)
}

func escapeAll(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = escape(line)
	}
	return out
}

var (
	// structure is what begins a block at the start of a line.
	structure = regexp.MustCompile(`^(#|>|[-+*=~|]|\d+[.)] |\[|!\[)`)
	// active is what makes HTML, links and code inside one. Underscores and stars are
	// left: identifiers and figures must stay readable, and emphasis does no harm.
	active = regexp.MustCompile("<[A-Za-z/!?]|]\\(|]\\[|`")
)

// escape escapes plain text so that it stays text in a report: a document must
// not smuggle a heading, a link or HTML into it.
func escape(s string) string {
	if strings.ContainsAny(s, "<]`") { // as every match does
		s = active.ReplaceAllStringFunc(s, func(m string) string { return `\` + m })
	}
	if structure.MatchString(s) {
		s = `\` + s
	}
	return s
}
