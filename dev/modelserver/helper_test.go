package modelserver_test

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/models/modeltest"
)

// generate is a model made of a func.
type generate func(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error]

func (generate) Name() string { return "func" }

func (g generate) GenerateContent(ctx context.Context, req *model.LLMRequest, stream bool) iter.Seq2[*model.LLMResponse, error] {
	return g(ctx, req, stream)
}

// yields is a model that yields these, whatever it is asked.
func yields(responses ...*model.LLMResponse) model.LLM {
	return generate(func(context.Context, *model.LLMRequest, bool) iter.Seq2[*model.LLMResponse, error] {
		return func(yield func(*model.LLMResponse, error) bool) {
			for _, r := range responses {
				if !yield(r, nil) {
					return
				}
			}
		}
	})
}

func piece(text string) *model.LLMResponse {
	return &model.LLMResponse{Content: genai.NewContentFromText(text, genai.RoleModel), Partial: true}
}

func whole(parts ...*genai.Part) *model.LLMResponse {
	return &model.LLMResponse{Content: genai.NewContentFromParts(parts, genai.RoleModel), FinishReason: genai.FinishReasonStop}
}

// serve serves a script as "m", on a socket.
func serve(t *testing.T, llm model.LLM) *httptest.Server {
	t.Helper()
	s, err := modelserver.New(modelserver.Config{Models: map[string]model.LLM{"m": llm, "acme/large-2:free": llm}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return srv
}

// An answer is what came back over HTTP.
type answer struct {
	status int
	header http.Header
	body   string
	err    error // of reading the body
}

// send sends a request as curl does: "POST /v1/x", a body, and headers "Name: value".
func send(t *testing.T, srv *httptest.Server, line, body string, headers ...string) answer {
	t.Helper()
	method, path, _ := strings.Cut(line, " ")
	req, err := http.NewRequestWithContext(t.Context(), method, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := srv.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text), err}
}

// ask decodes one request and returns what the model was told.
func ask(t *testing.T, line, body string) *model.LLMRequest {
	t.Helper()
	script := modeltest.Always(modeltest.Text("ok"))
	a := send(t, serve(t, script), line, body)
	asked := script.Requests()
	if len(asked) != 1 {
		t.Fatalf("%s: %d %s", line, a.status, a.body)
	}
	return asked[0]
}
