package offline

import "strings"

// cutTitle returns the title that a prompt gives a report, and takes its words and
// those that announce it out of ws. ok is false when no words announce one.
func cutTitle(prompt string, ws words) (title string, ok bool) {
	for i := range ws {
		at := ws.titleAt(i)
		if at < 0 || at >= len(ws) {
			continue
		}
		title, to := ws[at].text, at+1
		if !ws[at].quoted {
			if !ws.opensBareTitle(i) {
				continue
			}
			to = ws.titleEnd(at)
			title = prompt[ws[at].start:ws[to-1].end]
			if strings.Count(title, "(") > strings.Count(title, ")") {
				title += ")"
			}
		}
		for j := i; j < to; j++ {
			ws[j] = word{after: ws[j].after}
		}
		return title, true
	}
	return "", false
}

// titleAt returns the index of the word where the title begins that the word at i
// announces, or -1.
func (ws words) titleAt(i int) int {
	w, next := ws[i], i+1
	switch {
	case w.is(strictCue) && w.after != "," && !w.endsClause() && !ws.namesDocument(i):
	case w.in("call", "name", "title") && ws.at(next).in("it", "this", "that"):
		next++
	case w.is(titleNoun) && !ws.namesDocument(i) && ws.at(next).lower != "of":
	case w.lower == "as" && ws.at(next).quoted && ws.madeBefore(i):
	default:
		return -1
	}
	for ws.at(next).is(titleGlue) {
		next++
	}
	return next
}

// opensBareTitle reports whether the cue at i is strong enough for a title without
// quotation marks.
func (ws words) opensBareTitle(i int) bool {
	w := ws[i]
	switch {
	case w.is(strictCue):
		return true
	case !w.is(titleNoun) && w.lower != "call":
		return false
	case strings.ContainsAny(w.after, ":="), ws.at(i+1).lower == "it":
		return true
	}
	return ws.at(i-1).is(titleBefore) || ws.at(i-2).is(titleBefore)
}

// namesDocument reports whether a cue at i says what a document to be read is
// called, as in "the file named notes", and not what one to be made shall be.
func (ws words) namesDocument(i int) bool {
	j := i - 1
	for ws.at(j).in("is", "that", "which", "with", "the", "a", "under", "its", "id") {
		j--
	}
	return ws.at(j).is(documentCue) && ws[j].after == "" && !ws.madeBefore(j)
}

// madeBefore reports whether the nearest verb before i, in its sentence, is one of
// making.
func (ws words) madeBefore(i int) bool {
	for _, w := range ws.before(i, 10) {
		switch {
		case w.endsClause():
			return false
		case w.is(makeWord):
			return true
		case w.is(readWord), w.is(sumWord) && w.lower != "summary":
			return false
		}
	}
	return false
}

// titleEnd returns the index past the last word of a title without quotation
// marks: it goes on to the end of the sentence, or to where the next thing to do
// or the documents are named.
func (ws words) titleEnd(from int) int {
	// Only small letters begin the next thing to do: "Profit and Review" is a title.
	starts := func(w word) bool {
		return w.text == w.lower && (w.is(anyVerb|change|negation) || w.in("then", "please", "also"))
	}
	end := min(len(ws), from+40)
	for i := from + 1; i < end; i++ {
		before, w, next := ws[i-1], ws[i], ws.at(i+1)
		small := w.text == w.lower
		switch {
		case before.endsClause(), w.quoted,
			before.comma() && (starts(w) || small && w.in("and", "but", "with", "using", "from", "based")),
			w.lower == "and" && starts(next),
			w.lower == "please" && i == len(ws)-1,
			w.in("from", "for", "about", "on", "of", "using", "with", "out", "based", "in") && ws.namesSource(i+1):
			return i
		}
	}
	return end
}

// namesSource reports whether a document is named at i, or after one or two small
// words.
func (ws words) namesSource(i int) bool {
	for _, w := range ws[min(i, len(ws)):min(i+3, len(ws))] {
		if looksLikeID(w.text) || w.is(documentCue) || w.in("it", "them") {
			return true
		}
		if !w.is(functionWord) {
			return false
		}
	}
	return false
}
