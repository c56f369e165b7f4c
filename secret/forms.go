package secret

import (
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"strings"
)

// forms returns the value as it may stand in a text that somebody else wrote: as
// it is, URL-escaped, in hex, and in base64 at each of the three alignments within
// a longer encoded text. Forms may
// repeat.
func (s String) forms() []string {
	v := s.Reveal()
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
	if v == "" {
		return ""
	}
	text := enc.EncodeToString([]byte(strings.Repeat("\x00", shift) + v))
	if shift > 0 {
		text = text[shift+1:] // these characters mix in what stands before v
	}
	if (shift+len(v))%3 != 0 {
		text = text[:len(text)-1] // this one mixes in what follows
	}
	return text
}
