package docapi

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/internal/markdown"
)

func TestReportsThatAreRefused(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, func(c *Config) { c.Limits = Limits{Content: 1000, Body: 5000} })
	quoted := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	report := func(title, content string) string {
		return `{"title":` + quoted(title) + `,"content":` + quoted(content) + `}`
	}
	tests := []struct {
		name, body string
		status     int
		want       string
	}{
		{"empty", ``, 400, "one JSON object"},
		{"null", `null`, 400, "title is missing"},
		{"array", `[]`, 400, "one JSON object"},
		{"cut", `{"title":"T","content":"C"`, 400, "one JSON object"},
		{"two values", `{"title":"T","content":"C"}{}`, 400, "one JSON object"},
		{"duplicate", `{"title":"T","title":"U","content":"C"}`, 400, "one JSON object"},
		{"other case", `{"Title":"T","content":"C"}`, 400, "one JSON object"},
		{"unknown member", `{"title":"T","content":"C","path":"/etc/passwd"}`, 400, "one JSON object"},
		{"number", `{"title":1,"content":"C"}`, 400, "one JSON object"},
		{"not UTF-8", "{\"title\":\"\xff\",\"content\":\"C\"}", 400, "one JSON object"},
		{"half a surrogate", `{"title":"\ud800","content":"C"}`, 400, "one JSON object"},
		{"depth", strings.Repeat(`{"title":`, 500), 400, "one JSON object"},
		{"no title", `{"content":"C"}`, 400, "title is missing"},
		{"blank title", report(" \u00a0 ", "C"), 400, "title is missing"},
		{"long title", report(strings.Repeat("é", 201), "C"), 400, "title is longer than 200"},
		{"newline in the title", report("a\nb", "C"), 400, "title holds control"},
		{"NUL in the title", report("a\x00", "C"), 400, "title holds control"},
		{"escape in the title", report("a\x1b[31m", "C"), 400, "title holds control"},
		{"line separator", report("a\u2028b", "C"), 400, "title holds control"},
		{"right-to-left override", report("a\u202egpj.exe", "C"), 400, "title holds control"},
		{"no content", `{"title":"T"}`, 400, "content is missing"},
		{"blank content", report("T", " \n\t"), 400, "content is missing"},
		{"long content", report("T", strings.Repeat("x", 1001)), 400, "content is longer than 1000"},
		{"NUL in the content", report("T", "a\x00"), 400, "content holds control"},
		{"escape in the content", report("T", "\x1b]0;owned\x07"), 400, "content holds control"},
		{"large body", report("T", strings.Repeat("x", 6000)), 413, "too large"},
		{"sources that are no ids", `{"title":"T","content":"C","source_documents":["../x"]}`, 400, "an id that is not valid"},
		{"too many sources", `{"title":"T","content":"C","source_documents":["a"` + strings.Repeat(`,"a"`, 32) + `]}`, 400, "more than 32"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := f.send("POST", "/v1/reports", "writer-analyst", test.body)
			if got.status != test.status || !strings.Contains(got.body, test.want) {
				t.Errorf("POST = %d %s; want %d with %q", got.status, got.body, test.status, test.want)
			}
		})
	}
	for name, header := range map[string][2]string{
		"form":               {"Content-Type", "application/x-www-form-urlencoded"},
		"no type":            {"Content-Type", ""},
		"json of some kind":  {"Content-Type", "application/vnd.api+json"},
		"latin-1":            {"Content-Type", "application/json; charset=latin1"},
		"type that is none":  {"Content-Type", "application/json; ="},
		"compressed":         {"Content-Encoding", "gzip"},
		"compressed as none": {"Content-Encoding", "identity"},
	} {
		if got := f.send("POST", "/v1/reports", "writer-analyst", report("T", "C"), header[0], header[1]); got.status != 415 {
			t.Errorf("%s: %d, want 415", name, got.status)
		}
	}
	for name, key := range map[string]string{
		"empty": "", "space": "a b", "long": strings.Repeat("k", 129), "not ASCII": "é",
	} {
		if got := f.post(key, report("T", "C")); got.status != 400 || !strings.Contains(got.body, "Idempotency-Key") {
			t.Errorf("%s key: %d %s, want 400", name, got.status, got.body)
		}
	}
	if names := f.files(); len(names) != 0 {
		t.Errorf("refused reports left files: %v", names)
	}
}

func TestCreateReport(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	got := f.send("POST", "/v1/reports", "writer-analyst",
		`{"title":"Q4 \"Analysis\"","content":"Revenue **rose**.\r\n\n","source_documents":["doc_9982","doc_1"]}`,
		"Content-Type", `Application/JSON; charset="UTF-8"`)
	if got.status != 201 {
		t.Fatalf("POST = %d %s", got.status, got.body)
	}
	var r createdReport
	if err := json.Unmarshal([]byte(got.body), &r); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(f.reports, r.Path))
	if err != nil {
		t.Fatal(err)
	}
	want := "---\nid: \"" + r.ID + "\"\ntitle: \"Q4 \\\"Analysis\\\"\"\ncreated_at: \"2025-03-01T12:00:00Z\"\n" +
		"created_by: \"analyst\"\nsource_documents: [\"doc_9982\",\"doc_1\"]\n---\n\n# Q4 \"Analysis\"\n\nRevenue **rose**.\n"
	if diff := cmp.Diff(want, string(text)); diff != "" {
		t.Errorf("file, -want +got:\n%s", diff)
	}
	wantReply := createdReport{
		ID: r.ID, Title: `Q4 "Analysis"`, Path: "q4-analysis-" + r.ID + ".md", URL: f.url + "/v1/reports/" + r.ID,
		CreatedAt: noon, Bytes: len(want),
	}
	if diff := cmp.Diff(wantReply, r); diff != "" {
		t.Errorf("answer, -want +got:\n%s", diff)
	}
	if got.header.Get("Location") != r.URL || got.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("Location %q, Idempotent-Replayed %q", got.header.Get("Location"), got.header.Get("Idempotent-Replayed"))
	}
	if names := f.files(); len(names) != 1 {
		t.Errorf("files %v, want one", names)
	}

	back := f.send("GET", "/v1/reports/"+r.ID, "read-reports/"+r.ID, "")
	var served servedReport
	if err := json.Unmarshal([]byte(back.body), &served); err != nil || back.status != 200 {
		t.Fatalf("GET = %d %s: %v", back.status, back.body, err)
	}
	wantServed := servedReport{
		ID: r.ID, Title: `Q4 "Analysis"`, ContentType: "text/markdown", CreatedAt: noon, CreatedBy: "analyst",
		Content: "# Q4 \"Analysis\"\n\nRevenue **rose**.\n",
	}
	if diff := cmp.Diff(wantServed, served); diff != "" {
		t.Errorf("read back, -want +got:\n%s", diff)
	}
}

func TestHeadingIsNotRepeated(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"# T\n\ntext":  "# T\n\ntext\n",
		"# T \r\ntext": "# T \r\ntext\n",
		"# T":          "# T\n",
		"# Title":      "# T\n\n# Title\n",
		"text\n# T":    "# T\n\ntext\n# T\n",
	} {
		data, err := (&report{reportRequest: &reportRequest{Title: "T", Content: content}}).render()
		if err != nil {
			t.Fatal(err)
		}
		if _, got, _ := markdown.SplitFrontMatter(string(data)); got != want {
			t.Errorf("render(%q) = %q, want %q", content, got, want)
		}
	}
}

// Files that were not made here are not served, whatever their names.
func TestOtherFilesAmongTheReports(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	if err := os.MkdirAll(f.reports, 0o755); err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "x.md")
	writeFile(t, outside, "---\nid: linkedfile\ncreated_at: 2025-01-01\n---\nsecret")
	writeFile(t, filepath.Join(f.reports, "my-statistics.md"), "private notes")
	writeFile(t, filepath.Join(f.reports, "my-otherother.md"), "---\nid: somebodyes\ncreated_at: 2025-01-01\n---\nprivate")
	if err := os.Symlink(outside, filepath.Join(f.reports, "x-linkedfile.md")); err != nil {
		t.Skip("no symbolic links here")
	}
	for _, id := range []string{"statistics", "otherother", "linkedfile", "my-statistics"} {
		if got := f.send("GET", "/v1/reports/"+id, "read-reports/"+id, ""); got.status != 404 {
			t.Errorf("GET %s = %d %s, want 404", id, got.status, got.body)
		}
	}
}

func TestSlug(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]string{
		"Q4 Analysis":                   "q4-analysis",
		"  --Ärger & Ömür!  ":           "ärger-ömür",
		"第4四半期の分析":                      "第4四半期の分析",
		"हिन्दी रिपोर्ट":                "हिन्दी-रिपोर्ट",
		"../../etc/passwd":              "etc-passwd",
		`C:\Windows\CON`:                "c-windows-con",
		"CON":                           "con",
		"...":                           "report",
		"🎉":                             "report",
		"\u0301accent":                  "accent",
		"a.b.c":                         "a-b-c",
		strings.Repeat("a", 200):        strings.Repeat("a", 80),
		strings.Repeat("日", 200):        strings.Repeat("日", 26),
		strings.Repeat("a", 79) + " bc": strings.Repeat("a", 79),
	} {
		if got := slug(title); got != want {
			t.Errorf("slug(%q) = %q, want %q", title, got, want)
		}
	}
}

func FuzzSlug(f *testing.F) {
	for _, seed := range []string{"", "Q4 Analysis", "../x", "a\x00b", "NUL", "\u202e", "日本", "İ", "\xff", strings.Repeat("-", 300)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, title string) {
		s := slug(title)
		if s == "" || len(s) > maxSlug || !utf8.ValidString(s) || strings.HasPrefix(s, "-") || strings.HasSuffix(s, "-") ||
			strings.Contains(s, "--") {
			t.Errorf("slug(%q) = %q", title, s)
		}
		for _, r := range s {
			if r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) {
				t.Errorf("slug(%q) = %q holds %q", title, s, r)
			}
		}
	})
}

func FuzzReport(f *testing.F) {
	for _, seed := range []string{
		`{"title":"Q4 Analysis","content":"text","source_documents":["doc_9982"]}`, `{}`, `null`, `{"title":"---","content":"---\nid: x\n---"}`,
		`{"title":"\"\\","content":"# \"\\"}`, `{"title":"T","content":"C","source_documents":null}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		q, err := parseReport(body, 1000)
		if err != nil {
			return
		}
		p := &report{reportRequest: q, ID: "abcdefghij", CreatedAt: noon, CreatedBy: "analyst"}
		if name := p.file(); name != filepath.Base(name) || len(name) > 255 || !filepath.IsLocal(name) {
			t.Errorf("file name %q", name)
		}
		data, err := p.render()
		if err != nil {
			t.Fatal(err)
		}
		// Whatever the title and content, the file reads back as this report.
		meta, content, err := markdown.SplitFrontMatter(string(data))
		if err != nil || meta["id"] != p.ID || meta["title"] != q.Title || !strings.HasPrefix(content, "# "+q.Title) {
			t.Errorf("%q reads back as %v, %q, %v", data, meta, content, err)
		}
		if !strings.Contains(content, strings.TrimRight(q.Content, "\r\n")) {
			t.Errorf("content %q is not in %q", q.Content, content)
		}
	})
}
