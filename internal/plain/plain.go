// Package plain makes texts safe and short for people: what came from a model, an
// API, an authorization server or a file on disk reaches a terminal or a page as
// text, and drives neither.
package plain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Line returns s on one line, without characters that drive a terminal or turn
// its text around, cut to limit runes.
func Line(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		if limit--; limit < 0 {
			b.WriteString("…")
			break
		}
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		default:
			b.WriteRune(utf8.RuneError)
		}
	}
	return b.String()
}

// Text is [Line] for a text of several lines, uncut: line breaks and tabs stay,
// and so do the joiners that some scripts and emoji are spelled with.
func Text(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r) || r == '\n' || r == '\t' || r == '\u200d' || r == '\u200c':
			return r
		case r == '\r':
			return -1
		}
		return utf8.RuneError
	}, s)
}

// JSON returns a JSON text with the same meaning in which everything that is not
// printable stands as an escape, so that it can be shown on a terminal and loses
// nothing. Line feeds, which separate JSON lines, stay. A byte that is not UTF-8
// becomes U+FFFD, as any reader of JSON would have it.
func JSON(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		switch {
		case r == '\n' || unicode.IsPrint(r) && r != utf8.RuneError:
			out = append(out, text[:n]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[n:]
	}
	return out
}

// Between returns text between before and after, and nothing where there is no text.
func Between(before, text, after string) string {
	if text == "" {
		return ""
	}
	return before + text + after
}

// Count words n things: "1 token", "2 tokens", "3 entries".
func Count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	if stem, ok := strings.CutSuffix(thing, "ry"); ok {
		thing = stem + "rie"
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
