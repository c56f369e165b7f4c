package provider

import (
	"bytes"
	stdjson "encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/genai"
)

// A Tool is a function that a request declares, as providers take it.
type Tool struct {
	Name, Description string
	// Parameters is a JSON schema, an object's.
	Parameters jsontext.Value
}

// Tools returns the functions that config declares and lets be called, and how. What
// providers besides Google do not have is an [Unsupported] error.
func Tools(config *genai.GenerateContentConfig) ([]Tool, Choice, error) {
	all, err := declared(config)
	if err != nil {
		return nil, Choice{}, err
	}
	return choose(config, all)
}

func declared(config *genai.GenerateContentConfig) (out []Tool, err error) {
	for _, t := range config.Tools {
		if t == nil {
			continue
		}
		rest := *t
		rest.FunctionDeclarations = nil
		if !reflect.ValueOf(rest).IsZero() {
			return nil, Unsupported("a tool that only Gemini has, such as Google Search or code execution")
		}
	}
	for _, d := range declarations(config) {
		p, err := parameters(d)
		if err != nil {
			return nil, Unsupported("the tool " + Shorten(d.Name) + ": its schema is no JSON object")
		}
		out = append(out, Tool{d.Name, d.Description, p})
	}
	return out, nil
}

// declarations are those of functions, whatever else config declares; it may be nil.
func declarations(config *genai.GenerateContentConfig) (out []*genai.FunctionDeclaration) {
	if config == nil {
		return nil
	}
	for _, t := range config.Tools {
		if t != nil {
			out = append(out, t.FunctionDeclarations...)
		}
	}
	return slices.DeleteFunc(out, func(d *genai.FunctionDeclaration) bool { return d == nil })
}

// A Choice is what a request says about calling its tools.
type Choice struct {
	// Mode is "required", "none", or empty for what the server does by itself.
	Mode string
	// Name is the one function that must be called; empty for any.
	Name string
}

func choose(config *genai.GenerateContentConfig, all []Tool) ([]Tool, Choice, error) {
	if config.ToolConfig == nil || config.ToolConfig.FunctionCallingConfig == nil || len(all) == 0 {
		return all, Choice{}, nil
	}
	f := config.ToolConfig.FunctionCallingConfig
	if len(f.AllowedFunctionNames) > 0 {
		var allowed []Tool
		for _, t := range all {
			if slices.Contains(f.AllowedFunctionNames, t.Name) {
				allowed = append(allowed, t)
			}
		}
		if len(allowed) == 0 {
			return nil, Choice{}, Unsupported("a tool choice of functions that are not declared")
		}
		all = allowed
	}
	switch f.Mode {
	case genai.FunctionCallingConfigModeNone:
		return all, Choice{Mode: "none"}, nil
	case genai.FunctionCallingConfigModeAny:
		if len(f.AllowedFunctionNames) > 0 && len(all) == 1 {
			return all, Choice{Mode: "required", Name: all[0].Name}, nil
		}
		return all, Choice{Mode: "required"}, nil
	case genai.FunctionCallingConfigModeAuto, genai.FunctionCallingConfigModeValidated, genai.FunctionCallingConfigModeUnspecified, "":
		return all, Choice{}, nil
	}
	return nil, Choice{}, Unsupported("the tool choice " + Code(string(f.Mode)))
}

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
		schema = FromGenai(d.Parameters)
	default:
		return []byte(emptyObject), nil
	}
	written, err := json.Marshal(schema, json.Deterministic(true))
	if err != nil || string(written) == "null" {
		return []byte(emptyObject), err
	}
	var has struct {
		Type       jsontext.Value `json:"type"`
		Properties jsontext.Value `json:"properties"`
	}
	if err := json.Unmarshal(written, &has); err != nil || string(has.Type) != `"object"` || has.Properties != nil {
		return written, err // as the author ordered it
	}
	return append(written[:len(written)-1], `,"properties":{}}`...), nil // OpenAI demands it even of an object without any
}

// FromGenai returns s as a JSON schema, empty for one that contains itself: Google writes
// types in capitals, has "nullable", and keeps the order of properties, which JSON schema
// does not know.
func FromGenai(s *genai.Schema) map[string]any {
	var m map[string]any
	if b, err := stdjson.Marshal(s); err != nil || json.Unmarshal(b, &m) != nil || m == nil {
		return map[string]any{}
	}
	return fromGenai(m)
}

func fromGenai(m map[string]any) map[string]any {
	kind, _ := m["type"].(string)
	switch kind = strings.ToLower(kind); {
	case kind == "" || kind == "type_unspecified":
		delete(m, "type")
	case m["nullable"] == true:
		m["type"] = []any{kind, "null"}
	default:
		m["type"] = kind
	}
	list, _ := m["anyOf"].([]any)
	properties, _ := m["properties"].(map[string]any)
	for _, s := range slices.Concat(list, []any{m["items"]}, slices.Collect(maps.Values(properties))) {
		if s, ok := s.(map[string]any); ok {
			fromGenai(s)
		}
	}
	if order, _ := m["propertyOrdering"].([]any); order != nil && properties != nil {
		m["properties"] = inOrder(properties, order)
	} else if kind == "object" && properties == nil {
		m["properties"] = map[string]any{}
	}
	for _, google := range []string{"nullable", "propertyOrdering", "example", "featureSelectionPreference"} {
		delete(m, google)
	}
	return m
}

// inOrder returns properties, which it uses up, as JSON in the author's order, which models
// follow: those that it does not name come last, by name.
func inOrder(properties map[string]any, order []any) any {
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		order = append(order, name)
	}
	out := []byte("{")
	for _, name := range order {
		name, _ := name.(string)
		if property, ok := properties[name]; ok {
			one, _ := json.Marshal(map[string]any{name: property}, json.Deterministic(true)) // it was read as JSON
			out = append(append(out, one[1:len(one)-1]...), ',')
			delete(properties, name)
		}
	}
	return jsontext.Value(append(bytes.TrimSuffix(out, []byte(",")), '}'))
}

// Refuse returns an [Unsupported] error for what c asks that no provider besides
// Google has, or that is named among lacking. Labels change no answer and are left out.
func Refuse(c *genai.GenerateContentConfig, lacking ...string) error {
	for _, f := range [...]struct {
		what        string
		asked, some bool // some others than Google have it
	}{
		{"a temperature or top_p", c.Temperature != nil || c.TopP != nil, true},
		{"stop sequences", len(c.StopSequences) > 0, true},
		{"a seed", c.Seed != nil, true},
		{"penalties", c.PresencePenalty != nil || c.FrequencyPenalty != nil, true},
		{"log probabilities", c.ResponseLogprobs, true},
		{"a form of the answer", c.ResponseSchema != nil || c.ResponseJsonSchema != nil || c.ResponseMIMEType != "" && c.ResponseMIMEType != "text/plain", true},
		{"top_k", c.TopK != nil, false},
		{"several candidates", c.CandidateCount > 1, false},
		{"safety settings", len(c.SafetySettings) > 0, false},
		{"cached content", c.CachedContent != "", false},
		{"speech or images", c.SpeechConfig != nil || c.AudioTimestamp || c.AudioTranscriptionConfig != nil || c.ImageConfig != nil, false},
		{"a routing or selection", c.RoutingConfig != nil || c.ModelSelectionConfig != nil || c.ModelArmorConfig != nil, false},
		{"a response other than text", slices.ContainsFunc(c.ResponseModalities, func(m string) bool { return !strings.EqualFold(m, "TEXT") }), false},
	} {
		if f.asked && (!f.some || slices.Contains(lacking, f.what)) {
			return Unsupported(f.what)
		}
	}
	return nil
}

// Unsupported is something in a request that a provider cannot be asked.
type Unsupported string

func (e Unsupported) Error() string { return "models: the provider cannot be sent " + string(e) }

// Unsupported returns the error for what cannot be asked.
func (t Target) Unsupported(e Unsupported) *Error {
	return t.Fail(Problem{"the API cannot be asked for " + string(e), "leave it out, or use another provider"}, nil)
}
