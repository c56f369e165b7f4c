package modelserver_test

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/anthropic"
	"github.com/jitagent/jitagent/models/gemini"
	"github.com/jitagent/jitagent/models/offline"
	"github.com/jitagent/jitagent/models/openai"
	"github.com/jitagent/jitagent/models/provider"
	"github.com/jitagent/jitagent/secret"
)

// The offline model does the same work in this process and behind each wire,
// streamed or not.
func TestOfflineModelIsTheSameOverEachWire(t *testing.T) {
	srv := serve(t, offline.New())
	key := secret.New("any key of some length")
	openAIBase, err := provider.BaseURL("openai", srv.URL+"/v1")
	if err != nil {
		t.Fatal(err)
	}
	overOpenAI, err := openai.New(provider.Config{Model: "m", Key: key, BaseURL: openAIBase})
	if err != nil {
		t.Fatal(err)
	}
	geminiBase, err := provider.BaseURL("gemini", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	overGemini, err := gemini.New(t.Context(), provider.Config{Model: "m", Key: key, BaseURL: geminiBase})
	if err != nil {
		t.Fatal(err)
	}
	anthropicBase, err := provider.BaseURL("anthropic", srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	overAnthropic, err := anthropic.New(provider.Config{Model: "m", Key: key, BaseURL: anthropicBase})
	if err != nil {
		t.Fatal(err)
	}
	want := work(t, offline.New(), false)
	if len(want) != 7 { // two fetches and a report, each with its id, and the answer
		t.Fatalf("the work has %d steps: %q", len(want), want)
	}
	for name, llm := range map[string]model.LLM{"offline": offline.New(), "openai": overOpenAI, "gemini": overGemini, "anthropic": overAnthropic} {
		for _, stream := range []bool{false, true} {
			if diff := cmp.Diff(want, work(t, llm, stream)); diff != "" {
				t.Errorf("%s, stream %v (-in this process +over the wire):\n%s", name, stream, diff)
			}
		}
	}
}

// work asks for a report on two documents, answers the calls, and returns every
// call, result and answer.
func work(t *testing.T, llm model.LLM, stream bool) (steps []string) {
	t.Helper()
	schema := func(names ...any) map[string]any {
		properties := make(map[string]any)
		for _, name := range names {
			properties[name.(string)] = map[string]any{"type": "string"}
		}
		return map[string]any{"type": "object", "properties": properties, "required": names}
	}
	req := &model.LLMRequest{
		Contents: []*genai.Content{genai.NewContentFromText("Fetch doc_1 and doc_2 and create a report titled 'Both'.", genai.RoleUser)},
		Config: &genai.GenerateContentConfig{
			SystemInstruction: genai.NewContentFromText("You are a document analyst.", genai.RoleUser),
			Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
				{Name: "fetch_document", Description: "Fetch one document by its identifier.", ParametersJsonSchema: schema("document_id")},
				{Name: "create_report", Description: "Create one report from a title and a text.", ParametersJsonSchema: schema("title", "content")},
			}}},
		},
	}
	for range 5 {
		var last *model.LLMResponse
		for resp, err := range llm.GenerateContent(t.Context(), req, stream) {
			if err != nil {
				t.Fatal(err)
			}
			last = resp
		}
		req.Contents = append(req.Contents, last.Content)
		results := &genai.Content{Role: genai.RoleUser}
		for _, p := range last.Content.Parts {
			if p.Text != "" {
				steps = append(steps, p.Text)
			}
			call := p.FunctionCall
			if call == nil {
				continue
			}
			result := map[string]any{"id": "rep_1", "path": "reports/rep_1.md"}
			if id, ok := call.Args["document_id"].(string); ok {
				result = map[string]any{"id": id, "title": "Über " + id, "content": "Revenue of " + id + " grew by 12.4% in 2025. Costs fell to EUR 4.8 million."}
			}
			text, err := json.Marshal([]any{call.ID != "", call.Name, call.Args, result})
			if err != nil {
				t.Fatal(err)
			}
			steps = append(steps, string(text), call.ID)
			results.Parts = append(results.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{ID: call.ID, Name: call.Name, Response: result}})
		}
		if len(results.Parts) == 0 {
			return steps
		}
		req.Contents = append(req.Contents, results)
	}
	t.Fatalf("no end after %q", steps)
	return nil
}
