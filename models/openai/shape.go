package openai

import (
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/models/provider"
)

// A query is a request in a form that both APIs are written from: what each of them
// takes under another name.
type query struct {
	system string
	turns  []*turn
	tools  []provider.Tool
	choice provider.Choice
	format format
	effort string
	config *genai.GenerateContentConfig // for what is a number
}

// declares reports whether a tool of that name is declared.
func (q *query) declares(name string) bool {
	return slices.ContainsFunc(q.tools, func(t provider.Tool) bool { return t.Name == name })
}

// A format is the wanted form of the answer: kind is "", json_object or json_schema.
type format struct {
	kind, name string
	schema     []byte
	strict     bool
}

func (c *call) query(contents []*genai.Content) (*query, error) {
	config := c.config
	if err := provider.Refuse(config); err != nil {
		return nil, err
	}
	q := &query{config: config, system: system(config.SystemInstruction), effort: c.family.effort(config.ThinkingConfig, c.settings.ReasoningEffort)}
	var err error
	if q.tools, q.choice, err = provider.Tools(config); err != nil {
		return nil, err
	}
	if q.format, err = wanted(config); err != nil {
		return nil, err
	}
	if q.turns, err = converse(contents, c.server); err != nil {
		return nil, err
	}
	if len(q.turns) == 0 && q.system == "" {
		return nil, provider.Unsupported("an empty request")
	}
	return q, nil
}

// system joins the texts of the instruction, whose role is of no account.
func system(c *genai.Content) string {
	if c == nil {
		return ""
	}
	var texts []string
	for _, p := range c.Parts {
		if p != nil && p.Text != "" && !p.Thought {
			texts = append(texts, p.Text)
		}
	}
	return strings.Join(texts, "\n")
}

var formatNames = lazy.Regexp(`^[a-zA-Z0-9_-]{1,64}$`)

// wanted returns the form of the answer that config asks for.
func wanted(c *genai.GenerateContentConfig) (format, error) {
	var schema any
	switch {
	case c.ResponseJsonSchema != nil:
		schema = c.ResponseJsonSchema
	case c.ResponseSchema != nil:
		schema = provider.FromGenai(c.ResponseSchema)
	}
	switch c.ResponseMIMEType {
	case "", "text/plain":
		if schema == nil {
			return format{}, nil
		}
	case "application/json":
		if schema == nil {
			return format{kind: "json_object"}, nil
		}
	default:
		return format{}, provider.Unsupported("a response of type " + mimeName(c.ResponseMIMEType))
	}
	// The map is a copy: schemas are shared, and strict writes.
	var m map[string]any
	written, err := json.Marshal(schema, json.Deterministic(true))
	if err != nil || json.Unmarshal(written, &m) != nil || m == nil {
		return format{}, provider.Unsupported("a response schema that is no JSON object")
	}
	f := format{kind: "json_schema", name: "response", schema: written}
	if title, _ := m["title"].(string); formatNames().MatchString(title) {
		f.name = title
	}
	if f.strict = strict(m, 0); f.strict {
		if f.schema, err = json.Marshal(m, json.Deterministic(true)); err != nil {
			return format{}, provider.Unsupported("a response schema that is no JSON object")
		}
	}
	return f, nil
}

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
		schema["required"] = append([]string{}, slices.Sorted(maps.Keys(properties))...) // none is [] and not null
	}
	within := []any{schema["items"]}
	for _, key := range []string{"properties", "$defs", "definitions", "anyOf", "prefixItems"} {
		group, _ := schema[key].(map[string]any)
		list, _ := schema[key].([]any)
		within = slices.Concat(within, list, slices.Collect(maps.Values(group)))
	}
	for _, s := range within {
		if s, ok := s.(map[string]any); ok && !strict(s, depth+1) {
			return false
		}
	}
	return schema["oneOf"] == nil && schema["allOf"] == nil && schema["not"] == nil
}
