package gemini_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/gemini"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

const (
	token  = "ya29.Token-Canary-0123456789"
	answer = `{"candidates":[{"content":{"role":"model","parts":[{"text":"ok"}]},"finishReason":"STOP"}]}`
)

func tokens(value string, err error) func(context.Context) (secret.String, error) {
	return func(context.Context) (secret.String, error) { return secret.New(value), err }
}

// vertex opens gemini-test on Vertex AI, played by handler.
func vertex(t *testing.T, token func(context.Context) (secret.String, error), handler http.HandlerFunc) *provider.Model {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	llm, err := gemini.NewVertex(t.Context(), provider.Config{
		Model: "gemini-test", BaseURL: base(t, srv.URL), HTTPClient: srv.Client(), Retry: once,
	}, gemini.Vertex{Project: "acme-corp", Location: "europe-west4", Token: token})
	if err != nil {
		t.Fatal(err)
	}
	return llm
}

func TestVertexAsksItsProjectWithAToken(t *testing.T) {
	// Neither may be sent, nor change where requests go.
	t.Setenv("GOOGLE_API_KEY", canary)
	t.Setenv("GOOGLE_VERTEX_BASE_URL", "http://127.0.0.1:1")
	t.Setenv("GOOGLE_CLOUD_PROJECT", "another")
	var path string
	llm := vertex(t, tokens(token, nil), func(w http.ResponseWriter, r *http.Request) {
		path = r.URL.Path
		if got := r.Header.Get("Authorization"); got != "Bearer "+token || r.Header.Get("X-Goog-Api-Key") != "" {
			t.Errorf("authorization %q, key %q", got, r.Header.Get("X-Goog-Api-Key"))
		}
		_, _ = io.WriteString(w, answer)
	})
	if _, err := ask(t.Context(), llm, request(), false); err != nil {
		t.Fatal(err)
	}
	if want := "/v1beta1/projects/acme-corp/locations/europe-west4/publishers/google/models/gemini-test:generateContent"; path != want {
		t.Errorf("asked %s, want %s", path, want)
	}
	if err := llm.Check(t.Context()); err != nil || !strings.HasSuffix(path, "publishers/google/models/gemini-test") {
		t.Errorf("Check = %v, having asked %s", err, path)
	}
	if llm.GetGoogleLLMVariant() != genai.BackendVertexAI || llm.Name() != "gemini-test" {
		t.Errorf("ADK is told %v and %s", llm.GetGoogleLLMVariant(), llm.Name())
	}
}

func TestVertexFailures(t *testing.T) {
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(code)
			_, _ = fmt.Fprintf(w, `{"error":{"code":%d,"status":"SOME_STATUS","message":%q}}`, code, poison)
		}
	}
	for name, tt := range map[string]struct {
		token   func(context.Context) (secret.String, error)
		handler http.HandlerFunc
		want    string
	}{
		"no token": {tokens("", errors.New(poison)), status(200), "no access token could be had for Vertex AI: run gcloud auth application-default login"},
		"401":      {tokens(token, nil), status(401), "the access token was refused (401 SOME_STATUS): run gcloud"},
		"403":      {tokens(token, nil), status(403), "the credentials may not use this model (403 SOME_STATUS): check the project"},
		"429":      {tokens(token, nil), status(429), "too many requests (429 SOME_STATUS): wait, or raise the rate limit of the Google Cloud project"},
	} {
		for _, stream := range []bool{false, true} {
			asked := false
			llm := vertex(t, tt.token, func(w http.ResponseWriter, r *http.Request) {
				asked = true
				tt.handler(w, r)
			})
			_, err := ask(t.Context(), llm, request(), stream)
			if err == nil || !strings.Contains(err.Error(), "gemini/gemini-test: "+tt.want) {
				t.Errorf("%s: %v, want %s", name, err, tt.want)
			}
			for e := err; e != nil; e = errors.Unwrap(e) {
				if s := fmt.Sprintf("%v %+v %#v", e, e, e); strings.Contains(s, poison) || strings.Contains(s, token) {
					t.Errorf("%s: the error holds a token or a body: %s", name, s)
				}
			}
			if asked != (name != "no token") {
				t.Errorf("%s: asked %v", name, asked)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	llm := vertex(t, func(context.Context) (secret.String, error) {
		cancel()
		return secret.String{}, ctx.Err()
	}, status(200))
	if _, err := ask(ctx, llm, request(), false); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while waiting for a token: %v", err)
	}
}

// A redirect, a hook's base URL and a resource's own address leave the origin.
func TestVertexTokenStaysAtItsOrigin(t *testing.T) {
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s reached another origin with %q", r.URL, r.Header.Get("Authorization"))
	}))
	defer thief.Close()
	llm := vertex(t, tokens(token, nil), func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL, http.StatusTemporaryRedirect)
	})
	req := request()
	req.Config = &genai.GenerateContentConfig{HTTPOptions: &genai.HTTPOptions{BaseURL: thief.URL}}
	if _, err := ask(t.Context(), llm, req, false); err == nil || !strings.Contains(err.Error(), "redirect") {
		t.Errorf("got %v", err)
	}
}

func TestVertexConfigurationIsChecked(t *testing.T) {
	for _, v := range []gemini.Vertex{
		{}, {Project: "acme-corp"}, {Location: "eu"}, {Project: "acme-corp", Location: "EU"}, {Project: "a/../b", Location: "eu"},
		{Project: "acme-corp", Location: "eu.acme-corp.com"}, {Project: "acme-corp", Location: "x@y"}, {Project: "acme-corp", Location: "eu/"}, {Project: "acme-corp", Location: "a-b-c-d-e"},
	} {
		v.Token = tokens(token, nil)
		if llm, err := gemini.NewVertex(t.Context(), provider.Config{}, v); err == nil || llm != nil {
			t.Errorf("%q in %q is taken", v.Project, v.Location)
		}
	}
	for location, want := range map[string]string{"global": "aiplatform.googleapis.com", "eu": "aiplatform.eu.rep.googleapis.com", "us-central1": "us-central1-aiplatform.googleapis.com"} {
		if got := gemini.VertexHost(location); got != want {
			t.Errorf("%s is served by %s, want %s", location, got, want)
		}
	}
	// Credentials that cannot be read are an error that does not quote them.
	file := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(file, []byte(`{"type":"`+poison+`","private_key":"`+poison+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	_, err := gemini.NewVertex(t.Context(), provider.Config{}, gemini.Vertex{Project: "acme-corp", Location: "eu"})
	if err == nil || !strings.Contains(err.Error(), "gcloud auth application-default login") || strings.Contains(err.Error(), poison) {
		t.Errorf("got %v", err)
	}
	if _, err := gemini.New(t.Context(), provider.Config{}); err == nil || err.Error() != "models: gemini needs an API key" {
		t.Errorf("without a key: %v", err)
	}
}

// Application Default Credentials, of a user whose token endpoint is on loopback.
func TestVertexFindsDefaultCredentials(t *testing.T) {
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"access_token":"`+token+`","token_type":"Bearer","expires_in":3600}`)
	}))
	defer issuer.Close()
	file := filepath.Join(t.TempDir(), "credentials.json")
	subject := filepath.Join(t.TempDir(), "subject")
	for name, content := range map[string]string{subject: "subject-token", file: `{"type":"external_account","audience":"//iam.googleapis.com/x","subject_token_type":"urn:ietf:params:oauth:token-type:jwt",` +
		`"token_url":"` + issuer.URL + `","quota_project_id":"payer","credential_source":{"file":"` + subject + `"}}`} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
	llm := vertex(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token || r.Header.Get("X-Goog-User-Project") != "payer" {
			t.Errorf("headers %v", r.Header)
		}
		_, _ = io.WriteString(w, answer)
	})
	if _, err := ask(t.Context(), llm, request(), false); err != nil {
		t.Error(err)
	}
}

// What the settings become in a request, and that a request wins over them.
func TestSettings(t *testing.T) {
	for want, s := range map[string]provider.Settings{
		`"generationConfig":{"maxOutputTokens":7,"seed":3,"temperature":0,"topP":0.5}`: {Temperature: new(float32(0)), TopP: new(float32(0.5)), MaxTokens: 7, Seed: new(int32(3))},
		`"generationConfig":{"thinkingConfig":{"thinkingLevel":"LOW"}}`:                {ReasoningEffort: "low"},
		`"generationConfig":{"thinkingConfig":{"thinkingBudget":-1}}`:                  {ThinkingBudget: new(int32(-1))},
	} {
		var body string
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			body = string(b)
			_, _ = io.WriteString(w, answer)
		}))
		llm := with(t, provider.Config{BaseURL: base(t, srv.URL), Settings: s})
		if _, err := ask(t.Context(), llm, request(), false); err != nil || !strings.Contains(body, want) {
			t.Errorf("%v, sent %s, want %s", err, body, want)
		}
		req := request()
		req.Config = &genai.GenerateContentConfig{ThinkingConfig: &genai.ThinkingConfig{ThinkingLevel: genai.ThinkingLevelHigh}, Temperature: new(float32(1))}
		if _, err := ask(t.Context(), llm, req, false); err != nil || !strings.Contains(body, `"thinkingLevel":"HIGH"`) || !strings.Contains(body, `"temperature":1`) || strings.Contains(body, "LOW") {
			t.Errorf("%v, sent %s", err, body)
		}
		srv.Close()
	}
	_, err := gemini.New(t.Context(), provider.Config{Key: secret.New(canary), Settings: provider.Settings{ReasoningEffort: "low", ThinkingBudget: new(int32(1))}})
	if err == nil || err.Error() != "models: gemini takes either reasoning_effort or thinking_budget" {
		t.Errorf("both ways to bound thinking: %v", err)
	}
}

// Google's library and ADK's adapter panic on these, and print to the log.
func TestHostileAnswersAreErrors(t *testing.T) {
	var logged bytes.Buffer
	log.SetOutput(&logged)
	defer log.SetOutput(os.Stderr)
	for _, body := range []string{
		`{"candidates":[{"content":{"parts":[null]},"finishReason":"STOP"}]}`, `{"candidates":[null]}`, `{"candidates":[{"content":{"parts":[{"functionCall":null}]}}]}`,
		`{"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","partialArgs":[null]}}]}}]}`, `{"promptFeedback":null}`, `null`, `[]`, `{"candidates":{}}`,
	} {
		for _, stream := range []bool{false, true} {
			llm := open(t, func(w http.ResponseWriter, _ *http.Request) {
				if stream {
					w.Header().Set("Content-Length", "1000") // and it is cut, too
					_, _ = io.WriteString(w, "data: ")
				}
				_, _ = io.WriteString(w, body+"\n\n")
			})
			all, err := ask(t.Context(), llm, request(), stream)
			if _, ok := errors.AsType[*provider.Error](err); !ok {
				t.Errorf("%s, stream %v: %v after %d responses", body, stream, err, len(all))
			}
		}
	}
	if logged.Len() > 0 {
		t.Errorf("printed: %s", &logged)
	}
}

// A panic of the consumer's is not an answer's fault.
func TestConsumersPanicIsTheirs(t *testing.T) {
	llm := open(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) })
	defer func() {
		if v := recover(); v != "mine" {
			t.Errorf("recovered %v", v)
		}
	}()
	for range llm.GenerateContent(t.Context(), request(), false) {
		panic("mine")
	}
}

func TestContextTooLong(t *testing.T) {
	llm := open(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "9")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"error":{"code":400,"status":"INVALID_ARGUMENT","message":"The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."}}`)
	})
	_, err := ask(t.Context(), llm, request(), true)
	e, ok := errors.AsType[*provider.Error](err)
	if !ok || e.Problem != provider.TooLong.Text || e.Status != 400 || e.RetryAfter.Seconds() != 9 {
		t.Errorf("got %#v", err)
	}
	if typed, ok := errors.AsType[genai.APIError](err); !ok || typed.Code != 400 || typed.Status != "INVALID_ARGUMENT" || typed.Message != "" {
		t.Errorf("Google's error is %+v", typed)
	}
}

// What a crash or a hook leaves in a history is put right on the way out, and only
// there.
func TestHistoryIsPutRight(t *testing.T) {
	call := func(id, name string) *genai.Part {
		return &genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: name}, ThoughtSignature: []byte("another server's")}
	}
	result := func(id, name string) *genai.Part {
		return &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: name, Response: map[string]any{"ok": true}}}
	}
	contents := []*genai.Content{
		nil,
		genai.NewContentFromText("go", genai.RoleUser),
		{Role: genai.RoleModel, Parts: []*genai.Part{call("", "f"), nil, call("2", "g")}},
		{Role: genai.RoleUser, Parts: []*genai.Part{genai.NewPartFromText("hurry"), result("", "f"), result("9", "z")}},
		{Role: genai.RoleUser},
	}
	var body string
	llm := open(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		_, _ = io.WriteString(w, answer)
	})
	if _, err := ask(t.Context(), llm, &model.LLMRequest{Contents: contents, Config: &genai.GenerateContentConfig{
		SystemInstruction: &genai.Content{Parts: []*genai.Part{nil}}, Tools: []*genai.Tool{nil},
	}}, false); err != nil {
		t.Fatal(err)
	}
	want := `{"contents":[{"parts":[{"text":"go"}],"role":"user"},` +
		`{"parts":[{"functionCall":{"name":"f"}},{"functionCall":{"id":"2","name":"g"}}],"role":"model"},` +
		`{"parts":[{"functionResponse":{"name":"f","response":{"ok":true}}},{"functionResponse":{"id":"2","name":"g","response":{"error":"no result recorded"}}}],"role":"user"},` +
		`{"parts":[{"text":"hurry"}],"role":"user"}]`
	if !strings.HasPrefix(body, want) {
		t.Errorf("sent %s\nwant %s", body, want)
	}
	if len(contents) != 5 || len(contents[2].Parts) != 3 || len(contents[3].Parts) != 3 {
		t.Errorf("the caller's contents were changed: %+v", contents)
	}
	for _, empty := range [][]*genai.Content{nil, {nil}, {{Role: genai.RoleUser}}} {
		if _, err := ask(t.Context(), llm, &model.LLMRequest{Contents: empty}, false); err == nil || !strings.Contains(err.Error(), "the request is empty: ask something") {
			t.Errorf("an empty request: %v", err)
		}
	}
}
