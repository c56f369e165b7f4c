package docapi

import (
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
func (s *Server) postReport(c *call) error {
	if err := s.authenticate(c); err != nil {
		return err
	}
	if err := s.authorize(c, "write", "reports"); err != nil {
		return err
	}
	key, ok := idempotencyKey(c.r.Header)
	if !ok {
		return invalid("Idempotency-Key must be one value of 1 to 128 visible ASCII characters")
	}
	q, err := s.readReport(c)
	if err != nil {
		return err
	}
	p := &report{
		reportRequest: q,
		ID:            newReportID(),
		CreatedAt:     s.now().UTC().Truncate(time.Second),
		CreatedBy:     principal(c.token),
	}
	var body []byte
	if key == "" {
		body, err = s.makeReport(p)
	} else {
		body, err = s.makeOnce(c, key, p)
	}
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", s.reportURL(p.ID))
	c.raw(http.StatusCreated, body)
	return nil
}

// makeOnce makes the report p unless key made it before, and gives p the id of the
// one that was made.
func (s *Server) makeOnce(c *call, key string, p *report) ([]byte, error) {
	digest, err := p.digest()
	if err != nil {
		return nil, broken("the request could not be handled", err)
	}
	kind, name := owner(c.token)
	key = hash(kind, name, key) // of different clients never meet
	entry, err := s.keys.begin(hash(kind, name), key, digest, p.ID, p.CreatedAt)
	switch {
	case errors.Is(err, errInFlight):
		c.w.Header().Set("Retry-After", "1")
		return nil, refuse(http.StatusConflict, "conflict", "a request with this Idempotency-Key is being handled")
	case errors.Is(err, errOtherPayload):
		return nil, refuse(http.StatusUnprocessableEntity, "invalid_request", "this Idempotency-Key was used with another request body")
	case err != nil:
		return nil, cannot("record the request", err)
	}
	defer s.keys.end(key)
	// The report keeps the id and time of the first try: an entry without a response is
	// new, or its try did not get to the end, and a file which that try did write is
	// found and not written twice.
	p.ID, p.CreatedAt = entry.reportID, entry.createdAt
	if entry.response != nil {
		c.w.Header().Set("Idempotent-Replayed", "true")
		return entry.response, nil
	}
	body, err := s.makeReport(p)
	if err != nil {
		return nil, err
	}
	if err := s.keys.done(key, body); err != nil {
		// The report is there, and the entry leads the next try to it.
		c.reason = "response not recorded: " + err.Error()
	}
	return body, nil
}

// makeReport writes the file of p and returns the answer's body.
func (s *Server) makeReport(p *report) ([]byte, error) {
	data, err := p.render()
	if err == nil {
		err = s.writeReport(p.file(), data)
	}
	if err != nil {
		return nil, cannot("write the report", err)
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
		return nil, cannot("answer", err)
	}
	return body, nil
}

func (s *Server) reportURL(id string) string { return s.base + reportsPath + "/" + id }

// cannot is 507 when space would help and 500 otherwise, with the class of err and
// not its text, which holds paths.
func cannot(what string, err error) error {
	words, full := diskError(err)
	text := "cannot " + what + ": " + words
	if full {
		return &refusal{http.StatusInsufficientStorage, "insufficient_storage", text, err}
	}
	return broken(text, err)
}

// readReport reads and decodes the body.
func (s *Server) readReport(c *call) (*reportRequest, error) {
	if !isJSON(c.r.Header) {
		return nil, refuse(http.StatusUnsupportedMediaType, "invalid_request", "the body must be sent as application/json")
	}
	// The server's own writer, so that it hears of a body over the limit and
	// closes the connection.
	body, err := strictjson.ReadAll(http.MaxBytesReader(c.w.ResponseWriter, c.r.Body, s.limits.Body), s.limits.Body)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, refuse(http.StatusRequestEntityTooLarge, "invalid_request", "the body is too large")
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, "invalid_request", "the body could not be read", err}
	}
	q, err := parseReport(body, s.limits.Content)
	if err != nil {
		return nil, invalid(err.Error()) // written for the client
	}
	return q, nil
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

// getReport handles GET /v1/reports/{id}. No document id holds a slash, so no
// authority over one reaches a report.
func (s *Server) getReport(c *call, id string) error {
	if err := s.authorizeRead(c, "report", "reports/", id); err != nil {
		return err
	}
	p, err := s.findReport(id)
	switch {
	case err != nil:
		words, _ := diskError(err)
		return broken("cannot read the report: "+words, err)
	case p == nil:
		return refuse(http.StatusNotFound, "not_found", "there is no such report")
	}
	return c.json(http.StatusOK, p)
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
