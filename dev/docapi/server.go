package docapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// A TokenVerifier verifies the access token of a request. [resource.Verifier]
// does; its errors decide the answer, through [resource.Refuse].
type TokenVerifier interface {
	Verify(ctx context.Context, r *http.Request) (*resource.Token, error)
}

// Config says what the API serves and to whom.
type Config struct {
	// BaseURL is this API's own origin as clients see it, such as
	// http://127.0.0.1:8085. It becomes the location of every demand. Required.
	BaseURL string

	// Documents is a directory whose texts are served, those in its folders too: .md,
	// .markdown, .txt, .text, .log, .csv, .html and .htm. "" is the embedded corpus.
	Documents string

	// Reports is the directory for reports; "" is ./reports. It is created when
	// the first report is made.
	Reports string

	// StateDir keeps idempotency keys over restarts. It is created when missing.
	// "" keeps them in memory.
	StateDir string

	// Verifier decides which tokens are good. Required.
	Verifier TokenVerifier

	// Logger gets one line for each request; nil discards them.
	Logger *slog.Logger

	// Now tells the time; nil is time.Now.
	Now func() time.Time

	Limits Limits
}

// Limits bounds what the API takes and keeps. A zero field has its default.
type Limits struct {
	Document  int64         // bytes of one document; 4 MiB
	Documents int64         // bytes of all documents; 64 MiB
	Content   int64         // bytes of a report's content; 1 MiB
	Body      int64         // bytes of a request body; 4 MiB, for escaped content
	Keys      int           // idempotency keys kept for each client; 10 000
	KeyAge    time.Duration // how long a key is kept; 7 days
}

func (l *Limits) setDefaults() {
	l.Document = cmp.Or(l.Document, 4<<20)
	l.Documents = cmp.Or(l.Documents, 64<<20)
	l.Content = cmp.Or(l.Content, 1<<20)
	l.Body = cmp.Or(l.Body, 4<<20)
	l.Keys = cmp.Or(l.Keys, 10_000)
	l.KeyAge = cmp.Or(l.KeyAge, 7*24*time.Hour)
}

// A Server is the API. It is an [http.Handler] and safe for concurrent use.
type Server struct {
	base     string
	verifier TokenVerifier
	log      *slog.Logger
	now      func() time.Time
	limits   Limits
	docs     map[string]*document
	remarks  []string
	reports  string
	write    func(path string, data []byte, mode fs.FileMode) error // [disk.Create]
	keys     *keyStore
}

var _ http.Handler = (*Server)(nil)

// New reads the documents and opens the state. Every mistake in cfg, an
// unreadable documents directory among them, is one error here. Close the Server
// when it serves no more.
func New(cfg Config) (*Server, error) {
	base, err := serve.Origin(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("docapi: BaseURL %w", err)
	}
	if cfg.Verifier == nil {
		return nil, errors.New("docapi: Verifier is missing")
	}
	s := &Server{
		base:     base,
		verifier: cfg.Verifier,
		log:      cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)),
		now:      cfg.Now,
		limits:   cfg.Limits,
	}
	s.limits.setDefaults()
	if s.now == nil {
		s.now = time.Now
	}
	lib, err := loadDocuments(cfg.Documents, s.limits)
	if err != nil {
		return nil, fmt.Errorf("docapi: %w", err)
	}
	s.docs, s.remarks = lib.docs, lib.remarks()
	for _, line := range s.remarks {
		s.log.Warn("documents", "remark", line)
	}
	s.reports, s.write = cmp.Or(cfg.Reports, "reports"), disk.Create
	if s.keys, err = openKeys(cfg.StateDir, s.limits, s.now); err != nil {
		return nil, fmt.Errorf("docapi: state: %w", err)
	}
	return s, nil
}

// Close releases the state. Requests must have ended.
func (s *Server) Close() error { return s.keys.close() }

// IDs returns the ids of all documents, sorted.
func (s *Server) IDs() []string { return s.ids(func(*document) bool { return true }) }

// Remarks returns lines for whoever owns the documents directory: how many files
// are not served, and how many documents count as restricted since nobody could
// tell, each with their first names and why. There are none where all is well.
func (s *Server) Remarks() []string { return slices.Clone(s.remarks) }

// Sensitive returns the sorted ids of the documents that are classified as
// restricted: reading them is high risk.
func (s *Server) Sensitive() []string {
	return s.ids(func(d *document) bool { return d.Classification == restricted })
}

func (s *Server) ids(want func(*document) bool) []string {
	var ids []string
	for id, d := range s.docs {
		if want(d) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

const (
	documentsPath = "/v1/documents"
	reportsPath   = "/v1/reports"
)

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{w: &serve.StatusWriter{ResponseWriter: w}, r: r}
	start := s.now()
	if err := s.route(c); err != nil {
		c.fail(err)
	}
	c.log(s.log, s.now().Sub(start))
}

// route works on the escaped path, so that an encoded slash stays inside its
// segment, and never redirects: a redirect would have a client move its token.
func (s *Server) route(c *call) error {
	path := c.r.URL.EscapedPath()
	switch path {
	case documentsPath:
		return c.on(http.MethodGet, func() error { return s.searchDocuments(c) })
	case reportsPath:
		return c.on(http.MethodPost, func() error { return s.postReport(c) })
	}
	if id, ok := segment(path, documentsPath+"/"); ok {
		return c.on(http.MethodGet, func() error { return s.getDocument(c, id) })
	}
	if id, ok := segment(path, reportsPath+"/"); ok {
		return c.on(http.MethodGet, func() error { return s.getReport(c, id) })
	}
	return refuse(http.StatusNotFound, "not_found", "there is nothing at this path")
}

// segment returns the one unescaped segment that follows prefix in path.
func segment(path, prefix string) (string, bool) {
	rest, ok := strings.CutPrefix(path, prefix)
	if !ok || rest == "" || strings.Contains(rest, "/") {
		return "", false
	}
	id, err := url.PathUnescape(rest)
	return id, err == nil
}

var validID = lazy.Regexp(`^[A-Za-z0-9_-]{1,64}$`)

// authenticate fills in c.token, or answers.
func (s *Server) authenticate(c *call) (err error) {
	if c.token, err = s.verifier.Verify(c.r.Context(), c.r); err != nil {
		c.token, c.reason = nil, err.Error()
		resource.Refuse(c.w, "documents", err)
		return errAnswered
	}
	if c.token.Nonce != "" {
		c.w.Header().Set(dpop.HeaderNonce, c.token.Nonce)
	}
	return nil
}

// authorize reports whether the token covers action on identifier; if not, it
// answers with what would.
func (s *Server) authorize(c *call, action, identifier string) error {
	need := rar.Detail{
		Type:       "file_access",
		Actions:    []string{action},
		Identifier: identifier,
		Locations:  []string{s.base},
	}
	if c.token.Covers(need) {
		return nil
	}
	c.reason = "more authority needed"
	resource.Challenge(c.w, need)
	return errAnswered
}

// authorizeRead is authenticate, the check of an id, and authorize.
func (s *Server) authorizeRead(c *call, what, prefix, id string) error {
	if err := s.authenticate(c); err != nil {
		return err
	}
	if !validID().MatchString(id) {
		return invalid("the " + what + " id is not valid")
	}
	return s.authorize(c, "read", prefix+id)
}

// getDocument handles GET /v1/documents/{id}.
func (s *Server) getDocument(c *call, id string) error {
	if err := s.authorizeRead(c, "document", "", id); err != nil {
		return err
	}
	d, ok := s.docs[id]
	if !ok {
		return refuse(http.StatusNotFound, "not_found", "there is no such document")
	}
	return c.json(http.StatusOK, d)
}

// marshal encodes an answer.
func marshal(v any) ([]byte, error) { return json.Marshal(v, json.Deterministic(true)) }
