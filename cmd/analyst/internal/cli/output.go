package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"text/tabwriter"

	"golang.org/x/term"

	"github.com/jitagent/jitagent/internal/plain"
)

// Columns is how wide a text is that is not made for one terminal.
const Columns = 80

// An Output is stdout. The first write that fails is the last one, and its error is kept,
// since some libraries drop it.
type Output struct {
	To  io.Writer
	err *OutputError
}

func (o *Output) Write(data []byte) (int, error) {
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.To.Write(data)
	if err != nil {
		o.err = &OutputError{err}
		return n, o.err
	}
	return n, nil
}

// Err returns the error of the write that failed, an [*OutputError]; nil for none.
func (o *Output) Err() error {
	if o.err == nil {
		return nil
	}
	return o.err
}

// An OutputError is that stdout takes no more.
type OutputError struct{ Err error }

func (e *OutputError) Error() string {
	why := e.Err
	if number, ok := errors.AsType[syscall.Errno](e.Err); ok {
		why = number
	}
	return "the output cannot be written: " + why.Error()
}

func (e *OutputError) Unwrap() error { return e.Err }

// exit returns the end that the error stands for. Where nobody reads any more there is
// nobody to be told, and nothing went wrong; that the terminal is gone may be seen before
// the signal arrives that says so.
func (e *OutputError) exit() *ExitError {
	switch {
	case errors.Is(e, syscall.EPIPE):
		return &ExitError{Code: ExitUnread}
	case errors.Is(e, syscall.EIO):
		return &ExitError{Code: ExitHangup, Err: e}
	}
	return &ExitError{Code: ExitFailed, Err: e}
}

// Width returns the width of the terminal that w is; 0 is none.
func Width(w io.Writer) int {
	if out, ok := w.(*Output); ok {
		w = out.To
	}
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

// Note tells a person something, on stderr.
func (p *Program) Note(format string, args ...any) { p.tell("analyst: ", fmt.Sprintf(format, args...)) }

// Hint tells a person what to do.
func (p *Program) Hint(text string) { p.tell("hint: ", text) }

func (p *Program) tell(head, text string) {
	_, _ = fmt.Fprintln(p.Stderr, head+plain.Fold(text, Width(p.Stderr), len(head))) // nobody could be told that
}

// An Item is a line of a list: what it is about, and a text.
type Item struct{ Label, Text string }

// PrintItems writes a list to stdout, each text folded beside its label.
func (p *Program) PrintItems(items []Item) error {
	indent := 0
	for _, item := range items {
		indent = max(indent, len(item.Label)+2)
	}
	var b strings.Builder
	for _, item := range items {
		fmt.Fprintf(&b, "%-*s%s\n", indent, item.Label, plain.Fold(item.Text, Columns, indent))
	}
	_, err := io.WriteString(p.Stdout, b.String())
	return err
}

// PrintTable writes rows under a head to stdout, in columns. Cells are cleaned, and the
// last of a row, if it is too long for the line, goes on under itself.
func (p *Program) PrintTable(head []string, rows [][]string) error {
	rows = append([][]string{head}, rows...)
	var columns strings.Builder
	w := tabwriter.NewWriter(&columns, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for _, cell := range row[:len(row)-1] {
			_, _ = fmt.Fprint(w, plain.Line(cell, Columns), "\t") // into memory
		}
		_, _ = fmt.Fprintln(w)
	}
	_ = w.Flush()
	i := 0
	for line := range strings.Lines(columns.String()) {
		line = strings.TrimSuffix(line, "\n")
		last := plain.Line(rows[i][len(rows[i])-1], 2*Columns)
		if _, err := fmt.Fprintln(p.Stdout, line+plain.Fold(last, Columns, len(line))); err != nil {
			return err
		}
		i++
	}
	return nil
}

// PrintJSON writes a value to stdout, indented.
func (p *Program) PrintJSON(v any) error {
	enc := json.NewEncoder(p.Stdout)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
