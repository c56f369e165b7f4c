package offline

import (
	"slices"
	"strings"
	"unicode"
)

// An ask is what one message of the person asks for, by itself: [resolve] adds
// what earlier turns say.
type ask struct {
	ids  []string
	more int // documents beyond maxIDs, which are left out

	report   bool
	title    string // as given; empty when none was
	separate bool   // a report for each document

	summary  bool     // asks in words for a summary
	question []string // terms of a question; nil when there is none
	guessed  bool     // the question has no form of one, so a summary will do as well
	focus    []string // terms that a summary is to dwell on
	want     lengths

	effect string // a verb beyond this model; empty when there is none
	again  bool   // what was asked before, once more
	fresh  bool   // documents that were read already are to be read again
	all    bool   // every document of the conversation
	verbs  bool   // anything was asked to be done
}

// parse reads a prompt. reserved holds the words that tools are called by.
func parse(prompt string, reserved map[string]bool) ask {
	words := splitWords(prompt)
	taken := make([]bool, len(words))
	var a ask
	title, from, to, titled := findTitle(prompt, words)
	if titled {
		a.title = title
		for i := from; i < to; i++ {
			taken[i] = true
		}
	}
	finder := idFinder{words: words, taken: taken, reserved: reserved}
	a.ids = finder.find()
	if len(a.ids) == 0 && titled { // "a report called Review of doc_1"
		inTitle := idFinder{words: splitWords(title), reserved: reserved}
		inTitle.taken = make([]bool, len(inTitle.words))
		a.ids = inTitle.find()
	}
	a.ids, a.more = a.ids[:min(len(a.ids), maxIDs)], max(0, len(a.ids)-maxIDs)

	r := requestReader{words: words, taken: taken}
	a.report = (titled || r.asksReport()) && !r.refusesReport()
	if a.report && !titled {
		a.title = r.looseTitle()
	}
	r.readClauses(&a)
	r.readManner(&a)
	a.guess(r)
	return a
}

// guess takes an ask in which nothing is to be done, such as "churn in doc_1", for
// a question. Only Latin letters: the verbs of other languages are not known here.
func (a *ask) guess(r requestReader) {
	if a.verbs || a.summary || a.report || len(a.question) > 0 || a.effect != "" || len(a.ids) == 0 || a.want != (lengths{}) {
		return
	}
	words := r.terms(0, len(r.words))
	ascii := func(s string) bool {
		return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
	}
	if len(words) <= 6 && ascii(strings.Join(words, "")) {
		a.question, a.guessed = words, len(words) > 0
	}
}

// requestReader finds what is to be done, among the words that are neither title
// nor identifier.
type requestReader struct {
	words []word
	taken []bool
}

func (r requestReader) isReport(i int) bool { return !r.taken[i] && reportNouns[r.words[i].lower] }

// asksReport reports whether a report is to be made: "create a report", "in one
// report", "write it up"; not "fetch the report" or "report the risks".
func (r requestReader) asksReport() bool {
	for i, w := range r.words {
		switch {
		case r.taken[i] || w.quoted:
		case foreignReports[w.lower], slices.ContainsFunc(reportStems, func(s string) bool { return strings.Contains(w.lower, s) }):
			return true
		case w.lower == "up" && r.verbWithin(i, "write", 3):
			return true
		case r.isReport(i) && r.isMade(i):
			return true
		}
	}
	return false
}

func (r requestReader) verbWithin(i int, verb string, n int) bool {
	for j := max(0, i-n); j < i; j++ {
		if r.words[j].lower == verb {
			return true
		}
	}
	return false
}

// isMade reports whether the report at i is to be made, by the nearest word of
// doing before it.
func (r requestReader) isMade(i int) bool {
	j := i - 1
	for j >= 0 && articles[r.words[j].lower] && !r.words[j].endsClause() {
		j--
	}
	made := i-1 > j && r.words[j+1].lower != "the" && r.words[j+1].lower != "this" && r.words[j+1].lower != "that"
	if j >= 0 && made && slices.Contains([]string{"in", "into", "as", "for", "to", "with", "plus"}, r.words[j].lower) {
		return true
	}
	for ; j >= max(0, i-12); j-- {
		w := r.words[j]
		if w.endsClause() {
			break
		}
		switch {
		case w.quoted, r.taken[j]:
		case makeWords[w.lower]:
			return true
		case readWords[w.lower], sumWords[w.lower], askWords[w.lower], effects[w.lower]:
			return false
		}
	}
	return made
}

// refusesReport reports whether the prompt says that no report is wanted.
func (r requestReader) refusesReport() bool {
	for i := range r.words {
		if !r.isReport(i) {
			continue
		}
		for j := i - 1; j >= max(0, i-5); j-- {
			w := r.words[j]
			if w.endsClause() || w.lower == "but" || w.comma() {
				break
			}
			if negations[w.lower] {
				return true
			}
		}
	}
	return false
}

// looseTitle returns what stands in quotation marks and is nothing else.
func (r requestReader) looseTitle() string {
	for i, w := range r.words {
		if w.quoted && !r.taken[i] && !strings.Contains(w.text, "\n") {
			r.taken[i] = true
			return w.text
		}
	}
	return ""
}

// readClauses goes through the prompt clause by clause: a clause ends with its
// sentence, and at a comma, "and", "then" or "but".
func (r requestReader) readClauses(a *ask) {
	asked := r.questions()
	for start := 0; start < len(r.words); {
		end := start + 1
		for end < len(r.words) && !r.words[end-1].endsClause() && !r.words[end-1].comma() && !breaksClause(r.words[end]) {
			end++
		}
		r.readClause(a, start, end, asked[start])
		start = end
	}
	a.question = slices.Compact(a.question)
}

func breaksClause(w word) bool {
	return !w.quoted && (w.lower == "and" || w.lower == "then" || w.lower == "but")
}

// questions reports for each word whether its sentence ends with a question mark.
func (r requestReader) questions() []bool {
	out := make([]bool, len(r.words))
	asked := false
	for i := len(r.words) - 1; i >= 0; i-- {
		if r.words[i].endsClause() {
			asked = strings.ContainsAny(r.words[i].after, "?？")
		}
		out[i] = asked
	}
	return out
}

func (r requestReader) readClause(a *ask, start, end int, inQuestion bool) {
	head := start
	for head < end && !r.words[head].quoted && !r.taken[head] && fillers[r.words[head].lower] {
		head++
	}
	not := head < end && negations[r.words[head].lower] || negated(r.words, min(head, end-1))
	verb := ""
	if head < end && !r.words[head].quoted && !r.taken[head] {
		verb = r.words[head].lower
	}
	switch {
	case not:
	case r.isEffect(head, end):
		if a.effect == "" {
			a.effect = verb
		}
	case sumWords[verb]:
		a.summary, a.verbs = true, true
	case readWords[verb], makeWords[verb]:
		a.verbs = true
	case askWords[verb], inQuestion, strings.HasPrefix(verb, "what'"), strings.HasPrefix(verb, "who'"):
		a.question = append(a.question, r.terms(head, end)...)
	}
	for i := start; i < end; i++ {
		if w := r.words[i]; !w.quoted && !r.taken[i] {
			a.summary = a.summary || sumWords[w.lower] && !not
			if focusCues[w.lower] && !not {
				a.focus = append(a.focus, r.terms(i+1, end)...)
			}
		}
	}
}

// isEffect reports whether the clause from head asks for what this model does not
// do.
func (r requestReader) isEffect(head, end int) bool {
	if head >= end || r.words[head].quoted || r.taken[head] {
		return false
	}
	verb := r.words[head].lower
	rest := r.words[head+1 : min(end, head+5)]
	switch {
	case effects[verb]:
		return len(rest) == 0 || !givesToMe[rest[0].lower]
	case changes[verb]:
		for j, w := range rest {
			if r.taken[head+1+j] || documentCues[w.lower] || objects[w.lower] {
				return true
			}
		}
	case makeWords[verb]:
		return slices.ContainsFunc(rest, func(w word) bool { return works[w.lower] && !w.quoted })
	}
	return false
}

// terms returns what the words from start to end are about, less the words that
// any question has.
func (r requestReader) terms(start, end int) []string {
	var out []string
	for i := start; i < end; i++ {
		if r.taken[i] || !r.words[i].quoted && (generic[r.words[i].lower] || askWords[r.words[i].lower]) {
			continue
		}
		out = append(out, terms(r.words[i].text)...)
	}
	return out
}

// readManner reads how it is to be done: how long, once more, afresh, for all.
func (r requestReader) readManner(a *ask) {
	for i, w := range r.words {
		if r.taken[i] || w.quoted {
			continue
		}
		a.again = a.again || againWords[w.lower]
		a.fresh = a.fresh || freshWords[w.lower]
		a.all = a.all || allWords[w.lower]
		switch w.lower {
		case "briefly", "brief", "short", "shortly", "concise", "concisely", "tl;dr", "tldr":
			a.want.brief = true
		case "separate", "separately", "individual", "each":
			a.separate = true
		case "bullet", "bullets", "point", "points", "bullet-points", "takeaways":
			if n := r.numberBefore(i); n > 0 {
				a.want.points = n
			}
		case "sentence", "sentences", "line", "lines":
			if n := r.numberBefore(i); n > 0 {
				a.want.sentences = n
			}
		}
	}
	if a.report {
		a.want = lengths{points: a.want.points}
	}
}

func (r requestReader) numberBefore(i int) int {
	for j := i - 1; j >= max(0, i-2); j-- {
		if n := numbers[r.words[j].lower]; n > 0 && !r.taken[j] {
			return n
		}
	}
	return 0
}
