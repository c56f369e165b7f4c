package openai_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	api "github.com/sashabaranov/go-openai"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// The points about answers; those about requests are in mapping_test.go.

func TestMapping14Stream(t *testing.T) {
	body := events(
		`"delta":{"role":"assistant","content":""}`,
		`"delta":{"content":"Let me "}`,
		`"delta":{"content":"see."}`,
		`"delta":{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"fetch","arguments":""}}]}`,
		`"delta":{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"list","arguments":"{\"n\""}}]}`,
		`"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"id\":\"x\"}"}},{"index":1,"function":{"arguments":":2}"}}]}`,
		`"delta":{},"finish_reason":"tool_calls"`,
	)
	body = strings.Replace(body, "data: [DONE]", `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`+"\n\ndata: [DONE]", 1)
	s := serve(t, say(": a comment\n\n"+body))
	all, err := ask(t.Context(), s.model(t, provider.Config{}), user("hi"), true)
	if err != nil {
		t.Fatal(err)
	}
	_, _, asked := s.seen()
	equal(t, "request", `{"model":"test-model","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}`, asked[0])
	want := []*model.LLMResponse{
		{Partial: true, Content: turn(genai.RoleModel, text("Let me "))},
		{Partial: true, Content: turn(genai.RoleModel, text("see."))},
		{
			Content:      turn(genai.RoleModel, text("Let me see."), calling("a", "fetch", map[string]any{"id": "x"}), calling("b", "list", map[string]any{"n": 2.0})),
			TurnComplete: true, FinishReason: genai.FinishReasonStop, ModelVersion: "served", CustomMetadata: map[string]any{"id": "chatcmpl-1"},
			UsageMetadata: &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: 3, CandidatesTokenCount: 2, TotalTokenCount: 5},
		},
	}
	equal(t, "responses", want, all)
	// Keep-alive comments are no end: a model may reason for a long time.
	quiet := strings.Repeat(": waiting\n\n", 1000) + events(`"delta":{"content":"hello"},"finish_reason":"stop"`)
	if final, _ := answered(t, quiet, true); final.Content.Parts[0].Text != "hello" {
		t.Errorf("after a silence: %+v", final)
	}
}

func TestMapping15FinishReasons(t *testing.T) {
	for reason, want := range map[string]genai.FinishReason{
		"stop": "STOP", "tool_calls": "STOP", "function_call": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY", "a_reason_of_tomorrow": "A_REASON_OF_TOMORROW", "error": "ERROR", "no word": "OTHER",
		// Those of other servers.
		"eos": "STOP", "eos_token": "STOP", "end_turn": "STOP", "end": "STOP", "STOP": "STOP", "stop_sequence": "STOP", "COMPLETE": "STOP",
		"MAX_TOKENS": "MAX_TOKENS", "max_tokens": "MAX_TOKENS", "model_length": "MAX_TOKENS", "sensitive": "SAFETY",
	} {
		final, _ := answered(t, whole(hello, reason), false)
		streamed, _ := answered(t, events(`"delta":{"content":"hello"}`, `"delta":{},"finish_reason":"`+reason+`"`), true)
		for _, resp := range []*model.LLMResponse{final, streamed} {
			if resp.FinishReason != want || resp.Content.Parts[0].Text != "hello" || resp.ErrorCode != "" {
				t.Errorf("%s: %+v", reason, resp)
			}
		}
		if want == "STOP" {
			continue
		}
		final, _ = answered(t, whole(`{"content":null}`, reason), false)
		if final.Content != nil || final.ErrorCode != string(want) || final.ErrorMessage == "" {
			t.Errorf("nothing, because of %s: %+v", reason, final)
		}
	}
	cut := `{"tool_calls":[{"id":"a","type":"function","function":{"name":"fetch","arguments":"{\"id\":\"doc_"}}]}`
	broken(t, "arguments cut off", whole(cut, "length"), "the answer was cut off within a call, which is not made (length): give the server a longer context")
	broken(t, "no name", whole(`{"tool_calls":[{"id":"a","type":"function","function":{"arguments":"{}"}}]}`, "stop"), "called a tool without naming it")
	for _, none := range []string{``, `null`, `{}`} {
		final, _ := answered(t, whole(`{"tool_calls":[{"id":"a","type":"function","function":{"name":"fetch","arguments":"`+none+`"}}]}`, "stop"), false)
		equal(t, "no arguments", calling("a", "fetch", map[string]any{}), final.Content.Parts[0])
	}
	final, _ := answered(t, whole(`{"function_call":{"name":"old","arguments":"{\"a\":1}"}}`, "function_call"), false)
	equal(t, "the older form of calls", calling("", "old", map[string]any{"a": 1.0}), final.Content.Parts[0])
}

// broken asserts that body is an error of one line that ends the call.
func broken(t *testing.T, what, body, want string) {
	t.Helper()
	all, err := ask(t.Context(), serve(t, say(body)).model(t, provider.Config{}), user("hi"), false)
	if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || strings.Contains(err.Error(), poison) || len(all) > 0 {
		t.Errorf("%s: %v after %d responses, want %q", what, err, len(all), want)
	}
}

func TestMapping16Refusal(t *testing.T) {
	unary, _ := answered(t, whole(`{"content":null,"refusal":"I cannot."}`, "stop"), false)
	streamed, partial := answered(t, events(`"delta":{"refusal":"I can"}`, `"delta":{"refusal":"not."}`, `"delta":{},"finish_reason":"stop"`), true)
	for _, resp := range []*model.LLMResponse{unary, streamed} {
		equal(t, "content", turn(genai.RoleModel, text("I cannot.")), resp.Content)
		equal(t, "metadata", map[string]any{"id": "chatcmpl-1", "refusal": true}, resp.CustomMetadata)
		equal(t, "finish", genai.FinishReasonSafety, resp.FinishReason)
	}
	if len(partial) != 2 || partial[0].Content.Parts[0].Text != "I can" {
		t.Errorf("partial %v", partial)
	}
}

func TestMapping17Usage(t *testing.T) {
	const used = `"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":30}}`
	// ADK adds candidates and thoughts, and OpenAI's completion holds reasoning already.
	want := &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: 100, CachedContentTokenCount: 64, CandidatesTokenCount: 20, ThoughtsTokenCount: 30, TotalTokenCount: 150}
	unary, _ := answered(t, strings.Replace(whole(hello, "stop"), `"model"`, used+`,"model"`, 1), false)
	equal(t, "unary", want, unary.UsageMetadata)
	stream := events(`"delta":{"content":"hello"},"finish_reason":"stop"`)
	streamed, _ := answered(t, strings.Replace(stream, "data: [DONE]", `data: {"choices":[],`+used+"}\n\ndata: [DONE]", 1), true)
	equal(t, "streamed", want, streamed.UsageMetadata)
	none, _ := answered(t, stream, true)
	if none.UsageMetadata != nil {
		t.Errorf("usage of a server that reports none: %+v", none.UsageMetadata)
	}
	absurd, _ := answered(t, strings.Replace(whole(hello, "stop"), `"model"`, `"usage":{"prompt_tokens":9007199254740993,"completion_tokens":-5,"total_tokens":1},"model"`, 1), false)
	equal(t, "absurd", &genai.GenerateContentResponseUsageMetadata{PromptTokenCount: 1<<31 - 1, TotalTokenCount: 1}, absurd.UsageMetadata)
}

func TestMapping18Errors(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		fail(429, `{"error":{"message":"`+poison+" "+r.Header.Get("Authorization")+`","type":"requests","code":"rate_limit_exceeded"}}`)(w, r)
	})
	_, err := ask(t.Context(), s.model(t, provider.Config{}), user(poison), false)
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Status != 429 || e.Reason != "rate_limit_exceeded" || e.RetryAfter != 7*time.Second {
		t.Fatalf("got %#v", err)
	}
	typed, ok := errors.AsType[*api.APIError](err)
	if !ok || typed.HTTPStatusCode != 429 || typed.Code != "rate_limit_exceeded" || typed.Message != "" {
		t.Errorf("the library's error is %#v", typed)
	}
	s = serve(t, fail(502, "<html>"+poison))
	_, err = ask(t.Context(), s.model(t, provider.Config{}), user("hi"), true)
	if typed, ok := errors.AsType[*api.APIError](err); !ok || typed.HTTPStatusCode != 502 || typed.Message != "" {
		t.Errorf("the library's error is %#v, of %v", typed, err)
	}
}

func TestMapping19Metadata(t *testing.T) {
	body := `{"id":"chatcmpl-9","model":"gpt-x-2026","system_fingerprint":"fp_1","choices":[{"index":1,"message":{"content":"second"},"finish_reason":"stop"},{"index":0,"message":{"content":"first"},"finish_reason":"stop"}]}`
	final, _ := answered(t, body, false)
	equal(t, "metadata", map[string]any{"id": "chatcmpl-9", "system_fingerprint": "fp_1"}, final.CustomMetadata)
	equal(t, "version", "gpt-x-2026", final.ModelVersion)
	equal(t, "the first of two", turn(genai.RoleModel, text("first")), final.Content)
	long, _ := answered(t, strings.Replace(body, "chatcmpl-9", strings.Repeat("x", 1000), 1), false)
	if id := long.CustomMetadata["id"].(string); len(id) > 100 {
		t.Errorf("an id of %d bytes goes into the session", len(id))
	}
	req := user("hi")
	req.Config = &genai.GenerateContentConfig{CandidateCount: 2}
	refused(t, "candidates", req)
}
