package openai

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"google.golang.org/genai"
)

// maxSchemaDepth bounds what is walked of a schema; deeper ones are an error.
const maxSchemaDepth = 32

// emptyObject is the schema of a tool without parameters. A nil schema would be sent
// as null, which the API refuses.
const emptyObject = `{"type":"object","properties":{}}`

// parameters returns the JSON schema of a tool's parameters.
func parameters(d *genai.FunctionDeclaration) ([]byte, error) {
	var schema any
	switch {
	case d.ParametersJsonSchema != nil:
		schema = d.ParametersJsonSchema
	case d.Parameters != nil:
		schema = fromGenai(d.Parameters, 0)
	default:
		return []byte(emptyObject), nil
	}
	written, m, err := asMap(schema)
	switch {
	case err != nil:
		return nil, err
	case m == nil:
		return []byte(emptyObject), nil
	}
	if _, ok := m["properties"]; ok || m["type"] != "object" {
		return written, nil // as the author ordered it
	}
	m["properties"] = map[string]any{} // OpenAI demands it even of an object without any
	return json.Marshal(m, json.Deterministic(true))
}

// asMap returns schema, which marshals to an object, as JSON and as a map of the
// caller's own. A nil schema gives a nil map.
func asMap(schema any) ([]byte, map[string]any, error) {
	b, err := json.Marshal(schema, json.Deterministic(true))
	if err != nil {
		return nil, nil, err
	}
	var m map[string]any
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, nil, err
	}
	return b, m, nil
}

// fromGenai returns s as a JSON schema: Google writes types in capitals, has
// "nullable", and keeps the order of properties, which JSON schema does not know.
func fromGenai(s *genai.Schema, depth int) map[string]any {
	if s == nil || depth > maxSchemaDepth {
		return map[string]any{}
	}
	out := map[string]any{}
	if s.Type != "" && s.Type != genai.TypeUnspecified {
		kind := strings.ToLower(string(s.Type))
		out["type"] = kind
		if s.Nullable != nil && *s.Nullable {
			out["type"] = []any{kind, "null"}
		}
	}
	for name, text := range map[string]string{"title": s.Title, "description": s.Description, "format": s.Format, "pattern": s.Pattern} {
		if text != "" {
			out[name] = text
		}
	}
	for name, n := range map[string]*int64{
		"maxItems": s.MaxItems, "minItems": s.MinItems, "maxLength": s.MaxLength, "minLength": s.MinLength,
		"maxProperties": s.MaxProperties, "minProperties": s.MinProperties,
	} {
		if n != nil {
			out[name] = *n
		}
	}
	for name, n := range map[string]*float64{"maximum": s.Maximum, "minimum": s.Minimum} {
		if n != nil {
			out[name] = *n
		}
	}
	if s.Default != nil {
		out["default"] = s.Default
	}
	if len(s.Enum) > 0 {
		out["enum"] = s.Enum
	}
	if len(s.Required) > 0 {
		out["required"] = s.Required
	}
	if s.Items != nil {
		out["items"] = fromGenai(s.Items, depth+1)
	}
	if len(s.AnyOf) > 0 {
		var list []any
		for _, a := range s.AnyOf {
			list = append(list, fromGenai(a, depth+1))
		}
		out["anyOf"] = list
	}
	if s.Properties != nil || s.Type == genai.TypeObject {
		properties := map[string]any{}
		for name, p := range s.Properties {
			properties[name] = fromGenai(p, depth+1)
		}
		out["properties"] = properties
	}
	return out
}

// strict makes schema fit OpenAI's strict mode, in place: every object is closed and
// requires all its properties. It reports whether it does; an object with names of
// its own choice does not.
func strict(schema map[string]any, depth int) bool {
	if depth > maxSchemaDepth {
		return false
	}
	properties, isObject := schema["properties"].(map[string]any)
	if isObject || schema["type"] == "object" {
		if open, ok := schema["additionalProperties"]; !isObject || ok && open != false {
			return false
		}
		schema["additionalProperties"] = false
		var names []any
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			names = append(names, name)
		}
		if schema["required"] = names; names == nil {
			schema["required"] = []any{}
		}
	}
	for _, key := range []string{"properties", "$defs", "definitions"} {
		group, _ := schema[key].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(group)) {
			if s, ok := group[name].(map[string]any); ok && !strict(s, depth+1) {
				return false
			}
		}
	}
	if items, ok := schema["items"].(map[string]any); ok && !strict(items, depth+1) {
		return false
	}
	for _, key := range []string{"anyOf", "prefixItems"} {
		list, _ := schema[key].([]any)
		for _, s := range list {
			if s, ok := s.(map[string]any); ok && !strict(s, depth+1) {
				return false
			}
		}
	}
	return schema["oneOf"] == nil && schema["allOf"] == nil && schema["not"] == nil
}
