package run

import (
	"errors"
	"io"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
)

// TestLine types what a person may type.
func TestLine(t *testing.T) {
	key := func(code rune, mod tea.KeyMod) tea.Msg { return tea.KeyPressMsg{Code: code, Mod: mod} }
	enter, up, down, interrupt, end := key(tea.KeyEnter, 0), key(tea.KeyUp, 0), key(tea.KeyDown, 0), key('c', tea.ModCtrl), key('d', tea.ModCtrl)
	for _, tt := range []struct {
		name   string
		typed  []any // keys, and texts that are typed or, with several lines, pasted
		text   string
		over   bool
		leaves bool
	}{
		{"a message", []any{"列 a", enter}, "列 a", true, false},
		{"nothing to say", []any{enter, " ", enter}, " ", false, false},
		{"a pasted text", []any{"a\nb", enter}, "a\nb", true, false},
		{"a text that is too long", []any{"a", strings.Repeat("\n", maxLines), "b", enter}, "ab", true, false},
		{"more lines", []any{`a\`, enter, "b", key(tea.KeyEnter, tea.ModAlt), "c", key('j', tea.ModCtrl), "d", enter}, "a\nb\nc\nd", true, false},
		{"what was said", []any{"new", up, enter}, "two\nlines", true, false},
		{"further back", []any{up, up, up, enter}, "one", true, false},
		{"and back again", []any{"new", up, up, down, down, down, "!", enter}, "new!", true, false},
		{"the first has none before", []any{up, up, up, up, up, enter}, "one", true, false},
		{"cleared", []any{"a", interrupt, "b", enter}, "b", true, false},
		{"once is not twice", []any{interrupt, "a", interrupt, interrupt}, "", false, false},
		{"twice", []any{interrupt, interrupt}, "", true, true},
		{"the end", []any{end}, "", true, true},
		{"no end within a text", []any{"a", key(tea.KeyLeft, 0), end, "b", enter}, "b", true, false},
	} {
		l := newLine([]string{"one", "two\nlines"})
		l.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
		for _, typed := range tt.typed {
			switch typed := typed.(type) {
			case string:
				if strings.Contains(typed, "\n") {
					l.Update(tea.PasteMsg{Content: typed})
					continue
				}
				for _, r := range typed {
					l.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
				}
			default:
				l.Update(typed)
			}
		}
		if l.area.Value() != tt.text || l.over != tt.over || l.leaves != tt.leaves {
			t.Errorf("%s: %q, over %t, leaves %t; want %q, %t, %t", tt.name, l.area.Value(), l.over, l.leaves, tt.text, tt.over, tt.leaves)
		}
	}
}

// TestLines: what is no terminal has a message on each line, and none is cut.
func TestLines(t *testing.T) {
	in := newLines(strings.NewReader("one\n\ntwo"))
	for _, want := range []string{"one", "", "two"} {
		if text, err := in.next(t.Context()); text != want || err != nil {
			t.Errorf("next() = %q, %v; want %q", text, err, want)
		}
	}
	if _, err := in.next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if text, err := newLines(strings.NewReader(strings.Repeat("x", maxPrompt+1))).next(t.Context()); err == nil || errors.Is(err, io.EOF) {
		t.Errorf("a line beyond the bound: %d bytes, %v", len(text), err)
	}
}
