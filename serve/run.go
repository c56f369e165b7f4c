package serve

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	adk "google.golang.org/adk/v2/agent"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
)

// A message is the body of /run and /run_sse: what of ADK's a user may say.
type message struct {
	App     string `json:"appName"`
	User    string `json:"userId"`
	Session string `json:"sessionId"`
	New     struct {
		Role  string `json:"role"`
		Parts []part `json:"parts"`
	} `json:"newMessage"`
	Streaming bool           `json:"streaming"`
	State     map[string]any `json:"stateDelta"`
	Answers   *string        `json:"functionCallEventId"` // which ADK ignores
}

// A part is text or media that is sent along. A part of another kind is a member that is
// not known.
type part struct {
	Text   string `json:"text"`
	Inline *struct {
		Type string `json:"mimeType"`
		Data []byte `json:"data"`
		Name string `json:"displayName"`
	} `json:"inlineData"`
}

func (m message) content() (*genai.Content, error) {
	if m.New.Role != "" && m.New.Role != genai.RoleUser || len(m.New.Parts) == 0 {
		return nil, refuse(http.StatusBadRequest, "newMessage is the user's, and has parts")
	}
	c := &genai.Content{Role: genai.RoleUser}
	for i, p := range m.New.Parts {
		switch {
		case p.Inline == nil && p.Text != "":
			c.Parts = append(c.Parts, genai.NewPartFromText(p.Text))
		case p.Inline != nil && p.Text == "":
			media, err := Media(p.Inline.Type, p.Inline.Data, p.Inline.Name)
			if err != nil {
				return nil, err
			}
			c.Parts = append(c.Parts, media)
		default:
			return nil, refuse(http.StatusBadRequest, "part %d of newMessage is neither text nor inline data", i)
		}
	}
	return c, nil
}

// run answers a message: with all events at once, or with each as it comes. What waited in
// the session is gone on with first, and its events are told before those of the message.
func (s *server) run(w http.ResponseWriter, r *http.Request) error {
	var m message
	if _, err := Body(r, &m); err != nil {
		return err
	}
	if m.Session == "" {
		return refuse(http.StatusBadRequest, "sessionId is required")
	}
	at, err := s.place(r, m.App, m.User, m.Session)
	if err != nil {
		return err
	}
	content, err := m.content()
	if err != nil {
		return err
	}
	if err := ownState(m.State); err != nil {
		return err
	}
	ctx, end, err := s.begin(w, r)
	if err != nil {
		return err
	}
	defer end()
	before, waiting, err := s.goOn(ctx, at, true)
	if err != nil {
		return err
	}
	if len(waiting) > 0 {
		return unsaid(waiting)
	}
	cfg, options := adk.RunConfig{}, []adkrunner.RunOption(nil)
	if m.Streaming {
		cfg.StreamingMode = adk.StreamingModeSSE
	}
	if m.State != nil {
		options = append(options, adkrunner.WithStateDelta(m.State))
	}
	events := s.runners[at.app].Run(ctx, at.user, at.session, content, cfg, options...)
	if strings.HasSuffix(r.URL.Path, "_sse") {
		return s.stream(w, r, before, events)
	}
	for ev, err := range events {
		if err != nil {
			return worded(err)
		}
		before = append(before, wired(ev))
	}
	answer(w, before)
	return nil
}

// unsaid refuses a message to a session that waits.
func unsaid(waiting []runner.Waiting) error {
	text := "The message was not said: the session waits for a person's decision"
	for _, call := range waiting {
		if call.DecideAt != "" {
			text += " " + call.DecideAt
		}
	}
	return refuse(http.StatusConflict, "%s", text)
}

// resume goes on with a session that waits, without a message.
func (s *server) resume(w http.ResponseWriter, r *http.Request, at place) error {
	ctx, end, err := s.begin(w, r)
	if err != nil {
		return err
	}
	defer end()
	events, waiting, err := s.goOn(ctx, at, false)
	if err != nil {
		return err
	}
	answer(w, map[string]any{"events": events, "waiting": waiting})
	return nil
}

// begin lets a run begin, with a context that lasts as long as it may take.
func (s *server) begin(w http.ResponseWriter, r *http.Request) (_ context.Context, end func(), err error) {
	ctx, end, err := s.limited(r.Context())
	if err != nil {
		return nil, nil, err
	}
	// The server's own bounds are those of short answers.
	control := http.NewResponseController(w)
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Now().Add(s.Limits.Wall))); err != nil {
		end()
		return nil, nil, err
	}
	return ctx, end, nil
}

// limited is begin for who takes no answer from here.
func (s *server) limited(ctx context.Context) (_ context.Context, end func(), err error) {
	user, _ := User(ctx)
	free := s.enter(user)
	if free == nil {
		return nil, nil, refuse(http.StatusTooManyRequests, "too many messages are being answered")
	}
	ctx, cancel := context.WithTimeout(ctx, s.Limits.Wall)
	return ctx, func() { cancel(); free() }, nil
}

// goOn goes on with a session that waits, and returns its new events and what still waits.
// With more, which is to be said to it, it has room for that.
func (s *server) goOn(ctx context.Context, at place, more bool) (events []wireEvent, waiting []runner.Waiting, err error) {
	events, waiting = []wireEvent{}, []runner.Waiting{}
	before, err := s.find(ctx, at)
	if err == nil && more && s.full(before) {
		err = refuse(http.StatusRequestEntityTooLarge, "the session is full: begin another one")
	}
	if err != nil || s.Resume[at.app] == nil {
		return events, waiting, err
	}
	still, err := s.Resume[at.app].GoOn(ctx, runner.Input{User: at.user, Session: at.session, Task: jit.TaskSpec{Name: at.app}})
	if err != nil {
		return nil, nil, worded(err)
	}
	after, err := s.find(ctx, at)
	if err != nil {
		return nil, nil, err
	}
	for i := before.Events().Len(); i < after.Events().Len(); i++ {
		events = append(events, wired(after.Events().At(i)))
	}
	return events, append(waiting, still...), nil
}

const (
	eventStream = "text/event-stream" // https://html.spec.whatwg.org/multipage/server-sent-events.html
	errorEvent  = "event: error\n"
)

// sse returns a value as an event of a stream.
func sse(name string, v any) []byte {
	text, err := json.Marshal(v)
	if err != nil { // of a value that a tool gave, and which no store takes
		name, text = errorEvent, []byte(`{"error":"an event cannot be told"}`)
	}
	return fmt.Appendf(nil, "%sdata: %s\n\n", name, text)
}

// stream sends events as they come.
func (s *server) stream(w http.ResponseWriter, r *http.Request, before []wireEvent, events iter.Seq2[*session.Event, error]) error {
	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	send := func(name string, v any) bool {
		_, err := w.Write(sse(name, v))
		if err = errors.Join(err, control.Flush()); err != nil {
			s.Logger.DebugContext(r.Context(), "an event could not be sent", "error", err)
		}
		return err == nil
	}
	if err := control.Flush(); err != nil {
		return err
	}
	for _, ev := range before {
		if !send("", ev) {
			return nil
		}
	}
	for ev, err := range events {
		var sent bool
		if err != nil {
			sent = send(errorEvent, map[string]string{"error": s.told(r.Context(), worded(err)).Text})
		} else {
			sent = send("", wired(ev))
		}
		if !sent {
			return nil
		}
	}
	return nil
}

// worded returns the errors of a run that a user can do something about as they are told.
func worded(err error) error {
	for _, known := range []struct {
		err    error
		status int
		text   string // in place of the error's own
	}{
		{jit.ErrKilled, http.StatusUnprocessableEntity, "it was ended by an operator"}, // and what it was at besides is no matter
		{runner.ErrBusy, http.StatusConflict, ""},
		{runner.ErrLost, http.StatusConflict, ""},
		{jit.ErrClaimed, http.StatusConflict, ""},
		{jit.ErrPending, http.StatusConflict, ""},
		{runner.ErrBudget, http.StatusUnprocessableEntity, ""},
		{runner.ErrModelCalls, http.StatusUnprocessableEntity, ""},
		{runner.ErrWall, http.StatusUnprocessableEntity, ""},
		{runner.ErrRepeats, http.StatusUnprocessableEntity, ""},
		{runner.ErrNoAnswer, http.StatusUnprocessableEntity, ""},
	} {
		if errors.Is(err, known.err) {
			return refuse(known.status, "%s", cmp.Or(known.text, known.err.Error()))
		}
	}
	return err
}
