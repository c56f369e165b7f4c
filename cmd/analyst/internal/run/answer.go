package run

import (
	"fmt"
	"io"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/runner"
)

// An answerPrinter writes the answer: at the end, or live, piece by piece.
type answerPrinter struct {
	w       io.Writer
	page    *page // that w is; nil is none
	live    bool
	midLine bool // a text was begun and not ended
	said    bool // the final text was written already
}

// newAnswerPrinter returns one for stdout. At a terminal it shows Markdown. Among JSON
// events there is no answer to write.
func newAnswerPrinter(p *cli.Program, json, live bool) *answerPrinter {
	a := &answerPrinter{w: p.Stdout, live: live}
	if json {
		a.w = io.Discard
	} else if width := cli.Width(p.Stdout); width > 0 {
		a.page = newPage(p.Stdout, width, p.Color(p.Stdout))
		a.w = a.page
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
		if _, err := io.WriteString(a.w, text); err != nil || a.page == nil {
			return err
		}
		return a.page.end()
	}
	return nil
}

func (a *answerPrinter) endLine() error {
	if !a.midLine {
		return nil
	}
	a.midLine = false
	if a.page != nil {
		return a.page.end()
	}
	_, err := io.WriteString(a.w, "\n")
	return err
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
