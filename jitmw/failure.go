package jitmw

import (
	"context"
	"errors"
	"time"

	"github.com/jitagent/jitagent/jit"
)

// The values of a failed result's "status".
const (
	StatusDenied    = "denied"            // a person, the server or the client said no
	StatusPending   = "pending"           // a person has not decided yet
	StatusArguments = "invalid_arguments" // the model called the tool wrongly
	StatusFailed    = "failed"            // anything else
)

// A Failure is what the model sees of a call that did not work. It is an error: a
// tool returns one to choose the words itself.
type Failure struct {
	Status    string // one of the constants above
	Message   string // what happened, for the model: no secrets, no internals
	Advice    string // what the model should do now
	RequestID string // of the request for authority, if there is one
	Risk      string
	ExpiresAt time.Time
}

// Error returns the message.
func (f *Failure) Error() string { return f.Message }

// result is the form in which the model, and the session's history, hold f.
func (f *Failure) result() map[string]any {
	m := map[string]any{"status": f.Status, "error": f.Message}
	if f.Advice != "" {
		m["advice"] = f.Advice
	}
	if f.RequestID != "" {
		m["request_id"] = f.RequestID
	}
	if f.Risk != "" {
		m["risk_level"] = f.Risk
	}
	if !f.ExpiresAt.IsZero() {
		m["expires_at"] = f.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return m
}

var errPanic = errors.New("the tool failed internally")

// An argumentError is a call that the model made wrongly.
type argumentError struct{ err error }

func (e *argumentError) Error() string { return e.err.Error() }
func (e *argumentError) Unwrap() error { return e.err }

const final = "This is final for this task: do not call the tool again for it; say so in your answer."

// explain turns an error into words for the model.
func explain(err error) *Failure {
	if f, ok := errors.AsType[*Failure](err); ok {
		c := *f
		return &c
	}
	if _, ok := errors.AsType[*argumentError](err); ok {
		return &Failure{Status: StatusArguments, Message: "invalid arguments: " + err.Error(), Advice: "Correct the arguments and call again."}
	}
	if e, ok := errors.AsType[*jit.PendingError](err); ok {
		return &Failure{
			Status:    StatusPending,
			Message:   "permission for " + e.Detail.String() + " is waiting for a person's decision",
			Advice:    "Do not call the tool again for it now; say in your answer what is waiting.",
			RequestID: e.RequestID, Risk: e.Risk, ExpiresAt: e.ExpiresAt,
		}
	}
	if e, ok := errors.AsType[*jit.DeniedError](err); ok {
		text := "permission for " + e.Detail.String() + " was " + deniedWord(e.Status)
		if e.Message != "" {
			text += ": " + e.Message
		}
		return &Failure{Status: StatusDenied, Message: text, Advice: final, RequestID: e.RequestID, Risk: e.Risk}
	}
	switch {
	case errors.Is(err, jit.ErrOutsideCeiling):
		// What the API demanded is its own text, so the model does not get it.
		return &Failure{Status: StatusDenied, Message: "the API demanded more authority than this call may ever ask for", Advice: final}
	case errors.Is(err, jit.ErrOvergrant):
		return &Failure{Status: StatusDenied, Message: "the authorization server granted more than was asked, so the grant was not used", Advice: final}
	case errors.Is(err, context.DeadlineExceeded):
		return &Failure{Status: StatusFailed, Message: "the call took too long"}
	case errors.Is(err, context.Canceled):
		return &Failure{Status: StatusFailed, Message: "the call was cancelled"}
	}
	return &Failure{Status: StatusFailed, Message: err.Error()}
}

func deniedWord(s jit.Status) string {
	if s == jit.StatusExpired {
		return "not decided in time"
	}
	return "denied"
}
