package jit

import (
	"context"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// A Journal keeps what must survive a crash. Append returns only when the entry
// is durable; an error means that what the entry announces must not happen, and
// the engine then refuses the call. Implementations must be safe for concurrent
// use.
//
// Entries hold no token: a grant is known by a keyed hash.
type Journal interface {
	Append(ctx context.Context, e Entry) error
}

// An EntryKind says what an [Entry] announces or reports.
type EntryKind string

// The kinds of entries, in the order of a task's life. Those that announce are
// appended before the thing is done, those that report after.
const (
	EntryTaskOpening    EntryKind = "task_opening"    // announces CreateTask
	EntryTaskOpened     EntryKind = "task_opened"     // reports its id
	EntryDemand         EntryKind = "demand"          // announces Request
	EntryDecision       EntryKind = "decision"        // reports the answer
	EntryGrant          EntryKind = "grant"           // reports a token, before its first use
	EntryCallSent       EntryKind = "call_sent"       // announces a call that has an effect
	EntryCallReturned   EntryKind = "call_returned"   // reports its outcome
	EntryTaskCompleting EntryKind = "task_completing" // announces CompleteTask
	EntryTaskCompleted  EntryKind = "task_completed"  // reports it
)

// An Entry is one record of a [Journal]. Fields that a kind has no use for are
// zero.
type Entry struct {
	Kind           EntryKind
	Time           time.Time
	Run            string // the engine's own id of the task, known before the server's
	TaskID         string
	CallID         string
	Tool           string
	IdempotencyKey string
	RequestID      string
	Detail         *rar.Detail
	Justification  string
	Status         Status
	Risk           string
	ExpiresAt      time.Time
	TokenHash      string // keyed hash of the token, see Config.TokenHashKey
	Method, URL    string // URL without query
	HTTPStatus     int
	Error          string
}
