package markdown

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
	"github.com/yuin/goldmark/util"
	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// parser reads CommonMark with tables. A parse keeps its state in a context of its
// own, so that all may share the parser.
var parser = goldmark.New(goldmark.WithExtensions(extension.Table)).Parser()

// Parse reads a text, and returns with the tree the source that its nodes point
// into. The work is linear in the length of s, whatever s holds.
func Parse(s string) (ast.Node, []byte) {
	source := []byte(bound(s))
	return parser.Parse(text.NewReader(source)), source
}

// Inline returns the text of a block as a reader sees it, without its markup: a
// link is its label, an image what stands in its place, raw HTML is nothing. A line
// feed stands where the source has one; [Join] makes running text of it.
func Inline(n ast.Node, source []byte) string { return inline(n, source, true) }

func inline(n ast.Node, source []byte, images bool) string {
	var b strings.Builder
	writeInline(&b, n, source, images)
	return b.String()
}

func writeInline(b *strings.Builder, n ast.Node, source []byte, images bool) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if c.HasChildren() && (images || c.Kind() != ast.KindImage) {
			writeInline(b, c, source, images)
		}
		b.WriteString(Leaf(c, source))
	}
}

// Leaf returns the text of what has nothing in it, as [Inline] does; "" for all else.
func Leaf(n ast.Node, source []byte) string {
	switch n := n.(type) {
	case *ast.Text:
		value := n.Segment.Value(source)
		if n.Parent().Kind() != ast.KindCodeSpan {
			value = util.ResolveEntityNames(util.ResolveNumericReferences(util.UnescapePunctuations(value)))
		}
		if n.SoftLineBreak() || n.HardLineBreak() {
			return string(value) + "\n"
		}
		return string(value)
	case *ast.String:
		return string(n.Value)
	case *ast.AutoLink:
		return string(n.Label(source))
	}
	return ""
}

// Lines returns the source of a block as it is written, the line that ends raw HTML
// included.
func Lines(n ast.Node, source []byte) string {
	s := string(n.Lines().Value(source))
	if h, ok := n.(*ast.HTMLBlock); ok && h.HasClosure() {
		s += string(h.ClosureLine.Value(source))
	}
	return s
}

// Title returns what a reader takes for the title of a Markdown text: the first
// heading, or else the first line that has letters. It is one line, "" when there
// is none.
func Title(s string) string {
	const enough = 64 << 10 // a title further down is none
	if len(s) > enough {
		s = s[:enough]
	}
	root, source := Parse(s)
	heading, line := "", ""
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		found := ""
		switch n := n.(type) {
		case *ast.Heading:
			heading = oneLine(Join(inline(n, source, false)))
		case *ast.HTMLBlock:
			for part := range strings.SplitSeq(HTML(Lines(n, source)), "\n\n") {
				if h := strings.TrimLeft(part, "#"); h != part && heading == "" {
					heading = oneLine(h)
				} else if found == "" {
					found = part
				}
			}
		case *ast.Paragraph, *ast.TextBlock:
			found = inline(n, source, false)
		}
		if line == "" {
			line = PlainTitle(found)
		}
		if heading != "" {
			return ast.WalkStop, nil
		}
		return ast.WalkContinue, nil
	})
	if heading != "" {
		return heading
	}
	return line
}

// PlainTitle is [Title] for a text that is not Markdown: its first line with
// letters.
func PlainTitle(s string) string {
	for l := range strings.Lines(s) {
		if strings.ContainsFunc(l, unicode.IsLetter) {
			return oneLine(l)
		}
	}
	return ""
}

// Join makes running text of lines, with a space for each line feed but beside
// characters of scripts without spaces. Space within a line stays.
func Join(lines string) string {
	if !strings.Contains(lines, "\n") {
		return strings.TrimSpace(lines)
	}
	var b strings.Builder
	var last rune
	for line := range strings.Lines(lines) {
		line = strings.TrimSpace(line)
		if next, _ := utf8.DecodeRuneInString(line); b.Len() > 0 && line != "" && !Wide(last) && !Wide(next) {
			b.WriteByte(' ')
		}
		b.WriteString(line)
		if line != "" {
			last, _ = utf8.DecodeLastRuneInString(line)
		}
	}
	return b.String()
}

// oneLine puts s on one line.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// hidden are elements whose content is shown to nobody.
var hidden = map[atom.Atom]bool{
	atom.Script: true, atom.Style: true, atom.Template: true, atom.Noscript: true, atom.Iframe: true, atom.Svg: true, atom.Select: true,
}

// HTML returns what a reader sees of a piece of HTML, as Markdown: its headings are
// headings, and blocks are paragraphs. Comments, scripts, styles and what has the
// attribute "hidden" are left out.
func HTML(s string) string {
	z := html.NewTokenizer(strings.NewReader(s))
	var b strings.Builder
	var under atom.Atom // the hidden element
	depth := 0          // of elements of its name within it
	for {
		kind := z.Next()
		token := z.Token()
		switch {
		case kind == html.ErrorToken: // the end
			return strings.TrimSpace(b.String())
		case depth > 0:
			switch {
			case token.DataAtom != under:
			case kind == html.StartTagToken:
				depth++
			case kind == html.EndTagToken:
				depth--
			}
		case kind == html.TextToken:
			if text := oneLine(token.Data); text != "" {
				if strings.TrimLeft(token.Data, " \t\r\n") != token.Data {
					b.WriteByte(' ')
				}
				b.WriteString(text)
				if strings.TrimRight(token.Data, " \t\r\n") != token.Data {
					b.WriteByte(' ')
				}
			}
		case kind == html.StartTagToken && isHidden(token):
			under, depth = token.DataAtom, 1
		case kind == html.StartTagToken, kind == html.EndTagToken, kind == html.SelfClosingTagToken:
			b.WriteString(boundary(token, kind == html.StartTagToken))
		}
	}
}

func isHidden(t html.Token) bool {
	return hidden[t.DataAtom] || slices.ContainsFunc(t.Attr, func(a html.Attribute) bool {
		return a.Key == "hidden" || a.Key == "style" && strings.Contains(strings.ReplaceAll(a.Val, " ", ""), "display:none")
	})
}

// boundary returns what stands for a tag: nothing where it is within a line.
func boundary(t html.Token, opens bool) string {
	switch t.DataAtom {
	case atom.A, atom.Abbr, atom.B, atom.Cite, atom.Code, atom.Del, atom.Em, atom.Font, atom.I, atom.Img, atom.Ins, atom.Kbd, atom.Mark,
		atom.Q, atom.S, atom.Samp, atom.Small, atom.Span, atom.Strong, atom.Sub, atom.Sup, atom.Time, atom.U, atom.Var, atom.Wbr:
		return ""
	case atom.H1, atom.H2, atom.H3, atom.H4, atom.H5, atom.H6:
		if opens {
			return fmt.Sprintf("\n\n%s ", "######"[:t.Data[1]-'0'])
		}
	case atom.Title:
		if opens {
			return "\n\n# "
		}
	case atom.Li:
		if opens {
			return "\n- "
		}
	case atom.Td, atom.Th:
		return " "
	case atom.Br:
		return "\n"
	}
	return "\n\n"
}
