package openai

import (
	stdjson "encoding/json"
	"reflect"
	"slices"
	"sync"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// A tool is a function declaration as both APIs take it.
type tool struct {
	name, description string
	parameters        stdjson.RawMessage
}

// toolCache keeps the schemas of declarations, which are the same from call to call.
// It goes by a schema's address and holds the schema, so no other can come to lie
// there; a schema must not be changed once it was sent.
type toolCache struct {
	mu sync.Mutex
	m  map[uintptr]cached
}

type cached struct {
	schema     any // keeps the address taken
	parameters stdjson.RawMessage
}

// maxCached bounds the cache: programs have few tools, or make them anew each time.
const maxCached = 256

func (c *toolCache) parameters(d *genai.FunctionDeclaration) (stdjson.RawMessage, error) {
	var schema any = d.ParametersJsonSchema
	if schema == nil && d.Parameters != nil {
		schema = d.Parameters
	}
	var address uintptr
	if v := reflect.ValueOf(schema); v.IsValid() && (v.Kind() == reflect.Pointer || v.Kind() == reflect.Map) {
		address = v.Pointer()
	}
	if address != 0 {
		c.mu.Lock()
		hit, ok := c.m[address]
		c.mu.Unlock()
		if ok && reflect.TypeOf(hit.schema) == reflect.TypeOf(schema) {
			return hit.parameters, nil
		}
	}
	b, err := parameters(d)
	if err != nil {
		return nil, unsupported("the tool " + provider.Shorten(d.Name) + ": its schema is no JSON object")
	}
	if address != 0 {
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.m) >= maxCached || c.m == nil {
			c.m = make(map[uintptr]cached)
		}
		c.m[address] = cached{schema, b}
	}
	return b, nil
}

// tools returns the functions that config declares.
func (c *toolCache) tools(config *genai.GenerateContentConfig) ([]tool, error) {
	var out []tool
	for _, t := range config.Tools {
		if t == nil {
			continue
		}
		rest := *t
		rest.FunctionDeclarations = nil
		if !reflect.ValueOf(rest).IsZero() {
			return nil, unsupported("a tool that only Gemini has, such as Google Search or code execution")
		}
		for _, d := range t.FunctionDeclarations {
			if d == nil {
				continue
			}
			p, err := c.parameters(d)
			if err != nil {
				return nil, err
			}
			out = append(out, tool{d.Name, d.Description, p})
		}
	}
	return out, nil
}

// choice is what ToolConfig says: mode is auto, required, none or empty for what the
// server does by itself; name is set when one function must be called.
type choice struct{ mode, name string }

// choose returns the tools that may be called, and how.
func choose(config *genai.GenerateContentConfig, all []tool) ([]tool, choice, error) {
	if config.ToolConfig == nil || config.ToolConfig.FunctionCallingConfig == nil || len(all) == 0 {
		return all, choice{}, nil
	}
	f := config.ToolConfig.FunctionCallingConfig
	if len(f.AllowedFunctionNames) > 0 {
		var allowed []tool
		for _, t := range all {
			if slices.Contains(f.AllowedFunctionNames, t.name) {
				allowed = append(allowed, t)
			}
		}
		if len(allowed) == 0 {
			return nil, choice{}, unsupported("a tool choice of functions that are not declared")
		}
		all = allowed
	}
	switch f.Mode {
	case genai.FunctionCallingConfigModeNone:
		return all, choice{mode: "none"}, nil
	case genai.FunctionCallingConfigModeAny:
		if len(f.AllowedFunctionNames) > 0 && len(all) == 1 {
			return all, choice{mode: "required", name: all[0].name}, nil
		}
		return all, choice{mode: "required"}, nil
	case genai.FunctionCallingConfigModeAuto, genai.FunctionCallingConfigModeValidated, genai.FunctionCallingConfigModeUnspecified, "":
		return all, choice{}, nil
	}
	return nil, choice{}, unsupported("the tool choice " + provider.Code(string(f.Mode)))
}
