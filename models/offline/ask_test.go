package offline

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var compareAsks = cmp.Options{cmp.AllowUnexported(ask{}, lengths{}), cmpopts.EquateEmpty(), cmpopts.IgnoreFields(ask{}, "words", "verbs", "all", "focus", "summary", "fresh")}

func TestParse(t *testing.T) {
	reserved := map[string]bool{"fetch_document": true, "create_report": true, "document_id": true}
	report := func(title string, ids ...string) ask { return ask{ids: ids, report: true, title: title} }
	read := func(ids ...string) ask { return ask{ids: ids} }
	about := func(question string, ids ...string) ask {
		return ask{ids: ids, question: strings.Fields(question)}
	}
	tests := []struct {
		prompt string
		want   ask
	}{
		// What must not be taken for a document, a report or an order.
		{"", ask{}},
		{"the document about churn", ask{}},
		{"Summarise the document", ask{}},
		{"Q4-2025 and 2024-11-30 and top-10, 10-K, 3.5", ask{}},
		{"Use fetch_document", ask{}},
		{"see https://example.com/doc_1/x-1", ask{}},
		{"write to me@acme-corp.example", ask{}},
		{"Summarise doc_1, not doc_2", read("doc_1")},
		{"Summarise everything except doc_2 and doc_3", ask{}},
		{"Don't fetch doc_1, fetch doc_2", read("doc_2")},
		{"Fetch doc_1 but don't create a report", read("doc_1")},
		{"Fetch doc_1 without making a report", read("doc_1")},
		{"Fetch doc_1, no report please", read("doc_1")},
		{"Summarise the report doc_5", read("doc_5")},
		{"Fetch report_7 and summarize", read("report_7")},
		{"Give me an overview of the report doc_5", read("doc_5")},
		{"Create a summary of the report doc_5", read("doc_5")},
		{"Summarise doc_1 and remove the jargon", read("doc_1")},
		{"Send me a summary of doc_1", read("doc_1")},
		{"Share with us what doc_1 says", read("doc_1")},
		{"delete doc_1", ask{ids: []string{"doc_1"}, effect: "delete"}},
		{"please can you erase doc_1", ask{ids: []string{"doc_1"}, effect: "erase"}},
		{"remove it", ask{effect: "remove"}},
		{"Read doc_1. Then email it to Bob.", ask{ids: []string{"doc_1"}, effect: "email"}},
		{"Write a poem about doc_1", ask{ids: []string{"doc_1"}, effect: "write"}},
		{"Don't delete anything, summarise doc_1", read("doc_1")},

		// Identifiers.
		{"Fetch document 42", read("42")},
		{"Fetch document #42.", read("42")},
		{"Summarize document memo", read("memo")},
		{"Summarise doc list, briefly", ask{ids: []string{"list"}, want: lengths{brief: true}}},
		{"Fetch document report and create a report titled 'T'", ask{ids: []string{"report"}, report: true, title: "T"}},
		{"Summarise document and say how long it is", ask{}},
		{"Use document document_id", ask{}},
		{"Summarise documents a, b and c", read("a", "b", "c")},
		{"Summarise documents alpha, beta and gamma and keep it short", ask{ids: []string{"alpha", "beta", "gamma"}, want: lengths{brief: true}}},
		{"documents 1, 2, 3", read("1", "2", "3")},
		{"Read document a.", read("a")},
		{"Read a document.", ask{}},
		{"Read the file readme and tell me more", read("readme")},
		{"Does the document mention churn?", about("churn")},
		{"Does the document address pricing?", about("address pric")},
		{"What do the files hold?", about("hold")},
		{"Fetch 'policy-7', \"my doc\" and `x`", read("policy-7", "my doc", "x")},
		{"Fetch the document called 'Annual Plan'", read("Annual Plan")},
		{"Fetch the document with the id INV-2024-01, please", read("INV-2024-01")},
		{"open notes.md and doc9", read("notes.md", "doc9")},
		{"doc_1 doc_1 (doc_1), **doc_2**", read("doc_1", "doc_2")},
		{"doc_1/doc_2?", read("doc_1/doc_2")},
		{"文書doc_9982を要約して", read("doc_9982")},
		{"文書「売上_2024」を要約", read("売上_2024")},

		// Titles.
		{"Fetch doc_1 and create a report titled 'Q4 Analysis'.", report("Q4 Analysis", "doc_1")},
		{"Fetch doc_1 and create report \"Q4\"", report("Q4", "doc_1")},
		{"report named Y v1.2 from doc_1 and doc_2, please", report("Y v1.2", "doc_1", "doc_2")},
		{"Create a report called Review and Outlook for doc_3", report("Review and Outlook", "doc_3")},
		{"Create a report called Profit and loss (draft) and send me doc_3", report("Profit and loss (draft)", "doc_3")},
		{"Make a report entitled: The Big One, and include the figures of doc_1", report("The Big One", "doc_1")},
		{"Create a report with title Half Year, then stop. Use doc_1", report("Half Year", "doc_1")},
		{"Combine doc_1 with doc_2 in one report. Title: Combined View", report("Combined View", "doc_1", "doc_2")},
		{"Write a report about doc_1 and call it 'Short'", report("Short", "doc_1")},
		{"Create a report titled 'Customers' churn' from doc_1", report("Customers' churn", "doc_1")},
		{"Create a report titled 'A' and cite 'doc_1'", report("A", "doc_1")},
		{"Create a report titled 'Bob's day' from doc_1", report("Bob's day", "doc_1")},
		{"Create a report titled 'doc_1 in short' from doc_2", report("doc_1 in short", "doc_2")},
		{"Create a report called Review of doc_1", report("Review", "doc_1")},
		{"What is the title of doc_1?", read("doc_1")},
		{"Create a document titled 'X' from doc_1", report("X", "doc_1")},
		{"Turn doc_1 into a report", report("", "doc_1")},
		{"Read doc_1 and write it up", report("", "doc_1")},
		{"Create a report. Its heading is 'H'. Use doc_1", report("H", "doc_1")},
		{"Combine the docs a-1 & b-2 in a report with the heading Half Year about them", report("Half Year", "a-1", "b-2")},
		{"I'd like a report on doc_1", report("", "doc_1")},
		{"『四半期報告』というレポートを doc_1 から作成", report("四半期報告", "doc_1")},
		{"Erstelle einen Bericht „Lage“ aus doc_1", report("Lage", "doc_1")},

		// Questions and manner.
		{"What does doc_12 say?", read("doc_12")},
		{"What is doc_12 about?", read("doc_12")},
		{"Can you summarise doc_12?", read("doc_12")},
		{"What does doc_1 say about covid-19?", about("covid 19", "doc_1")},
		{"covid-19 in doc_1", ask{ids: []string{"doc_1"}, question: []string{"covid", "19"}, guessed: true}},
		{"Fetch doc_1 and tell me what the churn rate is", about("churn rat", "doc_1")},
		{"Which risks and costs does doc_1 mention?", about("risk cost", "doc_1")},
		{"and what about churn?", about("churn")},
		{"Summarise doc_1 in three bullet points", ask{ids: []string{"doc_1"}, want: lengths{points: 3}}},
		{"doc_1 in 2 sentences", ask{ids: []string{"doc_1"}, want: lengths{sentences: 2}}},
		{"Briefly summarise doc_1", ask{ids: []string{"doc_1"}, want: lengths{brief: true}}},
		{"It's approved now, try again", ask{again: true}},
		{"Read doc_1 and doc_2, make a report for each", ask{ids: []string{"doc_1", "doc_2"}, report: true, separate: true}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, parse(tt.prompt, reserved), compareAsks); diff != "" {
			t.Errorf("parse(%q) (-want +got):\n%s", tt.prompt, diff)
		}
	}
}

func TestParseBoundsTheDocuments(t *testing.T) {
	prompt := "Summarise"
	for i := range maxIDs + 2 {
		prompt += fmt.Sprintf(" doc_%d,", i)
	}
	a := parse(prompt, nil)
	if len(a.ids) != maxIDs || a.more != 2 {
		t.Errorf("%d identifiers and %d more, want %d and 2", len(a.ids), a.more, maxIDs)
	}
}

func TestWordsSpanThePrompt(t *testing.T) {
	const prompt = "Say 'it's' (doc_1), «два слова»; 文書a_1を."
	var got []string
	for _, w := range splitWords(prompt) {
		got = append(got, prompt[w.start:w.end]+"|"+w.after)
	}
	want := []string{"Say|", "'it's'|)", "doc_1|),", "«два слова»|;", "文書|", "a_1|", "を|."}
	want[1] = "'it's'|(" // the bracket belongs to what came before it
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("words (-want +got):\n%s", diff)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'.",
		"documents a, b and c", "titled", "call it", "as 'x", "'", "“", "report named", "『四半期報告』doc_1",
		"title: ( doc_1", "don't", "document #", "in 3 sentences?", "\xff\x00'\xff'", strings.Repeat("'a ", 50),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, prompt string) {
		a := parse(prompt, map[string]bool{"fetch_document": true})
		if len(a.ids) > maxIDs {
			t.Errorf("%d identifiers", len(a.ids))
		}
		for _, id := range a.ids {
			if id == "" || len(id) > 128 || !strings.Contains(prompt, id) {
				t.Errorf("identifier %q is not in %q", id, prompt)
			}
		}
		if !strings.Contains(prompt, strings.TrimSuffix(a.title, ")")) {
			t.Errorf("title %q is not in %q", a.title, prompt)
		}
		for _, w := range splitWords(prompt) {
			if w.start < 0 || w.end > len(prompt) || w.start > w.end {
				t.Fatalf("word %+v outside of the prompt", w)
			}
		}
	})
}
