package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// A teller makes one task's part of a story, record by record.
type teller struct {
	calendar
	opts Options
	task *Task

	calls   map[string]*Call    // by id, or by tool
	asked   map[string]*Request // by request id
	grants  map[string]*Grant   // the last one by request id
	uses    map[*Send]*Use      // of the token that a send carried
	effects map[string]*Effect

	records []journal.Record
	now     journal.Task // as the journal tells it
	owner   string       // of the last record
	opening bool         // the task's opening is among the records
	closed  bool         // the end of the task was asked for
	first   int64        // number of the first record
	seq     int64        // of the last one
}

func newTeller(first journal.Record, opts Options) *teller {
	return &teller{
		calendar: calendar{opts.Zone, first.Time},
		opts:     opts,
		task:     &Task{Run: first.Run, State: journal.StateOpen, Opened: first.Time, Calls: []*Call{}, Steps: []Step{}, Summary: []string{}},
		calls:    map[string]*Call{}, asked: map[string]*Request{},
		grants: map[string]*Grant{}, uses: map[*Send]*Use{}, effects: map[string]*Effect{},
	}
}

// notef keeps something that does not add up.
func (t *teller) notef(format string, args ...any) {
	t.task.Notes = append(t.task.Notes, fmt.Sprintf(format, args...))
}

// backwards is by how much a clock may go back unsaid: what goes on at the same
// time is not written in the order of its time stamps.
const backwards = time.Second

// add tells one record more. They come in the order of their numbers.
func (t *teller) add(r journal.Record) {
	task := t.task
	// The task is opened while the model makes its first calls, so the opening need
	// not come first.
	t.opening = t.opening || r.Kind == jit.EntryTaskOpening
	switch {
	case task.Last.IsZero():
		t.first = r.Seq
	case r.Seq == t.seq:
		t.notef("Two entries have the number %d.", r.Seq)
	case task.Last.Sub(r.Time) > backwards:
		t.notef("The clock went back by %s before entry %d: lengths of time around it are wrong.", span(task.Last.Sub(r.Time)), r.Seq)
	}
	t.handOver(r)
	t.seq = r.Seq
	t.records = append(t.records, r)
	task.Last = r.Time
	t.follow(r)
	if r.Trace != "" {
		task.Traces = append(task.Traces, r.Trace)
	}
	if r.TaskID != "" && r.TaskID != task.ID {
		t.notef("Entry %d is about another task at the authorization server: %s.", r.Seq, ident(r.TaskID))
	}
	if t.ofTask(r) {
		return
	}
	c := t.callOf(r)
	step := t.ofCall(r, c)
	step.Seq, step.Time, step.Kind = r.Seq, r.Time, r.Kind
	if c == nil {
		task.Steps = append(task.Steps, step)
		return
	}
	c.Steps = append(c.Steps, step)
}

// follow takes over from the journal's own account of the task.
func (t *teller) follow(r journal.Record) {
	task, is := t.task, t.now.After(r)
	if is.State != t.now.State {
		task.Ended = time.Time{}
		if is.State.Finished() {
			task.Ended = r.Time
		}
	}
	t.now = is
	task.ID, task.State, task.ValidUntil = is.ID, is.State, is.ExpiresAt
	task.Authority, task.Session, task.Name, task.OnBehalfOf, task.Parent = is.Authority, is.Session, is.Name, is.OnBehalfOf, is.Parent
}

// handOver notices that another process goes on with the task.
func (t *teller) handOver(r journal.Record) {
	was := t.owner
	t.owner = cmp.Or(r.Owner, t.owner)
	if was == "" || was == t.owner || t.task.State.Finished() || t.task.State == journal.StateSuspended {
		return
	}
	t.died(was, "another process found it gone")
	d := &t.task.Deaths[len(t.task.Deaths)-1]
	d.RecoveredBy, d.RecoveredAt = t.owner, r.Time
	t.step(Step{
		Time: r.Time, Kind: StepRecovered, Tone: Good, Label: "recovered",
		Text: fmt.Sprintf("Another process took the task over%s, to give back what it held.", after(d.LastSign, r.Time)),
	})
}

// died tells that the process that worked on the task is gone.
func (t *teller) died(owner, how string) {
	last := t.task.Last
	d := Death{Owner: owner, LastSign: last, closing: t.closed}
	text := fmt.Sprintf("The process died here or later: its last entry is of %s; %s.", t.exact(last), how)
	if d.closing {
		text = fmt.Sprintf("The process ended or died before the end of the task was confirmed: its last entry is of %s; %s.", t.exact(last), how)
	}
	t.task.Deaths = append(t.task.Deaths, d)
	t.step(Step{Time: last, Kind: StepDied, Tone: Bad, Label: "process died", Text: text})
	t.cutEffects("It was sent, and the process died before an answer was recorded: in doubt.")
	for _, c := range t.task.Calls {
		if c.Fate == FateRunning {
			c.Fate = FateCut
			c.Steps = append(c.Steps, Step{Time: last, Kind: StepSilent, Tone: Bad, Label: "cut off", Text: t.silence(c)})
		}
	}
}

// silence words that the records of a call stop.
func (t *teller) silence(c *Call) string {
	text := "Nothing more of this call is recorded: the process died."
	for _, e := range t.task.Effects {
		if e.call == c && e.Outcome == jit.OutcomeInDoubt {
			text += fmt.Sprintf(" %s %s (Idempotency-Key %s) was sent and has no outcome: in doubt.", ident(e.Method), address(e.URL), ident(e.Key))
		}
	}
	for _, q := range t.task.Asked {
		switch {
		case q.call != c:
		case q.Status == unanswered:
			text += fmt.Sprintf(" No answer to the request for %s is recorded.", join([]Detail{q.Detail}, ""))
		case q.Status == jit.StatusPending.String():
			text += fmt.Sprintf(" Request %s was waiting for a person.", ident(q.ID))
		case q.Status == jit.StatusApproved.String() && !q.Redeemed:
			text += fmt.Sprintf(" Request %s was approved, and no token for it is recorded.", ident(q.ID))
		}
	}
	return text
}

func (t *teller) step(s Step) { t.task.Steps = append(t.task.Steps, s) }

// finish tells the end, as far as it is known.
func (t *teller) finish() *Task {
	task := t.task
	if !t.opening {
		t.notef("The beginning is missing: the first entry that is there, %d, is not the task's opening.", t.first)
	}
	if !task.State.Finished() && task.State != journal.StateSuspended && t.opts.Gone[task.Run] {
		t.died(t.owner, "the process is gone, and nobody has taken the task over yet")
	}
	if task.State.Finished() {
		t.cutEffects("It was sent, and no outcome is recorded: in doubt.")
	}
	for _, c := range task.Calls {
		if c.Fate == FateRunning && task.State.Finished() {
			c.Fate = FateUnrecorded
		}
	}
	for _, e := range task.Effects {
		e.fold()
	}
	for i, end := range journal.Grants(t.records, t.opts.At) {
		g := task.Grants[i]
		g.End = end.State
		if g.End == journal.GrantRevoked || g.End == journal.GrantExpired {
			g.Ended = end.End
		}
	}
	if n := len(task.Grants); task.Issued <= n {
		// The engine's own count is for tokens that are not recorded.
		task.Issued = n
		task.Revoked = len(keep(task.Grants, func(g *Grant) bool { return g.End == journal.GrantRevoked }))
	}
	task.Summary = t.summary()
	return task
}

// callOf returns the call that a record is about, new if it has to be; nil when
// the record is about none.
func (t *teller) callOf(r journal.Record) *Call {
	key := "id " + r.CallID
	if r.CallID == "" {
		if !ofACall(r.Kind) {
			return nil
		}
		key = "of " + r.Tool // the last one without an id
	}
	c := t.calls[key]
	if c == nil || r.CallID == "" && r.Kind == jit.EntryCall {
		c = &Call{Number: len(t.task.Calls) + 1, ID: r.CallID, Tool: r.Tool, Began: r.Time, Ceiling: []Detail{}, Fate: FateRunning, Steps: []Step{}}
		t.task.Calls = append(t.task.Calls, c)
		t.calls[key] = c
	}
	c.Tool = cmp.Or(c.Tool, r.Tool)
	return c
}

// ofACall reports whether records of this kind are about a call.
func ofACall(kind jit.EntryKind) bool {
	return slices.Contains([]jit.EntryKind{
		jit.EntryCall, jit.EntryRefused, jit.EntryBlocked, jit.EntryRequest, jit.EntryDecision, jit.EntryGrant,
		jit.EntryUse, jit.EntryCallSent, jit.EntryCallReturned, jit.EntryCallEnded,
	}, kind)
}
