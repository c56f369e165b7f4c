package jit

import (
	"time"

	"github.com/jitagent/jitagent/rar"
)

// An Event is something that happened under a task, for a timeline or an audit
// view. It is one of the struct types of this file; none holds a secret. Kind
// returns a stable name for machines.
type Event interface{ Kind() string }

// About says which call an event belongs to.
type About struct {
	Time   time.Time `json:"time"`
	TaskID string    `json:"task_id,omitempty"`
	CallID string    `json:"call_id,omitempty"`
	Tool   string    `json:"tool,omitempty"`
}

// TaskOpened reports that the authorization server opened the task.
type TaskOpened struct {
	About
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Parent    string    `json:"parent_task_id,omitempty"` // of a child, see [Task.Child]
	Name      string    `json:"name,omitempty"`           // likewise
}

// Refused reports that the API refused a call and named what is missing, or wants what
// cannot be asked for.
type Refused struct {
	About
	Method     string       `json:"method"`
	URL        string       `json:"url"` // without query
	StatusCode int          `json:"status_code"`
	Demanded   []rar.Detail `json:"authorization_details"`
	Error      string       `json:"error,omitempty"` // why nothing is asked for: Demanded is nil
}

// Blocked reports that the client itself refused a demand, since it lies outside the
// ceiling. Nothing was sent to the authorization server.
type Blocked struct {
	About
	Demanded rar.Detail `json:"authorization_details"`
	Reason   string     `json:"reason"`
}

// Requested reports that authority was asked for.
type Requested struct {
	About
	Detail        rar.Detail `json:"authorization_details"`
	Justification string     `json:"justification,omitempty"`
	// Ahead says that the request was made before the API refused the call,
	// since a call of the same kind was refused earlier in the task.
	Ahead bool `json:"ahead,omitempty"`
}

// Decided reports that the authorization server or a person answered. A pending one is
// followed by another Decided when the wait ends with one.
type Decided struct {
	About
	Detail    rar.Detail    `json:"authorization_details"`
	RequestID string        `json:"request_id"`
	Status    Status        `json:"status"`
	Risk      string        `json:"risk_level,omitempty"`
	TTL       time.Duration `json:"granted_ttl_ns,omitempty"` // nanoseconds
	ExpiresAt time.Time     `json:"expires_at,omitzero"`
	DecideAt  string        `json:"decide_at,omitempty"`
	DecidedBy string        `json:"decided_by,omitempty"`
	Message   string        `json:"message,omitempty"`
	Waited    time.Duration `json:"waited_ns,omitempty"` // since the request was sent, in nanoseconds
}

// Granted reports that a token was issued and lies within what was asked.
type Granted struct {
	About
	Detail    rar.Detail `json:"authorization_details"`
	RequestID string     `json:"request_id"`
	Origin    string     `json:"origin,omitempty"`
	ExpiresAt time.Time  `json:"expires_at"`
	Scopes    []string   `json:"scopes,omitempty"` // that bound the token in place of the detail, see [Issued]
}

// LeftInDoubt reports that the answer to a request that may change something was lost
// for good: nobody here knows whether it took effect.
type LeftInDoubt struct {
	About
	Method         string `json:"method"`
	URL            string `json:"url"` // without query
	IdempotencyKey string `json:"idempotency_key"`
	Error          string `json:"error"`
}

// Cleared reports that an earlier LeftInDoubt is none any more: the API has answered
// under the same key.
type Cleared struct {
	About
	IdempotencyKey string `json:"idempotency_key"`
}

// CallEnded reports what came of a call, as [EndCall] was told.
type CallEnded struct {
	About
	Result
}

// Repeated reports that a request that may change something was not sent: the task had
// its answer from an earlier call, which is given to this one.
type Repeated struct {
	About
	Method     string `json:"method"`
	URL        string `json:"url"` // without query
	StatusCode int    `json:"status_code"`
}

// Suspended reports that nobody works on the task until a person has decided, and that
// it waits no longer than Until.
type Suspended struct {
	About
	Until time.Time `json:"until"`
}

// Resumed reports that a suspended task was taken up again.
type Resumed struct{ About }

// Completed reports that the task ended and its tokens were revoked, or why not.
type Completed struct {
	About
	Revoked int `json:"revoked"` // tokens that were still alive
	Issued  int `json:"issued"`  // tokens issued during the task
	// ExpiresAt is when the last token ends by itself that the server could not revoke;
	// zero when it revoked all.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	Error     string    `json:"error,omitempty"`
}

// Kind implements [Event].
func (TaskOpened) Kind() string { return "task_opened" }

// Kind implements [Event].
func (Refused) Kind() string { return "refused" }

// Kind implements [Event].
func (Blocked) Kind() string { return "blocked" }

// Kind implements [Event].
func (Requested) Kind() string { return "requested" }

// Kind implements [Event].
func (Decided) Kind() string { return "decided" }

// Kind implements [Event].
func (Granted) Kind() string { return "granted" }

// Kind implements [Event].
func (LeftInDoubt) Kind() string { return "uncertain" }

// Kind implements [Event].
func (Cleared) Kind() string { return "settled" }

// Kind implements [Event].
func (CallEnded) Kind() string { return "call_ended" }

// Kind implements [Event].
func (Repeated) Kind() string { return "repeated" }

// Kind implements [Event].
func (Suspended) Kind() string { return "suspended" }

// Kind implements [Event].
func (Resumed) Kind() string { return "resumed" }

// Kind implements [Event].
func (Completed) Kind() string { return "completed" }
