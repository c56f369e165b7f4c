package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

type completeOptions struct {
	id string
	cli.Target
	timeout time.Duration
	force   bool
	debug   bool
}

func completeCommand(p *cli.Program) *cobra.Command {
	var o completeOptions
	cmd := &cobra.Command{
		Use:   "complete ID",
		Short: "Complete one task at the authorization server",
		Long: `Complete one task at the authorization server, which revokes every token under
it. ID is the task's id there, its run, the beginning of one, or "last". A task
whose process lives is refused unless --force: that process would lose its
authority in the middle of its work.

Exit codes: 0 completed, or finished before, 1 not completed, 2 usage.`,
		Example: "  analyst tasks complete last",
		Args:    cli.Args(cobra.ExactArgs(1)),

		ValidArgsFunction: p.Tasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			if o.timeout <= 0 {
				return cli.Usagef("--timeout must be positive")
			}
			return o.run(cmd.Context(), p)
		},
	}
	o.AddServerFlags(cmd)
	cmd.Flags().BoolVar(&o.force, "force", false, "complete it though its process lives")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 30*time.Second, "how `LONG` to try")
	cmd.Flags().BoolVar(&o.debug, "debug", false, "log to stderr what happens inside")
	return cmd
}

func (o completeOptions) run(ctx context.Context, p *cli.Program) error {
	j, cfg, end, err := o.OpenRecovery(ctx, p, p.Logger(o.debug))
	if err != nil {
		return err
	}
	defer end()
	t, err := cli.FindTask(ctx, j, o.id)
	if err != nil {
		return err
	}
	cfg.TryTimeout = o.timeout
	err = completeOne(ctx, p, cfg, t, o.force)
	cfg.TryTimeout = 0
	report, failure := cli.SweepAside(ctx, cfg)()
	p.NoteRecovered(report, failure)
	return err
}

// completeOne completes one task and says what it is then.
func completeOne(ctx context.Context, p *cli.Program, cfg recovery.Config, t journal.Task, force bool) error {
	finished := t.State.Finished()
	if !finished && t.Authority != cfg.Authority && t.Authority != recovery.Embedded {
		return cli.Failf("set "+cli.EnvURL+", "+cli.EnvOrg+" and "+cli.EnvClientID+" to those of the task",
			"task %s belongs to %s, and this command speaks for %s", short(t), t.Authority, cfg.Authority)
	}
	now, err := recovery.Complete(ctx, cfg, t)
	switch {
	case errors.Is(err, journal.ErrOwned) && force && cfg.Completer != nil && t.ID != "":
		return completeForeignOwner(ctx, p, cfg, t)
	case errors.Is(err, journal.ErrOwned):
		return cli.Failf("end that process first; --force completes the task under it",
			"task %s: its process lives, or another one is recovering it", short(t))
	case err != nil && errors.Is(err, journal.ErrUnwritable):
		return cli.StateError(err, "")
	case err != nil:
		return cli.Failf("it stays on record: every analyst command tries again, or run analyst sweep", "task %s is not completed: %w", short(t), err)
	}
	was := ""
	if finished {
		was = " already"
	}
	_, err = fmt.Fprintf(p.Stdout, "task %s is %s%s\n", short(now), now.State, was)
	return err
}

// completeForeignOwner completes a task of a living process. Only that process writes
// about its task, so the journal learns of it when that process ends.
func completeForeignOwner(ctx context.Context, p *cli.Program, cfg recovery.Config, t journal.Task) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.TryTimeout)
	defer cancel()
	err := cfg.Completer.CompleteTask(ctx, t.ID)
	if _, over := errors.AsType[*jit.ExpiringError](err); err != nil && !over {
		return cli.Failf("", "task %s is not completed: %w", short(t), err)
	}
	_, err = fmt.Fprintf(p.Stdout, "task %s is completed at the server; its process lives and notes that itself when it ends\n", short(t))
	return err
}
