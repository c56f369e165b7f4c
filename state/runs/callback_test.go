package runs_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"slices"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/runs"
)

// tasks are those that a journal knows, by the authorization server's ids, with their users.
type tasks map[string]string

func (t tasks) Task(_ context.Context, id string) (journal.Task, error) {
	switch user := t[id]; user {
	case "":
		return journal.Task{}, journal.ErrNotFound
	case "away":
		return journal.Task{}, errors.New("the database is away")
	default:
		return journal.Task{ID: id, Session: runner.SessionName("app", user, "s")}, nil
	}
}

// unread is a body that nobody may read.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("a callback's body is read")
	return 0, io.EOF
}

func callbacks(key string) runs.Callbacks {
	return runs.Callbacks{Base: &url.URL{Scheme: "https", Host: "analyst.example.com", Path: "/callbacks"}, Key: secret.New(key), Authority: "A/"}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// call calls an address.
func call(t *testing.T, h http.Handler, method, address string) int {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), method, address, unread{t}))
	return rec.Code
}

// TestCallbackWakes: a callback has the run of its task asked about at once, all that it waits
// for, and that one alone. It wakes nothing by itself, and one that comes before the run
// waits is made up for by the pool's own question.
func TestCallbackWakes(t *testing.T) {
	each(t, func(w *world) {
		a, b := w.startFor("A/", "a"), w.startFor("A/", "b")
		c := callbacks("key")
		h := b.store.Callback(c, tasks{"task_1": "ada/1", "task_2": "ben", "task_3": "cleo"})
		suspend := func(l runner.Lease, requests ...string) {
			w.check(l.Suspended(w.Context(), requests, time.Now().Add(time.Hour)))
		}
		calls := func(task string) {
			if status := call(t, h, http.MethodPost, c.For(task)); status != http.StatusNoContent {
				t.Errorf("%d, want 204", status)
			}
		}
		_, ada := a.begin("ada/1")
		_, ben := a.begin("ben")
		suspend(ada, "jit_1", "jit_2")
		suspend(ben, "jit_3")
		w.exec("UPDATE runs SET check_at = check_at + 3600000000")
		a.pool(nil)

		calls("task_1") // and nothing is decided
		asked := []string{<-w.asked, <-w.asked}
		if slices.Sort(asked); !slices.Equal(asked, []string{"A/jit_1", "A/jit_2"}) {
			t.Errorf("asked about %v, want what the run of task_1 waits for", asked)
		}
		w.mu.Lock()
		w.decided["A/jit_2"], w.decided["A/jit_3"], w.decided["A/jit_4"] = jit.StatusApproved, jit.StatusApproved, jit.StatusDenied
		w.mu.Unlock()
		calls("task_1")
		if got := w.next(); got != "a ada/1" {
			t.Errorf("%s was gone on with, want ada", got)
		}
		calls("task_1")       // is over
		calls("task_unknown") // which the journal forgot
		_, cleo := a.begin("cleo")
		calls("task_3") // too early
		suspend(cleo, "jit_4")
		if got := w.next(); got != "a cleo" {
			t.Errorf("%s was gone on with, want cleo", got)
		}
		if n := w.exec("DELETE FROM runs WHERE person = 'ben' AND state = 'waiting'"); n != 1 || len(w.resumed) > 0 {
			t.Error("the run of another task was gone on with")
		}
	})
}

// TestForgedCallback: an address that was not made for a task of this state and this
// authorization server, another method, and more than is heard, have nobody ask anything.
func TestForgedCallback(t *testing.T) {
	each(t, func(w *world) {
		p, c := w.startFor("A/", "a"), callbacks("key")
		h := p.store.Callback(c, tasks{"task_1": "ada", "task_2": "away"})
		_, l := p.begin("ada")
		w.check(l.Suspended(w.Context(), []string{"jit_1"}, time.Now().Add(time.Hour)))
		w.exec("UPDATE runs SET check_at = check_at + 3600000000")
		hints := func() int64 { return w.exec("UPDATE river_job SET priority = 2 WHERE kind = 'jitagent_run'") }

		own, other := c.For("task_1"), c
		other.Authority = "B/"
		sum := must(base64.RawURLEncoding.DecodeString(path.Base(c.For("task_2"))))[:16]
		swapped := c.Base.JoinPath(base64.RawURLEncoding.EncodeToString(append(sum, "task_1"...))).String()
		for name, address := range map[string]string{
			"another key": callbacks("other").For("task_1"), "another authorization server": other.For("task_1"), "another task": swapped,
			"the task alone": "https://analyst.example.com/callbacks/dGFza18x", "a part": own[:len(own)-1], "more": own + "A", "padded": own + "=", "nothing": "https://analyst.example.com/callbacks/",
		} {
			if status := call(t, h, http.MethodPost, address); status != http.StatusNotFound {
				t.Errorf("%s: %d, want 404", name, status)
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodOptions} {
			if status := call(t, h, method, own); status != http.StatusMethodNotAllowed {
				t.Errorf("%s: %d, want 405", method, status)
			}
		}
		if n := hints(); n != 0 {
			t.Errorf("%d hints, want none", n)
		}
		if status := call(t, h, http.MethodPost, c.For("task_2")); status != http.StatusServiceUnavailable {
			t.Errorf("%d while the journal is away, want 503: it may be called again", status)
		}
		answers := map[int]int64{}
		for range 2000 {
			answers[call(t, h, http.MethodPost, own)]++
		}
		heard := answers[http.StatusNoContent]
		if n := hints(); heard != n || n == 0 || heard+answers[http.StatusTooManyRequests] != 2000 || heard == 2000 {
			t.Errorf("%d hints, and many at once are answered %v, want 204 for each hint and 429", n, answers)
		}
	})
}
