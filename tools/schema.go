package tools

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	validator "github.com/google/jsonschema-go/jsonschema"
	"github.com/invopop/jsonschema"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// argsSchema is the JSON Schema of a tool's arguments: what the model is told, and
// what its arguments are held against. The first is weaker. Engines that make a
// model's output fit a schema each know other parts of it, and refuse or break the
// rest; docs/tool-arguments.md has the table.
type argsSchema struct {
	told     json.RawMessage // in the author's order of properties
	checked  *jsonschema.Schema
	outlined *jsonschema.Schema // what an outline goes through
	compiled *validator.Resolved
}

// schemaOf derives the schema of A.
func schemaOf[A any]() (s argsSchema, err error) {
	t := reflect.TypeFor[A]()
	if t.Kind() != reflect.Struct {
		return argsSchema{}, fmt.Errorf("the arguments must be a struct, not %s", t)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("schema of %s: %w", t, err)
		}
	}()
	if err := checkType(t, "", nil, map[string]bool{}); err != nil {
		return argsSchema{}, err
	}
	if s.checked, err = derive(t); err != nil {
		return argsSchema{}, err
	}
	s.outlined = s.checked
	text, err := json.Marshal(s.checked)
	if err != nil {
		return argsSchema{}, err
	}
	if s.compiled, err = compile(text); err != nil {
		return argsSchema{}, err
	}
	told, err := derive(t)
	if err != nil {
		return argsSchema{}, err
	}
	tell(told)
	s.told, err = json.Marshal(told)
	return s, err
}

// givenSchema reads the schema of a tool that somebody else describes. The model is told
// all of it; of what this package cannot read, the tool's owner is the judge.
func givenSchema[A any](text json.RawMessage) (s argsSchema, err error) {
	if t := reflect.TypeFor[A](); t != reflect.TypeFor[map[string]any]() {
		return s, fmt.Errorf("with a Schema the arguments are a map[string]any, not %s", t)
	}
	var known struct {
		Type       string
		Properties map[string]any
	}
	if err := json.Unmarshal(text, &known); err != nil || known.Type != "object" {
		return s, errors.New("the Schema is not that of an object")
	}
	s.told, s.outlined = text, &jsonschema.Schema{Type: "object", Properties: jsonschema.NewProperties()}
	for _, name := range slices.Sorted(maps.Keys(known.Properties)) {
		s.outlined.Properties.Set(name, nil) // of any type: a ceiling names arguments, and no values
		s.outlined.Required = append(s.outlined.Required, name)
	}
	if s.compiled, err = compile(text); err != nil {
		s.compiled, err = compile([]byte(`{"type":"object"}`))
	}
	checked := new(jsonschema.Schema)
	if json.Unmarshal(text, checked) == nil {
		s.checked = checked
	}
	return s, err
}

// derive returns the schema of a type, in one tree and without $ref: some providers
// refuse a root $ref.
func derive(t reflect.Type) (*jsonschema.Schema, error) {
	reflector := jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true}
	s := reflector.ReflectFromType(t)
	s.Version = "" // every provider takes this dialect for granted
	return s, finish(t, s, "")
}

func compile(text []byte) (*validator.Resolved, error) {
	var schema validator.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		return nil, err
	}
	return schema.Resolve(nil)
}

// finish holds each field's tag against the schema that came of it, and gives each whole
// number the range of its type. path names the type's place for people.
func finish(t reflect.Type, s *jsonschema.Schema, path string) error {
	if s == nil {
		return nil
	}
	switch t.Kind() {
	case reflect.Pointer:
		return finish(t.Elem(), s, path)
	case reflect.Slice, reflect.Array:
		return finish(t.Elem(), s.Items, path)
	case reflect.Map:
		return finish(t.Elem(), s.AdditionalProperties, path)
	case reflect.Struct:
		for f := range t.Fields() {
			name, skip := jsonName(f)
			if skip {
				continue
			}
			inner, path := s, join(path, name)
			if name != "" {
				inner = nil
				if s.Properties != nil {
					inner = s.Properties.Value(name)
				}
				if err := checkTag(f.Tag.Get("jsonschema"), inner); err != nil {
					return fmt.Errorf("field %s: %w", path, err)
				}
			}
			if err := finish(f.Type, inner, path); err != nil {
				return err
			}
		}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		bound(t, s)
	}
	return nil
}

// bound gives a whole number the range of its type, or the smaller one in which every
// reader of JSON agrees (RFC 8259, section 6).
func bound(t reflect.Type, s *jsonschema.Schema) {
	if s.Type != "integer" {
		return
	}
	least, most := int64(0), int64(strictjson.MaxWhole)
	if bits := t.Bits(); t.Kind() <= reflect.Int64 {
		least = max(-most, math.MinInt64>>(64-bits))
		most = min(most, math.MaxInt64>>(64-bits))
	} else if bits < 53 {
		most = 1<<bits - 1
	}
	if s.ExclusiveMinimum == "" {
		s.Minimum = cmp.Or(s.Minimum, json.Number(fmt.Sprint(least)))
	}
	if s.ExclusiveMaximum == "" {
		s.Maximum = cmp.Or(s.Maximum, json.Number(fmt.Sprint(most)))
	}
}

// Arguments returns the names of the arguments of each tool that declares some by a
// JSON Schema, sorted: what package policy holds a file against.
func Arguments(kit []tool.Tool) map[string][]string {
	all := map[string][]string{}
	for _, t := range kit {
		all[t.Name()] = nil
		declared, ok := t.(interface {
			Declaration() *genai.FunctionDeclaration
		})
		if !ok {
			continue
		}
		var schema struct{ Properties map[string]any }
		if text, err := json.Marshal(declared.Declaration().ParametersJsonSchema); err == nil && json.Unmarshal(text, &schema) == nil {
			all[t.Name()] = slices.Sorted(maps.Keys(schema.Properties))
		}
	}
	return all
}

// decode checks the model's arguments against the schema and decodes them. Its
// errors are sentences for the model.
func decode[A any](s argsSchema, args map[string]any) (A, error) {
	var a A
	tidied, err := tidy(args, s.checked, "")
	if err != nil {
		return a, err
	}
	if err := s.compiled.Validate(tidied); err != nil {
		return a, errors.New(cmp.Or(misfit(tidied, s.checked, ""), "the arguments do not fit what the tool takes"))
	}
	// Not encoding/json, which replaces bytes that are not UTF-8: what is decoded
	// would not be what was checked. In one order, since raw members reach bodies, and
	// those the keys of effects.
	text, err := jsonv2.Marshal(tidied, jsonv2.Deterministic(true))
	if err != nil {
		return a, errors.New("the arguments hold bytes that are not UTF-8")
	}
	// Exact: the decoder must not see members that the schema does not, such as a
	// name in another case.
	if err := strictjson.Exact(text, &a); err != nil {
		return a, err
	}
	return a, nil
}
