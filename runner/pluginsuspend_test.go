package runner_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/agent/workflowagents/sequentialagent"
	"google.golang.org/adk/v2/plugin"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/runner"
)

// served is an application that ADK runs, with the plugin, and a Runner that goes on with
// what is suspended in it. Each is a process of its own but for runs.
func (w *reviewed) served(t *testing.T) (say func(text string) ([]*session.Event, error), again *runner.Runner) {
	t.Helper()
	runs := runner.LocalRuns()
	root := func() adk.Agent {
		a, err := llmagent.New(llmagent.Config{Name: "tester", Model: w.llm, Tools: w.tools, Mode: llmagent.ModeChat})
		if err != nil {
			t.Fatal(err)
		}
		if w.first != nil {
			return w.first(a)
		}
		return a
	}
	w.engine.Authority = w.authority
	engine := func() *jit.Engine { return must(jit.New(w.engine)) }
	agent := root()
	guard := must(runner.NewPlugin(runner.PluginConfig{
		Config: runner.Config{Engine: engine(), Sessions: w.sessions, Suspensions: w.kept, Runs: runs, AllowUnnamed: true}, Agents: adk.NewSingleLoader(agent),
	}))
	app := must(adkrunner.New(adkrunner.Config{
		AppName: "app", Agent: agent, SessionService: w.sessions, AutoCreateSession: true, PluginConfig: adkrunner.PluginConfig{Plugins: []*plugin.Plugin{guard}},
	}))
	again = must(runner.New(runner.Config{
		App: "app", Agent: root(), Engine: engine(), Sessions: w.sessions, Suspensions: w.kept, Runs: runs, ManyUsers: true, AllowUnnamed: true,
	}))
	return func(text string) (events []*session.Event, err error) {
		for ev, failure := range app.Run(t.Context(), "u", "s", genai.NewContentFromText(text, genai.RoleUser), adk.RunConfig{}) {
			if failure != nil {
				return events, failure
			}
			events = append(events, ev)
		}
		return events, nil
	}, again
}

// Under ADK's own runner, too, a call that waits ends the invocation before the model is
// asked again, and a Runner goes on with it.
func TestPluginSuspends(t *testing.T) {
	w := review(t, asks("act doc_1", "act doc_2"), says("done"), says("the next"))
	w.decide("doc_1", jit.StatusApproved)
	say, again := w.served(t)
	events, err := say("go")
	if err != nil || len(events) != 2 {
		t.Fatalf("%d events, %v; want the calls and what waits", len(events), err)
	}
	last := events[1]
	waiting := runner.WaitingIn(last)
	if len(waiting) != 1 || waiting[0].RequestID == "" || waiting[0].DecideAt == "" || !strings.Contains(last.Content.Parts[0].Text, waiting[0].DecideAt) || runner.WaitingIn(events[0]) != nil {
		t.Errorf("what waits is told as %+v", last)
	}
	if got := w.history(t); !slices.Equal(got, []string{"go", "call call_0", "call call_1"}) {
		t.Errorf("the conversation is %q", got)
	}
	if n := len(w.authority.Completed()); n != 0 {
		t.Errorf("%d tasks were completed while a call waits", n)
	}
	before := w.history(t)
	if _, err := say("and?"); !errors.Is(err, jit.ErrPending) || !slices.Equal(w.history(t), before) {
		t.Errorf("a message meanwhile: %v, %q", err, w.history(t))
	}
	in := runner.Input{User: "u", Session: "s"}
	if still, err := again.GoOn(t.Context(), in); err != nil || len(still) != 1 {
		t.Errorf("GoOn() = %v, %v before the decision", still, err)
	}
	w.decide("doc_2", jit.StatusApproved)
	if still, err := again.GoOn(t.Context(), in); err != nil || still != nil {
		t.Fatalf("GoOn() = %v, %v after the decision", still, err)
	}
	if still, err := again.GoOn(t.Context(), in); err != nil || still != nil {
		t.Fatalf("GoOn() = %v, %v when nothing waits", still, err)
	}
	if _, err := say("and?"); err != nil {
		t.Fatal(err)
	}
	want := []string{"go", "call call_0", "call call_1", "result call_0", "result call_1", "done", "and?", "the next"}
	if got := w.history(t); !slices.Equal(got, want) {
		t.Errorf("the conversation is %q, want %q", got, want)
	}
	slices.Sort(w.ran)
	if fmt.Sprint(w.ran) != "[doc_1 doc_2]" || w.authority.Opened() != 2 || len(w.authority.Completed()) != 2 || len(w.authority.Requests()) != 2 {
		t.Errorf("ran %v, %d tasks opened and %d completed, %d requests", w.ran, w.authority.Opened(), len(w.authority.Completed()), len(w.authority.Requests()))
	}
}

// What an agent says that ADK asks after the one whose call waits is not stored: it would
// stand between the call and its result.
func TestPluginStoresNothingBehindACallThatWaits(t *testing.T) {
	w := review(t, asks("act doc_1"), says("done"))
	w.first = func(tester adk.Agent) adk.Agent {
		talks := must(adk.New(adk.Config{Name: "talks", Run: func(ctx adk.InvocationContext) iter.Seq2[*session.Event, error] {
			return func(yield func(*session.Event, error) bool) {
				ev := session.NewEvent(ctx, ctx.InvocationID())
				ev.Content = genai.NewContentFromText("behind", genai.RoleModel)
				yield(ev, nil)
			}
		}}))
		return must(sequentialagent.New(sequentialagent.Config{AgentConfig: adk.Config{Name: "both", SubAgents: []adk.Agent{tester, talks}}}))
	}
	say, again := w.served(t)
	events, err := say("go")
	if err != nil || !slices.ContainsFunc(events, func(ev *session.Event) bool { return runner.WaitingIn(ev) != nil }) {
		t.Fatalf("%d events, %v; want one that tells what waits", len(events), err)
	}
	if got := w.history(t); !slices.Equal(got, []string{"go", "call call_0"}) {
		t.Errorf("the conversation is %q", got)
	}
	w.decide("doc_1", jit.StatusApproved)
	if still, err := again.GoOn(t.Context(), runner.Input{User: "u", Session: "s"}); err != nil || still != nil {
		t.Fatalf("GoOn() = %v, %v after the decision", still, err)
	}
	if got := w.history(t); !slices.Equal(got, []string{"go", "call call_0", "result call_0", "done", "behind"}) {
		t.Errorf("the conversation is %q in the end", got)
	}
}

// Where it cannot be kept, the model is told what waits, as without Suspensions.
func TestPluginThatCannotSuspend(t *testing.T) {
	w := review(t, asks("act doc_1"), says("it waits"))
	w.kept.fail = errors.New("full")
	say, _ := w.served(t)
	events, err := say("go")
	if err != nil || len(events) != 3 || runner.WaitingIn(events[1]) != nil || events[2].Content.Parts[0].Text != "it waits" {
		t.Errorf("%d events, %v", len(events), err)
	}
	if w.authority.Opened() != 1 || len(w.authority.Completed()) != 1 {
		t.Errorf("%d tasks opened and %d completed", w.authority.Opened(), len(w.authority.Completed()))
	}
}

// A killing journal has tasks killed.
type killing struct {
	*fake.Journal
	killed bool
	first  string // the run that is killed once another one is at work
	others atomic.Bool
}

func (k *killing) Killed(_ context.Context, run string) (string, bool, error) {
	if k.first != "" && run != k.first {
		k.others.Store(true)
	}
	return "", k.killed || run == k.first && k.others.Load(), nil
}

// Nothing of what was killed is gone on with, whether it waited or was cut off: its calls
// have results that say so, and no task is opened. A message is said all the same.
func TestKilledIsNotGoneOnWith(t *testing.T) {
	for what, cut := range map[string]bool{"it waited": false, "it was cut off": true} {
		t.Run(what, func(t *testing.T) {
			w := review(t, asks("act doc_1"), says("the next"))
			journal := &killing{Journal: w.journal}
			w.engine.Journal = journal
			say, again := w.served(t)
			if _, err := say("go"); err != nil {
				t.Fatal(err)
			}
			if cut {
				clear(w.kept.texts)
			}
			w.decide("doc_1", jit.StatusApproved)
			journal.killed = true
			in := runner.Input{User: "u", Session: "s"}
			for range 2 {
				if got := collect(t, again.Resume(t.Context(), in)); !errors.Is(got.err, jit.ErrKilled) {
					t.Errorf("resumed: %+v, %v", got.finished, got.err)
				}
			}
			if got := w.history(t); !slices.Equal(got, []string{"go", "call call_0", "result call_0"}) || len(w.kept.texts) != 0 || w.authority.Opened() != 1 {
				t.Errorf("the conversation is %q, %d are kept, %d tasks were opened", got, len(w.kept.texts), w.authority.Opened())
			}
			journal.killed = false // of the task that follows
			if events, err := say("and?"); err != nil || len(events) != 1 || len(w.ran) != 0 {
				t.Errorf("a message: %d events, %v, ran %v", len(events), err, w.ran)
			}
		})
	}
}

// A run that passed from one process to another, whose first task is killed when the second
// has begun with one of its own, is ended by that.
func TestKilledBetweenTwoProcesses(t *testing.T) {
	w := review(t, asks("act doc_1"), says("done"))
	journal := &killing{Journal: w.journal}
	w.engine.Journal = journal
	say, again := w.served(t)
	if _, err := say("go"); err != nil {
		t.Fatal(err)
	}
	clear(w.kept.texts) // it was cut off
	w.decide("doc_1", jit.StatusApproved)
	journal.first = must(journal.Runs(t.Context(), runner.SessionName("app", "u", "s")))[0]
	got := collect(t, again.Resume(t.Context(), runner.Input{User: "u", Session: "s"}))
	if !errors.Is(got.err, jit.ErrKilled) || !journal.others.Load() || len(w.ran) != 0 {
		t.Errorf("%v, another one at work: %t, %q ran", got.err, journal.others.Load(), w.ran)
	}
}
