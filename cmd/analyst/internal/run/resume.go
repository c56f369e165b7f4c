package run

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/session"
)

// ResumeCommand returns analyst resume.
func ResumeCommand(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{Options: service.Options{Toolkit: kit}, resume: true}
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
			o.session = strings.Join(args, "")
			return o.run(cmd.Context(), p)
		},
	}
	o.addFlags(cmd, p)
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
		return "", cli.Failf("analyst resume last goes on with the last one, if it was interrupted; analyst sessions list shows all", "no session waits for a person")
	}
	return list[0].ID, nil
}

// takeOver claims what a process that is gone left of the session, so that it is gone on
// with and not swept. It fails where another process is at the session, or has the servers
// to which what is suspended belongs: then nothing may be touched.
func (o options) takeOver(ctx context.Context, s *service.Parts) (release func(), err error) {
	var claims []func() error
	release = func() {
		for _, end := range claims {
			_ = end() // what it holds ends with this process at the latest
		}
	}
	if o.session == "" || s.Sessions == nil {
		return release, nil
	}
	waits, err := s.Sessions.Load(ctx, cli.App, cli.User, o.session)
	if err != nil {
		return release, cli.StateError(err, "")
	}
	tasks, err := s.State.Tasks(ctx, journal.TaskFilter{Session: o.session, State: journal.StateOpen})
	if err != nil {
		return release, cli.StateError(err, "")
	}
	for _, t := range tasks {
		if t.Owner == s.State.Owner() {
			continue
		}
		end, err := s.State.Claim(ctx, t.Owner)
		switch {
		case errors.Is(err, journal.ErrOwned):
			return release, cli.Failf("try again when that has ended", "another process goes on with session %s", o.session)
		case err != nil:
			return release, cli.StateError(err, "")
		case waits != nil && t.Run == waits.Run:
			claims = append(claims, end)
		default:
			_ = end() // for the sweep
		}
	}
	if waits != nil && s.Settings.Embedded && !s.Settings.Kept {
		return release, cli.Failf("try again when that has ended", "session %s waits for a person, and another analyst command has the embedded servers that it belongs to", o.session)
	}
	return release, nil
}

// dropped gives up what waits.
func (o options) dropped(ctx context.Context, p *cli.Program, r *runner.Runner) error {
	if err := r.Drop(ctx, runner.Input{User: cli.User, Session: o.session}); err != nil {
		return sessionError(err, o.session)
	}
	_, err := fmt.Fprintf(p.Stdout, "what waited in session %s is not done, and its authority is given back\n", plain.Line(o.session, 60))
	return err
}

// sessionError words why a session does not go on.
func sessionError(err error, session string) error {
	if errors.Is(err, jit.ErrKilled) {
		return cli.Failf("nothing of it is gone on with; analyst run --session SESSION says something new", "%w", err)
	}
	for _, known := range []struct {
		err  error
		hint string
	}{
		{jit.ErrClaimed, "another process goes on with it; if that has died, analyst sweep gives back what it held, and analyst resume goes on"},
		{runner.ErrNothingToResume, "say more with analyst run --session SESSION"},
		{jit.ErrChanged, "nothing of it was done, and its authority is given back: go on with analyst run --session SESSION"},
	} {
		if errors.Is(err, known.err) {
			return cli.Failf(known.hint, "session %s: %w", plain.Line(session, 60), known.err)
		}
	}
	return err
}
