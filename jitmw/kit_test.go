package jitmw_test

import (
	"context"
	"fmt"
	"iter"
	"sync"
	"testing"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const grantToken = "grant-canary-8e17b2d94c605fa3"

// newAuthority approves every request and has one token for all.
func newAuthority() *fake.Authority {
	return &fake.Authority{Issue: func(_ string, d rar.Detail) jit.Issued {
		return jit.Issued{Token: secret.New(grantToken), ExpiresIn: time.Minute, Details: []rar.Detail{d}}
	}}
}

// toolCtx is what ADK gives a tool, as far as a guard needs it. Anything else
// panics.
type toolCtx struct {
	agent.StrictContextMock
	invocation, call string
	state            *fakeState
}

func newCtx(ctx context.Context) *toolCtx {
	return &toolCtx{StrictContextMock: agent.NewStrictContextMock(ctx), invocation: "inv-1", call: "call-1"}
}

// under returns the context of a call under a new task.
func under(t testing.TB, a *fake.Authority) *toolCtx {
	return newCtx(jit.NewContext(t.Context(), fake.Task(t, a)))
}

func (c *toolCtx) UserID() string         { return "user-1" }
func (c *toolCtx) SessionID() string      { return "session-1" }
func (c *toolCtx) InvocationID() string   { return c.invocation }
func (c *toolCtx) FunctionCallID() string { return c.call }
func (c *toolCtx) State() session.State   { return c.state }

// plain is a tool with what ADK asks for and no more.
type plain struct {
	name string
	run  func(agent.Context, any) (map[string]any, error)

	mu    sync.Mutex
	calls int
}

func (p *plain) Name() string        { return p.name }
func (p *plain) Description() string { return "does " + p.name }
func (p *plain) IsLongRunning() bool { return false }

func (p *plain) Declaration() *genai.FunctionDeclaration {
	return &genai.FunctionDeclaration{Name: p.name, Description: p.Description()}
}

func (p *plain) Run(ctx agent.Context, args any) (map[string]any, error) {
	p.mu.Lock()
	p.calls++
	p.mu.Unlock()
	if p.run == nil {
		return map[string]any{"ok": true}, nil
	}
	return p.run(ctx, args)
}

func (p *plain) called() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// anything lets every call through and permits nothing.
func anything(map[string]any) (jitmw.Plan, error) { return jitmw.Plan{}, nil }

func read(id string) rar.Detail {
	return rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}
}

// wrapped is a guarded tool of which Run is called by hand.
type wrapped interface {
	tool.Tool
	Run(agent.Context, any) (map[string]any, error)
	ProcessRequest(agent.Context, *model.LLMRequest) error
}

func wrap(t testing.TB, inner tool.Tool, cfg jitmw.Config) wrapped {
	t.Helper()
	if cfg.Plan == nil {
		cfg.Plan = anything
	}
	g, err := jitmw.Wrap(inner, cfg)
	if err != nil {
		t.Fatal(err)
	}
	w, ok := g.(wrapped)
	if !ok {
		t.Fatalf("Wrap() returned a %T, which ADK cannot call", g)
	}
	return w
}

// run runs one call and fails the test on an error: a guard turns them into results.
func run(t testing.TB, g wrapped, ctx agent.Context, args any) map[string]any {
	t.Helper()
	result, err := g.Run(ctx, args)
	if err != nil {
		t.Fatalf("Run() = %v, want a result", err)
	}
	return result
}

// caller is a model that calls one function once and then says what it got.
type caller struct {
	name string
	args map[string]any
}

func (caller) Name() string { return "caller" }

func (c caller) GenerateContent(_ context.Context, req *model.LLMRequest, _ bool) iter.Seq2[*model.LLMResponse, error] {
	return func(yield func(*model.LLMResponse, error) bool) {
		last := req.Contents[len(req.Contents)-1]
		for _, p := range last.Parts {
			if p.FunctionResponse != nil {
				yield(&model.LLMResponse{Content: genai.NewContentFromText(fmt.Sprint(p.FunctionResponse.Response), genai.RoleModel)}, nil)
				return
			}
		}
		yield(&model.LLMResponse{Content: &genai.Content{Role: genai.RoleModel, Parts: []*genai.Part{
			{FunctionCall: &genai.FunctionCall{ID: "call_a", Name: c.name, Args: c.args}},
		}}}, nil)
	}
}
