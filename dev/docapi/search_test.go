package docapi

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestSearchesThatAreRefused(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	for _, test := range []struct{ name, query, say string }{
		{"no query", "", "exactly one parameter"},
		{"empty", "query=", "empty"},
		{"blank", "query=%20%09", "empty"},
		{"two queries", "query=a&query=b", "exactly one parameter"},
		{"another parameter", "query=a&limit=1000", "exactly one parameter"},
		{"other case", "QUERY=a", "exactly one parameter"},
		{"bad escape", "query=%zz", "exactly one parameter"},
		{"semicolon", "query=a;query=b", "exactly one parameter"},
		{"not UTF-8", "query=%ff", "control characters"},
		{"control character", "query=a%00b", "control characters"},
		{"direction override", "query=a%E2%80%AEb", "control characters"},
		{"too long", "query=" + strings.Repeat("a", 201), "200 characters"},
		{"too many words", "query=a+b+c+d+e+f+g+h+i", "8 words"},
	} {
		got := f.send("GET", "/v1/documents?"+test.query, "search", "")
		if got.status != 400 || !strings.Contains(got.body, test.say) {
			t.Errorf("%s: %d %s, want 400 with %q", test.name, got.status, got.body, test.say)
		}
	}
}

func (f *fixture) search(query string) searchResult {
	f.t.Helper()
	got := f.send("GET", "/v1/documents?query="+url.QueryEscape(query), "search", "")
	var result searchResult
	if err := json.Unmarshal([]byte(got.body), &result); err != nil || got.status != 200 {
		f.t.Fatalf("search %q = %d %s", query, got.status, got.body)
	}
	return result
}

func TestSearch(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.md":                     "# Plan for Osaka\n\nThe depot  opens\nin   March.",
		"b.md":                     "---\ntitle: Depots\nkind: memo\nclassification: confidential\n---\nOsaka and Piraeus.",
		"c.md":                     "# İstanbul\n\n" + strings.Repeat("x ", 100) + "the ÜBERGABE of the keys " + strings.Repeat("y ", 100),
		"d.md":                     "---\ntitle: Osaka depot, secret\nclassification: restricted\n---\nThe word is swordfish. Osaka, depot.",
		"Roof repair.md":           "# Notes\n\nTiles.",
		"Roof costs.restricted.md": "# Notes\n\nTiles.",
		"e.md":                     "---\ntitle: 大阪の倉庫\n---\n倉庫は三月に開く。",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	f := serveAPI(t, func(c *Config) { c.Documents = dir })
	for _, test := range []struct {
		query string
		want  []hit
	}{
		{"osaka", []hit{
			{ID: "a", Title: "Plan for Osaka", Kind: "document", Snippet: "# Plan for Osaka The depot opens in March."},
			{ID: "b", Title: "Depots", Kind: "memo", Snippet: "Osaka and Piraeus."},
		}},
		// All words count, wherever they stand; a title that has them all comes first.
		{"DEPOT osaka", []hit{
			{ID: "a", Title: "Plan for Osaka", Kind: "document", Snippet: "# Plan for Osaka The depot opens in March."},
			{ID: "b", Title: "Depots", Kind: "memo", Snippet: "Osaka and Piraeus."},
		}},
		{"depots", []hit{{ID: "b", Title: "Depots", Kind: "memo", Snippet: "Osaka and Piraeus."}}},
		{"übergabe", []hit{{ID: "c", Title: "İstanbul", Kind: "document", Snippet: "…" + strings.Repeat("x ", 18) +
			"the ÜBERGABE of the keys " + strings.Repeat("y ", 49) + "…"}}},
		{"倉庫", []hit{{ID: "e", Title: "大阪の倉庫", Kind: "document", Snippet: "倉庫は三月に開く。"}}},
		{"roof", []hit{{ID: "Roof-repair", Title: "Notes", Kind: "document", Snippet: "# Notes Tiles."}}}, // by its file's name
		{"osaka swordfish", nil},
		{"swordfish", nil}, // stands in a restricted document only
		{"secret", nil},    // in its title
		{"nowhere", nil},
		{"osa.a", nil}, // no pattern
		{"os*", nil},
	} {
		got := f.search(test.query)
		if diff := cmp.Diff(test.want, got.Documents, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(hit{})); diff != "" {
			t.Errorf("search %q, -want +got:\n%s", test.query, diff)
		}
		if got.Total != len(test.want) {
			t.Errorf("search %q: total %d, want %d", test.query, got.Total, len(test.want))
		}
	}
	if got := f.search("*"); got.Total != 5 || got.Documents[1].ID != "a" || !strings.HasPrefix(got.Documents[1].Snippet, "# Plan") {
		t.Errorf("search * = %+v, want all five that are not restricted", got)
	}
	if got := f.send("GET", "/v1/documents?query=nowhere", "search", "").body; got != `{"documents":[],"total":0}` {
		t.Errorf("nothing found is %s, want an empty list and no null", got)
	}
}

func TestSearchIsBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for i := range 30 {
		writeFile(t, filepath.Join(dir, fmt.Sprintf("n%02d.md", i)), "# N\n\nneedle "+strings.Repeat("長", 5000))
	}
	f := serveAPI(t, func(c *Config) { c.Documents = dir })
	got := f.search("needle")
	if len(got.Documents) != maxHits || got.Total != 30 || got.Documents[0].ID != "n00" {
		t.Errorf("%d documents of %d, want %d of 30, by id", len(got.Documents), got.Total, maxHits)
	}
	for _, h := range got.Documents {
		if n := utf8.RuneCountInString(h.Snippet); n > maxSnippet+2 {
			t.Errorf("%s: a snippet of %d characters", h.ID, n)
		}
	}
}

// No word of a restricted document may be learned by searching for it, be it from
// the text of another's snippet or from the number of hits.
func TestSearchTellsNothingOfRestrictedDocuments(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	sensitive := f.server.Sensitive()
	if len(sensitive) == 0 {
		t.Fatal("the corpus has no restricted document, so nothing is tested")
	}
	for _, id := range sensitive {
		d := f.server.docs[id]
		words := append(strings.Fields(strings.ToLower(d.Content)), d.ID, d.Title)
		slices.Sort(words)
		for _, word := range slices.Compact(words) {
			result := f.search(oneLine(word))
			if result.Total > 0 && result.Total != count(f.server, word) {
				t.Errorf("search %q: total %d counts restricted documents", word, result.Total)
			}
			for _, h := range result.Documents {
				if h.ID == id {
					t.Errorf("search %q found %s", word, id)
				}
			}
		}
	}
}

// count is a search over documents that are not restricted, by other means.
func count(s *Server, query string) (n int) {
	for _, d := range s.docs {
		all := d.Classification != restricted
		for _, term := range strings.Fields(strings.ToLower(query)) {
			all = all && strings.Contains(strings.ToLower(d.Content+"\n"+d.Title+"\n"+d.file), term)
		}
		if all {
			n++
		}
	}
	return n
}

func FuzzParseSearch(f *testing.F) {
	for _, seed := range []string{"query=revenue", "query=a+b", "query=%E5%80%89", "query=a&query=b", "query=\xff", "a=b"} {
		f.Add(seed)
	}
	d := &document{Title: "Ünïcode İ", Content: "Some İ text ẞ with 倉庫 in it"}
	d.index()
	f.Fuzz(func(t *testing.T, raw string) {
		terms, err := parseSearch(raw)
		if err != nil {
			if terms != nil {
				t.Errorf("parseSearch(%q) = %q and %v", raw, terms, err)
			}
			return
		}
		if len(terms) > maxTerms {
			t.Errorf("parseSearch(%q) = %d terms", raw, len(terms))
		}
		if s := d.search.snippet(terms); !utf8.ValidString(s) || !strings.Contains("…"+d.search.text+"…", strings.Trim(s, "…")) {
			t.Errorf("snippet(%q) = %q is not of the text", terms, s)
		}
	})
}
