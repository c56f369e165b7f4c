package openai

import (
	"maps"
	"slices"
)

// maxSchemaDepth bounds what is walked of a schema.
const maxSchemaDepth = 32

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
