package gemini_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/gemini"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// What must appear nowhere but in a request: a key in a header, a prompt in a body.
const (
	canary = "AIzaCanaryCanaryCanary123"
	poison = "PROMPT-AND-BODY-MARK"
)

// once is the policy of tests that count requests.
var once = provider.RetryPolicy{Attempts: 1}

func open(t *testing.T, handler http.HandlerFunc) *provider.Model {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return with(t, provider.Config{BaseURL: base(t, srv.URL), HTTPClient: srv.Client()})
}

// with opens gemini-test by key, with what c says besides.
func with(t *testing.T, c provider.Config) *provider.Model {
	t.Helper()
	c.Model, c.Key, c.KeyVariable = "gemini-test", secret.New(canary), "GEMINI_API_KEY"
	if c.Retry == (provider.RetryPolicy{}) {
		c.Retry = once
	}
	llm, err := gemini.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return llm
}

func base(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := provider.BaseURL("gemini", raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func request() *model.LLMRequest {
	return &model.LLMRequest{Contents: []*genai.Content{genai.NewContentFromText(poison, genai.RoleUser)}}
}

// ask returns every response to req, and the error that ended them.
func ask(ctx context.Context, llm model.LLM, req *model.LLMRequest, stream bool) (all []*model.LLMResponse, err error) {
	for resp, err := range llm.GenerateContent(ctx, req, stream) {
		if err != nil {
			return all, err
		}
		all = append(all, resp)
	}
	return all, nil
}

func TestGeminiFailures(t *testing.T) {
	apiError := func(status int, code string, details ...any) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]any{
				"code": status, "status": code, "message": "Consumer 'api_key:" + r.Header.Get("X-Goog-Api-Key") + "' " + poison, "details": details,
			}})
		}
	}
	raw := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    provider.Error // Provider and Model are always the same
	}{
		{"401", apiError(401, "UNAUTHENTICATED"), provider.Error{Status: 401, Reason: "UNAUTHENTICATED", Problem: "the API key was refused", Remedy: "check the key in GEMINI_API_KEY"}},
		{"400 with a bad key", apiError(400, "INVALID_ARGUMENT", map[string]any{"reason": "API_KEY_INVALID"}), provider.Error{Status: 400, Reason: "API_KEY_INVALID", Problem: "the API key was refused", Remedy: "check the key in GEMINI_API_KEY"}},
		{"400", apiError(400, "INVALID_ARGUMENT"), provider.Error{Status: 400, Reason: "INVALID_ARGUMENT", Problem: "the provider refused the request", Remedy: "try another model than gemini-test"}},
		{"400 region", apiError(400, "FAILED_PRECONDITION"), provider.Error{Status: 400, Reason: "FAILED_PRECONDITION", Problem: "the provider does not serve this project or region", Remedy: "check billing and region of the project behind GEMINI_API_KEY"}},
		{"403", apiError(403, "PERMISSION_DENIED"), provider.Error{Status: 403, Reason: "PERMISSION_DENIED", Problem: "the API key may not use this model", Remedy: "check the key in GEMINI_API_KEY and what its project is allowed"}},
		{"404 of a page", raw(404, "404 page not found\n"), provider.Error{Status: 404, Problem: "the server has no such API at this address", Remedy: "check the base URL"}},
		{"404 of a framework", raw(404, `{"detail":"Not Found"}`), provider.Error{Status: 404, Problem: "the server has no such API at this address", Remedy: "check the base URL"}},
		{"404 of a gateway", raw(404, `{"error":{"message":"no such model","code":"model_not_found"}}`), provider.Error{Status: 404, Problem: "there is no such model", Remedy: "choose another name, for example gemini/gemini-3.5-flash"}},
		{"429 of a gateway", raw(429, `{"error":{"message":"Please try again in 7s.","code":"429"}}`), provider.Error{Status: 429, RetryAfter: 7 * time.Second, Problem: "too many requests", Remedy: "wait 7s, or raise the rate limit of the account behind GEMINI_API_KEY"}},
		{"404", apiError(404, "NOT_FOUND"), provider.Error{Status: 404, Reason: "NOT_FOUND", Problem: "there is no such model", Remedy: "choose another name, for example gemini/gemini-3.5-flash"}},
		{"429", apiError(429, "RESOURCE_EXHAUSTED", map[string]any{"retryDelay": "34s"}), provider.Error{Status: 429, Reason: "RESOURCE_EXHAUSTED", Problem: "too many requests", Remedy: "wait 34s, or raise the rate limit of the account behind GEMINI_API_KEY", RetryAfter: 34 * time.Second}},
		{"500", apiError(500, "INTERNAL"), provider.Error{Status: 500, Reason: "INTERNAL", Problem: "the provider failed", Remedy: "try again later"}},
		{"503, no JSON", raw(503, "<html>"+poison), provider.Error{Status: 503, Problem: "the provider failed", Remedy: "try again later"}},
		{"reason is free text", apiError(400, canary+" "+poison), provider.Error{Status: 400, Problem: "the provider refused the request", Remedy: "try another model than gemini-test"}},
		{"not JSON", raw(200, poison), provider.Error{Problem: "the answer could not be read", Remedy: "try again; if it stays so, check the base URL"}},
		{"prompt blocked", raw(200, `{"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"`+poison+`"}}`), provider.Error{Reason: "SAFETY", Problem: "the provider blocked the prompt", Remedy: "its safety policy forbids this content: use another document or model"}},
	}
	for _, tt := range tests {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %v", tt.name, stream), func(t *testing.T) {
				handler := tt.handler
				if stream && strings.HasPrefix(tt.name, "prompt") {
					handler = raw(200, `data: {"promptFeedback":{"blockReason":"SAFETY","blockReasonMessage":"`+poison+"\"}}\n\n")
				}
				all, err := ask(t.Context(), open(t, handler), request(), stream)
				got, ok := errors.AsType[*provider.Error](err)
				if !ok || len(all) > 0 {
					t.Fatalf("got %d responses and %v, want a Error", len(all), err)
				}
				tt.want.Provider, tt.want.Model = "gemini", "gemini-test"
				if diff := cmp.Diff(&tt.want, got, cmpopts.IgnoreUnexported(provider.Error{})); diff != "" {
					t.Errorf("error (-want +got):\n%s", diff)
				}
				for text := err; text != nil; text = errors.Unwrap(text) {
					if s := fmt.Sprintf("%v %+v %#v", text, text, text); strings.Contains(s, canary) || strings.Contains(s, poison) || strings.Contains(text.Error(), "\n") {
						t.Errorf("the error holds a key, a body or a line break: %s", s)
					}
				}
			})
		}
	}
}

func TestGeminiEmptyAndBrokenAnswers(t *testing.T) {
	part := `{"candidates":[{"content":{"role":"model","parts":[{"text":"half"}]}}]}`
	tests := []struct {
		name, body string
		stream     bool
		problem    string
		partials   int
	}{
		{"no candidates", `{}`, false, "the answer could not be read", 0},
		{"no events", "", true, "the answer broke off", 0},
		{"ends without a finish reason", "data: " + part + "\n\n", true, "the answer broke off", 1},
		{"error in the middle", "data: " + part + "\n\n" + `{"error":{"code":503,"status":"UNAVAILABLE","message":"` + poison + `"}}` + "\n\n", true, "the provider failed", 1},
		{"garbage in the middle", "data: " + part + "\n\ndata: " + poison + "\n\n", true, "the answer could not be read", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			llm := open(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, tt.body) })
			all, err := ask(t.Context(), llm, request(), tt.stream)
			got, ok := errors.AsType[*provider.Error](err)
			if !ok || got.Problem != tt.problem || strings.Contains(err.Error(), poison) {
				t.Errorf("got %v, want %q", err, tt.problem)
			}
			if len(all) != tt.partials {
				t.Errorf("%d responses, want %d", len(all), tt.partials)
			}
			for _, resp := range all {
				if !resp.Partial {
					t.Errorf("a final response before the error: %+v", resp)
				}
			}
		})
	}
}

func TestGeminiEndlessAnswerIsCut(t *testing.T) {
	block := []byte(strings.Repeat(" ", 1<<16))
	llm := open(t, func(w http.ResponseWriter, _ *http.Request) {
		for {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	_, err := ask(t.Context(), llm, request(), false)
	if got, ok := errors.AsType[*provider.Error](err); !ok || got.Problem != "the answer is over 16 MiB" {
		t.Errorf("got %v", err)
	}
}

// net/http would carry the key's header to wherever a redirect points.
func TestGeminiFollowsNoRedirect(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	for _, status := range []int{301, 302, 303, 307, 308} {
		llm := open(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL+r.URL.Path, status) })
		_, err := ask(t.Context(), llm, request(), false)
		if got, ok := errors.AsType[*provider.Error](err); !ok || got.Status != status || !strings.Contains(got.Problem, "redirect") {
			t.Errorf("%d: got %v", status, err)
		}
	}
	if stolen.Load() > 0 {
		t.Errorf("%d requests reached the other host", stolen.Load())
	}
}

func TestGeminiUnreachable(t *testing.T) {
	srv := httptest.NewServer(nil)
	llm := with(t, provider.Config{BaseURL: base(t, srv.URL)})
	srv.Close()
	_, err := ask(t.Context(), llm, request(), false)
	if err == nil || !strings.Contains(err.Error(), "no connection to 127.0.0.1") || !strings.Contains(err.Error(), "connection refused") {
		t.Errorf("got %v", err)
	}
	if err := llm.Check(t.Context()); err == nil {
		t.Error("Check of a dead server gives no error")
	}
}

func TestGeminiEndedContextStaysAContextError(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	llm := open(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server notice the client leave
		cancel()
		<-r.Context().Done()
	})
	if _, err := ask(ctx, llm, request(), true); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// What goes over the wire and what comes back, in both modes, against a server
// that speaks the API.
func TestGeminiAnswers(t *testing.T) {
	// Neither may move documents elsewhere.
	t.Setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
	type seen struct{ path, query, key, prompt string }
	var got seen
	llm := open(t, func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Contents []genai.Content `json:"contents"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		got = seen{r.URL.Path, r.URL.RawQuery, r.Header.Get("X-Goog-Api-Key"), body.Contents[0].Parts[0].Text}
		chunk := func(text, finish string) string {
			return fmt.Sprintf(`{"candidates":[{"content":{"role":"model","parts":[{"text":%q}]}%s}],"usageMetadata":{"totalTokenCount":9}}`, text, finish)
		}
		if strings.HasSuffix(r.URL.Path, ":streamGenerateContent") {
			_, _ = io.WriteString(w, "data: "+chunk("Hello ", "")+"\n\ndata: "+chunk("there.", `,"finishReason":"STOP"`)+"\n\n")
			return
		}
		_, _ = io.WriteString(w, chunk("Hello there.", `,"finishReason":"STOP"`))
	})
	for stream, method := range map[bool]seen{
		false: {"/v1beta/models/gemini-test:generateContent", "", canary, poison},
		true:  {"/v1beta/models/gemini-test:streamGenerateContent", "alt=sse", canary, poison},
	} {
		all, err := ask(t.Context(), llm, request(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(method, got, cmp.AllowUnexported(seen{})); diff != "" {
			t.Errorf("request (-want +got):\n%s", diff)
		}
		var pieces string
		for _, resp := range all[:len(all)-1] {
			if !resp.Partial || resp.FinishReason != "" || resp.TurnComplete {
				t.Errorf("%+v comes before the last response and is not just partial", resp)
			}
			pieces += resp.Content.Parts[0].Text
		}
		last := all[len(all)-1]
		if last.Partial || !last.TurnComplete || last.FinishReason != genai.FinishReasonStop || last.Content.Parts[0].Text != "Hello there." || last.UsageMetadata.TotalTokenCount != 9 {
			t.Errorf("stream %v: last response %+v", stream, last)
		}
		if stream && pieces != "Hello there." {
			t.Errorf("pieces %q", pieces)
		}
	}
}

// Servers besides Google's name a call as the reason for which an answer ended: that is
// no answer which its maker stopped.
func TestGeminiAnswerThatEndsForACall(t *testing.T) {
	const answer = `{"candidates":[{"content":{"role":"model","parts":[{"functionCall":{"name":"f","args":{"x":"y"}}}]},"finishReason":"FUNCTION_CALL"}]}`
	llm := open(t, func(w http.ResponseWriter, r *http.Request) {
		before, after := "", ""
		if strings.HasSuffix(r.URL.Path, ":streamGenerateContent") {
			before, after = "data: ", "\n\n"
		}
		_, _ = io.WriteString(w, before+answer+after)
	})
	for _, stream := range []bool{false, true} {
		all, err := ask(t.Context(), llm, request(), stream)
		if err != nil {
			t.Fatalf("stream %v: %v", stream, err)
		}
		if last := all[len(all)-1]; last.FinishReason != genai.FinishReasonStop || last.Content.Parts[0].FunctionCall == nil {
			t.Errorf("stream %v: last response %+v", stream, last)
		}
	}
}

// tripper is an [http.RoundTripper].
type tripper func(*http.Request) (*http.Response, error)

func (f tripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// Without a base URL of ours the provider's own is used, whatever the process
// environment says to genai.
func TestGeminiGoesToTheProviderByDefault(t *testing.T) {
	t.Setenv("GOOGLE_GEMINI_BASE_URL", "https://elsewhere.acme-corp.com")
	t.Setenv("GOOGLE_API_KEY", "another-key")
	var got []string
	client := &http.Client{Transport: tripper(func(r *http.Request) (*http.Response, error) {
		got = append(got, r.URL.Scheme+"://"+r.URL.Host, r.Header.Get("X-Goog-Api-Key"))
		return nil, errors.New("no network in tests")
	})}
	llm := with(t, provider.Config{HTTPClient: client})
	if _, err := ask(t.Context(), llm, request(), false); err == nil {
		t.Error("no error")
	}
	if diff := cmp.Diff([]string{"https://generativelanguage.googleapis.com", canary}, got); diff != "" {
		t.Errorf("destination and key (-want +got):\n%s", diff)
	}
	if client.CheckRedirect != nil {
		t.Error("the caller's client was changed")
	}
}

// ADK's adapter writes into requests; a shared one must stay as it was, and no hook
// can send documents to another host.
func TestGeminiRequestsAreNotChanged(t *testing.T) {
	var stolen atomic.Int32
	thief := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { stolen.Add(1) }))
	defer thief.Close()
	llm := open(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Mine") != "1" {
			t.Errorf("the request's own header is lost: %v", r.Header)
		}
		_, _ = io.WriteString(w, `{"candidates":[{"content":{"role":"model","parts":[{"text":"ok"}]},"finishReason":"STOP"}]}`)
	})
	contents := make([]*genai.Content, 1, 4)
	contents[0] = genai.NewContentFromText("ends on the model's turn", genai.RoleModel)
	req := &model.LLMRequest{Contents: contents, Config: &genai.GenerateContentConfig{
		HTTPOptions: &genai.HTTPOptions{BaseURL: thief.URL, Headers: http.Header{"X-Mine": {"1"}}},
	}}
	if _, err := ask(t.Context(), llm, req, false); err != nil {
		t.Fatal(err)
	}
	if len(req.Contents) != 1 || contents[:2][1] != nil || len(req.Config.HTTPOptions.Headers) != 1 {
		t.Errorf("the request was changed: %+v, headers %v", req, req.Config.HTTPOptions.Headers)
	}
	if stolen.Load() > 0 {
		t.Error("a request's own base URL was used")
	}
	bare := &model.LLMRequest{Contents: contents, Model: "x/../../y"}
	if _, err := ask(t.Context(), llm, bare, false); err == nil || bare.Config != nil {
		t.Errorf("a malformed model name from a hook: %v, config %v", err, bare.Config)
	}
}

func TestCheckAsksForTheModelAlone(t *testing.T) {
	status, answer, list := http.StatusOK, `{"name":"models/gemini-test"}`, ""
	llm := open(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/v1beta/models" && status == http.StatusNotFound && list != "" {
			_, _ = io.WriteString(w, list)
			return
		}
		if r.Method != http.MethodGet || r.URL.Path != "/v1beta/models/gemini-test" && (status == http.StatusOK || r.URL.Path != "/v1beta/models") || len(body) > 0 {
			t.Errorf("got %s %s with %q", r.Method, r.URL.Path, body)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	})
	if err := llm.Check(t.Context()); err != nil {
		t.Errorf("Check = %v", err)
	}
	status, answer = http.StatusNotFound, `{"error":{"code":404,"message":"models/gemini-test is not found","status":"NOT_FOUND"}}`
	for names, want := range map[string]string{
		"": "choose another name, for example gemini/gemini-", `{"models":[{"name":"models/gemini-tests"},{"name":"models/other"}]}`: "did you mean gemini-tests?",
		`{"models":[{"name":"models/other"}]}`: "choose another name, for example other", `{"models":[{"name":"models/gemini-test"}]}`: "choose another name, for example gemini/gemini-",
	} {
		list = names
		if err := llm.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "there is no such model (404 NOT_FOUND): "+want) {
			t.Errorf("Check of an unknown model among %s = %v", names, err)
		}
	}
}

// What a gateway leaves in the text is read.
func TestTextIsRead(t *testing.T) {
	req := request()
	req.Config = &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{{Name: "fetch"}}}}}
	for said, want := range map[string]string{
		"<think>Hm.</think>\nIt rose.":                        "",
		"```tool_code\nprint(default_api.fetch(id='x'))\n```": "the server handed out a call of fetch as text",
	} {
		b, err := json.Marshal(map[string]any{"candidates": []any{map[string]any{"finishReason": "STOP", "content": map[string]any{"parts": []any{map[string]any{"text": said}}}}}})
		if err != nil {
			t.Fatal(err)
		}
		all, err := ask(t.Context(), open(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(b) }), req, false)
		switch {
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, %v", said, all, err)
		case want == "" && (err != nil || len(all[0].Content.Parts) != 2 || !all[0].Content.Parts[0].Thought || all[0].Content.Parts[1].Text != "It rose."):
			t.Errorf("%s: %v, %v", said, all, err)
		}
	}
}
