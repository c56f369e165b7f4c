package modeltest

import (
	"errors"
	"slices"
	"strings"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// requestTests are about what reaches the provider.
func requestTests() []subtest {
	return []subtest{
		{name: "system instruction", run: systemInstruction},
		{name: "several turns", run: severalTurns},
		{name: "tools are declared", run: toolsDeclared},
		{name: "tool choice", run: toolChoice},
		{name: "settings", run: settings},
		{name: "results go to their calls", run: resultsPaired},
		{name: "the request names the model", run: requestedModel},
		{name: "a model name with slashes", run: slashes},
	}
}

func systemInstruction(c *trial) {
	for mode, stream := range modes {
		llm, script, _ := c.always(Text("ok"))
		req := simple()
		req.Config.SystemInstruction = &genai.Content{Role: genai.RoleUser, Parts: []*genai.Part{say("Be brief."), say("Be kind.")}}
		c.ask(llm, req, stream)
		seen := script.Requests()[0]
		got := allText(seen.Config.SystemInstruction)
		if first, second := strings.Index(got, "Be brief."), strings.Index(got, "Be kind."); first < 0 || second < first || strings.Contains(allText(seen.Contents...), "Be ") {
			c.Errorf("%s: the provider saw the instruction %q and the contents %q", mode, got, allText(seen.Contents...))
		}
	}
}

func severalTurns(c *trial) {
	for mode, stream := range modes {
		llm, script, _ := c.always(Text("ok"))
		req := request(user(say("One.")), assistant(say("Two.")), user(say("Three.")), assistant(say("Four.")), user(say("Five.")))
		c.ask(llm, req, stream)
		if got, want := show(script.Requests()[0].Contents), show(req.Contents); got != want {
			c.Errorf("%s: the provider saw\n%s\nwant\n%s", mode, got, want)
		}
	}
}

func toolsDeclared(c *trial) {
	key := map[string]any{"type": "string", "description": "Which one."}
	// A schema may be a Go value of any type that encodes as JSON Schema.
	type typed struct {
		Type       string         `json:"type"`
		Properties map[string]any `json:"properties"`
		Required   []string       `json:"required"`
	}
	declarations := []*genai.FunctionDeclaration{
		{Name: "as_map", Description: "By map.", ParametersJsonSchema: map[string]any{"type": "object", "properties": map[string]any{"key": key}, "required": []any{"key"}}},
		{Name: "as_struct", Description: "By struct.", ParametersJsonSchema: &typed{"object", map[string]any{"key": key}, []string{"key"}}},
		{Name: "as_schema", Description: "By Google's type.", Parameters: &genai.Schema{
			Type: genai.TypeObject, Properties: map[string]*genai.Schema{"key": {Type: genai.TypeString, Description: "Which one."}}, Required: []string{"key"},
		}},
		{Name: "bare", Description: "Takes nothing."},
	}
	for mode, stream := range modes {
		llm, script, _ := c.always(Text("ok"))
		req := simple()
		req.Config.Tools = []*genai.Tool{{FunctionDeclarations: declarations[:2]}, {FunctionDeclarations: declarations[2:]}}
		c.ask(llm, req, stream)
		seen := declared(script.Requests()[0].Config)
		if len(seen) != len(declarations) {
			c.Errorf("%s: the provider saw %d tools, want %d: %s", mode, len(seen), len(declarations), show(seen))
			continue
		}
		for i, want := range declarations {
			got := seen[i]
			schema := strings.ToLower(show(got.Parameters) + show(got.ParametersJsonSchema))
			complete := strings.Contains(schema, `"key":{`) && strings.Contains(schema, `"which one."`) && strings.Contains(schema, `"required":["key"]`) && strings.Contains(schema, `"object"`)
			if got.Name != want.Name || got.Description != want.Description || want.Name != "bare" && !complete {
				c.Errorf("%s: the provider saw %s, want %s", mode, show(got), show(want))
			}
		}
	}
}

func declared(config *genai.GenerateContentConfig) (out []*genai.FunctionDeclaration) {
	for _, t := range config.Tools {
		out = append(out, t.FunctionDeclarations...)
	}
	return out
}

func toolChoice(c *trial) {
	for name, tt := range map[string]struct {
		ask     genai.FunctionCallingConfig
		mode    genai.FunctionCallingConfigMode
		allowed []string // that the provider can call
	}{
		"auto":        {genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAuto}, genai.FunctionCallingConfigModeAuto, []string{"lookup", "other", "third"}},
		"any":         {genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny}, genai.FunctionCallingConfigModeAny, []string{"lookup", "other", "third"}},
		"none":        {genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeNone}, genai.FunctionCallingConfigModeNone, nil},
		"one of them": {genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny, AllowedFunctionNames: []string{"other"}}, genai.FunctionCallingConfigModeAny, []string{"other"}},
		"two of them": {genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny, AllowedFunctionNames: []string{"lookup", "other"}}, genai.FunctionCallingConfigModeAny, []string{"lookup", "other"}},
	} {
		answer := Text("ok")
		if tt.ask.Mode == genai.FunctionCallingConfigModeAny {
			answer = Calls(&genai.FunctionCall{ID: "call_1", Name: "other"})
		}
		llm, script, _ := c.always(answer)
		req := simple()
		req.Config.Tools[0].FunctionDeclarations = append(req.Config.Tools[0].FunctionDeclarations, &genai.FunctionDeclaration{Name: "other"}, &genai.FunctionDeclaration{Name: "third"})
		req.Config.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: &tt.ask}
		c.ask(llm, req, false)
		seen := script.Requests()[0].Config
		mode, allowed := genai.FunctionCallingConfigModeAuto, []string(nil)
		if seen.ToolConfig != nil && seen.ToolConfig.FunctionCallingConfig != nil {
			mode, allowed = seen.ToolConfig.FunctionCallingConfig.Mode, seen.ToolConfig.FunctionCallingConfig.AllowedFunctionNames
		}
		if len(allowed) == 0 {
			for _, d := range declared(seen) {
				allowed = append(allowed, d.Name)
			}
		}
		// Where nothing may be called, no tools say the same as mode NONE.
		if none := mode == genai.FunctionCallingConfigModeNone || len(declared(seen)) == 0; tt.allowed == nil != none || !none && (mode != tt.mode || !slices.Equal(allowed, tt.allowed)) {
			c.Errorf("%s: the provider saw mode %s and the tools %v, want %s and %v", name, mode, allowed, tt.mode, tt.allowed)
		}
	}
}

func settings(c *trial) {
	for mode, stream := range modes {
		llm, script, _ := c.always(Text("{}"))
		req := simple()
		req.Config.Temperature, req.Config.TopP, req.Config.Seed = genai.Ptr[float32](0), genai.Ptr[float32](0.5), genai.Ptr[int32](7)
		req.Config.MaxOutputTokens, req.Config.StopSequences = 99, []string{"END"}
		req.Config.ResponseMIMEType = "application/json"
		c.ask(llm, req, stream)
		seen := script.Requests()[0].Config
		// A library that cannot send 0 may send the next number to it.
		if seen.Temperature == nil || *seen.Temperature > 1e-6 {
			c.Errorf("%s: temperature 0 arrived as %s", mode, show(seen.Temperature))
		}
		if seen.TopP == nil || *seen.TopP != 0.5 || seen.Seed == nil || *seen.Seed != 7 || seen.MaxOutputTokens != 99 || !slices.Equal(seen.StopSequences, []string{"END"}) || seen.ResponseMIMEType != "application/json" {
			c.Errorf("%s: the provider saw the settings %s", mode, show(seen))
		}
	}
}

// resultsPaired gives results in another order than the calls were made in.
func resultsPaired(c *trial) {
	contents := []*genai.Content{
		user(say("Look up three.")),
		assistant(calling("call_a", "lookup", map[string]any{"key": "a"}), calling("call_b", "lookup", map[string]any{"key": "b"}), calling("call_c", "lookup", map[string]any{"key": "c"})),
		user(result("call_c", "lookup", map[string]any{"value": "C"}), result("call_a", "lookup", map[string]any{"value": "A"}), result("call_b", "lookup", map[string]any{"value": "B"})),
	}
	for mode, stream := range modes {
		llm, script, _ := c.always(Text("ok"))
		c.ask(llm, request(contents...), stream)
		seen := script.Requests()[0].Contents
		_, _, calls := read(seen[1])
		_, _, want := read(contents[1])
		if got := pairs(seen); got != "lookup=A lookup=B lookup=C" || show(calls) != show(want) {
			c.Errorf("%s: the provider saw the calls %s and reads the results as %s", mode, show(calls), got)
		}
	}
}

func requestedModel(c *trial) {
	for mode, stream := range modes {
		llm, script, _ := c.always(Text("ok"))
		req := simple()
		req.Model = "another-model-2"
		c.ask(llm, req, stream)
		c.ask(llm, simple(), stream)
		seen := script.Requests()
		if seen[0].Model != "another-model-2" || seen[1].Model == "another-model-2" || seen[1].Model == "" {
			c.Errorf("%s: asked for another-model-2 and then for its own, the provider saw %q and %q", mode, seen[0].Model, seen[1].Model)
		}
	}
}

// slashes asks for a model as gateways name them. A provider that has no such names
// says so, and sends nothing: in an address a slash would ask for something else.
func slashes(c *trial) {
	for mode, stream := range modes {
		for _, name := range []string{"acme/large-2:free", "../files", "a/../../b", "m?key=x", "m#x"} {
			llm, script, up := c.always(Text("ok"))
			req := simple()
			req.Model = name
			r := call(c.Context(), llm, req, stream)
			if r.err != nil {
				if _, ok := errors.AsType[*provider.Error](r.err); !ok || len(up.Requests()) > 0 {
					c.Errorf("%s, %s: after %d requests: %v", mode, name, len(up.Requests()), r.err)
				}
				continue
			}
			c.wellFormed(r, stream)
			if seen := script.Requests(); len(seen) != 1 || seen[0].Model != name {
				c.Errorf("%s: the provider saw %s, want the model %s", mode, show(names(seen)), name)
			}
		}
	}
}

func names(requests []*model.LLMRequest) (out []string) {
	for _, r := range requests {
		out = append(out, r.Model)
	}
	return out
}
