package docapi

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit/challenge"
	"github.com/jitagent/jitagent/rar"
)

func TestOrderOfChecks(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	const report = `{"title":"T","content":"C"}`
	tests := []struct {
		name, method, path, token string
		status                    int
		code                      string
	}{
		{"no such path", "GET", "/", "", 404, "not_found"},
		{"no list of documents", "GET", "/v1/documents/", "search", 404, "not_found"},
		{"search without token", "GET", "/v1/documents?query=a", "", 401, "unauthorized"},
		{"search without a query", "GET", "/v1/documents", "base", 400, "invalid_request"},
		{"search with a base token", "GET", "/v1/documents?query=a", "base", 403, challenge.ErrorCode},
		{"search with authority to read a document of that name", "GET", "/v1/documents?query=a", "read-documents", 403, challenge.ErrorCode},
		{"read a document of that name with authority to search", "GET", "/v1/documents/documents", "search", 403, challenge.ErrorCode},
		{"post to the documents", "POST", "/v1/documents", "search", 405, "method_not_allowed"},
		{"below a document", "GET", "/v1/documents/doc_9982/x", "read-doc_9982", 404, "not_found"},
		{"below a document, only a slash", "GET", "/v1/documents/doc_9982/", "read-doc_9982", 404, "not_found"},
		{"double slash is no redirect", "GET", "//v1/documents/doc_9982", "read-doc_9982", 404, "not_found"},
		{"delete a document", "DELETE", "/v1/documents/doc_9982", "", 405, "method_not_allowed"},
		{"post to a document", "POST", "/v1/documents/doc_9982", "", 405, "method_not_allowed"},
		{"list reports", "GET", "/v1/reports", "", 405, "method_not_allowed"},
		{"bad id without token", "GET", "/v1/documents/a.b", "", 401, "unauthorized"},
		{"bad token", "GET", "/v1/documents/doc_9982", "wrong", 401, "invalid_token"},
		{"cannot check", "GET", "/v1/documents/doc_9982", "down", 503, "temporarily_unavailable"},
		{"bad id", "GET", "/v1/documents/a.b", "base", 400, "invalid_request"},
		{"id too long", "GET", "/v1/documents/" + strings.Repeat("a", 65), "base", 400, "invalid_request"},
		{"base token", "GET", "/v1/documents/doc_9982", "base", 403, challenge.ErrorCode},
		{"unknown id without authority", "GET", "/v1/documents/doc_0", "base", 403, challenge.ErrorCode},
		{"authority over another", "GET", "/v1/documents/doc_9982", "read-doc_0", 403, challenge.ErrorCode},
		{"authority to write", "GET", "/v1/documents/doc_9982", "writer-a", 403, challenge.ErrorCode},
		{"unknown id with authority", "GET", "/v1/documents/doc_0", "read-doc_0", 404, "not_found"},
		{"report without token", "POST", "/v1/reports", "", 401, "unauthorized"},
		{"report with a base token", "POST", "/v1/reports", "base", 403, challenge.ErrorCode},
		{"report with authority to read", "POST", "/v1/reports", "read-reports", 403, challenge.ErrorCode},
		{"read a report with authority to write", "GET", "/v1/reports/aaaaaaaaaa", "writer-a", 403, challenge.ErrorCode},
		{"read a report with authority over a document of its name", "GET", "/v1/reports/aaaaaaaaaa", "read-aaaaaaaaaa", 403, challenge.ErrorCode},
		{"bad report id", "GET", "/v1/reports/a%2Fb", "base", 400, "invalid_request"},
		{"no such report", "GET", "/v1/reports/aaaaaaaaaa", "read-reports/aaaaaaaaaa", 404, "not_found"},
		{"no such report, other form", "GET", "/v1/reports/x", "read-reports/x", 404, "not_found"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			body := ""
			if test.method == http.MethodPost {
				body = report
			}
			got := f.send(test.method, test.path, test.token, body)
			var e struct {
				Error       string `json:"error"`
				Description string `json:"error_description"`
			}
			if err := json.Unmarshal([]byte(got.body), &e); err != nil || e.Description == "" {
				t.Errorf("body %q is no JSON error: %v", got.body, err)
			}
			if got.status != test.status || e.Error != test.code {
				t.Errorf("%s %s = %d %s, want %d %s", test.method, test.path, got.status, e.Error, test.status, test.code)
			}
			if got.header.Get("Content-Type") != "application/json" {
				t.Errorf("Content-Type %q", got.header.Get("Content-Type"))
			}
		})
	}
	if names := f.files(); len(names) != 0 {
		t.Errorf("refused requests left files: %v", names)
	}
}

func TestAllow(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	for path, want := range map[string]string{
		"/v1/documents/doc_9982": "GET, HEAD", "/v1/documents": "GET, HEAD", "/v1/reports": "POST", "/v1/reports/x": "GET, HEAD",
	} {
		if got := f.send("PATCH", path, "", "").header.Get("Allow"); got != want {
			t.Errorf("PATCH %s: Allow %q, want %q", path, got, want)
		}
	}
}

// The ids and paths that a client library would clean are sent as they are.
func TestHostilePaths(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "secret.md"), "# outside")
	docs := filepath.Join(dir, "docs")
	if err := os.Mkdir(docs, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(docs, "a.md"), "# inside")
	f := serveAPI(t, func(c *Config) { c.Documents = docs })
	for _, path := range []string{
		"/v1/documents/../secret", "/v1/documents/..", "/v1/documents/.", "/v1/documents/%2e%2e",
		"/v1/documents/..%2fsecret", "/v1/documents/..%2Fsecret.md", "/v1/documents/%2e%2e%2fsecret",
		"/v1/documents/a%00", "/v1/documents/a%00.md", "/v1/documents/a%0a", "/v1/documents/a.md", "/v1/documents/a%20",
		`/v1/documents/..\secret`, "/v1/documents/..%5csecret", "/v1/documents/a%252e", "/v1/documents/%61%2f%61",
		"/v1/documents/%c0%ae%c0%ae", "/v1/documents/％61", "/v1/documents/a;x=1", "/v1/documents/a*",
		"/v1/documents/a/../a", "/v1/../v1/documents/a", "/./v1/documents/a", "/V1/documents/a",
		"/v1/reports/..%2f..%2fetc%2fpasswd", "/v1/reports/..",
	} {
		got := f.raw(t, "GET "+path+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer base\r\nConnection: close\r\n\r\n")
		if got != 400 && got != 404 {
			t.Errorf("GET %s = %d, want 400 or 404", path, got)
		}
	}
	if got := f.raw(t, "GET /v1/documents/%61 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer read-a\r\nConnection: close\r\n\r\n"); got != 200 {
		t.Errorf("an escaped letter: %d, want 200", got)
	}
	for _, path := range []string{"*", "http://evil.test/v1/documents/a"} {
		if got := f.raw(t, "OPTIONS "+path+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); got < 400 && path != "*" {
			t.Errorf("OPTIONS %s = %d", path, got)
		}
	}
}

// raw sends bytes and returns the answer's status.
func (f *fixture) raw(t *testing.T, request string) int {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = fmt.Fprint(conn, request) // the server may answer before it has read everything
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%.80q: %v", request, err)
	}
	defer func() { _ = resp.Body.Close() }()
	return resp.StatusCode
}

func TestGiantHeader(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	got := f.raw(t, "GET /v1/documents/doc_9982 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+strings.Repeat("a", 100<<10)+"\r\n\r\n")
	if got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("100 KiB of Authorization: %d, want 431", got)
	}
}

func TestDemands(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	for _, test := range []struct {
		method, path, action, identifier string
	}{
		{"GET", "/v1/documents/doc_9982", "read", "doc_9982"},
		{"HEAD", "/v1/documents/doc_9982", "read", "doc_9982"},
		{"GET", "/v1/documents?query=doc_9982", "search", "documents"},
		{"POST", "/v1/reports", "write", "reports"},
		{"GET", "/v1/reports/aaaaaaaaaa", "read", "reports/aaaaaaaaaa"},
	} {
		got := f.send(test.method, test.path, "base", "")
		c, err := challenge.Parse(got.status, got.header, []byte(got.body))
		if err != nil {
			t.Errorf("%s %s: %v", test.method, test.path, err)
			continue
		}
		want := []rar.Detail{{
			Type: "file_access", Actions: []string{test.action}, Identifier: test.identifier, Locations: []string{f.url},
		}}
		if diff := cmp.Diff(want, c.Details); diff != "" {
			t.Errorf("%s %s demands, -want +got:\n%s", test.method, test.path, diff)
		}
	}
}

func TestGetDocument(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "plan.md"),
		"---\ntitle: \"The plan: 2025\"\nkind: memo # short\nclassification: Confidential\nupdated_at: 2025-02-03\n---\n\n# Plan\n\nText <b> & 日本\n")
	f := serveAPI(t, func(c *Config) { c.Documents = dir })
	got := f.send("GET", "/v1/documents/plan", "read-plan", "")
	want := `{"id":"plan","title":"The plan: 2025","kind":"memo","classification":"confidential",` +
		`"content_type":"text/markdown","content":"# Plan\n\nText <b> & 日本\n","updated_at":"2025-02-03T00:00:00Z"}`
	if got.status != 200 || got.body != want {
		t.Errorf("GET = %d\n%s\nwant\n%s", got.status, got.body, want)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got.header.Get(name) != value {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), value)
		}
	}
	head := f.send("HEAD", "/v1/documents/plan", "read-plan", "")
	if head.status != 200 || head.body != "" || head.header.Get("Content-Length") != fmt.Sprint(len(want)) {
		t.Errorf("HEAD = %d, %d bytes, Content-Length %s", head.status, len(head.body), head.header.Get("Content-Length"))
	}
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	f := serveAPI(t, nil)
	f.send("GET", "/v1/documents/doc_9982?access_token=CANARY", "read-doc_9982", "")
	f.send("POST", "/v1/reports", "writer-CANARY2", `{"title":"CANARY-TITLE","content":"CANARY-CONTENT"}`, "Idempotency-Key", "CANARY-KEY")
	f.send("GET", "/v1/documents/"+strings.Repeat("x", 5000), "wrong-CANARY", "")
	log := f.log.String()
	lines := strings.Split(strings.TrimSpace(log), "\n")
	if len(lines) != 3 {
		t.Errorf("%d log lines for 3 requests:\n%s", len(lines), log)
	}
	for _, want := range []string{"method=GET", "path=/v1/documents/doc_9982 ", "status=200", "duration=", "agent=analyst", "task=task_1"} {
		if !strings.Contains(lines[0], want) {
			t.Errorf("line %q lacks %q", lines[0], want)
		}
	}
	if !strings.Contains(lines[1], "agent=CANARY2") {
		t.Errorf("line %q lacks the client", lines[1])
	}
	if n := strings.Count(log, "CANARY"); n != 1 {
		t.Errorf("the log holds a token, query, key or body:\n%s", log)
	}
	if len(lines[2]) > 600 {
		t.Errorf("a long path makes a line of %d bytes", len(lines[2]))
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	writeFile(t, file, "x")
	for name, test := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no base URL":                {func(c *Config) { c.BaseURL = "" }, "BaseURL"},
		"no verifier":                {func(c *Config) { c.Verifier = nil }, "Verifier is missing"},
		"documents that are missing": {func(c *Config) { c.Documents = file + "s" }, "documents directory: "},
		"documents that are a file":  {func(c *Config) { c.Documents = file }, "documents directory"},
		"documents without any":      {func(c *Config) { c.Documents = t.TempDir() }, "holds no document: it has no .md"},
		"state below a file":         {func(c *Config) { c.StateDir = filepath.Join(file, "state") }, "state: "},
	} {
		cfg := Config{BaseURL: "http://127.0.0.1:1", Verifier: &fakeVerifier{}}
		test.change(&cfg)
		s, err := New(cfg)
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.HasPrefix(err.Error(), "docapi: ") {
			t.Errorf("%s: New() = %v, %v; want an error with %q", name, s, err, test.want)
		}
	}
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
