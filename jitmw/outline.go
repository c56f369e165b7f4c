package jitmw

import (
	"errors"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
)

// An Outline says what the calls of a tool could come to, whatever their arguments: in
// its texts, {name} stands for the argument of that name.
type Outline struct {
	Origin  string       // of the API that its credentials go to; "" for none
	Ceiling []rar.Detail // each of which some call may ask for
	Aim     policy.Aim
	// Open says that some calls may ask for more than is listed: there are too many kinds
	// of them, or the ceiling cannot be told without the arguments.
	Open bool
}

// OutlineOf returns the outline of a tool that came from [Wrap]. Where [Config] has
// none, it is open and empty; ok is false for any other tool.
func OutlineOf(t tool.Tool) (o Outline, ok bool) {
	g, ok := t.(*guarded)
	if !ok || g.cfg.Outline == nil {
		return Outline{Open: true}, ok
	}
	return g.cfg.Outline(), true
}

var errNotGuarded = errors.New("the tool is not guarded")

// PlanOf returns what a call of a tool that came from [Wrap] may do, with its aim. It
// runs nothing. It fails for any other tool, and for arguments that the tool refuses.
func PlanOf(t tool.Tool, args map[string]any) (Plan, error) {
	g, ok := t.(*guarded)
	if !ok {
		return Plan{}, errNotGuarded
	}
	plan, err := g.cfg.Plan(args)
	if err == nil && plan.Aim == nil {
		bound := policy.Bound(g.Name(), plan.Ceiling, args)
		plan.Aim = &bound
	}
	return plan, err
}
