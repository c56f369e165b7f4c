package openai_test

import (
	"errors"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

func settings(api string) provider.Settings { return provider.Settings{API: api} }

// responses writes a stream of the Responses API.
func responses(events ...string) string {
	var b strings.Builder
	for _, e := range events {
		_, rest, _ := strings.Cut(e, `"type":"`)
		kind, _, _ := strings.Cut(rest, `"`)
		b.WriteString("event: " + kind + "\ndata: " + e + "\n\n")
	}
	return b.String()
}

// One conversation with everything in it, as the Responses API takes it.
func TestResponsesRequest(t *testing.T) {
	req := contents(
		turn(genai.RoleUser, text("look"), genai.NewPartFromBytes([]byte{1, 2, 3}, "image/png")),
		turn(genai.RoleModel, &genai.Part{Text: poison, Thought: true}, text("I will."), calling("a", "f", map[string]any{"n": 1}), calling("", "g", nil)),
		turn(genai.RoleUser, result("", "g", map[string]any{"ok": true})),
		turn(genai.RoleUser, text("and?")),
	)
	req.Config = declare("f", "g")
	req.Config.Tools[0].FunctionDeclarations[0].Description = "Does it."
	req.Config.SystemInstruction = turn(genai.RoleUser, text("Be brief."))
	req.Config.Temperature, req.Config.TopP, req.Config.MaxOutputTokens = new(float32(0)), new(float32(0.5)), 7
	req.Config.ThinkingConfig = &genai.ThinkingConfig{IncludeThoughts: true, ThinkingLevel: genai.ThinkingLevelLow}
	req.Config.ToolConfig = &genai.ToolConfig{FunctionCallingConfig: &genai.FunctionCallingConfig{Mode: genai.FunctionCallingConfigModeAny, AllowedFunctionNames: []string{"f"}}}
	req.Config.ResponseJsonSchema = map[string]any{"type": "object", "properties": map[string]any{"a": map[string]any{"type": "string"}}}
	for stream, end := range map[bool]string{false: ``, true: `"stream":true,`} {
		s := serve(t, say(`{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"hello"}]}]}`))
		if _, err := ask(t.Context(), s.model(t, provider.Config{Model: "gpt-6-astra"}), req, stream); err != nil {
			t.Fatal(err)
		}
		want := `{"input":[` +
			`{"role":"user","content":[{"type":"input_text","text":"look"},{"type":"input_image","detail":"auto","image_url":"data:image/png;base64,AQID"}]},` +
			`{"role":"assistant","content":"I will."},` +
			`{"type":"function_call","call_id":"a","name":"f","arguments":"{\"n\":1}"},{"type":"function_call","call_id":"call_1_3","name":"g","arguments":"{}"},` +
			`{"type":"function_call_output","call_id":"a","output":"{\"error\":\"no result recorded\"}"},{"type":"function_call_output","call_id":"call_1_3","output":"{\"ok\":true}"},` +
			`{"role":"user","content":"and?"}],` +
			`"instructions":"Be brief.","max_output_tokens":7,"model":"gpt-6-astra","reasoning":{"effort":"low","summary":"auto"},"store":false,` + end + `"temperature":0,` +
			`"text":{"format":{"type":"json_schema","name":"response","schema":{"additionalProperties":false,"properties":{"a":{"type":"string"}},"required":["a"],"type":"object"},"strict":true}},` +
			`"tool_choice":{"name":"f","type":"function"},"tools":[{"description":"Does it.","name":"f","parameters":{"type":"object","properties":{}},"strict":false,"type":"function"}],"top_p":0.5}`
		paths, heads, asked := s.seen()
		equal(t, "request", want, asked[0])
		equal(t, "path", "POST /v1/responses", paths[0])
		equal(t, "key", "Bearer "+canary, heads[0].Get("Authorization"))
	}
	for what, c := range map[string]genai.GenerateContentConfig{
		"stop": {StopSequences: []string{"x"}}, "seed": {Seed: new(int32(1))}, "penalty": {PresencePenalty: new(float32(1))}, "logprobs": {ResponseLogprobs: true},
	} {
		req := user("hi")
		req.Config = &c
		s := serve(t, say(`{}`))
		_, err := ask(t.Context(), s.model(t, provider.Config{Settings: settings("responses")}), req, false)
		if paths, _, _ := s.seen(); err == nil || !strings.Contains(err.Error(), "over the Responses API") || len(paths) > 0 {
			t.Errorf("%s: %v after %d requests", what, err, len(paths))
		}
	}
}

// askResponses returns the final response to body, with those before it.
func askResponses(t *testing.T, body string, stream bool) ([]*model.LLMResponse, error) {
	t.Helper()
	return ask(t.Context(), serve(t, say(body)).model(t, provider.Config{Settings: settings("responses")}), user("hi"), stream)
}

const responsesEnd = `"id":"resp_1","model":"served","usage":{"input_tokens":100,"input_tokens_details":{"cached_tokens":64},"output_tokens":50,"output_tokens_details":{"reasoning_tokens":30},"total_tokens":150}`

// The same answer in one piece, as a stream, and as a stream that shows nothing
// before its end: all three give the same.
func TestResponsesAnswer(t *testing.T) {
	output := `"output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"First."},{"type":"summary_text","text":"Then."}]},{"type":"reasoning","summary":[{"type":"summary_text","text":"Last."}]},` +
		`{"type":"message","content":[{"type":"output_text","text":"Let me see."}]},` +
		`{"type":"function_call","id":"fc_1","call_id":"a","name":"f","arguments":"{\"n\":1}"},{"type":"function_call","id":"fc_2","call_id":"b","name":"f","arguments":""}]`
	want := &model.LLMResponse{
		Content: turn(genai.RoleModel, &genai.Part{Text: "First.\n\nThen.\n\nLast.", Thought: true}, text("Let me see."),
			calling("a", "f", map[string]any{"n": 1.0}), calling("b", "f", map[string]any{})),
		TurnComplete: true, FinishReason: genai.FinishReasonStop, ModelVersion: "served", CustomMetadata: map[string]any{"id": "resp_1"},
		UsageMetadata: &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: 100, CachedContentTokenCount: 64, CandidatesTokenCount: 20, ThoughtsTokenCount: 30, TotalTokenCount: 150},
	}
	streamed := responses(
		`{"type":"response.created","response":{"id":"resp_1","status":"in_progress","output":[]}}`,
		`{"type":"response.output_item.added","output_index":0,"item":{"type":"reasoning","id":"rs_1"}}`,
		`{"type":"response.reasoning_summary_part.added","summary_index":0}`,
		`{"type":"response.reasoning_summary_text.delta","delta":"First."}`,
		`{"type":"response.reasoning_summary_part.added","summary_index":1}`,
		`{"type":"response.reasoning_summary_text.delta","delta":"Then."}`,
		`{"type":"response.reasoning_summary_part.added","summary_index":0}`,
		`{"type":"response.reasoning_summary_text.delta","delta":"Last."}`,
		`{"type":"response.output_text.delta","output_index":1,"delta":"Let me "}`,
		`{"type":"response.output_text.delta","output_index":1,"delta":"see."}`,
		`{"type":"response.output_text.done","output_index":1,"text":"Let me see."}`,
		`{"type":"response.output_item.added","output_index":2,"item":{"type":"function_call","id":"fc_1","call_id":"a","name":"f","arguments":""}}`,
		`{"type":"response.function_call_arguments.delta","output_index":2,"delta":"{\"n\""}`,
		`{"type":"response.output_item.added","output_index":3,"item":{"type":"function_call","id":"fc_2","call_id":"b","name":"f","arguments":""}}`,
		`{"type":"response.function_call_arguments.delta","output_index":2,"delta":":1}"}`,
		`{"type":"response.function_call_arguments.done","output_index":2,"arguments":"{\"n\":1}"}`,
		`{"type":"response.output_item.done","output_index":2,"item":{"type":"function_call","id":"fc_1","call_id":"a","name":"f","arguments":"{\"n\":1}"}}`,
		`{"type":"response.output_item.done","output_index":3,"item":{"type":"function_call","id":"fc_2","call_id":"b","name":"f","arguments":""}}`,
		`{"type":"response.an_event_of_tomorrow","delta":"x"}`,
		`{"type":"response.completed","response":{"status":"completed",`+output+`,`+responsesEnd+`}}`,
	)
	for name, tt := range map[string]struct {
		body   string
		stream bool
		pieces string
	}{
		"in one piece":         {`{"status":"completed",` + output + `,` + responsesEnd + `}`, false, ""},
		"streamed":             {streamed, true, "First.|\n\n|Then.|\n\n|Last.|Let me |see."},
		"all of it at the end": {responses(`{"type":"response.completed","response":{"status":"completed",` + output + `,` + responsesEnd + `}}`), true, ""},
	} {
		all, err := askResponses(t, tt.body, tt.stream)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		equal(t, name, want, all[len(all)-1])
		var pieces []string
		for _, p := range all[:len(all)-1] {
			pieces = append(pieces, p.Content.Parts[0].Text)
		}
		equal(t, name+", pieces", tt.pieces, strings.Join(pieces, "|"))
	}
}

// A call that is not finished is not made, although the answer is said to be complete.
func TestResponsesUnfinishedCalls(t *testing.T) {
	item := func(status string) string {
		return `{"type":"function_call","call_id":"a","name":"fetch","status":"` + status + `","arguments":"{}"}`
	}
	added, event := `{"type":"response.output_item.added","item":`+item("in_progress")+`}`, func(kind, item string) string {
		return `{"type":"response.` + kind + `","item":` + item + `}`
	}
	for status, details := range map[string]string{"incomplete": "null", "in_progress": "null", "completed": `{"reason":"content_filter"}`} {
		ended := `{"status":"completed","incomplete_details":` + details + `,"output":[` + item(status) + `]}`
		completed := func(response string) string { return `{"type":"response.completed","response":` + response + `}` }
		for what, body := range map[string]string{
			"in one piece":    ended,
			"streamed at end": responses(completed(ended)),
			"streamed":        responses(added, event("output_item.done", item(status)), completed(`{"status":"completed","incomplete_details":`+details+`}`)),
			"told at the end": responses(added, completed(ended)),
		} {
			all, err := askResponses(t, body, what != "in one piece")
			if err == nil || !strings.Contains(err.Error(), "within a call, which is not made") || len(all) > 0 {
				t.Errorf("%s, %s: %v, %v", status, what, all, err)
			}
		}
	}
	whole := responses(added, event("output_item.done", item("completed")), `{"type":"response.completed","response":{"status":"completed","output":[`+item("completed")+`]}}`)
	if all, err := askResponses(t, whole, true); err != nil || all[len(all)-1].Content.Parts[0].FunctionCall == nil {
		t.Errorf("a finished call: %v, %v", all, err)
	}
}

func TestResponsesEnds(t *testing.T) {
	message := `"output":[{"type":"message","content":[{"type":"output_text","text":"half"}]}]`
	for reason, want := range map[string]genai.FinishReason{"max_output_tokens": "MAX_TOKENS", "content_filter": "SAFETY", "": "OTHER"} {
		for _, stream := range []bool{false, true} {
			body := `{"status":"incomplete","incomplete_details":{"reason":"` + reason + `"},` + message + `}`
			if stream {
				body = responses(`{"type":"response.incomplete","response":` + body + `}`)
			}
			all, err := askResponses(t, body, stream)
			if err != nil || all[0].FinishReason != want || all[0].Content.Parts[0].Text != "half" {
				t.Errorf("%q: %v, %v", reason, all, err)
			}
		}
	}
	refusal := []string{
		`{"status":"completed","output":[{"type":"message","content":[{"type":"refusal","refusal":"I cannot."}]}]}`,
		responses(`{"type":"response.refusal.delta","delta":"I "}`, `{"type":"response.refusal.delta","delta":"cannot."}`, `{"type":"response.completed","response":{"status":"completed"}}`),
	}
	for _, body := range refusal {
		all, err := askResponses(t, body, true)
		if err != nil {
			t.Fatal(err)
		}
		last := all[len(all)-1]
		if last.FinishReason != genai.FinishReasonSafety || last.Content.Parts[0].Text != "I cannot." || last.CustomMetadata["refusal"] != true {
			t.Errorf("a refusal: %+v", last)
		}
	}
	call := `"output":[{"type":"function_call","call_id":"a","name":"fetch","arguments":"{\"id\":"}]`
	for body, want := range map[string]string{
		`{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},` + call + `}`:   "the answer was cut off within a call, which is not made",
		`{"status":"failed","error":{"code":"server_error","message":"` + poison + `"},"output":[]}`: "the provider failed (500 server_error)",
		`{"status":"cancelled","output":[]}`:   "the provider failed: try again later",
		`{"status":"in_progress","output":[]}`: "the answer broke off",
		`{"status":"completed","output":[]}`:   "there was no answer",
		responses(`{"type":"error","code":"rate_limit_exceeded","message":"` + poison + `","param":null}`):                                "too many requests (429 rate_limit_exceeded)",
		responses(`{"type":"error","error":{"code":"context_length_exceeded","message":"` + poison + `"}}`):                               "the conversation is longer than the model's context",
		responses(`{"type":"response.failed","response":{"status":"failed","error":{"code":"server_error","message":"` + poison + `"}}}`): "the provider failed (500 server_error)",
		responses(`{"type":"response.completed"}`):                     "the answer could not be read",
		responses(`{"type":"response.output_text.delta","delta":"x"}`): "the answer broke off",
	} {
		all, err := askResponses(t, body, !strings.HasPrefix(body, "{"))
		if _, ok := errors.AsType[*provider.Error](err); !ok || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v after %d responses, want %s", body, err, len(all), want)
			continue
		}
		noSecrets(t, err)
	}
}
