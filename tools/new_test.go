package tools_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

type none struct{}

// build builds a tool of A that needs no authority and counts its calls.
func build[A any](calls *int) (tool.Tool, error) {
	return tools.New(tools.Spec[A]{Name: "act", Description: "acts", Ceiling: func(A) []rar.Detail { return nil }},
		func(tools.Context, A) (map[string]any, error) { *calls++; return map[string]any{"ok": true}, nil })
}

func TestNewRefusesASpecThatWouldFailLater(t *testing.T) {
	fine := tools.Spec[none]{Name: "act", Description: "acts", Ceiling: func(none) []rar.Detail { return nil }}
	fn := func(tools.Context, none) (string, error) { return "", nil }
	for name, tt := range map[string]struct {
		change func(*tools.Spec[none])
		fn     func(tools.Context, none) (string, error)
		want   string
	}{
		"no name":           {func(s *tools.Spec[none]) { s.Name = "" }, fn, "the name must match"},
		"a name with space": {func(s *tools.Spec[none]) { s.Name = "fetch document" }, fn, "the name must match"},
		"a long name":       {func(s *tools.Spec[none]) { s.Name = strings.Repeat("a", 65) }, fn, "the name must match"},
		"a line break":      {func(s *tools.Spec[none]) { s.Name = "act\n" }, fn, "the name must match"},
		"ADK's name":        {func(s *tools.Spec[none]) { s.Name = "transfer_to_agent" }, fn, "by itself"},
		"no description":    {func(s *tools.Spec[none]) { s.Description = "" }, fn, "no Description"},
		"no ceiling":        {func(s *tools.Spec[none]) { s.Ceiling = nil }, fn, "no Ceiling"},
		"no function":       {func(*tools.Spec[none]) {}, nil, "no function"},
		"negative limit":    {func(s *tools.Spec[none]) { s.MaxResult = -1 }, fn, "MaxResult is negative"},
		"plain http":        {func(s *tools.Spec[none]) { s.API = &url.URL{Scheme: "http", Host: "api.example.com"} }, fn, "https"},
		"no host":           {func(s *tools.Spec[none]) { s.API = &url.URL{Path: "/v1"} }, fn, "names no host"},
		"other scheme":      {func(s *tools.Spec[none]) { s.API = &url.URL{Scheme: "ftp", Host: "api.example.com"} }, fn, "neither https nor http"},
		"password in URL": {func(s *tools.Spec[none]) {
			s.API = &url.URL{Scheme: "https", Host: "api.example.com", User: url.UserPassword("u", "hunter2")}
		}, fn, "user information"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := fine
			tt.change(&spec)
			got, err := tools.New(spec, tt.fn)
			if err == nil || got != nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), fmt.Sprintf("tools: new %q: ", spec.Name)) {
				t.Errorf("New() = %v, %v, want an error with %q", got, err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error holds the password: %v", err)
			}
		})
	}
	if _, err := tools.New(fine, fn); err != nil {
		t.Errorf("New() = %v, want the unchanged spec to work", err)
	}
}

func TestArgumentsAreHeldAgainstTheSchema(t *testing.T) {
	reached := 0
	fetch, err := tools.New(tools.Spec[tools.FetchArgs]{
		Name: "fetch_document", Description: "fetches",
		Ceiling: func(a tools.FetchArgs) []rar.Detail { reached++; return []rar.Detail{read(a.DocumentID)} },
	}, func(tools.Context, tools.FetchArgs) (map[string]any, error) { reached++; return nil, nil })
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args any
		want string
	}{
		"none":             {nil, "document_id is missing"},
		"nil map":          {map[string]any(nil), "document_id is missing"},
		"empty":            {map[string]any{}, "document_id is missing"},
		"extra":            {map[string]any{"document_id": "doc_1", "as": "admin"}, "the tool takes no argument as"},
		"other case":       {map[string]any{"Document_ID": "doc_1"}, "the tool takes no argument Document_ID"},
		"both cases":       {map[string]any{"document_id": "doc_1", "DOCUMENT_ID": "doc_2"}, "the tool takes no argument DOCUMENT_ID"},
		"Go's name":        {map[string]any{"DocumentID": "doc_1"}, "DocumentID"},
		"number":           {map[string]any{"document_id": 9982.0}, "document_id is 9982, and a text that matches ^[A-Za-z0-9_-]{1,64}$ is wanted"},
		"null":             {map[string]any{"document_id": nil}, "document_id is null, and a text that matches ^[A-Za-z0-9_-]{1,64}$ is wanted"},
		"list":             {map[string]any{"document_id": []any{"doc_1"}}, "document_id is a list of 1, and a text that matches ^[A-Za-z0-9_-]{1,64}$ is wanted"},
		"object":           {map[string]any{"document_id": map[string]any{"$ne": ""}}, "document_id is an object, and a text that matches ^[A-Za-z0-9_-]{1,64}$ is wanted"},
		"empty text":       {map[string]any{"document_id": ""}, `document_id is "", and a text that matches ^[A-Za-z0-9_-]{1,64}$ is wanted`},
		"too long":         {map[string]any{"document_id": strings.Repeat("a", 65)}, "matches"},
		"path":             {map[string]any{"document_id": "../reports"}, `document_id is "../reports", and a text that matches`},
		"query":            {map[string]any{"document_id": "doc_1?x=y"}, "matches"},
		"line break":       {map[string]any{"document_id": "doc_1\n"}, `"doc_1\n"`},
		"not UTF-8":        {map[string]any{"document_id": "doc_\xff"}, "matches"},
		"other characters": {map[string]any{"document_id": "dоc_1"}, "matches"}, // a Cyrillic о
		"a text":           {`{"document_id":"doc_1"}`, "not an object"},
		"huge":             {map[string]any{"document_id": strings.Repeat("a", 1<<20)}, "matches"},
	} {
		t.Run(name, func(t *testing.T) {
			got := call(t, &fake.Authority{}, fetch, tt.args)
			text, _ := got["error"].(string)
			if got["status"] != string(jit.CallInvalid) || !strings.Contains(text, tt.want) || len(text) > 1200 {
				t.Errorf("Run() = %.2000v, want an error with %q", got, tt.want)
			}
			if reached != 0 {
				t.Error("the ceiling or the handler was called")
			}
		})
	}
}

// Bytes that are not UTF-8 would be replaced on the way to the handler, so that it
// would get what the schema never saw.
func TestHandlerGetsWhatTheSchemaSaw(t *testing.T) {
	calls := 0
	act, err := build[struct {
		Text string `json:"text"`
	}](&calls)
	if err != nil {
		t.Fatal(err)
	}
	if got := call(t, &fake.Authority{}, act, map[string]any{"text": "a\xffb"}); got["status"] != "invalid_arguments" || calls != 0 {
		t.Errorf("Run() = %v after %d calls, want the arguments refused", got, calls)
	}
}

// loose has a schema of its own, which allows more than the type reads.
type loose struct {
	ID string `json:"id"`
}

func (loose) JSONSchema() *jsonschema.Schema { return &jsonschema.Schema{Type: "object"} }

func TestSchemaOfTheTypesOwnDoesNotWidenIt(t *testing.T) {
	calls := 0
	act, err := build[struct {
		Inner loose `json:"inner"`
	}](&calls)
	if err != nil {
		t.Fatal(err)
	}
	for _, inner := range []map[string]any{{"id": "a", "ID": "b"}, {"id": "a", "as": "admin"}, {"id": 1.0}} {
		if got := call(t, &fake.Authority{}, act, map[string]any{"inner": inner}); got["status"] != "invalid_arguments" || calls != 0 {
			t.Errorf("Run(%v) = %v after %d calls, want the arguments refused", inner, got, calls)
		}
	}
}

func TestHandlersPanicAndErrors(t *testing.T) {
	act, err := tools.New(tools.Spec[none]{Name: "act", Description: "acts", Ceiling: func(none) []rar.Detail { return nil }},
		func(tools.Context, none) (none, error) { panic("boom-value") })
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"status": "failed", "error": "the tool failed internally", "advice": "Say so in your answer."}
	if diff := cmp.Diff(want, call(t, &fake.Authority{}, act, map[string]any{})); diff != "" {
		t.Errorf("Run() (-want +got):\n%s", diff)
	}
	act, err = tools.New(tools.Spec[none]{Name: "act", Description: "acts", Ceiling: func(none) []rar.Detail { return nil }},
		func(tools.Context, none) (none, error) { return none{}, errors.New("the month has not ended yet") })
	if err != nil {
		t.Fatal(err)
	}
	want = map[string]any{"status": "failed", "error": "the month has not ended yet"}
	if diff := cmp.Diff(want, call(t, &fake.Authority{}, act, map[string]any{})); diff != "" {
		t.Errorf("Run() (-want +got):\n%s", diff)
	}
}

func TestResultsAreObjects(t *testing.T) {
	result := func(act tool.Tool, err error) map[string]any {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return call(t, &fake.Authority{}, act, map[string]any{})
	}
	type doc struct {
		ID int64 `json:"id"`
	}
	for name, tt := range map[string]struct{ got, want map[string]any }{
		"struct":  {result(returning(doc{7})), map[string]any{"id": 7.0}},
		"big id":  {result(returning(doc{9007199254740993})), map[string]any{"id": "9007199254740993"}},
		"pointer": {result(returning(&doc{7})), map[string]any{"id": 7.0}},
		"nothing": {result(returning((*doc)(nil))), map[string]any{"result": nil}},
		"text":    {result(returning("done")), map[string]any{"result": "done"}},
		"list":    {result(returning([]doc{{1}})), map[string]any{"result": []any{map[string]any{"id": 1.0}}}},
		"map":     {result(returning(map[string]any{"a": 1})), map[string]any{"a": 1}},
		"any":     {result(returning[any](doc{7})), map[string]any{"id": 7.0}},
		"nil map": {result(returning(map[string]any(nil))), map[string]any{"result": nil}},
	} {
		if diff := cmp.Diff(tt.want, tt.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func returning[R any](r R) (tool.Tool, error) {
	return tools.New(tools.Spec[none]{Name: "act", Description: "acts", Ceiling: func(none) []rar.Detail { return nil }},
		func(tools.Context, none) (R, error) { return r, nil })
}

func TestHandlerWorksUnderItsCall(t *testing.T) {
	act, err := tools.New(tools.Spec[tools.FetchArgs]{
		Name: "act", Description: "acts", MaxResult: 500,
		Ceiling: func(a tools.FetchArgs) []rar.Detail { return []rar.Detail{read(a.DocumentID)} },
	}, func(ctx tools.Context, a tools.FetchArgs) (string, error) {
		if _, err := jit.Acquire(ctx, read("other")); !errors.Is(err, jit.ErrOutsideCeiling) {
			t.Errorf("Acquire(other) = %v, want ErrOutsideCeiling", err)
		}
		if _, err := jit.Acquire(ctx, read(a.DocumentID)); err != nil {
			t.Errorf("Acquire(%s) = %v", a.DocumentID, err)
		}
		return strings.Repeat("x", 1000), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a := &fake.Authority{}
	got := call(t, a, act, map[string]any{"document_id": "doc_1"})
	if text, err := json.Marshal(got); err != nil || len(text) > 500 || got["truncated"] == nil {
		t.Errorf("Run() = %s, %v, want a result cut to 500 bytes", text, err)
	}
	if len(a.Requests()) != 1 || a.Requests()[0].Justification != "act" {
		t.Errorf("requests = %+v, want one with the tool's name as its justification", a.Requests())
	}
}
