package tools_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// What took effect is never told as failed, no effect happens twice, and nothing is
// told as a document. An outcome of done is exit code 0, any other is not.
func TestAnswersOfRealAPIs(t *testing.T) {
	empty := map[string]bool{"201 empty": true, "204": true}
	long := map[string]bool{"beyond the bound": true, "compressed": true, "endless": true}
	for name, answer := range apiAnswers() {
		t.Run(name+"/GET", func(t *testing.T) {
			got, _ := answered(t, answer, "GET /v1/documents/{id}", tools.FetchDocument, "fetch_document", map[string]any{"document_id": "doc_1"})
			content, _ := got.Result["content"].(string)
			switch {
			case empty[name]:
				if got.Status != "failed" || !strings.Contains(got.Error, "no content") {
					t.Errorf("the model is told %v, want that there is no content", got.Result)
				}
			case long[name]:
				if got.Status != "failed" || !strings.Contains(got.Error, "larger than 4194304 bytes") {
					t.Errorf("the model is told %.300v, want that it is too large", got.Result)
				}
			case got.Status != "ok" || strings.TrimSpace(content) == "" || strings.ContainsRune(content, 0) || got.Result["id"] == "":
				t.Errorf("the model is told %v, want the content", got.Result)
			}
			if name == "Latin-1" && content != "Café Müller" || strings.HasPrefix(name, "UTF-16") && content != "Café" || name == "BOM" && content != "It rose." || name == "JSON as text" && content != "It rose." {
				t.Errorf("content = %q", content)
			}
		})
		t.Run(name+"/POST", func(t *testing.T) {
			got, w := answered(t, answer, "POST /v1/reports", tools.CreateReport, "create_report", map[string]any{"title": "Churn", "content": "It rose."})
			w.Used(1) // one effect, and the refusal before it
			if got.Status != "ok" || len(got.Result) < 2 {
				t.Errorf("the model is told %.300v, want that it is done", got.Result)
			}
			if name == "numeric id" && got.Result["id"] != "1234567890123456789" {
				t.Errorf("id = %v", got.Result["id"])
			}
		})
	}
}

// answered runs an agent that calls the tool once against an API with the answer.
func answered(t *testing.T, answer http.HandlerFunc, route string, build func(*url.URL, tools.Options) (tool.Tool, error), name string, args map[string]any) (runner.ToolReturned, *jittest.World) {
	t.Helper()
	w := jittest.Start(t, jittest.Route(route, nil, answer))
	made, err := build(w.API, tools.Options{Logger: w.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	report := adktest.Run(t, w, modeltest.NewScript(modeltest.Calls(&genai.FunctionCall{Name: name, Args: args}), modeltest.Text("done")), []tool.Tool{made}, "go")
	w.NothingLeft()
	for _, e := range report.Events {
		if e, ok := e.(runner.ToolReturned); ok {
			want := runner.Failed
			if e.Status == "ok" {
				want = runner.Done
			}
			if report.Outcome != want {
				t.Errorf("the outcome is %s after a call that is %s", report.Outcome, e.Status)
			}
			return e, w
		}
	}
	t.Fatalf("the call did not return: %v", report.Err)
	return runner.ToolReturned{}, nil
}

// PostJSON's caller may decode into whatever it likes: an answer of another shape is
// shown as it is.
func TestAcceptedRequestsAreNoFailures(t *testing.T) {
	for body, want := range map[string]string{`"made"`: `"made"`, "": "", "ok, made": "ok, made", `{"id":1}`: `{"id":1}`} {
		api := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(201); _, _ = io.WriteString(w, body) })
		act, _ := caller(t, api, func(ctx tools.Context, doc *tools.Document) error { return ctx.PostJSON(api.String(), "x", doc) })
		got := call(t, &fake.Authority{}, act, map[string]any{})
		text, _ := got["answer"].(string)
		if got["status"] != nil || got["error"] != nil || text != want || !strings.Contains(got["note"].(string), "answered 201; it is done") {
			t.Errorf("the model is told %v of the answer %q", got, body)
		}
	}
}

// drip is a body that never ends and is never idle for long.
type drip struct{ done <-chan struct{} }

func (d drip) Read(p []byte) (int, error) {
	select {
	case <-d.done:
		return 0, io.ErrClosedPipe
	case <-time.After(time.Second):
		return copy(p, " "), nil
	}
}

func (drip) Close() error { return nil }

type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestDrippingAnswersEnd(t *testing.T) {
	for method, want := range map[string]any{"GET": "failed", "POST": nil} {
		synctest.Test(t, func(t *testing.T) {
			api := &url.URL{Scheme: "https", Host: "api.test"}
			act, err := tools.New(tools.Spec[none]{
				Name: "act", Description: "acts", API: api, Ceiling: func(none) []rar.Detail { return nil },
				Base: trip(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Header: http.Header{}, Body: drip{r.Context().Done()}, Request: r}, nil
				}),
			}, func(ctx tools.Context, _ none) (out map[string]any, err error) {
				if method == "GET" {
					err = ctx.GetJSON(api.String(), &out)
				} else {
					err = ctx.PostJSON(api.String(), "x", &out)
				}
				return out, err
			})
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			got := call(t, &fake.Authority{}, act, map[string]any{})
			if took := time.Since(start); got["status"] != want || took > 40*time.Second {
				t.Errorf("%s ended after %s with %v, want %v", method, took, got, want)
			}
		})
	}
}

// An answer that is small on the wire and endless in memory costs no more than one
// of the most bytes.
func TestCompressedAnswersAreBounded(t *testing.T) {
	api := serve(t, apiAnswers()["compressed"])
	act, _ := caller(t, api, func(ctx tools.Context, doc *tools.Document) error { return ctx.GetJSON(api.String(), doc) })
	plain := serve(t, apiAnswers()["beyond the bound"])
	first, _ := caller(t, plain, func(ctx tools.Context, doc *tools.Document) error { return ctx.GetJSON(plain.String(), doc) })
	call(t, &fake.Authority{}, first, map[string]any{})
	// Garbage is collected as it comes, so that what is in use at a time counts.
	defer debug.SetGCPercent(debug.SetGCPercent(5))
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	call(t, &fake.Authority{}, act, map[string]any{})
	runtime.ReadMemStats(&after)
	if grown := int64(after.Sys) - int64(before.Sys); grown > 16<<20 {
		t.Errorf("the answer cost %d MiB", grown>>20)
	}
}

func TestDocumentsOfOtherShapes(t *testing.T) {
	for body, want := range map[string]tools.Document{
		`{"id":"doc_1","title":"T","content":"C","x":1}`:                {ID: "doc_1", Title: "T", Content: "C"},
		`{"document_id":7,"name":"T","text":"C","updated":"yesterday"}`: {ID: "7", Title: "T", Content: "C", Updated: "yesterday"},
		`{"result":{"id":"doc_2","content":"C"}}`:                       {ID: "doc_2", Content: "C"},
		`{"pages":["C"]}`: {ID: "doc_1", Content: `{"pages":["C"]}`},
		`"C"`:             {ID: "doc_1", Content: `"C"`},
	} {
		api := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		fetch, err := tools.FetchDocument(api, tools.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := call(t, &fake.Authority{}, fetch, map[string]any{"document_id": "doc_1"})
		delete(got, "kind")
		if want.Updated == "" {
			delete(got, "updated_at")
		}
		text, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		var doc tools.Document
		if err := json.Unmarshal(text, &doc); err != nil || doc != want {
			t.Errorf("%s is read as %+v, %v, want %+v", body, doc, err, want)
		}
	}
	picture := bytes.Repeat([]byte("\x89PNG\r\n\x1a\n"), 3)
	api := serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(picture) })
	fetch, err := tools.FetchDocument(api, tools.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, &fake.Authority{}, fetch, map[string]any{"document_id": "doc_1"}); got["error"] != "document doc_1 is not text (image/png)" {
		t.Errorf("a picture is told as %v", got)
	}
}
