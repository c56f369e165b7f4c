package modeltest

import (
	"errors"
	"slices"
	"strings"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// told asks once, with the request that change makes of a simple one, and returns what
// the upstream's model was given.
func (c *trial) told(answer Turn, change func(config *genai.GenerateContentConfig)) (seen *genai.GenerateContentConfig, text string) {
	c.Helper()
	b, req := c.before(answer), simple()
	change(req.Config)
	b.ask(req)
	return b.seen().Config, allText(b.seen().Contents...)
}

func systemInstruction(c *trial) {
	seen, contents := c.told(Text("ok"), func(config *genai.GenerateContentConfig) {
		config.SystemInstruction = user(say("Be brief."), say("Be kind."))
	})
	got := allText(seen.SystemInstruction)
	if first, second := strings.Index(got, "Be brief."), strings.Index(got, "Be kind."); first < 0 || second < first || strings.Contains(contents, "Be ") {
		c.Errorf("the provider saw the instruction %q and the contents %q", got, contents)
	}
}

func severalTurns(c *trial) {
	b := c.before(Text("ok"))
	req := request(user(say("One.")), assistant(say("Two.")), user(say("Three.")), assistant(say("Four.")), user(say("Five.")))
	b.ask(req)
	if got, want := show(b.seen().Contents), show(req.Contents); got != want {
		c.Errorf("the provider saw\n%s\nwant\n%s", got, want)
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
	want := []*genai.FunctionDeclaration{
		{Name: "as_map", Description: "By map.", ParametersJsonSchema: map[string]any{"type": "object", "properties": map[string]any{"key": key}, "required": []any{"key"}}},
		{Name: "as_struct", Description: "By struct.", ParametersJsonSchema: &typed{"object", map[string]any{"key": key}, []string{"key"}}},
		{Name: "as_schema", Description: "By Google's type.", Parameters: &genai.Schema{
			Type: genai.TypeObject, Properties: map[string]*genai.Schema{"key": {Type: genai.TypeString, Description: "Which one."}}, Required: []string{"key"},
		}},
		{Name: "bare", Description: "Takes nothing."},
	}
	config, _ := c.told(Text("ok"), func(config *genai.GenerateContentConfig) {
		config.Tools = []*genai.Tool{{FunctionDeclarations: want[:2]}, {FunctionDeclarations: want[2:]}}
	})
	seen := declared(config)
	if len(seen) != len(want) {
		c.Errorf("the provider saw %d tools, want %d: %s", len(seen), len(want), show(seen))
		return
	}
	for i, want := range want {
		got := seen[i]
		schema := strings.ToLower(show(got.Parameters) + show(got.ParametersJsonSchema))
		complete := strings.Contains(schema, `"key":{`) && strings.Contains(schema, `"which one."`) && strings.Contains(schema, `"required":["key"]`) && strings.Contains(schema, `"object"`)
		if got.Name != want.Name || got.Description != want.Description || want.Name != "bare" && !complete {
			c.Errorf("the provider saw %s, want %s", show(got), show(want))
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
	const auto, none, must = genai.FunctionCallingConfigModeAuto, genai.FunctionCallingConfigModeNone, genai.FunctionCallingConfigModeAny
	all := []string{"lookup", "other", "third"}
	for _, tt := range []struct {
		mode    genai.FunctionCallingConfigMode
		names   []string
		allowed []string // that the provider can call
	}{
		{auto, nil, all}, {must, nil, all}, {none, nil, nil}, {must, []string{"other"}, []string{"other"}}, {must, []string{"lookup", "other"}, []string{"lookup", "other"}},
	} {
		answer := Text("ok")
		if tt.mode == must {
			answer = Calls(&genai.FunctionCall{ID: "call_1", Name: "other"})
		}
		seen, _ := c.told(answer, func(config *genai.GenerateContentConfig) {
			config.Tools[0].FunctionDeclarations = append(config.Tools[0].FunctionDeclarations, &genai.FunctionDeclaration{Name: "other"}, &genai.FunctionDeclaration{Name: "third"})
			config.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: tt.mode, AllowedFunctionNames: tt.names}}
		})
		mode, allowed := auto, []string(nil)
		if seen.ToolConfig != nil && seen.ToolConfig.FunctionCallingConfig != nil {
			mode, allowed = seen.ToolConfig.FunctionCallingConfig.Mode, seen.ToolConfig.FunctionCallingConfig.AllowedFunctionNames
		}
		if len(allowed) == 0 {
			for _, d := range declared(seen) {
				allowed = append(allowed, d.Name)
			}
		}
		// Where nothing may be called, no tools say the same as mode NONE.
		if nothing := mode == none || len(declared(seen)) == 0; tt.allowed == nil != nothing || !nothing && (mode != tt.mode || !slices.Equal(allowed, tt.allowed)) {
			c.Errorf("asked for %s %v, the provider saw mode %s and the tools %v", tt.mode, tt.names, mode, allowed)
		}
	}
}

// settings: what an API does not have is an error, and never left out; all else arrives.
func settings(c *trial) {
	for name, tt := range map[string]struct {
		set     genai.GenerateContentConfig
		arrived func(seen *genai.GenerateContentConfig) bool
	}{
		"max_tokens": {genai.GenerateContentConfig{MaxOutputTokens: 99}, func(seen *genai.GenerateContentConfig) bool { return seen.MaxOutputTokens == 99 }},
		"temperature": {genai.GenerateContentConfig{Temperature: genai.Ptr[float32](0)}, func(seen *genai.GenerateContentConfig) bool {
			return seen.Temperature != nil && *seen.Temperature <= 1e-6 // a library that cannot send 0 may send the next number to it
		}},
		"top_p": {genai.GenerateContentConfig{TopP: genai.Ptr[float32](0.5)}, func(seen *genai.GenerateContentConfig) bool { return seen.TopP != nil && *seen.TopP == 0.5 }},
		"json":  {genai.GenerateContentConfig{ResponseMIMEType: "application/json"}, func(seen *genai.GenerateContentConfig) bool { return seen.ResponseMIMEType == "application/json" }},
		"seed":  {genai.GenerateContentConfig{Seed: genai.Ptr[int32](7)}, func(seen *genai.GenerateContentConfig) bool { return seen.Seed != nil && *seen.Seed == 7 }},
		"stop":  {genai.GenerateContentConfig{StopSequences: []string{"END"}}, func(seen *genai.GenerateContentConfig) bool { return slices.Equal(seen.StopSequences, []string{"END"}) }},
	} {
		b, req := c.before(Text("{}")), simple()
		tt.set.Tools = req.Config.Tools
		req.Config = &tt.set
		switch r := b.try(req); {
		case slices.Contains(c.refuses, name):
			b.fails(r)
			b.sent(0)
		case r.err != nil || !tt.arrived(b.seen().Config):
			c.Errorf("%s: %v; the provider saw the settings %s", name, r.err, show(b.script.Requests()))
		}
	}
}

// resultsPaired gives results in another order than the calls were made in.
func resultsPaired(c *trial) {
	calls := assistant(calling("call_a", "lookup", map[string]any{"key": "a"}), calling("call_b", "lookup", map[string]any{"key": "b"}), calling("call_c", "lookup", map[string]any{"key": "c"}))
	b := c.before(Text("ok"))
	b.ask(request(
		user(say("Look up three.")), calls,
		user(result("call_c", "lookup", map[string]any{"value": "C"}), result("call_a", "lookup", map[string]any{"value": "A"}), result("call_b", "lookup", map[string]any{"value": "B"})),
	))
	seen := b.seen().Contents
	if got := pairs(seen); got != "lookup=A lookup=B lookup=C" || show(seen[1]) != show(calls) {
		c.Errorf("the provider saw the calls %s and reads the results as %s", show(seen[1]), got)
	}
}

// stateComesBack: providers refuse a history whose calls lack the state that they came
// with, such as a thought's signature. It survives a stored session, and only the
// server that sent it gets it back.
func stateComesBack(c *trial) {
	turn := full()
	turn.Signature = []byte("state-0451")
	b := c.before(turn, Text("ok"))
	stored, err := clone(&model.LLMRequest{Contents: []*genai.Content{b.ask(simple()).final.Content}})
	if err != nil {
		c.Fatalf("the answer cannot be stored: %v", err)
	}
	req := request(user(say("Hello.")), stored.Contents[0], user(result("call_a", "lookup", nil), result("call_b", "lookup", nil)))
	held := func(r *model.LLMRequest) bool {
		return slices.ContainsFunc(r.Contents[1].Parts, func(p *genai.Part) bool { return string(p.ThoughtSignature) == string(turn.Signature) })
	}
	if b.ask(req); !held(b.script.Requests()[1]) {
		c.Errorf("the provider saw %s without the state", show(b.script.Requests()[1].Contents[1]))
	}
	other := c.before(Text("ok"))
	if other.ask(req); held(other.seen()) {
		c.Errorf("another server saw the state of the first")
	}
}

func requestedModel(c *trial) {
	b, req := c.before(Text("ok")), simple()
	req.Model = "another-model-2"
	b.ask(req)
	b.ask(simple())
	if seen := b.script.Requests(); seen[0].Model != "another-model-2" || seen[1].Model == "another-model-2" || seen[1].Model == "" {
		c.Errorf("asked for another-model-2 and then for its own, the provider saw %q and %q", seen[0].Model, seen[1].Model)
	}
}

// slashes asks for a model as gateways name them. A provider that has no such names
// says so, and sends nothing: in an address a slash would ask for something else.
func slashes(c *trial) {
	for _, name := range []string{"acme/large-2:free", "../files", "a/../../b", "m?key=x", "m#x"} {
		b, req := c.before(Text("ok")), simple()
		req.Model = name
		r := b.try(req)
		if r.err != nil {
			if _, ok := errors.AsType[*provider.Error](r.err); !ok || b.up.count() > 0 {
				c.Errorf("%s: after %d requests: %v", name, b.up.count(), r.err)
			}
			continue
		}
		c.wellFormed(r)
		if seen := b.script.Requests(); len(seen) != 1 || seen[0].Model != name {
			c.Errorf("the provider saw %s, want the model %s", show(seen), name)
		}
	}
}
