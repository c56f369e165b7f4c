package offline_test

import (
	"os"
	"strings"
	"testing"

	"google.golang.org/adk/v2/model"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/offline"
)

// The three calls of a session: which document to fetch, what to put in the report,
// and what to say at the end. The last two read the document.
func BenchmarkSession(b *testing.B) {
	page, err := os.ReadFile("../../dev/docapi/corpus/doc_9982.md")
	if err != nil {
		b.Fatal(err)
	}
	for name, text := range map[string]string{
		"page": string(page),
		"book": strings.Repeat(string(page), 50),
	} {
		requests := sessionRequests(b, text)
		for i, step := range []string{"fetch", "report", "answer"} {
			b.Run(name+"/"+step, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					generate(b, requests[i])
				}
			})
		}
	}
}

// sessionRequests returns what the model is sent in a session, call by call.
func sessionRequests(b *testing.B, text string) []*model.LLMRequest {
	contents := []*genai.Content{genai.NewContentFromText("Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'.", genai.RoleUser)}
	var requests []*model.LLMRequest
	for _, result := range []map[string]any{
		{"id": "doc_9982", "title": "Q4 analysis", "content": text},
		{"id": "rep_1", "title": "Q4 Analysis", "path": "reports/q4-analysis.md"},
	} {
		req := &model.LLMRequest{Contents: contents, Config: analystTools()}
		requests = append(requests, req)
		said := generate(b, req)
		if len(said.Parts) != 1 || said.Parts[0].FunctionCall == nil {
			b.Fatalf("call %d: the model made no call", len(requests))
		}
		call := said.Parts[0].FunctionCall
		contents = append(contents[:len(contents):len(contents)], said, &genai.Content{Role: genai.RoleUser, Parts: []*genai.Part{
			{FunctionResponse: &genai.FunctionResponse{ID: call.ID, Name: call.Name, Response: result}},
		}})
	}
	return append(requests, &model.LLMRequest{Contents: contents, Config: analystTools()})
}

func generate(b *testing.B, req *model.LLMRequest) *genai.Content {
	for resp, err := range offline.New().GenerateContent(b.Context(), req, false) {
		if err != nil {
			b.Fatal(err)
		}
		return resp.Content
	}
	b.Fatal("no response")
	return nil
}
