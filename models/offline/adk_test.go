package offline_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/offline"
)

// The model drives ADK's own agent and runner, with tools whose schemas
// functiontool infers, in both streaming modes and over two turns.
func TestThroughADK(t *testing.T) {
	for _, mode := range []agent.StreamingMode{agent.StreamingModeNone, agent.StreamingModeSSE} {
		t.Run(string(mode), func(t *testing.T) {
			type document struct {
				ID      string `json:"id"`
				Title   string `json:"title"`
				Content string `json:"content"`
			}
			type fetchArgs struct {
				DocumentID string `json:"document_id" jsonschema:"identifier of the document"`
			}
			type reportArgs struct {
				Title   string `json:"title"`
				Content string `json:"content"`
			}
			var calls []string
			var ids []string
			fetch, err := functiontool.New(functiontool.Config{Name: "fetch_document", Description: "Fetches a document."},
				func(ctx agent.Context, a fetchArgs) (document, error) {
					ids = append(ids, ctx.FunctionCallID())
					calls = append(calls, "fetch "+a.DocumentID)
					return document{ID: a.DocumentID, Title: "Pump Log", Content: "# Log\n\nPump 4 was replaced on 3 May at a cost of EUR 900."}, nil
				})
			if err != nil {
				t.Fatal(err)
			}
			report, err := functiontool.New(functiontool.Config{Name: "create_report", Description: "Creates a report."},
				func(ctx agent.Context, a reportArgs) (map[string]any, error) {
					ids = append(ids, ctx.FunctionCallID())
					calls = append(calls, "report "+a.Title)
					if !strings.Contains(a.Content, "EUR 900") {
						return nil, fmt.Errorf("the report lacks the figure: %s", a.Content)
					}
					return map[string]any{"id": "rep_1"}, nil
				})
			if err != nil {
				t.Fatal(err)
			}
			analyst, err := llmagent.New(llmagent.Config{Name: "analyst", Model: offline.New(), Tools: []tool.Tool{fetch, report}})
			if err != nil {
				t.Fatal(err)
			}
			r, err := runner.New(runner.Config{AppName: "test", Agent: analyst, SessionService: session.InMemoryService(), AutoCreateSession: true})
			if err != nil {
				t.Fatal(err)
			}
			say := func(message string) (answer, streamed string) {
				for ev, err := range r.Run(t.Context(), "user", "s1", genai.NewContentFromText(message, genai.RoleUser), agent.RunConfig{StreamingMode: mode}) {
					switch {
					case err != nil:
						t.Fatal(err)
					case ev.Content == nil:
					case ev.Partial:
						streamed += text(ev.Content)
					case ev.IsFinalResponse():
						answer = text(ev.Content)
					}
				}
				return answer, streamed
			}
			answer, streamed := say("Fetch document doc_7, summarise it, and create a report titled 'May'.")
			if !strings.Contains(answer, "“May” was created (rep_1)") || !strings.Contains(answer, "EUR 900") {
				t.Errorf("answer:\n%s", answer)
			}
			if mode == agent.StreamingModeSSE && streamed != answer {
				t.Errorf("streamed %q, answer %q", streamed, answer)
			}
			if answer, _ = say("what did pump 4 cost?"); !strings.Contains(answer, "EUR 900") {
				t.Errorf("follow-up:\n%s", answer)
			}
			if diff := cmp.Diff([]string{"fetch doc_7", "report May"}, calls); diff != "" {
				t.Errorf("calls (-want +got):\n%s", diff)
			}
			for _, id := range ids {
				if !strings.HasPrefix(id, "call_") {
					t.Errorf("the tool saw call id %q, want the model's own", id)
				}
			}
		})
	}
}

// A conversation of one turn: the model asks for the document first.
func ExampleModel() {
	declaration := &genai.FunctionDeclaration{
		Name:        "fetch_document",
		Description: "Fetches a document by its identifier.",
		Parameters:  &genai.Schema{Type: genai.TypeObject, Properties: map[string]*genai.Schema{"document_id": {Type: genai.TypeString}}},
	}
	req := &model.LLMRequest{
		Contents: []*genai.Content{genai.NewContentFromText("Summarise doc_7 and doc_8", genai.RoleUser)},
		Config:   &genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{declaration}}}},
	}
	for resp, err := range offline.New().GenerateContent(context.Background(), req, false) {
		if err != nil {
			fmt.Println(err)
			return
		}
		for _, p := range resp.Content.Parts {
			args, err := json.Marshal(p.FunctionCall.Args)
			fmt.Println(p.FunctionCall.Name, string(args), err)
		}
	}
	// Output:
	// fetch_document {"document_id":"doc_7"} <nil>
	// fetch_document {"document_id":"doc_8"} <nil>
}
