package offline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// answer words what the person gets to read: the summary or the answer, then the
// report, then what is missing.
func (w *work) answer() string {
	var parts []string
	for _, d := range w.docs {
		if len(w.question) > 0 && (!w.guessed || len(search(d, w.question)) > 0) {
			parts = append(parts, answerFrom(d, w.question))
		} else {
			parts = append(parts, fmt.Sprintf("Summary of %s:", d.name()), w.quote(d, "%s:\n", strings.Clone))
		}
	}
	if w.job.report {
		parts = append(parts, w.reportText())
	}
	for _, o := range w.failed {
		parts = append(parts, o.explain())
	}
	if w.more > 0 {
		parts = append(parts, fmt.Sprintf("I read at most %d documents for one request and left %d out; ask for those by themselves.", maxIDs, w.more))
	}
	return strings.Join(parts, "\n\n")
}

// quote writes what is quoted from d, and what a reader of an extract must know.
// label is the form of what stands above a list; line makes each line fit to stand
// there.
func (w *work) quote(d *document, label string, line func(string) string) string {
	s := w.summarize(d)
	var parts []string
	if len(s.lead) > 0 {
		parts = append(parts, joinSentences(each(s.lead, line)))
	}
	if len(s.points) > 0 {
		parts = append(parts, fmt.Sprintf(label, "Key points")+bullets(each(s.points, line)))
	}
	if len(s.figures) > 0 {
		parts = append(parts, fmt.Sprintf(label, "Key figures")+bullets(each(s.figures, line)))
	}
	if len(parts) == 0 {
		parts = append(parts, "The document holds no text that could be quoted.")
	}
	return strings.Join(append(parts, d.notes()...), "\n\n")
}

func each(lines []string, f func(string) string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = f(line)
	}
	return out
}

// bullets writes a list, one line each.
func bullets(lines []string) string { return "- " + strings.Join(lines, "\n- ") }

// name returns how a document is spoken of.
func (d *document) name() string { return d.called("“%s” (%s)") }

// heading returns the title with the identifier behind it.
func (d *document) heading() string { return d.called("%s (%s)") }

func (d *document) called(form string) string {
	if d.title == d.id {
		return d.id
	}
	return fmt.Sprintf(form, clip(d.title, 160), d.id)
}

func answerFrom(d *document, question []string) string {
	parts := []string{fmt.Sprintf("I find no answer to that in %s.", d.name())}
	if found := search(d, question); len(found) > 0 {
		parts = []string{fmt.Sprintf("From %s:", d.name()), bullets(found)}
	}
	return strings.Join(append(parts, d.notes()...), "\n\n")
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

// reportText says what became of the report.
func (w *work) reportText() string {
	switch r := w.report; {
	case r == nil && len(w.docs) == 0:
		return "No report was created: there is nothing to report on."
	case r == nil && w.reported && !w.anew:
		return "The report was created before and nothing has changed since, so I made no second one."
	case r == nil:
		return "No report was created: I have no tool here that stores reports."
	case !r.ok:
		return r.failure.sentence(fmt.Sprintf("The report “%s”", r.title), "created")
	default:
		text := fmt.Sprintf("The report “%s” was created%s", r.title, inBrackets(clip(r.id, 300), clip(r.where, 300)))
		if w.separate && len(w.docs) > 1 {
			text += ". It is one combined report: ask for one document at a time to get separate ones"
		}
		return text + "."
	}
}

// inBrackets lists the facts that there are, "" when there are none.
func inBrackets(facts ...string) string {
	facts = slices.DeleteFunc(facts, func(s string) bool { return s == "" })
	if len(facts) == 0 {
		return ""
	}
	return " (" + strings.Join(facts, ", ") + ")"
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
		facts := inBrackets(labeled("request ", f.requestID), labeled("until ", f.expiresAt), labeled("decide at ", f.decideAt))
		return fmt.Sprintf("%s could not be %s yet, a person has to decide first%s%s.", what, done, facts, reason)
	}
	return fmt.Sprintf("%s could not be %s%s.", what, done, cmp.Or(reason, ": the tool gave no reason"))
}

// labeled puts a label before a value, where there is one.
func labeled(label, value string) string {
	if value == "" {
		return ""
	}
	return label + value
}

// helpText says what this model can do with the declared tools.
func helpText(box toolbox) string {
	const lead = "I am the offline model: I work by rules, without a language model. "
	if box.fetch == nil {
		return lead + "I fetch, summarise and report on documents, but I have no tool here that fetches one."
	}
	can := "I fetch documents by their identifiers, summarise them and answer questions about them. I have no tool here that stores reports."
	examples := []string{"What does " + box.example() + " say about risks?"}
	if box.search != nil {
		examples = append(examples, "Which documents are there?")
	}
	if box.report != nil {
		can = "I fetch documents by their identifiers, summarise them, answer questions about them, and write reports."
		examples = append(examples, "Fetch document "+box.example()+", summarise it, and create a report titled 'My Report'.")
	}
	return lead + can + "\n\nFor example:\n" + bullets(examples)
}

// example returns an identifier to show, one that exists if the tool names one.
func (b toolbox) example() string { return cmp.Or(b.fetch.example, "doc_1") }

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
