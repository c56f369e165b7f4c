package jittest_test

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/rar"
)

var doc1, doc2, reports = jittest.Read("doc_1"), jittest.Read("doc_2"), jittest.Write("reports")

func fetch(w *jittest.World)  { _, _, _ = w.Get("/documents/doc_1", doc1) }
func fetch2(w *jittest.World) { _, _, _ = w.Get("/documents/doc_2", doc2) }
func post(w *jittest.World)   { _, _, _ = w.Post("/reports", `{"title":"Q4"}`, reports) }

// TestAssertions sees each assertion hold and fail.
func TestAssertions(t *testing.T) {
	twice := func(w *jittest.World) { fetch(w); fetch(w) }
	both := func(w *jittest.World) { fetch2(w); fetch(w) }
	bare := func(w *jittest.World) {
		resp, err := w.Client().Get(w.API.String() + "/documents/doc_1") //nolint:noctx // a call outside of every task is the point
		if err == nil {
			_ = resp.Body.Close()
		}
	}
	nothing := func(*jittest.World) {}
	for name, test := range map[string]struct {
		options []jittest.Option
		act     func(*jittest.World)
		assert  func(*jittest.World)
		want    string // "" when it holds
	}{
		"asked exactly":               {nil, fetch, func(w *jittest.World) { w.AskedExactly(doc1) }, ""},
		"asked exactly, both":         {nil, both, func(w *jittest.World) { w.AskedExactly(doc1, doc2) }, ""},
		"asked exactly, in any order": {nil, both, func(w *jittest.World) { w.AskedExactly(doc2, doc1) }, ""},
		"asked for another":           {nil, fetch, func(w *jittest.World) { w.AskedExactly(doc2) }, "authority was asked for something else"},
		"asked for more":              {nil, both, func(w *jittest.World) { w.AskedExactly(doc1) }, "doc_2"},
		"asked for less":              {nil, fetch, func(w *jittest.World) { w.AskedExactly(doc1, doc2) }, "doc_2"},
		"asked once, not twice":       {nil, fetch, func(w *jittest.World) { w.AskedExactly(doc1, doc1) }, "doc_1"},
		"asked exactly nothing":       {nil, nothing, func(w *jittest.World) { w.AskedExactly() }, ""},
		"asked nothing":               {nil, bare, (*jittest.World).AskedNothing, ""},
		"asked something":             {nil, fetch, (*jittest.World).AskedNothing, `"identifier":"doc_1"`},
		"asked within":                {nil, both, func(w *jittest.World) { w.AskedWithin(doc1, doc2, reports) }, ""},
		"asked outside":               {nil, both, func(w *jittest.World) { w.AskedWithin(doc1) }, `"identifier":"doc_2"`},
		"calls":                       {nil, fetch, func(w *jittest.World) { w.Calls(2) }, ""},
		"fewer calls":                 {nil, fetch, func(w *jittest.World) { w.Calls(3) }, "the API received 2 calls, want 3"},
		"used":                        {nil, twice, func(w *jittest.World) { w.Used(2) }, ""},
		"used less often":             {nil, fetch, func(w *jittest.World) { w.Used(2) }, "1 calls of the API carried a granted token, want 2"},
		"never used":                  {nil, bare, func(w *jittest.World) { w.Used(0) }, ""},
		"one key":                     {nil, post, (*jittest.World).OneKey, ""},
		"no key":                      {nil, fetch, (*jittest.World).OneKey, "so there was no key"},
		"two keys":                    {nil, func(w *jittest.World) { post(w); _, _, _ = w.Post("/reports", `{"title":"Q3"}`, reports) }, (*jittest.World).OneKey, "POST /reports with the key"},
		"a call without a key": {nil, func(w *jittest.World) {
			resp, err := w.Client().Post(w.API.String()+"/reports", "application/json", strings.NewReader("{}")) //nolint:noctx // as above
			if err == nil {
				_ = resp.Body.Close()
			}
		}, (*jittest.World).OneKey, `with the key ""`},
		"nothing left":       {nil, fetch, (*jittest.World).NothingLeft, ""},
		"a token left":       {nil, leaveOpen, (*jittest.World).NothingLeft, "tokens: 1"},
		"a task left":        {nil, leaveOpen, (*jittest.World).NothingLeft, "(left open)"},
		"nothing leaked":     {nil, fetch, func(w *jittest.World) { w.NothingLeaked("text", errors.New("e"), nil) }, ""},
		"nothing was tested": {nil, nothing, func(w *jittest.World) { w.NothingLeaked() }, "no token was issued"},
	} {
		t.Run(name, func(t *testing.T) {
			failures := run(t, func(t *recorder) {
				w := jittest.Start(t, test.options...)
				test.act(w)
				test.assert(w)
			})
			wantFailure(t, failures, test.want)
		})
	}
}

// leaveOpen opens a task of its own with a live token, and leaves it. The world
// ends after the assertions, and with it the task.
func leaveOpen(w *jittest.World) {
	task, err := w.Engine.Open(w.Context(), jit.TaskSpec{Name: "left open"})
	if err != nil {
		return
	}
	_, _ = jit.Acquire(task.Call(w.Context(), jit.Call{Ceiling: []rar.Detail{doc1}}), doc1)
}

// discreet shows its field by %#v only.
type discreet struct{ text string }

func (discreet) String() string { return "nothing" }

// verbose shows itself by %+v only.
type verbose string

func (v verbose) Format(f fmt.State, _ rune) {
	if f.Flag('+') {
		_, _ = f.Write([]byte(v))
	}
}

func (verbose) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }

// TestLeaksAreFound plants each kind of credential, in each form, in each kind of
// output.
func TestLeaksAreFound(t *testing.T) {
	encode := map[string]func(string) any{
		"text":           func(s string) any { return "before " + s + " after" },
		"bytes":          func(s string) any { return []byte(s) },
		"a reader":       func(s string) any { return strings.NewReader("x" + s) },
		"an error":       func(s string) any { return errors.Join(errors.New("a"), errors.New(s)) },
		"a struct":       func(s string) any { return struct{ hidden []string }{[]string{s}} },
		"a pointer":      func(s string) any { return struct{ Text *string }{&s} },
		"a map":          func(s string) any { return map[string]any{"a": []any{s}} },
		"a key":          func(s string) any { return map[string]any{s: 1} },
		"hex":            func(s string) any { return hex.EncodeToString([]byte("z" + s)) },
		"upper hex":      func(s string) any { return strings.ToUpper(hex.EncodeToString([]byte(s))) },
		"base64":         func(s string) any { return base64.StdEncoding.EncodeToString([]byte("Bearer " + s + " more")) },
		"base64 url":     func(s string) any { return base64.RawURLEncoding.EncodeToString([]byte("ab" + s)) },
		"query":          func(s string) any { return "q=" + url.QueryEscape(s) },
		"a hidden field": func(s string) any { return discreet{s} },
		"a long form":    func(s string) any { return verbose(s) },
		"signature only": func(s string) any { return s[strings.LastIndexByte(s, '.')+1:] },
	}
	for kind, name := range map[int]string{0: "the client secret", 1: "the agent's token", 2: "token 1"} {
		var forms []string
		failures := run(t, func(t *recorder) {
			w := jittest.Start(t)
			fetch(w)
			for form, plant := range encode {
				forms = append(forms, form)
				w.NothingLeaked("innocent", plant(w.Credentials()[kind].Reveal()))
				if got := len(t.failures); got != len(forms) {
					t.Errorf("%s in %s was not found", name, form)
				}
			}
		})
		for i, f := range failures {
			if !strings.Contains(f, "output 2 (") || !strings.Contains(f, "holds "+name) || strings.Contains(f, "output 1") {
				t.Errorf("%s in %s: the failure is %q", name, forms[i], f)
			}
		}
	}
}

func TestLeaksIntoTheLogAndEventsAreFound(t *testing.T) {
	for where, leak := range map[string]func(*jittest.World, string){
		"the log holds token 1":           func(w *jittest.World, s string) { w.Logger().Info("oops", "token", s) },
		"the event blocked holds token 1": func(w *jittest.World, s string) { w.Observe(jit.Blocked{Reason: s}) },
	} {
		wantFailure(t, run(t, func(t *recorder) {
			w := jittest.Start(t)
			fetch(w)
			leak(w, w.Credentials()[2].Reveal())
			w.NothingLeaked()
		}), where)
	}
}

func TestFailuresShowNoCredential(t *testing.T) {
	var planted string
	failures := run(t, func(t *recorder) {
		w := jittest.Start(t)
		fetch(w)
		planted = w.Credentials()[2].Reveal()
		w.Note("the tool said %s", planted)
		w.Observe(jit.Blocked{Reason: hex.EncodeToString([]byte(planted))})
		for _, key := range []string{planted, "another"} {
			req, err := http.NewRequestWithContext(w.Call(reports), http.MethodPost, w.API.String()+"/reports", strings.NewReader(key))
			if err != nil {
				t.Fatalf("%v", err)
			}
			req.Header.Set(jit.HeaderIdempotencyKey, key)
			resp, err := w.Client().Do(req)
			if err != nil {
				t.Fatalf("%v", err)
			}
			_ = resp.Body.Close()
		}
		w.OneKey()
		w.Calls(0)
	})
	if len(failures) != 2 || !strings.Contains(failures[0], "the tool said [token 1]") {
		t.Fatalf("failures = %q, want two that name token 1", failures)
	}
	for _, f := range failures {
		if strings.Contains(f, planted) || strings.Contains(f, hex.EncodeToString([]byte(planted))) {
			t.Errorf("the failure shows the token: %s", f)
		}
	}
}

func TestStoryTellsAllInOrder(t *testing.T) {
	w := jittest.Start(t)
	if got := w.Story(); !strings.Contains(got, "nothing at all") {
		t.Errorf("the story of an empty world = %q", got)
	}
	fetch(w)
	_, _, _ = w.Get("/documents/doc_2", doc1)
	w.Complete()
	want := []string{
		"the agent logged in",
		"task opened",
		"API: GET /documents/doc_1 with the agent's token -> 403, it takes file_access read doc_1",
		`asked: file_access read doc_1 ("a test") -> approved`,
		"issued: token 1 for [file_access read doc_1]",
		"API: GET /documents/doc_1 with token 1 -> 200",
		"API: GET /documents/doc_2 with the agent's token -> 403, it takes file_access read doc_2",
		"the client refused a demand for file_access read doc_2: ",
		"task completed",
	}
	rest := w.Story()
	for _, line := range want {
		_, after, found := strings.Cut(rest, line)
		if !found {
			t.Fatalf("the story lacks %q, or has it elsewhere:\n%s", line, w.Story())
		}
		rest = after
	}
}
