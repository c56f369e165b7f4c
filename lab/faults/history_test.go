package faults

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"

	"github.com/anishathalye/porcupine"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// A bug stands before a good authorization server and makes it a bad one.
type bug func(next http.Handler) http.Handler

func bugs() map[string]bug {
	isPost := func(r *http.Request, suffix string) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, suffix)
	}
	return map[string]bug{
		"completion is said, not done": func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if isPost(r, "/complete") {
					w.Header().Set("Content-Type", "application/json")
					_, _ = fmt.Fprintf(w, `{"task_id":%q,"status":"completed"}`, path.Base(path.Dir(r.URL.Path)))
					return
				}
				next.ServeHTTP(w, r)
			})
		},
		"introspection remembers": func(next http.Handler) http.Handler {
			var known sync.Map
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !isPost(r, "/introspect") {
					next.ServeHTTP(w, r)
					return
				}
				body, _ := io.ReadAll(r.Body)
				r.Body = io.NopCloser(bytes.NewReader(body))
				if old, ok := known.Load(string(body)); ok {
					w.Header().Set("Content-Type", "application/json")
					_, _ = w.Write(old.([]byte))
					return
				}
				rec := httptest.NewRecorder()
				next.ServeHTTP(rec, r)
				known.Store(string(body), rec.Body.Bytes())
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write(rec.Body.Bytes())
			})
		},
		"one completion ends another task": func(next http.Handler) http.Handler {
			var mu sync.Mutex
			var first string
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if !isPost(r, "/complete") {
					next.ServeHTTP(w, r)
					return
				}
				mu.Lock()
				if first == "" {
					first = r.URL.Path
				}
				mu.Unlock()
				other := r.Clone(r.Context()) // the history looks at what was asked
				other.URL = &url.URL{Path: first}
				rec := httptest.NewRecorder()
				next.ServeHTTP(rec, other)
				id := func(p string) string { return path.Base(path.Dir(p)) }
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(rec.Code)
				_, _ = io.WriteString(w, strings.ReplaceAll(rec.Body.String(), id(first), id(r.URL.Path)))
			})
		},
	}
}

// TestPlantedBugsAreFound lets random clients at a server that has a bug, at once, and
// records them as the kills are recorded. The model must find every bug, and must
// find none in the server as it is.
func TestPlantedBugsAreFound(t *testing.T) {
	t.Run("none", func(t *testing.T) {
		if bad := checkHistory(clients(t, func(next http.Handler) http.Handler { return next })); len(bad) > 0 {
			t.Errorf("a good server is blamed: %q", bad)
		}
	})
	for name, bug := range bugs() {
		t.Run(name, func(t *testing.T) {
			if bad := checkHistory(clients(t, bug)); len(bad) == 0 {
				t.Error("the bug is not found")
			}
		})
	}
}

// clients lets agents work at a server with a bug, several at once, each with a task
// of its own, and probes every token before and after the end of its task. The history
// stands before the bug: what clients are told is what counts.
func clients(t *testing.T, b bug) []porcupine.Operation {
	t.Helper()
	auth := must(lumodev.New(lumodev.Config{BaseURL: "http://127.0.0.1:1"}))(t)
	t.Cleanup(func() { _ = auth.Close() })
	h := newHistory()
	buggy := b(auth)
	client := func(front http.Handler, id string, password secret.String) *lumoauth.Client {
		server := httptest.NewServer(front)
		t.Cleanup(server.Close)
		return must(lumoauth.New(lumoauth.Config{URL: server.URL, Org: auth.Config().Org, ClientID: id, ClientSecret: password}))(t)
	}
	agents, apis := auth.Config().Agents, auth.Config().ResourceServers
	agent := client(h.record(buggy), agents[0].ClientID, agents[0].ClientSecret)
	w := &world{lab: &lab{ctx: t.Context()}, history: h, asker: client(buggy, apis[0].ClientID, apis[0].ClientSecret)}
	t.Run("work", func(t *testing.T) {
		for n := range 4 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				work(t, agent, w, fmt.Sprintf("task %d", n))
			})
		}
	})
	return h.all()
}

// work is one task: two grants, and its end.
func work(t *testing.T, agent *lumoauth.Client, w *world, name string) {
	task := must(agent.CreateTask(w.ctx, jit.TaskSpec{Name: name}))(t)
	probe := func() {
		for _, seen := range w.history.named(name) {
			w.active(t, seen)
		}
	}
	for _, id := range []string{"doc_1", "doc_2"} {
		decision := must(agent.Request(w.ctx, jit.Request{TaskID: task.ID, Detail: rar.Detail{Type: "file_access", Actions: []string{"read"}, Identifier: id}}))(t)
		must(agent.Token(w.ctx, decision.RequestID))(t)
		probe()
	}
	check(t, agent.CompleteTask(w.ctx, task.ID))
	probe()
}
