// Package a2a serves an application's agent to other agents and their programs, over the
// Agent2Agent protocol (https://a2a-protocol.org/v1.0.0/specification), by JSON-RPC.
//
// A context is a session of the user's, and a task is what is done about a message in it.
// There is no other record of tasks: the event that stores a message names its task, in
// what it changes of the session's state, and all else follows from the events, from what
// waits in the session and from what is under way.
//
// Invariants:
//
//   - A user sees and uses their own tasks. Another user's is not found, whatever is asked.
//   - The session of a task is that of the task: a task's id alone is enough.
//   - A message is text and inline media. Data, and files elsewhere, are refused: nothing in
//     a message is taken for what a model or a tool says.
//   - A session has one task under way. Another message to it is refused, and may be sent
//     again.
//   - A decision is one that says so, about one call, by a user who decides, about what that
//     user was shown. What is left out, null or said in words decides nothing.
//   - A task goes on when its client is gone, within the limits of the user.
//   - Nobody is told of arguments and results of tools, but who decides, of what waits.
package a2a

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/a2aproject/a2a-go/v2/a2a"
	"github.com/a2aproject/a2a-go/v2/a2asrv"
	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/serve"
)

// Path is where the handler is mounted.
const Path = "/a2a"

// Config sets up [New].
type Config struct {
	// Agent is what is served: one of the application's, whose name is that of its sessions.
	// Required.
	Agent adk.Agent
	// Tools are told to users as the agent's skills. nil tells of none.
	Tools []tool.Tool
	// Version is that of the agent.
	Version string
	// URL is the address of the server, by which clients reach it. Required.
	URL *url.URL
	// Suspensions and Runs are those of the application's plugin. Runs are required.
	Suspensions runner.Suspensions
	Runs        runner.Runs
}

// A Handler serves an agent. It is used by one server: [Handler.Mount] and [Handler.Open]
// go into its [serve.Config], and it is to be closed when the server is.
type Handler struct {
	cfg   Config
	app   string
	turns serve.Turns

	mu      sync.Mutex
	live    map[place]*live
	closed  bool
	ended   map[place]ended // that lists need not read
	ending  chan struct{}   // closed when no more is begun
	working sync.WaitGroup  // of what is in live
}

// New returns a handler.
func New(cfg Config) (*Handler, error) {
	if cfg.Agent == nil || cfg.URL == nil || cfg.Runs == nil {
		return nil, errors.New("a2a: Agent, URL and Runs are required")
	}
	return &Handler{cfg: cfg, app: cfg.Agent.Name(), live: map[place]*live{}, ended: map[place]ended{}, ending: make(chan struct{})}, nil
}

// Mount makes what is behind authentication, for [serve.Config].
func (h *Handler) Mount(turns serve.Turns) (map[string]http.Handler, error) {
	if _, err := turns.Agents.LoadAgent(h.app); err != nil {
		return nil, fmt.Errorf("a2a: %w", err)
	}
	h.turns = turns
	served := a2asrv.NewJSONRPCHandler(rpc{h}, a2asrv.WithTransportKeepAlive(15*time.Second), a2asrv.WithTransportPanicHandler(h.panicked))
	return map[string]http.Handler{"POST " + Path: h.edge(served, a2a.Version)}, nil
}

// Open returns what everybody reaches, for [serve.Config]: the agent's card.
func (h *Handler) Open() map[string]http.Handler {
	return map[string]http.Handler{"GET " + a2asrv.WellKnownAgentCardPath: http.HandlerFunc(h.serveCard)}
}

// Close begins no more, tells nobody of what is not under way here, and waits for the rest.
// When ctx ends, that is stopped.
func (h *Handler) Close(ctx context.Context) {
	h.mu.Lock()
	if !h.closed {
		close(h.ending)
	}
	h.closed = true
	h.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, l := range h.live {
			l.cancel(context.Cause(ctx))
		}
	})
	defer stop()
	h.working.Wait()
}

// edge checks requests before the protocol's own handler, which takes the last of several
// members of one name, in whatever case, and any version.
func (h *Handler) edge(next http.Handler, version a2a.ProtocolVersion) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var request map[string]any
		body, err := serve.Body(r, &request)
		switch why := (*serve.Refusal)(nil); {
		case errors.As(err, &why) && why.Status != http.StatusBadRequest:
			http.Error(w, why.Text, why.Status)
			return
		case err != nil:
			refuse(w, -32700, err.Error())
			return
		}
		if name, ok := twice(request); ok {
			refuse(w, -32700, "the body: duplicate member "+strictjson.Quote(name)+", in other letters")
			return
		}
		if r.Header.Get(a2a.SvcParamVersion) != string(version) { // none is 0.3
			refuse(w, -32009, "this is version "+string(version)+" of the protocol, which a request names in its header "+a2a.SvcParamVersion)
			return
		}
		if slices.ContainsFunc(r.Header.Values(a2a.SvcParamExtensions), func(v string) bool { return strings.Contains(v, hitl) }) {
			w.Header().Set(a2a.SvcParamExtensions, hitl)
		}
		// The server's own bounds are those of short answers.
		control := http.NewResponseController(w)
		if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Now().Add(h.turns.Limits.Wall))); err != nil {
			h.turns.Logger.WarnContext(r.Context(), "an answer may be cut short", "error", err)
		}
		ctx, cancel := context.WithTimeout(r.Context(), h.turns.Limits.Wall)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = io.NopCloser(bytes.NewReader(body))
		next.ServeHTTP(w, r)
	})
}

// twice returns a name that two members of an object in v have, but for case.
func twice(v any) (name string, ok bool) {
	switch v := v.(type) {
	case []any:
		for _, one := range v {
			if name, ok = twice(one); ok {
				return name, true
			}
		}
	case map[string]any:
		seen := map[string]bool{}
		for name, member := range v {
			folded := strings.ToLower(strings.ToUpper(name)) // some letters have two small ones
			if seen[folded] {
				return name, true
			}
			seen[folded] = true
			if name, ok := twice(member); ok && folded != "metadata" { // which nobody reads so
				return name, true
			}
		}
	}
	return "", false
}

// refuse answers a request that goes no further (JSON-RPC 2.0, section 5.1).
func refuse(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]any{"jsonrpc": "2.0", "id": nil, "error": map[string]any{"code": code, "message": text}}) // whoever asked is gone
}

func (h *Handler) panicked(v any) error {
	return h.told(context.Background(), fmt.Errorf("panic: %v", v))
}

// told returns an error as a client is told it.
func (h *Handler) told(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if known, ok := errors.AsType[*a2a.Error](err); ok {
		return known
	}
	r := h.turns.Told(ctx, err)
	switch r.Status {
	case http.StatusNotFound:
		return notFound()
	case http.StatusConflict, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return busy(r.Text)
	case http.StatusBadRequest, http.StatusForbidden, http.StatusRequestEntityTooLarge:
		return a2a.NewError(a2a.ErrInvalidParams, r.Text)
	}
	return a2a.NewError(a2a.ErrInternalError, r.Text)
}

func notFound() error { return a2a.NewError(a2a.ErrTaskNotFound, "no such task") }

func over() error {
	return a2a.NewError(a2a.ErrUnsupportedOperation, "the task has ended: send the message without its id")
}

func working() error {
	return busy("the task is being worked on: send the message again when it waits")
}

// busy refuses what may be sent again as it is.
func busy(text string) error {
	return a2a.NewError(a2a.ErrServerError, text).WithErrorInfoMeta(map[string]string{"retry": "true"})
}

func invalid(format string, args ...any) error {
	return a2a.NewError(a2a.ErrInvalidParams, fmt.Sprintf(format, args...))
}
