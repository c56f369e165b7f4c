package openai_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// apis are the settings under which each failure is tried.
var apis = []string{"chat", "responses"}

func TestFailures(t *testing.T) {
	openAI := func(status int, kind, code string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
				"message": "It went wrong for " + r.Header.Get("Authorization") + poison, "type": kind, "code": code, "param": nil,
			}})
		}
	}
	tooLong := provider.TooLong
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    provider.Error // Provider and Model are always the same
	}{
		{"401", openAI(401, "invalid_request_error", "invalid_api_key"), provider.Error{Status: 401, Reason: "invalid_api_key", Problem: "the API key was refused", Remedy: "check the key in OPENAI_API_KEY"}},
		{"403", openAI(403, "x", ""), provider.Error{Status: 403, Reason: "x", Problem: "the API key may not use this model", Remedy: "check the key in OPENAI_API_KEY and what its project is allowed"}},
		{"404", openAI(404, "invalid_request_error", "model_not_found"), provider.Error{Status: 404, Reason: "model_not_found", Problem: "there is no such model", Remedy: "choose another name"}},
		{"404 of a page", fail(404, "<html>"+poison), provider.Error{Status: 404, Problem: "the server has no such API at this address", Remedy: "check the base URL"}},
		{"404, FastAPI", fail(404, `{"detail":"Not Found"}`), provider.Error{Status: 404, Problem: "the server has no such API at this address", Remedy: "check the base URL"}},
		{"429", openAI(429, "requests", "rate_limit_exceeded"), provider.Error{Status: 429, Reason: "rate_limit_exceeded", Problem: "too many requests", Remedy: "wait, or raise the rate limit of the account behind OPENAI_API_KEY"}},
		{"429, no means", openAI(429, "insufficient_quota", "insufficient_quota"), provider.Error{Status: 429, Reason: "insufficient_quota", Problem: "the quota is used up", Remedy: "check plan and billing of the account behind OPENAI_API_KEY"}},
		{"500", openAI(500, "server_error", ""), provider.Error{Status: 500, Reason: "server_error", Problem: "the provider failed", Remedy: "try again later"}},
		{"503, no JSON", fail(503, "<html>"+poison), provider.Error{Status: 503, Problem: "the provider failed", Remedy: "try again later"}},
		{"code is free text", openAI(400, poison+"7", canary), provider.Error{Status: 400, Problem: "the provider refused the request", Remedy: "try another model than test-model"}},
		{"code is a number", fail(400, `{"error":{"message":"`+poison+`","code":400,"type":"BadRequestError"}}`), provider.Error{Status: 400, Reason: "BadRequestError", Problem: "the provider refused the request", Remedy: "try another model than test-model"}},
		{"error is a text", fail(400, `{"error":"`+poison+`"}`), provider.Error{Status: 400, Problem: "the provider refused the request", Remedy: "try another model than test-model"}},
		{"error is a list", fail(400, `[{"error":"`+poison+`"}]`), provider.Error{Status: 400, Problem: "the provider refused the request", Remedy: "try another model than test-model"}},
		{"too long, by code", openAI(400, "invalid_request_error", "context_length_exceeded"), provider.Error{Status: 400, Reason: "context_length_exceeded", Problem: tooLong.Text, Remedy: tooLong.Remedy}},
		{"too long, llama.cpp", fail(500, `{"error":{"code":500,"message":"the request exceeds the available context size`+poison+`","type":"exceed_context_size_error","n_ctx":256}}`),
			provider.Error{Status: 500, Reason: "exceed_context_size_error", Problem: tooLong.Text, Remedy: tooLong.Remedy}},
		{"too long, vLLM", fail(400, `{"object":"error","message":"This model's maximum context length is 8 tokens. `+poison+`","type":"BadRequestError","code":400}`),
			provider.Error{Status: 400, Reason: "BadRequestError", Problem: tooLong.Text, Remedy: tooLong.Remedy}},
		{"Azure's filter", openAI(400, "", "content_filter"), provider.Error{Status: 400, Reason: "content_filter", Problem: "the provider blocked the prompt", Remedy: "its content policy forbids this content: use another document or model"}},
		{"an error with status 200", say(`{"error":{"message":"` + poison + `","type":"server_error","code":null}}`), provider.Error{Status: 500, Reason: "server_error", Problem: "the provider failed", Remedy: "try again later"}},
		{"not JSON", say(poison), provider.Error{Problem: "the answer could not be read", Remedy: "try again; if it stays so, check the base URL"}},
		{"twice the same name", say(`{"id":"a","id":"b"}`), provider.Error{Problem: "the answer could not be read", Remedy: "try again; if it stays so, check the base URL"}},
		{"something after it", say(whole(hello, "stop") + `{"status":"completed"}`), provider.Error{Problem: "the answer could not be read", Remedy: "try again; if it stays so, check the base URL"}},
		{"nothing in it", say(`{"choices":[],"output":[]}`), provider.Error{Problem: "the answer broke off", Remedy: "try again"}},
	}
	for _, tt := range tests {
		for _, api := range apis {
			for _, stream := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, stream %v", tt.name, api, stream), func(t *testing.T) {
					llm := serve(t, tt.handler).model(t, provider.Config{Settings: provider.Settings{API: api}})
					all, err := ask(t.Context(), llm, user(poison), stream)
					got, ok := errors.AsType[*provider.Error](err)
					if !ok || len(all) > 0 {
						t.Fatalf("got %d responses and %v, want an Error", len(all), err)
					}
					tt.want.Provider, tt.want.Model = "openai", "test-model"
					if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreUnexported(provider.Error{})); diff != "" {
						t.Errorf("error (-want +got):\n%s", diff)
					}
					noSecrets(t, err)
				})
			}
		}
	}
}

func noSecrets(t *testing.T, err error) {
	t.Helper()
	for e := err; e != nil; e = errors.Unwrap(e) {
		if s := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(s, canary) || strings.Contains(s, poison) || strings.Contains(e.Error(), "\n") {
			t.Errorf("the error holds a key, a body or a line break: %s", s)
		}
	}
}

// Errors that come when the stream has begun, in the forms that servers have.
func TestFailuresWithinAStream(t *testing.T) {
	half := `data: {"choices":[{"index":0,"delta":{"content":"half"}}]}` + "\n\n"
	for name, tt := range map[string]struct{ body, want string }{
		"OpenAI":                {half + `data: {"error":{"message":"` + poison + `","type":"server_error"}}` + "\n\ndata: [DONE]\n\n", "the provider failed (500 server_error): try again later"},
		"vLLM":                  {half + `data: {"error":{"message":"maximum context length is 4","type":"BadRequestError","code":400}}` + "\n\ndata: [DONE]\n\n", "the conversation is longer than the model's context (400 BadRequestError)"},
		"OpenRouter":            {half + `data: {"id":"x","error":{"message":"` + poison + `","code":502},"choices":[]}` + "\n\n", "the provider failed (502)"},
		"with a name before it": {half + "event: error\n" + `data: {"error":{"message":"` + poison + `"}}` + "\n\ndata: [DONE]\n\n", "the provider failed: try again later"},
		"a text":                {half + `data: {"id":"x","error":"` + poison + `"}` + "\n\n", "the provider failed: try again later"},
		"under its name alone":  {half + "event: error\n\n", "the provider failed: try again later"},
		"words under its name":  {half + "event: error\ndata: " + poison + "\n\n", "the provider failed: try again later"},
		"members of its own":    {half + "event: error\n" + `data: {"reason":"` + poison + `"}` + "\n\ndata: [DONE]\n\n", "the provider failed: try again later"},
		"an object's":           {half + `data: {"object":"error","message":"` + poison + `","type":"ServerError","code":503}` + "\n\ndata: [DONE]\n\n", "the provider failed (503 ServerError)"},
		"FastAPI":               {half + `data: {"detail":"` + poison + `"}` + "\n\ndata: [DONE]\n\n", "the provider failed: try again later"},
		"a choice's":            {half + `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop","error":{"code":502,"message":"` + poison + `"}}]}` + "\n\ndata: [DONE]\n\n", "the provider failed (502)"},
		"without data":          {half + `{"error":{"message":"` + poison + `","type":"server_error"}}` + "\n", "the provider failed (500 server_error)"},
	} {
		all, err := ask(t.Context(), serve(t, say(tt.body)).model(t, provider.Config{}), user("hi"), true)
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(all) != 1 || !all[0].Partial {
			t.Errorf("%s: %v after %d responses, want %s", name, err, len(all), tt.want)
			continue
		}
		noSecrets(t, err)
	}
}

// Errors within what is otherwise a success, beside a call that looks whole.
func TestFailuresWithinAnAnswer(t *testing.T) {
	call := `"finish_reason":"tool_calls","%s":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}`
	for what, failed := range map[string]string{
		"a choice's":  `{"choices":[{"error":{"code":502,"message":"` + poison + `"},` + call + `}]}`,
		"an object's": `{"object":"error","code":502,"message":"` + poison + `","choices":[{` + call + `}]}`,
		"FastAPI's":   `{"detail":"` + poison + `"}`,
	} {
		for member, stream := range map[string]bool{"message": false, "delta": true} {
			body := strings.Replace(failed, "%s", member, 1)
			if stream {
				body = "data: " + body + "\n\ndata: [DONE]\n\n"
			}
			all, err := ask(t.Context(), serve(t, say(body)).model(t, provider.Config{}), user("hi"), stream)
			if err == nil || !strings.Contains(err.Error(), "the provider failed") || len(all) > 0 {
				t.Errorf("%s, streamed %v: %v, %v", what, stream, all, err)
				continue
			}
			noSecrets(t, err)
		}
	}
	// After a call that is whole, an error still ends the answer.
	for _, tail := range []string{"event: error\ndata: gone\n\n", `data: {"object":"error","message":"gone","code":500}` + "\n\n", `data: {"detail":"gone"}` + "\n\n"} {
		body := `data: {"choices":[{"index":0,` + strings.Replace(call, "%s", "delta", 1) + "}]}\n\n" + tail + "data: [DONE]\n\n"
		if all, err := ask(t.Context(), serve(t, say(body)).model(t, provider.Config{}), user("hi"), true); err == nil || len(all) > 0 {
			t.Errorf("before %q: %v", tail, all)
		}
	}
}

// A refused connection and a context's end are what they are; a stream that is left
// or cancelled leaves no goroutine, which TestMain looks for.
func TestNoAnswer(t *testing.T) {
	s := serve(t, say("{}"))
	llm := s.model(t, provider.Config{})
	s.Close()
	_, err := ask(t.Context(), llm, user("hi"), false)
	if err == nil || !strings.Contains(err.Error(), "no connection to 127.0.0.1") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	for _, api := range apis {
		for _, stream := range []bool{false, true} {
			ctx, cancel := context.WithCancel(t.Context())
			llm := serve(t, func(_ http.ResponseWriter, r *http.Request) {
				cancel()
				<-r.Context().Done()
			}).model(t, provider.Config{Settings: provider.Settings{API: api}})
			if _, err := ask(ctx, llm, user("hi"), stream); !errors.Is(err, context.Canceled) {
				t.Errorf("%s: got %v, want context.Canceled", api, err)
			}
		}
	}
}

func TestLeavingAStreamEndsIt(t *testing.T) {
	gone := make(chan struct{})
	llm := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"half"}}]}`+"\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(gone)
	}).model(t, provider.Config{})
	for range llm.GenerateContent(t.Context(), user("hi"), true) {
		break
	}
	<-gone
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	llm = serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, `data: {"choices":[{"index":0,"delta":{"content":"half"}}]}`+"\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}).model(t, provider.Config{})
	var err error
	for resp, e := range llm.GenerateContent(ctx, user("hi"), true) {
		if err = e; resp != nil {
			cancel()
		}
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// net/http would carry the key to wherever a redirect points, and the library takes
// a redirect's body for an answer.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	for _, status := range []int{300, 301, 302, 303, 304, 307, 308} {
		for _, stream := range []bool{false, true} {
			llm := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", thief.URL)
				w.WriteHeader(status)
				_, _ = io.WriteString(w, whole(hello, "stop"))
			}).model(t, provider.Config{})
			_, err := ask(t.Context(), llm, user("hi"), stream)
			if e, ok := errors.AsType[*provider.Error](err); !ok || e.Status != status || !strings.Contains(e.Problem, "redirect") {
				t.Errorf("%d: got %v", status, err)
			}
		}
	}
	if stolen.Load() > 0 {
		t.Errorf("%d requests reached the other host", stolen.Load())
	}
}

func TestHugeAnswersAreCut(t *testing.T) {
	endless := func(kind, block string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			for {
				if _, err := io.WriteString(w, block); err != nil {
					return
				}
			}
		}
	}
	for what, tt := range map[string]struct {
		handler http.HandlerFunc
		stream  bool
		want    string
	}{
		"unary":     {endless("application/json", strings.Repeat(" ", 1<<16)), false, "the answer is over 16 MiB: ask for less"},
		"one line":  {endless("text/event-stream", strings.Repeat("x", 1<<16)), true, "the answer is over 64 MiB: ask for less"},
		"comments":  {endless("text/event-stream", strings.Repeat(":\n", 1<<15)), true, "the answer is over 64 MiB: ask for less"},
		"all calls": {endless("text/event-stream", `data: {"choices":[{"delta":{"tool_calls":[{"id":"","function":{"name":"x","arguments":"{}"}},{"index":1,"id":"x","function":{"name":"y"}}]}}]}`+"\n\n"), true, "the answer could not be read"},
	} {
		if _, err := ask(t.Context(), serve(t, tt.handler).model(t, provider.Config{}), user("hi"), tt.stream); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %s", what, err, tt.want)
		}
	}
}

func TestRetriesBeforeTheAnswer(t *testing.T) {
	for _, api := range apis {
		for _, stream := range []bool{false, true} {
			var n atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				switch {
				case n.Add(1) < 3:
					w.Header().Set("Retry-After", "0")
					fail(503, "")(w, r)
				case api == "chat":
					say(whole(hello, "stop"))(w, r)
				default:
					say(`{"status":"completed","output":[{"type":"message","content":[{"type":"output_text","text":"hello"}]}]}`)(w, r)
				}
			})
			llm := s.model(t, provider.Config{Settings: provider.Settings{API: api}, Retry: provider.RetryPolicy{Initial: time.Microsecond}})
			all, err := ask(t.Context(), llm, user("hi"), stream)
			if err != nil || len(all) != 1 || all[0].Content.Parts[0].Text != "hello" || n.Load() != 3 {
				t.Errorf("%s: %v, %v after %d requests", api, all, err, n.Load())
			}
			_, _, asked := s.seen()
			if asked[0] != asked[2] {
				t.Errorf("%s: the last request %s is not the first %s", api, asked[2], asked[0])
			}
		}
	}
}

// A server that does not stream answers in one piece, which is as good.
func TestServerThatDoesNotStream(t *testing.T) {
	final, partial := answered(t, whole(`{"content":"hello","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]}`, "tool_calls"), true)
	if len(partial) != 0 {
		t.Errorf("partial responses %v", partial)
	}
	equal(t, "content", turn(genai.RoleModel, text("hello"), calling("a", "f", map[string]any{})), final.Content)
}

func TestAWrongAddressIsNamed(t *testing.T) {
	page := serve(t, fail(200, "<html>welcome</html>"))
	if _, err := ask(t.Context(), page.model(t, provider.Config{BaseURL: address(t, page.URL)}), user("hi"), false); err == nil || !strings.Contains(err.Error(), "does not answer as the API does: check the base URL: most servers want /v1 at its end") {
		t.Errorf("a page: %v", err)
	}
	s := serve(t, fail(404, "404 page not found"))
	_, err := ask(t.Context(), s.model(t, provider.Config{BaseURL: address(t, s.URL)}), user("hi"), false)
	if err == nil || !strings.Contains(err.Error(), "no such model or API at this address (404): check the name, and the base URL: most servers want /v1 at its end") {
		t.Errorf("got %v", err)
	}
}
