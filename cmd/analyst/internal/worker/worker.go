// Package worker is analyst worker: it goes on with what other processes began.
package worker

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	"github.com/jitagent/jitagent/internal/plain"
)

// options are what worker is asked for.
type options struct {
	service.Shared
	workers int
}

// Command returns analyst worker.
func Command(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{Shared: service.Shared{Options: service.Options{Toolkit: kit}}}
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
	cmd.Flags().IntVar(&o.workers, "workers", 4, "how `MANY` runs are gone on with at once")
	o.AddFlags(cmd)
	return cmd
}

// run works until ctx ends.
func (o *options) run(ctx context.Context, p *cli.Program) (err error) {
	if o.Timeout <= 0 || o.workers <= 0 {
		return cli.Usagef("--timeout and --workers must be positive")
	}
	svc, err := o.Open(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = svc.Close(err) }()
	p.Note("working on %s at once; press Ctrl-C to stop", plain.Count(o.workers, "run"))
	return svc.Work(ctx, o.workers)
}
