package offline

import (
	"fmt"
	"regexp"
	"slices"
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
	title := "Report on " + join(titles)
	if len(title) > maxTitle && len(titles) > 1 {
		return fmt.Sprintf("Report on %d documents", len(titles))
	}
	return clip(title, maxTitle)
}

// reportBody writes the report in Markdown.
func (w *work) reportBody() string {
	var parts, overview, missing, sources []string
	for _, d := range w.docs {
		source, top, label := d.id, "## Summary", "## %s\n\n"
		if d.title != d.id {
			source += ": " + escape(d.title)
		}
		if len(w.docs) > 1 {
			top, label = "## "+escape(d.heading()), "### %s\n\n"
			overview = append(overview, escape(d.name())+": "+escape(headline(w.summarize(d))))
		}
		parts = append(parts, top, w.quote(d, label, escape))
		sources = append(sources, source)
	}
	if overview != nil {
		lead := []string{"## Overview", fmt.Sprintf("This report covers %d documents.", len(w.docs)), bullets(overview)}
		parts = append(lead, parts...)
	}
	for _, o := range w.failed {
		missing = append(missing, escape(o.explain()))
	}
	if missing != nil {
		parts = append(parts, "## Missing", bullets(missing))
	}
	parts = append(parts, "## Sources", bullets(sources), "Sentences and figures are taken from the sources word for word.\n")
	return strings.Join(parts, "\n\n")
}

// headline returns the one line that says most.
func headline(s summary) string {
	if lines := slices.Concat(s.lead, s.points, s.figures); len(lines) > 0 {
		return clip(lines[0], 280)
	}
	return "no text that could be quoted"
}

// summarize quotes from d, dwelling on what the person asked about.
func (w *work) summarize(d *document) summary {
	return summarize(d, slices.Concat(w.question, w.focus), w.want)
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
