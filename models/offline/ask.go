package offline

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// An ask is what one message of the person asks for, by itself: [resolve] adds
// what earlier turns say.
type ask struct {
	words words // of the message, less those of the title
	ids   []string
	more  int // documents beyond maxIDs, which are left out

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
	ws := splitWords(prompt)
	title, titled := cutTitle(prompt, ws)
	a := ask{words: ws, title: title, ids: findIDs(ws, reserved)}
	if len(a.ids) == 0 && titled { // "a report called Review of doc_1"
		a.ids = findIDs(splitWords(title), reserved)
	}
	a.ids, a.more = a.ids[:min(len(a.ids), maxIDs)], max(0, len(a.ids)-maxIDs)
	a.report = (titled || ws.asksReport()) && !ws.refusesReport()
	if a.report && !titled {
		a.title = ws.looseTitle()
	}
	a.readClauses()
	a.readManner()
	a.guess()
	return a
}

// guess takes an ask in which nothing is to be done, such as "churn in doc_1", for
// a question. Only Latin letters: the verbs of other languages are not known here.
func (a *ask) guess() {
	if a.verbs || a.summary || a.report || len(a.question) > 0 || a.effect != "" || len(a.ids) == 0 || a.want != (lengths{}) {
		return
	}
	found := a.words.terms()
	if len(found) <= 6 && !strings.ContainsFunc(strings.Join(found, ""), func(r rune) bool { return r > unicode.MaxASCII }) {
		a.question, a.guessed = found, len(found) > 0
	}
}

// reportStems are reports in scripts without spaces or with prefixes.
var reportStems = []string{"レポート", "報告書", "报告", "報告", "보고서", "تقرير"}

// asksReport reports whether a report is to be made: "create a report", "in one
// report", "write it up"; not "fetch the report" or "report the risks".
func (ws words) asksReport() bool {
	for i, w := range ws {
		switch {
		case w.is(foreignReport), slices.ContainsFunc(reportStems, func(s string) bool { return strings.Contains(w.lower, s) }),
			w.lower == "up" && slices.ContainsFunc(ws[max(0, i-3):i], func(w word) bool { return w.lower == "write" }),
			w.is(reportNoun) && ws.isMade(i):
			return true
		}
	}
	return false
}

// isMade reports whether the report at i is to be made, by the nearest word of
// doing before it.
func (ws words) isMade(i int) bool {
	j := i - 1
	for ws.at(j).is(article) && !ws[j].endsClause() {
		j--
	}
	made := i-1 > j && !ws[j+1].in("the", "this", "that")
	if made && ws.at(j).in("in", "into", "as", "for", "to", "with", "plus") {
		return true
	}
	for _, w := range ws.before(j+1, j+1-max(0, i-12)) {
		switch {
		case w.endsClause():
			return made
		case w.is(makeWord):
			return true
		case w.is(readWord | sumWord | askWord | effect):
			return false
		}
	}
	return made
}

// refusesReport reports whether the prompt says that no report is wanted.
func (ws words) refusesReport() bool {
	for i, noun := range ws {
		if !noun.is(reportNoun) {
			continue
		}
		for _, w := range ws.before(i, 5) {
			if w.endsClause() || w.lower == "but" || w.comma() {
				break
			}
			if w.is(negation) {
				return true
			}
		}
	}
	return false
}

// looseTitle returns what stands in quotation marks and is nothing else.
func (ws words) looseTitle() string {
	for i, w := range ws {
		if w.quoted && !w.taken && !strings.Contains(w.text, "\n") {
			ws[i].take()
			return w.text
		}
	}
	return ""
}

// readClauses goes through the prompt clause by clause: a clause ends with its
// sentence, and at a comma, "and", "then" or "but".
func (a *ask) readClauses() {
	ws := a.words
	last := -1 // word of the sentence
	for start, end := 0, 0; start < len(ws); start = end {
		for end = start + 1; end < len(ws) && !ws[end-1].endsClause() && !ws[end-1].comma() && !ws[end].in("and", "then", "but"); {
			end++
		}
		for last < start || last < len(ws) && !ws[last].endsClause() {
			last++
		}
		a.readClause(start, end, strings.ContainsAny(ws.at(last).after, "?？"))
	}
	a.question = slices.Compact(a.question)
}

func (a *ask) readClause(start, end int, inQuestion bool) {
	head := start
	for head < end && a.words[head].is(filler) {
		head++
	}
	clause := a.words[head:end]
	verb := clause.at(0)
	not := verb.is(negation) || a.words.negated(min(head, end-1))
	switch {
	case not:
	case clause.isEffect():
		a.effect = cmp.Or(a.effect, verb.lower)
	case verb.is(sumWord):
		a.summary, a.verbs = true, true
	case verb.is(readWord | makeWord):
		a.verbs = true
	case verb.is(askWord), inQuestion, strings.HasPrefix(verb.lower, "what'"), strings.HasPrefix(verb.lower, "who'"):
		a.question = append(a.question, clause.terms()...)
	}
	for i := start; i < end && !not; i++ {
		a.summary = a.summary || a.words[i].is(sumWord)
		if a.words[i].is(focusCue) {
			a.focus = append(a.focus, a.words[i+1:end].terms()...)
		}
	}
}

// isEffect reports whether a clause asks for what this model does not do.
func (ws words) isEffect() bool {
	verb := ws.at(0)
	rest := ws[min(1, len(ws)):min(5, len(ws))]
	switch {
	case verb.is(effect):
		return !rest.at(0).is(toMe)
	case verb.is(change):
		return slices.ContainsFunc(rest, func(w word) bool { return w.taken || w.is(documentCue|objectOfIt) })
	case verb.is(makeWord):
		return slices.ContainsFunc(rest, func(w word) bool { return w.is(otherWork) })
	}
	return false
}

// terms returns what the words are about, less the words that any question has.
func (ws words) terms() []string {
	var out []string
	for _, w := range ws {
		if !w.taken && !w.is(generic|askWord) {
			out = append(out, terms(w.text)...)
		}
	}
	return out
}

// readManner reads how it is to be done: how long, once more, afresh, for all.
func (a *ask) readManner() {
	for i, w := range a.words {
		a.again = a.again || w.is(againWord)
		a.fresh = a.fresh || w.is(freshWord)
		a.all = a.all || w.is(allWord)
		switch w.lower {
		case "briefly", "brief", "short", "shortly", "concise", "concisely", "tl;dr", "tldr":
			a.want.brief = true
		case "separate", "separately", "individual", "each":
			a.separate = true
		case "bullet", "bullets", "point", "points", "bullet-points", "takeaways":
			a.want.points = max(a.want.points, a.words.numberBefore(i))
		case "sentence", "sentences", "line", "lines":
			a.want.sentences = max(a.want.sentences, a.words.numberBefore(i))
		}
	}
	if a.report {
		a.want = lengths{points: a.want.points}
	}
}

// numberBefore returns the count that stands one or two words before i, 0 for none.
func (ws words) numberBefore(i int) int {
	for _, w := range ws.before(i, 2) {
		if n := number(w.lower); n > 0 {
			return n
		}
	}
	return 0
}

// number returns the count that a person writes as a word or in digits, 1 to 10.
func number(s string) int {
	if n, err := strconv.Atoi(s); err == nil && n <= 10 {
		return n
	}
	if s == "single" {
		return 1
	}
	return 1 + slices.Index([]string{"one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"}, s)
}
