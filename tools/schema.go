package tools

import (
	"encoding/json"
	"fmt"
	"reflect"

	validator "github.com/google/jsonschema-go/jsonschema"
	"github.com/invopop/jsonschema"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// argsSchema is the JSON Schema of a tool's arguments.
type argsSchema struct {
	// document is what the model is told, at every call: a plain tree, since a Schema
	// takes six times as long to encode. It must not be changed.
	document map[string]any
	compiled *validator.Resolved
}

// schemaOf derives the schema of A and compiles it.
func schemaOf[A any]() (argsSchema, error) {
	t := reflect.TypeFor[A]()
	fail := func(err error) (argsSchema, error) { return argsSchema{}, fmt.Errorf("schema of %s: %w", t, err) }
	if t.Kind() != reflect.Struct {
		return argsSchema{}, fmt.Errorf("the arguments must be a struct, not %s", t)
	}
	if err := checkType(t, "", nil); err != nil {
		return fail(err)
	}
	// In one tree and without $ref: some providers refuse a root $ref.
	reflector := jsonschema.Reflector{Anonymous: true, DoNotReference: true, ExpandedStruct: true}
	derived := reflector.ReflectFromType(t)
	derived.Version = "" // every provider takes this dialect for granted
	text, err := json.Marshal(derived)
	if err != nil {
		return fail(err)
	}
	var s argsSchema
	if err := json.Unmarshal(text, &s.document); err != nil {
		return fail(err)
	}
	if err := checkTags(t, s.document, ""); err != nil {
		return fail(err)
	}
	var schema validator.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		return fail(err)
	}
	if s.compiled, err = schema.Resolve(nil); err != nil {
		return fail(err)
	}
	return s, nil
}

// decode checks the model's arguments against the schema and decodes them.
func decode[A any](s argsSchema, args map[string]any) (A, error) {
	var a A
	if args == nil {
		args = map[string]any{}
	}
	if err := s.compiled.Validate(args); err != nil {
		return a, err
	}
	// Not encoding/json, which replaces bytes that are not UTF-8: what is decoded
	// would not be what was checked.
	text, err := jsonv2.Marshal(args)
	if err != nil {
		return a, err
	}
	// Exact: the decoder must not see members that the schema does not, such as a
	// name in another case.
	if err := strictjson.Exact(text, &a); err != nil {
		return a, err
	}
	return a, nil
}
