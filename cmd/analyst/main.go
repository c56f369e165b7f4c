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
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/audit"
	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/dev"
	"github.com/jitagent/jitagent/cmd/analyst/internal/doctor"
	"github.com/jitagent/jitagent/cmd/analyst/internal/newtool"
	runcmd "github.com/jitagent/jitagent/cmd/analyst/internal/run"
	"github.com/jitagent/jitagent/cmd/analyst/internal/tasks"
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
	root := command(&cli.Program{Getenv: getenv, Stdin: stdin, Stdout: stdout, Stderr: stderr})
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout) // help that was asked for
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return cli.ExitDone
	}
	e := cli.Exit(err)
	if e.Err != nil {
		_, _ = fmt.Fprintf(stderr, "analyst: %s\n", cli.Say(e.Err))
	}
	if e.Hint != "" {
		_, _ = fmt.Fprintf(stderr, "hint: %s\n", e.Hint)
	}
	return e.Code
}

// command returns analyst, with all its commands.
func command(p *cli.Program) *cobra.Command {
	root := &cobra.Command{
		Use:   "analyst",
		Short: "An agent that reads protected documents with just-in-time authority",
		Long: `analyst fetches protected documents, summarises them and writes reports. It starts
with no authority. When the API refuses a call it asks the authorization server
for exactly what that call needs, and gives everything back at the end.

With nothing configured it starts its own authorization server, protected API and
offline model on loopback.`,
		Example: `  analyst run "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."
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
	root.SetFlagErrorFunc(cli.FlagError)
	root.SetVersionTemplate("analyst {{.Version}}\n")
	root.AddCommand(
		runcmd.Command(p, toolkit), dev.Command(p), doctor.Command(p, toolkit), tasks.Command(p), tasks.SweepCommand(p),
		audit.ExplainCommand(p), audit.Command(p), version(p), newtool.Command(p), catalog(p),
	)
	for _, cmd := range append(root.Commands(), root) {
		cmd.Args = cli.Args(cmd.Args)
	}
	return root
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
			w := tabwriter.NewWriter(p.Stdout, 0, 0, 2, ' ', 0)
			for _, m := range models.Providers() {
				name := m.Name
				switch {
				case m.DefaultModel != "" && m.BaseURLVariable != "":
					name += " or " + m.Name + "/NAME (" + m.DefaultModel + ")"
				case m.BaseURLVariable != "":
					name += "/NAME"
				}
				key := "no key"
				if len(m.KeyVariables) > 0 {
					key = "key in " + strings.Join(m.KeyVariables, " or ")
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\n", name, key, cmp.Or(m.BaseURLVariable, "in this process")) // Flush has the error
			}
			return w.Flush()
		},
	}
}
