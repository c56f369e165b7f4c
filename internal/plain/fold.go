package plain

import (
	"strings"

	"github.com/rivo/uniseg"
)

// Fold breaks a text at spaces into lines of at most width columns and begins all but
// the first under column indent, where the first is taken to begin. A word that fits no
// such line, as an address may not, stays whole, so that it can be copied, and has a line
// from the first column to itself. A width that leaves no room changes nothing.
func Fold(text string, width, indent int) string {
	room := width - indent
	if room < 20 {
		return text
	}
	var b strings.Builder
	column := 0
	for word := range strings.FieldsSeq(text) {
		n := uniseg.StringWidth(word)
		switch {
		case column == 0:
		case column+1+n <= room:
			b.WriteByte(' ')
			column++
		case n > room:
			b.WriteByte('\n')
			column = width // whatever follows begins a line
		default:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = 0
		}
		b.WriteString(word)
		column += n
	}
	return b.String()
}
