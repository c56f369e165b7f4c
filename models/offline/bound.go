package offline

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits that keep the Markdown parser's work linear: it is quadratic in the
// nesting of containers and in the length of one run of inline text, and a
// document may be written to hurt.
const (
	maxNesting   = 8       // container markers at the start of a line
	maxIndent    = 24      // columns of indentation
	maxParagraph = 4 << 10 // bytes of neighbouring lines
)

// bound returns s so that the parser's work on it is linear. Text that people
// write comes back unchanged.
func bound(s string) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/16)
	run := 0 // bytes since the last blank line
	for line := range strings.Lines(s) {
		line = strings.TrimSuffix(line, "\n")
		line = limitMarkers(line)
		isRow := strings.Contains(line, "|")
		for {
			var rest string
			if len(line) > maxParagraph {
				cut := cutPoint(line, maxParagraph)
				line, rest = line[:cut], line[cut:]
			}
			switch {
			case strings.TrimSpace(line) == "":
				run = 0
			case !isRow && run+len(line) > maxParagraph:
				b.WriteByte('\n')
				run = 0
			}
			run += len(line)
			b.WriteString(line)
			b.WriteByte('\n')
			if rest == "" {
				break
			}
			line = strings.TrimLeft(rest, " \t>")
			run = maxParagraph // the rest becomes a paragraph of its own
		}
	}
	return b.String()
}

// limitMarkers drops the container markers of a line beyond [maxNesting], and the
// indentation beyond [maxIndent].
func limitMarkers(line string) string {
	markers, indent, i := 0, 0, 0
	for i < len(line) && markers < maxNesting && indent <= maxIndent {
		switch c := line[i]; {
		case c == ' ':
			indent++
		case c == '\t':
			indent += 4
		case c == '>':
			markers++
		case (c == '-' || c == '*' || c == '+') && i+1 < len(line) && (line[i+1] == ' ' || line[i+1] == '\t'):
			markers++
		default:
			return line
		}
		i++
	}
	if i == len(line) {
		return line
	}
	return line[:i] + strings.TrimLeft(line[i:], " \t>-*+")
}

// cutPoint returns where to cut s before n: after a sentence or a word if one ends
// in the second half, else between two runes.
func cutPoint(s string, n int) int {
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	for _, stop := range []string{". ", "。", " "} {
		if i := strings.LastIndex(s[:n], stop); i > n/2 {
			return i + len(stop)
		}
	}
	return n
}

// tags matches what is not text in HTML, scripts and comments whole.
var tags = regexp.MustCompile(`(?is)<script\b.*?</script>|<style\b.*?</style>|<!--.*?-->|<[^<>]*>`)

func stripTags(s string) string { return tags.ReplaceAllString(s, " ") }

// lineBreak returns what stands for a line break inside a paragraph: a space, but
// nothing beside a character of a script without spaces.
func lineBreak(before string, after []byte) string {
	last, _ := utf8.DecodeLastRuneInString(before)
	next, _ := utf8.DecodeRuneInString(strings.TrimLeft(string(after[:min(len(after), 64)]), " \t\r\n>"))
	if wide(last) || wide(next) {
		return ""
	}
	return " "
}

func wide(r rune) bool {
	return isUnspaced(r) && !unicode.Is(unicode.Hangul, r) || strings.ContainsRune("、。・「」『』！？", r)
}

// maxDigits bounds how many digits of a text are looked at for a number that says
// something.
const maxDigits = 16

// hasFigure reports whether s holds a number that says something: not only the
// digits of an identifier such as doc_12.
func hasFigure(s string) bool {
	digits := 0
	before := utf8.RuneError
	for _, r := range s {
		if unicode.IsDigit(r) {
			if !unicode.IsLetter(before) && before != '_' && before != '-' && !unicode.IsDigit(before) {
				return true
			}
			if digits++; digits == maxDigits {
				return false
			}
		}
		before = r
	}
	return false
}
