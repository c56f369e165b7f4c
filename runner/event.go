package runner

import (
	"encoding/json"
	"fmt"
	"sync"
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

// ToolReturned says that a tool call ended. Status is "ok", or that of the failure
// as package jitmw names it.
type ToolReturned struct {
	Time      time.Time      `json:"time"`
	CallID    string         `json:"call_id"`
	Tool      string         `json:"tool"`
	Status    string         `json:"status"`
	Error     string         `json:"error,omitempty"`
	RequestID string         `json:"request_id,omitempty"`
	Result    map[string]any `json:"result"` // as the model sees it
}

// Finished says that the run is over and the task completed, or as far as that
// went.
type Finished struct {
	Time    time.Time `json:"time"`
	Outcome Outcome   `json:"outcome"`
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

// The outcomes. What a person has to look at first counts: MaybeExecuted before all
// others, also in a run that broke; then, among runs that did not, Pending before
// Denied before Failed.
const (
	Done        Outcome = "done"        // the model answered and every tool did its work
	Failed      Outcome = "failed"      // the run broke, or a tool call failed and nothing made up for it
	Denied      Outcome = "denied"      // authority was denied for a call
	Pending     Outcome = "pending"     // a call waits for a person
	Interrupted Outcome = "interrupted" // the context was cancelled before the run was over
	// MaybeExecuted: the answer to a call that may change something was lost, so
	// nobody knows whether it took effect.
	MaybeExecuted Outcome = "maybe_executed"
)

// tally keeps what decides the outcome. Tool calls run concurrently.
type tally struct {
	mu              sync.Mutex
	denied, pending bool
	failed          map[string]int // tool -> turn of its last failure
	worked          map[string]int // tool -> turn of its last success
	turn            int
	doubts          map[string]bool // idempotency keys of effects, and whether they are still in doubt
	said            bool            // a tool says of itself that it may have done something
}

func (t *tally) see(e jit.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := e.(type) {
	case jit.Blocked:
		t.denied = true
	case jit.Uncertain:
		if t.doubts == nil {
			t.doubts = map[string]bool{}
		}
		t.doubts[e.IdempotencyKey] = true
	case jit.Settled:
		t.doubts[e.IdempotencyKey] = false
	}
}

// inDoubt reports whether some effect may have happened. Package jit knows of each
// that it sent, and whether it was settled; of others there is only the tool's word.
func (t *tally) inDoubt() bool {
	for _, open := range t.doubts {
		if open {
			return true
		}
	}
	return t.said && t.doubts == nil
}

func (t *tally) returned(e ToolReturned) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed == nil {
		t.failed, t.worked = map[string]int{}, map[string]int{}
	}
	switch e.Status {
	case statusOK:
		t.worked[e.Tool] = t.turn
	case "denied":
		t.denied = true
	case "pending":
		t.pending = true
	case "maybe_executed":
		t.said = true
	default:
		t.failed[e.Tool] = t.turn
	}
}

func (t *tally) nextTurn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn++
}

// decide returns the outcome. A failed call is made up for when the same tool
// works in a later turn: the model corrected itself.
func (t *tally) decide(err error) Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.inDoubt():
		return MaybeExecuted
	case err != nil:
		return Failed
	case t.pending:
		return Pending
	case t.denied:
		return Denied
	}
	for tool, turn := range t.failed {
		if worked, ok := t.worked[tool]; !ok || worked <= turn {
			return Failed
		}
	}
	return Done
}

const statusOK = "ok"

// toolReturned reads a function response as package jitmw and ADK write it.
func toolReturned(fr *genai.FunctionResponse) ToolReturned {
	e := ToolReturned{Time: time.Now(), CallID: fr.ID, Tool: fr.Name, Status: statusOK, Result: fr.Response}
	text, _ := fr.Response["error"].(string)
	if text == "" {
		return e
	}
	e.Error, e.Status = text, "failed"
	if s, ok := fr.Response["status"].(string); ok && s != "" {
		e.Status = s
	}
	e.RequestID, _ = fr.Response["request_id"].(string)
	return e
}
