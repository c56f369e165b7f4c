package strictjson_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/internal/strictjson"
)

type answer struct {
	Token   string          `json:"access_token"`
	Expires int             `json:"expires_in"`
	Actions []string        `json:"actions"`
	Raw     json.RawMessage `json:"raw"`
	At      time.Time       `json:"at"`
	Any     any             `json:"any"`
	Inner   *answer         `json:"inner"`
}

const canary = "canary7f3a"

func TestValues(t *testing.T) {
	for text, want := range map[string]int{`1`: 1, `"[,{\",["`: 1, `[]`: 2, `[1,2,[3]]`: 5, `{"a":{},"b":[{},{}]}`: 8} {
		if got := strictjson.Values([]byte(text)); got != want {
			t.Errorf("Values(%s) = %d, want %d", text, got, want)
		}
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, reason string }{
		"nothing":                   {"", "invalid JSON"},
		"white space":               {"  ", "invalid JSON"},
		"cut short":                 {`{"actions":["` + canary, "invalid JSON at byte"},
		"text after it":             {`{}` + canary, "invalid JSON at byte"},
		"second value":              {`{}{}`, "invalid JSON at byte"},
		"a comma at the end":        {`{"expires_in":1,}`, "invalid JSON"},
		"a comment":                 {`{}//` + canary, "invalid JSON"},
		"byte order mark":           {"\ufeff{}", "invalid JSON"},
		"not JSON":                  {canary, "invalid JSON"},
		"invalid UTF-8":             {"{\"access_token\":\"" + canary + "\xff\"}", "invalid JSON"},
		"half a surrogate pair":     {`{"access_token":"` + canary + `\ud800"}`, "invalid JSON"},
		"duplicate":                 {`{"access_token":"a","access_token":"` + canary + `"}`, `duplicate member "access_token"`},
		"duplicate by escape":       {`{"access_token":"a","\u0061ccess_token":"b"}`, "duplicate"},
		"duplicate in the unknown":  {`{"x":{"y":[{"a":1,"a":2}]}}`, `duplicate member "a"`},
		"duplicate unknown":         {`{"x":1,"x":1}`, "duplicate"},
		"duplicate in raw":          {`{"raw":{"a":1,"a":2}}`, "duplicate"},
		"duplicate in any":          {`{"any":{"a":1,"a":2}}`, "duplicate"},
		"duplicate in a nested":     {`{"inner":{"expires_in":1,"expires_in":2}}`, "duplicate"},
		"a long duplicate":          {`{"` + strings.Repeat("a", 5000) + `":1,"` + strings.Repeat("a", 5000) + `":1}`, "duplicate"},
		"a duplicate with controls": {`{"\u001b[2K":1,"\u001b[2K":1}`, `"\x1b[2K"`},
		"wrong type":                {`{"access_token":` + "98712345" + `}`, `"/access_token"`},
		"number as a string":        {`{"expires_in":"` + canary + `"}`, `"/expires_in"`},
		"a fraction":                {`{"expires_in":98712345.5}`, `"/expires_in"`},
		"too large a number":        {`{"expires_in":98712345e40}`, `"/expires_in"`},
		"not a time":                {`{"at":"` + canary + `"}`, `"/at"`},
		"wrong type in a list":      {`{"actions":["a",98712345]}`, `"/actions/1"`},
		"an array":                  {`["` + canary + `"]`, "not the JSON value"},
		"deep":                      {`{"x":` + nested(strictjson.MaxDepth) + `}`, "nested deeper than 64"},
		"depth 10 000":              {nested(10_000), "nested deeper"},
		"depth 10 000, open":        {strings.Repeat(`{"a":`, 10_000), "nested deeper"},
		"1 MiB of brackets":         {strings.Repeat("[", 1<<20), "nested deeper"},
		"1 MiB of quotes":           {strings.Repeat(`"`, 1<<20), "not the JSON value"},
		"1 MiB of backslashes":      {`"` + strings.Repeat(`\`, 1<<20), "invalid JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			for how, decode := range map[string]func([]byte, any) error{
				"Unmarshal": strictjson.Unmarshal, "Exact": strictjson.Exact,
			} {
				var v answer
				err := decode([]byte(tt.text), &v)
				if err == nil {
					t.Fatalf("%s(%.100s) = nil, %+v", how, tt.text, v)
				}
				unknown := how == "Exact" && strings.Contains(err.Error(), "unknown member")
				if !strings.Contains(err.Error(), tt.reason) && !unknown {
					t.Errorf("%s(%.100s): error %q, want %q in it", how, tt.text, err, tt.reason)
				}
				if s := err.Error(); strings.Contains(s, canary) || strings.Contains(s, "98712345") || len(s) > 200 {
					t.Errorf("%s(%.100s): error %q quotes the text", how, tt.text, s)
				}
			}
		})
	}
}

func nested(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }

func TestExactRefusesUnknown(t *testing.T) {
	for _, text := range []string{
		`{"x":1}`, `{"ACCESS_TOKEN":"a"}`, `{"Access_Token":"a"}`, `{"access-token":"a"}`, `{"accesstoken":"a"}`, `{"Token":"a"}`,
		`{"inner":{"x":1}}`, `{"":1}`,
	} {
		var v answer
		err := strictjson.Exact([]byte(text), &v)
		if err == nil || !strings.HasPrefix(err.Error(), "unknown member ") || v.Token != "" {
			t.Errorf("Exact(%s) = %v, %+v", text, err, v)
		}
		if !errors.Is(err, jsonv2.ErrUnknownName) {
			t.Errorf("Exact(%s): %v does not wrap the decoder's error", text, err)
		}
		// Unmarshal ignores them, and does not take a variant for the name.
		v = answer{}
		if err := strictjson.Unmarshal([]byte(text), &v); err != nil || v.Token != "" {
			t.Errorf("Unmarshal(%s) = %v, token %q", text, err, v.Token)
		}
	}
}

func TestUnmarshal(t *testing.T) {
	var v answer
	text := ` {"access_token":"a","expires_in":300,"actions":["read"],"raw":{"b":[1]},"any":{"c":null},"unknown":true,
		"inner":{"access_token":"\u0061"}} `
	if err := strictjson.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	want := answer{
		Token: "a", Expires: 300, Actions: []string{"read"}, Raw: json.RawMessage(`{"b":[1]}`),
		Any: map[string]any{"c": nil}, Inner: &answer{Token: "a"},
	}
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("Unmarshal (-want +got):\n%s", diff)
	}
}

// Brackets in strings are no depth, and the limit itself is allowed.
func TestDepth(t *testing.T) {
	for name, text := range map[string]string{
		"at the limit":          nested(strictjson.MaxDepth),
		"brackets in a string":  `"` + strings.Repeat("[{", 1000) + `"`,
		"after an escape":       `"\"` + strings.Repeat("[", 1000) + `"`,
		"after two backslashes": `["\\",` + nested(strictjson.MaxDepth-1) + `]`,
		"side by side":          "[" + strings.Repeat("[[]],", 1000) + "[]]",
	} {
		var v any
		if err := strictjson.Unmarshal([]byte(text), &v); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	var v any
	if err := strictjson.Unmarshal([]byte(`["\\",`+nested(strictjson.MaxDepth)+`]`), &v); err == nil {
		t.Error("a string that ends in a backslash hides what follows it")
	}
}

func TestReadAll(t *testing.T) {
	endless := iotest.ErrReader(errors.New("read past the limit"))
	if _, err := strictjson.ReadAll(io.MultiReader(strings.NewReader(strings.Repeat("a", 11)), endless), 10); !errors.Is(err, strictjson.ErrTooLarge) {
		t.Errorf("ReadAll of an endless body = %v, want ErrTooLarge", err)
	}
	broken := errors.New("broken")
	if b, err := strictjson.ReadAll(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)), 10); !errors.Is(err, broken) || b != nil {
		t.Errorf("ReadAll of a broken body = %q, %v", b, err)
	}
	for _, limit := range []int64{-5, -1, 0, 2} {
		if b, err := strictjson.ReadAll(strings.NewReader("abc"), limit); !errors.Is(err, strictjson.ErrTooLarge) || b != nil {
			t.Errorf("ReadAll(abc, %d) = %q, %v, want ErrTooLarge", limit, b, err)
		}
	}
	for _, limit := range []int64{3, 4, math.MaxInt64 - 1, math.MaxInt64} {
		if b, err := strictjson.ReadAll(iotest.OneByteReader(strings.NewReader("abc")), limit); err != nil || string(b) != "abc" {
			t.Errorf("ReadAll(abc, %d) = %q, %v", limit, b, err)
		}
	}
}

// FuzzUnmarshal holds that whatever is accepted, the decoder of the standard
// library reads alike, unless it takes a name in another case for a known one.
func FuzzUnmarshal(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":null}],"c":"\u20ac"}`))
	f.Add([]byte(`{"a":1,"a":2}`))
	f.Add([]byte(`[["\\",[]]]`))
	f.Add([]byte(strings.Repeat("[", 65)))
	f.Fuzz(func(t *testing.T, data []byte) {
		var strict, lenient any
		if err := strictjson.Unmarshal(data, &strict); err != nil {
			if len(err.Error()) > 400 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if err := json.Unmarshal(data, &lenient); err != nil {
			t.Fatalf("accepted, and encoding/json says %v", err)
		}
		if !reflect.DeepEqual(strict, lenient) {
			t.Errorf("read as %v, and by encoding/json as %v", strict, lenient)
		}
	})
}

func ExampleExact() {
	var policy struct {
		Actions []string `json:"actions"`
	}
	text := []byte(`{"actions":["read"],"Actions":["delete"]}`)
	fmt.Println(strictjson.Exact(text, &policy))

	// The same text, read by a careless peer.
	_ = json.NewDecoder(bytes.NewReader(text)).Decode(&policy)
	fmt.Println(policy.Actions)
	// Output:
	// unknown member "Actions"
	// [delete]
}

// TestObject: one object gives its members as they are written, and what another reader
// might take for something else is refused.
func TestObject(t *testing.T) {
	got, err := strictjson.Object([]byte(` {"a":1, "\u0062": {"c":[ ]} } `))
	if diff := cmp.Diff(map[string]jsontext.Value{"a": jsontext.Value("1"), "b": jsontext.Value(`{"c":[ ]}`)}, got); err != nil || diff != "" {
		t.Errorf("Object: %v (-want +got):\n%s", err, diff)
	}
	for _, text := range []string{
		``, ` `, `null`, `[]`, `"a"`, `{`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,}`, `{"a" 1}`, `{}{}`, `{}x`, `{"a":1,"a":2}`, `{"a":1,"\u0061":2}`, `{1:2}`,
		`{"a":{"b":1,"b":2}}`, "{\"a\":\"" + canary + "\xff\"}", `{"a":` + nested(strictjson.MaxDepth) + `}`,
	} {
		if got, err := strictjson.Object([]byte(text)); err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("Object(%s) = %v, %v", text, got, err)
		}
	}
}
