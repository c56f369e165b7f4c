package audit

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
)

type explainOptions struct {
	id    string // "" is the newest task
	json  bool
	html  string
	force bool
}

// ExplainCommand returns analyst explain.
func ExplainCommand(p *cli.Program) *cobra.Command {
	var o explainOptions
	cmd := &cobra.Command{
		Use:   "explain [SESSION|TASK|CALL]",
		Short: "Tell what a run or a call did, asked for and was granted",
		Long: `Tell from the journal, in order: what the model asked, what the API demanded,
how much the call may ask for, what was asked and why, who decided and when,
what was granted and for how long, every use, what came of it, and when it was
given back.

The argument is a session, a task (its id at the authorization server or its
run) or a call, or the beginning of one. Without it, or with "last", the newest
task is told. Nothing is asked of any server, and the chain of the entries is
not checked: that is for analyst audit verify.

` + cli.StateHelp,
		Example: `  analyst run --quiet "Summarize doc_9982"
  analyst explain
  analyst explain last --json | jq '.tasks[].grants'
  analyst explain --html story.html`,
		Args: cobra.MaximumNArgs(1),

		ValidArgsFunction: p.Tasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.id = args[0]
			}
			return o.run(cmd.Context(), p)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.json, "json", false, "print the story as JSON")
	flags.StringVar(&o.html, "html", "", "write the story with a timeline picture to this `FILE`, one page that needs nothing else; - is stdout")
	cli.Complete(cmd, "html", cli.Files)
	flags.BoolVar(&o.force, "force", false, "replace a file of --html that this command did not write")
	return cmd
}

func (o explainOptions) run(ctx context.Context, p *cli.Program) error {
	if o.json && o.html != "" {
		return cli.Usagef("--json and --html exclude each other")
	}
	j, err := p.OpenState(ctx, true, nil)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // it only reads
	s, err := cli.FindSubject(ctx, j, o.id)
	if err != nil {
		return err
	}
	story, err := tell(ctx, j, s)
	if err != nil {
		return err
	}
	switch {
	case o.json:
		return story.WriteJSON(p.Stdout)
	case o.html == "":
		return story.WriteText(p.Stdout, time.Local)
	}
	var page bytes.Buffer
	if err := story.WriteHTML(&page, time.Local); err != nil {
		return err
	}
	if o.html == "-" {
		_, err := p.Stdout.Write(page.Bytes())
		return err
	}
	end, err := cli.WriteFile(o.html, page.Bytes(), "<title>What happened: ", o.force)
	if err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	end(false)
	where, err := filepath.Abs(o.html)
	if err != nil {
		where = o.html
	}
	_, err = fmt.Fprintf(p.Stdout, "The story of %s is in %s\n", s, where)
	return err
}

// tell makes the story of a subject.
func tell(ctx context.Context, j journal.Store, s cli.Subject) (*explain.Story, error) {
	owner := cli.Owners(ctx, j)
	story, err := explain.Tell(ctx, j, s.Runs, func(t journal.Task) bool { return owner(t) == cli.OwnerGone },
		explain.Options{Of: s.Kind + " " + s.ID, At: time.Now(), Zone: time.Local})
	if err != nil {
		return nil, cli.StateError(err, cli.VerifyHint)
	}
	if s.Call != "" {
		story = story.Only(s.Call)
	}
	return story, nil
}
