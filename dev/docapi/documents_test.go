package docapi

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func load(t *testing.T, files map[string]string) (*library, error) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, text)
	}
	return loadDocuments(dir, Limits{Document: 1000, Documents: 2500})
}

// What people have is not all UTF-8. What it says of itself is read in any encoding.
func TestDocumentsInOtherEncodings(t *testing.T) {
	t.Parallel()
	utf16 := func(s string) string {
		text := "\xff\xfe"
		for _, r := range s {
			text += string([]byte{byte(r), byte(r >> 8)})
		}
		return text
	}
	lib, err := load(t, map[string]string{
		"latin.txt": "Pr\xe4zise: 40 euros", "wide.md": utf16("---\ntitle: Präzise\nclassification: restricted\n---\n40 €"),
		"page.html": `<meta charset="windows-1251"><title>` + "\xc4\xe0</title><p>\xc4\xe0",
	})
	if err != nil || len(lib.docs) != 3 {
		t.Fatalf("loadDocuments() = %+v, %v", lib, err)
	}
	if d := lib.docs["latin"]; d.Content != "Präzise: 40 euros" {
		t.Errorf("Latin-1 is read as %q", d.Content)
	}
	if d := lib.docs["wide"]; d.Content != "40 €" || d.Title != "Präzise" || d.Classification != restricted {
		t.Errorf("UTF-16 is read as %+v", d)
	}
	if d := lib.docs["page"]; !strings.Contains(d.Content, "Да") {
		t.Errorf("Windows-1251 is read as %q", d.Content)
	}
}

// A file that cannot be served is said, and the others are served.
func TestFilesThatAreSkipped(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"too large":               {map[string]string{"b.md": strings.Repeat("x", 1001)}, "b.md (input over the size limit of 1000 bytes)"},
		"too large together":      {map[string]string{"b.md": strings.Repeat("x", 900), "c.md": strings.Repeat("x", 900), "d.md": strings.Repeat("x", 900)}, "d.md (over the limit of 2500 bytes"},
		"binary":                  {map[string]string{"b.txt": "a\x00b"}, "b.txt (not text)"},
		"no text by its name":     {map[string]string{"contract.pdf": "%PDF"}, "contract.pdf (not text)"},
		"one id twice":            {map[string]string{"a.txt": "y"}, "a.txt (another file has the id a)"},
		"restricted one id twice": {map[string]string{"a.restricted.md": "y"}, "a.restricted.md (another file has the id a)"},
		"a name that steers":      {map[string]string{"b\x1b[31m.pdf": ""}, "b\ufffd[31m.pdf (not text)"},
	} {
		t.Run(name, func(t *testing.T) {
			test.files["a.md"] = "x"
			lib, err := load(t, test.files)
			if err != nil || lib.docs["a"] == nil || len(lib.skipped) != 1 || !strings.Contains(lib.skipped[0], test.want) {
				t.Errorf("loadDocuments() = %+v, %v; want a and, skipped, %q", lib, err, test.want)
			}
		})
	}
	lib, err := load(t, map[string]string{"a.md": "x", "1.pdf": "", "2.pdf": "", "3.pdf": "", "4.pdf": "", "5.pdf": "", "6.pdf": "", "7.pdf": ""})
	if want := "skipped 7: 1.pdf (not text), 2.pdf (not text), 3.pdf (not text), 4.pdf (not text), 5.pdf (not text), ..."; err != nil || !slices.Equal(lib.remarks(), []string{want}) {
		t.Errorf("remarks() = %q, %v, want %q", lib.remarks(), err, want)
	}
	if _, err := load(t, map[string]string{"contract.pdf": ""}); err == nil || !strings.Contains(err.Error(), "holds no document: skipped 1: contract.pdf (not text)") {
		t.Errorf("a directory without a document: %v", err)
	}
	if _, err := load(t, nil); err == nil || !strings.Contains(err.Error(), "it has no .md, .txt, .html or .csv file") {
		t.Errorf("an empty directory: %v", err)
	}
}

func TestDocumentsOfADirectory(t *testing.T) {
	t.Parallel()
	lib, err := load(t, map[string]string{
		"plain.txt":          "\n  First line \nsecond",
		"heading.md":         "intro\n\n## The heading\n",
		"rule.md":            "---\n\ntext after a rule",
		"bom.md":             "\ufeff---\nclassification: 'restricted'\n---\nx",
		"crlf.md":            "---\r\nclassification: \"restricted\" # why\r\ntitle: T\r\n---\r\n\r\nbody\r\n",
		"pay.Restricted.txt": "bands",
		"empty.md":           "",
		"Q4 Report.md":       "x",
		"a.b.MARKDOWN":       "x",
		"UPPER.MD":           "x",
		"sub/folder/n.md":    "x",
		"page.html":          "<head><title>T</title><script>no</script></head><p>One.<p>Two.",
		"people.csv":         "---\nid,name\n---\n",
		"Übersicht.md":       "x",
		".hidden.md":         "x",
		".obsidian/x.md":     "x",
		"fence.md":           "Get it.\n\n```\n# install\n```\n",
	})
	if err != nil {
		t.Fatal(err)
	}
	type row struct{ title, classification, contentType, content string }
	for id, want := range map[string]row{
		"plain":             {"First line", "internal", "text/plain", "\n  First line \nsecond"},
		"heading":           {"The heading", "internal", "text/markdown", "intro\n\n## The heading\n"},
		"rule":              {"text after a rule", "internal", "text/markdown", "---\n\ntext after a rule"},
		"bom":               {"x", "restricted", "text/markdown", "x"},
		"crlf":              {"T", "restricted", "text/markdown", "body\r\n"},
		"pay":               {"bands", "restricted", "text/plain", "bands"},
		"empty":             {"empty", "internal", "text/markdown", ""},
		"Q4-Report":         {"x", "internal", "text/markdown", "x"},
		"a-b":               {"x", "internal", "text/markdown", "x"},
		"UPPER":             {"x", "internal", "text/markdown", "x"},
		"sub-folder-n":      {"x", "internal", "text/markdown", "x"},
		"page":              {"T", "internal", "text/markdown", "# T\n\n\n\n\n\nOne.\n\nTwo."},
		"people":            {"people", "internal", "text/csv", "---\nid,name\n---\n"},
		"bersicht-4d2bb368": {"x", "internal", "text/markdown", "x"},
		"fence":             {"Get it.", "internal", "text/markdown", "Get it.\n\n```\n# install\n```\n"},
	} {
		d := lib.docs[id]
		if d == nil {
			t.Errorf("%s is not served", id)
			continue
		}
		if got := (row{d.Title, d.Classification, d.ContentType, d.Content}); got != want || d.ID != id || d.Kind != "document" {
			t.Errorf("%s = %+v, want %+v", id, got, want)
		}
		delete(lib.docs, id)
	}
	if len(lib.docs) != 0 || len(lib.remarks()) != 0 {
		t.Errorf("served too: %v; remarks %q", lib.docs, lib.remarks())
	}
}

func FuzzDocumentID(f *testing.F) {
	for _, seed := range []string{"a.md", "Q4 Report.md", "日本.md", "...", strings.Repeat("a", 300), "x.restricted.md", "\xff"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if id, _ := documentID(name); !validID().MatchString(id) {
			t.Errorf("documentID(%q) = %q", name, id)
		}
	})
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
		lib, err := loadDocuments(dir, Limits{Document: 100, Documents: 250})
		if err != nil || len(lib.docs) != 1 || !slices.Equal(lib.skipped, []string{"b.md (a link to no file of this directory)"}) {
			t.Errorf("%s: loadDocuments() = %v, %v; want only a", name, lib, err)
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
	lib, err := loadDocuments(dir, Limits{Document: 100, Documents: 250})
	if err != nil || len(lib.docs) != 2 {
		t.Errorf("a link within: %v, %v; want both documents", lib, err)
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
	f := serveAPI(t, func(c *Config) { c.Documents = dir })
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
		"CR alone":                  "---\rclassification: restricted\r---\rx",
		"a fence with its language": "---yaml\nclassification: restricted\n---\nx",
		"a longer fence":            "----\nclassification: restricted\n----\nx",
		"JSON between semicolons":   ";;;\n\"classification\": \"restricted\"\n;;;\nx",
		"a YAML directive":          "%YAML 1.2\n---\nclassification: restricted\n---\nx",
		"an invisible space":        "\u200b---\nclassification: restricted\n---\nx",
		"a second block":            "---\n---\nclassification: restricted\nx",
		"no fences":                 "Classification: Secret\n\nx",
		"an element of HTML":        "<meta name=\"classification\" content=\"restricted\">\nx",
		"nested":                    "---\nmeta:\n  classification: restricted\n---\nx",
		"a key of another name":     "---\nsecurity-classification: restricted\n---\nx",
		"a key of another scheme":   "---\nsensitivity: high\n---\nx",
		"a key that says all":       "---\nconfidential: true\n---\nx",
		"a tag":                     "---\ntags: [hr, Restricted]\n---\nx",
		"a key of other letters":    "---\nclassif\u0456cation: restricted\n---\nx",
		"a key with a space":        "---\nclassification: public\n\"classification \": restricted\n---\nx",
		"an invisible letter":       "---\nclass\u00adification: restricted\n---\nx",
		"a wide letter":             "---\n\uff43lassification: restricted\n---\nx",
		"front matter twice":        "---\nclassification: public\n---\n---\nclassification: restricted\n---\nx",
		"an end within":             "---\nclassification: public\n...\nclassification: restricted\n---\nx",
		"a dash":                    "Document classification - RESTRICTED\n\nx",
		"a row of a table":          "| Classification | Secret |\n|---|---|\n",
		"a level":                   "**Classification level:** Secret\n\nx",
		"a stamp":                   "# TOP SECRET\n\nx",
		"flow style":                "---\n{classification: restricted}\n---\nx",
		"after 120 lines of a list": "---\na:\n" + strings.Repeat("- b\n", 120) + "classification: restricted\n---\nx",
	} {
		lib, err := load(t, map[string]string{"a.md": text})
		if err != nil || lib.docs["a"].Classification != restricted {
			t.Errorf("%s: loadDocuments() = %+v, %v; want it restricted", name, lib, err)
			continue
		}
		if said := strings.Join(lib.remarks(), ""); strings.HasPrefix(said, "restricted, to be safe, 1: a.md (") != (lib.docs["a"].doubt != "") {
			t.Errorf("%s: remarks %q", name, said)
		}
	}
	for _, plain := range []string{ // none of which says anything
		"# Image Classification: A Survey\n\nx", "---\ntitle: Secret gardens\nsecretary: Ada\n---\nx", "---\nrestricted: false\n---\nx", "- secret\n- Restricted areas\n",
		"---\nclassification: internal\n---\nClassification: internal\n\nx", "---\nclassification: internal\ntags: [restricted]\n---\n# How it works\n\nCONFIDENTIAL\n",
	} {
		if lib, err := load(t, map[string]string{"a.md": plain}); err != nil || lib.docs["a"].Classification != defaultClassification {
			t.Errorf("%q: loadDocuments() = %+v, %v; want it internal", plain, lib.docs["a"], err)
		}
	}
	for _, name := range []string{"restricted/a.md", "HR.Restricted/b/a.md"} {
		if _, marked := documentID(name); !marked {
			t.Errorf("%s is not restricted", name)
		}
	}
	lib, err := load(t, map[string]string{"a.md": "---\nclassification: public\nupdated_at: 2026-05-01 10:00:00 +0200\n---\nx", "b.md": "---\nupdated_at: soon\n---\nx"})
	if err != nil || lib.docs["a"].Classification != "public" || lib.docs["a"].UpdatedAt.Hour() != 8 || lib.docs["b"].UpdatedAt.IsZero() {
		t.Errorf("loadDocuments() = %+v, %+v, %v", lib.docs["a"], lib.docs["b"], err)
	}
}
