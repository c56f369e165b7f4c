// Package cli is what the commands share: settings, output, exit codes, and how to
// find what they are asked about. No command imports another.
package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// The exit codes, documented in the README.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitDenied      = 4
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
	if unread(err) { // nobody is there to be told, and nothing went wrong
		return &ExitError{Code: ExitUnread}
	}
	if hungUp(err) {
		return &ExitError{Code: ExitHangup, Err: err}
	}
	return &ExitError{Code: ExitFailed, Err: err}
}

// Usagef is an error in what was typed or set: nothing was done.
func Usagef(format string, args ...any) error {
	return &ExitError{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// Failf is a failure with a hint; "" is none.
func Failf(hint, format string, args ...any) error {
	return &ExitError{Code: ExitFailed, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Args makes a wrong number of arguments a usage error.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &ExitError{Code: ExitUsage, Err: err, Hint: "see " + cmd.CommandPath() + " --help"}
		}
		return nil
	}
}

// Terminal reports whether w is a terminal.
func Terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Color reports whether w is a terminal that wants color (https://no-color.org).
func (p *Program) Color(w io.Writer) bool {
	return p.Getenv("NO_COLOR") == "" && p.Getenv("TERM") != "dumb" && Terminal(w)
}

// Logger returns a logger on stderr for --debug, else one that discards.
func (p *Program) Logger(debug bool) *slog.Logger {
	if !debug {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(p.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// PrintJSON writes a value to stdout, indented.
func (p *Program) PrintJSON(v any) error {
	enc := json.NewEncoder(p.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
