package adktest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/adk/v2/tool/toolutils"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/jit/jittest/adktest"
	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// TestMain fails when something is left running.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fetchArgs struct {
	ID string `json:"id" jsonschema:"pattern=^doc_[0-9]+$"`
}

// newFetch is a guarded tool as an application writes it.
func newFetch(t testing.TB, w *jittest.World) tool.Tool {
	t.Helper()
	made, err := tools.New(tools.Spec[fetchArgs]{
		Name: "fetch", Description: "fetches a document", API: w.API, Logger: w.Logger(),
		Ceiling: func(a fetchArgs) []rar.Detail { return []rar.Detail{jittest.Read(a.ID)} },
	}, func(ctx tools.Context, a fetchArgs) (map[string]any, error) {
		var doc map[string]any
		return doc, ctx.GetJSON(w.API.JoinPath("documents", a.ID).String(), &doc)
	})
	if err != nil {
		t.Fatalf("fetch: %v", err)
	}
	return made
}

// newPlain is a tool of ADK's own, without a guard.
func newPlain(t testing.TB, fn func(map[string]any) (map[string]any, error)) tool.Tool {
	t.Helper()
	made, err := functiontool.New(functiontool.Config{Name: "plain", Description: "acts"},
		func(_ agent.Context, args map[string]any) (map[string]any, error) { return fn(args) })
	if err != nil {
		t.Fatalf("plain: %v", err)
	}
	return made
}

func TestCall(t *testing.T) {
	w := jittest.Start(t)
	result, err := adktest.Call(t, w, newFetch(t, w), fetchArgs{ID: "doc_1"})
	want := map[string]any{"id": "doc_1", "title": "Title of doc_1", "content": "Content of doc_1."}
	if diff := cmp.Diff(want, result); diff != "" || err != nil {
		t.Errorf("Call() = %v (-want +got):\n%s", err, diff)
	}
	if _, err := adktest.Call(t, w, newFetch(t, w), map[string]any{"id": "doc_1"}); err != nil {
		t.Errorf("Call() = %v", err)
	}
	w.AskedExactly(jittest.Read("doc_1"))
	w.Used(2)
	w.NothingLeft()
	w.NothingLeaked(result)
}

func TestCallShowsWhatTheModelIsShown(t *testing.T) {
	w := jittest.Start(t, jittest.Denying())
	for name, row := range map[string]struct {
		args any
		want string
	}{
		"denied":        {fetchArgs{ID: "doc_1"}, "denied"},
		"bad arguments": {map[string]any{"id": "../secrets"}, "invalid_arguments"},
		"no arguments":  {nil, "invalid_arguments"},
	} {
		result, err := adktest.Call(t, w, newFetch(t, w), row.args)
		if err != nil || result["status"] != row.want {
			t.Errorf("%s: Call() = %v, %v, want the status %s", name, result, err, row.want)
		}
	}
	plain := newPlain(t, func(args map[string]any) (map[string]any, error) {
		if args["fail"] == true {
			return nil, errors.New("broken")
		}
		return map[string]any{"n": 3, "seen": fmt.Sprintf("%T", args["n"])}, nil
	})
	result, err := adktest.Call(t, w, plain, map[string]any{"n": 3})
	if diff := cmp.Diff(map[string]any{"n": 3.0, "seen": "float64"}, result); diff != "" || err != nil {
		t.Errorf("Call() = %v (-want +got):\n%s", err, diff)
	}
	result, err = adktest.Call(t, w, plain, map[string]any{"fail": true})
	if diff := cmp.Diff(map[string]any{"error": "broken"}, result); diff != "" || err != nil {
		t.Errorf("Call() = %v (-want +got):\n%s", err, diff)
	}
}

// raw is a tool without a guard, whose results are as Go has them.
type raw struct{ result map[string]any }

func (raw) Name() string        { return "raw" }
func (raw) Description() string { return "acts" }
func (raw) IsLongRunning() bool { return false }

func (raw) Declaration() *genai.FunctionDeclaration { return &genai.FunctionDeclaration{Name: "raw"} }

func (r raw) ProcessRequest(_ agent.Context, req *model.LLMRequest) error {
	return toolutils.PackTool(req, r)
}

func (r raw) Run(_ agent.Context, args any) (map[string]any, error) {
	if m, _ := args.(map[string]any); len(m) > 0 {
		return nil, fmt.Errorf("arguments %v", args)
	}
	return r.result, nil
}

func TestCallReturnsJSON(t *testing.T) {
	w := jittest.Start(t)
	for name, row := range map[string]struct{ result, want map[string]any }{
		"numbers": {map[string]any{"n": 3, "d": jittest.Read("doc_1")}, map[string]any{
			"n": 3.0, "d": map[string]any{"type": "file_access", "actions": []any{"read"}, "identifier": "doc_1"},
		}},
		"empty": {map[string]any{}, map[string]any{}},
	} {
		got, err := adktest.Call(t, w, raw{row.result}, nil)
		if diff := cmp.Diff(row.want, got); diff != "" || err != nil {
			t.Errorf("%s: Call() = %v (-want +got):\n%s", name, err, diff)
		}
	}
	if got, err := adktest.Call(t, w, raw{map[string]any{"f": func() {}}}, nil); err == nil {
		t.Errorf("Call() = %v, want an error about a result that is no JSON", got)
	}
	if got, err := adktest.Call(t, w, raw{}, nil, raw{}); err == nil || !strings.Contains(err.Error(), "duplicate") {
		t.Errorf("Call() beside a tool of the same name = %v, %v", got, err)
	}
}

// nameless is a tool that ADK cannot call.
type nameless struct{}

func (nameless) Name() string        { return "nameless" }
func (nameless) Description() string { return "" }
func (nameless) IsLongRunning() bool { return false }

func TestCallFails(t *testing.T) {
	w := jittest.Start(t)
	for name, row := range map[string]struct {
		tool tool.Tool
		args any
		want string
	}{
		"no object": {newFetch(t, w), []int{1}, "no JSON object"},
		"no JSON":   {newFetch(t, w), map[string]any{"f": func() {}}, "arguments"},
		"no tool":   {nameless{}, nil, "nameless"},
	} {
		if result, err := adktest.Call(t, w, row.tool, row.args); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: Call() = %v, %v, want an error that says %q", name, result, err, row.want)
		}
	}
	w.AskedNothing()
}

func TestCallContextMayEnd(t *testing.T) {
	w := jittest.Start(t, jittest.PersonDecides(), jittest.Engine(func(c *jit.Config) { c.Wait = time.Hour }))
	ctx, cancel := context.WithCancel(w.Context())
	done := make(chan map[string]any, 1)
	go func() {
		result, _ := adktest.CallContext(ctx, t, w, newFetch(t, w), fetchArgs{ID: "doc_1"})
		done <- result
	}()
	w.AwaitPending()
	cancel()
	if result := <-done; result["content"] != nil {
		t.Errorf("CallContext() = %v after it was cancelled", result)
	}
	w.Used(0)
}

func TestRun(t *testing.T) {
	w := jittest.Start(t)
	script := modeltest.NewScript(
		modeltest.Calls(&genai.FunctionCall{ID: "c1", Name: "fetch", Args: map[string]any{"id": "doc_1"}}),
		modeltest.Text("It says much."),
	)
	report := adktest.Run(t, w, script, []tool.Tool{newFetch(t, w)}, "What does doc_1 say?")
	if report.Answer != "It says much." || report.Outcome != runner.Done || report.Err != nil {
		t.Errorf("Run() = %q, %s, %v", report.Answer, report.Outcome, report.Err)
	}
	if got := report.Results("fetch"); len(got) != 1 || got[0]["content"] != "Content of doc_1." {
		t.Errorf("results = %v", got)
	}
	w.AskedExactly(jittest.Read("doc_1"))
	w.Used(1)
	w.NothingLeft() // the run completed its task
	w.NothingLeaked(report, script.Requests())
	for _, line := range []string{`the model calls fetch {"id":"doc_1"}`, `fetch returned {"content":"Content of doc_1."`, `the run is done: "It says much."`} {
		if !strings.Contains(w.Story(), line) {
			t.Errorf("the story lacks %q:\n%s", line, w.Story())
		}
	}
	var blocked, completed int
	for _, e := range w.Events() {
		switch e.(type) {
		case jit.Blocked:
			blocked++
		case jit.Completed:
			completed++
		}
	}
	if blocked != 0 || completed != 1 {
		t.Errorf("%d blocked and %d completed among the events, want none and one", blocked, completed)
	}
}

func TestRunReportsHowItEnds(t *testing.T) {
	asks := modeltest.Calls(&genai.FunctionCall{ID: "c1", Name: "fetch", Args: map[string]any{"id": "doc_1"}})
	for name, row := range map[string]struct {
		option  jittest.Option
		turns   []modeltest.Turn
		outcome runner.Outcome
		err     bool
	}{
		"denied":       {jittest.Denying(), []modeltest.Turn{asks, modeltest.Text("I may not.")}, runner.Denied, false},
		"pending":      {jittest.PersonDecides(), []modeltest.Turn{asks, modeltest.Text("Later.")}, runner.Pending, false},
		"hostile":      {jittest.Hostile()["API demands more"], []modeltest.Turn{asks, modeltest.Text("No.")}, runner.Denied, false},
		"model breaks": {jittest.Route("/", nil, nil), []modeltest.Turn{asks, {Err: errors.New("overloaded")}}, runner.Failed, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := jittest.Start(t, row.option)
			report := adktest.Run(t, w, modeltest.NewScript(row.turns...), []tool.Tool{newFetch(t, w)}, "go")
			if report.Outcome != row.outcome || (report.Err != nil) != row.err {
				t.Errorf("Run() = %s, %v, want %s", report.Outcome, report.Err, row.outcome)
			}
			w.AskedWithin(jittest.Read("doc_1"))
			w.NothingLeft()
			w.NothingLeaked(report)
		})
	}
}

func TestRunAgentTakesChanges(t *testing.T) {
	w := jittest.Start(t)
	a, err := llmagent.New(llmagent.Config{Name: "mine", Model: modeltest.Always(
		modeltest.Calls(&genai.FunctionCall{ID: "c1", Name: "fetch", Args: map[string]any{"id": "doc_1"}}),
	), Tools: []tool.Tool{newFetch(t, w)}})
	if err != nil {
		t.Fatal(err)
	}
	report := adktest.RunAgent(t, w, a, "go", func(c *runner.Config) { c.Limits.ModelCalls = 2 })
	if !errors.Is(report.Err, runner.ErrModelCalls) || report.Finished.ModelCalls != 2 {
		t.Errorf("RunAgent() = %v after %d model calls, want ErrModelCalls after 2", report.Err, report.Finished.ModelCalls)
	}
	w.Calls(3)
	w.NothingLeft()
}

// Every hostile behaviour, through a guarded tool.
func TestHostile(t *testing.T) {
	for name, hostile := range jittest.Hostile() {
		t.Run(name, func(t *testing.T) {
			w := jittest.Start(t, hostile)
			result, err := adktest.Call(t, w, newFetch(t, w), fetchArgs{ID: "doc_1"})
			if err != nil {
				t.Errorf("Call() = %v, want a result", err)
			}
			w.AskedWithin(jittest.Read("doc_1"))
			w.NothingLeft()
			w.NothingLeaked(result, err)
			if w.Elsewhere() != 0 {
				t.Errorf("the tool followed a redirect to another host")
			}
		})
	}
}
