package docapi

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/markdown"
	"github.com/jitagent/jitagent/internal/strictjson"
)

// A createdReport answers POST /v1/reports.
type createdReport struct {
	ID        string    `json:"id"`
	Title     string    `json:"title"`
	Path      string    `json:"path"` // of the file, below the reports directory
	URL       string    `json:"url"`
	CreatedAt time.Time `json:"created_at"`
	Bytes     int       `json:"bytes"` // of the file
}

// A servedReport answers GET /v1/reports/{id}.
type servedReport struct {
	ID          string    `json:"id"`
	Title       string    `json:"title"`
	ContentType string    `json:"content_type"`
	Content     string    `json:"content"` // with the title as its heading
	CreatedAt   time.Time `json:"created_at"`
	CreatedBy   string    `json:"created_by"`
}

// postReport handles POST /v1/reports.
func (s *Server) postReport(c *call) {
	if !s.authenticate(c) || !s.authorize(c, "write", "reports") {
		return
	}
	key, ok := idempotencyKey(c.r.Header)
	if !ok {
		c.fail(http.StatusBadRequest, "invalid_request",
			"Idempotency-Key must be one value of 1 to 128 visible ASCII characters")
		return
	}
	q, ok := s.readReport(c)
	if !ok {
		return
	}
	fresh := &report{
		reportRequest: q,
		ID:            newReportID(),
		CreatedAt:     s.now().UTC().Truncate(time.Second),
		CreatedBy:     principal(c.token),
	}
	if key == "" {
		if body, ok := s.makeReport(c, fresh); ok {
			s.created(c, fresh.ID, body)
		}
		return
	}
	s.postOnce(c, key, fresh)
}

// postOnce makes the report p unless key made it before.
func (s *Server) postOnce(c *call, key string, p *report) {
	digest, err := p.digest()
	if err != nil {
		c.reason = err.Error()
		c.fail(http.StatusInternalServerError, "server_error", "the request could not be handled")
		return
	}
	// What is begun is finished when the client leaves.
	ctx := context.WithoutCancel(c.r.Context())
	kind, name := owner(c.token)
	use := s.keys.use(kind, name, key)
	entry, err := use.begin(ctx, digest, p.ID, p.CreatedAt)
	switch {
	case errors.Is(err, errInFlight):
		c.w.Header().Set("Retry-After", "1")
		c.fail(http.StatusConflict, "conflict", "a request with this Idempotency-Key is being handled")
		return
	case errors.Is(err, errOtherPayload):
		c.fail(http.StatusUnprocessableEntity, "invalid_request",
			"this Idempotency-Key was used with another request body")
		return
	case err != nil:
		s.cannotWrite(c, "cannot record the request", err)
		return
	}
	defer use.end()
	if entry.response != nil {
		c.w.Header().Set("Idempotent-Replayed", "true")
		s.created(c, entry.reportID, entry.response)
		return
	}
	// An entry without a response is new, or its try did not get to the end. The
	// report keeps the id and time of the first try, so that a file which that try
	// did write is found and not written twice.
	p.ID, p.CreatedAt = entry.reportID, entry.createdAt
	body, ok := s.makeReport(c, p)
	if !ok {
		return
	}
	if err := use.done(ctx, body); err != nil {
		// The report is there, and the entry leads the next try to it.
		c.reason = "response not recorded: " + err.Error()
	}
	s.created(c, p.ID, body)
}

// makeReport writes the file of p and returns the answer's body, or answers with
// what went wrong.
func (s *Server) makeReport(c *call, p *report) ([]byte, bool) {
	data, err := p.render()
	if err == nil {
		err = s.writeReport(p.file(), data)
	}
	if err != nil {
		s.cannotWrite(c, "cannot write the report", err)
		return nil, false
	}
	body, err := marshal(createdReport{
		ID:        p.ID,
		Title:     p.Title,
		Path:      p.file(),
		URL:       s.reportURL(p.ID),
		CreatedAt: p.CreatedAt,
		Bytes:     len(data),
	})
	if err != nil {
		s.cannotWrite(c, "cannot answer", err)
		return nil, false
	}
	return body, true
}

func (s *Server) created(c *call, id string, body []byte) {
	c.w.Header().Set("Location", s.reportURL(id))
	c.raw(http.StatusCreated, body)
}

func (s *Server) reportURL(id string) string { return s.base + reportsPath + "/" + id }

// cannotWrite answers 507 when space would help and 500 otherwise, with the class
// of err and not its text, which holds paths.
func (s *Server) cannotWrite(c *call, what string, err error) {
	c.reason = err.Error()
	words, full := diskError(err)
	if full {
		c.fail(http.StatusInsufficientStorage, "insufficient_storage", what+": "+words)
		return
	}
	c.fail(http.StatusInternalServerError, "server_error", what+": "+words)
}

// readReport reads and decodes the body, or answers.
func (s *Server) readReport(c *call) (*reportRequest, bool) {
	if !isJSON(c.r.Header) {
		c.fail(http.StatusUnsupportedMediaType, "invalid_request", "the body must be sent as application/json")
		return nil, false
	}
	// The server's own writer, so that it hears of a body over the limit and
	// closes the connection.
	body, err := strictjson.ReadAll(http.MaxBytesReader(c.w.ResponseWriter, c.r.Body, s.limits.Body), s.limits.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		c.fail(http.StatusRequestEntityTooLarge, "invalid_request", "the body is too large")
		return nil, false
	}
	if err != nil {
		c.reason = err.Error()
		c.fail(http.StatusBadRequest, "invalid_request", "the body could not be read")
		return nil, false
	}
	q, err := parseReport(body, s.limits.Content)
	if err != nil {
		c.fail(http.StatusBadRequest, "invalid_request", err.Error()) // written for the client
		return nil, false
	}
	return q, true
}

// isJSON reports whether the body is plain UTF-8 JSON.
func isJSON(h http.Header) bool {
	if len(h.Values("Content-Encoding")) > 0 || len(h.Values("Content-Type")) != 1 {
		return false
	}
	kind, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err != nil || kind != "application/json" {
		return false
	}
	charset, named := params["charset"]
	return !named || strings.EqualFold(charset, "utf-8")
}

// getReport handles GET /v1/reports/{id}.
func (s *Server) getReport(c *call, id string) {
	if !s.authenticate(c) {
		return
	}
	if !validID.MatchString(id) {
		c.fail(http.StatusBadRequest, "invalid_request", "the report id is not valid")
		return
	}
	// No document id holds a slash, so no authority over one reaches a report.
	if !s.authorize(c, "read", "reports/"+id) {
		return
	}
	p, err := s.findReport(id)
	if err != nil {
		c.reason = err.Error()
		words, _ := diskError(err)
		c.fail(http.StatusInternalServerError, "server_error", "cannot read the report: "+words)
		return
	}
	if p == nil {
		c.fail(http.StatusNotFound, "not_found", "there is no such report")
		return
	}
	c.json(http.StatusOK, p)
}

// findReport returns the report id, or nil when there is none. The directory may
// hold files of other origin: only one whose front matter has the id counts.
func (s *Server) findReport(id string) (*servedReport, error) {
	if !validReportID.MatchString(id) {
		return nil, nil
	}
	text, err := s.reportFile(id)
	if err != nil || text == "" {
		return nil, err
	}
	meta, content, err := markdown.SplitFrontMatter(text)
	at, dated := parseDate(meta["created_at"])
	if err != nil || meta["id"] != id || !dated {
		return nil, nil
	}
	return &servedReport{
		ID:          id,
		Title:       meta["title"],
		ContentType: "text/markdown",
		Content:     content,
		CreatedAt:   at,
		CreatedBy:   meta["created_by"],
	}, nil
}
