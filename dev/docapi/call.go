package docapi

import (
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/resource"
)

// A call is one request on its way through the server.
type call struct {
	w      *serve.StatusWriter
	r      *http.Request
	token  *resource.Token // nil until authenticated
	reason string          // why it failed, for the log only
}

// A refusal is an answer other than what was asked for. Its text was written for the
// client; the cause is for the log.
type refusal struct {
	status     int
	code, text string
	cause      error // may be nil
}

func (e *refusal) Error() string { return e.text }

func refuse(status int, code, text string) error {
	return &refusal{status: status, code: code, text: text}
}

// invalid is the answer to what a client sent wrong.
func invalid(text string) error { return refuse(http.StatusBadRequest, "invalid_request", text) }

// broken is the answer to what the server cannot do.
func broken(text string, cause error) error {
	return &refusal{http.StatusInternalServerError, "server_error", text, cause}
}

// errAnswered says that an answer has been written.
var errAnswered = errors.New("answered")

// on runs the handler of a path that takes one method; HEAD counts as GET.
func (c *call) on(method string, handle func() error) error {
	allow := method
	if method == http.MethodGet {
		allow = "GET, HEAD"
	}
	if c.r.Method == method || c.r.Method == http.MethodHead && method == http.MethodGet {
		return handle()
	}
	c.w.Header().Set("Allow", allow)
	return refuse(http.StatusMethodNotAllowed, "method_not_allowed", "this path does not take this method")
}

// fail answers with an error.
func (c *call) fail(err error) {
	e, ok := errors.AsType[*refusal](err)
	switch {
	case !ok: // answered already
	case e.cause != nil:
		c.reason = e.cause.Error()
	default:
		c.reason = e.text
	}
	if ok {
		resource.WriteError(c.w, e.status, e.code, e.text)
	}
}

// json answers with v.
func (c *call) json(status int, v any) error {
	body, err := marshal(v)
	if err != nil {
		return broken("the answer could not be written", err)
	}
	c.raw(status, body)
	return nil
}

// raw answers with JSON text. Protected content is not for shared caches.
func (c *call) raw(status int, body []byte) {
	h := c.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(body) // a client that has left is no concern
}

// maxLoggedPath keeps a hostile path from filling the log.
const maxLoggedPath = 200

// log writes the request's one line. The query stays out: it is the place where
// clients put tokens by mistake.
func (c *call) log(log *slog.Logger, took time.Duration) {
	path := c.r.URL.EscapedPath()
	if len(path) > maxLoggedPath {
		path = path[:maxLoggedPath] + "..."
	}
	attrs := []slog.Attr{
		slog.String("method", c.r.Method),
		slog.String("path", path),
		slog.Int("status", c.w.Status),
		slog.Duration("duration", took),
	}
	if c.token != nil {
		attrs = append(attrs, slog.String("agent", principal(c.token)), slog.String("task", c.token.TaskID))
	}
	level := slog.LevelInfo
	if c.w.Status >= http.StatusInternalServerError {
		level = slog.LevelError
	}
	if c.reason != "" {
		attrs = append(attrs, slog.String("reason", c.reason))
	}
	log.LogAttrs(c.r.Context(), level, "request", attrs...)
}

// principal names who calls, the same for an agent's base token and for those of
// its tasks wherever the token allows: the subject of a JIT token changes with
// the task.
func principal(t *resource.Token) string {
	_, name := owner(t)
	return name
}

// owner is principal with the kind of name that it is.
func owner(t *resource.Token) (kind, name string) {
	switch {
	case t.ClientID != "":
		return "client", t.ClientID
	case t.AgentID != "":
		return "agent", t.AgentID
	}
	return "subject", t.Subject
}
