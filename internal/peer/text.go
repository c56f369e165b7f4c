package peer

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// mark stands where [Clean] and [Cut] left something out.
const mark = "…"

// Clean makes a peer's text fit for an error, a log line or a person: one line of
// at most limit bytes. White space and control characters become one space;
// characters that show as nothing or turn their neighbors around, and bytes that
// are no UTF-8, are left out. A text that was cut ends in "…", where limit leaves
// room for it. It hides no credential: do that first, on the whole text.
func Clean(text string, limit int) string {
	if most := 8 * limit; len(text) > most { // bounds the work; what is dropped so far is noise
		text = text[:most]
	}
	var b strings.Builder
	gap := false
	for i, r := range text {
		switch {
		case unicode.IsSpace(r) || unicode.IsControl(r):
			gap = b.Len() > 0
			continue
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD"), !shows(r):
			continue
		}
		if gap {
			b.WriteByte(' ')
			gap = false
		}
		b.WriteRune(r)
		if b.Len() > limit {
			break // Cut takes off what is too much
		}
	}
	return Cut(b.String(), limit)
}

// shows reports whether a character can be seen, and leaves its neighbors as they are.
func shows(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// Cut shortens text to at most limit bytes, between two characters, and marks the
// place with "…" if limit leaves room for it.
func Cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	end := mark
	if limit < len(end) {
		end = ""
	}
	n := max(limit-len(end), 0)
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + end
}
