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
	"regexp"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/jitagent/jitagent/internal/plain"
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
	if unread(err) { // nobody is there to be told, and nothing went wrong, whatever a command made of it
		return &ExitError{Code: ExitUnread}
	}
	if e, ok := errors.AsType[*ExitError](err); ok {
		return e
	}
	if hungUp(err) {
		return &ExitError{Code: ExitHangup, Err: err}
	}
	return &ExitError{Code: ExitFailed, Err: err}
}

// rooms matches the names of packages that errors begin with. Journal, policy and tools
// are words that a person knows, and stay.
var rooms = regexp.MustCompile(`(^|: )((?:dev|docapi|jit|jitmw|lumoauth|lumodev|models|oauth|provider|rar|resource|runner): )+`)

// Say words an error for a person: where in the program it comes from helps nobody.
func Say(err error) string { return plain.Text(rooms.ReplaceAllString(err.Error(), "$1")) }

// Usagef is an error in what was typed or set: nothing was done.
func Usagef(format string, args ...any) error {
	return &ExitError{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

// FlagError words a wrong flag, and names the one that is meant, where one is near.
func FlagError(cmd *cobra.Command, err error) error {
	e := &ExitError{Code: ExitUsage, Err: err, Hint: "see " + cmd.CommandPath() + " --help"}
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		var names []string
		cmd.Flags().VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if near := Nearest(unknown.GetSpecifiedName(), names); near != "" {
			e.Hint = "did you mean --" + near + "?"
		}
	}
	return e
}

// Nearest returns which of some words is at most two slips of the finger away from
// word; "" is none.
func Nearest(word string, words []string) string {
	best, least := "", 3
	for _, w := range words {
		if d := distance(word, w); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is how many letters to change, add or leave out (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

// Failf is a failure with a hint; "" is none.
func Failf(hint, format string, args ...any) error {
	return &ExitError{Code: ExitFailed, Err: fmt.Errorf(format, args...), Hint: hint}
}

// Args makes a wrong number of arguments a usage error. A word in place of a command
// is told the command that is meant, where one is near.
func Args(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if cmd.HasSubCommands() && len(args) > 0 {
			cmd.SuggestionsMinimumDistance = 2
			hint := "see " + cmd.CommandPath() + " --help"
			if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
				hint = "did you mean " + cmd.CommandPath() + " " + near[0] + "?"
			}
			return &ExitError{Code: ExitUsage, Err: fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath()), Hint: hint}
		}
		if err := check(cmd, args); err != nil {
			return &ExitError{Code: ExitUsage, Err: err, Hint: "see " + cmd.CommandPath() + " --help"}
		}
		return nil
	}
}

// Width returns the width of the terminal that w is; 0 is none.
func Width(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil || width == 0 {
		return 80
	}
	return width
}

// Color reports whether w is a terminal that wants color (https://no-color.org).
func (p *Program) Color(w io.Writer) bool {
	return p.Getenv("NO_COLOR") == "" && p.Getenv("TERM") != "dumb" && Width(w) > 0
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
