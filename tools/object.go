package tools

import (
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// A textField is a field of a struct that is one member of its JSON, with its text as it is.
type textField struct {
	index     int
	name      string
	omitEmpty bool
}

// textFields returns the text fields of a result's type, and whether it has no others. What
// has a say of its own in how it is written has none, nor do fields that share a name.
func textFields(t reflect.Type) (texts []textField, all bool) {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || ownJSON(reflect.PointerTo(t)) {
		return nil, false
	}
	named := map[string]int{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("json"), ",")
		name = cmp.Or(name, f.Name)
		if named[name]++; f.Type == reflect.TypeFor[string]() && f.IsExported() && validName().MatchString(name) && (option == "" || option == "omitempty") && name != "-" {
			texts = append(texts, textField{i, name, option != ""})
		}
	}
	texts = slices.DeleteFunc(texts, func(f textField) bool { return named[f.name] > 1 })
	return texts, len(texts) == t.NumField()
}

// ownJSON reports whether a type has methods of its own for JSON.
func ownJSON(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}

// object returns r as the JSON object that ADK wants a result to be: what writing it as
// JSON and reading it back makes of it. Its text fields stay out of that, which would be
// most of a call whose result is a long document.
func object(r any, texts []textField, all bool) (map[string]any, error) {
	if m, ok := r.(map[string]any); ok && m != nil {
		return m, nil
	}
	v := reflect.Indirect(reflect.ValueOf(r))
	if v.Kind() != reflect.Struct || slices.ContainsFunc(texts, func(f textField) bool { return !utf8.ValidString(v.Field(f.index).String()) }) {
		texts, all = nil, false
	}
	m := make(map[string]any, len(texts))
	if !all {
		if texts != nil {
			bare := reflect.New(v.Type())
			bare.Elem().Set(v)
			for _, f := range texts {
				bare.Elem().Field(f.index).SetZero()
			}
			if r = bare.Interface(); !v.CanAddr() { // methods of pointers to its fields count otherwise
				r = bare.Elem().Interface()
			}
		}
		text, err := json.Marshal(r)
		if err != nil {
			return nil, fmt.Errorf("encode the result: %w", err)
		}
		var read any
		if err := strictjson.AsWritten(text, &read); err != nil { // jitmw keeps what a float64 would round
			return nil, fmt.Errorf("encode the result: %w", err)
		}
		var ok bool
		if m, ok = read.(map[string]any); !ok {
			return map[string]any{"result": read}, nil
		}
	}
	for _, f := range texts {
		if s := v.Field(f.index).String(); s != "" || !f.omitEmpty {
			m[f.name] = s
		}
	}
	return m, nil
}
