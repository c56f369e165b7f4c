package run

import (
	"fmt"
	"io"

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

func (a *answerPrinter) see(e runner.Event) error {
	text, ok := e.(runner.Text)
	if !ok || !a.live {
		return nil
	}
	if text.Partial {
		a.midLine = true
		_, err := io.WriteString(a.w, plain.Text(text.Text))
		return err
	}
	// The whole text follows its pieces; in several parts where the answer has several.
	a.said = text.Final && (a.midLine || a.said)
	return a.endLine()
}

func (a *answerPrinter) endLine() error {
	if !a.midLine {
		return nil
	}
	a.midLine = false
	_, err := fmt.Fprintln(a.w)
	return err
}

// finish writes what is not written yet.
func (a *answerPrinter) finish(answer string) error {
	if err := a.endLine(); err != nil || a.said || answer == "" {
		return err
	}
	_, err := fmt.Fprintln(a.w, plain.Text(answer))
	return err
}
