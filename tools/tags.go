package tools

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// checkType refuses types that have no schema, or one that their own JSON does not
// fit. path names the field for people.
func checkType(t reflect.Type, path string, above []reflect.Type) error {
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return fmt.Errorf("field %s: %s has no JSON form", path, t)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return fmt.Errorf("field %s: no value can be decoded into the interface %s", path, t)
		}
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		return checkType(t.Elem(), path, above)
	case reflect.Int64:
		if t == reflect.TypeFor[time.Duration]() {
			return fmt.Errorf("field %s: a time.Duration has no agreed JSON form: use a number of seconds", path)
		}
	case reflect.Struct:
		// Without $ref the schema of such a type has no end.
		if slices.Contains(above, t) {
			return fmt.Errorf("field %s: the type %s contains itself", path, t)
		}
		for f := range t.Fields() {
			if name, skip := jsonName(f); !skip {
				if err := checkType(f.Type, join(path, name), append(above, t)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// checkTags refuses a jsonschema tag of which a part did not make it into the
// schema. The library passes over what it does not understand: a comma inside a
// pattern would cut it off, and the tool would accept what its author forbade.
func checkTags(t reflect.Type, schema any, path string) error {
	node, ok := schema.(map[string]any)
	if !ok {
		return nil // true: anything goes
	}
	switch t.Kind() {
	case reflect.Pointer:
		return checkTags(t.Elem(), node, path)
	case reflect.Slice, reflect.Array:
		return checkTags(t.Elem(), node["items"], path)
	case reflect.Map:
		return checkTags(t.Elem(), node["additionalProperties"], path)
	case reflect.Struct:
	default:
		return nil
	}
	properties, _ := node["properties"].(map[string]any)
	for f := range t.Fields() {
		name, skip := jsonName(f)
		switch {
		case skip:
			continue
		case name == "":
			if err := checkTags(f.Type, node, path); err != nil {
				return err
			}
			continue
		}
		if err := checkTag(f.Tag.Get("jsonschema"), properties[name]); err != nil {
			return fmt.Errorf("field %s: %w", join(path, name), err)
		}
		if err := checkTags(f.Type, properties[name], join(path, name)); err != nil {
			return err
		}
	}
	return nil
}

// checkTag compares one field's tag with the schema that came of it.
func checkTag(tag string, schema any) error {
	said := map[string]int{}
	for _, part := range splitTag(tag) {
		key, _, isPair := strings.Cut(part, "=")
		switch {
		case key == "", key == "required", key == "nullable", strings.HasPrefix(key, "oneof_"), strings.HasPrefix(key, "anyof_"):
			continue
		case !isPair:
			return fmt.Errorf(`%q in the jsonschema tag is no keyword: write a comma inside a value as \\,`, part)
		case key == "example":
			key = "examples"
		}
		if said[key]++; count(schema, key) < said[key] {
			return fmt.Errorf("%q in the jsonschema tag has no effect on this type", part)
		}
	}
	return nil
}

// count returns how many values a schema has for a keyword, in itself, its items
// or its alternatives.
func count(schema any, key string) int {
	switch s := schema.(type) {
	case map[string]any:
		n := 0
		switch v := s[key].(type) {
		case nil:
		case []any:
			n = len(v)
		default:
			n = 1
		}
		return n + count(s["items"], key) + count(s["oneOf"], key)
	case []any:
		n := 0
		for _, alternative := range s {
			n += count(alternative, key)
		}
		return n
	}
	return 0
}

// splitTag splits a tag as invopop/jsonschema does: at commas without a backslash.
func splitTag(tag string) []string {
	var parts []string
	for _, piece := range strings.Split(tag, ",") {
		if n := len(parts); n > 0 && strings.HasSuffix(parts[n-1], `\`) {
			parts[n-1] = strings.TrimSuffix(parts[n-1], `\`) + "," + piece
		} else {
			parts = append(parts, piece)
		}
	}
	return parts
}

// jsonName returns the name of a field in JSON: "" for an embedded struct, whose
// fields stand beside the others.
func jsonName(f reflect.StructField) (name string, skip bool) {
	tag := f.Tag.Get("json")
	if tag == "-" || f.Tag.Get("jsonschema") == "-" || (!f.IsExported() && !f.Anonymous) {
		return "", true
	}
	name, _, _ = strings.Cut(tag, ",")
	if name == "" && !f.Anonymous {
		name = f.Name
	}
	return name, false
}

func join(path, name string) string {
	return strings.Trim(path+"."+name, ".")
}
