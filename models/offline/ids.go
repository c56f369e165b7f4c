package offline

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxIDs bounds the documents of one request.
const maxIDs = 16

var (
	idShape = regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{M}\p{N}_.:/#-]*$`)
	// notIDs look like identifiers and are not: quarters, years, dates, rankings.
	notIDs   = regexp.MustCompile(`^(?i:(q[1-4]|h[12]|fy\d*|top|cw|kw)[-/]?\d*([-/]\d+)?)$|^[\d.:/-]+$`)
	prefixed = regexp.MustCompile(`^(?i:doc|document|file|memo|note|policy|contract|rec)\d+$`)
)

// looksLikeID reports whether a word is an identifier by its form alone: doc_9982,
// policy-7, notes.md.
func looksLikeID(s string) bool {
	first, _ := utf8.DecodeRuneInString(s)
	if len(s) > 128 || !idShape.MatchString(s) || notIDs.MatchString(s) || strings.Contains(s, "//") || !unicode.IsLetter(first) && !strings.Contains(s, "_") {
		return false
	}
	lower := strings.ToLower(s)
	return strings.Contains(strings.Trim(s, "_"), "_") ||
		strings.Contains(s, "-") && strings.ContainsFunc(s, unicode.IsDigit) ||
		strings.HasSuffix(lower, ".md") || strings.HasSuffix(lower, ".txt") || prefixed.MatchString(s)
}

// idFinder finds the documents that a prompt names.
type idFinder struct {
	words    []word
	taken    []bool // by a title
	reserved map[string]bool

	ids    []string
	last   int  // index of the last word taken for an identifier, -1 before it
	plural bool // that one stood in a list after "documents"
}

// find returns the identifiers in order, each once, and marks their words as
// taken.
func (f *idFinder) find() []string {
	f.last = -1
	seen := make(map[string]bool)
	for i, w := range f.words {
		if f.taken[i] || !f.accepts(i, w) {
			continue
		}
		f.taken[i] = true
		f.last = i
		if id := strings.TrimLeft(w.text, "#"); !seen[id] && !f.negated(i) {
			seen[id] = true
			f.ids = append(f.ids, id)
		}
	}
	return f.ids
}

func (f *idFinder) accepts(i int, w word) bool {
	cue, cued := f.cueBefore(i)
	listed := f.continuesList(i)
	switch {
	case w.quoted:
		return len(w.text) <= 128 && (cued || listed || looksLikeID(w.text) || f.verbBefore(i))
	case cued && f.named(i, cue):
		return true
	case f.reserved[w.lower]:
		return false
	case looksLikeID(w.text):
		f.plural = listed && f.plural || cued && pluralCues[f.words[cue].lower]
		return cued || listed || !f.isTopic(i)
	case cued && f.weak(i, cue):
		f.plural = pluralCues[f.words[cue].lower]
		return true
	}
	return listed && f.plural && f.plain(i)
}

// cueBefore finds the "document" that announces the word at i, over "number",
// "with id" and the like.
func (f *idFinder) cueBefore(i int) (int, bool) {
	for j := i - 1; j >= 0 && j >= i-4; j-- {
		w := f.words[j]
		if w.quoted || strings.ContainsAny(w.after, ".,;!?\n") && w.after != "." {
			return 0, false
		}
		switch {
		case documentCues[w.lower]:
			return j, true
		case !cueFillers[w.lower]:
			return 0, false
		}
	}
	return 0, false
}

// weak decides on a word that has not the form of an identifier but follows
// "document": "document alpha", but not "document about churn".
func (f *idFinder) weak(i, cue int) bool {
	if !f.plain(i) {
		return false
	}
	if cue == 0 || !determiners[f.words[cue-1].lower] {
		return true
	}
	// "the document alpha" names one; "the document discusses churn" does not.
	w := f.words[i]
	ends := i == len(f.words)-1 || w.after != "" || connectors[f.words[i+1].lower] || f.words[i+1].lower == "then"
	named := strings.ContainsFunc(w.text, unicode.IsDigit)
	for j := cue - 1; j >= max(0, cue-3); j-- {
		named = named || readWords[f.words[j].lower] || sumWords[f.words[j].lower]
	}
	return ends && named
}

// named reports whether the word at i names a document whatever it means elsewhere,
// since it stands right behind "document": "document memo", "doc list".
func (f *idFinder) named(i, cue int) bool {
	w := f.words[i]
	if strings.Contains(w.text, "_") && f.reserved[w.lower] || cue != i-1 || f.words[cue].lower != "document" && f.words[cue].lower != "doc" || cue > 0 && determiners[f.words[cue-1].lower] {
		return false
	}
	return len(w.text) > 1 && len(w.text) <= 64 && idShape.MatchString(w.text) && !functionWords[w.lower] && !cueFillers[w.lower] &&
		!connectors[w.lower] && !fillers[w.lower] && !negations[w.lower]
}

// plain reports whether a word without the form of an identifier can be one. A
// single letter can when it is an item of a list, so that "a" is not always an
// article.
func (f *idFinder) plain(i int) bool {
	w := f.words[i]
	if text := strings.TrimLeft(w.text, "#"); w.quoted || len(w.text) > 64 || !idShape.MatchString(text) || f.reserved[w.lower] {
		return false
	}
	if utf8.RuneCountInString(w.text) == 1 {
		last := i == len(f.words)-1
		return last || w.after != "" || connectors[f.words[i+1].lower]
	}
	for _, words := range []map[string]bool{functionWords, generic, readWords, sumWords, makeWords, askWords, effects, changes, reportNouns, titleCues, fillers, negations} {
		if words[w.lower] {
			return false
		}
	}
	return true
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
	return !slices.ContainsFunc(between, func(w word) bool { return w.quoted || !connectors[w.lower] || w.after != "" })
}

// verbBefore reports whether a quoted word is the object of "fetch" or "summarise".
func (f *idFinder) verbBefore(i int) bool {
	if i > 0 && f.words[i-1].lower == "the" {
		i--
	}
	return i > 0 && f.words[i-1].after == "" && (readWords[f.words[i-1].lower] || sumWords[f.words[i-1].lower])
}

// isTopic reports whether a word that might be an identifier is what a document is
// to be asked about: "covid-19" in "what does doc_1 say about covid-19", or in
// "covid-19 in doc_1".
func (f *idFinder) isTopic(i int) bool {
	if strings.Contains(f.words[i].text, "_") {
		return false
	}
	if i > 0 && len(f.ids) > 0 && slices.Contains([]string{"about", "on", "regarding", "concerning"}, f.words[i-1].lower) {
		return true
	}
	return i+2 < len(f.words) && slices.Contains([]string{"in", "of", "from", "within"}, f.words[i+1].lower) && looksLikeID(f.words[i+2].text)
}

// negated reports whether a word stands under "not", "except" and the like.
func (f *idFinder) negated(i int) bool { return negated(f.words, i) }

func negated(words []word, i int) bool {
	for j := i - 1; j >= max(0, i-8); j-- {
		w := words[j]
		if w.endsClause() || w.lower == "but" {
			return false
		}
		if w.comma() && !looksLikeID(w.text) {
			return false
		}
		switch {
		case w.quoted:
		case negations[w.lower] && w.lower != "no":
			return true
		case isVerb(w.lower):
			return j > 0 && !words[j-1].endsClause() && negations[words[j-1].lower]
		}
	}
	return false
}

func isVerb(s string) bool {
	return readWords[s] || sumWords[s] || makeWords[s] || effects[s]
}
