package offline

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jitagent/jitagent/internal/lazy"
)

// maxIDs bounds the documents of one request, and maxID the bytes of an identifier.
const (
	maxIDs = 16
	maxID  = 128
)

var (
	// fileName matches the end of a file's name. Those that hold no text are read all
	// the same, so that the API says what it makes of them.
	fileName = regexp.MustCompile(`(?i)[^./]\.(md|markdown|txt|text|log|html?|csv|json|ya?ml|pdf|docx?|xlsx?|pptx?|od[tsp]|rtf)$`)
	idShape  = lazy.Regexp(`^[\p{L}\p{N}][\p{L}\p{M}\p{N}_.:/#-]*$`)
	// notIDs look like identifiers and are not: quarters, years, dates, rankings.
	notIDs   = regexp.MustCompile(`^(?i:(q[1-4]|h[12]|fy\d*|top|cw|kw)[-/]?\d*([-/]\d+)?)$|^[\d.:/-]+$`)
	prefixed = regexp.MustCompile(`^(?i:doc|document|file|memo|note|policy|contract|rec)\d+$`)
)

// looksLikeID reports whether a word is an identifier by its form alone: doc_9982,
// policy-7, notes.md.
func looksLikeID(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	if len(s) <= maxID && fileName.MatchString(s) && !strings.ContainsAny(s, "/:") {
		return true
	}
	if len(s) > maxID || !idShape().MatchString(s) || notIDs.MatchString(s) || strings.Contains(s, "//") || !unicode.IsLetter(first) && !strings.Contains(s, "_") {
		return false
	}
	return strings.Contains(strings.Trim(s, "_"), "_") ||
		strings.Contains(s, "-") && strings.ContainsFunc(s, unicode.IsDigit) || prefixed.MatchString(s)
}

// idFinder finds the documents that a prompt names.
type idFinder struct {
	words
	reserved map[string]bool // the words that tools are called by
	last     int             // index of the last word taken for an identifier, -1 before it
	plural   bool            // that one stood in a list after "documents"
}

// findIDs returns the identifiers in order, each once, and takes their words.
func findIDs(ws words, reserved map[string]bool) []string {
	f := idFinder{words: ws, reserved: reserved, last: -1}
	var ids []string
	for i, w := range ws {
		if w.text == "" || !f.accepts(i, w, len(ids) > 0) {
			continue
		}
		ws[i].take()
		f.last = i
		if id := strings.TrimLeft(w.text, "#"); !slices.Contains(ids, id) && !ws.negated(i) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (f *idFinder) accepts(i int, w word, more bool) bool {
	cue := f.cueBefore(i)
	listed := f.continuesList(i)
	switch {
	case w.quoted:
		return len(w.text) <= maxID && (cue >= 0 || listed || looksLikeID(w.text) || f.verbBefore(i))
	case cue >= 0 && f.named(i, cue):
		return true
	case f.reserved[w.lower]:
		return false
	case looksLikeID(w.text):
		f.plural = listed && f.plural || f.at(cue).is(pluralCue)
		return cue >= 0 || listed || !f.isTopic(i, more)
	case cue >= 0 && f.weak(i, cue):
		f.plural = f.words[cue].is(pluralCue)
		return true
	}
	return listed && f.plural && f.plain(i)
}

// cueBefore returns the index of the "document" that announces the word at i, over
// "number", "with id" and the like, or -1.
func (f *idFinder) cueBefore(i int) int {
	for j, w := range f.before(i, 4) {
		switch {
		case strings.ContainsAny(w.after, ".,;!?\n") && w.after != ".":
			return -1
		case w.is(documentCue):
			return j
		case !w.is(cueFiller):
			return -1
		}
	}
	return -1
}

// weak decides on a word that has not the form of an identifier but follows
// "document": "document alpha", but not "document about churn".
func (f *idFinder) weak(i, cue int) bool {
	if !f.plain(i) {
		return false
	}
	if !f.at(cue - 1).is(determiner) {
		return true
	}
	// "the document alpha" names one; "the document discusses churn" does not.
	named := strings.ContainsFunc(f.words[i].text, unicode.IsDigit)
	for _, w := range f.before(cue, 3) {
		named = named || w.is(readWord|sumWord)
	}
	return named && (f.endsItem(i) || f.at(i+1).lower == "then")
}

// endsItem reports whether the word at i is the last of its item in a list.
func (f *idFinder) endsItem(i int) bool {
	return i == len(f.words)-1 || f.words[i].after != "" || f.words[i+1].is(connector)
}

// named reports whether the word at i names a document whatever it means elsewhere,
// since it stands right behind "document": "document memo", "doc list".
func (f *idFinder) named(i, cue int) bool {
	w := f.words[i]
	if cue != i-1 || !f.words[cue].in("document", "doc") || f.at(cue-1).is(determiner) || strings.Contains(w.text, "_") && f.reserved[w.lower] {
		return false
	}
	return len(w.text) > 1 && len(w.text) <= 64 && idShape().MatchString(w.text) && !w.is(functionWord|cueFiller|connector|filler|negation)
}

// plain reports whether a word without the form of an identifier can be one. A
// single letter can when it is an item of a list, so that "a" is not always an
// article.
func (f *idFinder) plain(i int) bool {
	w := f.words[i]
	switch {
	case w.quoted, len(w.text) > 64, !idShape().MatchString(strings.TrimLeft(w.text, "#")), f.reserved[w.lower]:
		return false
	case utf8.RuneCountInString(w.text) == 1:
		return f.endsItem(i)
	}
	return !w.is(noID)
}

// continuesList reports whether only a comma or "and" stands between the last
// identifier and the word at i.
func (f *idFinder) continuesList(i int) bool {
	if f.last < 0 || i-f.last > 3 || f.words[f.last].endsClause() {
		return false
	}
	between := f.words[f.last+1 : i]
	if len(between) == 0 {
		return f.words[f.last].comma()
	}
	return !slices.ContainsFunc(between, func(w word) bool { return !w.is(connector) || w.after != "" })
}

// verbBefore reports whether a quoted word is the object of "fetch" or "summarise".
func (f *idFinder) verbBefore(i int) bool {
	if f.at(i-1).lower == "the" {
		i--
	}
	w := f.at(i - 1)
	return w.after == "" && w.is(readWord|sumWord)
}

// isTopic reports whether a word that might be an identifier is what a document is
// to be asked about: "covid-19" in "what does doc_1 say about covid-19", where more
// says that one was named before, or in "covid-19 in doc_1".
func (f *idFinder) isTopic(i int, more bool) bool {
	if strings.Contains(f.words[i].text, "_") {
		return false
	}
	return more && f.at(i-1).in("about", "on", "regarding", "concerning") ||
		f.at(i+1).in("in", "of", "from", "within") && looksLikeID(f.at(i+2).text)
}

// negated reports whether the word at i stands under "not", "except" and the like.
func (ws words) negated(i int) bool {
	for j, w := range ws.before(i, 8) {
		switch {
		case w.endsClause(), w.lower == "but", w.comma() && !looksLikeID(w.text):
			return false
		case w.is(negation) && w.lower != "no":
			return true
		case w.is(anyVerb):
			return !ws.at(j-1).endsClause() && ws.at(j-1).is(negation)
		}
	}
	return false
}
