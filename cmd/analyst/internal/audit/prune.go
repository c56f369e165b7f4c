package audit

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
)

// PruneCommand returns analyst prune.
func PruneCommand(p *cli.Program) *cobra.Command {
	var olderThan string
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove what is old from the journal",
		Long: `Remove the entries of tasks that were over before an age, and the conversations
that nobody went on with since. Entries of tasks that are not over stay, and so
does all that came after them. What is removed can no longer be explained:
export it first. The hash of the last entry that went stays, and "analyst audit
verify" goes on to show that nothing else is missing.

Every command that writes to the journal does the same with what is older than
` + cli.EnvKeep + `, 90 days unless it is set; "forever" keeps everything.

` + cli.StateHelp,
		Example: `  analyst prune
  analyst prune --older-than 30d`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return prune(cmd.Context(), p, olderThan) },
	}
	cmd.Flags().StringVar(&olderThan, "older-than", "", "`AGE` of what goes, such as 30d or 12h (default "+cli.EnvKeep+", else 90d)")
	return cmd
}

func prune(ctx context.Context, p *cli.Program, olderThan string) error {
	age, err := p.Keep()
	if olderThan != "" {
		age, err = cli.ParseAge("--older-than", olderThan)
	}
	if err != nil {
		return err
	}
	j, removed, err := p.OpenPruned(ctx, age, nil)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // what was removed is, and told
	_, sessions, err := j.Sessions(ctx, age)
	if err != nil {
		return err
	}
	if age == 0 {
		_, err = fmt.Fprintf(p.Stdout, "removed nothing: %s says to keep everything\n", cli.EnvKeep)
		return err
	}
	_, err = fmt.Fprintf(p.Stdout, "removed %s, and %s, from before %s\n",
		plain.Count(int(removed), "entry"), plain.Count(sessions, "session"), time.Now().Add(-age).Format(time.DateTime))
	return err
}
