package modelserver

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"time"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// DefaultMaxBody is the largest request that is read, in bytes, unless Config says
// otherwise.
const DefaultMaxBody = 32 << 20

// Config says what is served.
type Config struct {
	// Models are served under the names that they are keyed by. A model sees its own
	// Name in [model.LLMRequest], not the key.
	Models map[string]model.LLM
	// Fallback serves every other name, and sees that name. nil means that unknown
	// names are answered with 404.
	Fallback model.LLM
	// MaxBody bounds a request's body, in bytes. 0 means DefaultMaxBody.
	MaxBody int64
	// ArgumentPiece is how many bytes of a call's arguments one OpenAI event holds,
	// rounded up to whole characters. 0 means 16, about what OpenAI sends.
	ArgumentPiece int
	// Logger hears why a model failed, at error level, and of each call, at debug
	// level. It is given no prompt and no answer; a model's error text is the
	// model's own. nil discards.
	Logger *slog.Logger
}

// Server is an [http.Handler]. Make one with [New]. It is safe for concurrent use
// if its models are.
type Server struct {
	models   map[string]model.LLM
	fallback model.LLM
	maxBody  int64
	piece    int
	log      *slog.Logger
	started  time.Time
}

var _ http.Handler = (*Server)(nil)

// New returns a server for the models in c, or an error that says what c lacks.
func New(c Config) (*Server, error) {
	if len(c.Models) == 0 && c.Fallback == nil {
		return nil, errors.New("modelserver: no model to serve: set Models or Fallback")
	}
	for name, llm := range c.Models {
		if name == "" || llm == nil {
			return nil, fmt.Errorf("modelserver: model %q: a name and a model are needed", name)
		}
	}
	if c.MaxBody < 0 || c.ArgumentPiece < 0 {
		return nil, errors.New("modelserver: MaxBody and ArgumentPiece may not be negative")
	}
	s := &Server{models: maps.Clone(c.Models), fallback: c.Fallback, maxBody: c.MaxBody, piece: c.ArgumentPiece, log: c.Logger, started: time.Now()}
	if s.maxBody == 0 {
		s.maxBody = DefaultMaxBody
	}
	if s.piece == 0 {
		s.piece = 16
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s, nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	to := find(r)
	wire := to.wire
	if to.op == opNone {
		wire.fail(w, refuse(http.StatusNotFound, "", "there is nothing at this address"))
		return
	}
	if allow := to.op.method(); r.Method != allow {
		w.Header().Set("Allow", allow)
		wire.fail(w, refuse(http.StatusMethodNotAllowed, "", "this address takes "+allow))
		return
	}
	switch to.op {
	case opList:
		s.write(w, r, wire.list(slices.Sorted(maps.Keys(s.models)), s.started))
	case opGet:
		if _, _, ok := s.model(to.model); !ok {
			wire.fail(w, unknownModel(to.model))
			return
		}
		s.write(w, r, wire.describe(to.model, s.started))
	case opChat, opGenerate, opStream:
		s.call(w, r, to)
	}
}

// call answers one request to a model.
func (s *Server) call(w http.ResponseWriter, r *http.Request, to route) {
	body, problem := s.read(w, r)
	if problem != nil {
		to.wire.fail(w, problem)
		return
	}
	c, problem := to.wire.decode(body, to)
	if problem != nil {
		to.wire.fail(w, problem)
		return
	}
	llm, name, ok := s.model(c.model)
	if !ok {
		to.wire.fail(w, unknownModel(c.model))
		return
	}
	c.request.Model = name
	s.answer(w, r, llm, c, to.wire.encoder(s, w, r, c))
}

// model returns what serves name, and the name that it is told.
func (s *Server) model(name string) (llm model.LLM, told string, ok bool) {
	if llm, ok = s.models[name]; ok {
		return llm, llm.Name(), true
	}
	return s.fallback, name, s.fallback != nil && name != ""
}

// read returns the request's body.
func (s *Server) read(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	// Only a script that asked first may send this type across origins: a web page
	// cannot post to a server on this machine.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "", "the body must be JSON: set Content-Type: application/json")
	}
	body, err := strictjson.ReadAll(http.MaxBytesReader(w, r.Body, s.maxBody), s.maxBody)
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return nil, refuse(http.StatusRequestEntityTooLarge, "", fmt.Sprintf("the body is over %d bytes", s.maxBody))
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "", "the body could not be read")
	}
	return body, nil
}

// write answers with v as JSON. v is one of this package's own values.
func (s *Server) write(w http.ResponseWriter, r *http.Request, v any) {
	text, err := encode(v)
	if err != nil {
		s.log.ErrorContext(r.Context(), "answer not encoded", "error", err)
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // the client is gone: nobody to tell
}

// WriteError answers r with an error in the shape of the provider whose wire r's
// address belongs to, for tests that stand in front of a Server. reason is OpenAI's
// error code or Google's status, such as context_length_exceeded; empty means the
// usual one for status.
func WriteError(w http.ResponseWriter, r *http.Request, status int, reason, message string) {
	p := refuse(status, "", message)
	p.reason = reason
	find(r).wire.fail(w, p)
}
