package tools_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// A library is a protected API: each call needs a token for exactly what demand
// says.
type library struct {
	url    *url.URL
	demand func(*http.Request) rar.Detail
	answer func(http.ResponseWriter, *http.Request)

	mu    sync.Mutex
	calls []string
}

func newLibrary(t testing.TB) *library {
	l := &library{
		demand: func(r *http.Request) rar.Detail {
			if r.Method == http.MethodPost {
				return rar.Detail{Type: "file_access", Actions: []string{"write"}, Identifier: "reports"}
			}
			return read(strings.TrimPrefix(r.URL.Path, "/base/v1/documents/"))
		},
		answer: func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				var report tools.ReportArgs
				if err := json.NewDecoder(r.Body).Decode(&report); err != nil {
					t.Error(err)
				}
				_, _ = fmt.Fprintf(w, `{"id":"rep_1","title":%q,"path":"reports/q4.md"}`, report.Title)
				return
			}
			if strings.HasSuffix(r.URL.Path, "missing") {
				w.WriteHeader(http.StatusNotFound)
				return
			}
			_, _ = fmt.Fprintf(w, `{"id":"doc_1","title":"Churn","kind":"report","updated_at":"2026-01-02","content":"4.2 %%","token":%q}`, r.Header.Get("Authorization"))
		},
	}
	guarded := fake.Guard(func(r *http.Request) rar.Detail { return l.demand(r) }, http.HandlerFunc(l.answer))
	l.url = serve(t, func(w http.ResponseWriter, r *http.Request) {
		l.mu.Lock()
		l.calls = append(l.calls, r.Method+" "+r.URL.Path)
		l.mu.Unlock()
		guarded.ServeHTTP(w, r)
	}).JoinPath("base")
	return l
}

// at is a detail for the library alone, which is asked for although the library names no
// location.
func (l *library) at(d rar.Detail) rar.Detail {
	d.Locations = []string{"http://" + l.url.Host}
	return d
}

func (l *library) tool(t testing.TB, name string) tool.Tool {
	t.Helper()
	return analystsTools(t, l.url)[name]
}

func TestFetchDocument(t *testing.T) {
	l, a := newLibrary(t), &fake.Authority{}
	got := call(t, a, l.tool(t, "fetch_document"), map[string]any{"document_id": "doc_1"})
	want := map[string]any{"id": "doc_1", "title": "Churn", "kind": "report", "updated_at": "2026-01-02", "content": "4.2 %"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Run() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"GET /base/v1/documents/doc_1", "GET /base/v1/documents/doc_1"}, l.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]rar.Detail{l.at(read("doc_1"))}, a.Asked()); diff != "" {
		t.Errorf("asked for (-want +got):\n%s", diff)
	}
	if a.Requests()[0].Justification != "Read document doc_1" {
		t.Errorf("justification = %q", a.Requests()[0].Justification)
	}
}

func TestCreateReport(t *testing.T) {
	l, a := newLibrary(t), &fake.Authority{}
	title := "Q4 \x1b[31m\nAnalysis " + strings.Repeat("x", 150)
	got := call(t, a, l.tool(t, "create_report"), map[string]any{"title": "Q4 Analysis", "content": "# Churn\n"})
	if diff := cmp.Diff(map[string]any{"id": "rep_1", "title": "Q4 Analysis", "path": "reports/q4.md"}, got); diff != "" {
		t.Errorf("Run() (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"POST /base/v1/reports", "POST /base/v1/reports"}, l.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
	call(t, a, l.tool(t, "create_report"), map[string]any{"title": title, "content": "# Churn\n"})
	want := []string{"Create a report titled “Q4 Analysis”", "Create a report titled “Q4 [31m Analysis " + strings.Repeat("x", 100) + "…”"}
	var got2 []string
	for _, r := range a.Requests() {
		got2 = append(got2, r.Justification)
	}
	if diff := cmp.Diff(want, got2); diff != "" {
		t.Errorf("justifications (-want +got):\n%s", diff)
	}
}

func TestCallsThatDoNotWork(t *testing.T) {
	decided := func(d jit.Decision) func(jit.Request) (jit.Decision, error) {
		return func(jit.Request) (jit.Decision, error) { return d, nil }
	}
	final := "This is final for this task: do not call the tool again for it; say so in your answer."
	l := newLibrary(t)
	for name, tt := range map[string]struct {
		id     string
		decide func(jit.Request) (jit.Decision, error)
		want   map[string]any
	}{
		"missing": {id: "missing", want: map[string]any{
			"status": "not_found", "error": "document missing does not exist", "advice": "Say so in your answer; do not guess another id.",
		}},
		"denied": {id: "doc_1", decide: decided(jit.Decision{Status: jit.StatusDenied, Risk: "high", Message: "not yours"}), want: map[string]any{
			"status": "denied", "error": "permission for " + l.at(read("doc_1")).String() + " was denied: not yours", "advice": final, "request_id": "jit_1", "risk_level": "high",
		}},
		"pending": {id: "doc_1", decide: decided(jit.Decision{Status: jit.StatusPending, Risk: "critical", ExpiresAt: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}), want: map[string]any{
			"status": "pending", "error": "permission for " + l.at(read("doc_1")).String() + " is waiting for a person's decision",
			"advice":     "Do not call the tool again for it now; say in your answer what is waiting.",
			"request_id": "jit_1", "risk_level": "critical", "expires_at": "2100-01-01T00:00:00Z",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := &fake.Authority{Decide: tt.decide}
			got := call(t, a, l.tool(t, "fetch_document"), map[string]any{"document_id": tt.id})
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("Run() (-want +got):\n%s", diff)
			}
		})
	}
}

// The ceilings, exactly: what lies within is asked for, and every neighbour of it
// is refused without a word to the authorization server.
func TestCeilingsOfTheAnalystsTools(t *testing.T) {
	fetch, report := map[string]any{"document_id": "doc_1"}, map[string]any{"title": "T", "content": "C"}
	write := rar.Detail{Type: "file_access", Actions: []string{"write"}, Identifier: "reports"}
	at := func(d rar.Detail, locations ...string) rar.Detail { d = d.Clone(); d.Locations = locations; return d }
	change := func(d rar.Detail, f func(*rar.Detail)) rar.Detail { d = d.Clone(); f(&d); return d }
	l := newLibrary(t)
	here := "http://" + l.url.Host
	for name, tt := range map[string]struct {
		tool   string
		args   map[string]any
		demand rar.Detail
		within bool
	}{
		"read":                   {"fetch_document", fetch, read("doc_1"), true},
		"read, located":          {"fetch_document", fetch, at(read("doc_1"), here), true},
		"read, with a slash":     {"fetch_document", fetch, at(read("doc_1"), here+"/"), true},
		"read, by its URL":       {"fetch_document", fetch, at(read("doc_1"), l.url.JoinPath("v1/documents/doc_1").String()), true},
		"read, in a collection":  {"fetch_document", fetch, at(read("doc_1"), l.url.JoinPath("v1/documents").String()), true},
		"read, in one, slashed":  {"fetch_document", fetch, at(read("doc_1"), l.url.JoinPath("v1/documents").String()+"/"), true},
		"read, by another's URL": {"fetch_document", fetch, at(read("doc_1"), l.url.JoinPath("v1/documents/doc_2").String()), false},
		"write, in a collection": {"create_report", report, at(write, l.url.JoinPath("v1/reports").String()), true},
		"write":                  {"create_report", report, write, true},
		"write, located":         {"create_report", report, at(write, here), true},
		"another document":       {"fetch_document", fetch, read("doc_2"), false},
		"every document":         {"fetch_document", fetch, read("*"), false},
		"no document":            {"fetch_document", fetch, read(""), false},
		"another case":           {"fetch_document", fetch, read("DOC_1"), false},
		"write the document":     {"fetch_document", fetch, change(write, func(d *rar.Detail) { d.Identifier = "doc_1" }), false},
		"read and write":         {"fetch_document", fetch, change(read("doc_1"), func(d *rar.Detail) { d.Actions = []string{"read", "write"} }), false},
		"any action":             {"fetch_document", fetch, change(read("doc_1"), func(d *rar.Detail) { d.Actions = nil }), false},
		"another type":           {"fetch_document", fetch, change(read("doc_1"), func(d *rar.Detail) { d.Type = "admin" }), false},
		"privileges":             {"fetch_document", fetch, change(read("doc_1"), func(d *rar.Detail) { d.Privileges = []string{"admin"} }), false},
		"data types":             {"fetch_document", fetch, change(read("doc_1"), func(d *rar.Detail) { d.DataTypes = []string{"pii"} }), false},
		"an unknown member":      {"fetch_document", fetch, change(read("doc_1"), func(d *rar.Detail) { d.Extra = map[string]json.RawMessage{"recursive": json.RawMessage("true")} }), false},
		"elsewhere":              {"fetch_document", fetch, at(read("doc_1"), "https://evil.example"), false},
		"here and elsewhere":     {"fetch_document", fetch, at(read("doc_1"), here, "https://evil.example"), false},
		"reports by fetching":    {"fetch_document", fetch, write, false},
		"read reports":           {"create_report", report, read("reports"), false},
		"a document by writing":  {"create_report", report, change(write, func(d *rar.Detail) { d.Identifier = "doc_1" }), false},
		"every report":           {"create_report", report, change(write, func(d *rar.Detail) { d.Identifier = "" }), false},
		"delete reports":         {"create_report", report, change(write, func(d *rar.Detail) { d.Actions = []string{"delete"} }), false},
		"write and read reports": {"create_report", report, change(write, func(d *rar.Detail) { d.Actions = []string{"write", "read"} }), false},
		"reports elsewhere":      {"create_report", report, at(write, here+"/base"), false},
	} {
		t.Run(name, func(t *testing.T) {
			l.demand = func(*http.Request) rar.Detail { return tt.demand }
			a := &fake.Authority{}
			got := call(t, a, l.tool(t, tt.tool), tt.args)
			if tt.within {
				want := tt.demand
				if want.Locations == nil {
					want = l.at(want)
				}
				if diff := cmp.Diff([]rar.Detail{want}, a.Asked()); diff != "" || got["error"] != nil {
					t.Errorf("Run() = %v; asked for (-want +got):\n%s", got, diff)
				}
				return
			}
			if len(a.Asked()) != 0 || got["error"] == nil {
				t.Errorf("Run() = %v after asking for %v, want a failure and no request", got, a.Asked())
			}
		})
	}
}

func TestAnalystsToolsNeedAnAPI(t *testing.T) {
	for _, api := range []*url.URL{nil, {}, {Scheme: "http", Host: "api.example.com"}, {Scheme: "https", Host: "api.example.com", Opaque: "x"}} {
		if got, err := tools.FetchDocument(api, tools.Options{}); err == nil {
			t.Errorf("FetchDocument(%v) = %v, want an error", api, got)
		}
		if got, err := tools.CreateReport(api, tools.Options{}); err == nil {
			t.Errorf("CreateReport(%v) = %v, want an error", api, got)
		}
	}
}

// What the operator's file names may be asked for, for calls with those arguments.
func TestPolicyWidensACeiling(t *testing.T) {
	p, err := policy.Parse([]byte(`tools: {fetch_document: {ceilings: [{type: document_access, actions: [read], identifier: "{document_id}", locations: ["{api}"]}]}}`), map[string][]string{"fetch_document": {"document_id"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		policy *policy.Policy
		id     string
		asked  int
	}{"named": {p, "doc_1", 1}, "another document": {p, "doc_2", 0}, "no policy": {nil, "doc_1", 0}} {
		l, a := newLibrary(t), &fake.Authority{}
		l.demand = func(*http.Request) rar.Detail {
			return rar.Detail{Type: "document_access", Actions: []string{"read"}, Identifier: tt.id, Locations: []string{l.url.String()}}
		}
		fetch, err := tools.FetchDocument(l.url, tools.Options{Policy: tt.policy})
		if err != nil {
			t.Fatal(err)
		}
		got := call(t, a, fetch, map[string]any{"document_id": "doc_1"})
		if len(a.Asked()) != tt.asked || (got["error"] == nil) != (tt.asked == 1) {
			t.Errorf("%s: %v after asking for %v", name, got, a.Asked())
		}
	}
}

// What a policy file is held against.
func TestArguments(t *testing.T) {
	var kit []tool.Tool
	for _, build := range []func(*url.URL, tools.Options) (tool.Tool, error){tools.FetchDocument, tools.CreateReport} {
		made, err := build(&url.URL{Scheme: "https", Host: "api.test"}, tools.Options{})
		if err != nil {
			t.Fatal(err)
		}
		kit = append(kit, made)
	}
	want := map[string][]string{"fetch_document": {"document_id"}, "create_report": {"content", "title"}}
	if diff := cmp.Diff(want, tools.Arguments(kit)); diff != "" {
		t.Errorf("Arguments() (-want +got):\n%s", diff)
	}
}

func TestSearchDocuments(t *testing.T) {
	w := jittest.Start(t, jittest.Route("GET /v1/documents", func(r *http.Request) rar.Detail {
		return rar.Detail{Type: "file_access", Actions: []string{"search"}, Identifier: "documents", Locations: []string{"http://" + r.Host}}
	}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("query") == "none" {
			_, _ = io.WriteString(w, `{"documents":[],"total":0}`)
			return
		}
		_, _ = io.WriteString(w, `{"documents":[{"id":"doc_1","title":"Q4","kind":"review","snippet":"rose"}],"total":1}`)
	}))
	search, err := tools.SearchDocuments(w.API, tools.Options{Logger: w.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{"Q4 & more": `{"documents":[{"id":"doc_1","kind":"review","snippet":"rose","title":"Q4"}],"total":1}`, "none": `{"documents":[],"total":0}`} {
		got, err := adktest.Call(t, w, search, tools.SearchArgs{Query: query})
		text, _ := json.Marshal(got)
		if err != nil || string(text) != want {
			t.Errorf("search_documents(%s) = %s, %v, want %s", query, text, err, want)
		}
	}
	w.NothingLeft()
}
