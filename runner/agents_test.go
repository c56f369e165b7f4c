package runner_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/agent/workflowagents/parallelagent"
	"google.golang.org/adk/v2/agent/workflowagents/sequentialagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/agenttool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

// A strict model makes its call for a new message, says "done" to results and "fine" to
// the message "more". It refuses what providers refuse.
type strict struct {
	name string
	call *genai.FunctionCall
}

func (m strict) Name() string { return m.name }

func (m strict) GenerateContent(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		if err := wellFormed(req.Contents); err != nil {
			yield(nil, fmt.Errorf("%s: %w", m.name, err))
			return
		}
		last := req.Contents[len(req.Contents)-1]
		content := genai.NewContentFromText("done", genai.RoleModel)
		switch p := last.Parts[len(last.Parts)-1]; {
		case p.FunctionResponse != nil:
			if m.call.Name == "act" && m.name == "task" {
				content = &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{{FunctionCall: &genai.FunctionCall{
					ID: m.name + "-finish", Name: "finish_task", Args: map[string]any{"result": "done"},
				}}}}
			}
		case strings.HasSuffix(p.Text, "more") || strings.HasSuffix(p.Text, "fine"): // said by another agent
			content = genai.NewContentFromText("fine", genai.RoleModel)
		default:
			call := *m.call
			call.ID = m.name + "-" + call.Name
			content = &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{{FunctionCall: &call}}}
		}
		yield(&model.LLMResponse{Content: content}, nil)
	}
}

func llm(t testing.TB, cfg llmagent.Config, call *genai.FunctionCall) adk.Agent {
	t.Helper()
	cfg.Model, cfg.Description = strict{cfg.Name, call}, "works"
	a, err := llmagent.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// shapes are the ways in which agents work together.
func shapes(t testing.TB, act tool.Tool) map[string]adk.Agent {
	call := &genai.FunctionCall{Name: "act", Args: map[string]any{"arg": "doc_1"}}
	worker := func(name string, mode llmagent.Mode) adk.Agent {
		return llm(t, llmagent.Config{Name: name, Mode: mode, Tools: []tool.Tool{act}}, call)
	}
	ask := func(name string) *genai.FunctionCall {
		return &genai.FunctionCall{Name: name, Args: map[string]any{"request": "work"}}
	}
	return map[string]adk.Agent{
		"LLM": worker("alone", llmagent.ModeChat),
		"transfer": llm(t, llmagent.Config{Name: "root", Mode: llmagent.ModeChat, SubAgents: []adk.Agent{worker("sub", llmagent.ModeChat)}},
			&genai.FunctionCall{Name: "transfer_to_agent", Args: map[string]any{"agent_name": "sub"}}),
		"parallel": must(parallelagent.New(parallelagent.Config{AgentConfig: adk.Config{
			Name: "both", SubAgents: []adk.Agent{worker("left", ""), worker("right", "")},
		}})),
		"sequential": must(sequentialagent.New(sequentialagent.Config{AgentConfig: adk.Config{
			Name: "one_by_one", SubAgents: []adk.Agent{worker("first", ""), worker("second", "")},
		}})),
		"task": llm(t, llmagent.Config{Name: "boss", Mode: llmagent.ModeChat, SubAgents: []adk.Agent{worker("task", llmagent.ModeTask)}}, ask("task")),
		"single turn": llm(t, llmagent.Config{Name: "boss", Mode: llmagent.ModeChat, SubAgents: []adk.Agent{worker("single", llmagent.ModeSingleTurn)}},
			ask("single")),
		"agent tool": llm(t, llmagent.Config{
			Name: "boss", Mode: llmagent.ModeChat, Tools: []tool.Tool{agenttool.New(worker("helper", llmagent.ModeChat), nil)},
		}, ask("helper")),
	}
}

// brittle is a session service that stores no results while it is told so, as when the
// process dies before they are there.
type brittle struct {
	session.Service
	dying atomic.Bool
	late  bool // the results of agents are not stored, and those of tools are
}

func (b *brittle) AppendEvent(ctx context.Context, to session.Session, ev *session.Event) error {
	if b.dying.Load() && ev.Content != nil {
		fr := ev.Content.Parts[0].FunctionResponse
		if fr != nil && !(b.late && (fr.Name == "act" || fr.Name == "finish_task")) {
			return errDisk
		}
	}
	return b.Service.AppendEvent(ctx, to, ev)
}

// However the agents of a session work together, and however a run of it ends, the next
// message finds a history that strict providers take, and each call has one result.
func TestEveryShapeOfAgentsGoesOn(t *testing.T) {
	for _, end := range []string{"cancelled", "killed", "killed late", "pending"} {
		for shape := range shapes(t, raw{name: "act"}) {
			t.Run(shape+" "+end, func(t *testing.T) {
				clean(t)
				w := review(t)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var again atomic.Bool
				act := must(tools.New(tools.Spec[args]{
					Name: "act", Description: "acts", Ceiling: func(a args) []rar.Detail { return []rar.Detail{doc(a.Arg)} },
				}, func(inside tools.Context, a args) (map[string]any, error) {
					if end == "cancelled" && !again.Swap(true) {
						cancel()
						<-inside.Done()
						return nil, inside.Err()
					}
					_, err := jit.Acquire(inside, doc(a.Arg))
					return map[string]any{"did": a.Arg}, err
				}))
				store := &brittle{Service: w.sessions, late: end == "killed late"}
				if end == "killed" || end == "killed late" {
					store.dying.Store(true)
					w.decide("doc_1", jit.StatusApproved)
				}
				config := w.config
				w.config = func(cfg *runner.Config) {
					config(cfg)
					cfg.Agent, cfg.Sessions = shapes(t, act)[shape], store
				}
				first := follow(ctx, t, w.runner(t), runner.Input{User: "u", Session: "s"})
				store.dying.Store(false)
				suspended := len(first.finished.Waiting) > 0
				if want := end == "pending" && (shape == "LLM" || shape == "sequential"); suspended != want {
					t.Errorf("suspended: %t, want %t: %+v, %v", suspended, want, first.finished, first.err)
				}
				w.decide("doc_1", jit.StatusApproved)
				for range 2 {
					if got := w.say(t, "more"); got.err != nil || !strings.HasSuffix(got.finished.Answer, "fine") {
						t.Errorf("the next message: %+v, %v; history %v", got.finished, got.err, w.history(t))
					}
				}
				results := map[string]int{}
				for _, entry := range w.history(t) {
					if id, ok := strings.CutPrefix(entry, "call "); ok {
						results[id]--
					} else if id, ok := strings.CutPrefix(entry, "result "); ok {
						results[id]++
					}
				}
				for id, n := range results {
					if n != 0 && id != "boss-task" { // the task goes on
						t.Errorf("call %s has %+d results too many: %v", id, n, w.history(t))
					}
				}
				if first.err != nil && !errors.Is(first.err, context.Canceled) && !errors.Is(first.err, errDisk) {
					t.Errorf("the first run ended with %v", first.err)
				}
			})
		}
	}
}
