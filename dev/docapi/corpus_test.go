package docapi

import (
	"slices"
	"strings"
	"testing"
	"unicode"
)

// What the rest of the project and the guides rely on.
func TestCorpus(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	if got := f.server.Sensitive(); !slices.Equal(got, []string{"doc_7310", "doc_7344"}) {
		t.Errorf("Sensitive() = %v", got)
	}
	ids := f.server.IDs()
	if len(ids) < 9 {
		t.Errorf("only %d documents: %v", len(ids), ids)
	}
	for _, id := range ids {
		d := f.server.docs[id]
		if !strings.HasPrefix(id, "doc_") || d.Title == "" || d.Title == id || d.Kind == "document" || d.UpdatedAt.Year() < 2024 {
			t.Errorf("%s: title %q, kind %q, updated %v", id, d.Title, d.Kind, d.UpdatedAt)
		}
		if strings.HasPrefix(d.Content, "---") {
			t.Errorf("%s: front matter in the content", id)
		}
		if strings.ContainsFunc(d.Content, unfitForContent) {
			t.Errorf("%s: control characters", id)
		}
	}
	doc := func(id string) *document {
		if d := f.server.docs[id]; d != nil {
			return d
		}
		t.Errorf("there is no %s", id)
		return &document{}
	}
	if words := len(strings.Fields(doc("doc_9982").Content)); words < 600 || words > 900 {
		t.Errorf("doc_9982 has %d words", words)
	}
	if words := len(strings.Fields(doc("doc_4417").Content)); words < 2500 {
		t.Errorf("the long document has %d words", words)
	}
	if n := strings.Count(doc("doc_5120").Content, "\n| ---"); n < 3 {
		t.Errorf("the document with tables has %d", n)
	}
	if d := doc("doc_3308"); d.ContentType != "text/plain" {
		t.Errorf("doc_3308 is %s", d.ContentType)
	}
	for id, script := range map[string]*unicode.RangeTable{
		"doc_6203": unicode.Hiragana, "doc_6215": unicode.Arabic,
	} {
		if !strings.ContainsFunc(doc(id).Content, func(r rune) bool { return unicode.Is(script, r) }) {
			t.Errorf("%s lacks its script", id)
		}
	}
}

// One world: a figure that two documents give is the same in both.
func TestCorpusAgreesWithItself(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	for figure, ids := range map[string][]string{
		"1,412":             {"doc_9982", "doc_4417"},
		"$0.74 million":     {"doc_9982", "doc_4417"},
		"318 customers":     {"doc_9982", "doc_4417"},
		"48.6":              {"doc_9982", "doc_5120"},
		"+33.3%":            {"doc_5120"},
		"33.3%":             {"doc_6203"},
		"$0.35M":            {"doc_3308"},
		"$0.35 million":     {"doc_9982"},
		"$37.2 million":     {"doc_9982", "doc_7344"},
		"14 open positions": {"doc_9982", "doc_1001"},
		"8.3":               {"doc_2750", "doc_4417", "doc_6215"},
		"99.07%":            {"doc_4417"},
	} {
		for _, id := range ids {
			if d := f.server.docs[id]; d == nil || !strings.Contains(d.Content, figure) {
				t.Errorf("%s does not say %s", id, figure)
			}
		}
	}
}
