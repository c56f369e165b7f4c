package modelserver_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/modeltest"
)

func TestAnthropicRequestReachesTheModel(t *testing.T) {
	got := ask(t, msgs, `{
		"model": "m", "max_tokens": 7, "system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "Be kind."}],
		"messages": [
			{"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}, {"type": "image", "source": {"type": "url", "url": "https://x.test/a.png"}}]},
			{"role": "assistant", "content": [
				{"type": "thinking", "thinking": "Two.", "signature": "c2ln"}, {"type": "redacted_thinking", "data": "ZW5j"}, {"type": "text", "text": "Reading.", "citations": null},
				{"type": "tool_use", "id": "a", "name": "fetch", "input": {"id": "1"}}, {"type": "tool_use", "id": "b", "name": "fetch", "input": {}}]},
			{"role": "user", "content": [
				{"type": "tool_result", "tool_use_id": "b", "is_error": true, "content": "gone"},
				{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "{\"content\":\"x\"}"}], "cache_control": {"type": "ephemeral"}},
				{"type": "text", "text": "And now?"}]},
			{"role": "assistant", "content": "One."}],
		"tools": [{"name": "fetch", "description": "Fetch.", "input_schema": {"type": "object"}, "strict": true}],
		"tool_choice": {"type": "tool", "name": "fetch", "disable_parallel_tool_use": false}, "metadata": {"user_id": "u"}, "service_tier": "auto",
		"temperature": 0.5, "top_p": 0.25, "top_k": 3, "stop_sequences": ["END"], "thinking": {"type": "enabled", "budget_tokens": 1024},
		"output_config": {"effort": "max", "format": {"type": "json_schema", "schema": {"type": "object"}}}
	}`)
	fetch := func(id string, args map[string]any) *genai.Part {
		return &genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: "fetch", Args: args}}
	}
	result := func(id string, r map[string]any) *genai.Part {
		return &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: "fetch", Response: r}}
	}
	want := &model.LLMRequest{
		Model: "script",
		Contents: []*genai.Content{
			{Role: "user", Parts: []*genai.Part{{Text: "Look"}, {InlineData: &genai.Blob{MIMEType: "image/png", Data: []byte("hi")}}, {FileData: &genai.FileData{FileURI: "https://x.test/a.png"}}}},
			{Role: "model", Parts: []*genai.Part{
				{Text: "Two.", Thought: true, ThoughtSignature: []byte("sig")}, {Thought: true, ThoughtSignature: []byte("enc")}, {Text: "Reading."},
				fetch("a", map[string]any{"id": "1"}), fetch("b", nil),
			}},
			{Role: "user", Parts: []*genai.Part{result("b", map[string]any{"error": "gone"}), result("a", map[string]any{"content": "x"})}},
			{Role: "user", Parts: []*genai.Part{{Text: "And now?"}}},
			{Role: "model", Parts: []*genai.Part{{Text: "One."}}},
		},
		Config: &genai.GenerateContentConfig{
			SystemInstruction: &genai.Content{Role: "user", Parts: []*genai.Part{{Text: "Be brief."}, {Text: "Be kind."}}},
			Tools:             []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "fetch", Description: "Fetch.", ParametersJsonSchema: map[string]any{"type": "object"}}}}},
			ToolConfig:        &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: "ANY", AllowedFunctionNames: []string{"fetch"}}},
			MaxOutputTokens:   7, Temperature: ptr[float32](0.5), TopP: ptr[float32](0.25), TopK: ptr[float32](3), StopSequences: []string{"END"},
			ThinkingConfig:   &genai.ThinkingConfig{ThinkingLevel: "HIGH", IncludeThoughts: true, ThinkingBudget: ptr[int32](1024)},
			ResponseMIMEType: "application/json", ResponseJsonSchema: map[string]any{"type": "object"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestAnthropicRequestsRefused(t *testing.T) {
	with := func(member string) string { return `{"model":"m","max_tokens":9,` + messages + `,` + member + `}` }
	said := func(turns string) string { return `{"model":"m","max_tokens":9,"messages":[` + turns + `]}` }
	const asked = `{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"f","input":{}}]}`
	results := func(blocks string) string { return said(asked + `,{"role":"user","content":[` + blocks + `]}`) }
	const a, b = `{"type":"tool_result","tool_use_id":"a"}`, `{"type":"tool_result","tool_use_id":"b"}`
	for name, tt := range map[string]struct{ body, want string }{
		"not JSON":            {canary, "cannot be read"},
		"no model":            {`{"max_tokens":9,` + messages + `}`, "name a model"},
		"no bound":            {`{"model":"m",` + messages + `}`, "max_tokens"},
		"no messages":         {`{"model":"m","max_tokens":9}`, "messages"},
		"system, an image":    {with(`"system":[{"type":"image"}]`), "text only"},
		"system, odd":         {with(`"system":7`), "system"},
		"a tool of theirs":    {with(`"tools":[{"type":"web_search_20250305","name":"web_search"}]`), "type custom"},
		"a tool, no schema":   {with(`"tools":[{"name":"f"}]`), "input_schema"},
		"twin tools":          {with(`"tools":[{"name":"f","input_schema":{}},{"name":"f","input_schema":{}}]`), "name of its own"},
		"choice, odd":         {with(`"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"required"}`), "tool_choice"},
		"choice, unknown":     {with(`"tools":[{"name":"f","input_schema":{}}],"tool_choice":{"type":"tool","name":"g"}`), "no tool has this name"},
		"choice, nothing":     {with(`"tool_choice":{"type":"any"}`), "no tools"},
		"effort":              {with(`"output_config":{"effort":"` + canary + `"}`), "effort"},
		"role":                {said(`{"role":"` + canary + `","content":"x"}`), "role must be"},
		"no content":          {said(`{"role":"user","content":[]}`), "no content"},
		"content type":        {said(`{"role":"user","content":7}`), "array of blocks"},
		"empty text":          {said(`{"role":"user","content":""}`), "empty"},
		"image, odd":          {said(`{"role":"user","content":[{"type":"image","source":{"type":"file"}}]}`), "base64 or url"},
		"a document":          {said(`{"role":"user","content":[{"type":"document"}]}`), "blocks are text"},
		"a user calls":        {said(`{"role":"user","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]}`), "blocks are text"},
		"a call, no id":       {said(`{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","name":"f","input":{}}]}`), "id of its own"},
		"a call, odd input":   {said(`{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":"x"}]}`), "JSON object"},
		"no results":          {said(asked), "tool_results"},
		"one of two":          {results(a), "tool_results"},
		"one twice":           {results(a + "," + a), "once"},
		"text before":         {results(`{"type":"text","text":"x"},` + a + "," + b), "tool_results"},
		"text between":        {results(a + `,{"type":"text","text":"x"},` + b), "tool_results"},
		"a result of no call": {results(a + "," + b + `,{"type":"tool_result","tool_use_id":"c"}`), "once"},
		"a result, an image":  {results(a + `,{"type":"tool_result","tool_use_id":"b","content":[{"type":"image"}]}`), "text only"},
		"an answer before":    {said(asked + `,{"role":"assistant","content":"x"}`), "tool_results"},
	} {
		t.Run(name, func(t *testing.T) { refusal(t, modeltest.NewScript(), msgs, tt.body, tt.want) })
	}
}

// A thought's signature is the last of its block, streamed or not; the state of
// anything else stands before it.
func TestAnthropicStateStandsWhereItBelongs(t *testing.T) {
	thought, text := &genai.Part{Text: "Hm.", Thought: true}, &genai.Part{Text: "Yes."}
	part := func(p genai.Part, state string) *genai.Part { p.ThoughtSignature = []byte(state); return &p }
	llm := yields(&model.LLMResponse{Partial: true, Content: genai.NewContentFromParts([]*genai.Part{thought}, genai.RoleModel)}, whole(part(*thought, "a"), part(*text, "b")))
	for body, want := range map[string]string{
		msgBody: `"content":[{"signature":"YQ==","thinking":"Hm.","type":"thinking"},{"data":"Yg==","type":"redacted_thinking"},{"text":"Yes.","type":"text"}]`,
		msgStream: `data: {"delta":{"thinking":"Hm.","type":"thinking_delta"},"index":0,"type":"content_block_delta"}

event: content_block_delta
data: {"delta":{"signature":"YQ==","type":"signature_delta"},"index":0,"type":"content_block_delta"}

event: content_block_stop
data: {"index":0,"type":"content_block_stop"}

event: content_block_start
data: {"content_block":{"data":"Yg==","type":"redacted_thinking"},"index":1,"type":"content_block_start"}

event: content_block_stop
data: {"index":1,"type":"content_block_stop"}

event: content_block_start
data: {"content_block":{"text":"","type":"text"},"index":2,"type":"content_block_start"}
`,
	} {
		if a := send(t, serve(t, llm), msgs, body); a.status != 200 || !strings.Contains(a.body, want) {
			t.Errorf("%d %s\nlacks %s", a.status, a.body, want)
		}
	}
}
