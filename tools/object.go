package tools

import (
	"bytes"
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// object returns r as the JSON object that ADK wants a result to be. convert, if
// not nil, is what converterOf gave for r's type.
func object(r any, convert converter) (map[string]any, error) {
	if m, ok := r.(map[string]any); ok && m != nil {
		return m, nil
	}
	if convert != nil {
		if v, ok := convert(reflect.ValueOf(r)); ok {
			return asObject(v), nil
		}
	}
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
	return asObject(v), nil
}

func asObject(v any) map[string]any {
	if m, ok := v.(map[string]any); ok {
		return m
	}
	return map[string]any{"result": v}
}

// A converter makes of a value what writing it as JSON and reading it back would,
// without the text: that costs most of a call whose result is a long document. ok
// is false for the rare value that only the text can tell.
type converter func(reflect.Value) (v any, ok bool)

// converterOf returns a converter for the plain types that results are mostly made
// of, and nil for all others: those with methods of their own for JSON, embedded
// fields, maps, tag options beyond omitempty, and those that contain themselves,
// which are among above.
func converterOf(t reflect.Type, above ...reflect.Type) converter {
	if slices.Contains(above, t) {
		return nil
	}
	above = append(slices.Clip(above), t)
	for _, own := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if t.Implements(own) || reflect.PointerTo(t).Implements(own) {
			return nil
		}
	}
	switch t.Kind() {
	case reflect.String:
		if t == reflect.TypeFor[json.Number]() {
			return nil
		}
		return func(v reflect.Value) (any, bool) { return v.String(), utf8.ValidString(v.String()) }
	case reflect.Bool:
		return func(v reflect.Value) (any, bool) { return v.Bool(), true }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(v reflect.Value) (any, bool) { return json.Number(strconv.FormatInt(v.Int(), 10)), true }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return func(v reflect.Value) (any, bool) { return json.Number(strconv.FormatUint(v.Uint(), 10)), true }
	case reflect.Float64:
		return func(v reflect.Value) (any, bool) { f := v.Float(); return f, !math.IsNaN(f) && !math.IsInf(f, 0) }
	case reflect.Pointer:
		element := converterOf(t.Elem(), above...)
		if element == nil {
			return nil
		}
		return func(v reflect.Value) (any, bool) {
			if v.IsNil() {
				return nil, true
			}
			return element(v.Elem())
		}
	case reflect.Slice:
		return sliceConverter(t, above)
	case reflect.Struct:
		return structConverter(t, above)
	}
	return nil
}

func sliceConverter(t reflect.Type, above []reflect.Type) converter {
	if t.Elem().Kind() == reflect.Uint8 {
		return nil // bytes are written in base64
	}
	element := converterOf(t.Elem(), above...)
	if element == nil {
		return nil
	}
	return func(v reflect.Value) (any, bool) {
		if v.IsNil() {
			return nil, true
		}
		list := make([]any, v.Len())
		for i := range list {
			var ok bool
			if list[i], ok = element(v.Index(i)); !ok {
				return nil, false
			}
		}
		return list, true
	}
}

func structConverter(t reflect.Type, above []reflect.Type) converter {
	type field struct {
		index     int
		name      string
		omitEmpty bool
		convert   converter
	}
	var fields []field
	seen := map[string]bool{}
	for i := range t.NumField() {
		f := t.Field(i)
		tag := f.Tag.Get("json")
		if !f.IsExported() && !f.Anonymous || tag == "-" {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		if f.Anonymous || seen[name] || !validName.MatchString(name) || option != "" && option != "omitempty" {
			return nil
		}
		seen[name] = true
		convert := converterOf(f.Type, above...)
		if convert == nil {
			return nil
		}
		fields = append(fields, field{i, name, option == "omitempty" && f.Type.Kind() != reflect.Struct, convert})
	}
	return func(v reflect.Value) (any, bool) {
		m := make(map[string]any, len(fields))
		for _, f := range fields {
			value := v.Field(f.index)
			if f.omitEmpty && (value.IsZero() || value.Kind() == reflect.Slice && value.Len() == 0) {
				continue
			}
			var ok bool
			if m[f.name], ok = f.convert(value); !ok {
				return nil, false
			}
		}
		return m, true
	}
}
