package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

const (
	apiKey = "key-of-the-bench"
	pieces = 100 // of a streamed answer
	system = "You are an analyst."
	asked  = "Fetch document doc_9982 and summarize it."
)

var fetched = map[string]any{"text": strings.Repeat("Revenue grew. ", 100)}

func parameters() map[string]any {
	return map[string]any{
		"type": "object", "required": []any{"document_id"},
		"properties": map[string]any{"document_id": map[string]any{"type": "string", "description": "Identifier such as doc_9982"}},
	}
}

// openAIServer answers every request with the same text, in pieces if asked.
func openAIServer() *httptest.Server {
	unary := `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"served","choices":[{"index":0,"message":` +
		`{"role":"assistant","content":"` + strings.Repeat("word ", pieces) + `"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150}}`
	var stream strings.Builder
	event := func(choice string) {
		fmt.Fprintf(&stream, "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"served\",\"choices\":[{\"index\":0,%s}]}\n\n", choice)
	}
	for range pieces {
		event(`"delta":{"content":"word "},"logprobs":null,"finish_reason":null`)
	}
	event(`"delta":{},"finish_reason":"stop"`)
	stream.WriteString("data: [DONE]\n\n")
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, stream.String())
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, unary)
	}))
}

// llmRequest is a conversation with a tool call behind it, as ADK hands it over.
func llmRequest() *model.LLMRequest {
	declared := func(name, description string) *genai.FunctionDeclaration {
		return &genai.FunctionDeclaration{Name: name, Description: description, ParametersJsonSchema: parameters()}
	}
	return &model.LLMRequest{
		Contents: []*genai.Content{
			genai.NewContentFromText(asked, genai.RoleUser),
			{Role: genai.RoleModel, Parts: []*genai.Part{{
				FunctionCall: &genai.FunctionCall{ID: "call_1", Name: "fetch_document", Args: map[string]any{"document_id": "doc_9982"}},
			}}},
			{Role: genai.RoleUser, Parts: []*genai.Part{{
				FunctionResponse: &genai.FunctionResponse{ID: "call_1", Name: "fetch_document", Response: fetched},
			}}},
		},
		Config: &genai.GenerateContentConfig{
			SystemInstruction: genai.NewContentFromText(system, genai.RoleUser),
			Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
				declared("fetch_document", "Fetches a document."), declared("create_report", "Creates a report."),
			}}},
		},
	}
}

// libraryRequest is the same conversation, written in the library's types.
func libraryRequest(schema map[string]any) (api.ChatCompletionRequest, error) {
	arguments, err := json.Marshal(map[string]any{"document_id": "doc_9982"})
	result, failure := json.Marshal(fetched)
	declared := func(name, description string) api.Tool {
		return api.Tool{Type: api.ToolTypeFunction, Function: &api.FunctionDefinition{Name: name, Description: description, Parameters: schema}}
	}
	return api.ChatCompletionRequest{
		Model: "test-model",
		Messages: []api.ChatCompletionMessage{
			{Role: "system", Content: system},
			{Role: "user", Content: asked},
			{Role: "assistant", ToolCalls: []api.ToolCall{{
				ID: "call_1", Type: "function", Function: api.FunctionCall{Name: "fetch_document", Arguments: string(arguments)},
			}}},
			{Role: "tool", ToolCallID: "call_1", Content: string(result)},
		},
		Tools: []api.Tool{declared("fetch_document", "Fetches a document."), declared("create_report", "Creates a report.")},
	}, errors.Join(err, failure)
}

func checked(text string, err error) error {
	if err == nil && len(text) != len("word ")*pieces {
		err = fmt.Errorf("the model said %d bytes", len(text))
	}
	return err
}

// ask asks through the provider.
func ask(ctx context.Context, llm model.LLM, req *model.LLMRequest, stream bool) error {
	text := ""
	for resp, err := range llm.GenerateContent(ctx, req, stream) {
		if err != nil {
			return err
		}
		text = resp.Content.Parts[0].Text // of a stream the last one is whole
	}
	return checked(text, nil)
}

func askLibrary(ctx context.Context, client *api.Client, schema map[string]any) error {
	req, err := libraryRequest(schema)
	if err != nil {
		return err
	}
	resp, err := client.CreateChatCompletion(ctx, req)
	if err != nil {
		return err
	}
	return checked(resp.Choices[0].Message.Content, nil)
}

func streamLibrary(ctx context.Context, client *api.Client, schema map[string]any) error {
	req, err := libraryRequest(schema)
	if err != nil {
		return err
	}
	req.StreamOptions = &api.StreamOptions{IncludeUsage: true}
	stream, err := client.CreateChatCompletionStream(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = stream.Close() }()
	var text strings.Builder
	for {
		event, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return checked(text.String(), nil)
		}
		if err != nil {
			return err
		}
		text.WriteString(event.Choices[0].Delta.Content)
	}
}

func openAIAnswer(stream bool) measure {
	m := measure{name: "openai provider, one answer", floor: "go-openai alone, same server", goal: goal{ratio: 1.10}}
	byHand := askLibrary
	if stream {
		m.name += fmt.Sprintf(" streamed in %d pieces", pieces)
		byHand = streamLibrary
	}
	m.open = func(t *testing.T) pair {
		server := openAIServer()
		t.Cleanup(server.Close)
		base := must(provider.BaseURL("the bench", server.URL+"/v1"))(t)
		llm := must(openai.New(provider.Config{Model: "test-model", Key: secret.New(apiKey), BaseURL: base, HTTPClient: server.Client()}))(t)
		config := api.DefaultConfig(apiKey)
		config.BaseURL, config.HTTPClient = server.URL+"/v1", server.Client()
		client, req, schema := api.NewClientWithConfig(config), llmRequest(), parameters()
		return pair{
			ours:  does(func() error { return ask(t.Context(), llm, req, stream) }),
			floor: does(func() error { return byHand(t.Context(), client, schema) }),
		}
	}
	return m
}
