package jitmw

import (
	"context"
	"fmt"
	"reflect"
	"strings"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
)

// Bind has the calls that a model makes in answer to req run in the context that in
// makes of each one's own: for a plugin, which ADK lets into a run but not around its
// context. It refuses a request with a tool that is neither guarded nor of ADK's
// workings, and one with a tool that the model's provider runs.
func Bind(req *model.LLMRequest, in func(context.Context) context.Context) error {
	for name, t := range req.Tools {
		t, _ := t.(tool.Tool)
		if err := Check(t); err != nil {
			return fmt.Errorf("tool %s: %w", name, err)
		}
		if g, ok := t.(*guarded); ok {
			bound := *g
			bound.in = in
			req.Tools[name] = &bound
		}
	}
	if req.Config == nil {
		return nil
	}
	for _, t := range req.Config.Tools {
		if t != nil && providers(t) {
			return fmt.Errorf("the model's provider is to run a tool, which cannot be guarded")
		}
	}
	return nil
}

type tasksKey struct{}

// WithTasks returns a context in which a guarded tool works under the task that of returns
// for the agent which calls it, by that agent's name, and not under that of
// [jit.NewContext]; which must be there as well. An error of it is the call's.
func WithTasks(ctx context.Context, of func(ctx context.Context, agent string) (*jit.Task, error)) context.Context {
	return context.WithValue(ctx, tasksKey{}, of)
}

// taskOf returns the task for a call of an agent's, which is task where nobody says another.
func taskOf(ctx agent.Context, task *jit.Task) (*jit.Task, error) {
	if of, ok := ctx.Value(tasksKey{}).(func(context.Context, string) (*jit.Task, error)); ok {
		return of(ctx, ctx.AgentName())
	}
	return task, nil
}

// Check returns nil for a tool that is guarded, and for one of ADK's own workings: those
// by which agents hand over to each other and end, in the same run. An agent as a tool
// is none of them, since it runs without the plugins of its run.
func Check(t tool.Tool) error {
	if _, stream := t.(streaming); t == nil || !Guarded(t) && (stream || !workings(t)) {
		return fmt.Errorf("%w (%T): decorate it with jitmw.Wrap, or leave it out", errNotGuarded, t)
	}
	return nil
}

// workings reports whether t is of a type that nobody but ADK can make.
func workings(t tool.Tool) bool {
	typ := reflect.TypeOf(t)
	for typ.Kind() == reflect.Pointer {
		typ = typ.Elem()
	}
	root, _, _ := strings.Cut(reflect.TypeFor[model.LLMRequest]().PkgPath(), "/model")
	return strings.HasPrefix(typ.PkgPath(), root+"/internal/")
}

// providers reports whether t is more than functions.
func providers(t *genai.Tool) bool {
	other := *t
	other.FunctionDeclarations = nil
	return !reflect.ValueOf(other).IsZero()
}
