// Package jitmw is the tool middleware: it decorates an ADK tool so that every
// call runs inside package jit, under a ceiling that the call's arguments fix.
//
//	guarded, err := jitmw.Wrap(inner, jitmw.Config{Plan: plan})
//
// Invariants:
//
//   - A call runs only under a JIT task and a plan. Without a task in the
//     context, or when the plan fails, the tool is not called.
//   - The model reaches the tool through the guard and in no other way. A tool
//     for which that cannot be made sure is refused by Wrap, not passed on.
//   - What the model sees holds no token of the task, no stack trace, and no more
//     than MaxResult bytes.
//
// The package starts no task: the application puts one into the context with
// [jit.NewContext]. It makes no HTTP calls itself: the tool does, through a client
// whose transport is a [jit.Transport].
package jitmw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"runtime/debug"
	"time"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/adk/v2/tool/toolconfirmation"
	"google.golang.org/adk/v2/tool/toolutils"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
)

// A Plan is what one call may do, decided before it runs.
type Plan struct {
	// Ceiling is the most that may be asked for on behalf of this call. nil means
	// that nothing may be asked for.
	Ceiling []rar.Detail
	// Justification is shown to the person who decides. "" means the tool's name.
	Justification string
	// Repeats says that the same request may be meant twice within a task; see
	// [jit.Call].
	Repeats bool
	// Aim is what the call does and what it is aimed at, for a context with a [Gate].
	// nil is what the ceiling says: see [policy.Bound].
	Aim *policy.Aim
	// Args, if not nil, is handed to the tool in place of the model's arguments,
	// so that what was planned for is what runs.
	Args any
}

// Config sets up [Wrap].
type Config struct {
	// Plan decides from the arguments, and from nothing that the model or the API
	// can change later, what the call may do. An error refuses the call and is
	// shown to the model. Required.
	Plan func(args map[string]any) (Plan, error)

	// Outline says what any call could come to, for people who want to know beforehand.
	// nil says nothing.
	Outline func() Outline

	// MaxResult bounds the result in bytes of JSON. 0 means 256 KiB. The longest
	// text of a larger result is cut, and the model is told so.
	MaxResult int

	// Logger receives panics and other faults that the model must not see. nil
	// discards.
	Logger *slog.Logger
}

// runnable is what ADK asks of a tool that a model can call (ADK declares it in
// an internal package).
type runnable interface {
	tool.Tool
	Declaration() *genai.FunctionDeclaration
	Run(ctx agent.Context, args any) (map[string]any, error)
}

// requestProcessor is how a tool enters itself into a model request.
type requestProcessor interface {
	ProcessRequest(ctx agent.Context, req *model.LLMRequest) error
}

// streaming and deferring are the two ways in which ADK goes around Run.
type (
	streaming interface {
		RunStream(ctx agent.Context, args any) iter.Seq2[string, error]
	}
	deferring interface{ DefersResponse() bool }
)

// Wrap returns t decorated. It refuses tools that it cannot guard:
//
//   - that have no Declaration and Run, since the model does not call those;
//   - that stream (RunStream), since ADK prefers that way around Run;
//   - that are long-running or defer their response, since a client's message is
//     then taken as the tool's result;
//   - whose name ADK takes for its own, so that it would not call them;
//   - that are guarded already.
func Wrap(t tool.Tool, cfg Config) (tool.Tool, error) {
	if t == nil {
		return nil, errors.New("jitmw: no tool")
	}
	name := t.Name()
	if cfg.Plan == nil {
		return nil, fmt.Errorf("jitmw: wrap %s: no Plan", name)
	}
	if Guarded(t) {
		return nil, fmt.Errorf("jitmw: wrap %s: guarded already", name)
	}
	inner, ok := t.(runnable)
	if !ok {
		return nil, fmt.Errorf("jitmw: wrap %s: %T has no Declaration and Run, so its calls cannot be guarded", name, t)
	}
	if _, ok := t.(streaming); ok {
		return nil, fmt.Errorf("jitmw: wrap %s: %T streams, which would bypass the guard", name, t)
	}
	if _, ok := t.(deferring); ok || t.IsLongRunning() {
		return nil, fmt.Errorf("jitmw: wrap %s: the result of a long-running tool can be forged by a client", name)
	}
	decl := inner.Declaration()
	if decl == nil || decl.Name != name {
		return nil, fmt.Errorf("jitmw: wrap %s: the tool declares no function of its own name", name)
	}
	switch name {
	case "stop_streaming", "set_model_response", "transfer_to_agent", toolconfirmation.FunctionCallName:
		return nil, fmt.Errorf("jitmw: wrap %s: ADK handles calls of this name by itself", name)
	}
	if cfg.MaxResult < 0 {
		return nil, fmt.Errorf("jitmw: wrap %s: MaxResult is negative", name)
	}
	if cfg.MaxResult == 0 {
		cfg.MaxResult = 256 << 10
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &guarded{inner: inner, cfg: cfg}, nil
}

// Guarded reports whether t came from [Wrap].
func Guarded(t tool.Tool) bool {
	_, ok := t.(*guarded)
	return ok
}

// guarded names its tool and does not embed it: a method that ADK looks for some
// day must be forwarded here on purpose, not pass the guard unseen.
type guarded struct {
	inner runnable
	cfg   Config
	in    func(context.Context) context.Context // of [Bind]; nil leaves a call in its own
}

func (g *guarded) Name() string                            { return g.inner.Name() }
func (g *guarded) Description() string                     { return g.inner.Description() }
func (g *guarded) IsLongRunning() bool                     { return false }
func (g *guarded) Declaration() *genai.FunctionDeclaration { return g.inner.Declaration() }

// ProcessRequest enters the guard, not the inner tool, as what a model's call
// runs. The inner tool may add to the request what else it needs, but no other
// tool: it works on a request without tools, so it can replace none either.
func (g *guarded) ProcessRequest(ctx agent.Context, req *model.LLMRequest) error {
	p, ok := g.inner.(requestProcessor)
	if !ok {
		return toolutils.PackTool(req, g)
	}
	if req.Config == nil {
		req.Config = &genai.GenerateContentConfig{}
	}
	tools, declared := req.Tools, req.Config.Tools
	req.Tools, req.Config.Tools = nil, nil
	err := p.ProcessRequest(ctx, req)
	if req.Config == nil {
		req.Config = &genai.GenerateContentConfig{}
	}
	brought, says := req.Tools, req.Config.Tools
	req.Tools, req.Config.Tools = tools, declared
	if err != nil {
		return err
	}
	if err := g.alone(brought, says); err != nil {
		return err
	}
	return toolutils.PackTool(req, g)
}

// alone refuses what an inner tool brings into a request beside itself.
func (g *guarded) alone(tools map[string]any, declared []*genai.Tool) error {
	for name, t := range tools {
		if name != g.Name() {
			return fmt.Errorf("jitmw: %s: the tool brings another one, %s (%T), which is not guarded", g.Name(), name, t)
		}
	}
	for _, t := range declared {
		if t == nil {
			continue
		}
		for _, f := range t.FunctionDeclarations {
			if f != nil && f.Name != g.Name() {
				return fmt.Errorf("jitmw: %s: the tool declares another function, %s, which is not guarded", g.Name(), f.Name)
			}
		}
		if providers(t) {
			return fmt.Errorf("jitmw: %s: the tool brings one that the model's provider runs, which is not guarded", g.Name())
		}
	}
	return nil
}

// noTask is a fault of the application, and says how it is mended.
const noTask = "this tool works only under a JIT task, and none is open: the application has to run with the plugin of runner.NewPlugin, or call jit.NewContext"

// Run runs one call inside jit. It returns no error: whatever went wrong is a
// result that the model can act on (see [Failure]), since ADK would show the model
// an error's bare text.
func (g *guarded) Run(ctx agent.Context, args any) (shown map[string]any, _ error) {
	if g.in != nil {
		ctx = under{ctx, g.in(ctx)}
	}
	task := jit.FromContext(ctx)
	if task == nil {
		g.cfg.Logger.ErrorContext(ctx, "tool called without a JIT task", "tool", g.Name())
		return Shown(jit.Result{Status: jit.CallFailed, Message: noTask}), nil
	}
	call := jit.Call{
		ID: ctx.FunctionCallID(), Tool: g.Name(), Justification: g.Name(),
		// The same call of the same turn is the same intended effect, also when the
		// turn is resumed: ADK keeps invocation and call id then.
		IdempotencyKey: ctx.SessionID() + "\x00" + ctx.InvocationID() + "\x00" + ctx.FunctionCallID(),
	}
	inside, planned := context.Context(ctx), false
	gate, passed := gateOf(ctx), (*policy.Aim)(nil)
	var result jit.Result
	var details map[string]any // of a failure
	// ADK recovers panics only in its own function tools; one here would end the
	// process. It covers what is done with the result too, since that calls methods
	// of the tool's types. The stack goes to the log, never to the model.
	defer func() {
		if p := recover(); p != nil {
			g.cfg.Logger.ErrorContext(ctx, "tool panicked", "tool", g.Name(),
				"panic", task.Scrub(fmt.Sprint(p)), "stack", task.Scrub(string(debug.Stack())))
			result = g.failed(inside, task, &Failure{Message: "the tool failed internally", Advice: sayso})
		}
		if result.Status != jit.CallOK {
			shown = Shown(result)
			if details != nil {
				shown["details"] = details
			}
		}
		if !planned { // so nothing may be asked for
			inside = task.Call(ctx, call)
		}
		jit.EndCall(inside, result)
		if passed != nil {
			gate.ended(inside, call, *passed, result.Status, shown)
		}
	}()
	var aim policy.Aim
	own, err := taskOf(ctx, task)
	if err == nil {
		task = own
		args, aim, err = g.plan(ctx, &call, args)
	}
	if err == nil && gate != nil {
		if err = gate.pass(ctx, call, aim); err == nil {
			passed = &aim
		}
	}
	if err == nil {
		inside, planned = task.Call(ctx, call), true
		shown, err = g.inner.Run(under{ctx, inside}, args)
	}
	if err == nil {
		shown, err = present(task, shown, g.cfg.MaxResult)
	}
	if err != nil {
		result = g.failed(inside, task, err)
		if f, ok := errors.AsType[*Failure](err); ok && f.Details != nil {
			details, _ = present(task, f.Details, g.cfg.MaxResult)
		}
	} else {
		result.Status = jit.CallOK
	}
	return shown, nil
}

// failed logs an error and returns what came of the call. A doubt about what the
// call did outweighs whatever the tool made of it.
func (g *guarded) failed(ctx context.Context, task *jit.Task, err error) jit.Result {
	if doubts := jit.InDoubt(ctx); len(doubts) > 0 && !errors.Is(err, jit.ErrInDoubt) {
		err = fmt.Errorf("%w (%w)", doubts[0], err)
	}
	f := explain(err)
	level := slog.LevelDebug
	if f.Err != nil && ctx.Err() == nil {
		level = slog.LevelWarn // only the log has the cause
	}
	g.cfg.Logger.Log(ctx, level, "tool call failed", "tool", g.Name(), "status", f.Status, "error", task.Scrub(err.Error()))
	return f.result(task)
}

// malformed is what a model is told of arguments that are not one JSON object.
var malformed = map[string]string{
	strictjson.Malformed: "the arguments were no JSON object: write one object, with its quotes and brackets closed",
	strictjson.Repeated:  "the arguments gave one name twice: write each name once",
	strictjson.BadEscape: `the arguments had an escape that JSON does not have: write \\ for a backslash, and for a character \u with four digits, in pairs beyond \uFFFF`,
}

// plan decides what the call may do, and returns the arguments for the tool.
func (g *guarded) plan(ctx agent.Context, call *jit.Call, args any) (_ any, aim policy.Aim, _ error) {
	if err := ctx.Err(); err != nil {
		return nil, aim, err // ADK starts the calls of a turn also when the run is over
	}
	m, ok := args.(map[string]any)
	if !ok && args != nil {
		return nil, aim, &argumentError{errors.New("the arguments are not an object")}
	}
	for name := range m {
		if advice := malformed[name]; advice != "" && len(m) == 1 {
			return nil, aim, &argumentError{errors.New(advice)}
		}
	}
	call.Args = m
	plan, err := PlanOf(g, m)
	if err != nil {
		return nil, aim, &argumentError{err}
	}
	if plan.Args != nil {
		args = plan.Args
	}
	call.Ceiling, call.Justification, call.Repeats = plan.Ceiling, cmp.Or(plan.Justification, g.Name()), plan.Repeats
	return args, *plan.Aim, nil
}

// under is ADK's tool context with the standard part of another one. ADK's own
// WithContext does not work in a tool.
type under struct {
	agent.Context
	std context.Context
}

// RequestConfirmation refuses ADK's own confirmation: whoever can write to the session
// can give it.
func (u under) RequestConfirmation(string, any) error {
	return &Failure{
		Message: "this tool asks for a confirmation that does not say who gave it, so it cannot be used here",
		Advice:  sayso,
	}
}

// ToolConfirmation knows of none, for the same reason.
func (u under) ToolConfirmation() *toolconfirmation.ToolConfirmation { return nil }

func (u under) Deadline() (time.Time, bool) { return u.std.Deadline() }
func (u under) Done() <-chan struct{}       { return u.std.Done() }
func (u under) Err() error                  { return u.std.Err() }
func (u under) Value(key any) any           { return u.std.Value(key) }
