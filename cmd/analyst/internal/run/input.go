package run

import (
	"bufio"
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"charm.land/bubbles/v2/textarea"
	tea "charm.land/bubbletea/v2"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
)

// An input gives what a person says.
type input interface {
	// next returns the next message; [io.EOF] when there are no more.
	next(ctx context.Context) (string, error)
}

// lines has a message on each line of what is no terminal.
type lines struct{ scan *bufio.Scanner }

func newLines(r io.Reader) lines {
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxPrompt)
	return lines{s}
}

func (l lines) next(ctx context.Context) (string, error) {
	read := make(chan bool, 1)
	go func() { read <- l.scan.Scan() }()
	select {
	case more := <-read:
		switch err := l.scan.Err(); {
		case more:
			return l.scan.Text(), nil
		case err != nil:
			return "", cli.Usagef("a message on standard input: %w", err)
		}
		return "", io.EOF
	case <-ctx.Done(): // and then the process ends
		return "", ctx.Err()
	}
}

// An editor has a message typed at a terminal.
type editor struct {
	p    *cli.Program
	said []string // the history, oldest first
}

func (e *editor) next(ctx context.Context) (string, error) {
	l := newLine(e.said)
	_, err := tea.NewProgram(l, tea.WithContext(ctx), tea.WithInput(e.p.Stdin), tea.WithOutput(e.p.Stderr), tea.WithoutSignalHandler()).Run()
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err != nil:
		return "", errors.New("the terminal cannot be read: " + err.Error())
	case l.leaves:
		return "", io.EOF
	}
	text := l.area.Value()
	if n := len(e.said); n == 0 || e.said[n-1] != text {
		e.said = append(e.said, text)
	}
	return text, nil
}

// A line is a message that is being typed; it has as many lines as it needs.
type line struct {
	area   textarea.Model
	texts  []string // the history, and last what is new, as they are edited
	at     int      // the one that is shown
	note   string   // what is said below, until the next key
	over   bool
	leaves bool
}

// onceMore is said where Ctrl-C has nothing to clear.
const onceMore = "Ctrl-C once more leaves"

// maxLines is how many lines a message has that is typed: more are dropped unsaid below.
const maxLines = 10_000

func newLine(said []string) *line {
	l := &line{area: textarea.New(), texts: append(slices.Clone(said), ""), at: len(said)}
	l.area.SetStyles(textarea.Styles{})
	l.area.SetVirtualCursor(false)
	l.area.ShowLineNumbers = false
	l.area.KeyMap.Paste.SetEnabled(false) // it runs programs; terminals paste by themselves
	l.area.SetPromptFunc(2, func(at textarea.PromptInfo) string {
		if at.LineNumber == 0 {
			return "> "
		}
		return "  "
	})
	l.area.DynamicHeight, l.area.MaxHeight, l.area.MaxContentHeight = true, 12, maxPrompt
	l.area.SetHeight(1)
	l.area.Focus()
	return l
}

// Init implements [tea.Model].
func (l *line) Init() tea.Cmd { return nil }

// Update implements [tea.Model].
func (l *line) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		l.area.SetWidth(msg.Width)
	case tea.PasteMsg:
		if l.area.LineCount()+strings.Count(msg.Content, "\n") > maxLines || len(l.area.Value())+len(msg.Content) > maxPrompt {
			l.note = "that is too long to be pasted: analyst run - reads a file"
			return l, nil // and not a part of it
		}
	case tea.KeyPressMsg:
		again := l.note == onceMore
		l.note = ""
		empty := strings.TrimSpace(l.area.Value()) == ""
		switch key := msg.String(); key {
		case "enter":
			if text, goesOn := strings.CutSuffix(l.area.Value(), `\`); goesOn {
				l.area.SetValue(text + "\n")
				return l, nil
			}
			if empty {
				return l, nil
			}
			return l.end()
		case "alt+enter", "shift+enter", "ctrl+j":
			l.area.InsertString("\n")
			return l, nil
		case "ctrl+c":
			if empty && again {
				l.leaves = true
				return l.end()
			}
			if empty {
				l.note = onceMore
			}
			l.area.Reset()
			return l, nil
		case "ctrl+d":
			if empty {
				l.leaves = true
				return l.end()
			}
		case "up", "down":
			if l.recall(key) {
				return l, nil
			}
		}
	}
	var cmd tea.Cmd
	l.area, cmd = l.area.Update(msg)
	return l, cmd
}

// recall goes from the first line to the text before, and from the last to the one after.
func (l *line) recall(key string) bool {
	to := l.at + 1
	if key == "up" {
		to = l.at - 1
	}
	if key == "up" && l.area.Line() > 0 || key == "down" && l.area.Line() < l.area.LineCount()-1 || to < 0 || to == len(l.texts) {
		return false
	}
	l.texts[l.at] = l.area.Value()
	l.at = to
	l.area.SetValue(l.texts[to])
	return true
}

func (l *line) end() (tea.Model, tea.Cmd) {
	l.over = true
	return l, tea.Quit
}

// View implements [tea.Model].
func (l *line) View() tea.View {
	text := l.area.View()
	switch {
	case l.over:
		return tea.NewView(text + "\n") // whose last line is given up
	case l.note != "":
		text += "\n" + l.note
	}
	v := tea.NewView(text)
	v.Cursor = l.area.Cursor()
	return v
}
