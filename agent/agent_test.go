package agent_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/prompts"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
)

// listener answers "done" and keeps what it was asked.
type listener struct {
	mu       sync.Mutex
	requests []*model.LLMRequest
}

func (*listener) Name() string { return "listener" }

func (l *listener) GenerateContent(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	l.mu.Lock()
	l.requests = append(l.requests, req)
	l.mu.Unlock()
	return func(yield func(*model.LLMResponse, error) bool) {
		yield(&model.LLMResponse{Content: genai.NewContentFromText("done", genai.RoleModel)}, nil)
	}
}

func guarded(t testing.TB, name string) tool.Tool {
	t.Helper()
	made, err := tools.New(tools.Spec[struct{}]{Name: name, Description: "acts", Ceiling: func(struct{}) []rar.Detail { return nil }},
		func(tools.Context, struct{}) (string, error) { return "ok", nil })
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// say sends one message to the agent in a session of its own.
func say(ctx context.Context, r *runner.Runner, user string) error {
	for ev, err := range r.Run(ctx, user, "s", genai.NewContentFromText("hello", genai.RoleUser), adk.RunConfig{}) {
		if err != nil {
			return err
		}
		if ev.ErrorCode != "" {
			return errors.New(ev.ErrorCode)
		}
	}
	return nil
}

func newRunner(t testing.TB, a adk.Agent) *runner.Runner {
	t.Helper()
	r, err := runner.New(runner.Config{AppName: "app", Agent: a, SessionService: session.InMemoryService(), AutoCreateSession: true})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestNewRefusesWhatIsNotGuarded(t *testing.T) {
	plain, err := functiontool.New(functiontool.Config{Name: "plain", Description: "acts"}, func(adk.Context, struct{}) (string, error) { return "", nil })
	if err != nil {
		t.Fatal(err)
	}
	llm := &listener{}
	for name, tt := range map[string]struct {
		cfg  agent.Config
		want string
	}{
		"no model":       {agent.Config{}, "agent: no Model"},
		"plain tool":     {agent.Config{Model: llm, Tools: []tool.Tool{guarded(t, "a"), plain}}, "agent: Tools[1] is not guarded: use jitmw.Wrap or tools.New"},
		"no tool":        {agent.Config{Model: llm, Tools: []tool.Tool{nil}}, "agent: Tools[0] is not guarded: use jitmw.Wrap or tools.New"},
		"inside another": {agent.Config{Model: llm, Tools: []tool.Tool{struct{ tool.Tool }{guarded(t, "a")}}}, "agent: Tools[0] is not guarded: use jitmw.Wrap or tools.New"},
		"one name twice": {agent.Config{Model: llm, Tools: []tool.Tool{guarded(t, "a"), guarded(t, "b"), guarded(t, "a")}}, "agent: Tools[2]: there is another tool called a"},
	} {
		if a, err := agent.New(tt.cfg); err == nil || err.Error() != tt.want || a != nil {
			t.Errorf("%s: New() = %v, %v, want %q", name, a, err, tt.want)
		}
	}
}

func TestModelIsToldInstructionAndTools(t *testing.T) {
	for name, tt := range map[string]struct{ instruction, want string }{
		"own":     {"", prompts.Instruction()},
		"braces":  {"Write {json} and {{templates}}, {user:name} and {artifact.x}?", "Write {json} and {{templates}}, {user:name} and {artifact.x}?"},
		"another": {"Be brief.", "Be brief."},
	} {
		t.Run(name, func(t *testing.T) {
			llm := &listener{}
			a, err := agent.New(agent.Config{Model: llm, Tools: []tool.Tool{guarded(t, "a"), guarded(t, "b")}, Instruction: tt.instruction})
			if err != nil {
				t.Fatal(err)
			}
			if err := say(t.Context(), newRunner(t, a), "u"); err != nil {
				t.Fatal(err)
			}
			req := llm.requests[0]
			var said strings.Builder
			for _, p := range req.Config.SystemInstruction.Parts {
				said.WriteString(p.Text)
			}
			if !strings.Contains(said.String(), tt.want) {
				t.Errorf("the model is told %q, want %q in it", said.String(), tt.want)
			}
			if len(req.Tools) != 2 || len(req.Config.Tools) != 1 || len(req.Config.Tools[0].FunctionDeclarations) != 2 {
				t.Errorf("the model has the tools %v, want a and b alone", req.Tools)
			}
			if a.Name() != agent.Name || len(a.SubAgents()) != 0 {
				t.Errorf("the agent is called %q and has %d others below it", a.Name(), len(a.SubAgents()))
			}
		})
	}
}

// The first runs write what they find unset into the shared agent; -race sees it.
func TestFirstRunsAtOnce(t *testing.T) {
	a, err := agent.New(agent.Config{Model: &listener{}, Tools: []tool.Tool{guarded(t, "a")}})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		r := newRunner(t, a)
		wg.Go(func() {
			if err := say(t.Context(), r, fmt.Sprint("user ", i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// ADK appends to the slice that it is given: spare capacity of the caller's would
// be shared by all runs.
func TestToolsAreTheAgentsOwn(t *testing.T) {
	list := make([]tool.Tool, 1, 8)
	list[0] = guarded(t, "a")
	llm := &listener{}
	a, err := agent.New(agent.Config{Model: llm, Tools: list})
	if err != nil {
		t.Fatal(err)
	}
	list[0] = guarded(t, "later")
	r := newRunner(t, a)
	if err := say(t.Context(), r, "u"); err != nil {
		t.Fatal(err)
	}
	if _, ok := llm.requests[0].Tools["a"]; !ok || len(llm.requests[0].Tools) != 1 {
		t.Errorf("the model has the tools %v, want what New was given", llm.requests[0].Tools)
	}
	if spare := list[:2][1]; spare != nil {
		t.Errorf("the caller's slice got %v", spare)
	}
}

func TestNamed(t *testing.T) {
	for message, want := range map[string]string{
		"Summarize doc_9982 and q4_review_2024, please.": "doc_9982 q4_review_2024",
		"What is GPT-4, in 2024?":                        "",
		"Hello":                                          "",
		"compare (doc_1) with DOC_2":                     "doc_1 DOC_2",
		"call fetch_document":                            "",
	} {
		if got := strings.Join(agent.Named(message), " "); got != want {
			t.Errorf("Named(%q) = %q, want %q", message, got, want)
		}
	}
}
