package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	adk "google.golang.org/adk/v2/agent"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/genai"

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
		case p.Inline != nil && p.Text == "" && p.Inline.Type != "" && len(p.Inline.Data) > 0:
			c.Parts = append(c.Parts, &genai.Part{InlineData: &genai.Blob{MIMEType: p.Inline.Type, Data: p.Inline.Data, DisplayName: p.Inline.Name}})
		default:
			return nil, refuse(http.StatusBadRequest, "part %d of newMessage is neither text nor inline data", i)
		}
	}
	return c, nil
}

// run answers a message: with all events at once, or with each as it comes.
func (s *server) run(w http.ResponseWriter, r *http.Request) error {
	var m message
	if err := decode(r, &m); err != nil {
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
	if _, err := s.find(r, at); err != nil {
		return err
	}
	user, _ := User(r.Context())
	end := s.begin(user)
	if end == nil {
		w.Header().Set("Retry-After", "10")
		return refuse(http.StatusTooManyRequests, "too many messages are being answered")
	}
	defer end()
	// The server's own bounds are those of short answers.
	control := http.NewResponseController(w)
	if err := errors.Join(control.SetReadDeadline(time.Time{}), control.SetWriteDeadline(time.Now().Add(s.Limits.Wall))); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.Limits.Wall)
	defer cancel()
	cfg, options := adk.RunConfig{}, []adkrunner.RunOption(nil)
	if m.Streaming {
		cfg.StreamingMode = adk.StreamingModeSSE
	}
	if m.State != nil {
		options = append(options, adkrunner.WithStateDelta(m.State))
	}
	events := s.runners[at.app].Run(ctx, at.user, at.session, content, cfg, options...)
	if !strings.HasSuffix(r.URL.Path, "_sse") {
		all := []wireEvent{}
		for ev, err := range events {
			if err != nil {
				return worded(err)
			}
			all = append(all, wired(ev))
		}
		answer(w, all)
		return nil
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	if err := control.Flush(); err != nil {
		return err
	}
	for ev, err := range events {
		name, value := "", any(nil)
		if err != nil {
			name, value = "event: error\n", map[string]string{"error": s.told(r, worded(err)).text}
		} else {
			value = wired(ev)
		}
		text, err := json.Marshal(value)
		if err == nil {
			_, err = fmt.Fprintf(w, "%sdata: %s\n\n", name, text)
		}
		if err = errors.Join(err, control.Flush()); err != nil {
			s.Logger.DebugContext(ctx, "an event could not be sent", "error", err)
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
	}{
		{runner.ErrBusy, http.StatusConflict},
		{runner.ErrModelCalls, http.StatusUnprocessableEntity},
		{runner.ErrWall, http.StatusUnprocessableEntity},
		{runner.ErrRepeats, http.StatusUnprocessableEntity},
		{runner.ErrNoAnswer, http.StatusUnprocessableEntity},
	} {
		if errors.Is(err, known.err) {
			return refuse(known.status, "%v", known.err)
		}
	}
	return err
}
