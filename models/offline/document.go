package offline

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"github.com/yuin/goldmark/ast"
	east "github.com/yuin/goldmark/extension/ast"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/internal/markdown"
)

// A document is a fetched text, cut into what can be quoted.
type document struct {
	id       string
	title    string // never empty
	sections []string
	units    []unit
	// partial says that the tool, or a limit here, cut the text.
	partial bool
	// addressed holds the blocks that speak to a language model instead of a reader.
	// Nothing in a document is obeyed; a summary leaves them out and says so.
	addressed map[int]bool
}

// unitKind says what a unit was in the text.
type unitKind uint8

const (
	sentenceUnit unitKind = iota
	lineUnit              // a line that stands by itself, as in a log
	itemUnit              // a list item
	factUnit              // a line "key: value", as memos and letters begin with
	rowUnit               // a table row, written as "label: header value; ..."
)

// A unit is the least that a summary quotes.
type unit struct {
	text    string
	kind    unitKind
	section int  // index into document.sections; section 0 is before any heading
	block   int  // units of one paragraph, item or row have the same
	first   bool // of its section
	leans   bool // goes on from the unit before it, so that alone it says little
	terms   []string
	words   []string // terms, sorted, each once
	figures bool
}

// Bounds of how much text is read, in bytes.
const (
	maxText  = 2 << 20 // of one document
	maxTexts = 4 << 20 // of all the documents of one request
)

// A shelf keeps what was read last: the steps of a conversation read the same documents.
type shelf struct {
	mu   sync.Mutex
	kept map[reading]*document
}

// A reading is a document as it was fetched, and how much of it is read.
type reading struct {
	outcome
	limit int
}

// Bounds of a shelf.
const (
	maxKept     = 16 // documents
	maxKeptText = 64 << 10
)

// read returns the document that o has. Nobody changes it.
func (s *shelf) read(o outcome, limit int) *document {
	s.mu.Lock()
	d := s.kept[reading{o, limit}]
	s.mu.Unlock()
	if d != nil {
		return d
	}
	d = readDocument(o.id, o.title, o.text, o.partial, limit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil || len(s.kept) >= maxKept {
		s.kept = map[reading]*document{}
	}
	if len(o.text) <= maxKeptText {
		s.kept[reading{o, limit}] = d
	}
	return d
}

// readDocument reads Markdown, or plain text, which is nearly the same. title may
// be empty: then the front matter, the first heading or the id serves. At most
// limit bytes of body are read.
func readDocument(id, title, body string, partial bool, limit int) *document {
	if len(body) > limit {
		body, partial = strings.ToValidUTF8(body[:limit], ""), true
	}
	body = strings.ToValidUTF8(strings.TrimPrefix(body, "\uFEFF"), "\uFFFD")
	body = strings.ReplaceAll(strings.ReplaceAll(body, "\r\n", "\n"), "\r", "\n")
	meta, body, _ := markdown.SplitFrontMatter(body) // what cannot be read is no text either
	d := &document{id: id, sections: []string{""}, partial: partial, addressed: make(map[int]bool)}
	r := reader{doc: d}
	if !r.values(body) {
		var root ast.Node
		root, r.source = markdown.Parse(body)
		r.blocks(root, false)
		if len(d.units) == 0 {
			r.lines(r.code.String())
		}
	}
	d.title = cmp.Or(tidy(title), tidy(meta["title"]), r.heading, r.subject, id)
	return d
}

// reader collects units while it walks the blocks of a text.
type reader struct {
	doc     *document
	source  []byte
	heading string // the first one
	subject string // the value of a line "Subject: ..."
	block   int
	code    strings.Builder // used when there is nothing else
	opened  bool            // the section has a unit
}

// blocks reads the children of a container. Depth is bounded by [bound].
func (r *reader) blocks(n ast.Node, inList bool) {
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		r.block++
		switch c := c.(type) {
		case *ast.Heading:
			r.newSection(r.inline(c))
		case *ast.Paragraph:
			r.paragraph(c, inList)
		case *ast.TextBlock:
			r.paragraph(c, inList)
		case *east.Table:
			r.table(c)
		case *ast.CodeBlock: // indented: in plain text this is prose
			r.lines(markdown.Lines(c, r.source))
		case *ast.FencedCodeBlock:
			r.code.Write(c.Lines().Value(r.source))
		case *ast.HTMLBlock:
			r.html(markdown.HTML(markdown.Lines(c, r.source)))
		case *ast.ListItem:
			r.blocks(c, true)
		default:
			r.blocks(c, inList)
		}
	}
}

// html reads what a reader sees of HTML.
func (r *reader) html(s string) {
	for part := range strings.SplitSeq(s, "\n\n") {
		if heading := strings.TrimLeft(part, "#"); heading != part {
			r.newSection(tidy(heading))
		} else {
			r.lines(part)
		}
	}
}

func (r *reader) newSection(heading string) {
	if heading == "" {
		return
	}
	r.heading = cmp.Or(r.heading, heading)
	r.doc.sections = append(r.doc.sections, heading)
	r.opened = false
}

// shortItem is the size up to which a list item is quoted whole.
const shortItem = 320

func (r *reader) paragraph(n ast.Node, inList bool) {
	text := markdown.Inline(n, r.source)
	item := tidy(markdown.Join(text))
	var facts []string
	if strings.Contains(text, "\n") {
		facts = keyValueLines(markdown.Lines(n, r.source))
	}
	switch {
	case inList && len(item) <= shortItem && !madeOfLines(text):
		r.add(item, itemUnit)
	case facts != nil:
		for _, line := range facts {
			line = tidy(line)
			key, value, _ := strings.Cut(line, ": ")
			if r.subject == "" && subjectKey.is(strings.ToLower(key)) {
				r.subject = value
			}
			r.add(line, factUnit)
		}
	default:
		r.lines(text)
	}
}

// keyValueLines returns the lines of a paragraph in which each has the form "key:
// value", as the heads of memos and letters have; nil for other text.
func keyValueLines(s string) []string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	if len(lines) < 2 {
		return nil
	}
	for i, line := range lines {
		key, value, ok := strings.Cut(line, ": ")
		if !ok || len(key) > 48 || strings.ContainsAny(key, ".;!?") || value == "" {
			return nil
		}
		lines[i] = emphasis.Replace(line)
	}
	return lines
}

var emphasis = strings.NewReplacer("**", "", "`", "")

func (r *reader) prose(s string) {
	for sentence := range sentences(tidy(s)) {
		r.add(sentence, sentenceUnit)
	}
}

func (r *reader) add(s string, kind unitKind) {
	if s == "" || !strings.ContainsFunc(s, isWordRune) {
		return
	}
	if addressesModel(s) {
		r.doc.addressed[r.block] = true
	}
	n := len(r.doc.units)
	first, _, _ := strings.Cut(s, " ")
	leans := n > 0 && r.doc.units[n-1].block == r.block && pronoun.is(strings.ToLower(first))
	terms := terms(s)
	r.doc.units = append(r.doc.units, unit{
		text: s, kind: kind, terms: terms, words: distinct(terms), figures: hasFigure(s),
		section: len(r.doc.sections) - 1, block: r.block, first: !r.opened, leans: leans,
	})
	r.opened = true
}

// toModel matches text that is written to steer a language model, and the JSON of a
// call.
var toModel = lazy.Regexp(`(?i)\b(ignore|disregard|forget|override)\b.{0,40}\b(instruction|instructions|prompt|rules)\b|\bsystem prompt\b|\byou are now\b|"(function_?calls?|tool_?calls?|tool_use)"`)

// steering holds a part of every match of [toModel] that no other character folds
// to, as K (the Kelvin sign) does to k and ſ to s.
var steering = []string{"truction", "prompt", "rule", "you are now", `"function`, `"tool`}

// addressesModel reports whether [toModel] matches. Its search is slow beside that
// for fixed words, and most sentences hold none of them.
func addressesModel(s string) bool {
	lower := strings.ToLower(s)
	return slices.ContainsFunc(steering, func(part string) bool { return strings.Contains(lower, part) }) && toModel().MatchString(s)
}

// table writes each row as a line that stands by itself: "Q4: Revenue 4.2; Churn
// 3.1 %".
func (r *reader) table(t *east.Table) {
	var header []string
	for row := t.FirstChild(); row != nil; row = row.NextSibling() {
		var cells []string
		for c := row.FirstChild(); c != nil; c = c.NextSibling() {
			cells = append(cells, r.inline(c))
		}
		if row.Kind() == east.KindTableHeader {
			header = cells
			continue
		}
		r.add(rowText(header, cells), rowUnit)
	}
}

func rowText(header, cells []string) string {
	var values []string
	for i, cell := range cells {
		switch {
		case i == 0 || cell == "":
		case i < len(header) && header[i] != "":
			values = append(values, header[i]+" "+cell)
		default:
			values = append(values, cell)
		}
	}
	if len(cells) == 0 {
		return ""
	}
	label := cells[0]
	if label == "" || len(values) == 0 {
		return label + strings.Join(values, "; ")
	}
	return label + ": " + strings.Join(values, "; ")
}

// inline returns the text of a block on one line.
func (r *reader) inline(n ast.Node) string { return tidy(markdown.Join(markdown.Inline(n, r.source))) }
