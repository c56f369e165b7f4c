package offline

import (
	"slices"
	"strings"
)

// findTitle returns the title that a prompt gives a report, and the words it is
// made of: from is the cue's index, to is past the title. ok is false when no words
// announce one.
func findTitle(prompt string, words []word) (title string, from, to int, ok bool) {
	for i, w := range words {
		if w.quoted {
			continue
		}
		at := titleAt(words, i)
		if at < 0 || at >= len(words) {
			continue
		}
		if words[at].quoted {
			return words[at].text, i, at + 1, true
		}
		if !opensBareTitle(words, i) {
			continue
		}
		end := titleEnd(words, at)
		raw := prompt[words[at].start:words[end-1].end]
		if strings.Count(raw, "(") > strings.Count(raw, ")") {
			raw += ")"
		}
		return raw, i, end, true
	}
	return "", 0, 0, false
}

// titleAt returns the index of the word where the title begins that the word at i
// announces, or -1.
func titleAt(words []word, i int) int {
	w := words[i]
	next := func(j int) int {
		for j < len(words) && !words[j].quoted && titleGlue[words[j].lower] {
			j++
		}
		return j
	}
	switch {
	case strictCues[w.lower] && w.after != "," && !w.endsClause():
		if namesDocument(words, i) {
			return -1
		}
		return next(i + 1)
	case slices.Contains([]string{"call", "name", "title"}, w.lower) && i+1 < len(words) && slices.Contains([]string{"it", "this", "that"}, words[i+1].lower):
		return next(i + 2)
	case titleNouns[w.lower]:
		if namesDocument(words, i) || i+1 < len(words) && words[i+1].lower == "of" && !words[i+1].quoted {
			return -1
		}
		return next(i + 1)
	case w.lower == "as" && i+1 < len(words) && words[i+1].quoted && madeBefore(words, i):
		return i + 1
	}
	return -1
}

// opensBareTitle reports whether the cue at i is strong enough for a title without
// quotation marks.
func opensBareTitle(words []word, i int) bool {
	w := words[i]
	switch {
	case strictCues[w.lower]:
		return true
	case !titleNouns[w.lower] && w.lower != "call":
		return false
	case strings.ContainsAny(w.after, ":="), i+1 < len(words) && words[i+1].lower == "it":
		return true
	}
	for j := i - 1; j >= max(0, i-2); j-- {
		if titleBefore[words[j].lower] {
			return true
		}
	}
	return false
}

// namesDocument reports whether a cue at i says what a document to be read is
// called, as in "the file named notes", and not what one to be made shall be.
func namesDocument(words []word, i int) bool {
	j := i - 1
	for j >= 0 && slices.Contains([]string{"is", "that", "which", "with", "the", "a", "under", "its", "id"}, words[j].lower) {
		j--
	}
	return j >= 0 && documentCues[words[j].lower] && words[j].after == "" && !madeBefore(words, j)
}

// madeBefore reports whether the nearest verb before i, in its sentence, is one of
// making.
func madeBefore(words []word, i int) bool {
	for j := i - 1; j >= max(0, i-10); j-- {
		if words[j].endsClause() {
			return false
		}
		switch w := words[j]; {
		case w.quoted:
		case makeWords[w.lower]:
			return true
		case readWords[w.lower], sumWords[w.lower] && w.lower != "summary":
			return false
		}
	}
	return false
}

// titleEnd returns the index past the last word of a title without quotation
// marks: it goes on to the end of the sentence, or to where the next thing to do
// or the documents are named.
func titleEnd(words []word, from int) int {
	for i := from + 1; i < min(len(words), from+40); i++ {
		before, w := words[i-1], words[i]
		if before.endsClause() || w.quoted {
			return i
		}
		var next word
		if i+1 < len(words) {
			next = words[i+1]
		}
		// Only small letters begin the next thing to do: "Profit and Review" is a title.
		starts := func(s string) bool {
			return isVerb(s) || changes[s] || s == "then" || s == "please" || s == "also" || negations[s]
		}
		switch {
		case before.comma() && (starts(w.text) || slices.Contains([]string{"and", "but", "with", "using", "from", "based"}, w.lower) && !looksLikeTitleWord(w)):
			return i
		case w.lower == "and" && starts(next.text), w.lower == "please" && i == len(words)-1:
			return i
		case slices.Contains([]string{"from", "for", "about", "on", "of", "using", "with", "out", "based", "in"}, w.lower) && namesSource(words, i+1):
			return i
		}
	}
	return min(len(words), from+40)
}

// looksLikeTitleWord reports whether a small word is written as titles write them.
func looksLikeTitleWord(w word) bool { return w.text != w.lower }

// namesSource reports whether a document is named at i, or after one or two small
// words.
func namesSource(words []word, i int) bool {
	for j := i; j < min(len(words), i+3); j++ {
		w := words[j]
		if looksLikeID(w.text) || documentCues[w.lower] || w.lower == "it" || w.lower == "them" {
			return true
		}
		if !functionWords[w.lower] {
			return false
		}
	}
	return false
}
