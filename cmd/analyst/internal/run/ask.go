package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/muesli/cancelreader"
	"golang.org/x/term"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jitmw"
)

// A prompter asks the person at the terminal. One question stands at a time, and what is
// shown meanwhile comes after it: a run goes on, and may take the question back.
type prompter struct {
	p      *cli.Program
	asking sync.Mutex // held by whoever asks

	screen sync.Mutex
	clear  func()         // takes the timeline's last line away
	asks   bool           // a question stands
	later  []func() error // what is to be shown after it
	failed error          // what came of showing
}

// hold has a question begin, and release end.
func (a *prompter) hold() {
	a.asking.Lock()
	a.screen.Lock()
	defer a.screen.Unlock()
	a.asks = true
	a.clear()
}

func (a *prompter) release() {
	a.screen.Lock()
	for _, write := range a.later {
		a.write(write)
	}
	a.asks, a.later = false, nil
	a.screen.Unlock()
	a.asking.Unlock()
}

// show writes, at the latest when the question that stands has ended. It returns what
// came of what was written until now.
func (a *prompter) show(write func() error) error {
	a.screen.Lock()
	defer a.screen.Unlock()
	if a.asks {
		a.later = append(a.later, write)
	} else {
		a.write(write)
	}
	return a.failed
}

// write writes, unless that has failed before. The caller holds a.screen.
func (a *prompter) write(write func() error) {
	if a.failed == nil {
		a.clear()
		a.failed = write()
	}
}

// maxAsked bounds one text of a question, in characters. What is left out is said.
const maxAsked = 4000

// attended reports whether somebody sits there who can be asked.
func attended(p *cli.Program) bool {
	for _, stream := range []any{p.Stdin, p.Stderr} {
		if f, ok := stream.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
			return false
		}
	}
	return true
}

// unnamed asks about a call that the person did not name.
func (a *prompter) unnamed(ctx context.Context, q jitmw.Question) (bool, error) {
	a.hold()
	defer a.release()
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe model wants what you did not ask for: %s\n", plain.Line(q.Tool, 64))
	for _, name := range slices.Sorted(maps.Keys(q.Args)) {
		text, err := json.Marshal(q.Args[name])
		if err != nil {
			return false, err
		}
		fmt.Fprintf(&b, "  %s: %s\n", plain.Escape(name, maxAsked), plain.Escape(string(text), maxAsked))
	}
	for _, m := range q.Missing {
		fmt.Fprintf(&b, "  not named: %s\n", plain.Escape(m.String(), maxAsked))
	}
	for _, s := range q.Sources {
		fmt.Fprintf(&b, "  %s\n", plain.Escape(s, maxAsked))
	}
	if _, err := fmt.Fprint(a.p.Stderr, b.String()); err != nil {
		return false, err
	}
	line, err := a.line(ctx, "Allow this call, once? [y/N]", time.Time{})
	line = strings.ToLower(strings.TrimSpace(line))
	if errors.Is(err, io.EOF) { // nobody says yes
		err = nil
	}
	return line == "y" || line == "yes", err
}

// line asks for a line, and shows how much time is left until end, if that is set. What
// was typed before the question was shown is no answer to it. It returns io.EOF when nobody
// can write one any more.
func (a *prompter) line(ctx context.Context, question string, end time.Time) (line string, err error) {
	prompt := func() string {
		if end.IsZero() {
			return question + " "
		}
		return fmt.Sprintf("%s (%-6s) ", question, max(0, time.Until(end)).Round(time.Second))
	}
	if f, ok := a.p.Stdin.(*os.File); ok {
		if err := flush(f.Fd()); err != nil {
			return "", fmt.Errorf("drop what was typed before: %w", err)
		}
	}
	if _, err := fmt.Fprint(a.p.Stderr, prompt()); err != nil {
		return "", err
	}
	var tick <-chan time.Time
	if !end.IsZero() {
		ticker := time.NewTicker(time.Second)
		defer ticker.Stop()
		tick = ticker.C
	}
	read := make(chan struct{})
	reading, stop := context.WithCancel(ctx)
	go func() {
		defer close(read)
		line, err = readLine(reading, a.p.Stdin)
	}()
	defer stop()
	for {
		select {
		case <-read:
			if ctx.Err() != nil {
				_, _ = fmt.Fprintln(a.p.Stderr) // the line is left
			}
			return line, err
		case <-tick: // in place, and what is being typed behind it stays
			if cli.Width(a.p.Stderr) <= len(question)+10 {
				continue // the line is folded, and cannot be written over
			}
			if _, err := fmt.Fprint(a.p.Stderr, "\x1b7\r"+prompt()+"\x1b8"); err != nil {
				stop()
				<-read
				return "", err
			}
		}
	}
}

// readLine reads a line from a terminal; io.EOF is the end of the input. When ctx ends it
// reads no more, so that others get what is typed then.
func readLine(ctx context.Context, terminal io.Reader) (string, error) {
	in, err := cancelreader.NewReader(terminal)
	if err != nil {
		return "", err
	}
	defer func() { _ = in.Close() }() // of what cancels; the terminal stays open
	defer context.AfterFunc(ctx, func() { in.Cancel() })()
	buf := make([]byte, 4<<10) // a terminal gives a line at a time, and no longer ones
	n, err := in.Read(buf)
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	return strings.TrimRight(string(buf[:n]), "\r\n"), err
}
