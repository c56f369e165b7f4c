package run

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/rivo/uniseg"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/runner"
)

// An answerPrinter writes the answer: at the end, or live, piece by piece.
type answerPrinter struct {
	w       io.Writer
	live    bool
	midLine bool // a text was begun and not ended
	said    bool // the final text was written already
}

// newAnswerPrinter returns one for stdout. At a terminal it folds lines at spaces. Among
// JSON events there is no answer to write.
func newAnswerPrinter(stdout io.Writer, json, live bool) *answerPrinter {
	a := &answerPrinter{w: stdout, live: live}
	if json {
		a.w = io.Discard
	} else if width := cli.Width(stdout); width > 0 {
		a.w = &folder{w: stdout, width: width}
	}
	return a
}

func (a *answerPrinter) see(e runner.Event) error {
	switch e := e.(type) {
	case runner.Text:
		if !a.live {
			return nil
		}
		if e.Partial {
			a.midLine = true
			_, err := io.WriteString(a.w, plain.Text(e.Text))
			return err
		}
		// The whole text follows its pieces; in several parts where the answer has several.
		a.said = e.Final && (a.midLine || a.said)
		return a.endLine()
	case runner.Finished:
		if err := a.endLine(); err != nil {
			return err
		}
		text := refused(e.Refused)
		if !a.said && e.Answer != "" {
			text = plain.Text(e.Answer) + "\n" + text
		}
		_, err := io.WriteString(a.w, text)
		return err
	}
	return nil
}

func (a *answerPrinter) endLine() error {
	if !a.midLine {
		return nil
	}
	a.midLine = false
	_, err := io.WriteString(a.w, "\n")
	return err
}

// A folder folds what is written to it at spaces, and begins what continues a list's item
// under its text. It keeps a word until it ends: a text must end with a line feed. Tables
// and words that are longer than a line are left to the terminal.
type folder struct {
	w      io.Writer
	width  int
	hang   int    // where a line that continues this one begins
	column int    // what is written of the line
	gap    string // spaces before the word
	word   strings.Builder
	whole  bool // the line is not folded
}

func (f *folder) Write(text []byte) (int, error) {
	var out strings.Builder
	for _, r := range string(text) {
		switch r {
		case '\n':
			f.flush(&out)
			out.WriteString(f.gap + "\n")
			f.hang, f.column, f.gap, f.whole = 0, 0, "", false
		case ' ':
			f.flush(&out)
			f.gap += " "
		default:
			f.word.WriteRune(r)
		}
	}
	if _, err := io.WriteString(f.w, out.String()); err != nil {
		return 0, err
	}
	return len(text), nil
}

// item matches what the item of a list begins with.
var item = regexp.MustCompile(`^([-*+]|[0-9]+[.)])$`)

// flush writes the word that has ended.
func (f *folder) flush(out *strings.Builder) {
	word := f.word.String()
	if word == "" {
		return
	}
	n := uniseg.StringWidth(word)
	switch {
	case f.column == 0:
		f.whole = strings.HasPrefix(word, "|")
		f.hang = len(f.gap)
		if item.MatchString(word) {
			f.hang += n + 1
		}
	case !f.whole && f.column+len(f.gap)+n > f.width && f.column > f.hang:
		out.WriteString("\n")
		f.column, f.gap = 0, strings.Repeat(" ", f.hang)
	}
	out.WriteString(f.gap + word)
	f.column += len(f.gap) + n
	f.gap = ""
	f.word.Reset()
}

// refused says what was not done, whatever the model made of it.
func refused(calls []runner.Refusal) string {
	if len(calls) == 0 {
		return ""
	}
	text := "\nNot done, since you did not ask for it:\n"
	for _, c := range calls {
		text += fmt.Sprintf("- %s: %s\n", plain.Line(c.Tool, 64), plain.Line(c.Reason, 400))
	}
	return text
}
