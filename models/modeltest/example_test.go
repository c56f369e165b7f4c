package modeltest_test

import (
	"context"
	"fmt"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/modeltest"
)

// A program under test gets a model that calls a tool, and then answers.
func ExampleNewScript() {
	script := modeltest.NewScript(
		modeltest.Calls(&genai.FunctionCall{ID: "call_1", Name: "fetch_document", Args: map[string]any{"document_id": "doc_9982"}}),
		modeltest.Text("Revenue grew by 12.4%."),
	)
	req := &model.LLMRequest{Contents: []*genai.Content{genai.NewContentFromText("Summarise doc_9982.", genai.RoleUser)}}
	for range 3 {
		for resp, err := range script.GenerateContent(context.Background(), req, false) {
			switch {
			case err != nil:
				fmt.Println(err)
			case resp.Content.Parts[0].FunctionCall != nil:
				fmt.Println("calls", resp.Content.Parts[0].FunctionCall.Name)
			default:
				fmt.Println(resp.Content.Parts[0].Text)
			}
		}
	}
	fmt.Println(len(script.Requests()), "requests")
	// Output:
	// calls fetch_document
	// Revenue grew by 12.4%.
	// modeltest: the script has no more turns: this is request 3
	// 3 requests
}
