package explain

import (
	"encoding/json"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// A Story is what the records of some tasks tell. Its JSON only gains members.
// Texts that records hold are as they were recorded: whoever prints one cleans it.
// Only the sentences (Step.Text, Task.Summary, Task.Notes, Effect.Why) are clean.
type Story struct {
	Of      string    `json:"of"`               // what was asked about, such as "task task_8f2"
	At      time.Time `json:"at"`               // the moment as of which it is told
	Entries int       `json:"entries"`          // how many records it was made of
	Tasks   []*Task   `json:"tasks"`            // in the order of their first records
	Gaps    []Gap     `json:"gaps,omitempty"`   // where the journal says itself that entries are missing
	Strays  []Step    `json:"strays,omitempty"` // records that name no task
}

// A Task is one piece of work and all authority under it.
type Task struct {
	Run        string        `json:"run"`
	ID         string        `json:"id,omitempty"` // at the authorization server; empty when it was never learned
	Name       string        `json:"name,omitempty"`
	Parent     string        `json:"parent_run,omitempty"` // the run of the task that it is below
	OnBehalfOf string        `json:"on_behalf_of,omitempty"`
	Authority  string        `json:"authority,omitempty"` // which authorization server and agent
	Session    string        `json:"session,omitempty"`
	Traces     []string      `json:"traces,omitempty"` // ids of those that its runs belong to, see package telemetry
	State      journal.State `json:"state"`

	Opened     time.Time `json:"opened"`               // of the first record
	Ended      time.Time `json:"ended,omitzero"`       // when its end was recorded
	Last       time.Time `json:"last"`                 // of the last record
	ValidUntil time.Time `json:"valid_until,omitzero"` // of the task at the server, as the server said

	Issued  int `json:"issued"`  // tokens, as far as known
	Revoked int `json:"revoked"` // of them those that were alive when the end was confirmed

	Summary []string   `json:"summary"`            // the story in a few sentences
	Notes   []string   `json:"notes,omitempty"`    // what does not add up
	Deaths  []Death    `json:"deaths,omitempty"`   // of processes that left the task unfinished
	Steps   []Step     `json:"steps"`              // those that belong to no call
	Calls   []*Call    `json:"calls"`              // in the order in which they began
	Asked   []*Request `json:"requests,omitempty"` // for authority
	Grants  []*Grant   `json:"grants,omitempty"`
	Effects []*Effect  `json:"effects,omitempty"`      // requests that may change something, by Idempotency-Key
	Omitted int        `json:"calls_omitted,omitzero"` // calls that were not asked about
}

// A Fate says how the records about a call end.
type Fate string

// The fates of a call.
const (
	FateEnded      Fate = "ended"      // its end is recorded
	FateRunning    Fate = "running"    // it is under way, as far as known
	FateCut        Fate = "cut"        // the process died in the middle
	FateUnrecorded Fate = "unrecorded" // the task ended, and the journal has no end of this call
)

// A Call is one tool call.
type Call struct {
	Number        int             `json:"number"` // 1 for the first of the task
	ID            string          `json:"id,omitempty"`
	Tool          string          `json:"tool,omitempty"`
	Args          json.RawMessage `json:"args,omitempty"` // a JSON string when what was recorded is not JSON
	Ceiling       []Detail        `json:"ceiling"`        // the most that it may ever ask for
	Justification string          `json:"justification,omitempty"`
	Began         time.Time       `json:"began"`
	Ended         time.Time       `json:"ended,omitzero"`
	Fate          Fate            `json:"fate"`
	Result        string          `json:"result,omitempty"` // what the caller made of it, such as "ok" or "denied"
	Error         string          `json:"error,omitempty"`
	Steps         []Step          `json:"steps"`
}

// A Detail is one piece of authority (RFC 9396).
type Detail struct {
	Text   string          `json:"text"`             // for people
	Detail json.RawMessage `json:"detail,omitempty"` // canonical JSON; nil for one that is not valid
}

// A Tone says how a step is to be taken.
type Tone string

// The tones. The zero Tone is neutral.
const (
	Good Tone = "good"
	Warn Tone = "warn"
	Bad  Tone = "bad"
)

// Kinds of steps that no record stands for. The others are the kinds of records.
const (
	StepDied      jit.EntryKind = "process_died"
	StepRecovered jit.EntryKind = "recovered"
	StepSilent    jit.EntryKind = "silent" // the records of a call stop here
)

// A Step is one thing that happened.
type Step struct {
	Seq     int64         `json:"seq,omitzero"` // of the record; 0 when the step follows from others
	Time    time.Time     `json:"time"`
	Kind    jit.EntryKind `json:"kind"`
	Tone    Tone          `json:"tone,omitempty"`
	Text    string        `json:"text"`  // a sentence or two
	Label   string        `json:"label"` // one or two words
	Request string        `json:"request_id,omitempty"`
	Key     string        `json:"idempotency_key,omitempty"`
	Unknown bool          `json:"unknown,omitzero"` // a record that this program does not understand
}

// Who decided about a [Request].
const (
	ByPolicy = "policy" // the authorization server, at once
	ByPerson = "person" // somebody, by name if DecidedBy has it
	ByNobody = "nobody" // in time
)

// A Request is one question for authority.
type Request struct {
	ID            string    `json:"id,omitempty"` // empty while no answer is recorded
	Call          string    `json:"call_id,omitempty"`
	Tool          string    `json:"tool,omitempty"`
	Detail        Detail    `json:"detail"`
	Justification string    `json:"justification,omitempty"`
	Asked         time.Time `json:"asked,omitzero"`
	Pending       time.Time `json:"pending,omitzero"`   // when it was known that a person must decide
	DecideBy      time.Time `json:"decide_by,omitzero"` // the last moment for that
	Decided       time.Time `json:"decided,omitzero"`   // when the decision was seen
	Status        string    `json:"status"`             // approved, denied, expired, pending, unknown or unanswered
	Risk          string    `json:"risk,omitempty"`
	By            string    `json:"by,omitempty"`         // ByPolicy, ByPerson or ByNobody, once decided
	DecidedBy     string    `json:"decided_by,omitempty"` // as the server names them
	Message       string    `json:"message,omitempty"`
	Redeemed      bool      `json:"redeemed"` // a token for it is recorded

	call *Call
}

// A Grant is one token.
type Grant struct {
	Request   string             `json:"request_id,omitempty"`
	Call      string             `json:"call_id,omitempty"` // which obtained it; others may use it
	Tool      string             `json:"tool,omitempty"`
	Detail    Detail             `json:"detail"`
	TokenHash string             `json:"token_hash,omitempty"` // keyed
	Issued    time.Time          `json:"issued"`
	Expires   time.Time          `json:"expires,omitzero"`
	Ended     time.Time          `json:"ended,omitzero"` // zero while it lives, or when nobody knows
	End       journal.GrantState `json:"end"`
	Uses      []*Use             `json:"uses,omitempty"`

	call *Call
}

// A Use is one request that a token was sent with.
type Use struct {
	Seq    int64     `json:"seq"`
	Time   time.Time `json:"time"`
	Call   string    `json:"call_id,omitempty"`
	Method string    `json:"method"`
	URL    string    `json:"url"`
	Status int       `json:"http_status,omitzero"` // 0 when no answer is recorded

	call *Call
}

// OutcomeUnderWay is the outcome of an effect that was sent a moment ago, while
// its process lives.
const OutcomeUnderWay jit.Outcome = "under_way"

// An Effect is one change that was intended, however often it had to be sent.
type Effect struct {
	Key     string      `json:"idempotency_key,omitempty"`
	Call    string      `json:"call_id,omitempty"` // the last that sent it
	Tool    string      `json:"tool,omitempty"`
	Method  string      `json:"method"`
	URL     string      `json:"url"`
	Sends   []*Send     `json:"sends"`
	Outcome jit.Outcome `json:"outcome"`
	Status  int         `json:"http_status,omitzero"` // of the answer, if there was one
	Why     string      `json:"why"`                  // the outcome in a sentence

	call *Call
}

// A Send is one time that an effect's request left, or tried to.
type Send struct {
	Sent     time.Time   `json:"sent,omitzero"` // zero when only its outcome is recorded
	Returned time.Time   `json:"returned,omitzero"`
	Request  string      `json:"request_id,omitempty"` // whose token it carried; empty for the agent's own
	Outcome  jit.Outcome `json:"outcome,omitempty"`
	Status   int         `json:"http_status,omitzero"`
	Error    string      `json:"error,omitempty"`
}

// A Death is the end of a process that left a task unfinished.
type Death struct {
	Owner       string    `json:"owner"`
	LastSign    time.Time `json:"last_sign"` // of its last record
	RecoveredBy string    `json:"recovered_by,omitempty"`
	RecoveredAt time.Time `json:"recovered_at,omitzero"` // of the other's first record

	closing bool // it was giving the task back
}

// A Gap is where the journal says that entries are gone.
type Gap struct {
	Seq  int64     `json:"seq"` // of the record that says so
	Time time.Time `json:"time"`
	From int64     `json:"from,omitzero"` // the first entry that is gone, if known
	To   int64     `json:"to,omitzero"`   // the last
	Text string    `json:"text"`
}

// since is when the question was put, as far as known.
func (q *Request) since() time.Time {
	if q.Asked.IsZero() {
		return q.Pending
	}
	return q.Asked
}
