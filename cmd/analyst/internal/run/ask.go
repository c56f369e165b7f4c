package run

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jitmw"
)

// A prompter asks the person at the terminal. One question stands at a time, and the
// timeline waits meanwhile.
type prompter struct {
	p      *cli.Program
	screen sync.Mutex // held by whoever writes to the terminal
	lines  chan string
}

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
	a.screen.Lock()
	defer a.screen.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe model wants what you did not ask for: %s\n", plain.Line(q.Tool, 64))
	for name, value := range q.Args {
		text, err := json.Marshal(value)
		if err != nil {
			return false, err
		}
		fmt.Fprintf(&b, "  %s: %s\n", plain.Line(name, 64), plain.Line(string(plain.JSON(text)), 600))
	}
	for _, m := range q.Missing {
		fmt.Fprintf(&b, "  not named: %s\n", plain.Line(m.String(), 400))
	}
	for _, s := range q.Sources {
		fmt.Fprintf(&b, "  %s\n", plain.Line(s, 400))
	}
	b.WriteString("Allow this call, once? [y/N] ")
	return a.yes(ctx, b.String())
}

// yes asks and reads a line. Everything but yes is no.
func (a *prompter) yes(ctx context.Context, question string) (bool, error) {
	if a.lines == nil {
		a.lines = make(chan string)
		go func() {
			defer close(a.lines)
			for s := bufio.NewScanner(a.p.Stdin); s.Scan(); {
				a.lines <- s.Text()
			}
		}()
	}
	if _, err := fmt.Fprint(a.p.Stderr, question); err != nil {
		return false, err
	}
	select {
	case line := <-a.lines: // "" at the end of the input
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes", nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}
