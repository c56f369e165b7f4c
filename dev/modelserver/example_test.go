package modelserver_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"github.com/sashabaranov/go-openai"
	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/dev/modelserver"
	"github.com/jitagent/jitagent/models/offline"
)

// A client of OpenAI talks to the offline model, without a key.
func Example() {
	server, err := modelserver.New(modelserver.Config{Models: map[string]model.LLM{"offline": offline.New()}})
	if err != nil {
		fmt.Println(err)
		return
	}
	srv := httptest.NewServer(server) // or an http.Server on a loopback address
	defer srv.Close()

	config := openai.DefaultConfig("any key")
	config.BaseURL = srv.URL + "/v1"
	resp, err := openai.NewClientWithConfig(config).CreateChatCompletion(context.Background(), openai.ChatCompletionRequest{
		Model:    "offline",
		Messages: []openai.ChatCompletionMessage{{Role: "user", Content: "Fetch doc_9982."}},
		Tools: []openai.Tool{{Type: openai.ToolTypeFunction, Function: &openai.FunctionDefinition{
			Name: "fetch_document",
			Parameters: map[string]any{
				"type": "object", "required": []string{"document_id"},
				"properties": map[string]any{"document_id": map[string]any{"type": "string"}},
			},
		}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	call := resp.Choices[0].Message.ToolCalls[0].Function
	fmt.Println(call.Name, call.Arguments)
	// Output: fetch_document {"document_id":"doc_9982"}
}
