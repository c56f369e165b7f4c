package offline

import (
	"iter"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/rivo/uniseg"

	"github.com/jitagent/jitagent/internal/markdown"
)

// Runs of scripts without spaces are cut into overlapping pairs, which match well
// enough without a dictionary.
var isUnspaced = markdown.Unspaced

func isWordRune(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// terms returns what s is about: lower-case stems without function words, in
// order, repeats included. Numbers keep their inner points and commas.
func terms(s string) []string {
	out := make([]string, 0, len(s)/8)
	eachWord(strings.ReplaceAll(strings.ToLower(s), "’", "'"), func(w string) {
		if t := term(w); t != "" {
			out = append(out, t)
		}
	})
	return out
}

// eachWord calls f with every word of s: a run of letters and digits, or a pair
// of neighbours in a script without spaces. Apostrophes must be straight.
func eachWord(s string, f func(string)) {
	before, pairs := 0, 0 // the last character of the run without spaces, and its length
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		end := i + size
		if isUnspaced(r) || pairs > 0 && unicode.IsMark(r) {
			if pairs++; pairs > 1 {
				f(s[before:end])
			}
			before = i
		} else {
			if pairs == 1 {
				f(s[before:i])
			}
			pairs = 0
			if isWordRune(r) {
				end = wordEnd(s, i)
				f(s[i:end])
			}
		}
		i = end
	}
	if pairs == 1 {
		f(s[before:])
	}
}

// wordEnd returns where the word that begins at i ends. An apostrophe between
// letters and a point or comma between digits belong to it.
func wordEnd(s string, i int) int {
	var last rune
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		if !isWordRune(r) || isUnspaced(r) {
			next, _ := utf8.DecodeRuneInString(s[i+size:])
			inner := (r == '.' || r == ',') && unicode.IsDigit(last) && unicode.IsDigit(next) ||
				r == '\'' && unicode.IsLetter(last) && unicode.IsLetter(next)
			if !inner {
				return i
			}
		}
		last = r
		i += size
	}
	return i
}

// term returns the stem of a word in lower case, or "" for a function word.
func term(word string) string {
	w := strings.TrimSuffix(word, "'s")
	if functionWord.is(w) || len(w) == 1 && w[0] > '9' {
		return ""
	}
	return stem(w)
}

// stem cuts English endings so that "risks" meets "risk" and "renewed" meets
// "renews". It only has to be consistent, not right.
func stem(w string) string {
	for i := range len(w) {
		if w[i] < 'a' || w[i] > 'z' {
			return w // other scripts, numbers, names with accents: as they are
		}
	}
	switch {
	case len(w) > 4 && strings.HasSuffix(w, "ies"):
		return w[:len(w)-3] + "y"
	case len(w) > 4 && strings.HasSuffix(w, "sses"):
		w = w[:len(w)-2]
	case len(w) > 3 && w[len(w)-1] == 's' && !strings.ContainsRune("sui", rune(w[len(w)-2])):
		w = w[:len(w)-1]
	}
	for _, ending := range []string{"ing", "ed"} {
		if len(w) > len(ending)+3 && strings.HasSuffix(w, ending) {
			w = w[:len(w)-len(ending)]
			if n := len(w); w[n-1] == w[n-2] && !strings.ContainsRune("ls", rune(w[n-1])) {
				w = w[:n-1]
			}
			break
		}
	}
	if len(w) > 3 {
		w = strings.TrimSuffix(w, "e")
	}
	return w
}

// sentences splits running text by the rules of Unicode (UAX 29), and joins what
// those rules cut after an abbreviation or an initial.
func sentences(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, end := 0, 0
		for end < len(s) {
			end += runOn(s[end:])
			sentence, _, _ := uniseg.FirstSentenceInString(s[end:], -1)
			end += len(sentence)
			if end < len(s) && end-start < 1024 && endsInAbbreviation(s[start:end]) {
				continue
			}
			if t := strings.TrimSpace(s[start:end]); t != "" && !yield(t) {
				return
			}
			start = end
		}
	}
}

// runOn returns how many bytes s begins with that end no sentence and that do not
// matter for where the next one ends. It spares most of the rules: of ASCII, only
// these marks end a sentence, a point not before a digit, and only the character before
// them counts.
func runOn(s string) int {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.' && i+1 < len(s) && s[i+1] >= '0' && s[i+1] <= '9':
		case c >= utf8.RuneSelf, c == '.', c == '!', c == '?', c == '\n', c == '\r':
			return max(0, i-1)
		}
	}
	return max(0, len(s)-1)
}

func endsInAbbreviation(s string) bool {
	s = strings.TrimRightFunc(s, unicode.IsSpace)
	body, ok := strings.CutSuffix(s, ".")
	if !ok {
		return false
	}
	// Looked for in the last few bytes only: pending may be long.
	tail := body[max(0, len(body)-24):]
	if i := strings.LastIndexFunc(tail, func(r rune) bool { return unicode.IsSpace(r) || r == '(' }); i >= 0 {
		tail = tail[i+1:]
	} else if len(tail) < len(body) {
		return false
	}
	r, size := utf8.DecodeRuneInString(tail)
	initial := size == len(tail) && unicode.IsUpper(r) && unicode.IsLetter(r) && r != 'I'
	return initial || abbreviation.is(strings.ToLower(tail))
}

// tidy makes one line of s: white space runs become one space, and characters
// that steer a terminal or the direction of text are dropped.
func tidy(s string) string {
	if isTidy(s) {
		return s
	}
	shown := func(r rune) rune {
		if unicode.IsControl(r) && !unicode.IsSpace(r) || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 || r == 0xFEFF {
			return -1
		}
		return r
	}
	return strings.Join(strings.Fields(strings.Map(shown, strings.ToValidUTF8(s, "\uFFFD"))), " ")
}

// isTidy reports whether tidy has nothing to do, as is seen at once in most text:
// ASCII with single spaces.
func isTidy(s string) bool {
	before := byte(' ')
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c >= 0x7F || c == ' ' && before == ' ' {
			return false
		}
		before = c
	}
	return s == "" || before != ' '
}

// clip shortens s to at most n bytes or a little less, at a word's end, and marks
// the cut.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	cut := n
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	if i := strings.LastIndexByte(s[:cut], ' '); i > cut*2/3 {
		cut = i
	}
	return strings.TrimRight(s[:cut], " ,;:") + "…"
}

// joinSentences puts sentences behind each other, with a space unless the script
// does without.
func joinSentences(list []string) string { return markdown.Join(strings.Join(list, "\n")) }

// join writes a list as English does: "a", "a and b", "a, b and c".
func join(items []string) string {
	if len(items) < 2 {
		return strings.Join(items, "")
	}
	last := len(items) - 1
	return strings.Join(items[:last], ", ") + " and " + items[last]
}

// hasFigure reports whether s holds a number that says something: not only the
// digits of an identifier such as doc_12.
func hasFigure(s string) bool {
	before := utf8.RuneError
	for _, r := range s {
		if unicode.IsDigit(r) && !isWordRune(before) && before != '_' && before != '-' {
			return true
		}
		before = r
	}
	return false
}
