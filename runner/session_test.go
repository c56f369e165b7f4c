package runner_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/agent/workflowagents/sequentialagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// interrupted leaves a session whose last turn has calls without results, as a run
// does that is cancelled in a tool.
func interrupted(t *testing.T, service session.Service, turns ...step) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &world{
		llm: plays(turns...),
		tools: []tool.Tool{
			act(t, "stop", func(tools.Context, string) (map[string]any, error) { cancel(); return nil, nil }),
			act(t, "fetch", nothing),
		},
		config: func(c *runner.Config) { c.Sessions = service },
	}
	if got := follow(ctx, t, w.runner(t), runner.Input{Session: "s"}); got.finished.Outcome != runner.Interrupted {
		t.Fatalf("the run ended with %q, %v, want it interrupted", got.finished.Outcome, got.err)
	}
}

// A provider refuses a history in which a call has no result; without a repair one
// interruption would make a session useless.
func TestInterruptedSessionGoesOn(t *testing.T) {
	const unknown = "the run was interrupted before this call's result was recorded; whether it took effect is not known"
	for name, tt := range map[string]struct {
		turns []step
		later string // a message that something else stored after the interruption
		want  string // the unanswered calls
	}{
		"one call":           {turns: []step{asks("stop")}, want: "stop"},
		"parallel calls":     {turns: []step{asks("fetch", "stop", "fetch")}, want: "fetch stop fetch"},
		"an id used again":   {turns: []step{asks("fetch"), asks("stop")}, want: "stop"},
		"a message after it": {turns: []step{asks("stop")}, later: "are you there?", want: "stop"},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			service := session.InMemoryService()
			interrupted(t, service, tt.turns...)
			if tt.later != "" {
				store(t, service, tt.later)
			}
			// Another process: nothing but the session is left.
			llm := plays(says("sorry"), says("again"))
			w := &world{llm: llm, config: func(c *runner.Config) { c.Sessions = service }}
			r := w.runner(t)
			for range 2 { // the repair is made once
				if got := follow(t.Context(), t, r, runner.Input{Text: "and now?", Session: "s"}); got.err != nil {
					t.Fatal(got.err)
				}
			}
			var repaired []string
			for _, c := range llm.seen[1].Contents {
				for _, p := range c.Parts {
					if p.FunctionResponse != nil && p.FunctionResponse.Response["error"] == unknown && p.FunctionResponse.Response["status"] == "in_doubt" {
						repaired = append(repaired, p.FunctionResponse.Name)
					}
				}
			}
			if got := strings.Join(repaired, " "); got != tt.want {
				t.Errorf("the model is told of the calls %q, want %q", got, tt.want)
			}
		})
	}
}

// A call that was interrupted is in doubt unless the journal knows what it sent. One that
// only read is made again, and the model is told of no interruption.
func TestInterruptedCallIsKnownByItsRequests(t *testing.T) {
	const unknown = "whether it took effect is not known"
	for name, tt := range map[string]struct {
		sent    jit.EntryKind // of a request of the call
		told    string
		outcome runner.Outcome
	}{
		"a read":               {jit.EntryRefused, "result:<nil>", runner.Done},
		"an effect":            {jit.EntryCallSent, unknown, runner.InDoubt},
		"what works elsewhere": {"", unknown, runner.InDoubt},
	} {
		t.Run(name, func(t *testing.T) {
			clean(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			journal, service := &fake.Journal{}, session.InMemoryService()
			w := &world{engine: jit.Config{Journal: journal}, llm: plays(asks("act")), config: func(c *runner.Config) { c.Sessions = service }}
			w.tools = []tool.Tool{act(t, "act", func(ctx tools.Context, _ string) (map[string]any, error) {
				defer cancel()
				_, err := jit.Acquire(ctx, read)
				return nil, err
			})}
			follow(ctx, t, w.runner(t), runner.Input{Session: "s"})
			if runs, err := journal.Runs(t.Context(), "s"); err != nil || len(runs) != 1 {
				t.Fatalf("the runs of the session: %q, %v", runs, err)
			} else if tt.sent != "" {
				journal.Note(jit.Entry{Kind: tt.sent, Run: runs[0], CallID: "call_0", Tool: "act", IdempotencyKey: "key", Time: time.Now()})
			}
			llm := plays(asks("act"), says("done"))
			w.llm = llm
			got := collect(t, w.runner(t).Resume(t.Context(), runner.Input{Session: "s"}))
			if got.err != nil || got.finished.Outcome != tt.outcome {
				t.Errorf("the resumed run: %+v, %v, want it %s", got.finished, got.err, tt.outcome)
			}
			if told := fmt.Sprint(llm.seen[0].Contents[2].Parts[0].FunctionResponse.Response); !strings.Contains(told, tt.told) {
				t.Errorf("the model is told %s", told)
			}
		})
	}
}

// store appends a user's message to the session s.
func store(t *testing.T, service session.Service, text string) {
	t.Helper()
	got, err := service.Get(t.Context(), &session.GetRequest{AppName: "app", UserID: "user", SessionID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	ev := session.NewEvent(t.Context(), "elsewhere")
	ev.Author = "user"
	ev.Content = genai.NewContentFromText(text, genai.RoleUser)
	if err := service.AppendEvent(t.Context(), got.Session, ev); err != nil {
		t.Fatal(err)
	}
}

func TestRepairThatCannotBeStored(t *testing.T) {
	clean(t)
	service := &sessions{Service: session.InMemoryService()}
	interrupted(t, service, asks("stop"))
	service.failAt = service.appended.Load() + 1
	llm := plays(says("sorry"))
	w := &world{llm: llm, config: func(c *runner.Config) { c.Sessions = service }}
	got := follow(t.Context(), t, w.runner(t), runner.Input{Session: "s"})
	if !errors.Is(got.err, errDisk) || got.err.Error() != "runner: session s: repair the history: disk full" || llm.calls != 0 {
		t.Errorf("the run ended with %v after %d model calls", got.err, llm.calls)
	}
	w.balanced(t, 1)
}

func TestSessionTakesOneRunAtATime(t *testing.T) {
	clean(t)
	entered, release := make(chan struct{}), make(chan struct{})
	hold := func(ctx context.Context, req *model.LLMRequest, stream bool, yield func(*model.LLMResponse, error) bool) {
		close(entered)
		<-release
		says("first")(ctx, req, stream, yield)
	}
	w := &world{llm: plays(hold, says("other"))}
	r := w.runner(t)
	first := make(chan report)
	go func() { first <- follow(t.Context(), t, r, runner.Input{User: "u", Session: "s"}) }()
	<-entered
	if got := follow(t.Context(), t, r, runner.Input{User: "u", Session: "s"}); !errors.Is(got.err, runner.ErrBusy) || got.finished.Outcome != runner.Failed {
		t.Errorf("a second run of the session ended with %v, want ErrBusy", got.err)
	}
	for _, in := range []runner.Input{{User: "u", Session: "s2"}, {User: "u2", Session: "s"}, {}} {
		if got := follow(t.Context(), t, r, in); got.err != nil {
			t.Errorf("a run of another session (%+v) ended with %v", in, got.err)
		}
	}
	close(release)
	if got := <-first; got.finished.Answer != "first" {
		t.Errorf("the first run ended with %+v, %v", got.finished, got.err)
	}
	if got := follow(t.Context(), t, r, runner.Input{User: "u", Session: "s"}); got.err != nil {
		t.Errorf("a later run of the session ended with %v", got.err)
	}
	w.balanced(t, 5) // the one that was refused opened none
}

func TestManySessionsAtOnce(t *testing.T) {
	clean(t)
	w := &world{llm: plays(func(_ context.Context, req *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		var said []string
		for _, c := range req.Contents {
			for _, p := range c.Parts {
				if p.FunctionResponse != nil { // of the current turn, if it is the last
					if c == req.Contents[len(req.Contents)-1] {
						yield(&model.LLMResponse{Content: genai.NewContentFromText(strings.Join(said, ","), genai.RoleModel)}, nil)
						return
					}
				} else if c.Role == genai.RoleUser {
					said = append(said, p.Text)
				}
			}
		}
		asks("fetch")(nil, req, false, yield)
	}), tools: []tool.Tool{fetches(t)}}
	r := w.runner(t)
	const people, messages = 25, 3
	var wg sync.WaitGroup
	for person := range people {
		wg.Go(func() {
			var want []string
			for m := range messages {
				text := fmt.Sprintf("p%d-m%d", person, m)
				want = append(want, text)
				got := follow(t.Context(), t, r, runner.Input{Text: text, User: fmt.Sprint(person), Session: "s"})
				if got.err != nil || got.finished.Answer != strings.Join(want, ",") {
					t.Errorf("person %d got %q, %v, want %q", person, got.finished.Answer, got.err, want)
				}
			}
		})
	}
	wg.Wait()
	w.balanced(t, people*messages)
}

// A provider that counts its calls from zero in each answer gets each result for
// the call that it belongs to.
func TestCallIDsThatComeAgain(t *testing.T) {
	clean(t)
	var results []string
	hear := func(_ context.Context, req *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		for _, c := range req.Contents {
			for _, p := range c.Parts {
				if p.FunctionResponse != nil {
					results = append(results, fmt.Sprint(p.FunctionResponse.Response["echo"]))
				}
			}
		}
		yield(&model.LLMResponse{Content: genai.NewContentFromText("done", genai.RoleModel)}, nil)
	}
	twice := func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{
			{FunctionCall: &genai.FunctionCall{ID: "call_0", Name: "act", Args: map[string]any{"arg": "d"}}},
			{FunctionCall: &genai.FunctionCall{ID: "call_0", Name: "act", Args: map[string]any{"arg": "e"}}},
		}}}, nil)
	}
	ids := map[string]bool{}
	var mu sync.Mutex
	w := &world{
		llm: plays(asks("act a", "act b"), asks("act c"), twice, says("first"), asks("act f"), hear),
		tools: []tool.Tool{act(t, "act", func(ctx tools.Context, arg string) (map[string]any, error) {
			mu.Lock()
			defer mu.Unlock()
			if c, ok := ctx.Context.(interface{ FunctionCallID() string }); ok {
				ids[c.FunctionCallID()] = true
			}
			return map[string]any{"echo": arg}, nil
		})},
	}
	r := w.runner(t)
	for range 2 {
		if got := follow(t.Context(), t, r, runner.Input{Session: "s"}); got.err != nil {
			t.Fatal(got.err)
		}
	}
	if got := strings.Join(results, ""); got != "abcdef" {
		t.Errorf("the model sees the results %q, want abcdef", got)
	}
	if len(ids) != 6 || !ids["call_0"] {
		t.Errorf("the calls have the ids %v, want six", ids)
	}
}

// Of several calls of one tool only the unanswered one gets a result.
func TestRepairAnswersTheCallThatIsOpen(t *testing.T) {
	clean(t)
	service := session.InMemoryService()
	created, err := service.Create(t.Context(), &session.CreateRequest{AppName: "app", UserID: "user", SessionID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	call := func(id string) *genai.Part {
		return &genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: "fetch"}}
	}
	for _, content := range []*genai.Content{
		{Role: genai.RoleModel, Parts: []*genai.Part{call("x"), call("y")}},
		{Role: genai.RoleUser, Parts: []*genai.Part{{FunctionResponse: &genai.FunctionResponse{ID: "y", Name: "fetch", Response: map[string]any{}}}}},
	} {
		ev := session.NewEvent(t.Context(), "inv")
		ev.Author, ev.Content = "tester", content
		if err := service.AppendEvent(t.Context(), created.Session, ev); err != nil {
			t.Fatal(err)
		}
	}
	w := &world{llm: plays(says("done")), config: func(c *runner.Config) { c.Sessions = service }}
	if got := follow(t.Context(), t, w.runner(t), runner.Input{Session: "s"}); got.err != nil {
		t.Fatal(got.err)
	}
	got, err := service.Get(t.Context(), &session.GetRequest{AppName: "app", UserID: "user", SessionID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	repair := got.Session.Events().At(2)
	if len(repair.Content.Parts) != 1 || repair.Content.Parts[0].FunctionResponse.ID != "x" || repair.Author != "tester" {
		t.Errorf("the repair is %+v by %s, want a result for x by the agent", repair.Content.Parts[0].FunctionResponse, repair.Author)
	}
}

// The tool gets the number that the model wrote, and so does the model's next turn,
// as text: stores would round it.
func TestLargeNumbersAreKeptAsText(t *testing.T) {
	clean(t)
	const id = json.Number("1234567890123456789")
	var got any
	calls := func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{
			{Text: "so"}, {FunctionCall: &genai.FunctionCall{ID: "c", Name: "act", Args: map[string]any{"ids": []any{id, 7.0}}}},
		}}}, nil)
	}
	llm := plays(calls, says("done"))
	w := &world{llm: llm, tools: []tool.Tool{rawArgs{"act", func(args any) { got = args }}}}
	if r := follow(t.Context(), t, w.runner(t), runner.Input{}); r.err != nil {
		t.Fatal(r.err)
	}
	if diff := cmp.Diff(any(map[string]any{"ids": []any{id, 7.0}}), got); diff != "" {
		t.Errorf("the tool got (-want +got):\n%s", diff)
	}
	var told any
	for _, c := range llm.seen[1].Contents {
		for _, p := range c.Parts {
			if p.FunctionCall != nil {
				told = p.FunctionCall.Args
			}
		}
	}
	if diff := cmp.Diff(any(map[string]any{"ids": []any{id.String(), 7.0}}), told); diff != "" {
		t.Errorf("the model's next turn has (-want +got):\n%s", diff)
	}
}

// rawArgs is an ADK tool that is told its arguments.
type rawArgs struct {
	name  string
	takes func(any)
}

func (r rawArgs) Name() string        { return r.name }
func (r rawArgs) Description() string { return "acts" }
func (r rawArgs) IsLongRunning() bool { return false }
func (r rawArgs) Declaration() *genai.FunctionDeclaration {
	return &genai.FunctionDeclaration{Name: r.name}
}

func (r rawArgs) Run(_ adk.Context, args any) (map[string]any, error) {
	r.takes(args)
	return map[string]any{}, nil
}

func (r rawArgs) ProcessRequest(_ adk.Context, req *model.LLMRequest) error {
	req.Tools = map[string]any{r.name: r}
	return nil
}

// Events are stored with times in the order in which they came, though the clock stands
// still or has stepped back since the last run.
func TestClockThatStepsBack(t *testing.T) {
	w := &world{llm: plays(asks("fetch"), says("done")), tools: []tool.Tool{fetches(t)}}
	store := session.InMemoryService()
	w.config = func(cfg *runner.Config) { cfg.Sessions = store }
	made, err := store.Create(t.Context(), &session.CreateRequest{AppName: "app", UserID: "u", SessionID: "s"})
	if err != nil {
		t.Fatal(err)
	}
	ahead := session.NewEvent(t.Context(), "e-0")
	ahead.Author, ahead.Timestamp, ahead.Content = "user", time.Now().Add(time.Hour), genai.NewContentFromText("earlier", genai.RoleUser)
	if err := store.AppendEvent(t.Context(), made.Session, ahead); err != nil {
		t.Fatal(err)
	}
	if got := follow(t.Context(), t, w.runner(t), runner.Input{User: "u", Session: "s"}); got.err != nil {
		t.Fatal(got.err)
	}
	got, err := store.Get(t.Context(), &session.GetRequest{AppName: "app", UserID: "u", SessionID: "s"})
	if err != nil || got.Session.Events().Len() != 5 {
		t.Fatalf("%v, %v", got, err)
	}
	for i := 1; i < 5; i++ {
		if was, is := got.Session.Events().At(i-1).Timestamp, got.Session.Events().At(i).Timestamp; !is.After(was) {
			t.Errorf("event %d is of %s, and the one before of %s", i, is, was)
		}
	}
}

// What a remote agent says of its failure is an error though it has no code.
func TestErrorMessageAlone(t *testing.T) {
	w := &world{llm: plays(func(_ context.Context, _ *model.LLMRequest, _ bool, yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: genai.NewContentFromText("half an", genai.RoleModel), ErrorMessage: "the peer is gone"}, nil)
	})}
	got := follow(t.Context(), t, w.runner(t), runner.Input{})
	if failure, ok := errors.AsType[*runner.ModelError](got.err); !ok || failure.Error() != "the model failed: the peer is gone" || got.finished.Outcome != runner.Failed {
		t.Errorf("%+v, %v", got.finished, got.err)
	}
}

// The answers of several agents are told apart.
func TestAnswersOfSeveralAgents(t *testing.T) {
	w := &world{config: func(cfg *runner.Config) {
		cfg.Agent = must(sequentialagent.New(sequentialagent.Config{AgentConfig: adk.Config{Name: "both", SubAgents: []adk.Agent{
			must(llmagent.New(llmagent.Config{Name: "one", Model: plays(says("First."))})),
			must(llmagent.New(llmagent.Config{Name: "two", Model: plays(says("Second."))})),
		}}}))
	}}
	w.llm = plays(says("unused"))
	if got := follow(t.Context(), t, w.runner(t), runner.Input{}); got.finished.Answer != "First.\n\nSecond." {
		t.Errorf("answer = %q, %v", got.finished.Answer, got.err)
	}
}

// What a run that is gone had sent is not sent again by the run that goes on with its
// turn, and counts against what the person asked for.
func TestInterruptedEffectIsNotRepeated(t *testing.T) {
	for name, tt := range map[string]struct {
		lost    bool
		again   string // what the model calls then
		outcome runner.Outcome
		told    string
	}{
		"answered":                  {false, "act", runner.Done, "took effect"},
		"lost":                      {true, "act", runner.InDoubt, "not known"},
		"answered, another is made": {false, "act other", runner.Denied, "took effect"},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			service, journal := session.InMemoryService(), &fake.Journal{}
			l := &lender{}
			w := &world{engine: jit.Config{Journal: journal}, llm: plays(asks("act")), config: func(c *runner.Config) {
				c.Sessions, c.AllowUnnamed, c.Runs = service, false, l
			}}
			made, err := tools.New(tools.Spec[args]{
				Name: "act", Description: "acts", Ceiling: func(args) []rar.Detail { return []rar.Detail{read} },
				Aim: &policy.Aim{Effect: "act", AskedBy: []string{"go"}, Max: 1},
			}, func(c tools.Context, _ args) (map[string]any, error) {
				defer cancel()
				if err := post(c, false, tt.lost); err != nil {
					return nil, err
				}
				return map[string]any{"did": "it"}, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			w.tools = []tool.Tool{made}
			follow(ctx, t, w.runner(t), runner.Input{Session: "s", Text: "go"})
			if last := l.told[len(l.told)-1]; last != "ended interrupted" {
				t.Errorf("the session is left as %s", last)
			}
			llm := plays(asks(tt.again), says("done"))
			w.llm = llm
			got := collect(t, w.runner(t).Resume(t.Context(), runner.Input{Session: "s"}))
			if got.err != nil || got.finished.Outcome != tt.outcome {
				t.Errorf("%+v, %v, want %s", got.finished, got.err, tt.outcome)
			}
			if told := fmt.Sprint(llm.seen[0].Contents[2].Parts[0].FunctionResponse.Response); !strings.Contains(told, tt.told) {
				t.Errorf("the model is told %s", told)
			}
			sent := 0
			for _, run := range must(journal.Runs(t.Context(), "s")) {
				for _, e := range must(journal.Entries(t.Context(), run)) {
					if e.Kind == jit.EntryCallSent {
						sent++
					}
				}
			}
			if sent != 1 {
				t.Errorf("%d effects were sent, want 1", sent)
			}
		})
	}
}
