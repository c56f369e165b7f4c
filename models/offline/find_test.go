package offline_test

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/genai"
)

// Documents that are named by words are found where there is a tool that searches.
func TestSearch(t *testing.T) {
	config := analystTools()
	config.Tools[0].FunctionDeclarations = append(config.Tools[0].FunctionDeclarations, &genai.FunctionDeclaration{
		Name:        "search_documents",
		Description: "Search the protected documents for words, and return the ids and titles of those that hold all of them.",
		ParametersJsonSchema: map[string]any{
			"type": "object", "properties": map[string]any{"query": map[string]any{"type": "string"}}, "required": []any{"query"},
		},
	})
	documents := []struct{ id, title, text string }{
		{"doc_1", "Q4 2025 Business Review", "Revenue rose by 12% in Q4. Churn fell in Osaka."},
		{"doc_2", "Notes on Q4", "The Q4 notes are short. Nothing else is known."},
		{"doc_3", "Osaka depot", "The depot opens in March. It costs 40 euros."},
	}
	answer := func(call *genai.FunctionCall) map[string]any {
		if q, ok := call.Args["query"].(string); ok {
			hits := []any{}
			for _, d := range documents {
				all := strings.ToLower(d.title + " " + d.text)
				if q == "*" || !slices.ContainsFunc(strings.Fields(strings.ToLower(q)), func(w string) bool { return !strings.Contains(all, w) }) {
					hits = append(hits, map[string]any{"id": d.id, "title": d.title, "snippet": "x"})
				}
			}
			return map[string]any{"documents": hits, "total": len(hits)}
		}
		if _, ok := call.Args["content"]; ok {
			return map[string]any{"id": "rep_7"}
		}
		for _, d := range documents {
			if d.id == call.Args["document_id"] {
				return map[string]any{"id": d.id, "title": d.title, "content": d.text}
			}
		}
		return map[string]any{"status": "not_found"}
	}
	for _, test := range []struct {
		prompt string
		calls  string
		want   string
	}{
		{"Which documents are there?", "search_documents(*)", "- Osaka depot (doc_3)"},
		{"What files do you have", "search_documents(*)", "- Notes on Q4 (doc_2)"},
		{"Summarise the Q4 review", "search_documents(Q4) fetch_document(doc_1)", "Revenue rose by 12%"},
		{"Create a report about the Osaka depot titled 'Depots'", "search_documents(Osaka depot) fetch_document(doc_3) create_report(Depots)", "“Depots” was created (rep_7)"},
		{"Summarise the notes about Q4", "search_documents(notes Q4) fetch_document(doc_2)", "The Q4 notes are short."},
		{"What does the depot cost?", "search_documents(depot cost) fetch_document(doc_3)", "It costs 40 euros."},
		{"Summarise the Q4 documents", "search_documents(Q4)", "Several documents have “Q4” in them"},
		{"Summarise the Lisbon lease", "search_documents(Lisbon lease)", "I find no document with “Lisbon lease”"},
		{"Fetch doc_3", "fetch_document(doc_3)", "The depot opens in March."},
		{"hello there", "", "Which documents are there?"},
		{"delete the Osaka depot documents", "", "beyond me"},
		{"Summarise it", "", "I need to know which document you mean: name its identifier, such as doc_9982."},
	} {
		c := &talk{t: t, config: config, answer: answer}
		got, calls := c.say(test.prompt)
		var names []string
		for i, s := range summary(calls) {
			if q, ok := calls[i].Args["query"].(string); ok {
				s = calls[i].Name + "(" + q + ")"
			}
			names = append(names, s)
		}
		if strings.Join(names, " ") != test.calls || !strings.Contains(got, test.want) {
			t.Errorf("%q: %q and %q, want %q and %q", test.prompt, names, got, test.calls, test.want)
		}
	}
	// What was found is what the conversation is about.
	c := &talk{t: t, config: config, answer: answer}
	c.say("Summarise the Osaka depot")
	if got, calls := c.say("What does it cost?"); len(calls) != 0 || !strings.Contains(got, "40 euros") {
		t.Errorf("after a search: %q and %v", got, summary(calls))
	}
	// Without the tool nothing changes, and a search that is refused is said.
	c = &talk{t: t, config: analystTools(), answer: answer}
	if got, calls := c.say("Which documents are there?"); len(calls) != 0 || !strings.Contains(got, "I am the offline model") {
		t.Errorf("without the tool: %q and %v", got, summary(calls))
	}
	c = &talk{t: t, config: config, answer: func(*genai.FunctionCall) map[string]any {
		return map[string]any{"status": "denied", "error": "not allowed"}
	}}
	if got, calls := c.say("Which documents are there?"); len(calls) != 1 || !strings.Contains(got, "permission was denied: not allowed") {
		t.Errorf("denied: %q and %v", got, summary(calls))
	}
}
