package docapi

import (
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jitagent/jitagent/resource"
)

// A call is one request on its way through the server.
type call struct {
	w      *recorder
	r      *http.Request
	token  *resource.Token // nil until authenticated
	reason string          // why it failed, for the log only
}

type methods map[string]func()

// on runs the handler for the request's method; HEAD counts as GET.
func (c *call) on(m methods) {
	method := c.r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	if handle, ok := m[method]; ok {
		handle()
		return
	}
	allow := slices.Sorted(maps.Keys(m))
	if _, ok := m[http.MethodGet]; ok {
		allow = append(allow, http.MethodHead)
	}
	c.w.Header().Set("Allow", strings.Join(allow, ", "))
	c.fail(http.StatusMethodNotAllowed, "method_not_allowed", "this path does not take this method")
}

// fail answers with an error that was written for the client.
func (c *call) fail(status int, code, description string) {
	if c.reason == "" {
		c.reason = description
	}
	resource.WriteError(c.w, status, code, description)
}

// json answers with v.
func (c *call) json(status int, v any) {
	body, err := marshal(v)
	if err != nil {
		c.reason = err.Error()
		c.fail(http.StatusInternalServerError, "server_error", "the answer could not be written")
		return
	}
	c.raw(status, body)
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
		slog.Int("status", c.w.status),
		slog.Duration("duration", took),
	}
	if c.token != nil {
		attrs = append(attrs, slog.String("agent", principal(c.token)), slog.String("task", c.token.TaskID))
	}
	level := slog.LevelInfo
	if c.w.status >= http.StatusInternalServerError {
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

// A recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements [http.ResponseWriter].
func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap serves [http.ResponseController].
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
