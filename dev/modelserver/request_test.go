package modelserver_test

import (
	"context"
	"encoding/json"
	"iter"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/modeltest"
)

func ptr[T any](v T) *T { return &v }

func TestOpenAIRequestReachesTheModel(t *testing.T) {
	got := ask(t, chat, `{
		"model": "m", "stream": true, "stream_options": {"include_usage": true, "include_obfuscation": false},
		"messages": [
			{"role": "system", "content": "Be brief."},
			{"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
			{"role": "user", "name": "ann", "parsed": null, "content": [{"type": "text", "text": "Grüße 日本 👩‍🚀"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk=", "detail": "low"}}, {"type": "image_url", "image_url": {"url": "https://x.test/a.png"}}]},
			{"role": "assistant", "content": "Reading.", "reasoning_content": "Two documents.", "refusal": null, "parsed": null, "audio": null, "annotations": [], "function_call": null, "tool_calls": [
				{"id": "call_1", "type": "function", "function": {"name": "fetch", "arguments": "{\"id\":\"doc_1\",\"n\":1.5}", "parsed_arguments": {"id": "doc_1"}}, "extra_content": {"google": {"thought_signature": "c2ln"}}},
				{"index": 1, "id": "call_2", "type": "function", "function": {"name": "fetch", "arguments": ""}}]},
			{"role": "tool", "tool_call_id": "call_2", "content": "plain"},
			{"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "{\"content\":"}, {"type": "text", "text": "\"x\"}"}]},
			{"role": "user", "content": "And now?"},
			{"role": "assistant", "content": null, "refusal": "No."},
			{"role": "assistant", "content": ""},
			{"role": "user", "content": "Why?"}
		],
		"tools": [{"type": "function", "function": {"name": "fetch", "description": "Fetch.", "strict": true, "parameters": {"type": "object", "properties": {"id": {"type": "string"}}}}}, {"type": "function", "function": {"name": "now"}}],
		"tool_choice": {"type": "function", "function": {"name": "fetch"}}, "parallel_tool_calls": true,
		"max_completion_tokens": 7, "temperature": 0, "top_p": 0.5, "seed": 3, "stop": ["END"], "presence_penalty": 0.25, "frequency_penalty": 0.75,
		"n": 1, "logprobs": false, "top_logprobs": 0, "logit_bias": {}, "modalities": ["text"], "functions": null,
		"response_format": {"type": "json_schema", "json_schema": {"name": "r", "strict": true, "schema": {"type": "object"}}},
		"reasoning_effort": "high", "user": "u", "metadata": {"a": "b"}, "store": false, "service_tier": "auto", "verbosity": "low"
	}`)
	fetch := func(id string, args map[string]any) *genai.Part {
		return &genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: "fetch", Args: args}}
	}
	signed := func(p *genai.Part) *genai.Part { p.ThoughtSignature = []byte("sig"); return p }
	result := func(id string, r map[string]any) *genai.Part {
		return &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: "fetch", Response: r}}
	}
	want := &model.LLMRequest{
		Model: "script",
		Contents: []*genai.Content{
			{Role: "user", Parts: []*genai.Part{{Text: "Grüße 日本 👩‍🚀"}, {InlineData: &genai.Blob{MIMEType: "image/png", Data: []byte("hi")}}, {FileData: &genai.FileData{FileURI: "https://x.test/a.png"}}}},
			{Role: "model", Parts: []*genai.Part{{Text: "Two documents.", Thought: true}, {Text: "Reading."}, signed(fetch("call_1", map[string]any{"id": "doc_1", "n": 1.5})), fetch("call_2", nil)}},
			{Role: "user", Parts: []*genai.Part{result("call_2", map[string]any{"output": "plain"}), result("call_1", map[string]any{"content": "x"})}},
			{Role: "user", Parts: []*genai.Part{{Text: "And now?"}}},
			{Role: "model", Parts: []*genai.Part{{Text: "No."}}},
			{Role: "model"},
			{Role: "user", Parts: []*genai.Part{{Text: "Why?"}}},
		},
		Config: &genai.GenerateContentConfig{
			SystemInstruction: &genai.Content{Role: "user", Parts: []*genai.Part{{Text: "Be brief."}, {Text: "Be kind."}}},
			Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
				{Name: "fetch", Description: "Fetch.", ParametersJsonSchema: map[string]any{"type": "object", "properties": map[string]any{"id": map[string]any{"type": "string"}}}},
				{Name: "now"},
			}}},
			ToolConfig:      &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: "ANY", AllowedFunctionNames: []string{"fetch"}}},
			MaxOutputTokens: 7, Temperature: ptr[float32](0), TopP: ptr[float32](0.5), Seed: ptr[int32](3), StopSequences: []string{"END"},
			PresencePenalty: ptr[float32](0.25), FrequencyPenalty: ptr[float32](0.75),
			ResponseMIMEType: "application/json", ResponseJsonSchema: map[string]any{"type": "object"},
			ThinkingConfig: &genai.ThinkingConfig{ThinkingLevel: "HIGH"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// A number is what models expect one to be, unless that would make another of it.
func TestNumbersInAHistory(t *testing.T) {
	var got map[string]any
	srv := serve(t, generate(func(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
		got = req.Contents[1].Parts[0].FunctionCall.Args
		return modeltest.Always(modeltest.Text("ok")).GenerateContent(t.Context(), req, false)
	}))
	send(t, srv, chat, `{"model":"m","messages":[{"role":"user","content":"hi"},
		{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{\"half\":0.5,\"large\":1234567890123456789}"}}]},
		{"role":"tool","tool_call_id":"a","content":"x"}]}`)
	if diff := cmp.Diff(map[string]any{"half": 0.5, "large": json.Number("1234567890123456789")}, got); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

func TestResponsesRequestReachesTheModel(t *testing.T) {
	got := ask(t, resp, `{
		"model": "m", "instructions": "Be brief.", "store": false, "include": ["reasoning.encrypted_content"], "truncation": "auto",
		"input": [
			{"role": "developer", "content": "Be kind."},
			{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "auto"}]},
			{"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Two."}], "encrypted_content": "c2ln"},
			{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Reading.", "annotations": [], "parsed": null}]},
			{"type": "function_call", "id": "fc_1", "call_id": "a", "name": "fetch", "arguments": "{\"id\":\"1\"}", "parsed_arguments": {"id": "1"}, "status": "completed"},
			{"type": "function_call", "call_id": "b", "name": "fetch", "arguments": ""},
			{"type": "function_call_output", "call_id": "b", "output": "plain"},
			{"type": "function_call_output", "call_id": "a", "output": [{"type": "input_text", "text": "{\"content\":\"x\"}"}]},
			{"role": "assistant", "content": "One."},
			{"role": "assistant", "content": "Two."},
			{"role": "user", "content": "And now?"}],
		"tools": [{"type": "function", "name": "fetch", "description": "Fetch.", "strict": true, "parameters": {"type": "object"}}],
		"tool_choice": {"type": "function", "name": "fetch"}, "parallel_tool_calls": true,
		"max_output_tokens": 7, "temperature": 0.5, "top_p": 0.25, "reasoning": {"effort": "low", "summary": "auto"},
		"text": {"format": {"type": "json_schema", "name": "r", "strict": true, "schema": {"type": "object"}}, "verbosity": "low"}
	}`)
	want := &model.LLMRequest{
		Model: "script",
		Contents: []*genai.Content{
			{Role: "user", Parts: []*genai.Part{{Text: "Look"}, {InlineData: &genai.Blob{MIMEType: "image/png", Data: []byte("hi")}}}},
			{Role: "model", Parts: []*genai.Part{
				{Text: "Two.", Thought: true, ThoughtSignature: []byte("sig")}, {Text: "Reading."},
				{FunctionCall: &genai.FunctionCall{ID: "a", Name: "fetch", Args: map[string]any{"id": "1"}}}, {FunctionCall: &genai.FunctionCall{ID: "b", Name: "fetch"}},
			}},
			{Role: "user", Parts: []*genai.Part{
				{FunctionResponse: &genai.FunctionResponse{ID: "b", Name: "fetch", Response: map[string]any{"output": "plain"}}},
				{FunctionResponse: &genai.FunctionResponse{ID: "a", Name: "fetch", Response: map[string]any{"content": "x"}}},
			}},
			{Role: "model", Parts: []*genai.Part{{Text: "One."}}}, {Role: "model", Parts: []*genai.Part{{Text: "Two."}}},
			{Role: "user", Parts: []*genai.Part{{Text: "And now?"}}},
		},
		Config: &genai.GenerateContentConfig{
			SystemInstruction: &genai.Content{Role: "user", Parts: []*genai.Part{{Text: "Be brief."}, {Text: "Be kind."}}},
			Tools:             []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "fetch", Description: "Fetch.", ParametersJsonSchema: map[string]any{"type": "object"}}}}},
			ToolConfig:        &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: "ANY", AllowedFunctionNames: []string{"fetch"}}},
			MaxOutputTokens:   7, Temperature: ptr[float32](0.5), TopP: ptr[float32](0.25), ThinkingConfig: &genai.ThinkingConfig{ThinkingLevel: "LOW"},
			ResponseMIMEType: "application/json", ResponseJsonSchema: map[string]any{"type": "object"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestOpenAISettings(t *testing.T) {
	const tools = `"tools":[{"type":"function","function":{"name":"f","parameters":null}}]`
	f := []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "f"}}}}
	mode := func(m genai.FunctionCallingConfigMode) *genai.ToolConfig {
		return &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: m}}
	}
	for member, want := range map[string]*genai.GenerateContentConfig{
		`"max_tokens":5`: {MaxOutputTokens: 5},
		`"max_tokens":5,"max_completion_tokens":5`: {MaxOutputTokens: 5},
		`"stop":"END"`:                             {StopSequences: []string{"END"}},
		`"stop":null`:                              {},
		`"reasoning_effort":"none"`:                {ThinkingConfig: &genai.ThinkingConfig{ThinkingBudget: ptr[int32](0)}},
		`"reasoning_effort":"minimal"`:             {ThinkingConfig: &genai.ThinkingConfig{ThinkingLevel: "MINIMAL"}},
		`"response_format":{"type":"text"}`:        {},
		`"response_format":{"type":"json_object"}`: {ResponseMIMEType: "application/json"},
		tools + `,"tool_choice":"auto"`:            {Tools: f, ToolConfig: mode("AUTO")},
		tools + `,"tool_choice":"none"`:            {Tools: f, ToolConfig: mode("NONE")},
		tools + `,"tool_choice":"required"`:        {Tools: f, ToolConfig: mode("ANY")},
		tools + `,"tool_choice":null`:              {Tools: f},
	} {
		got := ask(t, chat, `{"model":"m",`+messages+`,`+member+`}`)
		if diff := cmp.Diff(want, got.Config); diff != "" {
			t.Errorf("%s (-want +got):\n%s", member, diff)
		}
	}
}

// Google's own guides write names as proto does, its SDKs in camel case.
func TestGeminiRequestReachesTheModel(t *testing.T) {
	want := &model.LLMRequest{
		Model: "script",
		Contents: []*genai.Content{
			{Role: "user", Parts: []*genai.Part{{Text: "Grüße 👩‍🚀"}, {InlineData: &genai.Blob{MIMEType: "image/png", Data: []byte{0xfb, 0xff}}}, {FileData: &genai.FileData{FileURI: "gs://x", MIMEType: "image/png"}}}},
			{Role: "model", Parts: []*genai.Part{
				{Text: "Two.", Thought: true},
				{FunctionCall: &genai.FunctionCall{ID: "a", Name: "fetch", Args: map[string]any{"doc_id": "1", "deep_er": map[string]any{"snake_case": 1.0}}}, ThoughtSignature: []byte("sig")},
				{FunctionCall: &genai.FunctionCall{Name: "now"}},
			}},
			{Role: "user", Parts: []*genai.Part{
				{FunctionResponse: &genai.FunctionResponse{ID: "a", Name: "fetch", Response: map[string]any{"the_text": "x"}}},
				{FunctionResponse: &genai.FunctionResponse{Name: "now", Response: map[string]any{"error": "no"}}},
			}},
		},
		Config: &genai.GenerateContentConfig{
			SystemInstruction: &genai.Content{Role: "user", Parts: []*genai.Part{{Text: "Be brief."}}},
			Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
				{Name: "fetch", Description: "Fetch.", Parameters: &genai.Schema{Type: "OBJECT", Properties: map[string]*genai.Schema{"doc_id": {Type: "STRING", MaxLength: ptr[int64](64)}}}},
				{Name: "now", ParametersJsonSchema: map[string]any{"type": "object", "additional_x": true}},
			}}},
			ToolConfig:     &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: "ANY", AllowedFunctionNames: []string{"now"}}},
			SafetySettings: []*genai.SafetySetting{{Category: "HARM_CATEGORY_HARASSMENT", Threshold: "BLOCK_NONE"}},
			Labels:         map[string]string{"my_team": "x"},
			Temperature:    ptr[float32](0), TopP: ptr[float32](0.5), TopK: ptr[float32](4), CandidateCount: 1, MaxOutputTokens: 7, StopSequences: []string{"END"},
			PresencePenalty: ptr[float32](0.25), FrequencyPenalty: ptr[float32](0.75), Seed: ptr[int32](3), ResponseMIMEType: "application/json",
			ResponseSchema: &genai.Schema{Type: "OBJECT"},
			ThinkingConfig: &genai.ThinkingConfig{IncludeThoughts: true, ThinkingBudget: ptr[int32](9), ThinkingLevel: "LOW"},
		},
	}
	for name, body := range map[string]string{
		"as SDKs write": `{
			"contents": [
				{"role": "user", "parts": [{"text": "Grüße 👩‍🚀"}, {"inlineData": {"mimeType": "image/png", "data": "-_8="}}, {"fileData": {"mimeType": "image/png", "fileUri": "gs://x"}}]},
				{"role": "model", "parts": [{"text": "Two.", "thought": true}, {"functionCall": {"id": "a", "name": "fetch", "args": {"doc_id": "1", "deep_er": {"snake_case": 1}}}, "thoughtSignature": "c2ln"}, {"functionCall": {"name": "now"}}]},
				{"role": "user", "parts": [{"functionResponse": {"id": "a", "name": "fetch", "response": {"the_text": "x"}}}, {"functionResponse": {"name": "now", "response": {"error": "no"}}}]}],
			"systemInstruction": {"role": "system", "parts": [{"text": "Be brief."}]},
			"tools": [{"functionDeclarations": [{"name": "fetch", "description": "Fetch.", "parameters": {"type": "OBJECT", "properties": {"doc_id": {"type": "STRING", "maxLength": "64"}}}}, {"name": "now", "parametersJsonSchema": {"type": "object", "additional_x": true}}]}],
			"toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["now"]}},
			"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}], "labels": {"my_team": "x"},
			"generationConfig": {"temperature": 0, "topP": 0.5, "topK": 4, "candidateCount": 1, "maxOutputTokens": 7, "stopSequences": ["END"], "presencePenalty": 0.25, "frequencyPenalty": 0.75,
				"seed": 3, "responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}, "responseModalities": ["TEXT"], "thinkingConfig": {"includeThoughts": true, "thinkingBudget": 9, "thinkingLevel": "LOW"}},
			"model": "models/m", "store": true, "serviceTier": "x"}`,
		"as guides write": `{
			"contents": [
				{"parts": [{"text": "Grüße 👩‍🚀"}, {"inline_data": {"mime_type": "image/png", "data": "+/8"}}, {"file_data": {"mime_type": "image/png", "file_uri": "gs://x"}}]},
				{"role": "model", "parts": [{"text": "Two.", "thought": true}, {"function_call": {"id": "a", "name": "fetch", "args": {"doc_id": "1", "deep_er": {"snake_case": 1}}}, "thought_signature": "c2ln"}, {"function_call": {"name": "now"}}]},
				{"role": "function", "parts": [{"function_response": {"id": "a", "name": "fetch", "response": {"the_text": "x"}}}, {"function_response": {"name": "now", "response": {"error": "no"}}}]}],
			"system_instruction": {"parts": [{"text": "Be brief."}]},
			"tools": [{"function_declarations": [{"name": "fetch", "description": "Fetch.", "parameters": {"type": "OBJECT", "properties": {"doc_id": {"type": "STRING", "maxLength": 64}}}}, {"name": "now", "parameters_json_schema": {"type": "object", "additional_x": true}}]}],
			"tool_config": {"function_calling_config": {"mode": "ANY", "allowed_function_names": ["now"]}},
			"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}], "labels": {"my_team": "x"},
			"generation_config": {"temperature": 0, "top_p": 0.5, "top_k": 4, "candidate_count": 1, "max_output_tokens": 7, "stop_sequences": ["END"], "presence_penalty": 0.25, "frequency_penalty": 0.75,
				"seed": 3, "response_mime_type": "application/json", "response_schema": {"type": "OBJECT"}, "thinking_config": {"include_thoughts": true, "thinking_budget": 9, "thinking_level": "LOW"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(want, ask(t, gen, body)); diff != "" {
				t.Errorf("request (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGeminiAddresses(t *testing.T) {
	for _, line := range []string{
		gen, "POST /v1/models/m:generateContent", "POST /v1beta/models/m:streamGenerateContent?alt=sse", "POST /v1beta/models/m:streamGenerateContent",
		"POST /v1/models/m:streamGenerateContent?alt=sse&key=k",
		"POST /v1/projects/p/locations/eu/publishers/google/models/m:generateContent",
		"POST /v1beta1/projects/p/locations/eu/publishers/google/models/m:streamGenerateContent?alt=sse",
		"POST /v1beta1/publishers/google/models/m:generateContent", "POST /v1beta1/publishers/google/models/m:streamGenerateContent?alt=sse",
		"POST /v1beta/models/acme/large-2:free:generateContent", "POST /v1beta/models/acme%2Flarge-2:free:generateContent",
	} {
		if got := ask(t, line, "{"+contents+"}"); len(got.Contents) != 1 {
			t.Errorf("%s: %+v", line, got)
		}
	}
}
