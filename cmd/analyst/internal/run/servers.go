package run

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/failpoints"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools/mcp"
)

// connect opens the MCP servers, and returns what ends them. Where one of them may demand
// authority for being connected to, they have a task of their own, which lasts as long.
func (o options) connect(ctx context.Context, p *cli.Program, s cli.Settings, engine *jit.Engine, asks *desk, logger *slog.Logger) (set *mcp.Set, end func(), err error) {
	complete := func() {}
	if mcp.Demanding(s.MCP, s.Policy) {
		show, clear := o.viewer(p, s.API)
		asks.begin(clear, o.timeout)
		defer func() { _ = asks.close() }()
		task := engine.Start(ctx, jit.TaskSpec{Name: "analyst: MCP servers", Type: "analysis", OnBehalfOf: o.onBehalfOf}, func(e jit.Event) {
			asks.see(ctx, e)
			_ = asks.show(func() error { return show(e) }) // what cannot be written, the run finds out
		})
		ctx = jit.NewContext(ctx, task)
		complete = func() {
			if err := task.Complete(context.WithoutCancel(ctx)); err != nil {
				p.Note("the task of the MCP servers: %s", cli.Say(err))
			}
		}
	}
	opening, cancel := context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("the MCP servers take longer than --timeout %s", o.timeout))
	defer cancel()
	set, err = mcp.Open(opening, mcp.Config{Servers: s.MCP, Policy: s.Policy, Base: p.Telemetry.Base(failpoints.Base(nil)), Logger: logger})
	if err != nil {
		complete()
		e := &cli.ExitError{Code: cli.ExitFailed, Err: err}
		switch {
		case ctx.Err() != nil:
			return nil, nil, cli.Interrupted(ctx)
		case errors.Is(err, jit.ErrPending) && o.unattended == string(runner.UnattendedFail):
			e.Code = cli.ExitUnattended
		case errors.Is(err, jit.ErrPending):
			e.Code, e.Hint = cli.ExitPending, "--wait waits for a person"
		case errors.Is(err, jit.ErrDenied), errors.Is(err, jit.ErrOutsideCeiling):
			e.Code = cli.ExitDenied
		}
		return nil, nil, e
	}
	if len(s.MCP) > 0 {
		p.Note("MCP servers: %s, with %s", plain.Count(len(s.MCP), "server"), plain.Count(len(set.Tools()), "tool"))
	}
	return set, func() {
		_ = set.Close()
		complete()
	}, nil
}
