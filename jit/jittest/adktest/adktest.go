// Package adktest tests ADK tools and agents against the world of package jittest.
//
// [Call] runs one tool as ADK runs it when a model calls it; [Run] runs a whole
// agent over a model, such as a script of package modeltest. What they are asserted
// by is the world: what was asked for, granted, used and given back.
//
//	func TestFetch(t *testing.T) {
//		w := jittest.Start(t)
//		result, err := adktest.Call(t, w, newFetch(t, w.API), map[string]any{"id": "doc_1"})
//		...
//		w.AskedExactly(jittest.Read("doc_1"))
//		w.NothingLeaked(result)
//	}
//
// Calls run under the world's task; a run opens and completes one of its own, as
// programs do. Results are what the model is shown: JSON values, errors among them
// as ADK words them.
//
// The package is for tests only. It does not guard tools: an unguarded one runs as
// it is.
package adktest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest"
	"github.com/jitagent/jitagent/models/modeltest"
	"github.com/jitagent/jitagent/runner"
)

// Call lets a model call the tool once, under the world's task, and returns what it
// is shown: the result, or the error under "error", as ADK has it. args is anything
// that encodes as a JSON object; nil is no arguments at all. The error says why the call
// did not get so far, such as a tool that ADK cannot call. Each Call is a new call:
// it shares the task's grants and nothing else with others, and may be made from
// several goroutines. The model's agent has the tools beside, too, and calls none of
// them.
func Call(t testing.TB, w *jittest.World, called tool.Tool, args any, beside ...tool.Tool) (map[string]any, error) {
	t.Helper()
	return CallContext(w.Context(), t, w, called, args, beside...)
}

// CallContext is [Call] with a context of the caller's, for what a cancelled call
// does. The context must come from [jittest.World.Context], or name another task.
func CallContext(ctx context.Context, t testing.TB, w *jittest.World, called tool.Tool, args any, beside ...tool.Tool) (map[string]any, error) {
	t.Helper()
	given, err := object(args)
	if err != nil {
		return nil, fmt.Errorf("adktest: arguments: %w", err)
	}
	script := modeltest.NewScript(modeltest.Calls(&genai.FunctionCall{Name: called.Name(), Args: given}), modeltest.Text("done"))
	r, err := adkrunner.New(adkrunner.Config{
		AppName: "test", Agent: agent(t, script, append([]tool.Tool{called}, beside...)),
		SessionService: session.InMemoryService(), AutoCreateSession: true,
	})
	if err != nil {
		return nil, fmt.Errorf("adktest: %w", err)
	}
	w.Note("the model calls %s", called.Name())
	var result map[string]any
	returned := false
	for ev, err := range r.Run(ctx, "user", "session", genai.NewContentFromText("go", genai.RoleUser), adk.RunConfig{}) {
		switch {
		case err != nil && !returned:
			return nil, fmt.Errorf("adktest: %w", err)
		case err != nil || ev.Content == nil: // what follows the result is not the tool's
			continue
		}
		for _, part := range ev.Content.Parts {
			if part.FunctionResponse != nil && !returned {
				returned = true
				if result, err = object(part.FunctionResponse.Response); err != nil {
					return nil, fmt.Errorf("adktest: the result is no JSON: %w", err)
				}
			}
		}
	}
	if !returned {
		return nil, errors.New("adktest: ADK gave the model no result")
	}
	return result, nil
}

// object returns v as a model sees or sends it; what is nil stays so.
func object(v any) (map[string]any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	if string(text) == "null" {
		return nil, nil
	}
	if !bytes.HasPrefix(text, []byte("{")) {
		return nil, fmt.Errorf("a %T is no JSON object", v)
	}
	var m map[string]any
	return m, json.Unmarshal(text, &m)
}

func agent(t testing.TB, llm model.LLM, tools []tool.Tool) adk.Agent {
	t.Helper()
	a, err := llmagent.New(llmagent.Config{Name: "tester", Model: llm, Tools: tools, Mode: llmagent.ModeChat})
	if err != nil {
		t.Fatalf("adktest: agent: %v", err)
	}
	return a
}

// A Report is what a run yielded.
type Report struct {
	Answer   string          // what the agent said in the end
	Outcome  runner.Outcome  // how the run ended
	Events   []runner.Event  // all of them, in order
	Finished runner.Finished // the last of them
	Err      error           // what the run ended with
}

// Results returns what the model was shown of the calls of one tool, in order.
func (r Report) Results(name string) (all []map[string]any) {
	for _, e := range r.Events {
		if returned, ok := e.(runner.ToolReturned); ok && returned.Tool == name {
			all = append(all, returned.Result)
		}
	}
	return all
}

// Run runs an agent with the model and the tools on one message, by package runner
// and under a task of its own, and returns when that task is completed. Each change
// is made to the runner's configuration before it starts. The test fails when the
// agent or the runner cannot be made.
func Run(t testing.TB, w *jittest.World, llm model.LLM, tools []tool.Tool, prompt string, changes ...func(*runner.Config)) Report {
	t.Helper()
	return RunAgent(t, w, agent(t, llm, tools), prompt, changes...)
}

// RunAgent is [Run] for an agent that was made elsewhere.
func RunAgent(t testing.TB, w *jittest.World, a adk.Agent, prompt string, changes ...func(*runner.Config)) Report {
	t.Helper()
	cfg := runner.Config{App: "test", Agent: a, Engine: w.Engine, Logger: w.Logger(), AllowUnnamed: true}
	for _, change := range changes {
		change(&cfg)
	}
	r, err := runner.New(cfg)
	if err != nil {
		t.Fatalf("adktest: %v", err)
	}
	var report Report
	for e, err := range r.Run(t.Context(), runner.Input{Text: prompt}) {
		if err != nil {
			report.Err = err
			w.Note("the run ended with: %v", err)
			continue
		}
		report.Events = append(report.Events, e)
		note(w, e)
		if f, ok := e.(runner.Finished); ok {
			report.Answer, report.Outcome, report.Finished = f.Answer, f.Outcome, f
		}
	}
	return report
}

// note adds an event to the world's record.
func note(w *jittest.World, e runner.Event) {
	switch e := e.(type) {
	case runner.ToolCalled:
		w.Note("the model calls %s %s", e.Tool, text(e.Args))
	case runner.ToolReturned:
		w.Note("%s returned %s", e.Tool, text(e.Result))
	case runner.Finished:
		w.Note("the run is %s: %q", e.Outcome, e.Answer)
	}
	w.Observe(jit.Event(e))
}

// text is v as JSON, cut to a line.
func text(v any) string {
	const most = 200
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("%T", v)
	}
	if len(b) > most {
		return string(b[:most]) + "..."
	}
	return string(b)
}
