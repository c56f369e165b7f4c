package openai

import (
	stdjson "encoding/json"
	"reflect"
	"slices"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// A tool is a function declaration as both APIs take it.
type tool struct {
	name, description string
	parameters        stdjson.RawMessage
}

// declared returns the functions that config declares.
func declared(config *genai.GenerateContentConfig) ([]tool, error) {
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
			p, err := parameters(d)
			if err != nil {
				return nil, unsupported("the tool " + provider.Shorten(d.Name) + ": its schema is no JSON object")
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
