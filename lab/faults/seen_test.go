package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/jitagent/jitagent/secret"
)

// A history is what the authorization server was asked and said, from everybody, in
// the form in which porcupine takes it.
type history struct {
	start time.Time

	mu    sync.Mutex
	ops   []porcupine.Operation
	tasks map[string]*seenTask
	reqs  map[string]string // request id to task id
}

// A seenTask is a task as it passed by.
type seenTask struct {
	id, name  string
	held      bool
	requests  int // for authority, whatever came of them
	pending   []string
	tokens    []seenToken
	completed int // calls that ended it
}

type seenToken struct {
	value   secret.String
	expires time.Time
}

func newHistory() *history {
	return &history{start: time.Now(), tasks: map[string]*seenTask{}, reqs: map[string]string{}}
}

func (h *history) now() int64 { return int64(time.Since(h.start)) }

// never is after everything: what has no answer may still happen.
const never = math.MaxInt64

// maxSeen bounds a body that is read here. The authorization server's are short.
const maxSeen = 1 << 20

// held says, by the name of a task, whether its owner waits until it is released.
func held(name string) bool { return strings.Contains(name, livingTitle) }

// record puts the history before the authorization server. What arrives is carried
// out though the client may die meanwhile, so that what happened is known.
func (h *history) record(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxSeen))
		if err != nil {
			return // the client died while it wrote
		}
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		call := h.now()
		answer := httptest.NewRecorder()
		next.ServeHTTP(answer, r)
		h.see(r, body, answer, call, h.now())
		for name, values := range answer.Header() {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes()) // the client may be dead
	})
}

// see reads one call.
func (h *history) see(r *http.Request, body []byte, answer *httptest.ResponseRecorder, call, ret int64) {
	_, rest, ok := strings.Cut(r.URL.Path, "/jit/")
	if !ok || r.Method != http.MethodPost {
		return
	}
	var said struct {
		TaskID      string `json:"task_id"`
		RequestID   string `json:"request_id"`
		Status      string `json:"status"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	var asked struct {
		Name   string `json:"name"`
		TaskID string `json:"task_id"`
	}
	_ = json.Unmarshal(answer.Body.Bytes(), &said) // an answer that is none says nothing
	_ = json.Unmarshal(body, &asked)
	worked := answer.Code >= 200 && answer.Code < 300
	h.mu.Lock()
	defer h.mu.Unlock()
	switch parts := strings.Split(rest, "/"); {
	case rest == "task" && worked:
		t := &seenTask{id: said.TaskID, name: asked.Name, held: held(asked.Name)}
		h.tasks[t.id] = t
		h.put(input{action: opened, task: t.id, held: t.held}, output_{}, call, ret)
	case rest == "request":
		if t := h.tasks[asked.TaskID]; t != nil {
			t.requests++
			if worked {
				h.reqs[said.RequestID] = t.id
			}
			if worked && said.Status == "pending" {
				t.pending = append(t.pending, said.RequestID)
			}
		}
	case len(parts) == 3 && parts[0] == "request" && parts[2] == "token" && worked:
		t := h.tasks[h.reqs[parts[1]]]
		if t == nil {
			return
		}
		n := slices.IndexFunc(t.tokens, func(s seenToken) bool { return s.value.Reveal() == said.AccessToken })
		if n < 0 {
			n = len(t.tokens)
			t.tokens = append(t.tokens, seenToken{secret.New(said.AccessToken), time.Now().Add(time.Duration(said.ExpiresIn) * time.Second)})
		}
		h.put(input{action: granted, task: t.id, token: n}, output_{}, call, ret)
	case len(parts) == 3 && parts[0] == "task" && path.Base(rest) == "complete":
		t := h.tasks[parts[1]]
		switch {
		case t == nil:
		case worked:
			t.completed++
			h.put(input{action: completed, task: t.id}, output_{}, call, ret)
		case answer.Code >= 500: // it may have worked before the connection broke
			h.put(input{action: completed, task: t.id}, output_{unknown: true}, call, never)
		}
	}
}

// put appends an operation; the caller holds h.mu.
func (h *history) put(in input, out output_, call, ret int64) {
	h.ops = append(h.ops, porcupine.Operation{Input: in, Output: out, Call: call, Return: ret})
}

// add appends an operation.
func (h *history) add(in input, out output_, call, ret int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.put(in, out, call, ret)
}

// note appends something that happened just now to a task, from call on.
func (h *history) note(what action, call int64, id string) {
	h.add(input{action: what, task: id}, output_{}, call, h.now())
}

// named returns the tasks of a name, as they are now; "" for all of them.
func (h *history) named(name string) []seenTask {
	h.mu.Lock()
	defer h.mu.Unlock()
	var found []seenTask
	for _, t := range h.tasks {
		if t.name == name || name == "" {
			found = append(found, t.clone())
		}
	}
	return found
}

func (t *seenTask) clone() seenTask {
	c := *t
	c.pending, c.tokens = slices.Clone(t.pending), slices.Clone(t.tokens)
	return c
}

// all returns every operation so far.
func (h *history) all() []porcupine.Operation {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ops)
}
