package modelserver

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/internal/strictjson"
)

// MaxBody is the largest request that is read, in bytes.
const MaxBody = 32 << 20

// Config says what is served.
type Config struct {
	// Models are served under the names that they are keyed by. A key that ends in *
	// serves every name that begins so, and is not listed: for clients that take only
	// names such as gemini-2.5-flash. A model sees its own Name in
	// [model.LLMRequest], not the key.
	Models map[string]model.LLM
	// Fallback serves every other name, and sees that name. nil means that unknown
	// names are answered with 404.
	Fallback model.LLM
	// ArgumentPiece is how many bytes of a call's arguments one event of OpenAI's or
	// Anthropic's holds, rounded up to whole characters. 0 and less mean 16, about what
	// OpenAI sends.
	ArgumentPiece int
	// Logger hears why a model failed, at error level, and of each call, at debug
	// level. It is given no prompt and no answer; a model's error text is the
	// model's own. nil discards.
	Logger *slog.Logger
}

// Server is an [http.Handler]. Make one with [New]. It is safe for concurrent use
// if its models are.
type Server struct {
	config  Config
	log     *slog.Logger
	started time.Time
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
	c.Models = maps.Clone(c.Models)
	if c.ArgumentPiece <= 0 {
		c.ArgumentPiece = 16
	}
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	return &Server{config: c, log: c.Logger, started: time.Now()}, nil
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	to := find(r)
	allow := http.MethodPost
	if to.op == opModels {
		allow = http.MethodGet
	}
	switch {
	case to.op == opNone:
		fail(w, to.wire, refuse(http.StatusNotFound, "", "nothing is served at this address: the model server has model lists, chat completions, responses, messages, generateContent and streamGenerateContent"))
	case r.Method != allow:
		w.Header().Set("Allow", allow)
		fail(w, to.wire, refuse(http.StatusMethodNotAllowed, "", "this address takes "+allow))
	case to.op == opModels:
		s.models(w, to)
	default:
		s.call(w, r, to)
	}
}

// models lists the models, or describes the one that to names.
func (s *Server) models(w http.ResponseWriter, to route) {
	if to.model != "" {
		if _, _, ok := s.model(to.model); !ok {
			fail(w, to.wire, unknownModel(to.model))
			return
		}
		write(w, http.StatusOK, to.wire.describe(to.model, s.started))
		return
	}
	all := []any{}
	for _, name := range slices.Sorted(maps.Keys(s.config.Models)) {
		if !strings.HasSuffix(name, "*") {
			all = append(all, to.wire.describe(name, s.started))
		}
	}
	write(w, http.StatusOK, to.wire.list(all))
}

// call answers one request to a model.
func (s *Server) call(w http.ResponseWriter, r *http.Request, to route) {
	body, p := read(w, r)
	if p != nil {
		fail(w, to.wire, p)
		return
	}
	c, p := understood(to, body)
	if p != nil {
		fail(w, to.wire, p)
		return
	}
	llm, name, ok := s.model(c.model)
	if !ok {
		fail(w, to.wire, unknownModel(c.model))
		return
	}
	c.request.Model, c.piece, c.events = name, s.config.ArgumentPiece, r.URL.Query().Get("alt") == "sse"
	s.answer(w, r, llm, c, to.wire)
}

// model returns what serves name, and the name that it is told.
func (s *Server) model(name string) (llm model.LLM, told string, ok bool) {
	if llm, ok = s.config.Models[name]; ok {
		return llm, llm.Name(), true
	}
	for _, key := range slices.Backward(slices.Sorted(maps.Keys(s.config.Models))) { // a longer prefix stands behind its own beginning
		if prefix, open := strings.CutSuffix(key, "*"); open && strings.HasPrefix(name, prefix) {
			return s.config.Models[key], s.config.Models[key].Name(), true
		}
	}
	return s.config.Fallback, name, s.config.Fallback != nil && name != ""
}

// read returns the request's body.
func read(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	// Only a script that asked first may send this type across origins: a web page
	// cannot post to a server on this machine.
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, refuse(http.StatusUnsupportedMediaType, "", "the body must be JSON: set Content-Type: application/json")
	}
	body, err := strictjson.ReadAll(http.MaxBytesReader(w, r.Body, MaxBody), MaxBody)
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, refuse(http.StatusRequestEntityTooLarge, "", fmt.Sprintf("the body is over %d bytes", MaxBody))
	}
	if err != nil {
		return nil, bad("", "the body could not be read")
	}
	return body, nil
}

// WriteError answers r with an error in the shape of the provider whose wire r's
// address belongs to, for tests that stand in front of a Server. reason is OpenAI's
// error code or Google's status, such as context_length_exceeded; empty means the
// usual one for status.
func WriteError(w http.ResponseWriter, r *http.Request, status int, reason, message string) {
	p := refuse(status, "", message)
	p.reason = reason
	fail(w, find(r).wire, p)
}
