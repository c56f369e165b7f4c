package tasks

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/failpoints"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/recovery"
)

type sweepOptions struct {
	cli.Target
	timeout     time.Duration
	json, debug bool
}

// SweepCommand returns analyst sweep.
func SweepCommand(p *cli.Program) *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "Give back what dead processes left behind",
		Long: `Complete, at the authorization server, the tasks of processes that are gone,
which revokes every token under them. Tasks of living processes are not
touched. What fails is tried again, after growing pauses, until it is done or
--timeout; what is left then is tried again by the next command. A task is
called expired, and not completed, if nothing under it can be valid any more
and nobody confirmed its end.

` + cli.StateHelp + `

Exit codes: 0 nothing is left, 1 something is, 2 usage.`,
		Example: `  analyst sweep
  analyst sweep --timeout 30s
  analyst sweep --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.timeout <= 0 {
				return cli.Usagef("--timeout must be positive")
			}
			return o.run(cmd.Context(), p)
		},
	}
	o.AddServerFlags(cmd)
	cmd.Flags().DurationVar(&o.timeout, "timeout", 10*time.Minute, "how `LONG` to go on trying")
	cmd.Flags().BoolVar(&o.json, "json", false, "print the result as JSON")
	cmd.Flags().BoolVar(&o.debug, "debug", false, "log to stderr what happens inside")
	return cmd
}

func (o sweepOptions) run(ctx context.Context, p *cli.Program) error {
	_, cfg, end, err := o.OpenRecovery(ctx, p, p.Logger(o.debug))
	if err != nil {
		return err
	}
	defer end()
	progress := &sweepProgress{w: p.Stderr}
	cfg.Progress = progress.show
	bounded, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	report, err := recovery.Sweep(bounded, failpoints.Recovery(cfg))
	if err != nil {
		return cli.StateError(err, "")
	}
	if o.json {
		err = p.PrintJSON(report)
	} else {
		_, err = fmt.Fprintln(p.Stdout, cmp.Or(cli.Done(report), "nothing to give back"))
	}
	if err != nil {
		return err
	}
	switch {
	case ctx.Err() != nil:
		return cli.Interrupted(ctx)
	case report.Left() > 0:
		return cli.Failf(cli.LeftHint(report), "not everything could be given back: %s", cli.Leftover(report))
	}
	return nil
}

// A sweepProgress tells a person how a sweep goes, at most once a second.
type sweepProgress struct {
	w    io.Writer
	last time.Time
}

func (s *sweepProgress) show(r recovery.Report) {
	now := time.Now()
	if r.Next.IsZero() && now.Sub(s.last) < time.Second {
		return
	}
	s.last = now
	line := fmt.Sprintf("analyst: sweep: %d done, %d to do", r.Done(), r.Waiting)
	if wait := r.Next.Sub(now); !r.Next.IsZero() && wait > 0 {
		line += fmt.Sprintf("; next try in %s%s", wait.Round(time.Second/10), plain.Between(", after: ", plain.Line(r.Failure, 200), ""))
	}
	_, _ = fmt.Fprintln(s.w, line)
}
