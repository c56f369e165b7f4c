package lumoauth

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jitagent/jitagent/secret"
)

// Limits of what is kept of a server's words, in bytes.
const (
	maxMessage = 400
	maxLabel   = 64
)

// minScrub is the length from which a credential can be cut out of a text. A
// shorter one would match by chance, so a text that holds one is dropped whole.
const minScrub = 8

// jwtLike matches signed tokens, also those that this client never saw.
var jwtLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`)

// clean makes peer text fit for errors, logs and a model: credentials cut out,
// control and invisible characters turned to spaces, cut to limit bytes.
func clean(text string, limit int, hide ...secret.String) string {
	for _, s := range hide {
		text = scrub(text, s.Reveal())
	}
	text = jwtLike.ReplaceAllLiteralString(text, secret.Redacted)
	text = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if len(text) <= limit {
		return text
	}
	cut := limit
	for !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + "..."
}

// scrub cuts v out of text, as it is and as it may be encoded.
func scrub(text, v string) string {
	if v == "" {
		return text
	}
	if len(v) < minScrub {
		if strings.Contains(text, v) {
			return secret.Redacted
		}
		return text
	}
	for _, form := range forms(v) {
		text = strings.ReplaceAll(text, form, secret.Redacted)
	}
	return text
}

// forms returns v as it may stand in a text: as it is, URL-escaped, in hex, and in
// base64 at each of the three alignments within a longer encoded text.
func forms(v string) []string {
	digits := hex.EncodeToString([]byte(v))
	set := []string{v, url.QueryEscape(v), url.PathEscape(v), digits, strings.ToUpper(digits)}
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for shift := range 3 {
			set = append(set, base64Core(enc, v, shift))
		}
	}
	return set
}

// base64Core returns the characters that encode v, and nothing but v, when v
// starts shift bytes into a group of three.
func base64Core(enc *base64.Encoding, v string, shift int) string {
	text := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + v))
	if shift > 0 {
		text = text[shift+1:] // these characters mix in what stands before v
	}
	if (shift+len(v))%3 != 0 {
		text = text[:len(text)-1] // this one mixes in what follows
	}
	return text
}
