package runner

import (
	"errors"
	"fmt"
)

// Errors that end a run. A run's error wraps one of them where a caller may want
// to branch.
var (
	// ErrNoAnswer: the model ended the run without saying anything.
	ErrNoAnswer = errors.New("the model gave no answer")
	// ErrModelCalls and ErrWall: a limit of the run was reached.
	ErrModelCalls = errors.New("limit of model calls reached")
	ErrWall       = errors.New("limit of wall time reached")
	// ErrRepeats: the model makes one call again and again, though it was told that
	// nothing comes of it.
	ErrRepeats = errors.New("the model makes the same call again and again, with the same result")
	// ErrUnread: the model ended about something that was named, and never looked at it.
	ErrUnread = errors.New("the model read no document")
	// ErrBusy: the session has a run under way.
	ErrBusy = errors.New("the session has a run under way")
	// ErrUnattended: a person would have to be asked, and [UnattendedFail] says not to.
	ErrUnattended = errors.New("a person would have to be asked, and nobody is there")
	// ErrNothingToResume: the session ends with an answer.
	ErrNothingToResume = errors.New("the session has nothing to go on with: it ends with an answer")
)

// A ModelError is an answer that is none, or only part of one: the provider ended
// it with a code such as "SAFETY" or "MAX_TOKENS". What the model said until then
// is still the run's answer.
type ModelError struct{ Code, Message string }

func (e *ModelError) Error() string {
	switch {
	case e.Message == "":
		return "the model ended with " + e.Code
	case e.Code == "":
		return "the model failed: " + e.Message
	}
	return fmt.Sprintf("the model ended with %s: %s", e.Code, e.Message)
}

// A runError is a run's error with a text that holds none of the task's tokens.
type runError struct {
	text string
	err  error
}

func (e *runError) Error() string { return e.text }
func (e *runError) Unwrap() error { return e.err }

// errPanic ends a run in which code of the application panicked.
var errPanic = errors.New("internal failure, see the log")
