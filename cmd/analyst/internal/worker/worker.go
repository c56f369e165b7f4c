// Package worker is analyst worker: it goes on with what other processes began.
package worker

import (
	"cmp"
	"context"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	"github.com/jitagent/jitagent/internal/plain"
	listen "github.com/jitagent/jitagent/internal/serve"
)

// options are what worker is asked for.
type options struct {
	service.Shared
	workers int
	url     string // of analyst serve
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
dead, since it did not answer for too long, 2 usage, 130 interrupted before it
began.`,
		Example: `  analyst worker
  analyst worker --workers 16`,
		Args:    cobra.NoArgs,
		PreRunE: func(cmd *cobra.Command, _ []string) error { return o.check(cmd.Context(), p) },
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), p) },
	}
	cmd.Flags().IntVar(&o.workers, "workers", 4, "how `MANY` runs are gone on with at once; 0, which says to analyst serve that workers do, is 4")
	cmd.Flags().StringVar(&o.url, "url", "", "`URL` by which LumoAuth reaches analyst serve, as there, to say that a person has decided about what a worker asked for")
	o.AddFlags(cmd)
	cli.Configurable(cmd.Flags())
	return cmd
}

// check finds what is wrong with flags and settings.
func (o *options) check(ctx context.Context, p *cli.Program) error {
	var wrong cli.Problems
	wrong.Add(o.Shared.Check(ctx, p))
	wrong.If(o.workers < 0, "--workers must not be negative")
	o.workers = cmp.Or(o.workers, 4)
	if o.url != "" {
		origin, err := listen.Origin(o.url)
		wrong.If(err != nil, "--url %q: want https://host[:port]", o.url)
		o.Base, _ = url.Parse(origin)
	}
	return wrong.Err()
}

// run works until ctx ends.
func (o *options) run(ctx context.Context, p *cli.Program) (err error) {
	svc, err := o.Open(ctx, p)
	if err != nil {
		return err
	}
	defer func() { err = svc.Close(err) }()
	p.Note("working on %s at once; press Ctrl-C to stop", plain.Count(o.workers, "run"))
	return svc.Work(ctx, o.workers)
}
