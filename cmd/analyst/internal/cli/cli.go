// Package cli is what the commands share: settings, output, exit codes, and how to
// find what they are asked about. No command imports another.
package cli

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/telemetry"
)

// The exit codes, documented in the README.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitDenied      = 4
	ExitLogin       = 5
	ExitUnattended  = 6
	ExitSpent       = 7
	ExitPending     = 8
	ExitInDoubt     = 9
	ExitHangup      = 129 // the terminal was closed
	ExitInterrupted = 130
	ExitUnread      = 141 // nobody reads stdout any more
)

// A Program is one invocation: what main takes from the operating system.
type Program struct {
	Getenv         func(string) string
	Stdin          io.Reader
	Stdout, Stderr io.Writer

	Telemetry *telemetry.Telemetry // from Observe on; nil has nothing recorded
	Database  Database             // the flags of it
	Founds    bool                 // the command makes a tenant of the database that is not there

	config string // the file that --config names
}

// pick returns what a flag says, or else the variable.
func (p *Program) pick(flag, name string) string { return pick(p.Getenv, flag, name) }

// pick returns what a flag says, or else the first of the variables that says anything.
func pick(getenv func(string) string, flag string, names ...string) string {
	for _, name := range names {
		flag = cmp.Or(flag, strings.TrimSpace(getenv(name)))
	}
	return flag
}

// An ExitError ends the command with a code. Err may be nil when all is said.
type ExitError struct {
	Code int
	Err  error
	Hint string // what to do, on a line of its own; "" for none
}

func (e *ExitError) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("exit %d", e.Code)
	}
	return e.Err.Error()
}

func (e *ExitError) Unwrap() error { return e.Err }

// Exit returns the end that err, which is not nil, stands for.
func Exit(err error) *ExitError {
	if e, ok := errors.AsType[*ExitError](err); ok {
		return e
	}
	if out, ok := errors.AsType[*OutputError](err); ok { // whatever a library made of it
		return out.exit()
	}
	return &ExitError{Code: ExitFailed, Err: err}
}

// rooms matches the names of packages that errors begin with. Journal, policy and tools
// are words that a person knows, and stay.
var rooms = regexp.MustCompile(`(^|: )((?:dev|docapi|jit|jitmw|lumoauth|lumodev|mcp|models|notice|oauth|postgres|provider|rar|resource|runner|serve|telemetry): )+`)

// Say words an error for a person: where in the program it comes from helps nobody.
func Say(err error) string { return plain.Text(rooms.ReplaceAllString(err.Error(), "$1")) }

// Usagef is an error in what was typed or set: nothing was done.
func Usagef(format string, args ...any) error {
	return Endf(ExitUsage, "", format, args...)
}

// FlagError words a wrong flag, and names the one that is meant, where one is near.
func FlagError(cmd *cobra.Command, err error) error {
	e := &ExitError{Code: ExitUsage, Err: err, Hint: "see " + cmd.CommandPath() + " --help"}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := plain.Nearest(unknown.GetSpecifiedName(), names); near != "" {
			e.Hint = "did you mean --" + near + "?"
		}
	}
	return e
}

// Failf is a failure with a hint; "" is none.
func Failf(hint, format string, args ...any) error { return Endf(ExitFailed, hint, format, args...) }

// Endf is an end with a code and a hint; "" is none.
func Endf(code int, hint, format string, args ...any) error {
	return &ExitError{Code: code, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Args makes a wrong number of arguments a usage error. A word in place of a command
// is told the command that is meant, where one is near.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if cmd.HasSubCommands() && len(args) > 0 {
			var names []string
			for _, c := range cmd.Commands() {
				names = append(names, c.Name())
			}
			hint := "see " + cmd.CommandPath() + " --help"
			if near := plain.Nearest(args[0], names); near != "" {
				hint = "did you mean " + cmd.CommandPath() + " " + near + "?"
			}
			return Endf(ExitUsage, hint, "unknown command %q for %q", args[0], cmd.CommandPath())
		}
		if err := check(cmd, args); err != nil {
			return &ExitError{Code: ExitUsage, Err: err, Hint: "write " + cmd.UseLine() + "; see " + cmd.CommandPath() + " --help"}
		}
		return nil
	}
}

// Logger returns a logger for whoever watches from outside and, for --debug, on stderr.
func (p *Program) Logger(debug bool) *slog.Logger {
	if debug {
		return p.logger(slog.LevelDebug)
	}
	return slog.New(p.Telemetry.Logs(slog.DiscardHandler))
}

// ServiceLogger is Logger for a command whose clients are told no more than that something
// went wrong: stderr has what that was without --debug as well.
func (p *Program) ServiceLogger(debug bool) *slog.Logger {
	if debug {
		return p.logger(slog.LevelDebug)
	}
	return p.logger(slog.LevelWarn)
}

func (p *Program) logger(from slog.Level) *slog.Logger {
	return slog.New(p.Telemetry.Logs(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: from})))
}
