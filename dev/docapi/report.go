package docapi

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// A reportRequest is the body of POST /v1/reports.
type reportRequest struct {
	Title   string   `json:"title"`
	Content string   `json:"content"`
	Sources []string `json:"source_documents,omitempty"`
}

const maxSources = 32

// parseReport decodes and checks a request body. Its errors are written for the
// client.
func parseReport(body []byte, maxContent int64) (*reportRequest, error) {
	var q reportRequest
	if strictjson.Exact(body, &q) != nil {
		return nil, errors.New("the body must be one JSON object with title, content and, if there are any, " +
			"source_documents, and nothing else")
	}
	switch n := utf8.RuneCountInString(q.Title); {
	case strings.TrimSpace(q.Title) == "":
		return nil, errors.New("title is missing")
	case n > maxTitle:
		return nil, fmt.Errorf("title is longer than %d characters", maxTitle)
	case strings.ContainsFunc(q.Title, unfitForTitle):
		return nil, errors.New("title holds control characters")
	case strings.TrimSpace(q.Content) == "":
		return nil, errors.New("content is missing")
	case int64(len(q.Content)) > maxContent:
		return nil, fmt.Errorf("content is longer than %d bytes", maxContent)
	case strings.ContainsFunc(q.Content, unfitForContent):
		return nil, errors.New("content holds control characters")
	case len(q.Sources) > maxSources:
		return nil, fmt.Errorf("source_documents names more than %d documents", maxSources)
	}
	for _, id := range q.Sources {
		if !validID().MatchString(id) {
			return nil, errors.New("source_documents holds an id that is not valid")
		}
	}
	return &q, nil
}

// unfitForTitle reports what would break a title out of its line or make it read
// other than it is: controls, line separators, direction overrides.
func unfitForTitle(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r) ||
		unicode.Is(unicode.Bidi_Control, r)
}

// unfitForContent reports controls that no text needs; a terminal that shows the
// report would obey them.
func unfitForContent(r rune) bool {
	return unicode.IsControl(r) && !strings.ContainsRune("\n\r\t\f", r)
}

// digest tells two payloads apart.
func (q *reportRequest) digest() (string, error) {
	b, err := marshal(q)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// A report is a request together with what the server decided. Equal reports
// have equal files.
type report struct {
	*reportRequest
	ID        string
	CreatedAt time.Time // UTC, whole seconds
	CreatedBy string
}

// validReportID is the form of ids that newReportID makes. It is stricter than
// the API's pattern so that an id can match the end of a file name in one way.
var validReportID = regexp.MustCompile(`^[a-z2-7]{10}$`)

// newReportID returns 50 random bits as 10 characters.
func newReportID() string { return strings.ToLower(rand.Text()[:10]) }

// file returns the report's file name.
func (p *report) file() string { return slug(p.Title) + reportSuffix(p.ID) }

func reportSuffix(id string) string { return "-" + id + ".md" }

// render returns the report's file: front matter, the title as heading, content.
func (p *report) render() ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("---\n")
	for _, line := range []struct {
		key   string
		value any
	}{
		{"id", p.ID},
		{"title", p.Title},
		{"created_at", p.CreatedAt.Format(time.RFC3339)},
		{"created_by", p.CreatedBy},
		{"source_documents", p.Sources},
	} {
		if line.key == "source_documents" && len(p.Sources) == 0 {
			continue
		}
		value, err := json.Marshal(line.value) // JSON scalars and flat lists are YAML
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "%s: %s\n", line.key, value)
	}
	b.WriteString("---\n\n")
	heading := "# " + p.Title
	if first, _, _ := strings.Cut(p.Content, "\n"); strings.TrimSpace(first) != heading {
		b.WriteString(heading + "\n\n")
	}
	b.WriteString(strings.TrimRight(p.Content, "\r\n"))
	b.WriteByte('\n')
	return b.Bytes(), nil
}
