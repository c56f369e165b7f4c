package tools_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// wide has an argument of every type that docs/tool-arguments.md names.
type wide struct {
	ID     int64           `json:"id"`
	Small  int8            `json:"small,omitempty"`
	Count  uint            `json:"count,omitempty" jsonschema:"maximum=10,multipleOf=5"`
	Ratio  float64         `json:"ratio,omitempty" jsonschema:"exclusiveMinimum=0"`
	Note   *string         `json:"note,omitempty" jsonschema:"maxLength=5"`
	Kind   string          `json:"kind,omitempty" jsonschema:"enum=a,enum=b"`
	IDs    []int64         `json:"ids,omitempty" jsonschema:"maxItems=2,uniqueItems=true"`
	At     time.Time       `json:"at,omitzero"`
	Raw    json.RawMessage `json:"raw,omitempty"`
	Any    any             `json:"any,omitempty"`
	Counts map[string]int  `json:"counts,omitempty"`
	Inner  struct {
		X string `json:"x" jsonschema:"pattern=^x$"`
	} `json:"inner,omitzero"`
	Bytes []byte `json:"bytes,omitempty"`
	Asc   int64  `json:"asc,string,omitempty"`
}

// heard is a tool that keeps what its handler got, and what was planned for.
func heard(t *testing.T) (act tool.Tool, got *wide, ceiling *string) {
	t.Helper()
	got, ceiling = new(wide), new(string)
	act, err := tools.New(tools.Spec[wide]{
		Name: "act", Description: "acts",
		Ceiling: func(a wide) []rar.Detail { *ceiling = fmt.Sprint(a.ID); return nil },
	}, func(_ tools.Context, a wide) (map[string]any, error) {
		*got = a
		return map[string]any{"ok": true}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return act, got, ceiling
}

// parsed reads arguments as a model wire does.
func parsed(t testing.TB, text string) map[string]any {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var args map[string]any
	if err := dec.Decode(&args); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	strictjson.Numbers(args)
	return args
}

// Arguments arrive as they were said, or the model is told in a sentence.
func TestArgumentsArriveOrAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		`{"id":9007199254740991}`:                       "",
		`{"id":-9007199254740991}`:                      "",
		`{"id":7.0}`:                                    "",
		`{"id":1e3}`:                                    "",
		`{"id":9007199254740992}`:                       "id is 9007199254740992: whole numbers beyond 9007199254740991 do not arrive as they are sent: pass it as text",
		`{"id":1234567890123456789}`:                    "id is 1234567890123456789: whole numbers beyond",
		`{"id":-9007199254740993}`:                      "id is -9007199254740993",
		`{"id":1e300}`:                                  "whole numbers beyond",
		`{"id":1e999}`:                                  "whole numbers beyond",
		`{"id":1.5}`:                                    "id is 1.5, and a whole number is wanted",
		`{"id":1,"ids":[1,9007199254740993]}`:           "ids.1 is 9007199254740993",
		`{"id":1,"any":{"deep":[9007199254740993]}}`:    "any.deep.0 is 9007199254740993",
		`{"id":1,"raw":{"n":9007199254740993}}`:         "raw.n is 9007199254740993",
		`{"id":1,"counts":{"a":9007199254740993}}`:      "counts.a is 9007199254740993",
		`{"id":1,"raw":{"n":"9007199254740993"}}`:       "",
		`{"id":1,"ratio":1e300}`:                        "",
		`{"id":1,"ratio":1.50E+300}`:                    "",
		`{"id":1,"ratio":9007199254740992.0}`:           "",
		`{"id":1,"ratio":9007199254740993.0}`:           "ratio is 9007199254740993.0",
		`{"id":1,"ratio":9.007199254740993e15}`:         "whole numbers beyond",
		`{"id":1,"ratio":0}`:                            "ratio is 0, and a number above 0 is wanted",
		`{"id":1,"small":128}`:                          "small is 128, and a whole number from -128 to 127 is wanted",
		`{"id":1,"count":-5}`:                           "count is -5, and a whole number from 0 to 10 that is a multiple of 5 is wanted",
		`{"id":1,"count":7}`:                            "count is 7, and a whole number from 0 to 10 that is a multiple of 5 is wanted",
		`{"id":1,"note":null,"kind":null,"inner":null}`: "",
		`{"id":null}`:                                   "id is null, and a whole number is wanted",
		`{"id":1,"inner":{"x":null}}`:                   "inner.x is null, and a text that matches ^x$ is wanted",
		`{"id":1,"inner":{"x":"y"}}`:                    `inner.x is "y", and a text that matches ^x$ is wanted`,
		`{"id":1,"note":"é€éé€"}`:                       "",
		`{"id":1,"note":"abcdef"}`:                      `note is "abcdef", and a text of at most 5 characters is wanted`,
		`{"id":1,"note":"a\u0000"}`:                     "note holds the character U+0000: leave it out",
		`{"id":1,"kind":"c"}`:                           `kind is "c", and one of "a", "b" is wanted`,
		`{"id":1,"ids":[1,2,3]}`:                        "ids is a list of 3, and a list of at most 2 elements of which no two are alike is wanted",
		`{"id":1,"ids":[1,1]}`:                          "ids is a list of 2, and a list of at most 2 elements of which no two are alike is wanted",
		`{"id":1,"counts":{"a":"b"}}`:                   `counts.a is "b", and a whole number is wanted`,
		`{"id":1,"at":"2026-03-01T12:00:00Z"}`:          "",
		`{"id":1,"at":"tomorrow"}`:                      "at",
		`{"id":1,"bytes":"aGk="}`:                       "",
		`{"id":1,"asc":"9223372036854775807"}`:          "",
		`{"id":1,"any":null,"raw":null}`:                "",
		`{"id":"1"}`:                                    `id is "1", and a whole number is wanted`,
	} {
		t.Run(text, func(t *testing.T) {
			act, got, ceiling := heard(t)
			result := call(t, &fake.Authority{}, act, parsed(t, text))
			if want != "" {
				said, _ := result["error"].(string)
				if result["status"] != "invalid_arguments" || !strings.Contains(said, want) || strings.Contains(said, "validating") || *ceiling != "" {
					t.Errorf("the model is told %v, want %q; the ceiling got %q", result, want, *ceiling)
				}
				return
			}
			var exact wide
			if err := json.Unmarshal([]byte(strings.ReplaceAll(strings.ReplaceAll(text, "7.0", "7"), "1e3}", "1000}")), &exact); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(result["ok"]) != "true" || got.ID != exact.ID || *ceiling != fmt.Sprint(exact.ID) || got.Asc != exact.Asc || got.Ratio != exact.Ratio ||
				string(got.Bytes) != string(exact.Bytes) || !got.At.Equal(exact.At) || string(got.Raw) != string(exact.Raw) && exact.Raw != nil {
				t.Errorf("%v: the handler got %+v, want %+v", result, got, exact)
			}
		})
	}
}

// A body is made of raw arguments, and an effect's key of the body: the same
// arguments must give the same bytes.
func TestRawArgumentsHaveOneOrder(t *testing.T) {
	text := `{"id":1,"raw":{"f":1,"e":[{"z":1,"a":2}],"d":1,"c":1,"b":1,"a":1}}`
	for range 200 {
		act, got, _ := heard(t)
		call(t, &fake.Authority{}, act, parsed(t, text))
		if want := `{"a":1,"b":1,"c":1,"d":1,"e":[{"a":2,"z":1}],"f":1}`; string(got.Raw) != want {
			t.Fatalf("the handler got %s, want %s", got.Raw, want)
		}
	}
}

// What a model is told holds only what the engines of docs/tool-arguments.md agree
// on, in the author's order.
func TestToldSchemaIsPortable(t *testing.T) {
	act, _, _ := heard(t)
	all := analystsTools(t, serve(t, nil))
	all["act"] = act
	for name, tool := range all {
		text, err := json.Marshal(runnable(t, tool).Declaration().ParametersJsonSchema)
		if err != nil {
			t.Fatal(err)
		}
		for _, keyword := range []string{
			"minLength", "maxLength", "uniqueItems", "oneOf", "allOf", "not", "patternProperties", "contentEncoding", "default", "$ref", "$defs", "$schema", "if",
		} {
			if bytes.Contains(text, []byte(`"`+keyword+`":`)) {
				t.Errorf("%s is told with %s: %s", name, keyword, text)
			}
		}
		if bytes.Contains(text, []byte(`:true`)) || !json.Valid(text) {
			t.Errorf("%s is told with true for a schema: %s", name, text)
		}
	}
	text, err := json.Marshal(runnable(t, act).Declaration().ParametersJsonSchema)
	if err != nil {
		t.Fatal(err)
	}
	at := 0
	for _, name := range []string{`"id"`, `"small"`, `"count"`, `"ratio"`, `"note"`, `"kind"`, `"ids"`, `"at"`, `"raw":{}`, `"any":{}`, `"counts"`, `"inner"`} {
		next := bytes.Index(text[at:], []byte(name))
		if next < 0 {
			t.Fatalf("%s is not told, or not in the author's order: %s", name, text)
		}
		at += next
	}
	for _, words := range []string{`"maximum":9007199254740991`, `"minimum":-128`, "at most 5 characters", "no two alike"} {
		if !bytes.Contains(text, []byte(words)) {
			t.Errorf("the model is not told %s: %s", words, text)
		}
	}
}
