// Package worker is analyst worker: it goes on with what other processes began.
package worker

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
)

// options are what worker is asked for.
type options struct {
	service.Options
	timeout time.Duration
	workers int
	debug   bool
}

// Command returns analyst worker.
func Command(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{Options: service.Options{Toolkit: kit}}
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Go on with runs that analyst serve began, on any machine",
		Long: `Go on with runs that analyst serve began: those that waited for a person, when
something was decided, and those whose process died. It takes no requests, and
works until interrupted; what is under way then is left to another worker. Any
number of workers may share the state of one analyst serve.

Exit codes: 0 interrupted, 1 failed: also when other workers took this one for
dead, since it did not answer for too long.`,
		Example: `  analyst worker
  analyst worker --workers 16`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), p) },
	}
	flags := cmd.Flags()
	flags.IntVar(&o.workers, "workers", 4, "how `MANY` runs are gone on with at once")
	flags.DurationVar(&o.TTL, "ttl", jit.DefaultTTL, "`LIFE` to ask for each token")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Minute, "how `LONG` a run may take")
	flags.BoolVar(&o.debug, "debug", false, "log to stderr what happens inside")
	o.AddFlags(cmd)
	return cmd
}

// run works until ctx ends.
func (o *options) run(ctx context.Context, p *cli.Program) (err error) {
	if o.timeout <= 0 || o.workers <= 0 {
		return cli.Usagef("--timeout and --workers must be positive")
	}
	unseen, err := p.Observe(ctx, o.Seen)
	if err != nil {
		return err
	}
	defer unseen()
	o.Limits = runner.Limits{Wall: o.timeout}
	logger := p.Logger(o.debug)
	svc, err := service.Open(ctx, p, o.Options, func(context.Context) string { return "" }, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, svc.Close()) }()
	p.Note("working on %s at once; press Ctrl-C to stop", plain.Count(o.workers, "run"))
	return svc.Work(ctx, o.workers, logger)
}
