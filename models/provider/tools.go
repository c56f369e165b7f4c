package provider

import (
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

func declared(config *genai.GenerateContentConfig) ([]Tool, error) {
	var out []Tool
	for _, t := range config.Tools {
		if t == nil {
			continue
		}
		rest := *t
		rest.FunctionDeclarations = nil
		if !reflect.ValueOf(rest).IsZero() {
			return nil, Unsupported("a tool that only Gemini has, such as Google Search or code execution")
		}
		for _, d := range t.FunctionDeclarations {
			if d == nil {
				continue
			}
			p, err := parameters(d)
			if err != nil {
				return nil, Unsupported("the tool " + Shorten(d.Name) + ": its schema is no JSON object")
			}
			out = append(out, Tool{d.Name, d.Description, p})
		}
	}
	return out, nil
}

// declaredNames returns the names alone, whatever else is declared.
func declaredNames(config *genai.GenerateContentConfig) (names tools) {
	if config == nil {
		return nil
	}
	for _, t := range config.Tools {
		if t == nil {
			continue
		}
		for _, d := range t.FunctionDeclarations {
			if d != nil && d.Name != "" {
				names = append(names, d.Name)
			}
		}
	}
	return names
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

// FromGenai returns s as a JSON schema, cut at a depth of 32: Google writes types in capitals, has
// "nullable", and keeps the order of properties, which JSON schema does not know.
func FromGenai(s *genai.Schema) map[string]any { return fromGenai(s, 0) }

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
		if len(s.PropertyOrdering) > 0 {
			out["properties"] = inOrder(properties, s.PropertyOrdering)
		}
	}
	return out
}

// inOrder returns properties as JSON in the author's order, which models follow: those
// that it does not name come last, by name.
func inOrder(properties map[string]any, order []string) any {
	names := slices.DeleteFunc(slices.Clone(order), func(name string) bool { _, ok := properties[name]; return !ok })
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	out := []byte("{")
	for i, name := range names {
		key, err := json.Marshal(name)
		value, err2 := json.Marshal(properties[name], json.Deterministic(true))
		if err != nil || err2 != nil || slices.Contains(names[:i], name) {
			return properties
		}
		if i > 0 {
			out = append(out, ',')
		}
		out = append(append(append(out, key...), ':'), value...)
	}
	return jsontext.Value(append(out, '}'))
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
