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

	"github.com/jitagent/jitagent/internal/lazy"
)

// words are what the person said, message by message, folded so that case, width and
// white space do not matter, without what a negation takes out.
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
func joins(r rune) bool { return strings.ContainsRune(`.-‐/\@+%~&=#`, r) }

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
	if joins(first) && joins(b) { // /etc is not said in ./etc
		return false
	}
	return !apart(first, b, bb) && !apart(last, a, aa)
}

// apart reports whether the rune at the end of a value goes on in the text beside it.
func apart(edge, next, afterNext rune) bool {
	if !isWord(edge) { // /etc is not said in home/etc, and a bracket ends by itself
		return joins(edge) && (isWord(next) || joins(next) && isWord(afterNext))
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
	if len(value) > 4*maxName {
		return false
	}
	return slices.ContainsFunc(w, func(text string) bool { return len(spans(text, value)) > 0 })
}

// saidFile reports whether the words hold the name of a file that goes by an id, which has
// hyphens where a path has spaces and slashes; see [Target.Files].
func (w words) saidFile(id string, endings []string) bool {
	const longest = 128
	if len(endings) == 0 || len(id) > longest || len(split(id)) == 0 {
		return false
	}
	name := strings.Join(strings.Split(regexp.QuoteMeta(fold(id)), "-"), `[^\pL\pN_,;:"'“”]{1,4}`)
	file := regexp.MustCompile(`(?:^|[^\pL\pN_.\-/\\@+%~&=#])` + name + `\.(?:` + strings.ReplaceAll(regexp.QuoteMeta(fold(strings.Join(endings, " "))), " ", "|") + `)(?:$|\.?(?:$|[^\pL\pN_.\-/\\@+%~&=#]))`)
	return slices.ContainsFunc(w, file.MatchString)
}

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

var (
	decimal = regexp.MustCompile(`^-?\d+(?:\.\d+)?(?:e[-+]?\d{1,3})?$`)
	number  = regexp.MustCompile(`\d[\d,.'’]*`)
	grouped = regexp.MustCompile(`^\d{1,3}(?:[,'’]\d{2,3})*[,'’]\d{3}(?:\.\d+)?$`) // 1,500.50
	comma   = regexp.MustCompile(`^\d{1,3}(?:\.?\d{3})*,\d{1,2}$|^\d+,\d{1,2}$`)   // 1.500,50
)

// saidNumber reports whether the words hold the number, in any notation. One that is
// part of a name or a date was not said, nor was one of the other sign.
func (w words) saidNumber(value string) bool {
	value = strings.ToLower(value)
	if len(value) > 64 || !decimal.MatchString(value) {
		return false
	}
	want, ok := new(big.Rat).SetString(value)
	for _, text := range w {
		_, plain := numbers(text)
		for _, p := range plain {
			if n, valid := new(big.Rat).SetString(p); ok && valid && n.Cmp(want) == 0 {
				return true
			}
		}
	}
	return false
}

// numbers returns the numbers of a text, as they stand there and plainly.
func numbers(text string) (found, plain []string) {
	for _, at := range number.FindAllStringIndex(text, -1) {
		n := strings.TrimRight(text[at[0]:at[1]], ",.'’")
		before, after := text[:at[0]], text[at[0]+len(n):]
		if len(n) > 64 || !bordered(before, after, n) {
			continue
		}
		p := n
		switch {
		case grouped.MatchString(n):
			p = strings.NewReplacer(",", "", "'", "", "’", "").Replace(n)
		case comma.MatchString(n):
			p = strings.NewReplacer(".", "", ",", ".").Replace(n)
		}
		if strings.HasSuffix(before, "-") || strings.HasSuffix(before, "−") {
			p = "-" + p
		}
		found, plain = append(found, n), append(plain, p)
	}
	return found, plain
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
	if u.Fragment != "" {
		at += "#" + u.EscapedFragment()
	}
	return at
}

// titled is a title as people give one: in quotation marks, after a word that says so.
var titled = lazy.Regexp(`(?:titled?|called|named?|call it|name it|headed|heading)[\s:,=]+(?:["“„]([^"“”„]{1,200})["”“]|['‘]([^'’]{1,200})['’])`)

// titles are those that the person gave in a message.
func (m message) titles() []string {
	var all []string
	for _, found := range titled().FindAllStringSubmatch(m.text, -1) {
		if t := found[1] + found[2]; !strings.ContainsAny(t, "{}<>") { // a pattern for one
			all = append(all, t)
		}
	}
	return all
}

// idle are words that tell nothing apart.
var idle = set(strings.Fields(`a an and about at by for from in is it of on or the to with this that my our your what document documents file files please`))

// common are words that stand in requests by chance, whatever is called that.
var common = set(strings.Fields(`i me you he him she her we us they them be are was were been do does did done has have had can could would should will
	shall may might must if then else not no so up out as but into over than there here who which when where why how all any each every both one ones
	some new also only just them their his its`))

// asking are the words that requests are made of.
var asking = set(strings.Fields(`add book cancel change check create delete email find get give invite list look make message move open pay post read reply report schedule search
	send share show summarize tell transfer update write`))

// byChance reports whether a value stands in texts without being meant: a short number,
// a letter, nothing but common words, or nothing but signs.
func byChance(value string) bool {
	return !slices.ContainsFunc(split(fold(value)), func(t string) bool {
		return !idle[t] && !common[t] && !asking[t] && !bare(t) && (len(t) > 1 || t[0] >= utf8.RuneSelf)
	})
}

// lookalike reports whether folding makes a value into one that others are told by: of
// another width or form, or an ASCII letter of one that is none.
func lookalike(value string) bool {
	foreign := func(s string) (n int) {
		for _, r := range s {
			if r >= utf8.RuneSelf {
				n++
			}
		}
		return n
	}
	return !norm.NFKC.IsNormalString(value) || foreign(value) != foreign(fold(value)) || strings.Join(strings.Fields(value), " ") != value
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
