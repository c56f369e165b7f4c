package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/model"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/functiontool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
)

// grantor is an authorization server without a wire, which approves everything.
type grantor struct{}

func (grantor) AgentToken(context.Context) (secret.String, error) {
	return secret.New("base-token-of-the-bench"), nil
}

func (grantor) CreateTask(context.Context, jit.TaskSpec) (jit.TaskInfo, error) {
	return jit.TaskInfo{ID: "task_1"}, nil
}

func (grantor) CompleteTask(context.Context, string) error { return nil }

func (grantor) Request(context.Context, jit.Request) (jit.Decision, error) {
	return jit.Decision{RequestID: "request_1", Status: jit.StatusApproved}, nil
}

func (grantor) Status(context.Context, string) (jit.Decision, error) {
	return jit.Decision{RequestID: "request_1", Status: jit.StatusApproved}, nil
}

func (grantor) Token(context.Context, string) (jit.Issued, error) {
	return jit.Issued{Token: secret.New("grant-token-of-the-bench"), ExpiresIn: time.Hour}, nil
}

// caller is a model that calls the tool "noop" once in each turn.
type caller struct{}

func (caller) Name() string { return "caller" }

func (caller) GenerateContent(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	answer := &genai.Content{Role: genai.RoleModel}
	if last := req.Contents[len(req.Contents)-1]; last.Parts[0].FunctionResponse == nil {
		answer.Parts = []*genai.Part{{FunctionCall: &genai.FunctionCall{Name: "noop", Args: map[string]any{"n": 1.0}}}}
	} else {
		answer.Parts = []*genai.Part{{Text: "done"}}
	}
	return func(yield func(*model.LLMResponse, error) bool) { yield(&model.LLMResponse{Content: answer}, nil) }
}

const app = "bench"

func callerAgent() (adk.Agent, error) {
	type args struct {
		N int `json:"n"`
	}
	noop, err := functiontool.New(functiontool.Config{Name: "noop", Description: "does nothing"},
		func(adk.Context, args) (map[string]any, error) { return map[string]any{"ok": true}, nil })
	if err != nil {
		return nil, err
	}
	return llmagent.New(llmagent.Config{Name: app, Model: caller{}, Mode: llmagent.ModeChat, Tools: []tool.Tool{noop}})
}

// sessions makes sessions with a history, and forgets those that were used.
type sessions struct {
	ctx     context.Context
	service session.Service
	history []*session.Event
	ready   []string
	used    []string
	made    int
}

// newSessions returns a service whose sessions start with so many events.
func newSessions(ctx context.Context, events int) *sessions {
	s := &sessions{ctx: ctx, service: session.InMemoryService()}
	for i := range events {
		e := session.NewEvent(ctx, "invocation_"+strconv.Itoa(i/4))
		e.Author = app
		id := "call_" + strconv.Itoa(i/4)
		switch i % 4 {
		case 0:
			e.Author, e.Content = "user", genai.NewContentFromText("do it again", genai.RoleUser)
		case 1:
			e.Content = &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{{
				FunctionCall: &genai.FunctionCall{ID: id, Name: "noop", Args: map[string]any{"n": 1.0}},
			}}}
		case 2:
			e.Content = &genai.Content{Role: genai.RoleUser, Parts: []*genai.Part{{
				FunctionResponse: &genai.FunctionResponse{ID: id, Name: "noop", Response: map[string]any{"ok": true}},
			}}}
		case 3:
			e.Content = genai.NewContentFromText("done", genai.RoleModel)
		}
		s.history = append(s.history, e)
	}
	return s
}

func (s *sessions) prepare(n int) error {
	for _, id := range s.used {
		if err := s.service.Delete(s.ctx, &session.DeleteRequest{AppName: app, UserID: "user", SessionID: id}); err != nil {
			return err
		}
	}
	s.used = nil
	for range n {
		s.made++
		id := "session_" + strconv.Itoa(s.made)
		created, err := s.service.Create(s.ctx, &session.CreateRequest{AppName: app, UserID: "user", SessionID: id})
		if err != nil {
			return err
		}
		for _, e := range s.history {
			if err := s.service.AppendEvent(s.ctx, created.Session, e); err != nil {
				return err
			}
		}
		s.ready = append(s.ready, id)
	}
	return nil
}

// take returns a session that was prepared.
func (s *sessions) take() string {
	id := s.ready[len(s.ready)-1]
	s.ready, s.used = s.ready[:len(s.ready)-1], append(s.used, id)
	return id
}

// turns are both ways to run the same agent.
type turns struct {
	ctx         context.Context
	ours        *runner.Runner
	bare        *adkrunner.Runner
	mine, their *sessions
}

func newTurns(ctx context.Context, events int, limits runner.Limits) (*turns, error) {
	t := &turns{ctx: ctx, mine: newSessions(ctx, events), their: newSessions(ctx, events)}
	engine, err := jit.New(jit.Config{Authority: grantor{}})
	if err != nil {
		return nil, err
	}
	a, err := callerAgent()
	if err != nil {
		return nil, err
	}
	if t.ours, err = runner.New(runner.Config{App: app, Agent: a, Engine: engine, Sessions: t.mine.service, Limits: limits}); err != nil {
		return nil, err
	}
	if a, err = callerAgent(); err != nil {
		return nil, err
	}
	t.bare, err = adkrunner.New(adkrunner.Config{AppName: app, Agent: a, SessionService: t.their.service})
	return t, err
}

func (t *turns) runOurs(id string) error {
	answer := ""
	for e, err := range t.ours.Run(t.ctx, runner.Input{Text: "do it", User: "user", Session: id}) {
		if err != nil {
			return err
		}
		if f, ok := e.(runner.Finished); ok {
			answer = f.Answer
		}
	}
	if answer != "done" {
		return errors.New("the runner gave no answer")
	}
	return nil
}

func (t *turns) runBare(id string) error {
	answer := ""
	for e, err := range t.bare.Run(t.ctx, "user", id, genai.NewContentFromText("do it", genai.RoleUser), adk.RunConfig{}) {
		if err != nil {
			return err
		}
		if e.Content != nil && e.IsFinalResponse() {
			answer = e.Content.Parts[0].Text
		}
	}
	if answer != "done" {
		return errors.New("ADK gave no answer")
	}
	return nil
}

func runnerTurn(events int) measure {
	return measure{
		name: fmt.Sprintf("runner's turn, history of %d events", events), floor: "bare ADK, same model and tool", goal: goal{ratio: 1.10},
		open: func(ctx context.Context) (*pair, error) {
			t, err := newTurns(ctx, events, runner.Limits{})
			if err != nil {
				return nil, err
			}
			return &pair{
				ours:  side{prepare: t.mine.prepare, run: func() error { return t.runOurs(t.mine.take()) }},
				floor: side{prepare: t.their.prepare, run: func() error { return t.runBare(t.their.take()) }},
			}, nil
		},
	}
}

// longTurns is how many turns the long session has.
const longTurns = 150

func longSession() measure {
	const history = 100
	return measure{
		name:  fmt.Sprintf("turn of a session of %d turns, History %d", longTurns, history),
		floor: "bare ADK, which shows the model everything",
		open: func(ctx context.Context) (*pair, error) {
			t, err := newTurns(ctx, 0, runner.Limits{History: history})
			if err != nil {
				return nil, err
			}
			var mine, their growth
			return &pair{
				ours:  side{prepare: t.mine.prepare, run: func() error { return mine.session(t.mine.take(), t.runOurs) }},
				floor: side{prepare: t.their.prepare, run: func() error { return their.session(t.their.take(), t.runBare) }},
				each:  longTurns, most: 1,
				notes: func(*Row) ([]string, error) {
					return []string{"time of the last tenth of the turns over that of the second: " + mine.String() + ", bare ADK " + their.String()}, nil
				},
			}, nil
		},
	}
}

// growth tells how much slower a session gets.
type growth struct{ early, late []float64 }

func (g *growth) session(id string, turn func(string) error) error {
	const tenth = longTurns / 10
	var times [longTurns]float64
	for i := range times {
		start := time.Now()
		if err := turn(id); err != nil {
			return err
		}
		times[i] = float64(time.Since(start))
	}
	g.early = append(g.early, times[tenth:2*tenth]...)
	g.late = append(g.late, times[longTurns-tenth:]...)
	return nil
}

func (g *growth) String() string {
	return fmt.Sprintf("%.1f", quantile(g.late, .5)/quantile(g.early, .5))
}
