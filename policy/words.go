package policy

import (
	"math/big"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// words are what the person said, message by message, folded so that case, width and
// white space do not matter.
type words []string

// fold makes texts comparable.
func fold(s string) string {
	return strings.Join(strings.Fields(strings.ToLower(norm.NFKC.String(s))), " ")
}

func isWord(r rune) bool {
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || r == '_'
}

// joins reports whether a rune between two words makes one name of them: doc_1 is not
// said in doc_1-draft, nor b.com in a@b.com.
func joins(r rune) bool { return strings.ContainsRune(`.-/\@+%~&=#`, r) }

// spans returns where a folded value stands in a folded text as a whole name.
func spans(text, value string) [][2]int {
	var all [][2]int
	for from := 0; value != ""; {
		i := strings.Index(text[from:], value)
		if i < 0 {
			break
		}
		start, end := from+i, from+i+len(value)
		if bordered(text[:start], text[end:], value) {
			all = append(all, [2]int{start, end})
		}
		_, size := utf8.DecodeRuneInString(text[start:])
		from = start + size
	}
	return all
}

// bordered reports whether a value between two texts is a name of its own.
func bordered(before, after, value string) bool {
	first, _ := utf8.DecodeRuneInString(value)
	last, _ := utf8.DecodeLastRuneInString(value)
	b, size := utf8.DecodeLastRuneInString(before)
	bb, _ := utf8.DecodeLastRuneInString(before[:len(before)-size])
	a, size := utf8.DecodeRuneInString(after)
	aa, _ := utf8.DecodeRuneInString(after[size:])
	return !apart(first, b, bb) && !apart(last, a, aa)
}

// apart reports whether the rune at the end of a value goes on in the text beside it.
func apart(edge, next, afterNext rune) bool {
	if !isWord(edge) {
		return false
	}
	return isWord(next) && !ideographic(edge, next) || joins(next) && isWord(afterNext)
}

// ideographic reports whether two runes are of writings that put no space between
// words where the one ends and the other begins.
func ideographic(a, b rune) bool {
	han := func(r rune) bool {
		return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Thai)
	}
	return han(a) != han(b)
}

// said reports whether the value stands in the words.
func (w words) said(value string) bool {
	value = fold(value)
	for _, text := range w {
		if len(spans(text, value)) > 0 {
			return true
		}
	}
	return false
}

// saidFile reports whether the words hold the name of a text file that goes by an id:
// the id has no ending, and hyphens where a path has spaces and slashes.
func (w words) saidFile(id string) bool {
	const longest = 128
	if len(id) > longest {
		return false
	}
	name := strings.Join(strings.Split(regexp.QuoteMeta(fold(id)), "-"), `[^\pL\pN_,;:"'“”]{1,4}`)
	file := regexp.MustCompile(`(?:^|[^\pL\pN_.\-/\\@+%~&=#])` + name + `(?:\.restricted)?\.(?:md|markdown|html?|txt|text|log|csv)(?:$|\.?(?:$|[^\pL\pN_.\-/\\@+%~&=#]))`)
	return slices.ContainsFunc(w, file.MatchString)
}

// all returns the words one by one.
func (w words) all() []string { return split(strings.Join(w, "\n")) }

func split(s string) []string { return strings.FieldsFunc(s, func(r rune) bool { return !isWord(r) }) }

// inflected reports whether token is the word, or a form of it.
func inflected(token, word string) bool {
	stem := strings.TrimSuffix(word, "e")
	if token == word || strings.HasSuffix(word, "y") && token == strings.TrimSuffix(word, "y")+"ies" {
		return true
	}
	rest, ok := strings.CutPrefix(token, stem)
	if !ok || stem == "" {
		return false
	}
	double := stem[len(stem)-1:]
	switch rest {
	case "s", "es", "ed", "d", "ing", double + "ed", double + "ing":
		return true
	}
	return false
}

// asks reports whether a text has one of the words, or of the phrases, in any form.
func asks(text string, kinds []string) bool {
	tokens := split(text)
	for _, kind := range kinds {
		kind = fold(kind)
		if strings.Contains(kind, " ") && len(spans(text, kind)) > 0 {
			return true
		}
		for _, t := range tokens {
			if inflected(t, kind) {
				return true
			}
		}
	}
	return false
}

var numerals = map[string]int{"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10, "couple": 2}

// distributes are words by which one request stands for several.
var distributes = []string{"each", "every", "both", "per", "all", "separate", "separately", "individual", "individually", "respectively"}

// asked says how many effects of a kind one message asks for, where things is how
// many things were named that it could mean by "each".
func asked(text string, kinds []string, things int) int {
	if !asks(text, kinds) {
		return 0
	}
	n := 1
	tokens := split(text)
	for i, t := range tokens {
		for _, kind := range kinds {
			if t == kind || !inflected(t, kind) || !strings.HasSuffix(t, "s") {
				continue
			}
			for _, before := range tokens[max(0, i-2):i] { // "three short reports"
				n = max(n, numerals[before], small(before))
			}
		}
		for _, d := range distributes {
			if t == d {
				n = max(n, things)
			}
		}
	}
	return n
}

// small is a numeral of one or two digits; 0 for everything else.
func small(s string) int {
	n := 0
	for _, r := range s {
		if r < '0' || r > '9' || n > 9 {
			return 0
		}
		n = n*10 + int(r-'0')
	}
	return n
}

var number = regexp.MustCompile(`\d[\d,'’]*(?:\.\d+)?`)

// saidNumber reports whether the words hold the number, in any notation.
func (w words) saidNumber(value string) bool {
	want, ok := new(big.Rat).SetString(value)
	if !ok || len(value) > 64 {
		return false
	}
	for _, text := range w {
		for _, found := range number.FindAllString(text, -1) {
			plain := strings.NewReplacer(",", "", "'", "", "’", "").Replace(found)
			if n, ok := new(big.Rat).SetString(plain); ok && n.Cmp(want.Abs(want)) == 0 {
				return true
			}
		}
	}
	return false
}

// saidURL reports whether the words hold the URL: its scheme may be missing, and a
// slash at its end.
func (w words) saidURL(value string) bool {
	want := place(value)
	if want == "" {
		return false
	}
	for _, text := range w {
		for token := range strings.FieldsSeq(text) {
			if strings.EqualFold(place(strings.Trim(token, `"'“”‘’()<>[]{},;:!?.`)), want) {
				return true
			}
		}
	}
	return false
}

// place is a URL without what does not tell places apart; "" if it is none.
func place(s string) string {
	s = fold(s)
	if !strings.Contains(s, "://") {
		s = "https://" + s
	}
	u, err := url.Parse(s)
	if err != nil || u.User != nil || u.Scheme != "https" && u.Scheme != "http" || !strings.Contains(u.Host, ".") {
		return ""
	}
	at := u.Host + strings.TrimRight(u.EscapedPath(), "/")
	if u.RawQuery != "" {
		at += "?" + u.RawQuery
	}
	return at
}

// titled is a title as people give one: in quotation marks, after a word that says so.
var titled = regexp.MustCompile(`(?:titled?|called|named?|call it|name it|headed|heading)[\s:,=]+(?:["“„]([^"“”„]{1,200})["”“]|['‘]([^'’]{1,200})['’])`)

// titles are those that the person gave.
func (w words) titles() []string {
	var all []string
	for _, text := range w {
		for _, m := range titled.FindAllStringSubmatch(text, -1) {
			if t := m[1] + m[2]; !strings.ContainsAny(t, "{}<>") { // a pattern for one
				all = append(all, t)
			}
		}
	}
	return all
}

// idle are words that tell nothing apart.
var idle = map[string]bool{
	"a": true, "an": true, "and": true, "about": true, "at": true, "by": true, "for": true, "from": true, "in": true, "is": true, "it": true, "of": true,
	"on": true, "or": true, "the": true, "to": true, "with": true, "this": true, "that": true, "my": true, "our": true, "your": true, "what": true,
	"document": true, "documents": true, "file": true, "files": true, "please": true,
}

// telling returns the words of a text that tell something, without repetition.
func telling(s string) []string {
	var all []string
	seen := map[string]bool{}
	for _, t := range split(fold(s)) {
		if !idle[t] && !seen[t] {
			seen[t] = true
			all = append(all, t)
		}
	}
	return all
}

// share counts how many of the words are among those.
func share(of []string, among map[string]bool) int {
	n := 0
	for _, t := range of {
		if among[t] {
			n++
		}
	}
	return n
}
