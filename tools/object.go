package tools

import (
	"bytes"
	"cmp"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object returns r as the JSON object that ADK wants a result to be: what writing it as
// JSON and reading it back makes of it.
func object(r any) (map[string]any, error) {
	if m, ok := r.(map[string]any); ok && m != nil {
		return m, nil
	}
	r, texts := withoutTexts(r)
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber() // jitmw keeps what a float64 would round
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("encode the result: %w", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return map[string]any{"result": v}, nil
	}
	for _, t := range texts {
		if m[t.name] == t.mark {
			m[t.name] = t.text
		}
	}
	return m, nil
}

// longText is from how many bytes on a text stays out of the JSON.
const longText = 256

// A keptText is one that a mark stands for.
type keptText struct{ name, mark, text string }

// withoutTexts takes the long texts out of a struct, and returns a copy with marks in
// their places: writing and reading them would be most of a call whose result is a long
// document. What has a say of its own in how it is written stays whole.
func withoutTexts(r any) (bare any, texts []keptText) {
	v := reflect.ValueOf(r)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() != reflect.Struct || ownJSON(reflect.PointerTo(v.Type())) {
		return r, nil
	}
	with := reflect.New(v.Type())
	with.Elem().Set(v)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name, option, _ := strings.Cut(field.Tag.Get("json"), ",")
		name = cmp.Or(name, field.Name)
		usual := field.Type == reflect.TypeFor[string]() && field.IsExported() && validName.MatchString(name) && (option == "" || option == "omitempty")
		if usual && v.Field(i).Len() >= longText && utf8.ValidString(v.Field(i).String()) {
			mark := "\x00" + strconv.Itoa(i)
			texts = append(texts, keptText{name, mark, v.Field(i).String()})
			with.Elem().Field(i).SetString(mark)
		}
	}
	if v.CanAddr() { // methods of pointers to its fields count too
		return with.Interface(), texts
	}
	return with.Elem().Interface(), texts
}

// ownJSON reports whether a type has methods of its own for JSON.
func ownJSON(t reflect.Type) bool {
	return t.Implements(reflect.TypeFor[json.Marshaler]()) || t.Implements(reflect.TypeFor[encoding.TextMarshaler]())
}
