package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// suspensions keeps suspensions as text, as a store does.
type suspensions struct {
	mu    sync.Mutex
	texts map[[3]string]string
	saves int
	fail  error
}

func (s *suspensions) Save(_ context.Context, v *runner.Suspension) error {
	text, err := json.Marshal(v)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.texts == nil {
		s.texts = map[[3]string]string{}
	}
	s.saves++
	s.texts[[3]string{v.App, v.User, v.Session}] = string(text)
	return errors.Join(err, s.fail)
}

func (s *suspensions) Load(_ context.Context, app, user, id string) (*runner.Suspension, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	text, ok := s.texts[[3]string{app, user, id}]
	if !ok {
		return nil, nil
	}
	v := new(runner.Suspension)
	return v, json.Unmarshal([]byte(text), v)
}

func (s *suspensions) Drop(_ context.Context, app, user, id, run string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(s.texts[[3]string{app, user, id}], `"run":"`+run) {
		return nil
	}
	delete(s.texts, [3]string{app, user, id})
	return nil
}

// reviewed is a world whose documents a person decides about, and of which several
// processes can be made, one after the other or at once.
type reviewed struct {
	world
	journal  *fake.Journal
	kept     *suspensions
	sessions session.Service
	first    func(tester adk.Agent) adk.Agent // the application's agent; nil is tester

	mu      sync.Mutex
	decided map[string]jit.Status // by identifier
	ran     []string              // calls that got what they asked for
}

func review(t testing.TB, steps ...step) *reviewed { return reviewFor(t, nil, steps...) }

// reviewFor is review with an aim of the tool's calls.
func reviewFor(t testing.TB, aim *policy.Aim, steps ...step) *reviewed {
	t.Helper()
	w := &reviewed{journal: &fake.Journal{}, kept: &suspensions{}, sessions: session.InMemoryService(), decided: map[string]jit.Status{}}
	ids := map[string]string{}
	w.authority = newAuthority(func(a *fake.Authority) {
		a.Decide = func(r jit.Request) (jit.Decision, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			id := fmt.Sprintf("jit_%d", len(ids)+1)
			ids[id] = r.Detail.Identifier
			status := w.decided[r.Detail.Identifier]
			if status == jit.StatusUnknown {
				status = jit.StatusPending
			}
			return jit.Decision{RequestID: id, Status: status, Risk: "high", ExpiresAt: time.Now().Add(time.Hour), DecideAt: "https://auth.test/approvals/" + id}, nil
		}
		a.Look = func(id string, _ int) (jit.Decision, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			status := w.decided[ids[id]]
			if status == jit.StatusUnknown {
				status = jit.StatusPending
			}
			return jit.Decision{Status: status}, nil
		}
	})
	// "act doc_1 doc_2" needs both, one after the other.
	w.tools = []tool.Tool{must(tools.New(tools.Spec[args]{
		Name: "act", Description: "acts", Aim: aim, Ceiling: func(a args) (all []rar.Detail) {
			for _, id := range strings.Fields(a.Arg) {
				all = append(all, doc(id))
			}
			return all
		},
	}, func(ctx tools.Context, a args) (map[string]any, error) {
		for _, id := range strings.Fields(a.Arg) {
			if _, err := jit.Acquire(ctx, doc(id)); err != nil {
				return nil, err
			}
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ran = append(w.ran, a.Arg)
		return map[string]any{"did": a.Arg}, nil
	}))}
	w.llm = plays(steps...)
	w.engine.Journal = w.journal
	w.config = func(cfg *runner.Config) { cfg.Sessions, cfg.Suspensions = w.sessions, w.kept }
	return w
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func doc(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}

func (w *reviewed) decide(id string, s jit.Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.decided[id] = s
}

// says sends a message from a process of its own.
func (w *reviewed) say(t testing.TB, text string) report {
	t.Helper()
	return follow(t.Context(), t, w.runner(t), runner.Input{User: "u", Session: "s", Text: text})
}

// resume resumes the session from a process of its own.
func (w *reviewed) resume(t testing.TB) report {
	t.Helper()
	return collect(t, w.runner(t).Resume(t.Context(), runner.Input{User: "u", Session: "s"}))
}

func waiting(r report) (ids []string) {
	for _, c := range r.finished.Waiting {
		ids = append(ids, c.RequestID)
	}
	return ids
}

// history returns what is stored of the conversation, one word an event.
func (w *reviewed) history(t testing.TB) (list []string) {
	t.Helper()
	got, err := w.sessions.Get(t.Context(), &session.GetRequest{AppName: "app", UserID: "u", SessionID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	for ev := range got.Session.Events().All() {
		if ev.Content == nil {
			continue
		}
		for _, p := range ev.Content.Parts {
			switch {
			case p.FunctionCall != nil:
				list = append(list, "call "+p.FunctionCall.ID)
			case p.FunctionResponse != nil:
				list = append(list, "result "+p.FunctionResponse.ID)
			default:
				list = append(list, p.Text)
			}
		}
	}
	return list
}

// A call that waits ends the run before the model is asked again, and what was decided
// meanwhile is gone on with in another process: nothing is asked for twice, and the
// model sees no more than a call and its result.
func TestSuspendedSessionIsResumed(t *testing.T) {
	clean(t)
	w := review(t, asks("act doc_1"), says("done"), says("again"))
	got := w.say(t, "go")
	if got.err != nil || got.finished.Outcome != runner.Pending || w.llm.(*script).calls != 1 || got.finished.Session != "s" {
		t.Fatalf("%+v, %v after %d model calls", got.finished, got.err, w.llm.(*script).calls)
	}
	want := runner.Waiting{CallID: "call_0", Tool: "act", RequestID: "jit_1", Risk: "high", DecideAt: "https://auth.test/approvals/jit_1"}
	have := got.finished.Waiting
	if len(have) != 1 || time.Until(have[0].ExpiresAt) < 59*time.Minute {
		t.Fatalf("waiting: %+v", have)
	}
	if have[0].ExpiresAt = (time.Time{}); have[0] != want {
		t.Errorf("waiting: %+v, want %+v", have[0], want)
	}
	if kinds := got.kinds(); !strings.HasSuffix(kinds, "tool_returned finished") && !strings.HasSuffix(kinds, "suspended tool_returned finished") {
		t.Errorf("events = %s", kinds)
	}
	if n := len(w.authority.Completed()); n != 0 {
		t.Errorf("%d tasks completed, want the task left open", n)
	}
	if got := w.resume(t); got.err != nil || got.finished.Outcome != runner.Pending || !slices.Equal(waiting(got), []string{"jit_1"}) ||
		got.finished.Waiting[0].DecideAt != want.DecideAt || w.llm.(*script).calls != 1 {
		t.Errorf("resumed before the decision: %+v, %v", got.finished, got.err)
	}
	w.decide("doc_1", jit.StatusApproved)
	if got := w.resume(t); got.err != nil || got.finished.Outcome != runner.Done || got.finished.Answer != "done" {
		t.Errorf("resumed after it: %+v, %v", got.finished, got.err)
	}
	if len(w.ran) != 1 || len(w.authority.Requests()) != 1 || len(w.kept.texts) != 0 {
		t.Errorf("ran %v, asked %d times, kept %v", w.ran, len(w.authority.Requests()), w.kept.texts)
	}
	w.balanced(t, 1)
	if got, want := w.history(t), []string{"go", "call call_0", "result call_0", "done"}; !slices.Equal(got, want) {
		t.Errorf("history = %v, want %v", got, want)
	}
	if got := w.resume(t); !errors.Is(got.err, runner.ErrNothingToResume) {
		t.Errorf("resumed once more: %v, want ErrNothingToResume", got.err)
	}
	w.balanced(t, 1) // no task was opened for nothing
	if got := w.say(t, "more"); got.err != nil || got.finished.Answer != "again" {
		t.Errorf("the next message: %+v, %v", got.finished, got.err)
	}
}

// Calls of one turn are decided one after the other. Each runs once, those that need
// no decision too, and the results come in the order of the calls.
func TestOneOfSeveralIsDecided(t *testing.T) {
	w := review(t, asks("act doc_1", "act free", "act doc_2", "act doc_3 doc_4"), says("done"))
	w.decide("free", jit.StatusApproved)
	if got := w.say(t, "go"); len(got.finished.Waiting) != 3 {
		t.Fatalf("waiting: %+v, %v", got.finished.Waiting, got.err)
	}
	for i, id := range []string{"doc_2", "doc_3", "doc_1", "doc_4"} {
		w.decide(id, jit.StatusApproved)
		got := w.resume(t)
		if left := []int{2, 2, 1, 0}[i]; got.err != nil || len(got.finished.Waiting) != left || (left == 0) != (got.finished.Outcome == runner.Done) {
			t.Fatalf("after %s: %+v, %v, want %d to wait", id, got.finished, got.err, left)
		}
	}
	slices.Sort(w.ran)
	if want := []string{"doc_1", "doc_2", "doc_3 doc_4", "free"}; !slices.Equal(w.ran, want) {
		t.Errorf("ran %v, want %v", w.ran, want)
	}
	want := []string{"go", "call call_0", "call call_1", "call call_2", "call call_3", "result call_0", "result call_1", "result call_2", "result call_3", "done"}
	if got := w.history(t); !slices.Equal(got, want) {
		t.Errorf("history = %v, want %v", got, want)
	}
	w.balanced(t, 1)
}

// Of many processes that resume a session at once, one does.
func TestResumeIsClaimedOnce(t *testing.T) {
	w := review(t, asks("act doc_1"), says("done"))
	w.say(t, "go")
	w.decide("doc_1", jit.StatusApproved)
	reports := make([]report, 8)
	var wg sync.WaitGroup
	for i := range reports {
		r := w.runner(t)
		wg.Go(func() { reports[i] = collect(t, r.Resume(t.Context(), runner.Input{User: "u", Session: "s"})) })
	}
	wg.Wait()
	done := 0
	for _, got := range reports {
		switch {
		case got.err == nil && got.finished.Outcome == runner.Done:
			done++
		case !errors.Is(got.err, jit.ErrClaimed) && !errors.Is(got.err, runner.ErrNothingToResume):
			t.Errorf("another one ends with %v, %+v", got.err, got.finished)
		}
	}
	if done != 1 || len(w.ran) != 1 {
		t.Errorf("%d of %d did, and the call ran %d times; want one of each", done, len(reports), len(w.ran))
	}
}

// A message to a suspended session comes after what waits.
func TestMessageToASuspendedSession(t *testing.T) {
	w := review(t, asks("act doc_1"), says("did it"), says("second"))
	w.say(t, "go")
	got := w.say(t, "and now?")
	if !errors.Is(got.err, jit.ErrPending) || got.finished.Outcome != runner.Pending || len(got.finished.Waiting) != 1 {
		t.Errorf("while nobody has decided: %+v, %v", got.finished, got.err)
	}
	w.decide("doc_1", jit.StatusApproved)
	if got := w.say(t, "and now?"); got.err != nil || got.finished.Outcome != runner.Done || got.finished.Answer != "second" {
		t.Errorf("after the decision: %+v, %v", got.finished, got.err)
	}
	want := []string{"go", "call call_0", "result call_0", "did it", "and now?", "second"}
	if got := w.history(t); !slices.Equal(got, want) || len(w.ran) != 1 {
		t.Errorf("history = %v, want %v; ran %v", got, want, w.ran)
	}
}

// What runs is what waited: arguments that were changed in the store do not run, and
// the authority is given back.
func TestChangedArgumentsDoNotRun(t *testing.T) {
	w := review(t, asks("act doc_1"), says("done"))
	w.say(t, "go")
	w.decide("doc_1", jit.StatusApproved)
	for key, text := range w.kept.texts {
		w.kept.texts[key] = strings.Replace(text, "doc_1", "doc_9", 1)
	}
	if got := w.resume(t); !errors.Is(got.err, jit.ErrChanged) || got.finished.Outcome != runner.Failed {
		t.Errorf("resumed: %+v, %v, want ErrChanged", got.finished, got.err)
	}
	if len(w.ran) != 0 || len(w.authority.Completed()) != 1 {
		t.Errorf("ran %v, completed %v", w.ran, w.authority.Completed())
	}
}

// A denial is the call's result, whoever hears of it.
func TestDeniedWhileSuspended(t *testing.T) {
	w := review(t, asks("act doc_1"), says("not allowed"))
	w.say(t, "go")
	w.decide("doc_1", jit.StatusDenied)
	if got := w.resume(t); got.err != nil || got.finished.Outcome != runner.Denied || got.finished.Answer != "not allowed" || len(w.ran) != 0 {
		t.Errorf("resumed: %+v, %v, ran %v", got.finished, got.err, w.ran)
	}
	w.balanced(t, 1)
}

// A task that was given back since nobody decided in time leaves a session that can be
// gone on with: its calls were not made, and those that had ended keep their results. Of
// one that somebody took up and left, the journal says what was sent.
func TestTaskOfASuspendedSessionIsOver(t *testing.T) {
	resumed := jit.Entry{Kind: jit.EntryTaskResumed, Epoch: 1}
	sent := jit.Entry{Kind: jit.EntryCallSent, Tool: "act", CallID: "call_0", IdempotencyKey: "key"}
	returned := jit.Entry{Kind: jit.EntryCallReturned, CallID: "call_0", IdempotencyKey: "key", Outcome: jit.OutcomeAnswered, HTTPStatus: 201}
	for name, c := range map[string]struct {
		entries []jit.Entry
		said    string
		outcome runner.Outcome
	}{
		"nobody resumed it":                   {nil, "nobody decided", runner.Denied},
		"somebody did, and the answer came":   {[]jit.Entry{resumed, sent, returned}, "it took effect: the API answered it with HTTP status 201", runner.Done},
		"somebody did, and the answer is not": {[]jit.Entry{resumed, sent}, "not known", runner.InDoubt},
	} {
		t.Run(name, func(t *testing.T) {
			w := review(t, asks("act doc_1", "act free"), says("too late"))
			w.decide("free", jit.StatusApproved)
			w.say(t, "go")
			for _, e := range append(c.entries, jit.Entry{Kind: jit.EntryTaskCompleted}) {
				e.Run, e.Time = w.run(t), time.Now()
				w.journal.Note(e)
			}
			got := w.resume(t)
			if got.err != nil || got.finished.Answer != "too late" || got.finished.Outcome != c.outcome {
				t.Fatalf("resumed: %+v, %v, want %s", got.finished, got.err, c.outcome)
			}
			seen := w.llm.(*script).seen[1].Contents
			results := seen[len(seen)-1].Parts
			if waited := fmt.Sprint(results[0].FunctionResponse.Response); !strings.Contains(waited, c.said) {
				t.Errorf("the call that waited: %s", waited)
			}
			if fmt.Sprint(results[1].FunctionResponse.Response) != "map[did:free]" || len(w.ran) != 1 || len(w.kept.texts) != 0 {
				t.Errorf("the call that had ended: %v, ran %v, kept %v", results[1].FunctionResponse.Response, w.ran, w.kept.texts)
			}
		})
	}
}

// Of a call that whoever went on with a session made later, and not through a client of
// package jit, nobody knows what it came to.
func TestLaterCallOfAGoneProcessIsInDoubt(t *testing.T) {
	w := review(t, asks("act doc_1"), asks("stop"), says("done"))
	ctx, cancel := context.WithCancel(t.Context())
	w.tools = append(w.tools, act(t, "stop", func(tools.Context, string) (map[string]any, error) { cancel(); return nil, nil }))
	w.say(t, "go")
	left := maps.Clone(w.kept.texts)
	w.decide("doc_1", jit.StatusApproved)
	collect(t, w.runner(t).Resume(ctx, runner.Input{User: "u", Session: "s"}))
	w.kept.texts = left // as kill -9 does
	if got := w.resume(t); got.finished.Outcome != runner.InDoubt {
		t.Errorf("resumed: %+v, %v, want it in doubt", got.finished, got.err)
	}
}

// What somebody took up and had sent nothing of is taken up once more, under a new task:
// whoever decides is asked again, and the calls that had ended keep their results.
func TestSuspendedCallIsTakenUpOnceMore(t *testing.T) {
	w := review(t, asks("act doc_1", "act free"), says("done"))
	w.decide("free", jit.StatusApproved)
	w.say(t, "go")
	for _, kind := range []jit.EntryKind{jit.EntryTaskResumed, jit.EntryTaskCompleted} {
		w.journal.Note(jit.Entry{Kind: kind, Run: w.run(t), Time: time.Now()})
	}
	if got := w.resume(t); got.err != nil || got.finished.Outcome != runner.Pending || !slices.Equal(waiting(got), []string{"jit_3"}) {
		t.Fatalf("resumed before the decision: %+v, %v", got.finished, got.err)
	}
	w.decide("doc_1", jit.StatusApproved)
	if got := w.resume(t); got.err != nil || got.finished.Answer != "done" || got.finished.Outcome != runner.Done {
		t.Fatalf("resumed after it: %+v, %v", got.finished, got.err)
	}
	if want := []string{"go", "call call_0", "call call_1", "result call_0", "result call_1", "done"}; !slices.Equal(w.history(t), want) ||
		!slices.Equal(w.ran, []string{"free", "doc_1"}) || len(w.kept.texts) != 0 {
		t.Errorf("ran %v, kept %v: %v", w.ran, w.kept.texts, w.history(t))
	}
}

func (w *reviewed) run(t testing.TB) string {
	t.Helper()
	s, err := w.kept.Load(t.Context(), "app", "u", "s")
	if err != nil || s == nil {
		t.Fatalf("nothing is suspended: %v", err)
	}
	return s.Run
}

// Arguments reach the tool as the model wrote them.
func TestArgumentsOutliveTheProcess(t *testing.T) {
	want := map[string]any{"arg": "doc_1", "big": json.Number("1234567890123456789"), "none": map[string]any{}, "nul": "a\x00b<>&", "small": 1.5}
	w := review(t, func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{
			{FunctionCall: &genai.FunctionCall{ID: "a", Name: "act", Args: want}},
		}}}, nil)
	}, says("done"))
	inner := &keeps{raw: raw{name: "act"}}
	w.tools = []tool.Tool{must(jitmw.Wrap(inner, jitmw.Config{Plan: func(map[string]any) (jitmw.Plan, error) {
		return jitmw.Plan{Ceiling: []rar.Detail{doc("doc_1")}}, nil
	}}))}
	w.say(t, "go")
	w.decide("doc_1", jit.StatusApproved)
	w.resume(t)
	if len(inner.got) != 2 || !reflect.DeepEqual(inner.got[1], any(want)) {
		t.Errorf("the tool got %#v, want %#v twice", inner.got, want)
	}
}

// keeps is a tool that keeps what it is called with.
type keeps struct {
	raw
	got []any
}

func (k *keeps) Run(ctx adk.Context, args any) (map[string]any, error) {
	k.got = append(k.got, args)
	_, err := jit.Acquire(ctx, doc("doc_1"))
	return nil, err
}

// Where a run cannot be suspended, the model is told what waits, and the task is
// given back.
func TestPendingWithoutSuspension(t *testing.T) {
	for name, change := range map[string]func(*reviewed){
		"no store":          func(w *reviewed) { w.config = nil },
		"no journal":        func(w *reviewed) { w.engine.Journal = nil },
		"the store is full": func(w *reviewed) { w.kept.fail = errDisk },
	} {
		t.Run(name, func(t *testing.T) {
			w := review(t, asks("act doc_1"), says("it waits"))
			change(w)
			if got := w.say(t, "go"); got.err != nil || got.finished.Outcome != runner.Pending || got.finished.Answer != "it waits" || got.finished.Waiting != nil {
				t.Errorf("%+v, %v", got.finished, got.err)
			}
			w.balanced(t, 1)
		})
	}
}

// What calls came to before their run was suspended counts when it is over, as if it had
// been one run: those of the turn that waited, and those of earlier turns.
func TestResumedRunCountsEarlierCalls(t *testing.T) {
	for name, tt := range map[string]struct {
		call    string
		outcome runner.Outcome
	}{
		"a person's denial":        {"act doc_2", runner.Denied},
		"a call that nobody named": {"end denied", runner.Denied},
		"a login":                  {"end login_required", runner.LoginRequired},
		"what does not exist":      {"end not_found", runner.Failed},
		"an effect in doubt":       {"end in_doubt", runner.InDoubt},
		"what worked":              {"end ok", runner.Done},
	} {
		for when, turns := range map[string][]step{
			"in an earlier turn": {asks(tt.call), asks("act doc_1"), says("done")},
			"in that turn":       {asks(tt.call, "act doc_1"), says("done")},
		} {
			t.Run(name+" "+when, func(t *testing.T) {
				w := review(t, turns...)
				w.tools = append(w.tools, act(t, "end", func(ctx tools.Context, status string) (map[string]any, error) {
					switch s := jit.CallStatus(status); s {
					case jit.CallOK:
						return nil, nil
					case jit.CallInDoubt:
						return nil, post(ctx, false, true)
					default:
						return nil, &jitmw.Failure{Status: s, Message: "why", Unnamed: strings.TrimPrefix(status, string(jit.CallLogin))}
					}
				}))
				w.decide("doc_2", jit.StatusDenied)
				if got := w.say(t, "go"); got.finished.Waiting == nil {
					t.Fatalf("it does not wait: %+v, %v", got.finished, got.err)
				}
				w.resume(t) // for nothing
				w.decide("doc_1", jit.StatusApproved)
				got := w.resume(t)
				tool, _, _ := strings.Cut(tt.call, " ")
				failed := tt.outcome == runner.Denied || tt.outcome == runner.LoginRequired || tt.outcome == runner.Failed
				if got.err != nil || got.finished.Outcome != tt.outcome || failed && got.finished.Failure.Tool != tool {
					t.Errorf("%+v, %v, want %s for %s", got.finished, got.err, tt.outcome, tool)
				}
				if (tt.call == "end denied") != (len(got.finished.Refused) == 1) {
					t.Errorf("refused: %+v", got.finished.Refused)
				}
			})
		}
	}
}
