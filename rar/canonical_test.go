package rar_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"testing"

	"github.com/jitagent/jitagent/rar"
)

func extraX(value string) rar.Detail {
	return rar.Detail{Type: "a", Extra: map[string]json.RawMessage{"x": json.RawMessage(value)}}
}

// The vectors of RFC 8785, as members of a detail. Those of section 3.2.3 that
// have control characters in names are left out: such names are refused.
func TestCanonicalRFC8785(t *testing.T) {
	tests := map[string]struct{ value, want string }{
		// Section 3.2.2. Its first number, 333333333.33333329, is not what a float64
		// keeps (it is written 333333333.3333333), so it is given as kept.
		"primitives": {
			`{
			  "numbers": [333333333.3333333, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
			  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
			  "literals": [null, true, false]
			}`,
			`{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],` +
				`"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		// Section 3.2.3: sorted by UTF-16 code units, so U+1F600 (D83D DE00) comes
		// before U+FB33, which is the smaller code point.
		"sorting": {
			`{"\u20ac":"Euro Sign","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",` +
				`"\ud83d\ude00":"Emoji: Grinning Face","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			`{"1":"One","ö":"Latin Small Letter O With Diaeresis","€":"Euro Sign",` +
				"\"\U0001f600\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		},
		"arrays keep their order": {`[56,{"d":true,"10":null,"1":[]}]`, `[56,{"1":[],"10":null,"d":true}]`},
		"solidus and HTML":        {`"\/<>&"`, `"/<>&"`},
		"short escapes":           {`"\u0008\u0009\u000c\u000d\u0000\u007f"`, "\"\\b\\t\\f\\r\\u0000\x7f\""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := extraX(tt.value).Canonical()
			if want := `{"type":"a","x":` + tt.want + `}`; err != nil || string(got) != want {
				t.Errorf("Canonical() = %s, %v\nwant %s", got, err, want)
			}
		})
	}
}

// Appendix B of RFC 8785: IEEE 754 bits and how they are written.
func TestCanonicalNumbers(t *testing.T) {
	for bits, want := range map[uint64]string{
		0x0000000000000000: "0",
		0x0000000000000001: "5e-324",
		0x8000000000000001: "-5e-324",
		0x7fefffffffffffff: "1.7976931348623157e+308",
		0xffefffffffffffff: "-1.7976931348623157e+308",
		0x4340000000000000: "9007199254740992",
		0xc340000000000000: "-9007199254740992",
		0x4430000000000000: "295147905179352830000",
		0x44b52d02c7e14af5: "9.999999999999997e+22",
		0x44b52d02c7e14af6: "1e+23",
		0x44b52d02c7e14af7: "1.0000000000000001e+23",
		0x444b1ae4d6e2ef4e: "999999999999999700000",
		0x444b1ae4d6e2ef4f: "999999999999999900000",
		0x444b1ae4d6e2ef50: "1e+21",
		0x3eb0c6f7a0b5ed8c: "9.999999999999997e-7",
		0x3eb0c6f7a0b5ed8d: "0.000001",
		0x41b3de4355555553: "333333333.3333332",
		0x41b3de4355555554: "333333333.33333325",
		0x41b3de4355555555: "333333333.3333333",
		0x41b3de4355555556: "333333333.3333334",
		0x41b3de4355555557: "333333333.33333343",
		0xbecbf647612f3696: "-0.0000033333333333333333",
		0x43143ff3c1cb0959: "1424953923781206.2",
	} {
		value := fmt.Sprintf("%.17e", math.Float64frombits(bits))
		if _, err := extraX(want).Canonical(); err != nil {
			t.Errorf("%#x: %s refused: %v", bits, want, err)
			continue
		}
		short := fmt.Sprintf("%g", math.Float64frombits(bits)) // shortest, in another style
		got, err := extraX(short).Canonical()
		if full := `{"type":"a","x":` + want + `}`; err != nil || string(got) != full {
			t.Errorf("%#x (%s): Canonical() = %s, %v, want %s", bits, value, got, err, full)
		}
	}
}

func TestCanonicalAndDigest(t *testing.T) {
	d := rar.Detail{
		Type: "file_access", Identifier: "doc_9982", Actions: []string{"write", "read"},
		Locations: []string{"https://api.acme-corp.com/v1?a=1&b=2"},
		Extra:     map[string]json.RawMessage{"max": json.RawMessage(" 1.0 "), "Äpfel": json.RawMessage("[ ]")},
	}
	const want = `{"actions":["write","read"],"identifier":"doc_9982",` +
		`"locations":["https://api.acme-corp.com/v1?a=1&b=2"],"max":1,"type":"file_access","Äpfel":[]}`
	text, err := d.Canonical()
	if err != nil || string(text) != want {
		t.Fatalf("Canonical() = %s, %v\nwant %s", text, err, want)
	}
	if string(d.Extra["max"]) != " 1.0 " {
		t.Errorf("Canonical changed its detail: %q", d.Extra["max"])
	}
	sum := sha256.Sum256([]byte(want))
	if got, err := d.Digest(); err != nil || got != base64.RawURLEncoding.EncodeToString(sum[:]) {
		t.Errorf("Digest() = %s, %v", got, err)
	}
	marshalled, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := rar.ParseOne(marshalled); err != nil || !rar.Equal(back, d) {
		t.Errorf("json.Marshal = %s, which is read as %v, %v", marshalled, back, err)
	}
}

// The digest is stored and shown: it must never change between versions.
func TestDigestIsStable(t *testing.T) {
	d := rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: "doc_9982"}
	const want = "Xy6Aa0uTFitsk0g-Y7TapyJG6BHu7jDoabGXBgeIe2Q"
	if got, err := d.Digest(); err != nil || got != want {
		t.Errorf("Digest() = %s, %v, want %s", got, err, want)
	}
}

func TestEqual(t *testing.T) {
	base := rar.Detail{Type: "a", Actions: []string{"b", "c"}, Identifier: "d"}
	for name, tt := range map[string]struct {
		a, b rar.Detail
		want bool
	}{
		"other order":     {base, rar.Detail{Type: "a", Actions: []string{"c", "b"}, Identifier: "d"}, false},
		"element more":    {base, rar.Detail{Type: "a", Actions: []string{"b", "c", "d"}, Identifier: "d"}, false},
		"list left out":   {base, rar.Detail{Type: "a", Identifier: "d"}, false},
		"other list":      {rar.Detail{Type: "a", Actions: []string{"x"}}, rar.Detail{Type: "a", Privileges: []string{"x"}}, false},
		"one invalid":     {base, rar.Detail{}, false},
		"other invalid":   {rar.Detail{}, base, false},
		"clone":           {base, base.Clone(), true},
		"nil, empty map":  {base, rar.Detail{Type: "a", Actions: base.Actions, Identifier: "d", Extra: map[string]json.RawMessage{}}, true},
		"other spelling":  {extraX(`{"b":1e2,"a":"\u0041"}`), extraX(` {"a":"A","b":100.0}`), true},
		"other extra":     {extraX("1"), extraX("2"), false},
		"number, string":  {extraX("1"), extraX(`"1"`), false},
		"null, left out":  {extraX("null"), rar.Detail{Type: "a"}, false},
		"array reordered": {extraX("[1,2]"), extraX("[2,1]"), false},
	} {
		if got := rar.Equal(tt.a, tt.b); got != tt.want {
			t.Errorf("%s: Equal(%v, %v) = %v", name, tt.a, tt.b, got)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	d := rar.Detail{
		Type: "a", Locations: []string{"1"}, Actions: []string{"2"}, DataTypes: []string{"3"},
		Privileges: []string{"4"}, Extra: map[string]json.RawMessage{"x": json.RawMessage("5")},
	}
	c := d.Clone()
	c.Locations[0], c.Actions[0], c.DataTypes[0], c.Privileges[0] = "x", "x", "x", "x"
	c.Extra["x"][0] = '6'
	c.Extra["y"] = nil
	if got := d.String(); got != "a 2 locations=1 datatypes=3 privileges=4 x=5" {
		t.Errorf("after changing the clone, the original reads %s", got)
	}
}
