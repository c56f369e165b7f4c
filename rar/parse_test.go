package rar_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/rar"
)

// refusals are texts that Parse must not accept, with a word of the reason.
func refusals() map[string]struct{ text, reason string } {
	file := func(members string) string { return `{"type":"file_access",` + members + `}` }
	list := func(n int) string { return "[" + strings.TrimSuffix(strings.Repeat(`"a",`, n), ",") + "]" }
	members := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":1`, i)
		}
		return b.String()[1:]
	}
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	details := func(n int) string {
		return "[" + strings.TrimSuffix(strings.Repeat(`{"type":"a"},`, n), ",") + "]"
	}

	return map[string]struct{ text, reason string }{
		// Shape.
		"nothing":                 {"", "ends early"},
		"white space":             {" \n", "ends early"},
		"null":                    {"null", "neither"},
		"a string":                {`"file_access"`, "neither"},
		"a number":                {"1", "neither"},
		"true":                    {"true", "neither"},
		"an empty array":          {"[]", "empty array"},
		"null in the array":       {`[null]`, "not an object"},
		"a string in the array":   {`[{"type":"a"},"b"]`, "not an object"},
		"an array in the array":   {`[[{"type":"a"}]]`, "not an object"},
		"text after the object":   {`{"type":"a"}x`, "more text"},
		"a second object":         {`{"type":"a"}{"type":"b"}`, "more text"},
		"a comma after it":        {`{"type":"a"},`, "more text"},
		"text after the array":    {`[{"type":"a"}]]`, "more text"},
		"cut short":               {`{"type":"a"`, "ends early"},
		"cut short in the array":  {`[{"type":"a"}`, "ends early"},
		"a comma at the end":      {`{"type":"a",}`, "invalid JSON"},
		"a comma in the array":    {`[{"type":"a"},]`, "invalid JSON"},
		"a comment":               {`{"type":"a"/**/}`, "invalid JSON"},
		"single quotes":           {`{'type':'a'}`, "invalid JSON"},
		"a byte order mark":       {"\ufeff" + `{"type":"a"}`, "invalid JSON"},
		"invalid UTF-8":           {file("\"identifier\":\"\xff\""), "invalid JSON"},
		"an encoded surrogate":    {file("\"identifier\":\"\xed\xa0\x80\""), "invalid JSON"},
		"half a surrogate pair":   {file(`"identifier":"\ud800"`), "invalid JSON"},
		"half a pair in extra":    {file(`"x":"\udc00"`), "invalid JSON"},
		"a raw control character": {file("\"identifier\":\"a\nb\""), "invalid JSON"},
		"NaN":                     {file(`"x":NaN`), "invalid JSON"},
		"a leading zero":          {file(`"x":01`), "invalid JSON"},

		// Known members.
		"no type":                    {`{"actions":["read"]}`, "type: missing"},
		"an empty object":            {`{}`, "type: missing"},
		"type empty":                 {`{"type":""}`, "empty string"},
		"type null":                  {`{"type":null}`, "type: not a string"},
		"type a list":                {`{"type":["a"]}`, "type: not a string"},
		"type a number":              {`{"type":1}`, "type: not a string"},
		"identifier null":            {file(`"identifier":null`), "identifier: not a string"},
		"identifier empty":           {file(`"identifier":""`), "empty string"},
		"identifier a number":        {file(`"identifier":7`), "identifier: not a string"},
		"identifier a list":          {file(`"identifier":["doc_1"]`), "identifier: not a string"},
		"actions null":               {file(`"actions":null`), "actions: not an array"},
		"actions a string":           {file(`"actions":"read"`), "actions: not an array"},
		"actions an object":          {file(`"actions":{"read":true}`), "actions: not an array"},
		"actions empty":              {file(`"actions":[]`), "actions: an empty list"},
		"actions with null":          {file(`"actions":["read",null]`), "actions: not a string"},
		"actions with a number":      {file(`"actions":[1]`), "actions: not a string"},
		"actions with a list":        {file(`"actions":[["read"]]`), "actions: not a string"},
		"actions with empty":         {file(`"actions":[""]`), "actions: an empty string"},
		"locations null":             {file(`"locations":null`), "locations: not an array"},
		"locations empty":            {file(`"locations":[]`), "locations: an empty list"},
		"datatypes false":            {file(`"datatypes":false`), "datatypes: not an array"},
		"datatypes empty":            {file(`"datatypes":[]`), "datatypes: an empty list"},
		"privileges a string":        {file(`"privileges":"admin"`), "privileges: not an array"},
		"privileges empty":           {file(`"privileges":[]`), "privileges: an empty list"},
		"a bad one after a good one": {`[{"type":"a"},{"type":"b","actions":[]}]`, "actions: an empty list"},

		// Names that another reader could take for known ones, or for each other.
		"duplicate type":                  {`{"type":"a","type":"b"}`, `duplicate member "type"`},
		"duplicate actions":               {file(`"actions":["read"],"actions":["delete"]`), "duplicate"},
		"duplicate by escape":             {file(`"actions":["read"],"\u0061ctions":["delete"]`), "duplicate"},
		"duplicate extra":                 {file(`"x":1,"x":1`), "duplicate"},
		"duplicate deep down":             {file(`"x":[{"y":{"a":1,"a":2}}]`), "duplicate"},
		"Actions beside actions":          {file(`"actions":["read"],"Actions":["delete"]`), "case only"},
		"Actions alone":                   {file(`"Actions":["delete"]`), "case only"},
		"TYPE":                            {`{"TYPE":"b","type":"a"}`, "case only"},
		"TYPE alone":                      {`{"TYPE":"b"}`, "type: missing"},
		"Identifier":                      {file(`"Identifier":"doc_1"`), "case only"},
		"dataTypes":                       {file(`"dataTypes":["a"]`), "case only"},
		"Locations":                       {file(`"locationS":["a"]`), "case only"},
		"PRIVILEGES":                      {file(`"PRIVILEGES":["a"]`), "case only"},
		"actions with a long s":           {file(`"action\u017f":["delete"]`), "case only"},
		"privileges with a long s":        {file("\"privilege\u017f\":[\"a\"]"), "case only"},
		"identifier with the fi ligature": {file("\"identi\ufb01er\":\"doc_1\""), "case only"},
		"identifier with a dotless i":     {file("\"\u0131dentifier\":\"doc_1\""), "case only"},
		"identifier with a dotted I":      {file("\"\u0130dentifier\":\"doc_1\""), "case only"},
		"extra siblings":                  {file(`"limit":1,"Limit":2`), "case only"},
		"extra siblings, Kelvin":          {file("\"key\":1,\"\u212aey\":2"), "case only"},
		"extra siblings, Greek":           {file("\"\u03c3\":1,\"\u03c2\":2"), "case only"},
		"extra siblings, sharp s":         {file("\"strasse\":1,\"stra\u00dfe\":2"), "case only"},
		"siblings deep down":              {file(`"x":[{"y":{"max":1,"MAX":2}}]`), "case only"},
		"an empty name":                   {file(`"":1`), "empty member name"},
		"an empty name deep down":         {file(`"x":{"":1}`), "empty member name"},

		// Characters that a reviewer cannot see, or that change what they see.
		"a newline":               {file(`"identifier":"doc_1\ndoc_2"`), "U+000A"},
		"NUL":                     {file(`"identifier":"doc_1\u0000"`), "U+0000"},
		"escape":                  {file(`"identifier":"\u001b[2Kdoc_1"`), "U+001B"},
		"DEL":                     {file(`"actions":["rea\u007fd"]`), "U+007F"},
		"DEL, raw":                {file("\"actions\":[\"rea\x7fd\"]"), "U+007F"},
		"C1":                      {file(`"locations":["\u009b31m"]`), "U+009B"},
		"right to left override":  {file(`"identifier":"doc_\u202e2899"`), "U+202E"},
		"bidi isolate":            {file(`"datatypes":["\u2066a"]`), "U+2066"},
		"right to left mark":      {file(`"privileges":["a\u200f"]`), "U+200F"},
		"arabic letter mark":      {file(`"privileges":["a\u061c"]`), "U+061C"},
		"zero width space":        {file(`"identifier":"doc\u200b_1"`), "U+200B"},
		"soft hyphen":             {file(`"identifier":"doc\u00ad_1"`), "U+00AD"},
		"a tag character":         {file(`"identifier":"doc_1\udb40\udc61"`), "U+E0061"},
		"variation selector":      {file(`"identifier":"doc_1\ufe0f"`), "U+FE0F"},
		"Hangul filler":           {file(`"identifier":"doc_1\u3164"`), "U+3164"},
		"line separator":          {file(`"identifier":"doc_1\u2028"`), "U+2028"},
		"type with a control":     {`{"type":"a\t"}`, "U+0009"},
		"name with an override":   {file(`"max\u202e":1`), "U+202E"},
		"name with a zero width":  {file(`"actions\u200b":["delete"]`), "U+200B"},
		"name deep down, control": {file(`"x":{"a\u0007":1}`), "U+0007"},

		// Numbers on which two readers may differ.
		"2^53 + 1":             {file(`"x":9007199254740993`), "float64"},
		"-(2^53 + 1)":          {file(`"x":-9007199254740993`), "float64"},
		"a long fraction":      {file(`"x":3.141592653589793238462643383279`), "float64"},
		"a fraction too exact": {file(`"x":0.1000000000000000055511151231257827`), "float64"},
		"too large":            {file(`"x":1e400`), "float64"},
		"too small":            {file(`"x":1e-400`), "float64"},
		"a vast exponent":      {file(`"x":1e99999999999999999999`), "float64"},
		"a tiny exponent":      {file(`"x":1e-99999999999999999999`), "float64"},
		"deep down":            {file(`"x":[{"y":[1,9007199254740993]}]`), "float64"},
		"not far from zero":    {file(`"x":5e-325`), "float64"},

		// Limits, one above each.
		"bytes":                {`{"type":"a"}` + strings.Repeat(" ", rar.MaxBytes-11), "limit of 65536"},
		"details":              {details(rar.MaxDetails + 1), "more than 16 details"},
		"members":              {file(members(rar.MaxMembers)), "more than 32 members"},
		"members deep down":    {file(`"x":[{` + members(rar.MaxMembers+1) + `}]`), "more than 32 members"},
		"list":                 {file(`"actions":` + list(rar.MaxList+1)), "more than 64"},
		"list deep down":       {file(`"x":{"y":` + list(rar.MaxList+1) + `}`), "more than 64"},
		"string":               {file(`"identifier":"` + strings.Repeat("a", rar.MaxString+1) + `"`), "2049 bytes"},
		"string of two bytes":  {file(`"identifier":"` + strings.Repeat("é", rar.MaxString/2+1) + `"`), "2050 bytes"},
		"string in a list":     {file(`"actions":["` + strings.Repeat("a", rar.MaxString+1) + `"]`), "2049 bytes"},
		"string deep down":     {file(`"x":["` + strings.Repeat("a", rar.MaxString+1) + `"]`), "2049 bytes"},
		"name":                 {file(`"` + strings.Repeat("a", rar.MaxString+1) + `":1`), "2049 bytes"},
		"name deep down":       {file(`"x":{"` + strings.Repeat("a", rar.MaxString+1) + `":1}`), "2049 bytes"},
		"depth":                {file(`"x":` + nested(rar.MaxDepth-1)), "nested deeper than 16"},
		"depth, in the array":  {`[` + file(`"x":`+nested(rar.MaxDepth-1)) + `]`, "nested deeper than 16"},
		"depth of objects":     {file(`"x":` + strings.Repeat(`{"x":`, 15) + "1" + strings.Repeat("}", 15)), "nested deeper"},
		"depth 9 000":          {file(`"x":` + nested(9_000)), "nested deeper"},
		"depth 10 000":         {file(`"x":` + nested(10_000)), "invalid JSON"}, // the decoder's own bound
		"depth 10 000, open":   {strings.Repeat("[", 10_000), "not an object"},
		"depth 10 000, extra":  {`{"type":"a","x":` + strings.Repeat(`{"a":`, 10_000), "invalid JSON|ends early|nested"},
		"1 MiB of brackets":    {strings.Repeat("[", 1<<20), "over the limit"},
		"1 MiB of one string":  {file(`"identifier":"` + strings.Repeat("a", 1<<20) + `"`), "over the limit"},
		"canonical form grows": {file(bigNumbers()), "in canonical form"},
	}
}

// bigNumbers returns members whose numbers are short here and long in canonical
// form: 1e20 is written with 21 digits.
func bigNumbers() string {
	row := "[" + strings.TrimSuffix(strings.Repeat("1e20,", 60), ",") + "]"
	table := "[" + strings.TrimSuffix(strings.Repeat(row+",", 60), ",") + "]"
	return `"x":` + table
}

func TestParseRefuses(t *testing.T) {
	for name, tt := range refusals() {
		t.Run(name, func(t *testing.T) {
			got, err := rar.Parse([]byte(tt.text))
			if err == nil {
				t.Fatalf("Parse(%.200s) = %v, want an error", tt.text, got)
			}
			if got != nil {
				t.Errorf("Parse(%.200s) returned %v beside its error", tt.text, got)
			}
			named := slices.ContainsFunc(strings.Split(tt.reason, "|"), func(reason string) bool {
				return strings.Contains(err.Error(), reason)
			})
			if !named || !strings.HasPrefix(err.Error(), "rar: ") || strings.Count(err.Error(), "rar: ") != 1 {
				t.Errorf("Parse(%.200s): error %q, want %q in it and one prefix", tt.text, err, tt.reason)
			}
			if len(err.Error()) > 400 {
				t.Errorf("Parse(%.200s): error of %d bytes", tt.text, len(err.Error()))
			}
		})
	}
}

func TestParse(t *testing.T) {
	deep := strings.Repeat("[", rar.MaxDepth-2) + strings.Repeat("]", rar.MaxDepth-2)
	tests := map[string]struct {
		text string
		want []rar.Detail
	}{
		"type alone": {`{"type":"a"}`, []rar.Detail{{Type: "a"}}},
		"all members": {
			` {"type":"file_access","locations":["https://api.acme-corp.com"],"actions":["read","list"],
			"datatypes":["text"],"identifier":"doc_9982","privileges":["member"]} `,
			[]rar.Detail{{
				Type: "file_access", Locations: []string{"https://api.acme-corp.com"}, Actions: []string{"read", "list"},
				DataTypes: []string{"text"}, Identifier: "doc_9982", Privileges: []string{"member"},
			}},
		},
		"array": {`[{"type":"a"},{"type":"b"}]`, []rar.Detail{{Type: "a"}, {Type: "b"}}},
		"extra becomes canonical": {
			`{"type":"a","x" : { "b": 1.50, "a": [1E2, null, "\u0041\n"] }}`,
			[]rar.Detail{{Type: "a", Extra: map[string]json.RawMessage{"x": json.RawMessage(`{"a":[100,null,"A\n"],"b":1.5}`)}}},
		},
		"numbers that every reader keeps": {
			`{"type":"a","x":[0.1,-0,9007199254740992,1e21,1e23,5e-324,1.7976931348623157e308,0.0,0e999999999999,123.4500]}`,
			[]rar.Detail{{Type: "a", Extra: map[string]json.RawMessage{
				"x": json.RawMessage(`[0.1,0,9007199254740992,1e+21,1e+23,5e-324,1.7976931348623157e+308,0,0,123.45]`),
			}}},
		},
		"names of known members inside extra": {
			`{"type":"a","x":{"type":1,"Actions":[]}}`,
			[]rar.Detail{{Type: "a", Extra: map[string]json.RawMessage{"x": json.RawMessage(`{"Actions":[],"type":1}`)}}},
		},
		"text beyond ASCII": {`{"type":"a","identifier":"日本語 Ä"}`, []rar.Detail{{Type: "a", Identifier: "日本語 Ä"}}},
		"at the depth limit": {
			`[{"type":"a","x":` + deep + `}]`,
			[]rar.Detail{{Type: "a", Extra: map[string]json.RawMessage{"x": json.RawMessage(deep)}}},
		},
		"at the string limit": {
			`{"type":"a","identifier":"` + strings.Repeat("a", rar.MaxString) + `"}`,
			[]rar.Detail{{Type: "a", Identifier: strings.Repeat("a", rar.MaxString)}},
		},
		"at the byte limit": {`{"type":"a"}` + strings.Repeat(" ", rar.MaxBytes-12), []rar.Detail{{Type: "a"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			data := []byte(tt.text)
			got, err := rar.Parse(data)
			if err != nil {
				t.Fatalf("Parse(%.200s): %v", tt.text, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Parse(%.200s) (-want +got):\n%s", tt.text, diff)
			}
			if string(data) != tt.text {
				t.Errorf("Parse changed its input")
			}
		})
	}
}

func TestParseAtCountLimits(t *testing.T) {
	members := ""
	for i := range rar.MaxMembers - 1 {
		members += fmt.Sprintf(`,"m%d":1`, i)
	}
	list := strings.TrimSuffix(strings.Repeat(`"a",`, rar.MaxList), ",")
	for name, text := range map[string]string{
		"members": `{"type":"a"` + members + `}`,
		"list":    `{"type":"a","actions":[` + list + `],"x":[` + list + `]}`,
		"details": "[" + strings.TrimSuffix(strings.Repeat(`{"type":"a"},`, rar.MaxDetails), ",") + "]",
	} {
		if _, err := rar.Parse([]byte(text)); err != nil {
			t.Errorf("Parse at the limit of %s: %v", name, err)
		}
	}
}

func TestParseOne(t *testing.T) {
	for _, text := range []string{`[{"type":"a"},{"type":"b"}]`, `[{"type":"a"},{"type":"a"}]`, `[]`, `null`, ``} {
		if d, err := rar.ParseOne([]byte(text)); err == nil {
			t.Errorf("ParseOne(%s) = %v, want an error", text, d)
		}
	}
	for _, text := range []string{`{"type":"a"}`, `[{"type":"a"}]`} {
		d, err := rar.ParseOne([]byte(text))
		if err != nil || d.Type != "a" {
			t.Errorf("ParseOne(%s) = %v, %v", text, d, err)
		}
	}
}

func TestUnmarshalJSON(t *testing.T) {
	for _, text := range []string{`[{"type":"a"}]`, `null`, `"a"`, `{"type":"a","Type":"b"}`, `{}`, ``, ` `} {
		d := rar.Detail{Type: "before"}
		if err := d.UnmarshalJSON([]byte(text)); err == nil {
			t.Errorf("UnmarshalJSON(%q) = %v, want an error", text, d)
		}
		if d.Type != "before" {
			t.Errorf("UnmarshalJSON(%q) changed its receiver to %v", text, d)
		}
	}
	var got struct{ Details []rar.Detail }
	// Through the lenient decoder of the standard library, too, a detail is strict.
	if err := json.Unmarshal([]byte(`{"Details":[{"type":"a","Actions":["read"]}]}`), &got); err == nil {
		t.Errorf("json.Unmarshal accepted a case variant: %v", got)
	}
	if err := json.Unmarshal([]byte(`{"Details":[null]}`), &got); err == nil {
		t.Errorf("json.Unmarshal accepted null: %v", got)
	}
	d := rar.Detail{Type: "before", Actions: []string{"delete"}}
	if err := json.Unmarshal([]byte(` {"type":"a"}`), &d); err != nil || !rar.Equal(d, rar.Detail{Type: "a"}) {
		t.Errorf("json.Unmarshal left %v, %v, want nothing of what was there", d, err)
	}
}

// What a Go program builds meets the rules that a text meets.
func TestValidRefuses(t *testing.T) {
	extra := func(name, value string) rar.Detail {
		return rar.Detail{Type: "a", Extra: map[string]json.RawMessage{name: json.RawMessage(value)}}
	}
	many := rar.Detail{Type: "a", Identifier: "b", Actions: []string{"c"}, Extra: map[string]json.RawMessage{}}
	for i := range rar.MaxMembers - 2 {
		many.Extra[fmt.Sprint("m", i)] = json.RawMessage("1")
	}
	for name, d := range map[string]rar.Detail{
		"zero":                 {},
		"no type":              {Actions: []string{"read"}},
		"type, control":        {Type: "a\n"},
		"type, UTF-8":          {Type: "a\xff"},
		"type, long":           {Type: strings.Repeat("a", rar.MaxString+1)},
		"identifier, hidden":   {Type: "a", Identifier: "\u200b"},
		"identifier, UTF-8":    {Type: "a", Identifier: "\xed\xa0\x80"},
		"empty actions":        {Type: "a", Actions: []string{}},
		"empty locations":      {Type: "a", Locations: []string{}},
		"empty datatypes":      {Type: "a", DataTypes: []string{}},
		"empty privileges":     {Type: "a", Privileges: []string{}},
		"empty action":         {Type: "a", Actions: []string{"read", ""}},
		"hidden privilege":     {Type: "a", Privileges: []string{"a\u202e"}},
		"many actions":         {Type: "a", Actions: slices.Repeat([]string{"a"}, rar.MaxList+1)},
		"many members":         many,
		"known name":           extra("actions", `["delete"]`),
		"type as extra":        extra("type", `"b"`),
		"variant of known":     extra("Actions", `["delete"]`),
		"extra, nil":           {Type: "a", Extra: map[string]json.RawMessage{"x": nil}},
		"extra, not JSON":      extra("x", `{`),
		"extra, two values":    extra("x", `1 2`),
		"extra, breaks out":    extra("x", `1,"actions":["delete"]`),
		"extra, duplicates":    extra("x", `{"a":1,"a":1}`),
		"extra, deep":          extra("x", strings.Repeat("[", 20)+strings.Repeat("]", 20)),
		"extra, 1 MiB":         extra("x", `"`+strings.Repeat("a", 1<<20)+`"`),
		"extra, number":        extra("x", `9007199254740993`),
		"extra, name UTF-8":    extra("\xff", `1`),
		"extra, name control":  extra("\x00", `1`),
		"extra, name empty":    extra("", `1`),
		"siblings fold":        {Type: "a", Extra: map[string]json.RawMessage{"x": json.RawMessage("1"), "X": json.RawMessage("1")}},
		"canonical form grows": extra("x", strings.TrimPrefix(bigNumbers(), `"x":`)),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := d.Check(); err == nil || !strings.HasPrefix(err.Error(), "rar: ") {
				t.Errorf("Check() = %v, want an error of rar", err)
			} else if strings.Contains(name, "UTF-8") && !strings.Contains(err.Error(), "UTF-8") {
				t.Errorf("Check() = %v, want it to name UTF-8", err)
			}
			if text, err := d.Canonical(); err == nil {
				t.Errorf("Canonical() = %s, want an error", text)
			}
			if text, err := json.Marshal(d); err == nil {
				t.Errorf("json.Marshal = %s, want an error", text)
			}
			if digest, err := d.Digest(); err == nil {
				t.Errorf("Digest() = %s, want an error", digest)
			}
			if rar.Equal(d, d) {
				t.Errorf("Equal to itself although invalid")
			}
			if err := rar.Within(d, d); err == nil {
				t.Errorf("Within itself although invalid")
			}
			_ = d.String() // must not panic
		})
	}
}
