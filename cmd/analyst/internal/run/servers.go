package run

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
)

// connect opens the MCP servers, which may demand authority for being connected to.
func (o options) connect(ctx context.Context, s *service.Parts, asks *desk) error {
	begun := time.Now()
	show, clear := o.viewer(asks.p, s.Settings.API)
	asks.begin(clear, o.Timeout)
	defer func() { _ = asks.close() }()
	opening, cancel := context.WithTimeoutCause(ctx, o.Timeout, fmt.Errorf("the MCP servers take longer than --timeout %s", o.Timeout))
	defer cancel()
	err := s.Connect(opening, o.onBehalfOf, func(e jit.Event) {
		asks.see(opening, e)
		_ = asks.show(func() error { return show(e) }) // what cannot be written, the run finds out
	})
	if err != nil {
		e := &cli.ExitError{Code: cli.ExitFailed, Err: err}
		switch {
		case ctx.Err() != nil:
			return cli.Interrupted(ctx)
		case errors.Is(err, jit.ErrPending) && o.unattended == string(runner.UnattendedFail):
			e.Code = cli.ExitUnattended
		case errors.Is(err, jit.ErrPending):
			e.Code, e.Hint = cli.ExitPending, "--wait waits for a person"
		case errors.Is(err, jit.ErrDenied), errors.Is(err, jit.ErrOutsideCeiling):
			e.Code = cli.ExitDenied
		}
		return e
	}
	if len(s.Settings.MCP) > 0 {
		s.Timeout = max(o.Timeout-time.Since(begun), time.Millisecond).Round(time.Millisecond)
		s.Note("MCP servers: %s, with %s", plain.Count(len(s.Settings.MCP), "server"), plain.Count(len(s.MCP.Tools()), "tool"))
	}
	return nil
}
