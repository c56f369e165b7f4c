package docapi

import (
	"cmp"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jitagent/jitagent/internal/markdown"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/strictjson"
)

//go:embed corpus/*.md corpus/*.txt
var corpus embed.FS

// Classifications, from least to most. A restricted document is sensitive.
const (
	defaultClassification = "internal"
	restricted            = "restricted"
)

var classifications = []string{"public", defaultClassification, "confidential", restricted}

const (
	restrictedSuffix = ".restricted" // of a folder, or of a file before its extension
	maxDocuments     = 10_000
	maxFiles         = 100_000 // looked at
	maxTitle         = 200     // characters
	maxID            = 64      // characters
)

// A document as it is served.
type document struct {
	ID             string    `json:"id"`
	Title          string    `json:"title"`
	Kind           string    `json:"kind"`
	Classification string    `json:"classification"`
	ContentType    string    `json:"content_type"` // text/markdown, text/plain or text/csv
	Content        string    `json:"content"`
	UpdatedAt      time.Time `json:"updated_at"`

	file   string      // its path below the directory
	search *searchable // nil when searches do not find it
	doubt  string      // why it counts as restricted, if nobody said so
}

// contentTypes are the files that are served. HTML is served as the Markdown that a
// reader sees of it.
var contentTypes = map[string]string{
	".md": "text/markdown", ".markdown": "text/markdown", ".html": "text/markdown", ".htm": "text/markdown",
	".txt": "text/plain", ".text": "text/plain", ".log": "text/plain", ".csv": "text/csv",
}

// A library is the documents of a directory, and what there is to say of it.
type library struct {
	docs    map[string]*document
	skipped []string // files that are not served, each with the reason
	doubted []string // documents that count as restricted for a doubt, likewise
}

// loadDocuments reads the texts in and below dir, or the embedded corpus for "".
// What cannot be served takes nothing else away: it is skipped, and said.
// Hidden files and folders are passed over.
func loadDocuments(dir string, limits Limits) (*library, error) {
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
	lib := &library{docs: make(map[string]*document)}
	files, total := 0, int64(0)
	err := fs.WalkDir(fsys, ".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil && name == ".":
			return fmt.Errorf("documents directory %s: %w", dir, bare(err))
		case name != "." && strings.HasPrefix(path.Base(name), "."):
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		case err == nil && e.IsDir():
			return nil
		}
		if files++; files > maxFiles {
			lib.skipped = append(lib.skipped, fmt.Sprintf("all that follow (more than %d files)", maxFiles))
			return fs.SkipAll
		}
		var d *document
		if err == nil {
			d, err = loadDocument(fsys, name, limits.Document)
		}
		switch {
		case err != nil:
		case len(lib.docs) == maxDocuments || total+int64(len(d.Content)) > limits.Documents:
			err = fmt.Errorf("over the limit of %d bytes or %d documents", limits.Documents, maxDocuments)
		case lib.docs[d.ID] != nil:
			err = fmt.Errorf("another file has the id %s", d.ID)
		}
		if err != nil {
			reason := bare(err).Error()
			if d == nil && e.Type()&fs.ModeSymlink != 0 {
				reason = "a link to no file of this directory"
			}
			lib.skipped = append(lib.skipped, remark(name, reason))
			return nil
		}
		if d.doubt != "" {
			lib.doubted = append(lib.doubted, remark(name, d.doubt))
		}
		total += int64(len(d.Content))
		d.index()
		lib.docs[d.ID] = d
		return nil
	})
	if err == nil && len(lib.docs) == 0 {
		err = fmt.Errorf("documents directory %s holds no document: %s", dir,
			cmp.Or(strings.Join(lib.remarks(), "; "), "it has no .md, .txt, .html or .csv file"))
	}
	return lib, err
}

func remark(name, reason string) string { return plain.Line(name, 80) + " (" + reason + ")" }

// remarks returns lines for the owner of the directory.
func (l *library) remarks() []string {
	var out []string
	for _, list := range []struct {
		label string
		items []string
	}{{"skipped", l.skipped}, {"restricted, to be safe,", l.doubted}} {
		const shown = 5
		items := list.items
		if len(items) > shown {
			items = append(items[:shown:shown], "...")
		}
		if len(items) > 0 {
			out = append(out, fmt.Sprintf("%s %d: %s", list.label, len(list.items), strings.Join(items, ", ")))
		}
	}
	return out
}

// notInID matches what no id holds.
var notInID = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// documentID returns the id that a file's name below the directory makes, and
// whether the name, or that of a folder, marks the document as restricted. What an id
// cannot hold, and what makes it too long, is a hash in it, so that two files seldom
// share one.
func documentID(name string) (id string, marked bool) {
	name = strings.TrimSuffix(name, path.Ext(name))
	for folder := range strings.SplitSeq(path.Dir(name), "/") {
		_, cut := cutSuffixFold(folder, restrictedSuffix)
		marked = marked || cut || strings.EqualFold(folder, restricted)
	}
	if base, cut := cutSuffixFold(name, restrictedSuffix); cut {
		name, marked = base, true
	}
	id = strings.Trim(notInID.ReplaceAllString(name, "-"), "-")
	foreign := strings.ContainsFunc(name, func(r rune) bool { return r >= utf8.RuneSelf })
	if foreign || id == "" || len(id) > maxID {
		sum := sha256.Sum256([]byte(name))
		id = strings.TrimLeft(fmt.Sprintf("%s-%x", id[:min(len(id), maxID-9)], sum[:4]), "-")
	}
	return id, marked
}

func cutSuffixFold(s, suffix string) (string, bool) {
	at := max(0, len(s)-len(suffix))
	if strings.EqualFold(s[at:], suffix) {
		return s[:at], true
	}
	return s, false
}

func loadDocument(fsys fs.FS, name string, limit int64) (*document, error) {
	ext := strings.ToLower(path.Ext(name))
	contentType := contentTypes[ext]
	if contentType == "" {
		return nil, errors.New("not text")
	}
	// Before it is opened, since opening a pipe would wait for its writer.
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("not a regular file")
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	raw, err := readText(f, limit)
	if err != nil {
		return nil, err
	}
	meta, text, unread := map[string]string(nil), raw, error(nil)
	if contentType != "text/csv" {
		meta, text, unread = markdown.SplitFrontMatter(raw)
	}
	if strings.HasPrefix(ext, ".htm") {
		text = markdown.HTML(text)
	}
	d := &document{
		Title:       oneLine(meta["title"]),
		Kind:        cmp.Or(oneLine(meta["kind"]), "document"),
		ContentType: contentType,
		Content:     text,
		UpdatedAt:   info.ModTime().UTC().Truncate(time.Second),
		file:        name,
	}
	var marked bool
	d.ID, marked = documentID(name)
	d.classify(meta, unread)
	if beside := text; unread == nil {
		if meta == nil {
			beside = raw
		}
		_, named := meta["classification"]
		d.classifyBeside(beside, named)
	}
	if marked {
		d.Classification, d.doubt = restricted, ""
	}
	if at, ok := parseDate(strings.TrimSpace(meta["updated_at"])); ok {
		d.UpdatedAt = at
	}
	switch {
	case d.Title != "":
	case contentType == "text/markdown":
		d.Title = oneLine(markdown.Title(text))
	case contentType == "text/plain":
		d.Title = oneLine(markdown.PlainTitle(text))
	}
	d.Title = cmp.Or(d.Title, d.ID)
	return d, nil
}

// classify takes the classification from front matter, which unread says could not
// be read. What is not known counts as the most restricted.
func (d *document) classify(meta map[string]string, unread error) {
	class, named := meta["classification"]
	class = strings.ToLower(strings.TrimSpace(class))
	switch {
	case unread != nil:
		d.Classification, d.doubt = restricted, unread.Error()
	case !named:
		d.Classification = defaultClassification
	case slices.Contains(classifications, class):
		d.Classification = class
	default:
		d.Classification, d.doubt = restricted, "its classification is none of "+strings.Join(classifications, ", ")
	}
}

// says are lines near the top of a text that may say how it is classified: one that
// names a classification, after fences that are none, in another comment or syntax, or
// with nothing around it; one that names it in other words, as one of the highest; and
// a stamp.
var says = []*regexp.Regexp{
	regexp.MustCompile(`(?i)(?:(?:^|[\r\n])[^\pL\r\n]*|<meta name=["']?)classification["'*_]*(?:\s*[:=]|\s+content=)[\s"'*_]*(\pL*)`),
	regexp.MustCompile(`(?i)(?:^|[\r\n])[^\pL\r\n]*(?:\pL+[ _-]){0,2}classification(?:[ _-]level)?[^\pL\r\n]+(?:strictly |highly |top[ -])?(restricted|confidential|secret)\b`),
	regexp.MustCompile(`(?:^|[\r\n])[^\pL\r\n]*(?:STRICTLY |HIGHLY |TOP[ -])?(RESTRICTED|CONFIDENTIAL|SECRET)[^\pL\r\n]*(?:$|[\r\n])`),
}

// classifyBeside looks where no front matter names a classification for a line that
// does, and where it does, whether the text begins with another one. It is not read,
// but what it says may be more than what is known.
func (d *document) classifyBeside(text string, named bool) {
	const near = 2 << 10
	text = text[:min(len(text), near)]
	if named {
		text = strings.TrimLeftFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
		text, _, _ = strings.Cut(text, "\n")
	}
	for _, line := range says {
		for _, m := range line.FindAllStringSubmatch(text, -1) {
			if class := strings.ToLower(m[1]); class != "public" && class != defaultClassification && class != d.Classification && d.Classification != restricted {
				d.Classification, d.doubt = restricted, "a line says that it is classified in another way than its front matter does"
			}
		}
	}
}

// readText reads all of r, which must be text, in whatever encoding, and at most limit
// bytes. A byte order mark is dropped, or it would hide front matter.
func readText(r io.Reader, limit int64) (string, error) {
	b, err := strictjson.ReadAll(r, limit)
	if err != nil {
		return "", err
	}
	return plain.Decode(b, "")
}

// oneLine returns s on one line, without controls and within [maxTitle].
func oneLine(s string) string { return plain.Line(strings.Join(strings.Fields(s), " "), maxTitle-1) }

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
