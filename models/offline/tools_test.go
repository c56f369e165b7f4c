package offline

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"
	"google.golang.org/genai"
)

func TestFindTools(t *testing.T) {
	object := func(required []any, properties map[string]any) map[string]any {
		return map[string]any{"type": "object", "properties": properties, "required": required}
	}
	str := func(description string) map[string]any {
		return map[string]any{"type": "string", "description": description}
	}
	type fetchArgs struct {
		Ref string `json:"documentRef" jsonschema:"identifier of the document"`
	}
	inferred, err := jsonschema.For[fetchArgs](nil)
	if err != nil {
		t.Fatal(err)
	}
	decl := func(name, description string, schema any) *genai.FunctionDeclaration {
		return &genai.FunctionDeclaration{Name: name, Description: description, ParametersJsonSchema: schema}
	}
	documentID := object([]any{"document_id"}, map[string]any{"document_id": str("")})
	titled := object([]any{"title", "content"}, map[string]any{"title": str(""), "content": str("")})
	tests := []struct {
		name   string
		decl   *genai.FunctionDeclaration
		fetch  *fetchTool
		report *reportTool
	}{
		// Not tools for these ends.
		{"nil", nil, nil, nil},
		{"no parameters", decl("fetch_document", "Fetch a document.", nil), nil, nil},
		{"schema is no schema", decl("fetch_document", "Fetch a document.", func() {}), nil, nil},
		{"deletes", decl("delete_document", "Get rid of a document.", documentID), nil, nil},
		{"deletes, by description", decl("zap", "Deletes the document for good.", documentID), nil, nil},
		{"searches", decl("search_documents", "Return documents that match.", object(nil, map[string]any{"query": str("words to look for")})), nil, nil},
		{"shares", decl("share_document", "Fetch and send a document.", documentID), nil, nil},
		{"says nothing of reading", decl("document", "", documentID), nil, nil},
		{"needs more than an id", decl("fetch_document", "Fetch a document.", object([]any{"document_id", "pin"}, map[string]any{"document_id": str(""), "pin": str("")})), nil, nil},
		{"id is an object", decl("fetch_document", "Fetch.", object(nil, map[string]any{"document_id": map[string]any{"type": "object"}})), nil, nil},
		{"sends mail", decl("send_email", "Write an email.", object(nil, map[string]any{"subject": str(""), "body": str("")})), nil, nil},
		{"updates", decl("update_report", "Update a report.", titled), nil, nil},
		{"weather", decl("get_weather", "Get the weather of a city.", object(nil, map[string]any{"city": str("name of the city")})), nil, nil},

		// Tools, under several names and kinds of schema.
		{"as the analyst has it", decl("fetch_document", "Fetch one protected document by its identifier.", documentID), &fetchTool{name: "fetch_document", id: "document_id"}, nil},
		{"renamed", decl("kb_article", "Returns one article of the knowledge base.", object([]any{"slug"}, map[string]any{"slug": str("identifier of the article"), "format": str("")})), &fetchTool{name: "kb_article", id: "slug"}, nil},
		{"camel case, jsonschema-go", decl("loadFile", "", inferred), &fetchTool{name: "loadFile", id: "documentRef"}, nil},
		{"genai schema", &genai.FunctionDeclaration{Name: "read_doc", Parameters: &genai.Schema{Type: genai.TypeObject, Properties: map[string]*genai.Schema{"doc": {Type: genai.TypeString}}}}, &fetchTool{name: "read_doc", id: "doc"}, nil},
		{"reference to a definition", decl("fetch_document", "", map[string]any{"$ref": "#/$defs/Args", "$defs": map[string]any{"Args": documentID}}), &fetchTool{name: "fetch_document", id: "document_id"}, nil},
		{"nullable id and a default", decl("open_record", "", object([]any{"id", "lang"}, map[string]any{"id": map[string]any{"type": []any{"string", "null"}}, "lang": map[string]any{"type": "string", "default": "en"}})), &fetchTool{name: "open_record", id: "id"}, nil},
		{"report", decl("create_report", "Create one report.", titled), nil, &reportTool{name: "create_report", title: "title", content: "content"}},
		{"renamed report", decl("publish_note", "", object([]any{"headline", "body"}, map[string]any{"headline": str(""), "body": str("Markdown")})), nil, &reportTool{name: "publish_note", title: "headline", content: "body"}},
		{"report with sources", decl("save_summary", "", object([]any{"title", "text"}, map[string]any{"title": str(""), "text": str(""), "sources": map[string]any{"type": "array", "items": map[string]any{"type": "string"}}})), nil, &reportTool{name: "save_summary", title: "title", content: "text", sources: "sources"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			box := findTools(&genai.GenerateContentConfig{Tools: []*genai.Tool{nil, {FunctionDeclarations: []*genai.FunctionDeclaration{tt.decl}}}})
			got, want := toolbox{fetch: box.fetch, report: box.report}, toolbox{fetch: tt.fetch, report: tt.report}
			if diff := cmp.Diff(want, got, cmp.AllowUnexported(toolbox{}, fetchTool{}, reportTool{})); diff != "" {
				t.Errorf("tools (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("identifiers as the tool takes them", func(t *testing.T) {
		pattern := object([]any{"document_id"}, map[string]any{"document_id": map[string]any{"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}})
		box := findTools(&genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{decl("fetch_document", "", pattern)}}}})
		for prompt, want := range map[string]string{
			"Summarize memo.md": "memo", "Summarize 'Q4 Report.md'": "Q4-Report", "Summarize Q4 Report.md": "Q4-Report", "Summarise the Board Minutes 2025.docx, please": "Board-Minutes-2025", "Please read contract.pdf": "contract",
			"Fetch doc_1": "doc_1", "Summarize document über": "über",
		} {
			if got := box.parse(prompt).ids; len(got) != 1 || got[0] != want {
				t.Errorf("%q names %q, want %q", prompt, got, want)
			}
		}
		var none *fetchTool
		if got := none.fit("memo.md"); got != "memo.md" {
			t.Errorf("without a tool: %q", got)
		}
	})
	t.Run("the best of several", func(t *testing.T) {
		box := findTools(&genai.GenerateContentConfig{Tools: []*genai.Tool{{FunctionDeclarations: []*genai.FunctionDeclaration{
			decl("get_user", "Get a user.", object(nil, map[string]any{"user_id": str("")})),
			decl("fetch_document", "Fetch a document.", documentID),
			decl("read_file", "", object(nil, map[string]any{"file": str("")})),
		}}}})
		if box.fetch == nil || box.fetch.name != "fetch_document" {
			t.Errorf("got %+v, want fetch_document", box.fetch)
		}
	})
}
