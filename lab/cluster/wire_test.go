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
		by, end := w.begin(n, m)
		defer end()
		kept := by.effects
		if m != nil {
			kept = m.answers
			time.Sleep(500 * time.Millisecond)
		}
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		if answer.Code < http.StatusMultipleChoices {
			select {
			case release := <-kept:
				<-release
			default:
			}
		}
		maps.Copy(rw.Header(), answer.Header())
		rw.WriteHeader(answer.Code)
		_, _ = rw.Write(answer.Body.Bytes()) // to whoever is still there
	})
}

// caught returns when an answer is kept back until it is released. If none comes in time,
// none is.
func caught(answers chan<- chan struct{}) (release func()) {
	done := make(chan struct{})
	select {
	case answers <- done:
	case <-time.After(20 * time.Second):
	}
	return func() { close(done) }
}

// begin notes that a member goes on with a session, and returns it; nil is whoever had the
// session last. The session is under way until end.
func (w *world) begin(n int, m *member) (by *member, end func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
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
