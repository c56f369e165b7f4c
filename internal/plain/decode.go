package plain

import (
	"bytes"
	"errors"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"
)

// ErrNotText reports bytes that no encoding makes a text of, such as a picture.
var ErrNotText = errors.New("not text")

// Decode returns bytes as a text in UTF-8. Their encoding is the one that a byte order
// mark at their beginning says, or else the one named, or else UTF-8, or, where they are
// none, what HTML says of itself, or Windows-1252, which unnamed encodings mostly are,
// Latin-1 among them. A name that the WHATWG's list does not have counts as none.
func Decode(b []byte, named string) (string, error) {
	var from encoding.Encoding = unicode.UTF8
	if e, _ := charset.Lookup(named); e != nil {
		from = e
	} else if !utf8.Valid(b) {
		from, _, _ = charset.DetermineEncoding(b, "")
	}
	text, _, err := transform.Bytes(unicode.BOMOverride(from.NewDecoder()), b)
	wide := bytes.HasPrefix(b, []byte("\xff\xfe")) || bytes.HasPrefix(b, []byte("\xfe\xff"))
	if err != nil || binary(text) || wide && bytes.ContainsRune(text, utf8.RuneError) { // half a pair: no UTF-16 either
		return "", ErrNotText
	}
	return strings.ToValidUTF8(string(text), "\ufffd"), nil
}

// binary reports a text with U+0000, or one that begins with controls that no text has
// (WHATWG MIME Sniffing, section 5.3), or as a PDF file does.
func binary(text []byte) bool {
	return bytes.ContainsRune(text, 0) || bytes.HasPrefix(text, []byte("%PDF-")) ||
		bytes.ContainsFunc(text[:min(len(text), 512)], func(r rune) bool { return r < ' ' && !strings.ContainsRune("\t\n\f\r\x1b", r) })
}
