package docapi

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxSlug keeps a file name well below the 255 bytes that file systems allow,
// also after the decomposition that some of them do.
const maxSlug = 80 // bytes

// slug turns a title into the readable part of a file name: letters, marks and
// digits of any script in lower case, everything else a single hyphen. The result
// holds no separator and no dot, is never empty, and never a whole file name, so
// names that Windows reserves cannot come out.
func slug(title string) string {
	var b strings.Builder
	hyphen := false
	for _, r := range strings.ToLower(title) {
		mark := unicode.IsMark(r) && b.Len() > 0 && !hyphen // belongs to the letter before
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !mark {
			hyphen = b.Len() > 0
			continue
		}
		need := utf8.RuneLen(r)
		if hyphen {
			need++
		}
		if b.Len()+need > maxSlug {
			break
		}
		if hyphen {
			b.WriteByte('-')
			hyphen = false
		}
		b.WriteRune(r)
	}
	if b.Len() == 0 {
		return "report"
	}
	return b.String()
}
