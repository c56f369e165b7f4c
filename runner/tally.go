package runner

import (
	"cmp"
	"slices"
	"sync"

	"github.com/jitagent/jitagent/jit"
)

// tally keeps what came of each call, and what decides the outcome. Tool calls run
// concurrently.
type tally struct {
	mu      sync.Mutex
	results map[string]jit.Result // of the current turn's calls, by id
	denied  bool
	denial  Failure // the last call that was denied
	pending bool
	asked   *Failure // the last call for which a person would have to be asked
	login   *Failure // the last call for which an API wants another login
	refused []Refusal
	tools   map[string]lastTurns
	turn    int               // counts from 1
	doubts  map[string]bool   // idempotency keys of effects, and whether they are still in doubt
	said    bool              // a tool says of itself that it may have done something
	places  map[string]string // where a request is decided, by its id
}

// lastTurns are the turns in which a tool worked and failed last, 0 for none.
type lastTurns struct {
	worked, failed int
	why            Failure // of the last one that failed
	unknown        bool    // there is no such tool
}

func newTally() *tally {
	return &tally{results: map[string]jit.Result{}, tools: map[string]lastTurns{}, turn: 1}
}

func (t *tally) see(e jit.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch e := e.(type) {
	case jit.Blocked:
		t.denied, t.denial = true, Failure{e.CallID, e.Tool, e.Reason}
	case jit.Decided:
		if e.DecideAt != "" {
			if t.places == nil {
				t.places = map[string]string{}
			}
			t.places[e.RequestID] = e.DecideAt
		}
	case jit.LeftInDoubt:
		t.doubt(e.IdempotencyKey, true)
	case jit.Cleared: // perhaps of an effect that an earlier process left in doubt
		t.doubt(e.IdempotencyKey, false)
	}
}

// doubt notes whether an effect is in doubt. The caller holds t.mu.
func (t *tally) doubt(key string, open bool) {
	if t.doubts == nil {
		t.doubts = map[string]bool{}
	}
	t.doubts[key] = open
}

// end takes note of what came of a call. The first word counts: what jit says of a
// guarded tool comes before what ADK makes of it.
func (t *tally) end(id string, r jit.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, known := t.results[id]; !known {
		t.results[id] = r
	}
}

// of returns what came of a call of the current turn, as far as that is known.
func (t *tally) of(id string) jit.Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.results[id]
}

// decideAt returns where a request is decided, or else def.
func (t *tally) decideAt(request, def string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return cmp.Or(t.places[request], def)
}

// returned hands out what came of a call, and counts it.
func (t *tally) returned(id, tool string) jit.Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, known := t.results[id]
	if !known {
		r.Status = jit.CallOK // of a tool without a guard, and without an error
	}
	t.count(call{id, tool}, r)
	return r
}

// count counts what came of a call. The caller holds t.mu.
func (t *tally) count(c call, r jit.Result) {
	last, why := t.tools[c.name], Failure{c.id, c.name, r.Message}
	switch r.Status {
	case jit.CallOK:
		last.worked = t.turn
	case jit.CallDenied:
		t.denied, t.denial = true, why
		if r.Unnamed != "" {
			t.asked = &why
			t.refused = append(t.refused, Refusal{CallID: c.id, Tool: c.name, Reason: r.Unnamed})
		}
	case jit.CallPending:
		t.pending, t.asked = true, &why
	case jit.CallLogin:
		t.login = &why
	case jit.CallInDoubt:
		t.said = true
	default:
		last.failed, last.why = t.turn, why
	}
	t.tools[c.name] = last
}

// recall counts the calls of one turn that an earlier process made, those of which it was
// told how they ended.
func (t *tally) recall(made ...call) {
	t.mu.Lock()
	defer t.mu.Unlock()
	counted := false
	for _, c := range made {
		if r, told := t.results[c.id]; told {
			t.count(c, r)
			counted = true
		}
	}
	if counted {
		t.turn++
	}
}

// lost counts a call of an earlier process by what is known of its requests, whatever it
// was told to have ended with.
func (t *tally) lost(c call, r jit.Result) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(c, r)
}

// unknownTool takes note of a name that no tool has.
func (t *tally) unknownTool(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	last := t.tools[name]
	last.unknown = true
	t.tools[name] = last
}

func (t *tally) nextTurn() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.turn++
	clear(t.results)
}

// asks returns the last call for which a person would have to be asked, or nil.
func (t *tally) asks() *Failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.asked
}

// refusals are the calls that nobody had named.
func (t *tally) refusals() []Refusal {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.refused)
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

// decide returns the outcome. A failed call is made up for when the same tool
// works in a later turn, or any tool where the name was wrong: the model corrected
// itself.
func (t *tally) decide(err error) Outcome {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.inDoubt():
		return InDoubt
	case err != nil:
		return Failed
	case t.pending:
		return Pending
	case t.login != nil:
		return LoginRequired
	case t.denied:
		return Denied
	}
	if t.unmended() != nil {
		return Failed
	}
	return Done
}

// unmended returns the last failed call that nothing made up for, or nil.
func (t *tally) unmended() *lastTurns {
	var found *lastTurns
	for _, last := range t.tools {
		open := last.failed > 0 && last.worked <= last.failed && !(last.unknown && t.workedAfter(last.failed))
		if open && (found == nil || found.failed < last.failed) {
			found = &last
		}
	}
	return found
}

// failure returns the call to which an outcome is due.
func (t *tally) failure(o Outcome) Failure {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch last := t.unmended(); {
	case o == Denied:
		return t.denial
	case o == LoginRequired && t.login != nil:
		return *t.login
	case o == Failed && last != nil:
		return last.why
	}
	return Failure{}
}

func (t *tally) workedAfter(turn int) bool {
	for _, last := range t.tools {
		if last.worked > turn {
			return true
		}
	}
	return false
}
