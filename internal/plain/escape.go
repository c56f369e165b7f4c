package plain

import (
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Escape returns s on one line, in printable characters only, so that whoever decides
// sees what is there: others, those that turn a text around among them, stand as \u{202e},
// a byte that is not UTF-8 as \x80, and a backslash as two. Of what is over limit runes
// the beginning is left, and it says how much is missing, with a digest of the whole.
func Escape(s string, limit int) string {
	var b strings.Builder
	whole := s
	for ; s != "" && limit > 0; limit-- {
		r, n := utf8.DecodeRuneInString(s)
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[0])
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\\':
			b.WriteString(`\\`)
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u{%x}`, r)
		}
		s = s[n:]
	}
	if s != "" {
		fmt.Fprintf(&b, " [%d of %d bytes are not shown; SHA-256 of all: %x]", len(s), len(whole), sha256.Sum256([]byte(whole)))
	}
	return b.String()
}
