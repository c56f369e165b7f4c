package tools_test

import (
	"encoding/json"
	"regexp"
	"testing"
	"unicode/utf8"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// Whatever a model sends as arguments, nothing panics, and the handler gets only
// what the schema allows.
func FuzzArguments(f *testing.F) {
	type inner struct {
		Key string `json:"key" jsonschema:"enum=a,enum=b"`
	}
	type args struct {
		ID    string            `json:"id" jsonschema:"minLength=1,maxLength=8,pattern=^[a-z0-9]+$"`
		Count int               `json:"count,omitempty" jsonschema:"minimum=0,maximum=9"`
		List  []inner           `json:"list,omitempty" jsonschema:"maxItems=2"`
		Flag  *bool             `json:"flag,omitempty"`
		Tags  map[string]string `json:"tags,omitempty"`
		Any   any               `json:"any,omitempty"`
	}
	id := regexp.MustCompile(`^[a-z0-9]{1,8}$`)
	var got *args
	act, err := tools.New(tools.Spec[args]{
		Name: "act", Description: "acts", Ceiling: func(a args) []rar.Detail { return []rar.Detail{read(a.ID)} },
	}, func(_ tools.Context, a args) (any, error) { got = &a; return a, nil })
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range []string{
		`{"id":"a1"}`, `{"id":"a1","count":9,"list":[{"key":"a"}],"flag":true,"tags":{"x":"y"},"any":[1,{"z":null}]}`,
		`{"ID":"a1"}`, `{"id":"a1","Id":"b"}`, `{"id":null}`, `{"id":"A"}`, `{"id":"a1","count":1e400}`, `{"id":"a1","count":1.5}`, `{"id":"a1","count":-0}`,
		`{"id":"a1","list":[{"key":"c"}]}`, `{"id":"a1","any":"\ud800"}`, `[]`, `null`, `"x"`, `{"id":"a1","tags":{"":"\u0000"}}`,
	} {
		f.Add([]byte(seed))
	}
	run := runnable(f, act)
	ctx := newCtx(jit.NewContext(f.Context(), fake.Task(f, &fake.Authority{})))
	f.Fuzz(func(t *testing.T, text []byte) {
		var in any
		if json.Unmarshal(text, &in) != nil {
			in = map[string]any{"id": string(text), "any": string(text)} // text that is no JSON, and perhaps no UTF-8
		}
		got = nil
		result, err := run.Run(ctx, in)
		if err != nil || result == nil {
			t.Fatalf("Run(%q) = %v, %v", text, result, err)
		}
		if _, err := json.Marshal(result); err != nil {
			t.Fatalf("Run(%q): the result has no JSON: %v", text, err)
		}
		if got == nil {
			if result["status"] != "invalid_arguments" {
				t.Fatalf("Run(%q) = %v, though the handler was not called", text, result)
			}
			return
		}
		if !id.MatchString(got.ID) || got.Count < 0 || got.Count > 9 || len(got.List) > 2 {
			t.Fatalf("Run(%q): the handler got %+v", text, *got)
		}
		for _, i := range got.List {
			if i.Key != "a" && i.Key != "b" {
				t.Fatalf("Run(%q): the handler got the key %q", text, i.Key)
			}
		}
		for name, value := range got.Tags {
			if !utf8.ValidString(name) || !utf8.ValidString(value) {
				t.Fatalf("Run(%q): the handler got the tag %q=%q", text, name, value)
			}
		}
	})
}
