package offline

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genai"
)

// A searchTool finds documents by words.
type searchTool struct {
	name  string
	query string // the parameter that takes the words
}

// everything is the query that finds every document, as far as the tool knows it.
const everything = "*"

// A quest is what a prompt that names no document by its identifier calls one.
type quest struct {
	query string   // for the tool
	words []string // lower case; a title that holds them all is the one meant
}

// quest returns how to find what a prompt is about. ok is false where it is about
// no document, or beyond this model.
func (j job) quest() (q quest, ok bool) {
	if !j.help || j.effect != "" || len(j.ids) > 0 {
		return quest{}, false
	}
	var telling []string
	cued, greets := false, false
	before := false // a telling word stands right before
	for _, w := range j.words {
		cued = cued || w.is(pluralCue)
		greets = greets || w.is(greeting)
		switch {
		case w.text != "" && !w.is(common) && number(w.lower) == 0:
			telling = append(telling, w.text)
			before = true
		case before && w.is(sumWord|reportNoun): // "the Q4 review"
		default:
			before = false
			continue
		}
		q.words = append(q.words, strings.ToLower(w.text))
	}
	q.query = strings.Join(telling[:min(len(telling), 8)], " ")
	if q.query == "" {
		q.query = everything
		return q, cued && !j.report
	}
	return q, j.verbs || j.summary || j.report || len(j.question) > 0 && !greets
}

// find answers a prompt that names no document: with a call of the search tool, with
// the document that it found, or with what it found.
func (t *searchTool) find(q quest, now turn, call caller) (doc string, next step) {
	x := now.called(t.name)
	if x == nil {
		return "", step{calls: []*genai.FunctionCall{call(t.name, map[string]any{t.query: q.query})}}
	}
	if f, bad := readFailure(x.result); bad || !x.answered {
		return "", step{text: f.sentence("The search for documents", "done")}
	}
	hits := readHits(x.result)
	meant := slices.DeleteFunc(slices.Clone(hits), func(d *document) bool {
		return slices.ContainsFunc(q.words, func(w string) bool { return !strings.Contains(strings.ToLower(d.title), w) })
	})
	switch {
	case len(hits) == 0 && q.query == everything:
		return "", step{text: "I find no document."}
	case len(hits) == 0:
		return "", step{text: fmt.Sprintf("I find no document with “%s”: name its identifier, or other words that stand in it.", q.query)}
	case q.query == everything:
		return "", step{text: listHits("I find these documents:", hits)}
	case len(meant) == 1:
		return meant[0].id, step{}
	case len(hits) == 1:
		return hits[0].id, step{}
	}
	return "", step{text: listHits(fmt.Sprintf("Several documents have “%s” in them. Which one do you mean?", q.query), hits)}
}

func listHits(lead string, hits []*document) string {
	var lines []string
	for _, d := range hits {
		lines = append(lines, d.heading())
	}
	return lead + "\n\n" + bullets(lines)
}

// maxHits bounds how many documents are listed.
const maxHits = 50

// readHits returns the documents of a result, without their text: the first list of
// objects with identifiers in it.
func readHits(result map[string]any) []*document {
	var hits []*document
	for _, level := range newLookup(result) {
		for _, name := range sortedNames(level) {
			list, _ := level[name].([]any)
			for _, e := range list[:min(len(list), maxHits)] {
				m, _ := e.(map[string]any)
				if id := tidy(lookup{m}.text(idNames)); id != "" && len(id) <= maxID {
					hits = append(hits, &document{id: id, title: cmp.Or(tidy(lookup{m}.text(titleNames)), id)})
				}
			}
			if len(hits) > 0 {
				return hits
			}
		}
	}
	return nil
}
