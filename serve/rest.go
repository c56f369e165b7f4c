package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"google.golang.org/adk/v2/session"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/runner"
)

// A place is a conversation, or a user's conversations where its session is "".
type place struct{ app, user, session string }

var sessionForm = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// whoever is what ADK's web UI calls its user, which stands for the authenticated one.
const whoever = "user"

// A Refusal is an answer that is no success.
type Refusal struct {
	Status int    // of HTTP
	Text   string // for the client
}

// Error implements error.
func (r *Refusal) Error() string { return r.Text }

// ErrEnds is the cause with which a server that ends stops what is under way, and what
// clients are told of that.
var ErrEnds error = &Refusal{http.StatusServiceUnavailable, "the server ends: send the message again"}

func refuse(status int, format string, args ...any) error {
	return &Refusal{status, fmt.Sprintf(format, args...)}
}

// rest returns the routes of ADK's REST server.
func (s *server) rest() map[string]http.Handler {
	all := map[string]http.Handler{
		"GET /api/list-apps": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, s.Agents.ListAgents()) }),
		"POST /api/run":      s.failing(s.run),
		"POST /api/run_sse":  s.failing(s.run),
	}
	const sessions = "/api/apps/{app}/users/{user}/sessions"
	for pattern, h := range map[string]func(http.ResponseWriter, *http.Request, place) error{
		"GET " + sessions:                   s.list,
		"POST " + sessions:                  s.create,
		"GET " + sessions + "/{session}":    s.show,
		"POST " + sessions + "/{session}":   s.create,
		"DELETE " + sessions + "/{session}": s.remove,

		"POST " + sessions + "/{session}/resume": s.resume, // which ADK has not
	} {
		all[pattern] = s.failing(func(w http.ResponseWriter, r *http.Request) error {
			at, err := s.place(r, r.PathValue("app"), r.PathValue("user"), r.PathValue("session"))
			if err != nil {
				return err
			}
			return h(w, r, at)
		})
	}
	return all
}

// failing words the errors of a handler.
func (s *server) failing(h func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			f := s.told(r.Context(), err, "method", r.Method, "path", r.URL.Path)
			if f.Status == http.StatusTooManyRequests || f.Status == http.StatusServiceUnavailable {
				w.Header().Set("Retry-After", "10")
			}
			if strings.HasSuffix(r.URL.Path, "_sse") { // ADK's web UI looks for errors among the events
				w.Header().Set("Content-Type", eventStream)
				w.WriteHeader(f.Status)
				_, _ = w.Write(sse(errorEvent, map[string]string{"error": f.Text})) // whoever asked is gone
				return
			}
			http.Error(w, f.Text, f.Status)
		}
	})
}

// told returns what a client is told of an error; the log has the rest.
func (s *server) told(ctx context.Context, err error, about ...any) *Refusal {
	if errors.Is(err, runner.ErrUnavailable) {
		s.Logger.WarnContext(ctx, "a request is refused", append(about, "error", err)...)
		return &Refusal{http.StatusServiceUnavailable, "the database does not answer: send the message again"}
	}
	for _, err := range []error{err, context.Cause(ctx)} {
		if f, ok := errors.AsType[*Refusal](err); ok {
			return f
		}
	}
	level := slog.LevelError
	if errors.Is(context.Cause(ctx), context.Canceled) { // whoever asked is gone
		level = slog.LevelDebug
	}
	s.Logger.Log(ctx, level, "a request failed", append(about, "error", err)...)
	return &Refusal{http.StatusInternalServerError, "internal failure, see the log of the server"}
}

// place checks what a request is about. What is somebody else's is not there.
func (s *server) place(r *http.Request, app, user, id string) (place, error) {
	p, _ := User(r.Context())
	switch {
	case s.runners[app] == nil:
		return place{}, refuse(http.StatusNotFound, "no such application")
	case user != p.ID && user != whoever:
		return place{}, refuse(http.StatusForbidden, "the user is another one than the token's")
	case id != "" && !sessionForm().MatchString(id):
		return place{}, refuse(http.StatusBadRequest, "the name of a session is up to 128 letters, digits, dots, dashes and underscores")
	}
	return place{app, p.ID, id}, nil
}

// find reads a session.
func (s *server) find(ctx context.Context, at place) (session.Session, error) {
	got, err := s.Sessions.Get(ctx, &session.GetRequest{AppName: at.app, UserID: at.user, SessionID: at.session})
	if err == nil {
		return got.Session, nil
	}
	if errors.Is(err, runner.ErrUnavailable) {
		return nil, err
	}
	// ADK's services have no error for "not found" that could be told from others.
	all, broken := s.Sessions.List(ctx, &session.ListRequest{AppName: at.app, UserID: at.user})
	if broken == nil {
		for _, one := range all.Sessions {
			if one.ID() == at.session {
				return nil, err
			}
		}
		return nil, refuse(http.StatusNotFound, "no such session")
	}
	return nil, err
}

// maxState bounds what a request sets of a session's state, in bytes: a list of sessions has
// the states of all.
const maxState = 64 << 10

// full reports whether no more is said to a session.
func (s *server) full(of session.Session) bool {
	var whole int64
	for name, value := range of.State().All() {
		whole += int64(len(name)) + size(value)
	}
	for ev := range of.Events().All() {
		if ev.Content == nil {
			continue
		}
		for _, p := range ev.Content.Parts {
			switch {
			case p == nil:
			case p.InlineData != nil:
				whole += int64(len(p.InlineData.Data))
			case p.FunctionCall != nil:
				whole += size(p.FunctionCall.Args)
			case p.FunctionResponse != nil:
				whole += size(p.FunctionResponse.Response)
			default:
				whole += int64(len(p.Text))
			}
		}
	}
	return whole > s.Limits.Session
}

// size returns how many bytes a value of JSON has, about.
func size(v any) (n int64) {
	switch v := v.(type) {
	case string:
		return int64(len(v))
	case []any:
		for _, one := range v {
			n += size(one)
		}
	case map[string]any:
		for name, one := range v {
			n += int64(len(name)) + size(one)
		}
	}
	return n + 8
}

// A wireSession is a session as ADK's REST server tells it.
type wireSession struct {
	ID      string         `json:"id"`
	App     string         `json:"appName"`
	User    string         `json:"userId"`
	Updated int64          `json:"lastUpdateTime"` // seconds of Unix time
	Events  []wireEvent    `json:"events"`
	State   map[string]any `json:"state"`
}

// A wireEvent is an event as ADK's REST server tells it, with its time: seconds of Unix
// time, as in other languages' ADKs.
type wireEvent struct {
	*session.Event
	Timestamp float64 `json:"timestamp"`
}

func wired(ev *session.Event) wireEvent {
	if runner.WaitingIn(ev) != nil { // it is whole, and not stored
		whole := *ev
		whole.Partial, ev = false, &whole
	}
	return wireEvent{ev, float64(ev.Timestamp.UnixMicro()) / 1e6}
}

func wiredSession(from session.Session) wireSession {
	out := wireSession{
		ID: from.ID(), App: from.AppName(), User: from.UserID(), Updated: from.LastUpdateTime().Unix(), Events: []wireEvent{}, State: map[string]any{},
	}
	for ev := range from.Events().All() {
		out.Events = append(out.Events, wired(ev))
	}
	for name, value := range from.State().All() {
		out.State[name] = value
	}
	return out
}

// answer answers with a value as JSON.
func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = json.NewEncoder(w).Encode(v) // whoever asked is gone
}

func (s *server) list(w http.ResponseWriter, r *http.Request, at place) error {
	got, err := s.Sessions.List(r.Context(), &session.ListRequest{AppName: at.app, UserID: at.user})
	if err != nil {
		return err
	}
	list := []wireSession{}
	for _, one := range got.Sessions {
		list = append(list, wiredSession(one))
	}
	answer(w, list)
	return nil
}

func (s *server) show(w http.ResponseWriter, r *http.Request, at place) error {
	found, err := s.find(r.Context(), at)
	if err != nil {
		return err
	}
	answer(w, wiredSession(found))
	return nil
}

// create makes a session. Events that never happened are not taken.
func (s *server) create(w http.ResponseWriter, r *http.Request, at place) error {
	var body struct {
		State  map[string]any    `json:"state"`
		Events []json.RawMessage `json:"events"`
	}
	if _, err := Body(r, &body); err != nil {
		return err
	}
	if len(body.Events) > 0 {
		return refuse(http.StatusBadRequest, "a session begins without events: they are what the agent said and did")
	}
	if err := ownState(body.State); err != nil {
		return err
	}
	one, made, err := s.begun(r.Context(), at, body.State)
	if err == nil && !made {
		err = refuse(http.StatusConflict, "the session exists")
	}
	if err != nil {
		return err
	}
	answer(w, wiredSession(one))
	return nil
}

// begun returns a session that is there, or one that it made. Without an id it makes one.
func (s *server) begun(ctx context.Context, at place, state map[string]any) (_ session.Session, made bool, err error) {
	if at.session != "" {
		there, err := s.find(ctx, at)
		if r, ok := errors.AsType[*Refusal](err); !ok || r.Status != http.StatusNotFound {
			return there, false, err
		}
	}
	got, err := s.Sessions.Create(ctx, &session.CreateRequest{AppName: at.app, UserID: at.user, SessionID: at.session, State: state})
	if err == nil {
		return got.Session, true, nil
	}
	if at.session != "" {
		if there, missing := s.find(ctx, at); missing == nil { // somebody was quicker
			return there, false, nil
		}
	}
	return nil, false, err
}

func (s *server) remove(_ http.ResponseWriter, r *http.Request, at place) error {
	if _, err := s.find(r.Context(), at); err != nil {
		return err
	}
	if again := s.Resume[at.app]; again != nil { // what it was granted is given back
		if err := again.Drop(r.Context(), runner.Input{User: at.user, Session: at.session}); err != nil && !errors.Is(err, runner.ErrNothingToResume) {
			return worded(err)
		}
	}
	if s.Runs != nil {
		_, lease, err := s.Runs.Begin(r.Context(), at.app, at.user, at.session)
		if err != nil {
			return worded(err)
		}
		lease.Opened() // or it would be left to others
		defer func() {
			if err := lease.Ended(context.WithoutCancel(r.Context()), runner.Done); err != nil {
				s.Logger.WarnContext(r.Context(), "a session that was deleted is not let go of", "error", err)
			}
		}()
	}
	if err := s.Sessions.Delete(r.Context(), &session.DeleteRequest{AppName: at.app, UserID: at.user, SessionID: at.session}); err != nil {
		return err
	}
	return nil
}

// ownState refuses to set what is not the session's alone: ADK has the state of the
// application, which all users share, under "app:", and its own under names of its own.
func ownState(state map[string]any) error {
	for name := range state {
		if strings.Contains(name, ":") || strings.HasPrefix(strings.TrimLeft(name, "_"), "adk") {
			return refuse(http.StatusBadRequest, "the state of a session has no names with a colon, and none that begin with adk")
		}
	}
	if size(state) > maxState {
		return refuse(http.StatusRequestEntityTooLarge, "the state of a session has up to %d bytes", maxState)
	}
	return nil
}
