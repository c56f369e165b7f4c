package run

import (
	"fmt"
	"io"
	"strings"

	"github.com/rivo/uniseg"
	"github.com/yuin/goldmark/ast"
	table "github.com/yuin/goldmark/extension/ast"

	"github.com/jitagent/jitagent/internal/markdown"
	"github.com/jitagent/jitagent/internal/plain"
)

// A page shows Markdown at a terminal, folded to its width, each block as soon as the
// next one begins. What is written to it must be a person's to read: see [plain.Text].
type page struct {
	w     io.Writer
	width int
	style *strings.Replacer // of marks
	rest  string            // which is not shown yet
	below bool              // something stands above
}

// The marks of styles in a text, which has no other control characters. They take no room
// when it is folded.
const (
	bold, boldEnd     = "\x01", "\x02"
	italic, italicEnd = "\x03", "\x04"
	code, codeEnd     = "\x05", "\x06"
)

// newPage returns a page on a terminal.
func newPage(w io.Writer, width int, color bool) *page {
	p := &page{w: w, width: width, style: strings.NewReplacer(bold, "", boldEnd, "", italic, "", italicEnd, "", code, "", codeEnd, "")}
	if color {
		p.style = strings.NewReplacer(bold, "\x1b[1m", boldEnd, "\x1b[22m", italic, "\x1b[3m", italicEnd, "\x1b[23m", code, "\x1b[36m", codeEnd, "\x1b[39m")
	}
	return p
}

func (p *page) Write(text []byte) (int, error) {
	p.rest += string(text)
	if strings.Contains(string(text), "\n") { // no block begins within a line
		if err := p.show(strings.LastIndex(p.rest, "\n")+1, true); err != nil {
			return 0, err
		}
	}
	return len(text), nil
}

// end shows what is left.
func (p *page) end() error {
	err := p.show(len(p.rest), false)
	p.below = false
	return err
}

// show shows the blocks in the first n bytes of what is left; with more, all but the
// last, which may go on.
func (p *page) show(n int, more bool) error {
	root, source := markdown.Parse(p.rest[:n])
	end := len(source)
	var b strings.Builder
	for c := root.FirstChild(); c != nil; c = c.NextSibling() {
		if more && c == root.LastChild() {
			end = strings.LastIndex(string(source[:max(0, c.Pos())]), "\n") + 1
			break
		}
		if text := p.block(c, source, p.width); text != "" {
			if p.below {
				b.WriteString("\n")
			}
			p.below = true
			b.WriteString(text + "\n")
		}
	}
	p.rest = string(source[end:]) + p.rest[n:]
	_, err := p.style.WriteString(p.w, b.String())
	return err
}

// block returns the lines of a block, without a line feed at their end.
func (p *page) block(n ast.Node, source []byte, width int) string {
	switch n := n.(type) {
	case *ast.Heading:
		return bold + plain.Fold(plain.Text(markdown.Inline(n, source)), width, 0) + boldEnd
	case *ast.Paragraph, *ast.TextBlock:
		lines := strings.Split(p.inline(n, source), "\n")
		for i, line := range lines {
			lines[i] = plain.Fold(line, width, 0)
		}
		return strings.Join(lines, "\n")
	case *ast.List:
		var items []string
		for c := n.FirstChild(); c != nil; c = c.NextSibling() {
			mark := "- "
			if n.IsOrdered() {
				mark = fmt.Sprintf("%d%c ", n.Start+len(items), n.Marker)
			}
			margin := strings.Repeat(" ", len(mark))
			items = append(items, mark+strings.TrimPrefix(after(margin, p.blocks(c, source, width-len(mark), n.IsTight)), margin))
		}
		return strings.Join(items, between(n.IsTight))
	case *ast.Blockquote:
		return after("│ ", p.blocks(n, source, width-2, false))
	case *ast.ThematicBreak:
		return strings.Repeat("─", min(width, 40))
	case *table.Table:
		return p.table(n, source)
	case *ast.LinkReferenceDefinition:
		return ""
	}
	return after("    ", plain.Text(strings.TrimRight(markdown.Lines(n, source), "\n")))
}

func (p *page) blocks(n ast.Node, source []byte, width int, tight bool) string {
	var all []string
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		all = append(all, p.block(c, source, width))
	}
	return strings.Join(all, between(tight))
}

// after returns a text with all of its lines after a margin.
func after(margin, text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(margin+line, " ")
	}
	return strings.Join(lines, "\n")
}

func between(tight bool) string {
	if tight {
		return "\n"
	}
	return "\n\n"
}

// inline returns the text of a block with the marks of its styles. Where a link leads is
// said, whatever its text is.
func (p *page) inline(n ast.Node, source []byte) string {
	var b strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		switch c := c.(type) {
		case *ast.CodeSpan:
			b.WriteString(code + "`" + plain.Text(markdown.Inline(c, source)) + "`" + codeEnd)
		case *ast.Emphasis:
			begin, end := italic, italicEnd
			if c.Level > 1 {
				begin, end = bold, boldEnd
			}
			b.WriteString(begin + p.inline(c, source) + end)
		case *ast.Link:
			b.WriteString(link(p.inline(c, source), c.Destination))
		case *ast.Image:
			b.WriteString(link(p.inline(c, source), c.Destination))
		case *ast.RawHTML:
			b.WriteString(plain.Text(string(c.Segments.Value(source))))
		default:
			b.WriteString(plain.Text(markdown.Leaf(c, source)))
		}
	}
	return b.String()
}

func link(text string, to []byte) string {
	if where := plain.Text(string(to)); where != text {
		return text + " (" + where + ")"
	}
	return text
}

// table returns a table in columns. One that is wider than the terminal is folded by it.
func (p *page) table(n *table.Table, source []byte) string {
	var rows [][]string
	var widths []int
	for r := n.FirstChild(); r != nil; r = r.NextSibling() {
		var row []string
		for c := r.FirstChild(); c != nil; c = c.NextSibling() {
			text := p.inline(c, source)
			if len(rows) == 0 {
				text = bold + text + boldEnd
			}
			if len(row) == len(widths) {
				widths = append(widths, 0)
			}
			widths[len(row)] = max(widths[len(row)], uniseg.StringWidth(text))
			row = append(row, text)
		}
		rows = append(rows, row)
	}
	lines := make([]string, len(rows))
	for i, row := range rows {
		for j, text := range row {
			row[j] = text + strings.Repeat(" ", widths[j]-uniseg.StringWidth(text))
		}
		lines[i] = strings.TrimRight(strings.Join(row, "  "), " ")
	}
	return strings.Join(lines, "\n")
}
