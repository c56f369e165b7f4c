package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

// viewGrant shows a grant of a task.
func viewGrant(g journal.Grant) grantView {
	v := grantView{RequestID: g.RequestID, TokenHash: g.TokenHash, Issued: g.Time, ExpiresAt: g.ExpiresAt, State: g.State}
	if g.Detail != nil {
		v.Detail = g.Detail.String()
	}
	return v
}

type completeFlags struct {
	target
	timeout time.Duration
	force   bool
	debug   bool
}

func (p *program) completeTaskCommand() *cobra.Command {
	var f completeFlags
	cmd := &cobra.Command{
		Use:   "complete ID",
		Short: "Complete one task at the authorization server",
		Long: `Complete one task at the authorization server, which revokes every token under it.
ID is the task's id there, its run, the beginning of one, or "last". A task whose process lives is refused
unless --force: that process would lose its authority in the middle of its work.

Exit codes: 0 completed, or finished before, 1 not completed, 2 usage.`,
		Example: "  analyst tasks complete last",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.timeout <= 0 {
				return usageError("--timeout must be positive")
			}
			return p.completeTask(cmd.Context(), f, args[0])
		},
	}
	f.flags(cmd.Flags())
	hideRunFlags(cmd)
	cmd.Flags().BoolVar(&f.force, "force", false, "complete it though its process lives")
	cmd.Flags().DurationVar(&f.timeout, "timeout", 30*time.Second, "how long to try")
	cmd.Flags().BoolVar(&f.debug, "debug", false, "log to stderr what happens inside")
	return cmd
}

func (p *program) completeTask(ctx context.Context, f completeFlags, id string) error {
	s, err := f.resolve(p.getenv)
	if err != nil {
		return err
	}
	logger := p.logger(f.debug)
	j, err := p.openState(ctx, false, logger)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // all changes were made, and told
	t, err := findTask(ctx, j, id)
	if err != nil {
		return err
	}
	cfg, err := recoveryFor(s, j, logger)
	if err != nil {
		return err
	}
	cfg.TryTimeout = f.timeout
	err = p.completeOne(ctx, cfg, t, f.force)
	cfg.TryTimeout = 0
	report, failure := sweepAside(ctx, cfg)()
	sayRecovered(p.stderr, report, failure)
	return err
}

// completeOne completes one task and says what it is then.
func (p *program) completeOne(ctx context.Context, cfg recovery.Config, t journal.Task, force bool) error {
	finished := t.State.Finished()
	if !finished && t.Authority != cfg.Authority && t.Authority != recovery.Embedded {
		return &exitError{
			code: exitFailed, err: fmt.Errorf("task %s belongs to %s, and this command speaks for %s", short(t), t.Authority, cfg.Authority),
			hint: "set " + envURL + ", " + envOrg + " and " + envClientID + " to those of the task",
		}
	}
	now, err := recovery.Complete(ctx, cfg, t)
	switch {
	case errors.Is(err, journal.ErrOwned) && force && cfg.Completer != nil && t.ID != "":
		return p.completeForeignOwner(ctx, cfg, t)
	case errors.Is(err, journal.ErrOwned):
		return &exitError{
			code: exitFailed, err: fmt.Errorf("task %s: its process lives, or another one is recovering it", short(t)),
			hint: "end that process first; --force completes the task under it",
		}
	case err != nil && errors.Is(err, journal.ErrUnwritable):
		return stateError(err, "")
	case err != nil:
		return &exitError{code: exitFailed, err: fmt.Errorf("task %s is not completed: %w", short(t), err), hint: "it stays on record: every analyst command tries again, or run analyst sweep"}
	}
	was := ""
	if finished {
		was = " already"
	}
	_, err = fmt.Fprintf(p.stdout, "task %s is %s%s\n", short(now), now.State, was)
	return err
}

// completeForeignOwner completes a task of a living process. Only that process writes
// about its task, so the journal learns of it when that process ends.
func (p *program) completeForeignOwner(ctx context.Context, cfg recovery.Config, t journal.Task) error {
	ctx, cancel := context.WithTimeout(ctx, cfg.TryTimeout)
	defer cancel()
	if err := cfg.Completer.CompleteTask(ctx, t.ID); err != nil {
		return &exitError{code: exitFailed, err: fmt.Errorf("task %s is not completed: %w", short(t), err)}
	}
	_, err := fmt.Fprintf(p.stdout, "task %s is completed at the server; its process lives and notes that itself when it ends\n", short(t))
	return err
}
