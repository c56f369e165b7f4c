package tools_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// TestSchemaOfSomebodyElse has tools whose schema comes from elsewhere.
func TestSchemaOfSomebodyElse(t *testing.T) {
	p, err := policy.Parse([]byte(`tools: {act: {ceilings: [{type: file, actions: [read], identifier: "{id}"}]}}`), map[string][]string{"act": {"id"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ schema, args, want string }{
		"fits":                 {`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"id":{"type":"string"}},"required":["id"]}`, `{"id":"a"}`, `{"id":"a"}`},
		"does not fit":         {`{"type":"object","properties":{"id":{"type":"string"}},"required":["id"]}`, `{}`, `invalid arguments: id is missing`},
		"several types":        {`{"type":"object","properties":{"id":{"type":["string","null"]}}}`, `{"id":null}`, `{"id":null}`},
		"of the wrong types":   {`{"type":"object","properties":{"id":{"type":["string","null"]}}}`, `{"id":1}`, `invalid arguments: the arguments do not fit what the tool takes`},
		"a null is an absence": {`{"type":"object","properties":{"id":{"type":"string"}}}`, `{"id":null}`, `{}`},
		"cannot be compiled":   {`{"type":"object","properties":{"id":{"type":"string","pattern":"^(?!a)b"}}}`, `{"id":"a"}`, `{"id":"a"}`},
		"a large number":       {`{"type":"object"}`, `{"id":9007199254740993}`, `invalid arguments: id is 9007199254740993: whole numbers beyond 9007199254740991 do not arrive as they are sent: pass it as text, if the tool takes a text there`},
	} {
		t.Run(name, func(t *testing.T) {
			var got map[string]any
			act, err := tools.New(tools.Spec[map[string]any]{
				Name: "act", Description: "acts", Schema: json.RawMessage(test.schema), Policy: p, Ceiling: func(map[string]any) []rar.Detail { return nil },
			}, func(_ tools.Context, args map[string]any) (string, error) { got = args; return "done", nil })
			if err != nil {
				t.Fatal(err)
			}
			shown := call(t, &fake.Authority{}, act, parsed(t, test.args))
			text, _ := json.Marshal(got)
			if have, _ := shown["error"].(string); have != test.want && string(text) != test.want {
				t.Errorf("%s gave %s, %v, want %s", test.args, text, shown, test.want)
			}
			if o, _ := jitmw.OutlineOf(act); len(o.Ceiling) != strings.Count(test.schema, `"id":{`) || o.Open {
				t.Errorf("the outline is %+v", o)
			}
		})
	}
	for name, build := range map[string]func() error{
		"no object":   func() error { return given[map[string]any](`{"type":"string"}`) },
		"no schema":   func() error { return given[map[string]any](`{`) },
		"with a type": func() error { return given[struct{}](`{"type":"object"}`) },
	} {
		if build() == nil {
			t.Errorf("%s: New() took it", name)
		}
	}
}

func given[A any](schema string) error {
	_, err := tools.New(tools.Spec[A]{Name: "act", Description: "acts", Schema: json.RawMessage(schema), Ceiling: func(A) []rar.Detail { return nil }},
		func(tools.Context, A) (string, error) { return "", nil })
	return err
}
