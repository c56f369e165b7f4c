package openai_test

import (
	"context"
	"fmt"
	"net/http/httptest"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
)

// A server on this machine, such as Ollama's at http://127.0.0.1:11434/v1, needs no
// key.
func Example() {
	server := httptest.NewServer(say(events(`"delta":{"content":"Hello "}`, `"delta":{"content":"there."}`, `"delta":{},"finish_reason":"stop"`)))
	defer server.Close()
	address, err := provider.BaseURL("openai", server.URL+"/v1")
	if err != nil {
		fmt.Println(err)
		return
	}
	llm, err := openai.New(provider.Config{Model: "meta-llama/Llama-3.1-8B-Instruct", BaseURL: address, HTTPClient: server.Client()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for resp, err := range llm.GenerateContent(context.Background(), &model.LLMRequest{Contents: genai.Text("Greet me.")}, true) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("partial %v: %q\n", resp.Partial, resp.Content.Parts[0].Text)
	}
	// Output:
	// partial true: "Hello "
	// partial true: "there."
	// partial false: "Hello there."
}
