package tools

import (
	"cmp"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/invopop/jsonschema"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// checkType refuses types that have no schema, or one that their own JSON does not
// fit. path names the field for people, and seen has those before.
func checkType(t reflect.Type, path string, above []reflect.Type, seen map[string]bool) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("field %s: %s", path, fmt.Sprintf(format, args...))
	}
	switch t {
	case reflect.TypeFor[time.Time](), reflect.TypeFor[json.RawMessage]():
		return nil
	case reflect.TypeFor[time.Duration]():
		return refuse("a time.Duration has no agreed JSON form: use a number of seconds")
	case reflect.TypeFor[json.Number]():
		return refuse("a json.Number takes any text: use a number, or a string with a pattern")
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer, reflect.Uintptr:
		return refuse("%s has no JSON form", t)
	case reflect.Interface:
		if t.NumMethod() > 0 {
			return refuse("no value can be decoded into the interface %s", t)
		}
		return nil
	}
	for _, own := range []reflect.Type{reflect.TypeFor[json.Unmarshaler](), reflect.TypeFor[encoding.TextUnmarshaler](), reflect.TypeFor[jsonv2.UnmarshalerFrom]()} {
		if path != "" && t.Kind() != reflect.Pointer && reflect.PointerTo(t).Implements(own) {
			return refuse("%s reads its own text, of which a schema says nothing: take a string, and read it in the handler", t)
		}
	}
	switch t.Kind() {
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return refuse("the keys of %s are no strings", t)
		}
		return checkType(t.Elem(), path, above, seen)
	case reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return refuse("some decoders take %s for a list, and others for a text: take a string", t)
		}
		return checkType(t.Elem(), path, above, seen)
	case reflect.Pointer, reflect.Slice:
		return checkType(t.Elem(), path, above, seen)
	case reflect.Struct:
		// Without $ref the schema of such a type has no end.
		if slices.Contains(above, t) {
			return refuse("the type %s contains itself", t)
		}
		for f := range t.Fields() {
			name, skip := jsonName(f)
			if skip {
				continue
			}
			at := join(path, name)
			switch {
			case name == "":
			case !validName().MatchString(name):
				return fmt.Errorf("field %s: the name must match %s: some providers take no other", at, validName())
			case seen[at]:
				return fmt.Errorf("field %s: two fields have this name", at)
			}
			if name != "" {
				seen[at] = true
			}
			if err := cmp.Or(checkField(f, at), checkType(f.Type, at, append(above, t), seen)); err != nil {
				return err
			}
		}
	}
	return nil
}

// checkField refuses what decoders make of a field and its schema does not know. path is
// the field's.
func checkField(f reflect.StructField, path string) error {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
		if f.Anonymous && !f.IsExported() {
			return fmt.Errorf("field %s: nothing can be decoded into an embedded *%s", join(path, f.Name), t)
		}
	}
	_, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	for option := range strings.SplitSeq(options, ",") {
		number := t.Kind() >= reflect.Int && t.Kind() <= reflect.Float64
		if !slices.Contains([]string{"", "omitempty", "omitzero"}, option) && !(option == "string" && number) {
			return fmt.Errorf("field %s: a schema knows nothing of %q in the json tag", path, option)
		}
	}
	return nil
}

// checkTag refuses a jsonschema tag of which a part did not make it into its field's
// schema. The library passes over what it does not understand: a comma inside a pattern
// would cut it off, and the tool would accept what its author forbade.
func checkTag(tag string, s *jsonschema.Schema) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	var schema any
	if err := json.Unmarshal(text, &schema); err != nil {
		return err
	}
	said := map[string]int{}
	for _, part := range splitTag(tag) {
		key, value, isPair := strings.Cut(part, "=")
		switch {
		case key == "", key == "required":
			continue
		case key == "nullable":
			return errors.New(`"nullable" in the jsonschema tag: null counts as absence: write omitempty in the json tag`)
		case strings.HasPrefix(key, "oneof_"), strings.HasPrefix(key, "anyof_"):
			return fmt.Errorf("%q in the jsonschema tag: several engines refuse it: check that in the handler", part)
		case !isPair:
			return fmt.Errorf(`%q in the jsonschema tag is no keyword: write a comma inside a value as \\,`, part)
		case key == "example":
			key = "examples"
		}
		if err := checkKeyword(key, value); err != nil {
			return err
		}
		if said[key]++; count(schema, key) < said[key] {
			return fmt.Errorf("%q in the jsonschema tag has no effect on this type", part)
		}
	}
	return nil
}

// checkKeyword refuses what is told but not kept, by us or on the way.
func checkKeyword(key, value string) error {
	pair := key + "=" + value
	switch key {
	case "default":
		return fmt.Errorf("%q in the jsonschema tag: a default never arrives: say it in the description, and set it in the handler", pair)
	case "format":
		return fmt.Errorf("%q in the jsonschema tag: nobody holds arguments against it: write a pattern, or check it in the handler", pair)
	case "uniqueItems":
		if value != "true" {
			return fmt.Errorf("%q in the jsonschema tag means true: leave it out", pair)
		}
	case "pattern":
		for _, only := range []string{`\A`, `\z`, `\Q`, `\C`, "[[:", "(?i", "(?m", "(?s", "(?U", "(?-", "(?P"} {
			if strings.Contains(value, only) {
				return fmt.Errorf("%q in the jsonschema tag: only Go reads %s: write ^ and $ for the ends, and classes such as [A-Za-z]", pair, only)
			}
		}
	case "multipleOf", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		switch f, err := strconv.ParseFloat(value, 64); {
		case err != nil:
			return nil // which has no effect, as is said below
		case key == "multipleOf" && f != math.Trunc(f):
			return fmt.Errorf("%q in the jsonschema tag: fractions have no exact multiples: take a whole number of the smaller unit", pair)
		case math.Abs(f) > strictjson.MaxWhole:
			return fmt.Errorf("%q in the jsonschema tag: readers of JSON round beyond %d", pair, strictjson.MaxWhole)
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
