package bench

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"testing"
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
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/runner"
)

// caller is a model that calls the tool "noop" once in each turn.
type caller struct{}

func (caller) Name() string { return "caller" }

func (caller) GenerateContent(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	answer := said(genai.NewPartFromText("done"))
	if last := req.Contents[len(req.Contents)-1]; last.Parts[0].FunctionResponse == nil {
		answer = said(genai.NewPartFromFunctionCall("noop", map[string]any{"n": 1.0}))
	}
	return func(yield func(*model.LLMResponse, error) bool) { yield(&model.LLMResponse{Content: answer}, nil) }
}

func said(p *genai.Part) *genai.Content {
	return genai.NewContentFromParts([]*genai.Part{p}, genai.RoleModel)
}

// callerAgent is an agent of that model, whose tool does something and is made fit for
// use.
func callerAgent(t *testing.T, does func(context.Context) error, fit func(tool.Tool) tool.Tool) adk.Agent {
	type args struct {
		N int `json:"n"`
	}
	noop := must(functiontool.New(functiontool.Config{Name: "noop", Description: "does next to nothing"},
		func(ctx adk.Context, _ args) (map[string]any, error) { return map[string]any{"ok": true}, does(ctx) }))(t)
	return must(llmagent.New(llmagent.Config{Name: app, Model: caller{}, Mode: llmagent.ModeChat, Tools: []tool.Tool{fit(noop)}}))(t)
}

func nothing(context.Context) error { return nil }

func asItIs(t tool.Tool) tool.Tool { return t }

// sessions makes sessions with a history, and forgets those that were used.
type sessions struct {
	t       *testing.T
	service session.Service
	history []*session.Event
	ready   []string
	used    []string
	made    int
}

// newSessions returns a service whose sessions start with so many events.
func newSessions(t *testing.T, events int) *sessions {
	s := &sessions{t: t, service: session.InMemoryService()}
	for i := range events {
		e := session.NewEvent(t.Context(), "invocation_"+strconv.Itoa(i/4))
		e.Author = app
		id := "call_" + strconv.Itoa(i/4)
		switch i % 4 {
		case 0:
			e.Author, e.Content = "user", genai.NewContentFromText("do it again", genai.RoleUser)
		case 1:
			e.Content = said(&genai.Part{FunctionCall: &genai.FunctionCall{ID: id, Name: "noop", Args: map[string]any{"n": 1.0}}})
		case 2:
			e.Content = said(&genai.Part{FunctionResponse: &genai.FunctionResponse{ID: id, Name: "noop", Response: map[string]any{"ok": true}}})
			e.Content.Role = genai.RoleUser
		case 3:
			e.Content = said(genai.NewPartFromText("done"))
		}
		s.history = append(s.history, e)
	}
	return s
}

func (s *sessions) prepare(n int) {
	ctx := s.t.Context()
	for _, id := range s.used {
		check(s.t, s.service.Delete(ctx, &session.DeleteRequest{AppName: app, UserID: "user", SessionID: id}))
	}
	s.used = nil
	for range n {
		s.made++
		id := "session_" + strconv.Itoa(s.made)
		created := must(s.service.Create(ctx, &session.CreateRequest{AppName: app, UserID: "user", SessionID: id}))(s.t)
		for _, e := range s.history {
			check(s.t, s.service.AppendEvent(ctx, created.Session, e))
		}
		s.ready = append(s.ready, id)
	}
}

// take returns a session that was prepared.
func (s *sessions) take() string {
	id := s.ready[len(s.ready)-1]
	s.ready, s.used = s.ready[:len(s.ready)-1], append(s.used, id)
	return id
}

// A way is one of both to run the same agent: a turn of a session.
type way struct {
	*sessions
	turn func(id string) error
}

// ways are this project's way and that of ADK.
func ways(t *testing.T, events int, limits runner.Limits) (ours, bare way) {
	ours.sessions, bare.sessions = newSessions(t, events), newSessions(t, events)
	engine := must(jit.New(jit.Config{Authority: &fake.Authority{}}))(t)
	mine := must(runner.New(runner.Config{App: app, Agent: callerAgent(t, nothing, asItIs), Engine: engine, Sessions: ours.service, Limits: limits}))(t)
	theirs := must(adkrunner.New(adkrunner.Config{AppName: app, Agent: callerAgent(t, nothing, asItIs), SessionService: bare.service}))(t)
	ours.turn = func(id string) error {
		answer := ""
		for e, err := range mine.Run(t.Context(), runner.Input{Text: "do it", User: "user", Session: id}) {
			if err != nil {
				return err
			}
			if f, ok := e.(runner.Finished); ok {
				answer = f.Answer
			}
		}
		return done(answer)
	}
	bare.turn = func(id string) error {
		answer := ""
		for e, err := range theirs.Run(t.Context(), "user", id, genai.NewContentFromText("do it", genai.RoleUser), adk.RunConfig{}) {
			if err != nil {
				return err
			}
			if e.Content != nil && e.IsFinalResponse() {
				answer = e.Content.Parts[0].Text
			}
		}
		return done(answer)
	}
	return ours, bare
}

func done(answer string) error {
	if answer != "done" {
		return errors.New("there was no answer")
	}
	return nil
}

func runnerTurn(events int) measure {
	return measure{
		name: fmt.Sprintf("runner's turn, history of %d events", events), floor: "bare ADK, same model and tool", goal: goal{ratio: 1.10},
		open: func(t *testing.T) pair {
			ours, bare := ways(t, events, runner.Limits{})
			turn := func(w way) side { return side{prepare: w.prepare, run: func() error { return w.turn(w.take()) }} }
			return pair{ours: turn(ours), floor: turn(bare)}
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
		open: func(t *testing.T) pair {
			ours, bare := ways(t, 0, runner.Limits{History: history})
			var mine, their growth
			return pair{
				ours:  side{prepare: ours.prepare, run: func() error { return mine.session(ours) }},
				floor: side{prepare: bare.prepare, run: func() error { return their.session(bare) }},
				each:  longTurns, most: 1,
				notes: func(row) []string {
					return []string{"time of the last tenth of the turns over that of the second: " + mine.String() + ", bare ADK " + their.String()}
				},
			}
		},
	}
}

// growth tells how much slower a session gets.
type growth struct{ early, late []float64 }

func (g *growth) session(w way) error {
	const tenth = longTurns / 10
	id := w.take()
	var times [longTurns]float64
	for i := range times {
		start := time.Now()
		if err := w.turn(id); err != nil {
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
