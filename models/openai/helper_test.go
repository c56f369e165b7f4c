package openai_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// What must appear nowhere but in a request: a key in a header, a prompt in a body.
const (
	canary = "sk-Canary-Canary-Canary123"
	poison = "PROMPT-AND-BODY-MARK"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server answers every request with the same reply, and keeps what it was asked.
type server struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
	heads []http.Header
	asked []string
}

// serve starts a server that answers with reply.
func serve(t testing.TB, reply http.HandlerFunc) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.paths, s.heads, s.asked = append(s.paths, r.Method+" "+r.URL.RequestURI()), append(s.heads, r.Header.Clone()), append(s.asked, string(body))
		s.mu.Unlock()
		reply(w, r)
	}))
	t.Cleanup(func() {
		s.Client().CloseIdleConnections()
		s.Close()
	})
	return s
}

// seen returns what the server was asked: method and path, header and body of each.
func (s *server) seen() ([]string, []http.Header, []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paths, s.heads, s.asked
}

// model opens a model at s, tried once unless c says otherwise.
func (s *server) model(t testing.TB, c provider.Config) *provider.Model {
	t.Helper()
	if c.Model == "" {
		c.Model = "test-model"
	}
	c.Key, c.KeyVariable, c.HTTPClient = secret.New(canary), "OPENAI_API_KEY", s.Client()
	if c.BaseURL == nil {
		c.BaseURL = address(t, s.URL+"/v1")
	}
	if c.Retry == (provider.RetryPolicy{}) {
		c.Retry.Attempts = 1
	}
	llm, err := openai.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return llm
}

// azure opens a deployment at s, tried once.
func (s *server) azure(t testing.TB, version string) *provider.Model {
	t.Helper()
	llm, err := openai.NewAzure(provider.Config{
		Model: "test-model", Key: secret.New(canary), KeyVariable: "OPENAI_API_KEY", BaseURL: address(t, s.URL), HTTPClient: s.Client(), Retry: provider.RetryPolicy{Attempts: 1},
	}, version)
	if err != nil {
		t.Fatal(err)
	}
	return llm
}

func address(t testing.TB, raw string) *url.URL {
	t.Helper()
	u, err := provider.BaseURL("openai", raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// say answers with body as it is: JSON, or a stream when it begins with "data:".
func say(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		kind := "application/json"
		if strings.HasPrefix(body, "data:") || strings.HasPrefix(body, "event:") || strings.HasPrefix(body, ":") {
			kind = "text/event-stream"
		}
		w.Header().Set("Content-Type", kind)
		_, _ = io.WriteString(w, body)
	}
}

func fail(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// events writes a stream of chat completions, each a choice's members, ended by
// [DONE].
func events(choices ...string) string {
	var b strings.Builder
	for _, c := range choices {
		fmt.Fprintf(&b, "data: {\"id\":\"chatcmpl-1\",\"model\":\"served\",\"choices\":[{\"index\":0,%s}]}\n\n", c)
	}
	return b.String() + "data: [DONE]\n\n"
}

// whole is an answer in one piece: message and why it ended.
func whole(message, finish string) string {
	return fmt.Sprintf(`{"id":"chatcmpl-1","model":"served","choices":[{"index":0,"message":%s,"finish_reason":%q}]}`, message, finish)
}

const hello = `{"role":"assistant","content":"hello"}`

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

// sent returns the body that req becomes.
func sent(t *testing.T, c provider.Config, req *model.LLMRequest) string {
	t.Helper()
	s := serve(t, say(whole(hello, "stop")))
	if _, err := ask(t.Context(), s.model(t, c), req, false); err != nil {
		t.Fatalf("the request was not sent: %v", err)
	}
	_, _, asked := s.seen()
	return asked[0]
}

// answered returns the final response to body, unary or as a stream, with the
// partial ones before it.
func answered(t *testing.T, body string, stream bool) (final *model.LLMResponse, partial []*model.LLMResponse) {
	t.Helper()
	all, err := ask(t.Context(), serve(t, say(body)).model(t, provider.Config{}), user("hi"), stream)
	if err != nil {
		t.Fatalf("no answer from %s: %v", body, err)
	}
	for _, resp := range all[:len(all)-1] {
		if !resp.Partial || resp.TurnComplete || resp.FinishReason != "" {
			t.Errorf("%+v comes before the last response and is not just partial", resp)
		}
	}
	if final = all[len(all)-1]; final.Partial || !final.TurnComplete {
		t.Errorf("the last response is %+v", final)
	}
	return final, all[:len(all)-1]
}

func user(text string) *model.LLMRequest {
	return &model.LLMRequest{Contents: []*genai.Content{genai.NewContentFromText(text, genai.RoleUser)}}
}

func equal(t *testing.T, what string, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// messages builds a request from contents, written as pairs of role and parts.
func contents(all ...*genai.Content) *model.LLMRequest { return &model.LLMRequest{Contents: all} }

func turn(role genai.Role, parts ...*genai.Part) *genai.Content {
	return genai.NewContentFromParts(parts, role)
}

func text(s string) *genai.Part { return genai.NewPartFromText(s) }

func calling(id, name string, args map[string]any) *genai.Part {
	return &genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: name, Args: args}}
}

func result(id, name string, response map[string]any) *genai.Part {
	return &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: name, Response: response}}
}

func declare(names ...string) *genai.GenerateContentConfig {
	var all []*genai.FunctionDeclaration
	for _, n := range names {
		all = append(all, &genai.FunctionDeclaration{Name: n})
	}
	return &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: all}}}
}
