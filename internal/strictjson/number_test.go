package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/internal/strictjson"
)

func TestNumbers(t *testing.T) {
	dec := json.NewDecoder(strings.NewReader(
		`{"a":7.0,"b":[9007199254740991,9007199254740992,-9007199254740993],"c":{"d":1e300,"e":1e999,"f":0.1},"g":"9007199254740993"}`))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"a": 7.0,
		"b": []any{9007199254740991.0, json.Number("9007199254740992"), json.Number("-9007199254740993")},
		"c": map[string]any{"d": json.Number("1e300"), "e": json.Number("1e999"), "f": 0.1},
		"g": "9007199254740993",
	}
	v = strictjson.Numbers(v)
	if diff := cmp.Diff(want, v); diff != "" {
		t.Errorf("Numbers (-want +got):\n%s", diff)
	}
	text := strictjson.NumbersAsText(v).(map[string]any)
	if diff := cmp.Diff([]any{9007199254740991.0, "9007199254740992", "-9007199254740993"}, text["b"]); diff != "" {
		t.Errorf("NumbersAsText (-want +got):\n%s", diff)
	}
	if _, kept := v.(map[string]any)["b"].([]any)[1].(json.Number); !kept {
		t.Error("NumbersAsText changed what it was given")
	}
}
