package offline

import (
	"iter"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A word is a piece of a prompt: a run without white space, less the punctuation
// around it, or everything between two quotation marks.
type word struct {
	text  string
	lower string // as lexicon.txt has it; empty for a quotation
	class class  // of lower
	// quoted says that the word is a quotation.
	quoted bool
	// taken says that the word is an identifier, or a title without a cue.
	taken bool
	// after is the punctuation that follows, with "\n" where the line ends.
	after      string
	start, end int // in the prompt, quotation marks included
}

func (w word) is(c class) bool { return w.class&c != 0 }

// in reports whether w is one of the words, which are in lower case.
func (w word) in(words ...string) bool { return slices.Contains(words, w.lower) }

// take makes an identifier of w: it has no other meaning any more.
func (w *word) take() { w.taken, w.lower, w.class = true, "", 0 }

// words are the words of a prompt.
type words []word

// at returns the word at i, an empty one outside of the prompt.
func (ws words) at(i int) word {
	if i < 0 || i >= len(ws) {
		return word{}
	}
	return ws[i]
}

// before goes through the n words before i, the nearest first.
func (ws words) before(i, n int) iter.Seq2[int, word] {
	return func(yield func(int, word) bool) {
		for j := i - 1; j >= max(0, i-n) && yield(j, ws[j]); j-- {
		}
	}
}

// closes maps an opening quotation mark to those that may close it. Straight and
// curly single marks are also apostrophes, which [closing] sorts out.
var closes = map[rune]string{
	'"': `"`, '\'': `'`, '`': "`", '“': "”\"", '„': "“”\"", '‘': "’", '‚': "‘’", '«': "»", '»': "«",
	'‹': "›", '「': "」", '『': "』", '《': "》", '〈': "〉", '＂': "＂",
}

// maxQuoted bounds a quoted span, in bytes. Longer ones are not names or titles.
const maxQuoted = 1 << 10

// splitWords cuts a prompt into words.
func splitWords(s string) words {
	var out words
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\n' && len(out) > 0:
			out[len(out)-1].after += "\n"
			i++
		case unicode.IsSpace(r):
			i += size
		case closes[r] != "" && opens(s, i, r):
			titled := out.at(len(out) - 1).is(titleCue)
			if end, next := closing(s, i+size, r, titled); end > 0 {
				out = append(out, word{text: s[i+size : end], quoted: true, start: i, end: next})
				i = next
				continue
			}
			i += size
		case isEdge(r):
			if len(out) > 0 && strings.ContainsRune(",.;:!?()、。，；：！？—–=", r) {
				out[len(out)-1].after += string(r)
			}
			i += size
		default:
			end := runEnd(s, i)
			text := strings.TrimRightFunc(s[i:end], isEdge)
			lower := strings.ToLower(text)
			out = append(out, word{text: text, lower: lower, class: lexicon[lower], start: i, end: i + len(text)})
			if fileName.MatchString(text) {
				out = out.spaced(s)
			}
			i += len(text)
		}
	}
	return out
}

// spaced makes one word of a file name at the end of ws and the words of the name
// before it, which begin with a capital or a digit: "Summarize Q4 Report.md" has two.
func (ws words) spaced(s string) words {
	first, end := len(ws)-1, ws[len(ws)-1].end
	for i, w := range ws.before(first, 4) {
		r, _ := utf8.DecodeRuneInString(w.text)
		if w.quoted || w.after != "" || w.is(anyVerb|documentCue|functionWord) || !unicode.IsUpper(r) && !unicode.IsDigit(r) || fileName.MatchString(w.text) {
			break
		}
		first = i
	}
	text := s[ws[first].start:end]
	return append(ws[:first], word{text: text, lower: strings.ToLower(text), start: ws[first].start, end: end})
}

// isEdge reports whether r is punctuation that may stand around a word. Underscore,
// hyphen and the like belong to identifiers.
func isEdge(r rune) bool {
	return strings.ContainsRune(`.,;:!?()[]{}<>"'*`+"`", r) || r > 0x7F && (unicode.IsPunct(r) || unicode.IsSymbol(r)) || r == '=' || r == '|'
}

// runEnd returns where the word that begins at i ends: at white space, at a
// quotation mark that cannot be an apostrophe, or where a script without spaces
// meets Latin letters or digits.
func runEnd(s string, i int) int {
	var last rune
	for j, r := range s[i:] {
		switch {
		case unicode.IsSpace(r), j > 0 && strings.ContainsRune("\"“”„«»‹›「」『』《》、。，；：！？`", r):
			return i + j
		case j > 0 && isUnspaced(r) != isUnspaced(last) && !joins(last) && !joins(r):
			return i + j
		}
		last = r
	}
	return len(s)
}

func joins(r rune) bool { return r == '_' || r == '-' || r == '.' || unicode.IsMark(r) }

// opens reports whether a quotation mark at i can open a quotation. An apostrophe
// follows a letter.
func opens(s string, i int, mark rune) bool {
	if mark != '\'' && mark != '‘' && mark != '‚' {
		return true
	}
	before, _ := utf8.DecodeLastRuneInString(s[:i])
	return i == 0 || !unicode.IsLetter(before) && !unicode.IsDigit(before) || isUnspaced(before)
}

// closing returns where a quotation ends and what follows begins, or 0 when
// nothing closes it. A single mark before a letter is an apostrophe. In a title a
// single mark may also be a plural's apostrophe ('Customers' churn'), so there the
// last one counts that no new quotation precedes.
func closing(s string, from int, mark rune, titled bool) (end, next int) {
	single := mark == '\'' || mark == '‘' || mark == '‚'
	for j, r := range s[from:min(len(s), from+maxQuoted)] {
		at := from + j
		switch {
		case r == '\n' && mark < 0x7F:
			return end, next
		case single && end > 0 && closes[r] != "" && opens(s, at, r) && startsWord(s, at+utf8.RuneLen(r)):
			return end, next // a new quotation
		case single && end > 0 && strings.ContainsRune(".,;!?", r):
			return end, next
		case !strings.ContainsRune(closes[mark], r):
		case single && startsWord(s, at+utf8.RuneLen(r)):
		case strings.TrimSpace(s[from:at]) == "":
		default:
			end, next = at, at+utf8.RuneLen(r)
			if !single || !titled {
				return end, next
			}
		}
	}
	return end, next
}

// startsWord reports whether a letter or digit stands at i.
func startsWord(s string, i int) bool {
	r, _ := utf8.DecodeRuneInString(s[i:])
	return unicode.IsLetter(r) || unicode.IsDigit(r)
}

// endsClause reports whether the punctuation after w ends a sentence.
func (w word) endsClause() bool { return strings.ContainsAny(w.after, ".;!?\n。；！？") }

func (w word) comma() bool { return strings.ContainsAny(w.after, ",、，") }
