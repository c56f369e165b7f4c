package plain

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestDecode(t *testing.T) {
	long := strings.Repeat("x", 2000)
	for in, want := range map[struct{ text, charset string }]string{
		{"", ""}:                                              "",
		{"Café\r\n", ""}:                                      "Café\r\n",
		{"\ufeffCafé", ""}:                                    "Café",
		{"\ufeffCafé", "iso-8859-1"}:                          "Café", // the mark outweighs the name
		{"Caf\xe9", ""}:                                       "Café",
		{"Caf\xe9", "ISO-8859-1"}:                             "Café",
		{"Caf\xe9", "no-such"}:                                "Café",
		{"\x80 5", ""}:                                        "€ 5",
		{"\xd4\xc9\xce", "koi8-r"}:                            "тин",
		{"C\x00a\x00f\x00", "utf-16le"}:                       "Caf",
		{"\xff\xfeC\x00\xe9\x00", ""}:                         "Cé",
		{"\xfe\xff\x00C\x00\xe9", ""}:                         "Cé",
		{"\xff\xfe\x3d\xd8\x00\xde", ""}:                      "\U0001f600",
		{"\x82\xa0", "shift_jis"}:                             "あ",
		{long + "é", ""}:                                      long + "é",
		{long + "\xe9", ""}:                                   long + "é",
		{"BMW and GIF89a are words", ""}:                      "BMW and GIF89a are words",
		{`<meta charset="windows-1251"><p>` + "\xc4\xe0", ""}: `<meta charset="windows-1251"><p>Да`,
		{`<meta charset="windows-1251"><p>` + "Да", ""}:       `<meta charset="windows-1251"><p>Да`, // an example
	} {
		if got, err := Decode([]byte(in.text), in.charset); err != nil || got != want {
			t.Errorf("Decode(%q, %q) = %q, %v, want %q", in.text, in.charset, got, err, want)
		}
	}
	for _, in := range []string{"a\x00b", "C\x00a\x00f\x00", "\x89PNG\r\n\x1a\n", "%PDF-1.7\nx", "\xff\xfe\x00\x00a\x00\x00\x00", "\x01", long + "\x00", "\xff\xfe\x3d\xd8x\x00", "\xfe\xff\x00a\x00"} {
		if got, err := Decode([]byte(in), ""); !errors.Is(err, ErrNotText) {
			t.Errorf("Decode(%q) = %q, %v, want ErrNotText", in, got, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("\xff\xfeC\x00"), "utf-16")
	f.Fuzz(func(t *testing.T, b []byte, charset string) {
		text, err := Decode(b, charset)
		if err == nil && (!utf8.ValidString(text) || strings.ContainsRune(text, 0)) {
			t.Errorf("Decode(%q, %q) = %q", b, charset, text)
		}
	})
}
