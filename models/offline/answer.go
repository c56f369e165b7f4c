package offline

import (
	"fmt"
	"strings"
)

// answer words what the person gets to read: the summary or the answer, then the
// report, then what is missing.
func (w *work) answer() string {
	var parts []string
	add := func(s string) {
		if s != "" {
			parts = append(parts, s)
		}
	}
	for _, d := range w.docs {
		if len(w.question) > 0 && (!w.guessed || len(search(d, w.question)) > 0) {
			add(answerFrom(d, w.question))
		} else {
			add(w.summaryText(d))
		}
	}
	add(w.reportText())
	for _, o := range w.failed {
		add(o.explain())
	}
	if w.more > 0 {
		add(fmt.Sprintf("I read at most %d documents for one request and left %d out; ask for those by themselves.", maxIDs, w.more))
	}
	return strings.Join(parts, "\n\n")
}

// name returns how a document is spoken of.
func (d *document) name() string {
	if d.title == d.id {
		return d.id
	}
	return fmt.Sprintf("“%s” (%s)", clip(d.title, 160), d.id)
}

// heading returns the title with the identifier behind it.
func (d *document) heading() string {
	if d.title == d.id {
		return d.id
	}
	return fmt.Sprintf("%s (%s)", clip(d.title, 160), d.id)
}

func answerFrom(d *document, question []string) string {
	found := search(d, question)
	var b strings.Builder
	if len(found) == 0 {
		fmt.Fprintf(&b, "I find no answer to that in %s.", d.name())
	} else {
		fmt.Fprintf(&b, "From %s:\n", d.name())
		for _, line := range found {
			fmt.Fprintf(&b, "\n- %s", line)
		}
	}
	for _, note := range d.notes() {
		b.WriteString("\n\n" + note)
	}
	return b.String()
}

// notes returns what a reader of an extract must know.
func (d *document) notes() []string {
	var out []string
	if d.partial {
		out = append(out, "Only the first part of the document was read.")
	}
	if len(d.addressed) > 0 {
		out = append(out, "The document holds text that gives orders to an AI model; it was not followed and is left out of summaries.")
	}
	return out
}

func (w *work) summaryText(d *document) string {
	s := w.summarize(d)
	var b strings.Builder
	fmt.Fprintf(&b, "Summary of %s:", d.name())
	if len(s.lead)+len(s.points)+len(s.figures) == 0 {
		return b.String() + " the document holds no text that could be quoted."
	}
	if len(s.lead) > 0 {
		fmt.Fprintf(&b, "\n\n%s", joinSentences(s.lead))
	}
	list := func(label string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n\n%s", label)
		for _, line := range lines {
			fmt.Fprintf(&b, "\n- %s", line)
		}
	}
	list("Key points:", s.points)
	list("Key figures:", s.figures)
	for _, note := range d.notes() {
		b.WriteString("\n\n" + note)
	}
	return b.String()
}

// reportText says what became of the report.
func (w *work) reportText() string {
	switch {
	case !w.job.report:
		return ""
	case w.report != nil && w.report.ok:
		text := fmt.Sprintf("The report “%s” was created", w.report.title)
		var at []string
		for _, s := range []string{w.report.id, w.report.where} {
			if s != "" {
				at = append(at, clip(s, 300))
			}
		}
		if len(at) > 0 {
			text += " (" + strings.Join(at, ", ") + ")"
		}
		if w.separate && len(w.docs) > 1 {
			text += ". It is one combined report: ask for one document at a time to get separate ones"
		}
		return text + "."
	case w.report != nil:
		return w.report.failure.sentence(fmt.Sprintf("The report “%s”", w.report.title), "created")
	case len(w.docs) == 0:
		return "No report was created: there is nothing to report on."
	case w.reported && !w.anew:
		return "The report was created before and nothing has changed since, so I made no second one."
	}
	return "No report was created: I have no tool here that stores reports."
}

// explain says why a document could not be read.
func (o outcome) explain() string { return o.failure.sentence(o.id, "read") }

// sentence words a failure: what could not be done, and why.
func (f failure) sentence(what, done string) string {
	reason := f.reason
	if reason != "" {
		reason = ": " + reason
	}
	switch f.kind {
	case denied:
		return fmt.Sprintf("%s could not be %s, permission was denied%s.", what, done, reason)
	case notFound:
		return fmt.Sprintf("%s could not be %s, it was not found%s.", what, done, reason)
	case pending:
		var facts []string
		for _, fact := range []struct{ label, value string }{{"request ", f.requestID}, {"until ", f.expiresAt}, {"decide at ", f.decideAt}} {
			if fact.value != "" {
				facts = append(facts, fact.label+fact.value)
			}
		}
		text := fmt.Sprintf("%s could not be %s yet, a person has to decide first", what, done)
		if len(facts) > 0 {
			text += " (" + strings.Join(facts, ", ") + ")"
		}
		return text + reason + "."
	}
	if reason == "" {
		reason = ": the tool gave no reason"
	}
	return fmt.Sprintf("%s could not be %s%s.", what, done, reason)
}

// helpText says what this model can do with the declared tools.
func helpText(box toolbox) string {
	var b strings.Builder
	b.WriteString("I am the offline model: I work by rules, without a language model. ")
	switch {
	case box.fetch == nil:
		b.WriteString("I fetch, summarise and report on documents, but I have no tool here that fetches one.")
		return b.String()
	case box.report == nil:
		b.WriteString("I fetch documents by their identifiers, summarise them and answer questions about them. I have no tool here that stores reports.")
	default:
		b.WriteString("I fetch documents by their identifiers, summarise them, answer questions about them, and write reports.")
	}
	b.WriteString("\n\nFor example:")
	id := box.example()
	examples := []string{"What does " + id + " say about risks?"}
	if box.search != nil {
		examples = append(examples, "Which documents are there?")
	}
	if box.report != nil {
		examples = append(examples, "Fetch document "+id+", summarise it, and create a report titled 'My Report'.")
	}
	for _, e := range examples {
		b.WriteString("\n- " + e)
	}
	return b.String()
}

// example returns an identifier to show, one that exists if the tool names one.
func (b toolbox) example() string {
	if b.fetch == nil || b.fetch.example == "" {
		return "doc_1"
	}
	return b.fetch.example
}

// declineText answers what this model does not do.
func declineText(j job, box toolbox) string {
	switch {
	case j.effect != "":
		return fmt.Sprintf("That is beyond me (“%s”), so I did nothing.\n\n%s", j.effect, helpText(box))
	case (j.report || j.summary || len(j.question) > 0) && box.fetch != nil:
		return "I need to know which document you mean: name its identifier, such as " + box.example() + ".\n\n" + helpText(box)
	}
	return helpText(box)
}

func noFetchText(ids []string) string {
	return fmt.Sprintf("I have no tool here that fetches a document, so I could not read %s, and I did nothing.", join(ids))
}
