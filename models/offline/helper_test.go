package offline_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/offline"
)

// analystTools declares the two tools as the analyst does.
func analystTools() *genai.GenerateContentConfig {
	return declare(
		&genai.FunctionDeclaration{
			Name:        "fetch_document",
			Description: "Fetch one protected document by its identifier and return its title and full text.",
			ParametersJsonSchema: map[string]any{
				"type":       "object",
				"properties": map[string]any{"document_id": map[string]any{"type": "string", "description": "Identifier such as doc_9982"}},
				"required":   []any{"document_id"},
			},
		},
		&genai.FunctionDeclaration{
			Name:        "create_report",
			Description: "Create one report from a title and a Markdown text.",
			ParametersJsonSchema: map[string]any{
				"type": "object",
				"properties": map[string]any{
					"title":   map[string]any{"type": "string"},
					"content": map[string]any{"type": "string", "description": "The whole report in Markdown"},
				},
				"required": []any{"title", "content"},
			},
		},
	)
}

func declare(d ...*genai.FunctionDeclaration) *genai.GenerateContentConfig {
	return &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: d}}}
}

// A talk is a conversation with the model, with a func in place of the tools.
type talk struct {
	t        *testing.T
	config   *genai.GenerateContentConfig
	answer   func(*genai.FunctionCall) map[string]any
	contents []*genai.Content
	calls    []*genai.FunctionCall
}

// say sends a message, lets the model call tools until it answers, and returns the
// answer and the calls that led to it.
func (c *talk) say(message string) (string, []*genai.FunctionCall) {
	c.t.Helper()
	c.contents = append(c.contents, genai.NewContentFromText(message, genai.RoleUser))
	var calls []*genai.FunctionCall
	for range 6 {
		resp := one(c.t, &model.LLMRequest{Contents: c.contents, Config: c.config}, false)
		c.contents = append(c.contents, resp.Content)
		results := &genai.Content{Role: genai.RoleUser}
		for _, p := range resp.Content.Parts {
			if call := p.FunctionCall; call != nil {
				calls = append(calls, call)
				results.Parts = append(results.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{
					ID: call.ID, Name: call.Name, Response: c.answer(call),
				}})
			}
		}
		if len(results.Parts) == 0 {
			c.calls = append(c.calls, calls...)
			return text(resp.Content), calls
		}
		c.contents = append(c.contents, results)
	}
	c.t.Fatalf("%q: still calling tools after 6 steps: %v", message, summary(calls))
	return "", nil
}

// one returns the last response to req.
func one(t *testing.T, req *model.LLMRequest, stream bool) *model.LLMResponse {
	t.Helper()
	var last *model.LLMResponse
	for resp, err := range offline.New().GenerateContent(t.Context(), req, stream) {
		if err != nil {
			t.Fatal(err)
		}
		last = resp
	}
	if last == nil {
		t.Fatal("no response")
	}
	return last
}

func text(c *genai.Content) string {
	var b strings.Builder
	for _, p := range c.Parts {
		b.WriteString(p.Text)
	}
	return b.String()
}

// summary writes calls as "fetch_document(doc_1)" and "create_report(Title)".
func summary(calls []*genai.FunctionCall) []string {
	var out []string
	for _, call := range calls {
		arg, _ := call.Args["document_id"].(string)
		if title, ok := call.Args["title"].(string); ok {
			arg = title
		}
		out = append(out, call.Name+"("+arg+")")
	}
	return out
}

// corpus answers calls from testdata/docs by file name without its ending, as the
// protected API would.
func corpus(t *testing.T) func(*genai.FunctionCall) map[string]any {
	t.Helper()
	texts := make(map[string]string)
	files, err := filepath.Glob("testdata/docs/*")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		texts["doc_"+strings.TrimSuffix(filepath.Base(f), filepath.Ext(f))] = string(b)
	}
	return func(call *genai.FunctionCall) map[string]any {
		if _, ok := call.Args["content"]; ok {
			return map[string]any{"id": "rep_7", "title": call.Args["title"], "path": "reports/rep_7.md"}
		}
		id, _ := call.Args["document_id"].(string)
		body, ok := texts[id]
		if !ok {
			return map[string]any{"status": "failed", "error": "no document has the identifier " + id}
		}
		return map[string]any{"id": id, "content": body}
	}
}
