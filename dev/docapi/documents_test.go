package docapi

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func load(t *testing.T, files map[string]string) (map[string]*document, string, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		writeFile(t, filepath.Join(dir, name), text)
	}
	log := &syncBuffer{}
	docs, err := loadDocuments(dir, Limits{Document: 100, Documents: 250},
		slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return docs, log.String(), err
}

func TestDocumentsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"too large":                {map[string]string{"a.md": strings.Repeat("x", 101)}, "document a.md: input over the size limit of 100 bytes"},
		"too large together":       {map[string]string{"a.md": strings.Repeat("x", 90), "b.md": strings.Repeat("x", 90), "c.md": strings.Repeat("x", 90)}, "more than 250 bytes"},
		"not UTF-8":                {map[string]string{"a.txt": "caf\xe9"}, "document a.txt: not UTF-8 text"},
		"one id twice":             {map[string]string{"a.md": "x", "a.txt": "y"}, "another file has the id a too"},
		"restricted one id twice":  {map[string]string{"a.md": "x", "a.restricted.md": "y"}, "another file has the id a too"},
		"misspelt classification":  {map[string]string{"a.md": "---\nclassification: restrcted\n---\n"}, `unknown classification "restrcted"`},
		"empty classification":     {map[string]string{"a.md": "---\nclassification:\n---\n"}, `unknown classification ""`},
		"two classifications":      {map[string]string{"a.md": "---\nclassification: restricted\nClassification: public\n---\n"}, "two classifications"},
		"classification, no end":   {map[string]string{"a.md": "---\nclassification: restricted\n\ntext"}, "no closing line"},
		"date that is none":        {map[string]string{"a.md": "---\nupdated_at: soon\n---\n"}, `updated_at "soon"`},
		"a list of classification": {map[string]string{"a.md": "---\nclassification:\n  - restricted\n---\n"}, "unknown classification"},
	} {
		t.Run(name, func(t *testing.T) {
			docs, _, err := load(t, test.files)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("loadDocuments() = %v, %v; want an error with %q", docs, err, test.want)
			}
		})
	}
}

func TestDocumentsOfADirectory(t *testing.T) {
	t.Parallel()
	docs, log, err := load(t, map[string]string{
		"plain.txt":          "\n  First line \nsecond",
		"heading.md":         "intro\n\n## The heading\n",
		"rule.md":            "---\n\ntext after a rule",
		"bom.md":             "\ufeff---\nclassification: 'restricted'\n---\nx",
		"crlf.md":            "---\r\nclassification: \"restricted\" # why\r\ntitle: T\r\n---\r\n\r\nbody\r\n",
		"pay.restricted.txt": "bands",
		"quoted.md":          "---\n\"classification\": RESTRICTED\n---\nx",
		"empty.md":           "",
		"not a document.md":  "x",
		"a.b.md":             "x",
		"a.pdf":              "x",
		".hidden.md":         "x",
		"UPPER.MD":           "x",
	})
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ title, classification, contentType, content string }
	for id, want := range map[string]row{
		"plain":   {"First line", "internal", "text/plain", "\n  First line \nsecond"},
		"heading": {"The heading", "internal", "text/markdown", "intro\n\n## The heading\n"},
		"rule":    {"text after a rule", "internal", "text/markdown", "---\n\ntext after a rule"},
		"bom":     {"x", "restricted", "text/markdown", "x"},
		"crlf":    {"T", "restricted", "text/markdown", "body\r\n"},
		"pay":     {"bands", "restricted", "text/plain", "bands"},
		"quoted":  {"x", "restricted", "text/markdown", "x"},
		"empty":   {"empty", "internal", "text/markdown", ""},
	} {
		d := docs[id]
		if d == nil {
			t.Errorf("%s is not served", id)
			continue
		}
		if got := (row{d.Title, d.Classification, d.ContentType, d.Content}); got != want || d.ID != id || d.Kind != "document" {
			t.Errorf("%s = %+v, want %+v", id, got, want)
		}
		delete(docs, id)
	}
	if len(docs) != 0 {
		t.Errorf("served too: %v", docs)
	}
	if !strings.Contains(log, "count=5") || !strings.Contains(log, `name="not a document.md"`) {
		t.Errorf("the log does not tell of the skipped files:\n%s", log)
	}
}

func TestLinksOutOfTheDirectory(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside.md")
	writeFile(t, outside, "secret")
	for name, target := range map[string]string{"absolute": outside, "relative": "../../../../../../etc/passwd", "dangling": "nowhere"} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "a.md"), "x")
		if err := os.Symlink(target, filepath.Join(dir, "b.md")); err != nil {
			t.Skip("no symbolic links here")
		}
		docs, err := loadDocuments(dir, Limits{Document: 100, Documents: 250}, slog.New(slog.DiscardHandler))
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: loadDocuments() = %v, %v; want an error", name, docs, err)
		}
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "a.md"), "x")
	if err := os.Symlink("a.md", filepath.Join(dir, "b.md")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "c.md"), 0o755); err != nil {
		t.Fatal(err)
	}
	docs, err := loadDocuments(dir, Limits{Document: 100, Documents: 250}, slog.New(slog.DiscardHandler))
	if err != nil || len(docs) != 2 {
		t.Errorf("a link within: %v, %v; want both documents", docs, err)
	}
}

func TestSensitive(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"b.restricted.md": "x", "c.md": "---\nclassification: confidential\n---\n", "a.md": "---\nclassification: restricted\n---\n", "d.md": "x",
	} {
		writeFile(t, filepath.Join(dir, name), text)
	}
	f := serve(t, func(c *Config) { c.Documents = dir })
	if got := f.server.Sensitive(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("Sensitive() = %v, want [a b]", got)
	}
	if got := f.server.IDs(); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("IDs() = %v", got)
	}
}

func FuzzFrontMatter(f *testing.F) {
	for _, seed := range []string{"", "---", "---\n---\n", "---\nclassification: restricted\n---\nx", "---\r\na: \"b\r\n---\r\n", "---\na: 'b\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_, rest, err := splitFrontMatter(text)
		if err == nil && !strings.HasSuffix(text, rest) {
			t.Errorf("the rest %q is not the end of %q", rest, text)
		}
		// However a text is cut, a line that names the classification at its top is
		// seen or the text is refused.
		head := "---\nclassification: restricted\n"
		meta, _, err := splitFrontMatter(head + text)
		if err == nil && meta["classification"] != restricted {
			t.Errorf("%q hides the classification: %v", head+text, meta)
		}
	})
}
