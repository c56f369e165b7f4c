package jitmw

import (
	"context"
	"fmt"

	"google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"
)

// A Toolset offers the model guarded tools that may change while a run is under way. It
// is safe for concurrent use if its function is.
type Toolset struct {
	name  string
	tools func(ctx context.Context) []tool.Tool
}

// NewToolset returns a Toolset of the tools that a function returns, which is called
// before each call of the model.
func NewToolset(name string, tools func(ctx context.Context) []tool.Tool) *Toolset {
	return &Toolset{name, tools}
}

// Name returns the toolset's name.
func (s *Toolset) Name() string { return s.name }

// Tools returns none: ADK asks for them once in a run.
func (s *Toolset) Tools(agent.ReadonlyContext) ([]tool.Tool, error) { return nil, nil }

// ProcessRequest enters the tools that there are now. It refuses one that is not guarded,
// and one whose name another tool of the request has.
func (s *Toolset) ProcessRequest(ctx agent.Context, req *model.LLMRequest) error {
	for _, t := range s.tools(ctx) {
		g, ok := t.(*guarded)
		if !ok {
			return fmt.Errorf("jitmw: %s: %s (%T) is not guarded", s.name, t.Name(), t)
		}
		if err := g.ProcessRequest(ctx, req); err != nil {
			return err
		}
	}
	return nil
}
