package markdown_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/internal/markdown"
)

func TestSplitFrontMatter(t *testing.T) {
	t.Parallel()
	type meta = map[string]string
	for _, test := range []struct {
		name, text string
		meta       meta
		body       string
	}{
		{"none", "# T\n\nx", nil, "# T\n\nx"},
		{"flat", "---\nTitle: A plan # of ours\nkind: 'memo'\n---\n\nx", meta{"title": "A plan", "kind": "memo"}, "x"},
		{"lines of Windows", "---\r\nclassification: \"restricted\"\r\n---\r\n\r\nx\r\n", meta{"classification": "restricted"}, "x\r\n"},
		{"nested keys are no root keys", "---\ntitle: T\nauthor:\n  title: Chief\nhead:\n  - title: Card\n---\nx", meta{"title": "T", "author": "", "head": ""}, "x"},
		{"folded", "---\ntitle: >-\n  How we\n  choose\n---\nx", meta{"title": "How we choose"}, "x"},
		{"literal", "---\ntitle: |\n  Rules\n---\nx", meta{"title": "Rules\n"}, "x"},
		{"dots", "---\ntitle: T\n...\nx", meta{"title": "T"}, "x"},
		{"flow style", "---\n{title: T, classification: restricted}\n---\nx", meta{"title": "T", "classification": "restricted"}, "x"},
		{"after a long list", "---\nfrom:\n" + strings.Repeat("  - /old\n", 120) + "classification: restricted\n---\nx", meta{"from": "", "classification": "restricted"}, "x"},
		{"a list for a value", "---\nclassification: [restricted]\n---\nx", meta{"classification": ""}, "x"},
		{"null", "---\nclassification:\n---\nx", meta{"classification": ""}, "x"},
		{"escaped key", "---\n\"class\\u0069fication\": restricted\n---\nx", meta{"classification": "restricted"}, "x"},
		{"numbers and times are texts", "---\ntitle: 007\nupdated_at: 2026-05-01T10:00:00\n---\nx", meta{"title": "007", "updated_at": "2026-05-01T10:00:00"}, "x"},
		{"empty", "---\n---\nx", meta{}, "x"},
		{"after blank lines", "\n\n---\nkind: memo\n---\nx", meta{"kind": "memo"}, "x"},
		{"JSON", "{\n  \"title\": \"T\",\n  \"Classification\": \"restricted\"\n}\n\nx", meta{"title": "T", "classification": "restricted"}, "x"},
		{"all of it is JSON", `{"title":"T"}`, meta{"title": "T"}, `{"title":"T"}`},
		{"a brace", "{{ hint }}\nx", nil, "{{ hint }}\nx"},
		{"in a comment", "<!--\nclassification: restricted\n-->\n# T", meta{"classification": "restricted"}, "\n# T"},
		{"another comment", "<!-- title: T -->\nx", nil, "<!-- title: T -->\nx"},
		{"a thematic break", "---\n\nsome text", nil, "---\n\nsome text"},
		{"text between two of them", "---\n\nsome text\n\n---\n\nmore", nil, "---\n\nsome text\n\n---\n\nmore"},
		{"TOML without an end", "+++\nx", nil, "+++\nx"},
		{"an anchor alone", "---\ntitle: &t T\n---\nx", meta{"title": "T"}, "x"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, body, err := markdown.SplitFrontMatter(test.text)
			if err != nil {
				t.Fatalf("SplitFrontMatter(%q) = %v", test.text, err)
			}
			if diff := cmp.Diff(test.meta, got); diff != "" || body != test.body {
				t.Errorf("SplitFrontMatter(%q): body %q, want %q; meta -want +got:\n%s", test.text, body, test.body, diff)
			}
		})
	}
}

func TestFrontMatterThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, text, body, want string }{
		{"twice", "---\nclassification: public\nClassification: restricted\n---\nx", "x", "a key twice"},
		{"twice, the same", "---\ntitle: a\ntitle: a\n---\nx", "x", "a key twice"},
		{"alias", "---\na: &a restricted\nclassification: *a\n---\nx", "x", "alias"},
		{"nested alias", "---\na: &a [b]\nb:\n  c: *a\n---\nx", "x", "alias"},
		{"merge", "---\n<<: {classification: restricted}\n---\nx", "x", "alias"},
		{"no YAML", "---\ntitle: Ticket: 12\n---\nx", "x", "no valid YAML"},
		{"no end", "---\nclassification: restricted\n\nx", "---\nclassification: restricted\n\nx", "no end"},
		{"comment without an end", "<!-- classification: restricted\n\nx", "", "no end"},
		{"a sentence", "---\nThe classification\n---\nx", "", ""},
		{"a list", "---\n- classification: restricted\n---\nx", "x", "not keys with values"},
		{"TOML", "+++\ntitle = 'T'\n+++\nx", "x", "TOML"},
		{"TOML without an end", "+++\nclassification = 'restricted'\nx", "", "no end"},
		{"JSON twice", "{\"classification\":\"public\",\"classification\":\"restricted\"}\nx", "", "no JSON object"},
		{"JSON twice in another case", "{\"classification\":\"public\",\"CLASSIFICATION\":\"restricted\"}\nx", "x", "a key twice"},
		{"JSON without an end", "{\"classification\":\"restricted\"\nx", "", "no JSON object"},
		{"too long", "---\n" + strings.Repeat("# long\n", 10_000) + "classification: restricted\n---\nx", "x", "longer than"},
		{"too deep", "---\na: " + strings.Repeat("[", 20_000) + "\nclassification: restricted\n---\nx", "x", "no valid YAML"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			meta, body, err := markdown.SplitFrontMatter(test.text)
			if test.want == "" {
				if err != nil || meta != nil {
					t.Errorf("SplitFrontMatter(%q) = %v, %v; want a text", test.text, meta, err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || meta != nil {
				t.Errorf("SplitFrontMatter(%q) = %v, %q, %v; want an error with %q", test.text, meta, body, err, test.want)
			}
			if test.body != "" && body != test.body {
				t.Errorf("SplitFrontMatter(%q): body %q, want %q", test.text, body, test.body)
			}
		})
	}
}

func FuzzSplitFrontMatter(f *testing.F) {
	for _, seed := range []string{
		"", "---", "---\n---\n", "---\nclassification: restricted\n---\nx", "---\r\na: \"b\r\n---\r\n", "---\na: 'b\n", "+++\na=1\n+++\n", "{}", "{\"a\":{}}x", "<!--a-->",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, body, err := markdown.SplitFrontMatter(text)
		if err == nil && !strings.HasSuffix(text, body) {
			t.Errorf("the rest %q is not the end of %q", body, text)
		}
		// Whatever follows, a line that names the classification at the top is seen, or
		// the text is refused.
		for _, head := range []string{"---\nclassification: restricted\n", "{\"classification\": \"restricted\"\n", "<!--\nclassification: restricted\n"} {
			meta, _, err := markdown.SplitFrontMatter(head + text)
			// The value may go on in the next line, and is then another one.
			got, named := meta["classification"]
			if err == nil && (!named || got != "" && !strings.HasPrefix(got, "restricted")) {
				t.Errorf("%q hides the classification: %v", head+text, meta)
			}
		}
	})
}
