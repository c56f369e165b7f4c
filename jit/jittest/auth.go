package jittest

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// maxRequest bounds what the front reads of one request.
const maxRequest = 1 << 20

// operation is what a call of the authorization server is about.
type operation uint8

const (
	other operation = iota
	login
	openTask
	ask
	redeem
	completeTask
)

// front stands before the authorization server: it records what is asked and
// issued, and tampers with answers where the world is hostile. An answer leaves only after it was recorded.
func (w *World) front() http.Handler {
	mux := http.NewServeMux()
	for _, prefix := range []string{"/orgs/{org}", "/t/{org}"} {
		for pattern, op := range map[string]operation{
			"/api/v1/oauth/token":                 login,
			"/api/v1/jit/task":                    openTask,
			"/api/v1/jit/task/{task}/complete":    completeTask,
			"/api/v1/jit/request":                 ask,
			"/api/v1/jit/request/{request}/token": redeem,
		} {
			mux.HandleFunc("POST "+prefix+pattern, func(rw http.ResponseWriter, r *http.Request) { w.pass(rw, r, op) })
		}
	}
	mux.Handle("/", w.auth)
	return mux
}

// pass serves one call.
func (w *World) pass(rw http.ResponseWriter, r *http.Request, op operation) {
	body, err := strictjson.ReadAll(r.Body, maxRequest)
	if err != nil {
		http.Error(rw, "the body cannot be read", http.StatusBadRequest)
		return
	}
	var asked *Asked
	if op == ask {
		asked = w.ask(body)
		if w.cfg.regrant != nil {
			if changed, err := regrant(body, w.cfg.regrant); err == nil { // else the server refuses it
				body = changed
			}
		}
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	w.auth.ServeHTTP(rec, r)
	status, text := rec.Code, rec.Body.Bytes()
	if asked != nil && w.cfg.regrant != nil { // it says that it decided what was asked
		if changed, err := regrant(text, func(rar.Detail) rar.Detail { return asked.Detail }); err == nil {
			text = changed
		}
	}
	if w.cfg.tamper != nil && status < 300 {
		status, text = w.cfg.tamper(op, status, text)
	}
	w.answered(op, r, asked, status, text)
	maps.Copy(rw.Header(), rec.Header())
	rw.Header().Del("Content-Length")
	rw.WriteHeader(status)
	_, _ = rw.Write(text)
}

// ask records a request for authority.
func (w *World) ask(body []byte) *Asked {
	var in struct {
		TaskID        string         `json:"task_id"`
		Detail        jsontext.Value `json:"authorization_details"`
		Justification string         `json:"justification"`
	}
	_ = strictjson.Unmarshal(body, &in) // the server refuses what cannot be read
	a := &Asked{TaskID: in.TaskID, Justification: in.Justification}
	a.Detail, _ = rar.ParseOne(in.Detail)
	w.record.change(func() {
		w.record.asked = append(w.record.asked, a)
		w.record.story = append(w.record.story, func() string {
			return fmt.Sprintf("asked: %s (%q) -> %s", a.Detail, a.Justification, cmp.Or(a.first, "no answer yet"))
		})
	})
	return a
}

// answered records what an answer means. It reads what the server itself said
// where that is more than the client is told.
func (w *World) answered(op operation, r *http.Request, asked *Asked, status int, text []byte) {
	var out struct {
		RequestID string         `json:"request_id"`
		Status    string         `json:"status"`
		Token     string         `json:"access_token"`
		Details   jsontext.Value `json:"authorization_details"`
	}
	readable := strictjson.Unmarshal(text, &out) == nil
	switch {
	case op == ask:
		w.record.change(func() {
			asked.RequestID, asked.Status = out.RequestID, out.Status
			switch {
			case status >= 300:
				asked.Status = "refused"
			case !readable:
				asked.Status = "garbage"
			}
			asked.first = asked.Status
		})
	case status >= 300 || !readable:
		w.Note("authorization server: POST %s -> %d, and nothing that can be used", r.URL.Path, status)
	case op == login:
		if _, isNew := w.record.know(secret.New(out.Token), agentToken); isNew {
			w.Note("the agent logged in")
		}
	case op == openTask:
		w.Note("task opened")
	case op == completeTask:
		w.Note("task completed")
	case op == redeem:
		details, _ := rar.Parse(out.Details) // of the real server, whatever becomes of it
		w.record.issue(secret.New(out.Token), details)
	}
}
