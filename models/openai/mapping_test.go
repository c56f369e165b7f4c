package openai_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	api "github.com/sashabaranov/go-openai"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// One test for each point in which Google's types and OpenAI's API differ, over a
// real socket. Those on requests compare the bytes that are sent.

func TestMapping01SystemInstruction(t *testing.T) {
	req := user("hi")
	req.Config = &genai.GenerateContentConfig{SystemInstruction: turn(genai.RoleUser, text("Be brief."), &genai.Part{Text: "x", Thought: true}, text("Be kind."))}
	for name, role := range map[string]string{
		"gpt-4.1": "system", "gpt-oss-20b": "system", "openai/gpt-5": "system", "o4-mini": "developer", "gpt-5-mini": "developer", "gpt-5": "developer", "o1": "developer",
	} {
		want := `{"model":"` + name + `","messages":[{"role":"` + role + `","content":"Be brief.\nBe kind."},{"role":"user","content":"hi"}],"stream":false}`
		equal(t, name, want, sent(t, provider.Config{Model: name}, req))
	}
}

func TestMapping02Roles(t *testing.T) {
	req := contents(
		turn("", text("one"), text("two")),
		nil,
		turn(genai.RoleUser, text("three")),
		turn(genai.RoleModel, text("fo"), text("ur")),
		turn(genai.RoleModel, text("five")),
		turn(genai.RoleUser, nil, text("")),
		turn(genai.RoleUser, text("six")),
	)
	want := `{"model":"test-model","messages":[{"role":"user","content":"one\ntwo\n\nthree"},{"role":"assistant","content":"four\n\nfive"},{"role":"user","content":"six"}],"stream":false}`
	equal(t, "request", want, sent(t, provider.Config{}, req))
}

func TestMapping03FunctionCalls(t *testing.T) {
	req := contents(
		turn(genai.RoleUser, text("go")),
		turn(genai.RoleModel, text("I will."), calling("a", "fetch", map[string]any{"z": 1, "b": "<&>"}), calling("b", "list", nil)),
		turn(genai.RoleUser, result("a", "fetch", map[string]any{"ok": true}), result("b", "list", map[string]any{"ok": false})),
	)
	want := `{"model":"test-model","messages":[{"role":"user","content":"go"},` +
		`{"role":"assistant","content":"I will.","tool_calls":[` +
		`{"id":"a","type":"function","function":{"name":"fetch","arguments":"{\"b\":\"<&>\",\"z\":1}"}},` +
		`{"id":"b","type":"function","function":{"name":"list","arguments":"{}"}}]},` +
		`{"role":"tool","content":"{\"ok\":true}","tool_call_id":"a"},{"role":"tool","content":"{\"ok\":false}","tool_call_id":"b"}],"stream":false}`
	equal(t, "request", want, sent(t, provider.Config{}, req))
}

func TestMapping04FunctionResponses(t *testing.T) {
	req := contents(
		turn(genai.RoleUser, text("go")),
		turn(genai.RoleModel, calling("a", "fetch", nil), calling("b", "fetch", nil)),
		// Text beside results, results out of order, and one that holds nothing.
		turn(genai.RoleUser, text("and hurry"), result("b", "fetch", nil), result("a", "fetch", map[string]any{"error": "denied"})),
	)
	want := `{"role":"tool","content":"{\"error\":\"denied\"}","tool_call_id":"a"},{"role":"tool","content":"{}","tool_call_id":"b"},{"role":"user","content":"and hurry"}],"stream":false}`
	if got := sent(t, provider.Config{}, req); !strings.HasSuffix(got, want) {
		t.Errorf("request %s\nwant it to end with %s", got, want)
	}
}

func TestMapping05EmptyIDs(t *testing.T) {
	step := func(n int) []*genai.Content {
		return []*genai.Content{
			turn(genai.RoleModel, calling("", "fetch", map[string]any{"n": n}), calling("", "list", nil), calling("", "fetch", map[string]any{"n": n + 1})),
			turn(genai.RoleUser, result("", "fetch", map[string]any{"r": n}), result("", "fetch", map[string]any{"r": n + 1}), result("", "list", map[string]any{"l": n})),
		}
	}
	all := []*genai.Content{turn(genai.RoleUser, text("go"))}
	all = append(append(append(all, step(1)...), step(3)...), step(5)...)
	got := sent(t, provider.Config{}, contents(all...))
	equal(t, "the same request twice", got, sent(t, provider.Config{}, contents(all...)))
	want := func(at, n int) string {
		return fmt.Sprintf(`{"role":"assistant","content":null,"tool_calls":[`+
			`{"id":"call_%[1]d_0","type":"function","function":{"name":"fetch","arguments":"{\"n\":%[2]d}"}},`+
			`{"id":"call_%[1]d_1","type":"function","function":{"name":"list","arguments":"{}"}},`+
			`{"id":"call_%[1]d_2","type":"function","function":{"name":"fetch","arguments":"{\"n\":%[3]d}"}}]},`+
			`{"role":"tool","content":"{\"r\":%[2]d}","tool_call_id":"call_%[1]d_0"},`+
			`{"role":"tool","content":"{\"l\":%[2]d}","tool_call_id":"call_%[1]d_1"},`+
			`{"role":"tool","content":"{\"r\":%[3]d}","tool_call_id":"call_%[1]d_2"}`, at, n, n+1)
	}
	equal(t, "request", `{"model":"test-model","messages":[{"role":"user","content":"go"},`+want(1, 1)+","+want(3, 3)+","+want(5, 5)+`],"stream":false}`, got)
}

// Ids that are there are kept, unless the API would refuse them: a repeated one, one
// that is too long, one with other characters. None that is made up is somebody's.
func TestMapping05IDsAreUnique(t *testing.T) {
	long := strings.Repeat("x", 41)
	req := contents(
		turn(genai.RoleModel, calling("", "f", nil), calling("a", "f", nil), calling("a", "g", nil)),
		turn(genai.RoleUser, result("a", "g", map[string]any{"r": "g1"}), result("", "f", map[string]any{"r": "f1"})),
		turn(genai.RoleModel, calling("a", "f", nil), calling("call_0_0", "f", nil), calling(long, "f", nil), calling("é", "f", nil)),
		turn(genai.RoleUser, result("a", "f", map[string]any{"r": "f2"}), result(long, "f", map[string]any{"r": "f3"}), result("é", "f", map[string]any{"r": "f4"})),
	)
	var sentIDs []string
	for _, m := range strings.Split(sent(t, provider.Config{}, req), `"role":"tool","content":"`)[1:] {
		content, rest, _ := strings.Cut(m, `","tool_call_id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		sentIDs = append(sentIDs, id+" "+strings.ReplaceAll(content, `\"`, ``))
	}
	want := []string{
		"call_0_0_1 {r:f1}", "a {error:no result recorded}", "call_0_2 {r:g1}",
		"call_2_0 {r:f2}", "call_0_0 {error:no result recorded}", "call_2_2 {r:f3}", "call_2_3 {r:f4}",
	}
	equal(t, "ids and results", want, sentIDs)
}

func TestMapping06DanglingCalls(t *testing.T) {
	req := contents(
		turn(genai.RoleUser, text("go")),
		turn(genai.RoleModel, calling("a", "fetch", nil), calling("b", "fetch", nil)),
		turn(genai.RoleUser, result("a", "fetch", map[string]any{"ok": 1}), result("never-called", "other", map[string]any{"x": poison})),
		turn(genai.RoleModel, calling("", "list", nil)),
		turn(genai.RoleUser, text("go on")),
	)
	want := `{"role":"tool","content":"{\"ok\":1}","tool_call_id":"a"},` +
		`{"role":"tool","content":"{\"error\":\"no result recorded\"}","tool_call_id":"b"},` +
		`{"role":"assistant","content":null,"tool_calls":[{"id":"call_3_0","type":"function","function":{"name":"list","arguments":"{}"}}]},` +
		`{"role":"tool","content":"{\"error\":\"no result recorded\"}","tool_call_id":"call_3_0"},` +
		`{"role":"user","content":"go on"}],"stream":false}`
	if got := sent(t, provider.Config{}, req); !strings.HasSuffix(got, want) || strings.Contains(got, poison) {
		t.Errorf("request %s\nwant it to end with %s", got, want)
	}
}

func TestMapping07Thoughts(t *testing.T) {
	req := contents(turn(genai.RoleUser, text("hi")), turn(genai.RoleModel, &genai.Part{Text: poison, Thought: true}, text("yes")), turn(genai.RoleUser, text("why")))
	if got := sent(t, provider.Config{}, req); strings.Contains(got, poison) || !strings.Contains(got, `{"role":"assistant","content":"yes"}`) {
		t.Errorf("thoughts went out: %s", got)
	}
	want := []*genai.Part{{Text: "hmm, so", Thought: true}, {Text: "hello"}}
	for _, field := range []string{"reasoning_content", "reasoning"} {
		final, _ := answered(t, whole(`{"content":"hello","`+field+`":"hmm, so"}`, "stop"), false)
		equal(t, field, want, final.Content.Parts)
		final, partial := answered(t, events(`"delta":{"`+field+`":"hmm,"}`, `"delta":{"`+field+`":" so"}`, `"delta":{"content":"hello"}`, `"delta":{},"finish_reason":"stop"`), true)
		equal(t, field+", streamed", want, final.Content.Parts)
		var shown []*genai.Part
		for _, p := range partial {
			shown = append(shown, p.Content.Parts...)
		}
		equal(t, field+", partial", []*genai.Part{{Text: "hmm,", Thought: true}, {Text: " so", Thought: true}, {Text: "hello"}}, shown)
	}
}

func TestMapping08Media(t *testing.T) {
	image := genai.NewPartFromBytes([]byte{1, 2, 3}, "image/png")
	web := &genai.Part{FileData: &genai.FileData{FileURI: "https://x.test/a.png", MIMEType: "image/png"}}
	want := `{"model":"test-model","messages":[{"role":"user","content":[{"type":"text","text":"before"},{"type":"text","text":"look"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AQID"}},` +
		`{"type":"image_url","image_url":{"url":"https://x.test/a.png"}},{"type":"text","text":"after"}]}],"stream":false}`
	equal(t, "request", want, sent(t, provider.Config{}, contents(turn(genai.RoleUser, text("before")), turn(genai.RoleUser, text("look"), image, web), turn(genai.RoleUser, text("after")))))

	for name, part := range map[string]*genai.Part{
		"audio":          genai.NewPartFromBytes([]byte{1}, "audio/wav"),
		"a pdf":          {FileData: &genai.FileData{FileURI: "https://x.test/a.pdf", MIMEType: "application/pdf"}},
		"a bucket":       {FileData: &genai.FileData{FileURI: "gs://x/a.png", MIMEType: "image/png"}},
		"code":           {ExecutableCode: &genai.ExecutableCode{Code: poison}},
		"a hostile type": genai.NewPartFromBytes([]byte{1}, poison),
	} {
		refused(t, name, contents(turn(genai.RoleUser, text("look"), part)))
	}
	refused(t, "an image of the model's", contents(turn(genai.RoleModel, image)))
	refused(t, "media in a response", contents(turn(genai.RoleModel, calling("a", "f", nil)), turn(genai.RoleUser,
		&genai.Part{FunctionResponse: &genai.FunctionResponse{ID: "a", Name: "f", Parts: []*genai.FunctionResponsePart{{}}}})))
	refused(t, "a call of the user's", contents(turn(genai.RoleUser, calling("a", "f", nil))))
	refused(t, "a call without a name", contents(turn(genai.RoleModel, calling("a", "", nil))))
	refused(t, "arguments that are no JSON", contents(turn(genai.RoleModel, calling("a", "f", map[string]any{"x": func() {}}))))
}

// refused asserts that req is an error that names the model and what is not
// supported, and that nothing is sent.
func refused(t *testing.T, what string, req *model.LLMRequest) {
	t.Helper()
	s := serve(t, say(whole(hello, "stop")))
	for _, stream := range []bool{false, true} {
		all, err := ask(t.Context(), s.model(t, provider.Config{}), req, stream)
		e, ok := errors.AsType[*provider.Error](err)
		if !ok || !strings.Contains(err.Error(), "openai/test-model: the API cannot be asked for ") || strings.Contains(err.Error(), poison) || len(all) > 0 {
			t.Errorf("%s: %v after %d responses", what, err, len(all))
		} else if _, temporary := e.Temporary(); temporary {
			t.Errorf("%s is tried again", what)
		}
	}
	if paths, _, _ := s.seen(); len(paths) > 0 {
		t.Errorf("%s was sent", what)
	}
}

func TestMapping09Tools(t *testing.T) {
	yes := true
	req := user("hi")
	req.Config = &genai.GenerateContentConfig{Tools: []*genai.Tool{nil, {FunctionDeclarations: []*genai.FunctionDeclaration{
		{Name: "none", Description: "Takes nothing."},
		{Name: "bare", ParametersJsonSchema: map[string]any{"type": "object"}},
		// Order is the author's, and "type" may be the name of a property.
		{Name: "json", ParametersJsonSchema: rawSchema(`{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer"}},"required":["z"]}`)},
		{Name: "google", Parameters: &genai.Schema{Type: genai.TypeObject, Required: []string{"type"}, Properties: map[string]*genai.Schema{
			"type": {Type: genai.TypeString, Nullable: &yes, Enum: []string{"A", "B"}},
			"list": {Type: genai.TypeArray, Items: &genai.Schema{Type: genai.TypeInteger}, MinItems: new(int64(1))},
		}}},
		// Google's order is kept; what JSON schema does not know is left out.
		{Name: "ordered", Parameters: &genai.Schema{
			Type: genai.TypeObject, PropertyOrdering: []string{"z", "gone", "m", "z"}, Properties: map[string]*genai.Schema{"a": {Type: genai.TypeString}, "m": {Type: genai.TypeObject}, "z": {AnyOf: []*genai.Schema{{Type: genai.TypeNumber, Example: 1.5}}}},
		}},
	}}, {}}}
	want := `{"model":"test-model","messages":[{"role":"user","content":"hi"}],"tools":[` +
		`{"function":{"name":"none","description":"Takes nothing.","parameters":{"type":"object","properties":{}}},"type":"function"},` +
		`{"function":{"name":"bare","parameters":{"type":"object","properties":{}}},"type":"function"},` +
		`{"function":{"name":"json","parameters":{"type":"object","properties":{"z":{"type":"string"},"a":{"type":"integer"}},"required":["z"]}},"type":"function"},` +
		`{"function":{"name":"google","parameters":{"properties":{"list":{"items":{"type":"integer"},"minItems":1,"type":"array"},` +
		`"type":{"enum":["A","B"],"type":["string","null"]}},"required":["type"],"type":"object"}},"type":"function"},` +
		`{"function":{"name":"ordered","parameters":{"properties":{"z":{"anyOf":[{"type":"number"}]},"m":{"properties":{},"type":"object"},"a":{"type":"string"}},"type":"object"}},"type":"function"}],"stream":false}`
	equal(t, "request", want, sent(t, provider.Config{}, req))

	for what, tool := range map[string]*genai.Tool{
		"search":           {GoogleSearch: &genai.GoogleSearch{}},
		"a broken schema":  {FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "f", ParametersJsonSchema: func() {}}}},
		"a list of schema": {FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "f", ParametersJsonSchema: []string{"x"}}}},
	} {
		req := user("hi")
		req.Config = &genai.GenerateContentConfig{Tools: []*genai.Tool{tool}}
		refused(t, what, req)
	}
}

// rawSchema is a schema that writes itself.
type rawSchema string

func (s rawSchema) MarshalJSON() ([]byte, error) { return []byte(s), nil }

func TestMapping10ToolChoice(t *testing.T) {
	both := `{"function":{"name":"a","parameters":{"type":"object","properties":{}}},"type":"function"},{"function":{"name":"b","parameters":{"type":"object","properties":{}}},"type":"function"}`
	three := both + `,{"function":{"name":"c","parameters":{"type":"object","properties":{}}},"type":"function"}`
	one := `{"function":{"name":"b","parameters":{"type":"object","properties":{}}},"type":"function"}`
	tests := []struct {
		mode    genai.FunctionCallingConfigMode
		allowed []string
		want    string
	}{
		{"", nil, `"tools":[` + three + `],"stream":false}`},
		{genai.FunctionCallingConfigModeAuto, nil, `"tools":[` + three + `],"stream":false}`},
		{genai.FunctionCallingConfigModeAny, nil, `"tools":[` + three + `],"stream":false,"tool_choice":"required"}`},
		{genai.FunctionCallingConfigModeNone, nil, `"tools":[` + three + `],"stream":false,"tool_choice":"none"}`},
		{genai.FunctionCallingConfigModeAny, []string{"b"}, `"tools":[` + one + `],"stream":false,"tool_choice":{"type":"function","function":{"name":"b"}}}`},
		{genai.FunctionCallingConfigModeAny, []string{"b", "a"}, `"tools":[` + both + `],"stream":false,"tool_choice":"required"}`},
		{genai.FunctionCallingConfigModeValidated, []string{"b", "a"}, `"tools":[` + both + `],"stream":false}`},
	}
	for _, tt := range tests {
		req := user("hi")
		req.Config = declare("a", "b", "c")
		req.Config.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: tt.mode, AllowedFunctionNames: tt.allowed}}
		equal(t, fmt.Sprintf("%s %v", tt.mode, tt.allowed), `{"model":"test-model","messages":[{"role":"user","content":"hi"}],`+tt.want, sent(t, provider.Config{}, req))
	}
	req := user("hi")
	req.Config = &genai.GenerateContentConfig{ToolConfig: &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny}}}
	equal(t, "a choice without tools", `{"model":"test-model","messages":[{"role":"user","content":"hi"}],"stream":false}`, sent(t, provider.Config{}, req))
	for _, f := range []genai.FunctionCallingConfig{{Mode: "SOMETIMES"}, {Mode: genai.FunctionCallingConfigModeAny, AllowedFunctionNames: []string{"nobody"}}} {
		req := user("hi")
		req.Config = declare("a")
		req.Config.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: &f}
		refused(t, string(f.Mode), req)
	}
}

func TestMapping11ResponseFormat(t *testing.T) {
	shared := map[string]any{"title": "Person", "type": "object", "properties": map[string]any{
		"name": map[string]any{"type": "string"}, "home": map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}},
	}, "required": []any{"name"}}
	closed := `{"additionalProperties":false,"properties":{"home":{"additionalProperties":false,"properties":{"city":{"type":"string"}},"required":["city"],"type":"object"},"name":{"type":"string"}},"required":["home","name"],"title":"Person","type":"object"}`
	tests := []struct {
		name   string
		config genai.GenerateContentConfig
		want   string
	}{
		{"plain", genai.GenerateContentConfig{ResponseMIMEType: "text/plain"}, ``},
		{"any JSON", genai.GenerateContentConfig{ResponseMIMEType: "application/json"}, `,"response_format":{"type":"json_object"}`},
		{"JSON schema", genai.GenerateContentConfig{ResponseMIMEType: "application/json", ResponseJsonSchema: shared}, `,"response_format":{"type":"json_schema","json_schema":{"name":"Person","schema":` + closed + `,"strict":true}}`},
		{"Google's schema", genai.GenerateContentConfig{ResponseSchema: &genai.Schema{Type: genai.TypeObject, Properties: map[string]*genai.Schema{"n": {Type: genai.TypeNumber}}}},
			`,"response_format":{"type":"json_schema","json_schema":{"name":"response","schema":{"additionalProperties":false,"properties":{"n":{"type":"number"}},"required":["n"],"type":"object"},"strict":true}}`},
		{"an open object", genai.GenerateContentConfig{ResponseJsonSchema: map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}}},
			`,"response_format":{"type":"json_schema","json_schema":{"name":"response","schema":{"additionalProperties":{"type":"string"},"type":"object"},"strict":false}}`},
	}
	for _, tt := range tests {
		req := user("hi")
		req.Config = &tt.config
		equal(t, tt.name, `{"model":"test-model","messages":[{"role":"user","content":"hi"}],"stream":false`+tt.want+`}`, sent(t, provider.Config{}, req))
	}
	if _, changed := shared["additionalProperties"]; changed || len(shared["required"].([]any)) != 1 {
		t.Errorf("the caller's schema was changed: %v", shared)
	}
	for _, c := range []genai.GenerateContentConfig{{ResponseMIMEType: "text/x.enum"}, {ResponseJsonSchema: []int{1}}, {ResponseModalities: []string{"AUDIO"}}} {
		req := user("hi")
		req.Config = &c
		refused(t, c.ResponseMIMEType, req)
	}
}

func TestMapping12Sampling(t *testing.T) {
	req := user("hi")
	req.Config = &genai.GenerateContentConfig{
		Temperature: new(float32(0)), TopP: new(float32(0.5)), MaxOutputTokens: 7, StopSequences: []string{"END"}, Seed: new(int32(0)),
		PresencePenalty: new(float32(0.25)), FrequencyPenalty: new(float32(-0.5)), ResponseLogprobs: true, Logprobs: new(int32(2)),
		Labels: map[string]string{"a": "b"},
	}
	const rest = `"stream":false,"stop":["END"],"presence_penalty":0.25,"seed":0,"frequency_penalty":-0.5,"logprobs":true,"top_logprobs":2}`
	// The library leaves out a temperature of zero; the least number there is stands for it.
	equal(t, "another server", `{"model":"test-model","messages":[{"role":"user","content":"hi"}],"max_tokens":7,"temperature":1e-45,"top_p":0.5,`+rest, sent(t, provider.Config{}, req))

	req.Config = &genai.GenerateContentConfig{MaxOutputTokens: 7}
	equal(t, "a reasoning model", `{"model":"gpt-5","messages":[{"role":"user","content":"hi"}],"max_completion_tokens":7,"stream":false}`, sent(t, provider.Config{Model: "gpt-5"}, req))
	req.Config = &genai.GenerateContentConfig{Temperature: new(float32(0.5))}
	s := serve(t, say(whole(hello, "stop")))
	_, err := ask(t.Context(), s.model(t, provider.Config{Model: "gpt-5"}), req, false)
	if err == nil || err.Error() != "models: openai/gpt-5: the model takes no temperature, top_p, penalties or log probabilities: leave them out" || !errors.Is(err, api.ErrReasoningModelLimitationsOther) {
		t.Errorf("a temperature for a reasoning model: %v", err)
	}
	// A setting applies where the request says nothing.
	settings := provider.Settings{Temperature: new(float32(1)), TopP: new(float32(1)), MaxTokens: 9, Seed: new(int32(3)), ReasoningEffort: "low"}
	req.Config = &genai.GenerateContentConfig{Temperature: new(float32(0.5))}
	equal(t, "settings", `{"model":"test-model","messages":[{"role":"user","content":"hi"}],"max_tokens":9,"temperature":0.5,"top_p":1,"stream":false,"seed":3,"reasoning_effort":"low"}`,
		sent(t, provider.Config{Settings: settings}, req))
	for what, c := range map[string]genai.GenerateContentConfig{
		"top_k": {TopK: new(float32(1))}, "safety": {SafetySettings: []*genai.SafetySetting{{}}}, "cache": {CachedContent: "x"},
	} {
		req := user("hi")
		req.Config = &c
		refused(t, what, req)
	}
}

func TestMapping13ReasoningModels(t *testing.T) {
	// Effort, from what a request says of thinking.
	for _, tt := range []struct {
		model    string
		thinking genai.ThinkingConfig
		want     string
	}{
		{"test-model", genai.ThinkingConfig{}, ""},
		{"test-model", genai.ThinkingConfig{ThinkingLevel: genai.ThinkingLevelHigh}, `,"reasoning_effort":"high"`},
		{"test-model", genai.ThinkingConfig{ThinkingBudget: new(int32(-1))}, ""},
		{"test-model", genai.ThinkingConfig{ThinkingBudget: new(int32(0))}, `,"reasoning_effort":"none"`},
		{"gpt-5-mini", genai.ThinkingConfig{ThinkingBudget: new(int32(0))}, `,"reasoning_effort":"minimal"`},
		{"o3", genai.ThinkingConfig{ThinkingBudget: new(int32(0))}, `,"reasoning_effort":"low"`},
		{"test-model", genai.ThinkingConfig{ThinkingBudget: new(int32(512))}, `,"reasoning_effort":"low"`},
		{"test-model", genai.ThinkingConfig{ThinkingBudget: new(int32(4096))}, `,"reasoning_effort":"medium"`},
		{"test-model", genai.ThinkingConfig{ThinkingBudget: new(int32(20000))}, `,"reasoning_effort":"high"`},
	} {
		req := user("hi")
		req.Config = &genai.GenerateContentConfig{ThinkingConfig: &tt.thinking}
		equal(t, tt.model, `{"model":"`+tt.model+`","messages":[{"role":"user","content":"hi"}],"stream":false`+tt.want+`}`, sent(t, provider.Config{Model: tt.model}, req))
	}
	// Which API is asked.
	for _, tt := range []struct {
		model, api, effort string
		tools              bool
		want               string
	}{
		{"gpt-5-mini", "", "", true, "chat/completions"},
		{"gpt-5.4", "", "", false, "chat/completions"},
		{"gpt-5.4", "", "", true, "responses"},
		{"gpt-5.6-terra", "", "none", true, "chat/completions"},
		{"gpt-6-astra", "", "low", true, "responses"},
		{"gpt-6-sol", "", "", false, "chat/completions"},
		{"gpt-5-pro", "", "", false, "responses"},
		{"gpt-5.1-codex-mini", "", "", false, "responses"},
		{"openai/gpt-5.6", "", "", true, "chat/completions"},
		{"test-model", "responses", "", false, "responses"},
		{"gpt-5.6", "chat", "", true, "chat/completions"},
	} {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/responses") {
				say(`{"id":"r","status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"hello"}]}]}`)(w, r)
				return
			}
			say(whole(hello, "stop"))(w, r)
		})
		req := user("hi")
		if tt.tools {
			req.Config = declare("f")
		}
		llm := s.model(t, provider.Config{Model: tt.model, Settings: provider.Settings{API: tt.api, ReasoningEffort: tt.effort}})
		if _, err := ask(t.Context(), llm, req, false); err != nil {
			t.Errorf("%s: %v", tt.model, err)
			continue
		}
		paths, _, _ := s.seen()
		equal(t, fmt.Sprintf("%+v", tt), []string{"POST /v1/" + tt.want}, paths)
	}
	// Where the user insists on what the library refuses, the error says what works.
	req := user("hi")
	req.Config = declare("f")
	_, err := ask(t.Context(), serve(t, say("{}")).model(t, provider.Config{Model: "gpt-6-astra", Settings: provider.Settings{API: "chat"}}), req, false)
	if err == nil || err.Error() != "models: openai/gpt-6-astra: the model takes tools over the Responses API only: leave out the setting api=chat" {
		t.Errorf("got %v", err)
	}
}
