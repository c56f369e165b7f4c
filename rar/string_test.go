package rar_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/rar"
)

func TestString(t *testing.T) {
	tests := map[string]struct {
		d    rar.Detail
		want string
	}{
		"escape sequence": {
			rar.Detail{Type: "a", Actions: []string{"read\x1b[2K"}, Identifier: "doc\r1"},
			`a "read\x1b[2K" "doc\r1"`,
		},
		"bidi override":      {rar.Detail{Type: "a", Identifier: "doc_\u202e2899"}, `a * "doc_\u202e2899"`},
		"variation selector": {rar.Detail{Type: "a", Identifier: "doc\ufe0f"}, `a * "doc\ufe0f"`},
		"filler":             {rar.Detail{Type: "a", Identifier: "doc\u3164"}, `a * "doc\u3164"`},
		"invalid UTF-8":      {rar.Detail{Type: "a\xff"}, `"a\xff"`},
		"no type":            {rar.Detail{}, `""`},
		"empty list":         {rar.Detail{Type: "a", Actions: []string{}}, `a []`},
		"space in a word":    {rar.Detail{Type: "a", Actions: []string{"read doc_1"}}, `a "read doc_1"`},
		"comma in a word":    {rar.Detail{Type: "a", Actions: []string{"read,write"}}, `a "read,write"`},
		"looks like a part":  {rar.Detail{Type: "a", Actions: []string{"read"}, Identifier: "max=1"}, `a read "max=1"`},
		"looks like any":     {rar.Detail{Type: "a", Actions: []string{"*"}}, `a "*"`},
		"quotes":             {rar.Detail{Type: `a"b`}, `"a\"b"`},
		"extra with escapes": {extraX("\"a\u009b\u2066b\x7f\xff\""), `a x="a\u009b\u2066b\x7f\ufffd"`},
		"extra with newline": {extraX("[1,\n2]"), `a x=[1,\n2]`},
		"odd extra name": {
			rar.Detail{Type: "a", Extra: map[string]json.RawMessage{"x\n=": json.RawMessage("1")}},
			`a "x\n="=1`,
		},
		"short": {
			rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"},
			"file_access read doc_9982",
		},
		"beyond ASCII": {rar.Detail{Type: "a", Actions: []string{"lesen"}, Identifier: "Übersicht"}, "a lesen Übersicht"},
		"all": {
			rar.Detail{
				Type: "file_access", Actions: []string{"read", "list"}, Identifier: "doc_9982",
				Locations: []string{"https://api.acme-corp.com", "https://b.acme-corp.com"}, DataTypes: []string{"text"},
				Privileges: []string{"member"},
				Extra:      map[string]json.RawMessage{"z": json.RawMessage(`{"a":1}`), "max": json.RawMessage("10")},
			},
			"file_access read,list doc_9982 locations=https://api.acme-corp.com,https://b.acme-corp.com " +
				`datatypes=text privileges=member max=10 z={"a":1}`,
		},
	}
	for name, tt := range tests {
		if got := tt.d.String(); got != tt.want {
			t.Errorf("%s: String() = %s\nwant %s", name, got, tt.want)
		}
	}
}

func TestStringIsShort(t *testing.T) {
	d := rar.Detail{Type: "a", Identifier: strings.Repeat("é", 1000)}
	got := d.String()
	if len(got) > 512 || !strings.HasSuffix(got, "...") || strings.ContainsRune(got, '\ufffd') {
		t.Errorf("String() = %s (%d bytes), want at most 512 and the mark of a cut", got, len(got))
	}
}

func TestStringIsSafeForTerminals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
		d := rar.Detail{
			Type: text.Draw(t, "type"), Identifier: text.Draw(t, "identifier"),
			Actions: []string{text.Draw(t, "action")}, Locations: []string{text.Draw(t, "location")},
			Extra: map[string]json.RawMessage{text.Draw(t, "name"): json.RawMessage(text.Draw(t, "value"))},
		}
		for _, r := range d.String() {
			if !unicode.IsPrint(r) || unicode.Is(unicode.Cf, r) {
				t.Fatalf("String() = %q holds %U", d.String(), r)
			}
		}
	})
}
