package openai_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	api "github.com/sashabaranov/go-openai"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// The floor is the library alone: the same conversation written by hand in its types,
// from the same values, asked of the same server, and the answer put together.

var benchSchema = map[string]any{"type": "object", "properties": map[string]any{"document_id": map[string]any{"type": "string", "description": "Identifier such as doc_9982"}}, "required": []any{"document_id"}}

var benchText = strings.Repeat("Revenue grew. ", 100)

func benchRequest() *model.LLMRequest {
	req := contents(
		turn(genai.RoleUser, text("Fetch document doc_9982 and summarize it.")),
		turn(genai.RoleModel, calling("call_1", "fetch_document", map[string]any{"document_id": "doc_9982"})),
		turn(genai.RoleUser, result("call_1", "fetch_document", map[string]any{"text": benchText})),
	)
	req.Config = &genai.GenerateContentConfig{
		SystemInstruction: turn(genai.RoleUser, text("You are an analyst.")),
		Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
			{Name: "fetch_document", Description: "Fetches a document.", ParametersJsonSchema: benchSchema},
			{Name: "create_report", Description: "Creates a report.", ParametersJsonSchema: benchSchema},
		}}},
	}
	return req
}

func floorRequest(b *testing.B) api.ChatCompletionRequest {
	encode := func(v map[string]any) string {
		out, err := json.Marshal(v)
		if err != nil {
			b.Fatal(err)
		}
		return string(out)
	}
	tool := func(name, description string) api.Tool {
		return api.Tool{Type: api.ToolTypeFunction, Function: &api.FunctionDefinition{Name: name, Description: description, Parameters: benchSchema}}
	}
	return api.ChatCompletionRequest{
		Model: "test-model",
		Messages: []api.ChatCompletionMessage{
			{Role: "system", Content: "You are an analyst."},
			{Role: "user", Content: "Fetch document doc_9982 and summarize it."},
			{Role: "assistant", ToolCalls: []api.ToolCall{{ID: "call_1", Type: "function", Function: api.FunctionCall{Name: "fetch_document", Arguments: encode(map[string]any{"document_id": "doc_9982"})}}}},
			{Role: "tool", ToolCallID: "call_1", Content: encode(map[string]any{"text": benchText})},
		},
		Tools: []api.Tool{tool("fetch_document", "Fetches a document."), tool("create_report", "Creates a report.")},
	}
}

const benchTokens = 100

func benchServer(b *testing.B) *httptest.Server {
	sentence := strings.Repeat("Revenue grew. ", 20)
	unary := `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"served","choices":[{"index":0,"message":{"role":"assistant","content":"` + sentence + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}`
	var deltas []string
	for range benchTokens {
		deltas = append(deltas, `"delta":{"content":"word "},"logprobs":null,"finish_reason":null`)
	}
	stream := events(append(deltas, `"delta":{},"finish_reason":"stop"`)...)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"stream":true`) {
			say(stream)(w, r)
			return
		}
		say(unary)(w, r)
	}))
	b.Cleanup(srv.Close)
	return srv
}

func benchModel(b *testing.B, srv *httptest.Server) *provider.Model {
	llm, err := openai.New(provider.Config{Model: "test-model", Key: secret.New(canary), BaseURL: address(b, srv.URL+"/v1"), HTTPClient: srv.Client(), Retry: provider.RetryPolicy{}})
	if err != nil {
		b.Fatal(err)
	}
	return llm
}

func benchFloor(srv *httptest.Server) *api.Client {
	config := api.DefaultConfig(canary)
	config.BaseURL, config.HTTPClient = srv.URL+"/v1", srv.Client()
	return api.NewClientWithConfig(config)
}

func BenchmarkUnary(b *testing.B) {
	srv := benchServer(b)
	b.Run("openai", func(b *testing.B) {
		llm, req := benchModel(b, srv), benchRequest()
		b.ReportAllocs()
		for b.Loop() {
			for resp, err := range llm.GenerateContent(b.Context(), req, false) {
				if err != nil || resp.Content.Parts[0].Text == "" {
					b.Fatal(resp, err)
				}
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		client := benchFloor(srv)
		b.ReportAllocs()
		for b.Loop() {
			resp, err := client.CreateChatCompletion(b.Context(), floorRequest(b))
			if err != nil || resp.Choices[0].Message.Content == "" {
				b.Fatal(resp, err)
			}
		}
	})
}

func BenchmarkStreamed(b *testing.B) {
	srv := benchServer(b)
	b.Run("openai", func(b *testing.B) {
		llm, req := benchModel(b, srv), benchRequest()
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for _, err := range llm.GenerateContent(b.Context(), req, true) {
				if n++; err != nil {
					b.Fatal(err)
				}
			}
			if n != benchTokens+1 {
				b.Fatal(n)
			}
		}
	})
	b.Run("floor", func(b *testing.B) {
		client := benchFloor(srv)
		b.ReportAllocs()
		for b.Loop() {
			req := floorRequest(b)
			req.StreamOptions = &api.StreamOptions{IncludeUsage: true}
			stream, err := client.CreateChatCompletionStream(b.Context(), req)
			if err != nil {
				b.Fatal(err)
			}
			var text strings.Builder
			for {
				event, err := stream.Recv()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					b.Fatal(err)
				}
				text.WriteString(event.Choices[0].Delta.Content)
			}
			if _ = stream.Close(); text.Len() != 5*benchTokens {
				b.Fatal(text.Len())
			}
		}
	})
}
