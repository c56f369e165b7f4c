package journal

import (
	"time"

	"github.com/jitagent/jitagent/jit"
)

// A State is how far a task is, as far as this journal knows.
type State string

// grace is how long a suspended task is kept after its last request ran out: what was
// decided in the last moment can still be gone on with.
const grace = 10 * time.Minute

// The states of a task. A state says no more than is known.
const (
	StateOpen       State = "open"       // begun; authority may be granted under it
	StateSuspended  State = "suspended"  // open, and left to wait for a decision: nobody works on it
	StateCompleting State = "completing" // giving it back was announced or tried, without an answer yet
	StateCompleted  State = "completed"  // the authorization server confirmed its end, and revoked all that it can; or never opened it
	StateExpired    State = "expired"    // never confirmed, but whatever was granted has ended by itself
	StateUnknown    State = "unknown"    // never confirmed, and nothing more can be done from here
)

// Finished reports whether nothing more is to be done about a task in state s.
func (s State) Finished() bool { return s == StateCompleted || s == StateExpired || s == StateUnknown }

// A Mark is what became of a task besides its entries: an attempt to complete it that
// failed ([StateCompleting]), or its end.
type Mark struct {
	State  State
	Reason string    // why it failed, or nothing more can be found out; must hold no secret
	Next   time.Time // when to try again; with StateCompleted, see Task.NextAttempt
}

// A Task is the state of one task, which follows from its entries alone. Its JSON is what
// commands print, and only gains members.
type Task struct {
	Run   string `json:"run"`               // the engine's own id, known before the server's
	ID    string `json:"task_id,omitempty"` // the authorization server's id; empty when it was never learned
	Owner string `json:"-"`                 // the process that began it, or that took it up last
	State State  `json:"state"`

	Parent     string `json:"parent_run,omitempty"`   // the run of the task that it is below
	Authority  string `json:"authority,omitempty"`    // which authorization server and agent, see jit.Config
	Session    string `json:"session,omitempty"`      // the conversation that it serves
	Name       string `json:"name,omitempty"`         // its label for people
	OnBehalfOf string `json:"on_behalf_of,omitempty"` // the user whom it serves

	Opened    time.Time `json:"opened"`              // of its first entry
	Updated   time.Time `json:"updated"`             // of its last entry
	ExpiresAt time.Time `json:"expires_at,omitzero"` // of the task at the server, as the server said; zero when it did not

	// Until is when the last of whatever was asked for under the task ends to be
	// valid, counted generously (see Options.Longest). Zero when nothing was asked
	// for. Before it the task cannot be called expired.
	Until time.Time `json:"valid_until,omitzero"`

	Attempts  int    `json:"attempts,omitempty"`   // completions that failed and were recorded
	LastError string `json:"last_error,omitempty"` // of the last of them
	// NextAttempt is when to try again, or for a suspended task for the first time; zero
	// for at once. Of a completed one it is when the last token ends by itself that the
	// server could not revoke, zero when it revoked all.
	NextAttempt time.Time `json:"next_attempt,omitzero"`

	FirstSeq int64 `json:"-"` // its first entry
	LastSeq  int64 `json:"-"` // its last one
}

// After returns the task as it is after one more of its entries, all of which name
// its run. The zero Task is the one before its first.
func (t Task) After(r Record) Task {
	if t.State == "" {
		t = Task{Run: r.Run, Owner: r.Owner, State: StateOpen, Opened: r.Time, FirstSeq: r.Seq}
	}
	t.LastSeq, t.Updated = r.Seq, r.Time
	if t.ID == "" { // the first is the one to complete, whatever is said later
		t.ID = r.TaskID
	}
	if r.Until.After(t.Until) {
		t.Until = r.Until
	}
	if t.State == StateCompleted {
		return t
	}
	switch r.Kind {
	case jit.EntryTaskOpening:
		t.Authority, t.Session, t.Name, t.OnBehalfOf, t.Parent = r.Authority, r.Session, r.Name, r.OnBehalfOf, r.Parent
	case jit.EntryTaskOpened:
		t.ExpiresAt = r.ExpiresAt
	case jit.EntryTaskSuspended:
		t.State, t.NextAttempt = StateSuspended, r.ExpiresAt.Add(grace)
	case jit.EntryTaskResumed:
		t.State, t.Owner, t.NextAttempt = StateOpen, r.Owner, time.Time{}
	case jit.EntryTaskCompleting:
		if t.State == StateOpen || t.State == StateSuspended {
			t.State = StateCompleting
		}
	case jit.EntryTaskCompleted:
		t.State, t.NextAttempt = StateCompleted, r.ExpiresAt
	case EntryTaskAttempt:
		t.State, t.Attempts, t.LastError, t.NextAttempt = StateCompleting, r.Attempt, r.Error, r.NextAttempt
	case EntryTaskExpired:
		t.State, t.NextAttempt = StateExpired, time.Time{}
	case EntryTaskUnknown:
		t.State, t.NextAttempt = StateUnknown, time.Time{}
		t.LastError = r.Error
	}
	return t
}
