package provider_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/models/provider"
)

func TestArguments(t *testing.T) {
	for text, want := range map[string]map[string]any{
		"": {}, " \n": {}, "null": {}, "{}": {},
		`{"a":7.0,"n":[1234567890123456789,{"b":-9007199254740993}]}`: {"a": 7.0, "n": []any{json.Number("1234567890123456789"), map[string]any{"b": json.Number("-9007199254740993")}}},
		// What can mean one thing only.
		"{\"a\":\"one\ntwo\t\x01\"}":   {"a": "one\ntwo\t\x01"},
		`"{\"a\":\"c\"}"`:              {"a": "c"},
		`"\"{\\\"a\\\":1}\""`:          {"a": 1.0},
		"\"{\\\"a\\\":\\\"x\ny\\\"}\"": {"a": "x\ny"},
		`{"a":"c,}",}`:                 {"a": "c,}"},
		`{"a":[1,2 , ],"b":{"c":1,},}`: {"a": []any{1.0, 2.0}, "b": map[string]any{"c": 1.0}},
		"\uFEFF{\"a\":1}":              {"a": 1.0},
		"```json\n{\"a\":1}\n```":      {"a": 1.0},
		"```\n{\"a\":1,}\n```":         {"a": 1.0},
		`{"a":1}}`:                     {"a": 1.0},
		"{\"a\":1}\n</tool_call>":      {"a": 1.0},
		`[{"a":1}]`:                    {"a": 1.0},
		`{"a":1}{"a":1}`:               {"a": 1.0},
		`{"a": 1} {"a":1}{"a":1}`:      {"a": 1.0},
		`{}{"a":1}`:                    {"a": 1.0}, `null {"a":{}}`: {"a": map[string]any{}}, `{"a":1}{}`: {"a": 1.0}, `{} {"a":1} {}`: {"a": 1.0}, `{{"a":{}}}`: {"a": map[string]any{}},
		`{"a":"it\'s \\'"}`: {"a": `it's \'`},
	} {
		if diff := cmp.Diff(want, provider.Arguments(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for _, text := range []string{
		`{`, `{"a":`, `}`, `[`, `[1]`, `7`, `"x"`, `true`, `[{"a":1},{"b":2}]`, `[]`, `{"a":1}{"a":2}`, `{"a":9007199254740992}{"a":9007199254740993}`,
		`{"a":1}x`, `{"a":1}}}`, `{}x`, `{}null`, `{{"a":1}`, `{}{"a":1}{"b":1}`, "```json\n{\"a\":1}", "```sh\n{}\n```", `{a:1}`, `{'a':1}`, `"{\"a\":1,\"a\":2}"`, strings.Repeat("[", 100), "{\"\xff\":1}",
	} {
		if diff := cmp.Diff(map[string]any{strictjson.Malformed: strings.ToValidUTF8(text, "\uFFFD")}, provider.Arguments(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	for text, name := range map[string]string{
		`{"a":1,"a":2}`: strictjson.Repeated, `{"a":1,"b":{"c":1,"c":1},}`: strictjson.Repeated, `{"a":1,"a":2}}`: strictjson.Repeated,
		`{"a":"C:\dir"}`: strictjson.BadEscape, `{"a":"\x41"}`: strictjson.BadEscape, `{"a":"\ud800"}`: strictjson.BadEscape, `{"a":"\\","b":"\u12"}`: strictjson.BadEscape, "{\"a\":\"\n\\d\"}": strictjson.BadEscape,
	} {
		if diff := cmp.Diff(map[string]any{name: text}, provider.Arguments(text)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	long := provider.Arguments(strings.Repeat("x", 1<<20))
	if s, _ := long[strictjson.Malformed].(string); len(s) != 2<<10 {
		t.Errorf("%d bytes of a malformed text are kept", len(s))
	}
}

// Any JSON object comes out as it is, and what is mended of it is what it was.
func TestArgumentsOfAnyObject(t *testing.T) {
	value := rapid.OneOf(rapid.Just[any](nil), rapid.Map(rapid.String(), func(s string) any { return s }), rapid.Map(rapid.Bool(), func(b bool) any { return b }),
		rapid.Map(rapid.Int64(), func(n int64) any { return n }), rapid.Map(rapid.SliceOfN(rapid.String(), 0, 3), func(s []string) any { return s }))
	rapid.Check(t, func(t *rapid.T) {
		v := rapid.MapOfN(rapid.String(), value, 0, 4).Draw(t, "value")
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		quoted, _ := json.Marshal(string(b))
		for _, text := range []string{string(b), string(quoted), "[" + string(b) + "]", string(b) + "\n" + string(b)} {
			got, err := json.Marshal(provider.Arguments(text))
			if err != nil || string(got) != string(b) {
				t.Fatalf("%s becomes %s, %v", text, got, err)
			}
		}
	})
}

func FuzzArguments(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `"{\"a\":1}"`, `{"a":[1,],}`, `[{"a":1}]`, `{}{}`, "{\"a\":\"\n\"}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		args := provider.Arguments(text)
		b, err := json.Marshal(args)
		if err != nil {
			t.Fatalf("%q becomes what is no JSON: %v", text, err)
		}
		if diff := cmp.Diff(args, provider.Arguments(string(b))); diff != "" && len(text) < 2<<10 {
			t.Errorf("%q is read otherwise a second time:\n%s", text, diff)
		}
	})
}
