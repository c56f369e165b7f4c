package cluster

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
)

const app = agent.Name

func sessionPath(id string) string {
	return "/api/apps/" + app + "/users/" + user + "/sessions/" + id
}

// say has a session begin: its run makes one report, which waits for a person first if it
// is about what is restricted.
func (w *world) say(n int) {
	var served []*member
	for _, m := range w.members {
		if m.url != "" {
			served = append(served, m)
		}
	}
	for try := range 1000 {
		m := served[(n+try)%len(served)]
		if status, _ := w.post(m, "POST", sessionPath(name(n)), nil); status != http.StatusOK && status != http.StatusConflict {
			time.Sleep(100 * time.Millisecond)
			continue
		}
		document := "doc_9982"
		if asks(n) {
			document = restricted
		}
		status, _ := w.post(m, "POST", "/api/run", map[string]any{"appName": app, "userId": user, "sessionId": name(n), "newMessage": map[string]any{
			"role": "user", "parts": []any{map[string]any{"text": fmt.Sprintf("Create a report titled '%s' about document %s", title(n), document)}},
		}})
		if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests {
			return // also where the member died: somebody goes on with it
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// restricted is a document of which a person decides who reads it.
const restricted = "doc_7310"

// session is how the journal names one.
func (w *world) session(n int) string { return runner.SessionName(app, user, name(n)) }

func name(n int) string  { return fmt.Sprintf("s%04d", n) }
func title(n int) string { return fmt.Sprintf("Case %04d", n) }
func asks(n int) bool    { return n%2 == 0 }

// A kind is when a request is decided.
type kind int

const (
	early kind = iota // while its run is at it
	late              // when all members were upgraded while its run was suspended
	twice             // by two at once, while its run was suspended
	never
	kinds
)

// A request is one that a person decides.
type request struct {
	kind
	decided bool
}

// decide decides what waits, until ctx ends.
func (w *world) decide(ctx context.Context) {
	approve := func(id string) error {
		return w.reviewer.Decide(ctx, id, approval.Decision{Approve: true})
	}
	for ctx.Err() == nil {
		list, _, _ := w.reviewer.Pending(ctx)
		suspended := w.waiting()
		for _, r := range list {
			id := r.ID
			of := w.request(id, suspended[id])
			switch {
			case of.decided:
			case of.kind == early:
				of.decided = approve(id) == nil
			case of.kind == late && suspended[id] && w.upgraded.Load():
				of.decided = approve(id) == nil
			case of.kind == twice && suspended[id]:
				var other error
				var both sync.WaitGroup
				both.Go(func() { other = approve(id) })
				of.decided = approve(id) == nil
				both.Wait()
				of.decided = of.decided || other == nil
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// request returns one, and says when it is decided.
func (w *world) request(id string, suspended bool) *request {
	order := []kind{early, twice, late, never, twice}
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.asked[id]
	if r == nil {
		r = &request{kind: order[len(w.asked)%len(order)]}
		w.asked[id] = r
	}
	if r.kind == early && suspended && !r.decided { // it would not be
		r.kind = twice
	}
	return r
}

// waiting returns the requests that runs wait for.
func (w *world) waiting() map[string]bool {
	requests := map[string]bool{}
	rows, err := w.runs.QueryContext(w.Context(), "SELECT request FROM run_requests")
	for err == nil && rows.Next() {
		var r string
		err = rows.Scan(&r)
		requests[r] = true
	}
	if err == nil {
		_ = rows.Close()
	}
	return requests
}

// underway tells which runs are, and who has them.
func (w *world) underway() (told string) {
	rows, err := w.runs.QueryContext(w.Context(), "SELECT session, state, epoch, owner, tries, job FROM runs WHERE state <> 'waiting'")
	for err == nil && rows.Next() {
		var session, state, owner string
		var epoch, tries, job int64
		err = rows.Scan(&session, &state, &epoch, &owner, &tries, &job)
		told += fmt.Sprintf("\n%s is %s, of %s, taken %d times, not opened %d times, job %d", session, state, owner, epoch, tries, job)
	}
	return fmt.Sprintf("%s\n(%v)", told, err)
}

// settle waits until no run is under way but those that nobody decides about.
func (w *world) settle() {
	until := time.Now().Add(2 * time.Minute)
	for quiet := 0; quiet < 5; time.Sleep(500 * time.Millisecond) {
		var busy, open int
		err := w.runs.QueryRowContext(w.Context(), "SELECT count(*) FROM runs WHERE state <> 'waiting'").Scan(&busy)
		waiting := w.waiting()
		w.mu.Lock()
		for id := range waiting {
			if r := w.asked[id]; r == nil || r.kind != never {
				open++
			}
		}
		w.mu.Unlock()
		if quiet++; err != nil || busy > 0 || open > 0 {
			quiet = 0
		}
		if time.Now().After(until) {
			w.Errorf("%d runs are under way, %d wait though all was decided: %v%s", busy, open, err, w.underway())
			return
		}
	}
}
