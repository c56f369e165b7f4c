package jitmw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/jitagent/jitagent/jit"
)

// A Failure is a call that did not work, in words for the model. It is an error: a
// tool returns one to choose the words itself.
type Failure struct {
	Status    jit.CallStatus // "" means jit.CallFailed
	Message   string         // what happened, for the model: no secrets, no internals
	Advice    string         // what the model should do now
	RequestID string         // of the request for authority, if there is one
	Risk      string
	ExpiresAt time.Time
	Unnamed   string // see [jit.Result]
	// Details is what the tool says of the failure beside the message, for the model:
	// cleaned and bounded as a result is. nil is nothing.
	Details map[string]any
	// Err is the cause. The log gets it, the model does not. nil when there is
	// nothing to add.
	Err error
}

// Error returns the message, and the cause if there is one.
func (f *Failure) Error() string {
	if f.Err == nil {
		return f.Message
	}
	return f.Message + ": " + f.Err.Error()
}

// Unwrap returns the cause.
func (f *Failure) Unwrap() error { return f.Err }

// result is what f makes of its call, without the task's tokens.
func (f *Failure) result(task *jit.Task) jit.Result {
	return jit.Result{
		Status:    cmp.Or(f.Status, jit.CallFailed),
		Message:   task.Scrub(shorten(cmp.Or(f.Message, "the call failed"))),
		Advice:    task.Scrub(f.Advice),
		RequestID: task.Scrub(f.RequestID), Risk: task.Scrub(f.Risk), ExpiresAt: f.ExpiresAt, Unnamed: task.Scrub(f.Unnamed),
	}
}

// Shown returns what a model is shown of a call that did not work. Nobody reads it
// but the model.
func Shown(r jit.Result) map[string]any {
	m := map[string]any{"status": string(r.Status), "error": r.Message}
	for name, text := range map[string]string{"advice": r.Advice, "request_id": r.RequestID, "risk_level": r.Risk} {
		if text != "" {
			m[name] = text
		}
	}
	if !r.ExpiresAt.IsZero() {
		m["expires_at"] = r.ExpiresAt.UTC().Format(time.RFC3339)
	}
	return m
}

// maxMessage bounds an error's text in bytes. Some hold what they are about: a
// validator's error may hold the whole rejected text.
const maxMessage = 1000

func shorten(s string) string {
	if len(s) <= maxMessage {
		return s
	}
	end := maxMessage
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}

// An argumentError is a call that the model made wrongly.
type argumentError struct{ err error }

func (e *argumentError) Error() string { return e.err.Error() }
func (e *argumentError) Unwrap() error { return e.err }

const (
	final = "This is final for this task: do not call the tool again for it; say so in your answer."
	sayso = "Say so in your answer."
)

// explain turns an error into words for the model. A tool's own error keeps its
// text, as ADK's tools do; one that names addresses or files of this machine does
// not. That a call may have taken effect comes before all that is said about it.
func explain(err error) *Failure {
	if errors.Is(err, jit.ErrInDoubt) {
		message := "the answer to the call was lost, so it is not known whether the call took effect"
		if e, ok := errors.AsType[*jit.InDoubtError](err); ok && e.StatusCode != 0 {
			message = fmt.Sprintf("the API answered %d, which does not say whether the call took effect", e.StatusCode)
		}
		return &Failure{
			Status:  jit.CallInDoubt,
			Message: message,
			Advice:  "Do not call the tool again for it: say in your answer that it may have happened and has to be checked.",
			Err:     err,
		}
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		return f
	}
	if e, ok := errors.AsType[*unnamedError](err); ok {
		if e.later {
			return &Failure{
				Status: jit.CallPending, Message: e.Error() + "; it waits until somebody can be asked", Unnamed: e.Verdict.String(),
				Advice: "Do not call the tool again for it now; say in your answer what is waiting.",
			}
		}
		return &Failure{
			Status: jit.CallDenied, Message: e.Error(), Unnamed: e.Verdict.String(),
			Advice: "Do not make this call, nor one like it. Do what the user asked for, and say in your answer what you did not do.",
		}
	}
	if _, ok := errors.AsType[*argumentError](err); ok {
		return &Failure{Status: jit.CallInvalid, Message: "invalid arguments: " + err.Error(), Advice: "Correct the arguments and call again."}
	}
	if e, ok := errors.AsType[*jit.PendingError](err); ok {
		return &Failure{
			Status:    jit.CallPending,
			Message:   "permission for " + e.Detail.String() + " is waiting for a person's decision",
			Advice:    "Do not call the tool again for it now; say in your answer what is waiting.",
			RequestID: e.RequestID, Risk: e.Risk, ExpiresAt: e.ExpiresAt,
		}
	}
	if e, ok := errors.AsType[*jit.DeniedError](err); ok {
		text := "permission for " + e.Detail.String() + " was " + deniedWord(e)
		if e.Message != "" {
			text += ": " + e.Message
		}
		return &Failure{Status: jit.CallDenied, Message: text, Advice: final, RequestID: e.RequestID, Risk: e.Risk}
	}
	for _, known := range wording {
		if errors.Is(err, known.err) {
			return &Failure{Status: known.status, Message: known.message, Advice: known.advice, Err: err}
		}
	}
	if e, ok := errors.AsType[*jit.AuthorityError](err); ok {
		return &Failure{Status: jit.CallFailed, Message: e.Words(), Advice: sayso, Err: err}
	}
	if technical(err) {
		return &Failure{Status: jit.CallFailed, Message: "the call failed for a technical reason: a service or file that it needs could not be reached", Advice: sayso, Err: err}
	}
	return &Failure{Status: jit.CallFailed, Message: err.Error()}
}

// wording has the words for errors that callers may branch on. What an API
// demanded is its own text, so the model does not get it.
var wording = []struct {
	err             error
	status          jit.CallStatus
	message, advice string
}{
	{jit.ErrOutsideCeiling, jit.CallDenied, "the API demanded more authority than this call may ever ask for", final},
	{jit.ErrOvergrant, jit.CallDenied, "the authorization server granted more than was asked, so the grant was not used", final},
	{jit.ErrSilent, jit.CallDenied, "the authorization server did not say what it granted, so the grant was not used", final},
	{jit.ErrStillRefused, jit.CallDenied, "the API refuses the call even with the permission that was granted for it", final},
	{jit.ErrScope, jit.CallDenied, "the API wants scopes and does not say which", sayso},
	{jit.ErrLogin, jit.CallLogin, "the API wants the user to log in anew, which the agent cannot do", sayso},
	{jit.ErrUnreadable, jit.CallFailed, "the API refused the call, and what it demands cannot be read", sayso},
	{jit.ErrKilled, jit.CallFailed, "the task was ended from outside", final},
	{jit.ErrTaskEnded, jit.CallFailed, "the task has ended, so the call could not get permission", sayso},
	{jit.ErrNotReplayable, jit.CallFailed, "the call needs permission but could not be repeated with it", sayso},
	{jit.ErrNoCall, jit.CallFailed, "the tool asked for permission outside of its call", sayso},
	{context.DeadlineExceeded, jit.CallFailed, "the call took too long", sayso},
	{context.Canceled, jit.CallFailed, "the call was cancelled", ""},
}

// technical reports whether an error's text is likely to name addresses or files.
func technical(err error) bool {
	if _, ok := errors.AsType[*url.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return true
	}
	if _, ok := errors.AsType[*os.LinkError](err); ok {
		return true
	}
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}

func deniedWord(e *jit.DeniedError) string {
	switch {
	case e.Status == jit.StatusPending:
		return "not decided, and nobody is waited for"
	case e.Status == jit.StatusExpired && e.DecidedBy != "":
		return "approved by " + shorten(e.DecidedBy) + ", and the approval was not used in time"
	case e.Status == jit.StatusExpired:
		return "not decided in time"
	}
	return "denied"
}
