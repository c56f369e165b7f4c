package docapi

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of a search.
const (
	maxQuery   = 200 // characters
	maxTerms   = 8   // words of a query
	maxHits    = 20  // documents in an answer
	maxSnippet = 160 // characters
)

// A hit is a document that a search found. It holds no more of the text than a
// reader needs to tell whether to ask for the document.
type hit struct {
	ID      string `json:"id"`
	Title   string `json:"title"`
	Kind    string `json:"kind"`
	Snippet string `json:"snippet"`

	rank int // 0 where all words stand in title and name
}

// searchResult answers GET /v1/documents?query=...
type searchResult struct {
	Documents []hit `json:"documents"`
	Total     int   `json:"total"` // of all hits, also those that the answer has no room for
}

// searchable is what a search looks at, prepared once: a restricted document has
// none.
type searchable struct {
	text  string // on one line
	lower string // of text, rune by rune
	title string // and the file's name, lower case
}

// index prepares a document for searches, if it is not restricted. Even a bare
// id would tell of a restricted document which words stand in it, by one query
// after the other.
func (d *document) index() {
	if d.Classification == restricted {
		return
	}
	text := strings.Join(strings.Fields(d.Content), " ")
	d.search = &searchable{text: text, lower: lower(text), title: lower(d.Title + " " + d.file)}
}

// lower maps rune by rune, so that a place in the result is a place in s.
func lower(s string) string { return strings.Map(unicode.ToLower, s) }

// searchDocuments handles GET /v1/documents?query=...
func (s *Server) searchDocuments(c *call) error {
	if err := s.authenticate(c); err != nil {
		return err
	}
	terms, err := parseSearch(c.r.URL.RawQuery)
	if err != nil {
		return invalid(err.Error())
	}
	if err := s.authorize(c, "search", "documents"); err != nil {
		return err
	}
	var hits []hit
	for _, id := range s.IDs() {
		if h, ok := s.docs[id].match(terms); ok {
			hits = append(hits, h)
		}
	}
	// Stable, so that hits of one rank stay in the order of their ids.
	slices.SortStableFunc(hits, func(a, b hit) int { return cmp.Compare(a.rank, b.rank) })
	result := searchResult{Documents: hits[:min(len(hits), maxHits)], Total: len(hits)}
	for i := range result.Documents {
		h := &result.Documents[i]
		h.Snippet = s.docs[h.ID].search.snippet(terms)
	}
	return c.json(http.StatusOK, result)
}

// everything is the query that every document answers to.
const everything = "*"

// parseSearch returns the words of a query, in lower case; none for [everything].
// Its errors are written for the client.
func parseSearch(raw string) ([]string, error) {
	values, err := url.ParseQuery(raw)
	if err != nil || len(values) != 1 || len(values["query"]) != 1 {
		return nil, errors.New("the path takes exactly one parameter, query")
	}
	query := values["query"][0]
	terms := strings.Fields(lower(query))
	switch {
	case query == everything:
		return nil, nil
	case len(terms) == 0:
		return nil, errors.New("query is empty")
	case !utf8.ValidString(query) || strings.ContainsFunc(query, unfitForTitle):
		return nil, errors.New("query holds control characters")
	case utf8.RuneCountInString(query) > maxQuery:
		return nil, fmt.Errorf("query is longer than %d characters", maxQuery)
	case len(terms) > maxTerms:
		return nil, fmt.Errorf("query has more than %d words", maxTerms)
	}
	return terms, nil
}

// match reports whether every term stands in the title, the file's name or the text,
// and whether all of them stand in title and name.
func (d *document) match(terms []string) (hit, bool) {
	if d.search == nil {
		return hit{}, false
	}
	h := hit{ID: d.ID, Title: d.Title, Kind: d.Kind}
	for _, term := range terms {
		if strings.Contains(d.search.title, term) {
			continue
		}
		h.rank = 1
		if !strings.Contains(d.search.lower, term) {
			return hit{}, false
		}
	}
	return h, true
}

// snippet returns the text around the first term that stands in it, or its
// beginning.
func (s *searchable) snippet(terms []string) string {
	at := 0 // in runes
	for _, term := range terms {
		if i := strings.Index(s.lower, term); i >= 0 {
			at = utf8.RuneCountInString(s.lower[:i])
			break
		}
	}
	rest := []rune(s.text)
	if skip := at - maxSnippet/4; skip > 0 {
		rest = append([]rune("…"), rest[skip:]...)
	}
	if len(rest) > maxSnippet {
		return string(rest[:maxSnippet]) + "…"
	}
	return string(rest)
}
