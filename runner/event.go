package runner

import (
	"encoding/json"
	"fmt"
	"time"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
)

// An Event is something that happened in a run: one of the struct types of this
// file, or of the events of package jit. None holds a secret. Kind returns a
// stable name for machines.
type Event interface{ Kind() string }

// Started says that the session is open and the model is about to be asked.
type Started struct {
	Time    time.Time `json:"time"`
	Session string    `json:"session"`
	Agent   string    `json:"agent"`
	Resumed bool      `json:"resumed,omitempty"` // calls that waited are gone on with
}

// HistoryCut says that the conversation is longer than [Limits.History], so that the
// model is shown its last events only: the Kept ones, and those of this run.
type HistoryCut struct {
	Time    time.Time `json:"time"`
	Session string    `json:"session"`
	Kept    int       `json:"kept"`
}

// Text is something that the model said. Partial texts are pieces of one that
// follows whole; Final says that the text is, or is part of, the answer.
type Text struct {
	Time    time.Time `json:"time"`
	Text    string    `json:"text"`
	Partial bool      `json:"partial,omitempty"`
	Final   bool      `json:"final,omitempty"`
}

// ToolCalled says that the model called a tool. The arguments are the model's.
type ToolCalled struct {
	Time   time.Time      `json:"time"`
	CallID string         `json:"call_id"`
	Tool   string         `json:"tool"`
	Args   map[string]any `json:"args"`
}

// ToolReturned says that a tool call ended, with its status and, where it failed,
// why.
type ToolReturned struct {
	Time      time.Time      `json:"time"`
	CallID    string         `json:"call_id"`
	Tool      string         `json:"tool"`
	Status    jit.CallStatus `json:"status"`
	Error     string         `json:"error,omitempty"`
	RequestID string         `json:"request_id,omitempty"`
	Result    map[string]any `json:"result"` // as the model sees it
}

// Finished says that the run is over and the task completed, or as far as that
// went, or suspended.
type Finished struct {
	Time    time.Time `json:"time"`
	Session string    `json:"session,omitempty"`
	Outcome Outcome   `json:"outcome"`
	// Waiting are the calls for which the session is suspended.
	Waiting []Waiting `json:"waiting,omitempty"`
	// Refused are the calls that were not made, since nobody had named them.
	Refused []Refusal `json:"refused,omitempty"`
	// Failure is the call to which an Outcome of LoginRequired, Denied or Failed is due:
	// the last such one. Zero where it is due to none.
	Failure Failure `json:"failure,omitzero"`
	// Answer is what the agent said in the end. It is empty when the run broke, but
	// for a [ModelError]: then it is what the model said before. A tool failure or
	// denial that the agent explained is not a break.
	Answer     string        `json:"answer,omitempty"`
	Error      string        `json:"error,omitempty"`
	ModelCalls int           `json:"model_calls"`
	ToolCalls  int           `json:"tool_calls"`
	Elapsed    time.Duration `json:"elapsed_ns"` // nanoseconds
	Usage      Usage         `json:"usage"`
}

// A Failure is a call that did not do its work, and why, as the model was told.
type Failure struct {
	CallID string `json:"call_id"`
	Tool   string `json:"tool"`
	Error  string `json:"error"`
}

// Usage adds up the tokens that the model's provider counted. Zero where it does
// not count.
type Usage struct {
	Prompt     int `json:"prompt_tokens"`
	Candidates int `json:"candidates_tokens"`
	Total      int `json:"total_tokens"`
}

func (u *Usage) add(m *genai.GenerateContentResponseUsageMetadata) {
	u.Prompt += int(m.PromptTokenCount)
	u.Candidates += int(m.CandidatesTokenCount)
	u.Total += int(m.TotalTokenCount)
}

// Kind implements [Event].
func (Started) Kind() string { return "started" }

// Kind implements [Event].
func (HistoryCut) Kind() string { return "history_cut" }

// Kind implements [Event].
func (Text) Kind() string { return "text" }

// Kind implements [Event].
func (ToolCalled) Kind() string { return "tool_called" }

// Kind implements [Event].
func (ToolReturned) Kind() string { return "tool_returned" }

// Kind implements [Event].
func (Finished) Kind() string { return "finished" }

// MarshalEvent encodes an event as one JSON object with its kind as "event".
func MarshalEvent(e Event) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("runner: event %T: %w", e, err)
	}
	if body[0] != '{' {
		return nil, fmt.Errorf("runner: event %T is no JSON object", e)
	}
	head, err := json.Marshal(e.Kind())
	if err != nil {
		return nil, err
	}
	out := append([]byte(`{"event":`), head...)
	if len(body) > 2 {
		out = append(out, ',')
	}
	return append(out, body[1:]...), nil
}

// An Outcome says how a run ended.
type Outcome string

// The outcomes. What a person has to look at first counts: InDoubt before all
// others, also in a run that broke; then, among runs that did not, Pending before
// LoginRequired before Denied before Failed.
const (
	Done   Outcome = "done"   // the model answered and every tool did its work
	Failed Outcome = "failed" // the run broke, or a tool call failed and nothing made up for it
	Denied Outcome = "denied" // authority was denied for a call
	// LoginRequired: an API wants another login of the user, which no decision replaces.
	LoginRequired Outcome = "login_required"
	Pending       Outcome = "pending"     // a call waits for a person
	Spent         Outcome = "spent"       // the models used what the budget allows, see [Budget]
	Interrupted   Outcome = "interrupted" // the context was cancelled before the run was over
	// InDoubt: the answer to a call that may change something was lost, so nobody
	// knows whether it took effect.
	InDoubt Outcome = "in_doubt"
)
