package docapi

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jitagent/jitagent/internal/markdown"
	"github.com/jitagent/jitagent/internal/strictjson"
)

//go:embed corpus/*.md corpus/*.txt
var corpus embed.FS

// Classifications, from least to most. A restricted document is sensitive.
const (
	defaultClassification = "internal"
	restricted            = "restricted"
)

var classifications = map[string]bool{"public": true, defaultClassification: true, "confidential": true, restricted: true}

const (
	restrictedSuffix = ".restricted" // of a file name, before its extension
	maxDocuments     = 10_000
	maxTitle         = 200 // characters
)

// A document as it is served.
type document struct {
	ID             string    `json:"id"`
	Title          string    `json:"title"`
	Kind           string    `json:"kind"`
	Classification string    `json:"classification"`
	ContentType    string    `json:"content_type"` // text/markdown or text/plain
	Content        string    `json:"content"`
	UpdatedAt      time.Time `json:"updated_at"`

	search *searchable // nil when searches do not find it
	doubt  string      // why it counts as restricted, if nobody said so
}

var contentTypes = map[string]string{".md": "text/markdown", ".txt": "text/plain"}

// loadDocuments reads the .md and .txt files right below dir, or the embedded
// corpus for "". Files whose names make no id are skipped; every other file must
// be whole, since a document that silently is not there looks like one that never
// was.
func loadDocuments(dir string, limits Limits, log *slog.Logger) (map[string]*document, error) {
	var fsys fs.FS
	if dir == "" {
		sub, err := fs.Sub(corpus, "corpus")
		if err != nil {
			return nil, err
		}
		fsys = sub
	} else {
		// Nothing outside the directory is served, whatever links it holds.
		root, err := os.OpenRoot(dir)
		if err != nil {
			return nil, fmt.Errorf("documents directory: %w", err)
		}
		defer func() { _ = root.Close() }()
		fsys = root.FS()
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("documents directory %s: %w", dir, err)
	}
	docs := make(map[string]*document)
	skipped, total := 0, int64(0)
	for _, e := range entries {
		id, suffix, ok := documentID(e.Name())
		if !ok || e.IsDir() {
			skipped++
			log.Debug("not a document", "name", e.Name())
			continue
		}
		d, err := loadDocument(fsys, e.Name(), limits.Document)
		if err != nil {
			return nil, fmt.Errorf("document %s: %w", e.Name(), err)
		}
		d.ID = id
		if suffix {
			d.Classification = restricted
		}
		if d.doubt != "" {
			log.Warn("a document counts as restricted, to be safe", "name", e.Name(), "reason", d.doubt)
		}
		if d.Title == "" {
			d.Title = id
		}
		if docs[id] != nil {
			return nil, fmt.Errorf("document %s: another file has the id %s too", e.Name(), id)
		}
		d.index()
		docs[id] = d
		if total += int64(len(d.Content)); total > limits.Documents || len(docs) > maxDocuments {
			return nil, fmt.Errorf("documents directory holds more than %d bytes or %d documents",
				limits.Documents, maxDocuments)
		}
	}
	if skipped > 0 {
		log.Warn("files that are not documents are not served", "count", skipped,
			"want", "names of letters, digits, _ and - that end in .md or .txt")
	}
	if len(docs) == 0 {
		return nil, fmt.Errorf("documents directory %s holds no .md or .txt document", dir)
	}
	return docs, nil
}

// documentID returns the id that a file's name makes, and whether the name marks
// the document as restricted.
func documentID(name string) (id string, restricted, ok bool) {
	ext := path.Ext(name)
	if contentTypes[ext] == "" {
		return "", false, false
	}
	id, restricted = strings.CutSuffix(strings.TrimSuffix(name, ext), restrictedSuffix)
	return id, restricted, validID.MatchString(id)
}

func loadDocument(fsys fs.FS, name string, limit int64) (*document, error) {
	// Before it is opened, since opening a pipe would wait for its writer.
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, bare(err)
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, bare(err)
	}
	defer func() { _ = f.Close() }()
	raw, err := readText(f, limit)
	if err != nil {
		return nil, bare(err)
	}
	meta, text, err := markdown.SplitFrontMatter(raw)
	d := &document{
		Title:          oneLine(meta["title"]),
		Kind:           oneLine(meta["kind"]),
		Classification: strings.ToLower(strings.TrimSpace(meta["classification"])),
		ContentType:    contentTypes[path.Ext(name)],
		Content:        text,
		UpdatedAt:      info.ModTime().UTC().Truncate(time.Second),
	}
	// What is not known counts as the most restricted.
	_, named := meta["classification"]
	switch {
	case err != nil:
		d.doubt, d.Classification = err.Error(), restricted
	case !named:
		d.Classification = defaultClassification
	case !classifications[d.Classification]:
		d.doubt, d.Classification = "its classification is none of public, internal, confidential and restricted", restricted
	}
	if at, ok := parseDate(strings.TrimSpace(meta["updated_at"])); ok {
		d.UpdatedAt = at
	}
	if d.Kind == "" {
		d.Kind = "document"
	}
	if d.Title == "" {
		d.Title = titleOf(text)
	}
	return d, nil
}

// readText reads all of r, which must be UTF-8 and at most limit bytes. A byte
// order mark is dropped, or it would hide front matter.
func readText(r io.Reader, limit int64) (string, error) {
	b, err := strictjson.ReadAll(r, limit)
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errors.New("not UTF-8 text")
	}
	return strings.TrimPrefix(string(b), "\ufeff"), nil
}

// titleOf returns the first Markdown heading, or else the first line with letters.
func titleOf(text string) string {
	first := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if heading := strings.TrimLeft(line, "#"); heading != line && strings.HasPrefix(heading, " ") {
			return shorten(strings.TrimSpace(heading))
		}
		if first == "" && strings.ContainsFunc(line, unicode.IsLetter) {
			first = line
		}
	}
	return shorten(first)
}

// oneLine returns s on one line, without controls and within [maxTitle].
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if unfitForTitle(r) {
			return ' '
		}
		return r
	}, s)
	return shorten(strings.Join(strings.Fields(s), " "))
}

func shorten(s string) string {
	if r := []rune(s); len(r) > maxTitle {
		return string(r[:maxTitle-3]) + "..."
	}
	return s
}

// dates are the ways in which sites write a time. One without a zone is in UTC.
var dates = []string{
	time.RFC3339, time.DateOnly, "2006-01-02T15:04:05", time.DateTime, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05Z07:00",
}

func parseDate(s string) (time.Time, bool) {
	for _, layout := range dates {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), true
		}
	}
	return time.Time{}, false
}

// bare drops the operation and path from a file error: the caller names the
// file.
func bare(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
