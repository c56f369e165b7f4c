package jit

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// A Journal keeps what must survive a crash. Append returns only when the entries
// are durable, all of them or none; an error means that what they announce must not
// happen, and the engine then refuses the call. Implementations must be safe for concurrent
// use.
//
// Note keeps an entry that only reports. It returns at once; the entry is written
// soon, in its place among the others, and at the latest with the next Append. A
// crash may lose it, and a fault is the implementation's to tell: nothing depends on
// a note.
//
// Entries hold no token: a grant is known by a keyed hash.
type Journal interface {
	Append(ctx context.Context, entries ...Entry) error
	Note(e Entry)
}

// An EntryKind says what an [Entry] announces or reports.
type EntryKind string

// The kinds of entries, in the order of a task's life. Those that announce are
// appended before the thing is done, those that report are appended after, and
// those that note are left to [Journal.Note].
const (
	EntryTaskOpening    EntryKind = "task_opening"    // announces CreateTask
	EntryTaskOpened     EntryKind = "task_opened"     // notes its id, which each request repeats
	EntryCall           EntryKind = "call"            // notes that a call begins, and its ceiling
	EntryRefused        EntryKind = "refused"         // notes what the API demanded
	EntryBlocked        EntryKind = "blocked"         // notes a demand outside the ceiling
	EntryRequest        EntryKind = "demand"          // announces Request
	EntryDecision       EntryKind = "decision"        // notes the answer
	EntryGrant          EntryKind = "grant"           // reports a token, before its first use
	EntryUse            EntryKind = "use"             // notes a read-only request that a grant was sent with
	EntryCallSent       EntryKind = "call_sent"       // announces a request that may change something
	EntryCallReturned   EntryKind = "call_returned"   // notes its outcome; reports one that is not known
	EntryCallEnded      EntryKind = "call_ended"      // notes what the caller made of the call
	EntryUsage          EntryKind = "usage"           // reports what a call of a model used, before the next one
	EntryTaskSuspended  EntryKind = "task_suspended"  // announces that nobody works on the task until ExpiresAt
	EntryTaskResumed    EntryKind = "task_resumed"    // announces that a process works on it again, see Rereader
	EntryTaskKilled     EntryKind = "task_killed"     // announces that a task is killed; it is of no run, since the task may be another process's
	EntryTaskCompleting EntryKind = "task_completing" // notes that CompleteTask is tried
	EntryTaskCompleted  EntryKind = "task_completed"  // notes that it did, or, without an id, that none was opened: doing it twice changes nothing
)

// An Entry is one record of a [Journal]. Fields that a kind has no use for are
// zero.
type Entry struct {
	Kind           EntryKind
	Time           time.Time
	Run            string // the engine's own id of the task, known before the server's
	Epoch          int    // how often the run was taken over by another worker before; 0 where runs are not shared
	Authority      string // Config.AuthorityName, with task_opening
	Session        string // of the conversation that the task serves, with task_opening
	Name           string // of the task, with task_opening
	Parent         string // Run of the task above it, with task_opening; its own ceiling is in Ceiling then
	OnBehalfOf     string // the user on whose behalf the agent acts, with task_opening
	Trace          string // id of the trace that the work belongs to (W3C Trace Context), with task_opening and task_resumed; "" without one
	TaskID         string
	CallID         string
	Tool           string
	Args           json.RawMessage // what the call was asked to do, without tokens and cut to size
	Ceiling        []rar.Detail
	IdempotencyKey string
	Effect         string // names what a request is to change, whichever call makes it
	RequestID      string // of the demand, or of the grant that was used
	Detail         *rar.Detail
	Demanded       []rar.Detail
	Justification  string
	Status         Status // of a decision
	Risk           string
	DecidedBy      string    // who decided, as the server names them
	Message        string    // from the decider; with call_ended: what nobody had named; with grant: the scopes that bound the token in place of Detail
	ExpiresAt      time.Time // with task_completed: when the last token ends that could not be revoked; zero when all were
	TokenHash      string    // keyed hash of the token, see Config.TokenHashKey
	Method, URL    string    // URL without query
	Model          string    // with usage, and how many tokens it counted
	Prompt, Output int
	HTTPStatus     int
	Outcome        Outcome // of a request that may change something
	Result         string  // what the caller made of the call, such as "ok" or "denied"
	Issued         int     // tokens under the task, with task_completed; those that it held, with task_suspended
	Revoked        int     // of them those that were alive; that were revoked by themselves, with task_suspended
	Digest         string  // of what is kept to go on with, with task_suspended; of the call that a person decides about, with decision
	Error          string
}

// An Outcome says what became of a request that may change something.
type Outcome string

// The outcomes.
const (
	OutcomeAnswered Outcome = "answered"       // the API answered, as the HTTP status says
	OutcomeRefused  Outcome = "refused"        // 401 or 403: it had no effect
	OutcomeNotSent  Outcome = "not_sent"       // it never left, so it had no effect
	OutcomeInDoubt  Outcome = "maybe_executed" // the answer was lost
)
