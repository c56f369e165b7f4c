// Package notice tells others what waits for a person, and how runs ended: by a webhook,
// signed as https://www.standardwebhooks.com has it, and by a command.
//
// # Invariants
//
//   - Whoever tells waits for nobody: what a receiver is too slow for is dropped, and logged.
//   - A receiver decides nothing. Of its answer the status alone is read, redirects are not
//     followed, and a notice is one only: the authorization server has the truth.
//   - A notice has names and times. It has no token, argument, result, prompt or answer.
//   - Tries, time, and what waits to be told are bounded. A command gets no variable of the
//     environment but those that every program needs.
package notice

import (
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
)

// The types of notices.
const (
	Pending = "request.pending" // a request waits for a person
	Ended   = "run.ended"       // a run is over, or suspended
)

// A Notice is what receivers are sent, as JSON that only gains members.
type Notice struct {
	Type string    `json:"type"`
	Time time.Time `json:"timestamp"`
	Data Data      `json:"data"`

	id string // the same for each try
}

// Data says what a notice is about.
type Data struct {
	Session string         `json:"session,omitempty"`
	User    string         `json:"user,omitempty"`
	TaskID  string         `json:"task_id,omitempty"`
	Outcome runner.Outcome `json:"outcome,omitempty"` // of a run that ended
	Waiting []Waiting      `json:"waiting,omitempty"`
}

// Waiting is a call that waits for a person.
type Waiting struct {
	Tool      string    `json:"tool,omitempty"`       // none where a suspended run names its requests alone
	RequestID string    `json:"request_id,omitempty"` // none where nobody named the call, and nothing was asked for yet
	Risk      string    `json:"risk_level,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Of returns what there is to tell of an event of a run; ok is false for most.
func Of(user, session string, e runner.Event) (n Notice, ok bool) {
	n = Notice{id: "msg_" + rand.Text(), Data: Data{Session: line(session), User: line(user)}}
	switch e := e.(type) {
	case jit.Decided:
		n.Type, n.Time, n.Data.TaskID = Pending, e.Time, e.TaskID
		n.Data.Waiting = []Waiting{{line(e.Tool), line(e.RequestID), line(e.Risk), e.ExpiresAt}}
		return n, e.Status == jit.StatusPending
	case runner.Finished:
		n.Type, n.Time, n.Data.Outcome = Ended, e.Time, e.Outcome
		for _, w := range e.Waiting {
			n.Data.Waiting = append(n.Data.Waiting, Waiting{line(w.Tool), line(w.RequestID), line(w.Risk), w.ExpiresAt})
		}
		return n, true
	}
	return n, false
}

// line is a name that others made, fit to be shown.
func line(s string) string { return plain.Line(s, 200) }

func (n Notice) json() []byte {
	n.Time = n.Time.UTC()
	text, _ := json.Marshal(n) // texts and times
	return text
}
