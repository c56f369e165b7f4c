// Command analyst runs an agent that fetches protected documents, summarises them
// and writes reports, with just-in-time authority for each call.
//
// With nothing configured it starts an authorization server, a protected API and
// an offline model of its own, on loopback, and does the real job:
//
//	analyst run "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."
//
// See analyst --help, and docs/ for what stands behind it.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/approvals"
	"github.com/jitagent/jitagent/cmd/analyst/internal/audit"
	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	configcmd "github.com/jitagent/jitagent/cmd/analyst/internal/config"
	"github.com/jitagent/jitagent/cmd/analyst/internal/dev"
	"github.com/jitagent/jitagent/cmd/analyst/internal/doctor"
	"github.com/jitagent/jitagent/cmd/analyst/internal/kill"
	"github.com/jitagent/jitagent/cmd/analyst/internal/newtool"
	"github.com/jitagent/jitagent/cmd/analyst/internal/plan"
	runcmd "github.com/jitagent/jitagent/cmd/analyst/internal/run"
	"github.com/jitagent/jitagent/cmd/analyst/internal/serve"
	"github.com/jitagent/jitagent/cmd/analyst/internal/sessions"
	"github.com/jitagent/jitagent/cmd/analyst/internal/tasks"
	"github.com/jitagent/jitagent/cmd/analyst/internal/worker"
	"github.com/jitagent/jitagent/models"
)

func main() {
	// Libraries below write to the standard logger, past our own and past what it
	// may show. What matters of it comes back as errors.
	log.SetOutput(io.Discard)
	os.Exit(run(cli.Listen(os.Stderr), os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
}

// run is the whole command. Nothing below it exits.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	out := &cli.Output{To: stdout}
	p := &cli.Program{Getenv: getenv, Stdin: stdin, Stdout: out, Stderr: stderr}
	root := command(p)
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(out) // help that was asked for
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		err = out.Err() // not every library tells of it
	}
	if err == nil {
		return cli.ExitDone
	}
	e := cli.Exit(cli.Stopped(ctx, err))
	if e.Err != nil {
		p.Note("%s", cli.Say(e.Err))
	}
	if e.Hint != "" {
		p.Hint(e.Hint)
	}
	return e.Code
}

// command returns analyst, with all its commands.
func command(p *cli.Program) *cobra.Command {
	root := &cobra.Command{
		Use:   "analyst",
		Short: "An agent that reads protected documents with just-in-time authority",
		Long: `analyst fetches protected documents, summarises them and writes reports. It
starts with no authority. When the API refuses a call it asks the authorization
server for exactly what that call needs, and gives everything back at the end.

With nothing configured it starts its own authorization server, protected API
and offline model on loopback.`,
		Example: `  analyst run "Summarize doc_9982, and create a report titled 'Q4 Analysis'."
  analyst dev
  analyst doctor`,
		Version:       cli.Build(),
		SilenceErrors: true, // run words them
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetUsageTemplate(strings.NewReplacer(
		".LocalFlags.FlagUsages", fmt.Sprintf("(.LocalFlags.FlagUsagesWrapped %d)", cli.Columns),
	).Replace(root.UsageTemplate()))
	root.SetFlagErrorFunc(cli.FlagError)
	root.SetVersionTemplate("analyst {{.Version}}\n")
	root.AddCommand(
		runcmd.Command(p, toolkit), runcmd.ResumeCommand(p, toolkit), runcmd.ChatCommand(p, toolkit, command), plan.Command(p, toolkit), serve.Command(p, toolkit), worker.Command(p, toolkit), dev.Command(p),
		doctor.Command(p, toolkit), tasks.Command(p), tasks.SweepCommand(p), kill.Command(p), sessions.Command(p), approvals.Command(p), audit.ExplainCommand(p), audit.Command(p), audit.PruneCommand(p), version(p),
		configcmd.Command(p), newtool.Command(p), catalog(p), manual(p),
	)
	p.Database.AddFlags(root)
	p.AddConfig(root)
	root.CompletionOptions.SetDefaultShellCompDirective(cobra.ShellCompDirectiveNoFileComp)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, cmd := range append(root.Commands(), root) {
		switch cmd.Name() {
		case "help":
			cmd.Args, cmd.Run, cmd.RunE = cobra.ArbitraryArgs, nil, help
		case "completion":
			cmd.Args, cmd.RunE = cobra.NoArgs, func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
		cmd.Args = cli.Args(cmd.Args)
	}
	return root
}

// help prints the help of the command that is named.
func help(cmd *cobra.Command, args []string) error {
	about, rest, err := cmd.Root().Find(args)
	if err != nil || len(rest) > 0 {
		return cli.Args(cobra.NoArgs)(about, rest)
	}
	return about.Help()
}

func version(p *cli.Program) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  analyst version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(p.Stdout, "analyst %s\n", cli.Build())
			return err
		},
	}
}

func catalog(p *cli.Program) *cobra.Command {
	return &cobra.Command{
		Use:     "models",
		Short:   "List the providers of models, and how to name a model",
		Example: "  analyst models",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			var items []cli.Item
			for _, m := range models.Providers() {
				item := cli.Item{Label: m.Name, Text: "in this process, no key"}
				if m.BaseURLVariable != "" {
					item = cli.Item{Label: m.Name + "/NAME", Text: "key in " + strings.Join(m.KeyVariables, " or ") + ", address in " + m.BaseURLVariable}
				}
				if m.DefaultModel != "" {
					item.Text = m.Name + " alone is " + m.DefaultModel + "; " + item.Text
				}
				items = append(items, item)
			}
			return p.PrintItems(items)
		},
	}
}
