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
	docs, err := loadDocuments(dir, Limits{Document: 1000, Documents: 2500},
		slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return docs, log.String(), err
}

func TestDocumentsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"too large":               {map[string]string{"a.md": strings.Repeat("x", 1001)}, "document a.md: input over the size limit of 1000 bytes"},
		"too large together":      {map[string]string{"a.md": strings.Repeat("x", 900), "b.md": strings.Repeat("x", 900), "c.md": strings.Repeat("x", 900)}, "more than 2500 bytes"},
		"not UTF-8":               {map[string]string{"a.txt": "caf\xe9"}, "document a.txt: not UTF-8 text"},
		"one id twice":            {map[string]string{"a.md": "x", "a.txt": "y"}, "another file has the id a too"},
		"restricted one id twice": {map[string]string{"a.md": "x", "a.restricted.md": "y"}, "another file has the id a too"},
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

// What cannot be read, or is not known, counts as the most restricted.
func TestDoubtfulClassificationIsRestricted(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"misspelt":                  "---\nclassification: restrcted\n---\nx",
		"of another scheme":         "---\nclassification: Unclassified\n---\nx",
		"empty":                     "---\nclassification:\n---\nx",
		"a list":                    "---\nclassification: [public]\n---\nx",
		"two":                       "---\nclassification: public\nClassification: public\n---\nx",
		"no end":                    "---\nclassification: public\n\nx",
		"no YAML":                   "---\ntitle: a: b\n---\nx",
		"TOML":                      "+++\nclassification = 'public'\n+++\nx",
		"upper case":                "---\nCLASSIFICATION: Restricted\n---\nx",
		"flow style":                "---\n{classification: restricted}\n---\nx",
		"after 120 lines of a list": "---\na:\n" + strings.Repeat("- b\n", 120) + "classification: restricted\n---\nx",
	} {
		docs, log, err := load(t, map[string]string{"a.md": text})
		if err != nil || docs["a"].Classification != restricted {
			t.Errorf("%s: loadDocuments() = %+v, %v; want it restricted", name, docs["a"], err)
			continue
		}
		if told := strings.Contains(log, "name=a.md"); told != (docs["a"].doubt != "") {
			t.Errorf("%s: the log says\n%s", name, log)
		}
	}
	docs, _, err := load(t, map[string]string{"a.md": "---\nclassification: public\nupdated_at: 2026-05-01 10:00:00 +0200\n---\nx", "b.md": "---\nupdated_at: soon\n---\nx"})
	if err != nil || docs["a"].Classification != "public" || docs["a"].UpdatedAt.Hour() != 8 || docs["b"].UpdatedAt.IsZero() {
		t.Errorf("loadDocuments() = %+v, %+v, %v", docs["a"], docs["b"], err)
	}
}
