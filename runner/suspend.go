package runner

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/platform"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
)

// Suspensions keep what suspended runs are gone on with: at most one for a session.
// Package session in state has one on disk. They must be safe for concurrent use.
type Suspensions interface {
	// Save keeps s in place of an earlier one of its session. It returns when s is
	// durable.
	Save(ctx context.Context, s *Suspension) error
	// Load returns the suspension of a session, or nil.
	Load(ctx context.Context, app, user, session string) (*Suspension, error)
	// Drop forgets the suspension of a session, if it is that of the run: another one may
	// have taken its place. "" is any run.
	Drop(ctx context.Context, app, user, session, run string) error
}

// A Suspension is a turn of which calls wait for a person's decision. It holds no
// secret, and is kept apart from the conversation: stores of conversations change
// numbers, and clients may write to them.
type Suspension struct {
	App     string `json:"app"`
	User    string `json:"user"`
	Session string `json:"session"`

	Run        string          `json:"run"`        // of the JIT task, see [jit.Task.Run]
	Agent      string          `json:"agent"`      // that made the calls
	Invocation string          `json:"invocation"` // in which it did
	Calls      []SuspendedCall `json:"calls"`      // of the turn, in order
	Until      time.Time       `json:"until"`      // when the last request runs out

	State     map[string]any   `json:"state,omitempty"` // changed by the calls that have ended
	Artifacts map[string]int64 `json:"artifacts,omitempty"`
}

// A SuspendedCall is one call of a suspended turn.
type SuspendedCall struct {
	Waiting
	Args json.RawMessage `json:"args"` // as the model wrote them
	// Result is the genai.FunctionResponse of a call that has ended; nil for one that
	// waits.
	Result json.RawMessage `json:"result,omitempty"`
}

// Waiting is a call that waits for a decision, and where that can be made.
type Waiting struct {
	CallID    string    `json:"call_id"`
	Tool      string    `json:"tool"`
	RequestID string    `json:"request_id,omitempty"`
	Risk      string    `json:"risk_level,omitempty"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	DecideAt  string    `json:"decide_at,omitempty"`
	Unnamed   string    `json:"unnamed,omitempty"` // what nobody named, of a call that waits until somebody can be asked
}

// Waiting returns the calls that wait.
func (s *Suspension) Waiting() (calls []Waiting) {
	for _, c := range s.Calls {
		if c.Result == nil {
			calls = append(calls, c.Waiting)
		}
	}
	return calls
}

// requests returns what is to be decided, by its ids.
func (s *Suspension) requests() (ids []string) {
	for _, w := range s.Waiting() {
		if w.RequestID != "" && !slices.Contains(ids, w.RequestID) {
			ids = append(ids, w.RequestID)
		}
	}
	return ids
}

// digest names what runs when the session is resumed. The journal keeps it, which
// nobody changes unseen.
func (s *Suspension) digest() string {
	type call struct {
		ID, Tool string
		Args     json.RawMessage
		Waits    bool
		Unnamed  string `json:",omitempty"`
	}
	calls := make([]call, len(s.Calls))
	for i, c := range s.Calls {
		calls[i] = call{c.CallID, c.Tool, c.Args, c.Result == nil, c.Unnamed}
	}
	text, err := json.Marshal(struct {
		App, User, Session, Agent, Invocation string
		Calls                                 []call
	}{s.App, s.User, s.Session, s.Agent, s.Invocation, calls})
	if err != nil {
		return "" // arguments that are no JSON, which none has that was suspended
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// find returns the call with an id, or nil.
func (s *Suspension) find(id string) *SuspendedCall {
	for i := range s.Calls {
		if s.Calls[i].CallID == id {
			return &s.Calls[i]
		}
	}
	return nil
}

// again returns the calls that wait, as the model made them.
func (s *Suspension) again() (*genai.Content, error) {
	content := &genai.Content{Role: genai.RoleModel}
	for _, c := range s.Calls {
		if c.Result != nil {
			continue
		}
		args, err := c.arguments()
		if err != nil {
			return nil, fmt.Errorf("arguments of call %s: %w", c.CallID, err)
		}
		content.Parts = append(content.Parts, &genai.Part{FunctionCall: &genai.FunctionCall{ID: c.CallID, Name: c.Tool, Args: args}})
	}
	return content, nil
}

// arguments returns the call's arguments, each number as it was written.
func (c *SuspendedCall) arguments() (args map[string]any, err error) {
	dec := json.NewDecoder(bytes.NewReader(c.Args))
	dec.UseNumber()
	err = dec.Decode(&args)
	strictjson.Numbers(args)
	return args, err
}

// unnamedWait is how long a call that nobody named waits until somebody can be asked.
const unnamedWait = 24 * time.Hour

// errSuspended breaks off a run whose calls wait.
var errSuspended = errors.New("suspended")

// A turn is what a run knows of the calls that its model made last, so that it can be
// suspended, or was. ADK hands on one event at a time.
type turn struct {
	first   atomic.Pointer[string] // the agent that ADK asked first: the one that it asks when it is resumed
	resumed *Suspension            // what the run goes on with; nil when that is done
	asked   atomic.Bool            // the resumed calls were handed to ADK
	left    atomic.Bool            // the run is suspended: ADK may go on for a moment, and must not ask the model
	calls   *Suspension            // the calls that were made last; nil where they cannot be suspended
	came    map[string]came        // what is known of the calls that are gone on with, where they were not suspended
}

// replay answers the model's first call of a resumed run with the calls that wait: ADK
// then runs them as it runs any others. It returns nil in all other cases.
func (r *run) replay(agent, invocation string) (*model.LLMResponse, error) {
	t := &r.turn
	t.first.CompareAndSwap(nil, &agent)
	if t.resumed == nil || t.asked.Swap(true) {
		return nil, nil
	}
	if agent != t.resumed.Agent || invocation != t.resumed.Invocation {
		return nil, fmt.Errorf("runner: the calls that wait belong to agent %s, and it is %s that goes on", t.resumed.Agent, agent)
	}
	content, err := t.resumed.again()
	if err != nil {
		return nil, fmt.Errorf("runner: %w", err)
	}
	if t.came == nil {
		r.naming.resume(content, t.resumed, r.earlier)
	}
	return &model.LLMResponse{Content: content, TurnComplete: true}, nil
}

// sameInvocation has ADK go on under the name of the invocation in which the calls
// were made: it makes that of the first id that it asks for.
func sameInvocation(ctx context.Context, invocation string) context.Context {
	var used atomic.Bool
	other := ctx
	return platform.WithUUIDProvider(ctx, func() string {
		if !used.Swap(true) {
			return strings.TrimPrefix(invocation, "e-")
		}
		return platform.NewUUID(other)
	})
}

// storing returns what is stored of an event of the run; nil is nothing. The results of
// a turn of which calls wait are held back, and the run ends with errSuspended.
func (r *run) storing(ctx context.Context, ev *session.Event) (*session.Event, error) {
	t := &r.turn
	var made, results bool
	for fc, fr := range parts(ev) {
		made, results = made || fc != nil, results || fr != nil
	}
	if results && ctx.Err() == nil {
		if err := r.task.Alive(ctx); errors.Is(err, jit.ErrJournal) {
			return nil, err // the calls stay open, for whoever goes on
		}
	}
	switch {
	case made && t.resumed != nil:
		t.calls = t.resumed
		return nil, nil // it was stored when the model made them
	case made:
		t.calls = r.made(ev)
		return ev, nil
	case !results || t.calls == nil:
		return ev, nil
	}
	calls := t.calls
	t.calls = nil
	if err := calls.fill(ev, r.outcome.of); err != nil {
		return nil, err
	}
	if calls.Waiting() != nil && r.suspend(ctx, calls, ev) {
		r.held = ev
		return nil, errSuspended
	}
	if calls != t.resumed {
		return ev, nil
	}
	if err := calls.fill(ev, nil); err != nil {
		return nil, err
	}
	return calls.complete(ev)
}

// parts yields the calls and the results of an event, nil for the other of both.
func parts(ev *session.Event) iter.Seq2[*genai.FunctionCall, *genai.FunctionResponse] {
	return func(yield func(*genai.FunctionCall, *genai.FunctionResponse) bool) {
		if ev.Content == nil || ev.Partial {
			return
		}
		for _, p := range ev.Content.Parts {
			switch {
			case p == nil:
			case p.FunctionCall != nil && !yield(p.FunctionCall, nil):
				return
			case p.FunctionCall == nil && p.FunctionResponse != nil && !yield(nil, p.FunctionResponse):
				return
			}
		}
	}
}

// fill takes over what came of calls, but for those of which it is said that they wait.
func (s *Suspension) fill(ev *session.Event, came func(id string) jit.Result) error {
	for _, fr := range parts(ev) {
		if fr == nil {
			continue
		}
		c := s.find(fr.ID)
		if c == nil {
			return fmt.Errorf("runner: a result of call %s, which was not made", fr.ID)
		}
		if came != nil {
			if result := came(fr.ID); result.Status == jit.CallPending {
				c.RequestID, c.Risk, c.ExpiresAt, c.Unnamed = result.RequestID, result.Risk, result.ExpiresAt, result.Unnamed
				continue
			}
		}
		text, err := json.Marshal(fr)
		if err != nil {
			return fmt.Errorf("runner: result of call %s: %w", fr.ID, err)
		}
		c.Result = text
	}
	return nil
}

// merged returns into with more; it may change into.
func merged[V any](into, more map[string]V) map[string]V {
	if into == nil {
		return maps.Clone(more)
	}
	maps.Copy(into, more)
	return into
}

// made returns calls of the model's, if they can be suspended: ADK must come back to
// their agent when it goes on, which it does to the one that it began with, and not to
// one that works beside or below others.
func (r *run) made(ev *session.Event) *Suspension {
	first := r.turn.first.Load()
	if r.r.cfg.Suspensions == nil || !r.r.cfg.Engine.CanSuspend() || first == nil || ev.Author != *first || ev.Branch != "" || ev.IsolationScope != "" {
		return nil
	}
	return r.callsOf(ev)
}

// callsOf returns the calls of an event as they are gone on with; nil where their arguments
// cannot be written.
func (r *run) callsOf(ev *session.Event) *Suspension {
	s := &Suspension{
		App: r.place.app, User: r.place.user, Session: r.place.session, Run: r.task.Run(), Agent: ev.Author, Invocation: ev.InvocationID,
	}
	for call := range parts(ev) {
		if call == nil {
			continue
		}
		args := call.Args
		if args == nil {
			args = map[string]any{}
		}
		text, err := json.Marshal(args)
		if err != nil {
			return nil
		}
		s.Calls = append(s.Calls, SuspendedCall{Waiting: Waiting{CallID: call.ID, Tool: call.Name}, Args: text})
	}
	return s
}

// suspend leaves the task and the calls to whoever resumes the session. It reports
// false where that cannot be done: then the model is told what waits.
func (r *run) suspend(ctx context.Context, s *Suspension, ev *session.Event) bool {
	if ctx.Err() != nil || r.r.cfg.Unattended == UnattendedFail || ev.Actions.TransferToAgent != "" || ev.Actions.Escalate {
		return false
	}
	var unnamed time.Time // until when what nobody named waits
	for i := range s.Calls {
		if c := &s.Calls[i]; c.Result == nil {
			if c.Unnamed != "" {
				c.ExpiresAt = time.Now().Add(unnamedWait)
				unnamed = c.ExpiresAt
			}
			c.DecideAt = r.outcome.decideAt(c.RequestID, c.DecideAt)
			s.Until = later(s.Until, c.ExpiresAt)
		}
	}
	s.State = merged(s.State, ev.Actions.StateDelta)
	s.Artifacts = merged(s.Artifacts, ev.Actions.ArtifactDelta)
	err := r.r.cfg.Suspensions.Save(ctx, s)
	if err == nil {
		_, err = r.task.Suspend(ctx, s.digest(), unnamed)
	}
	if err != nil {
		r.r.log.WarnContext(ctx, "a call that waits cannot be suspended", "session", s.Session, "error", err)
		return false
	}
	r.suspended = s
	r.turn.left.Store(true)
	return true
}

// complete returns the event of a turn's last results with all of its results, in the
// order of the calls.
func (s *Suspension) complete(ev *session.Event) (*session.Event, error) {
	whole, content := *ev, *ev.Content
	content.Parts = nil
	for _, c := range s.Calls {
		var fr genai.FunctionResponse
		if err := json.Unmarshal(c.Result, &fr); err != nil {
			return nil, fmt.Errorf("runner: result of call %s: %w", c.CallID, err)
		}
		content.Parts = append(content.Parts, &genai.Part{FunctionResponse: &fr})
	}
	whole.Content = &content
	whole.Actions.StateDelta = merged(s.State, ev.Actions.StateDelta)
	whole.Actions.ArtifactDelta = merged(s.Artifacts, ev.Actions.ArtifactDelta)
	return &whole, nil
}

// stored notes that every call that a run went on with has its result in the
// conversation. What it went on with is kept until the run is over, so that nobody else
// takes up what is under way.
func (r *run) stored(ev *session.Event) {
	for _, fr := range parts(ev) {
		if r.turn.resumed != nil && fr != nil {
			if r.settled = r.over; r.turn.came == nil {
				r.settled = r.turn.resumed
			}
			r.turn.resumed, r.turn.came = nil, nil
		}
	}
}

// dropped is [Runner.Drop].
func (r *run) dropped(ctx context.Context) error {
	r.place = r.in.place(r.r.cfg.App)
	if kept := r.r.cfg.Suspensions; kept == nil {
		return fmt.Errorf("runner: session %s: %w", r.place.session, ErrNothingToResume)
	} else if s, err := kept.Load(ctx, r.r.cfg.App, r.place.user, r.place.session); s == nil {
		return fmt.Errorf("runner: session %s: %w", r.place.session, cmp.Or(err, ErrNothingToResume))
	}
	r.drops = true
	under, err := r.open(ctx)
	if err == nil {
		if r.turn.resumed != nil {
			r.over, r.turn.resumed = r.turn.resumed, nil
		}
		_, err = r.prepare(under)
	}
	ctx = context.WithoutCancel(ctx)
	if failure := r.leave(ctx, Denied); failure != nil {
		return errors.Join(err, failure)
	}
	return errors.Join(err, r.close(ctx))
}

// drop forgets a suspension. One that stays is known to be over by its task.
func (r *run) drop(ctx context.Context, s *Suspension) {
	if err := r.r.cfg.Suspensions.Drop(context.WithoutCancel(ctx), s.App, s.User, s.Session, s.Run); err != nil {
		r.r.log.WarnContext(ctx, "a suspension that is over stays behind", "session", s.Session, "error", err)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
