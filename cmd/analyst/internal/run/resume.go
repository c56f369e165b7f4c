package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/session"
)

// ResumeCommand returns analyst resume.
func ResumeCommand(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{toolkit: kit, resume: true}
	cmd := &cobra.Command{
		Use:   "resume [SESSION]",
		Short: "Go on with a run that waits for a person, or was interrupted",
		Long: `Go on with a session that is suspended since a call waits for a person, or whose
last run was interrupted. SESSION is its name or the beginning of one; without
it, the session that was suspended last goes on. What was decided meanwhile is
used, and nothing is asked for twice. What still waits is waited for as by run.

With --drop the calls that wait are not made, and the authority of the run is
given back; analyst run --session SESSION goes on from there.

Exit codes: as of run. A session that another process goes on with is exit
code 1.`,
		Example: `  analyst resume
  analyst resume --drop`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("stream") {
				o.stream = !o.json && cli.Width(p.Stdout) > 0
			}
			o.session = strings.Join(args, "")
			return o.run(cmd.Context(), p)
		},
	}
	o.addFlags(cmd)
	cmd.Flags().BoolVar(&o.drop, "drop", false, "do not make the calls that wait")
	return cmd
}

// which returns the name of the session that is meant: without a name, the last one, of
// those that wait where it is to be resumed.
func (o options) which(ctx context.Context, store *session.Store) (string, error) {
	if o.session != "" {
		s, err := cli.FindSession(ctx, store, o.session)
		return s.ID, err
	}
	list, err := store.Recent(ctx, cli.App, 1, o.resume)
	switch {
	case err != nil:
		return "", cli.StateError(err, "")
	case len(list) == 0 && o.chat:
		return "", cli.Failf("analyst chat begins one", "there is no conversation to go on with")
	case len(list) == 0:
		return "", cli.Failf("analyst sessions list shows all; analyst run --session SESSION goes on with one", "no session waits for a person")
	}
	return list[0].ID, nil
}

// dropped gives up what waits.
func (o options) dropped(ctx context.Context, p *cli.Program, r *runner.Runner) error {
	if err := r.Drop(ctx, runner.Input{User: cli.User, Session: o.session}); err != nil {
		return sessionError(err)
	}
	_, err := fmt.Fprintf(p.Stdout, "what waited in session %s is not done, and its authority is given back\n", plain.Line(o.session, 60))
	return err
}

// sessionError words why a session does not go on.
func sessionError(err error) error {
	hint := ""
	switch {
	case errors.Is(err, jit.ErrClaimed):
		hint = "another process goes on with it; if that has died, analyst sweep gives back what it held, and analyst resume goes on"
	case errors.Is(err, runner.ErrNothingToResume):
		hint = "say more with analyst run --session SESSION"
	case errors.Is(err, jit.ErrChanged):
		hint = "nothing of it was done, and its authority is given back: go on with analyst run --session SESSION"
	default:
		return err
	}
	return &cli.ExitError{Code: cli.ExitFailed, Err: err, Hint: hint}
}
