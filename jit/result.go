package jit

import (
	"context"
	"time"
)

// A CallStatus says what came of a call, in one word.
type CallStatus string

// The statuses. A tool may have others of its own; they count as CallFailed.
const (
	CallOK       CallStatus = "ok"
	CallDenied   CallStatus = "denied"            // a person, the server or the client said no
	CallPending  CallStatus = "pending"           // a person has not decided yet
	CallLogin    CallStatus = "login_required"    // the API wants another login of the user, which nobody can approve
	CallInvalid  CallStatus = "invalid_arguments" // the tool was called wrongly
	CallNotFound CallStatus = "not_found"         // what the call is about does not exist
	CallFailed   CallStatus = "failed"            // anything else
	CallInDoubt  CallStatus = "in_doubt"          // it may have taken effect: the answer was lost
)

// A Result is what came of a call. What a model is shown is made from it and never
// read back: a tool that works may well answer {"status": "denied"}.
type Result struct {
	Status CallStatus `json:"status"` // "" means CallFailed
	// Message is what went wrong, in words for the model: no secrets, no internals.
	// It is "" for a call that worked.
	Message   string    `json:"error,omitempty"`
	Advice    string    `json:"advice,omitempty"`     // what the model should do now
	RequestID string    `json:"request_id,omitempty"` // of the request for authority, if there is one
	Risk      string    `json:"risk_level,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"` // end of the window for a decision
	// Unnamed says what the person did not name, for a call that was refused for that.
	Unnamed string `json:"unnamed,omitempty"`
}

// EndCall says what came of the context's call, to the journal and to whoever
// observes the task. Without a call in ctx it does nothing.
func EndCall(ctx context.Context, r Result) {
	s := scopeOf(ctx)
	if s == nil {
		return
	}
	if r.Status == "" {
		r.Status = CallFailed
	}
	r.Message = s.task.Scrub(r.Message)
	e := s.entry(EntryCallEnded)
	e.Result, e.Error, e.Message = string(r.Status), r.Message, s.task.Scrub(r.Unnamed)
	s.task.engine.note(e)
	s.task.emit(CallEnded{About: s.about(), Result: r})
}
