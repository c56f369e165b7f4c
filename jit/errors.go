package jit

import (
	"errors"
	"fmt"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// Sentinels for callers that branch. The typed errors below unwrap to them.
var (
	// ErrOutsideCeiling: the demand lies outside what the call may ever ask for.
	ErrOutsideCeiling = errors.New("outside the call's ceiling")
	// ErrDenied: a person or the authorization server said no, or the time to
	// decide ran out.
	ErrDenied = errors.New("authority denied")
	// ErrPending: a person has not decided yet.
	ErrPending = errors.New("waiting for a decision")
	// ErrOvergrant: the authorization server issued more than was asked; the
	// token is not used.
	ErrOvergrant = errors.New("granted more than was asked")
	// ErrSilent: the authorization server did not say what the token covers, so it
	// may be more than was asked. It was revoked, where that is possible, and not used.
	ErrSilent = errors.New("it is not said what was granted")
	// ErrInDoubt: a request that may change something was sent and its answer
	// was lost or leaves it open, so nobody here knows whether it took effect.
	ErrInDoubt = errors.New("in doubt, it may have taken effect")
	// ErrJournal: the journal did not take an entry, or it could not be read whether the task
	// was killed. What that was about was not done, and nothing more is sent under the task.
	ErrJournal = errors.New("the journal failed")
	// ErrTaskEnded: the task was completed, so nothing more can be asked or sent
	// under it.
	ErrTaskEnded = errors.New("the task has ended")
	// ErrNoCall: the context carries no call, so there is no ceiling.
	ErrNoCall = errors.New("the context carries no call")
	// ErrNotReplayable: the request's body cannot be sent a second time, since it
	// has no GetBody.
	ErrNotReplayable = errors.New("the request body cannot be sent again: set GetBody")
	// ErrUnreadable: the API refused the request, and what it demands cannot be
	// read, so nothing was asked for.
	ErrUnreadable = errors.New("unreadable demand")
	// ErrScope: the API wants scopes and does not say which, so none are asked for.
	ErrScope = errors.New("the API wants scopes and does not say which")
	// ErrLogin: the API wants a fresher or a stronger login of the user (RFC 9470). That
	// is no consent to an operation, and a request for authority does not bring it. A
	// [challenge.StepUpError] has which.
	ErrLogin = errors.New("the API wants a fresher or stronger login of the user, which no request for authority brings")
	// ErrStillRefused: the API refuses even the token that it asked for.
	ErrStillRefused = errors.New("still refused with the authority that was demanded")
)

// An EnvelopeError reports a demand outside the ceiling. Nothing was sent to the
// authorization server for it. It unwraps to [ErrOutsideCeiling].
type EnvelopeError struct {
	Tool     string
	CallID   string
	Demanded rar.Detail
	Reason   error // why it is outside
}

func (e *EnvelopeError) Error() string {
	return fmt.Sprintf("jit: demand for %s refused by the client: %v: %v", e.Demanded, ErrOutsideCeiling, e.Reason)
}

// Unwrap returns [ErrOutsideCeiling].
func (e *EnvelopeError) Unwrap() error { return ErrOutsideCeiling }

// A DeniedError reports a request that was refused or ran out. A refusal stands
// for the rest of the task: the same demand, or one that includes it, is answered
// with it and not asked again. It unwraps to [ErrDenied].
type DeniedError struct {
	RequestID string
	Detail    rar.Detail
	Risk      string
	Status    Status // StatusDenied, StatusExpired, StatusUnknown, or StatusPending: see [Config.DenyPending]
	Message   string // from the decider, for the agent; may be empty
	DecidedBy string // who decided, as far as is said; of an expired request, who approved it, which was not used in time
}

func (e *DeniedError) Error() string {
	s := fmt.Sprintf("jit: request %s for %s: %s", e.RequestID, e.Detail, e.Status)
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Unwrap returns [ErrDenied].
func (e *DeniedError) Unwrap() error { return ErrDenied }

// A PendingError reports a request that a person has not decided yet. It is a
// state, not a failure: the request stays open at the authorization server, and
// the same call made again under the same task resumes waiting for it. It unwraps
// to [ErrPending].
type PendingError struct {
	RequestID string
	TaskID    string
	Detail    rar.Detail
	Risk      string
	ExpiresAt time.Time // end of the window for a decision; zero when not said
	// DecideAt says where the decision can be made, as a URL; empty when the
	// authority does not say.
	DecideAt string
	// ConsentRequired says that the user on whose behalf the agent acts must
	// agree first.
	ConsentRequired bool
}

func (e *PendingError) Error() string {
	s := fmt.Sprintf("jit: request %s for %s is waiting for a decision", e.RequestID, e.Detail)
	if !e.ExpiresAt.IsZero() {
		s += " until " + e.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return s
}

// Unwrap returns [ErrPending].
func (e *PendingError) Unwrap() error { return ErrPending }

// An OvergrantError reports a token that covers more than was asked. The token
// was dropped. It unwraps to [ErrOvergrant].
type OvergrantError struct {
	RequestID string
	Asked     rar.Detail
	Reason    error
}

func (e *OvergrantError) Error() string {
	return fmt.Sprintf("jit: request %s for %s: %v: %v", e.RequestID, e.Asked, ErrOvergrant, e.Reason)
}

// Unwrap returns [ErrOvergrant].
func (e *OvergrantError) Unwrap() error { return ErrOvergrant }
