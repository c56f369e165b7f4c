package markdown

import (
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

// unspaced holds the scripts that are written without spaces between words, or
// with particles glued to them.
var unspaced = []*unicode.RangeTable{
	unicode.Han, unicode.Hiragana, unicode.Katakana, unicode.Hangul,
	unicode.Thai, unicode.Lao, unicode.Khmer, unicode.Myanmar,
}

// Unspaced reports whether r is of a script in which spaces do not part words.
func Unspaced(r rune) bool { return r >= 0x0E00 && (r == 'ー' || unicode.In(r, unspaced...)) }

// Wide reports whether no space stands beside r where a line ends in a paragraph.
func Wide(r rune) bool {
	return Unspaced(r) && !unicode.Is(unicode.Hangul, r) || strings.ContainsRune("、。・「」『』！？", r)
}
