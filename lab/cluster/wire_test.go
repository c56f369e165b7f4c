package cluster

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"time"
)

var titles = regexp.MustCompile(`Case (\d{4})`)

// A left is what a session was left by.
type left struct {
	by     *member
	life   int
	since  time.Time
	silent bool // for as long as it can send nothing
}

// wire is before a server, and sees whose sessions requests are of. The model has one for
// each member, and takes its time, so that runs are under way when something happens; the
// API has one for all, since effects are known by their address. What arrives is carried
// out though whoever asked has died, and the answer can be kept back: see [caught].
func (w *world) wire(server http.Handler, m *member) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // it died while it asked
		}
		r = r.WithContext(context.WithoutCancel(r.Context()))
		r.Body = io.NopCloser(bytes.NewReader(body))
		title := titles.FindSubmatch(body)
		if title == nil {
			server.ServeHTTP(rw, r)
			return
		}
		n, _ := strconv.Atoi(string(title[1]))
		r.Header.Del("Idempotency-Key") // an effect that is sent twice is to be seen
		by, end := w.begin(n, m)
		defer end()
		kept, anybodys := by.effects, w.answers
		if m == nil {
			anybodys = nil
		} else {
			kept = m.answers
			time.Sleep(500 * time.Millisecond)
		}
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		if answer.Code < http.StatusMultipleChoices && (m == nil || bytes.Contains(answer.Body.Bytes(), []byte(`"tool_calls"`))) {
			released := make(chan struct{})
			c := caught{n, func() { close(released) }}
			select {
			case kept <- c:
				<-released
			case anybodys <- c:
				<-released
			default:
			}
		}
		maps.Copy(rw.Header(), answer.Header())
		rw.WriteHeader(answer.Code)
		_, _ = rw.Write(answer.Body.Bytes()) // to whoever is still there
	})
}

// A caught answer is kept back until it is released. One of a model has its session make a
// call, and one of the API says that its effect happened.
type caught struct {
	session int
	release func()
}

// catch waits for an answer, and keeps it back.
func (w *world) catch(answers <-chan caught) caught {
	select {
	case c := <-answers:
		return c
	case <-time.After(30 * time.Second):
		w.Error("a kind of trouble did not come: nothing was under way")
		return caught{-1, func() {}}
	}
}

// begin notes that a member goes on with a session, and returns it; nil is whoever had the
// session last. The session is under way until end.
func (w *world) begin(n int, m *member) (by *member, end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.killed[n] {
		w.late[n]++
	}
	const underway = 200 * time.Millisecond // what was sent before
	if l, was := w.left[n]; was && (m != nil || l.silent && time.Since(l.since) > underway) {
		delete(w.left, n)
		if m != l.by || m.life != l.life {
			w.took = append(w.took, time.Since(l.since))
		}
	}
	if m != nil {
		w.has[n] = m
	}
	w.busy[n]++
	return w.has[n], func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.busy[n]--
	}
}

// taken waits until others have what members were at.
func (w *world) taken() {
	for until := time.Now().Add(30 * time.Second); time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		w.mu.Lock()
		n := len(w.left)
		w.mu.Unlock()
		if n == 0 {
			return
		}
	}
}
