package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/jitagent/jitagent/internal/plain"
)

// The exit codes, documented in the README.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitDenied      = 4
	exitPending     = 8
	exitMaybe       = 9
	exitInterrupted = 130
)

// A program is one invocation: what main takes from the operating system.
type program struct {
	getenv         func(string) string
	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the whole command. Nothing below it exits.
func run(ctx context.Context, args []string, getenv func(string) string, stdin io.Reader, stdout, stderr io.Writer) int {
	p := &program{getenv: getenv, stdin: stdin, stdout: stdout, stderr: stderr}
	root := p.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout) // help that was asked for
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	e, ok := errors.AsType[*exitError](err)
	if !ok {
		e = &exitError{code: exitFailed, err: err}
	}
	if e.err != nil {
		_, _ = fmt.Fprintf(stderr, "analyst: %s\n", plain.Text(e.err.Error()))
	}
	if e.hint != "" {
		_, _ = fmt.Fprintf(stderr, "hint: %s\n", e.hint)
	}
	return e.code
}

// An exitError ends the command with a code. err may be nil when all is said.
type exitError struct {
	code int
	err  error
	hint string
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

func usageError(format string, args ...any) error {
	return &exitError{code: exitUsage, err: fmt.Errorf(format, args...)}
}

func (p *program) root() *cobra.Command {
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
		SilenceErrors: true, // run words them
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exitError{code: exitUsage, err: err, hint: "see " + cmd.CommandPath() + " --help"}
	})
	root.AddCommand(p.runCommand(), p.devCommand(), p.doctorCommand(), p.tasksCommand(), p.sweepCommand(), p.explainCommand(), p.auditCommand(), p.versionCommand(), p.newToolCommand())
	for _, cmd := range append(root.Commands(), root) {
		cmd.Args = usageArgs(cmd.Args)
	}
	return root
}

// usageArgs makes a wrong number of arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &exitError{code: exitUsage, err: err, hint: "see " + cmd.CommandPath() + " --help"}
		}
		return nil
	}
}

// colour reports whether w is a terminal that wants colour (https://no-color.org).
func (p *program) colour(w io.Writer) bool {
	if p.getenv("NO_COLOR") != "" || p.getenv("TERM") == "dumb" {
		return false
	}
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// logger returns a logger on stderr for --debug, else one that discards.
func (p *program) logger(debug bool) *slog.Logger {
	if !debug {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(p.stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}
