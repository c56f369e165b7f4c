package jitmw

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/policy"
)

// A Gate holds the calls of one conversation against what the person said. In a
// context that [Gate.NewContext] made, a guarded tool is called only for what the
// person named, or was allowed by whoever Ask asks. Calls in a context without a gate
// are bounded by their ceilings alone.
//
// It is safe for concurrent use.
type Gate struct {
	// Ask asks a person whether a call that was not named may be made. nil, and an
	// error, is no. It is called for one call at a time.
	Ask func(ctx context.Context, q Question) (bool, error)
	// Later has a call that would be asked about wait, where Ask is nil: its status is
	// [jit.CallPending], and it may be made when it is gone on with.
	Later bool

	talk    policy.Conversation
	asking  sync.Mutex
	refused map[string]bool // what a person said no to; guarded by asking
	mu      sync.Mutex
	results []result // newest last
}

// A Question is a call that the person did not name.
type Question struct {
	CallID, Tool  string
	Args          map[string]any
	Effect        string           // its kind; "" if it only reads
	Missing       []policy.Missing // what was not named
	Sources       []string         // where the values in Missing stand in earlier results, as far as that is known
	Justification string
}

// A result is what a call gave, to show where a value came from.
type result struct{ tool, text string }

const (
	maxResults    = 64
	maxResultText = 64 << 10
)

type gateKey struct{}

// NewContext returns a context in which calls of guarded tools pass the gate.
func (g *Gate) NewContext(ctx context.Context) context.Context {
	return context.WithValue(ctx, gateKey{}, g)
}

func gateOf(ctx context.Context) *Gate {
	g, _ := ctx.Value(gateKey{}).(*Gate)
	return g
}

// Said adds a message of the person's. Nothing else may be given to it: what models
// and documents say widens nothing.
func (g *Gate) Said(text string) { g.talk.Said(text) }

// Task says which task the calls that follow belong to; see [policy.Conversation.Task].
func (g *Gate) Task(name string) { g.talk.Task(name) }

// Recall adds a call of an earlier run of the conversation, and what it gave. It counts
// as made, whatever came of it, and is not thereby named.
func (g *Gate) Recall(t tool.Tool, args, response map[string]any) {
	plan, err := PlanOf(t, args)
	if err != nil {
		return // so it was not made
	}
	g.talk.Counted(t.Name(), args)
	g.returned(t.Name(), *plan.Aim, response)
}

// Count adds a call of an earlier run of which nothing else is known.
func (g *Gate) Count(tool string, args map[string]any) { g.talk.Counted(tool, args) }

// Resumed says that a call was let through before, and is gone on with.
func (g *Gate) Resumed(tool string, args map[string]any) { g.talk.Allowed(tool, args) }

// An unnamedError is a call that nobody named and nobody allowed.
type unnamedError struct {
	policy.Verdict
	later bool // somebody is asked when the call is gone on with
}

func (e *unnamedError) Error() string { return "nobody asked for this call: " + e.Verdict.String() }

// pass returns nil for a call that the person named, or a person allows.
func (g *Gate) pass(ctx context.Context, call jit.Call, aim policy.Aim) error {
	args := argsOf(call)
	v := g.talk.Judge(call.Tool, aim, args)
	if v.Named() {
		return nil
	}
	ok := v.Unnamed == policy.Allow
	if v.Unnamed == policy.Ask && g.Ask != nil {
		g.asking.Lock()
		defer g.asking.Unlock()
		if again := g.talk.Judge(call.Tool, aim, args); again.Named() {
			return nil // the same call was allowed meanwhile
		}
		no := call.Tool + ": " + v.String()
		if g.refused[no] {
			return &unnamedError{Verdict: v}
		}
		var err error
		ok, err = g.Ask(ctx, Question{
			CallID: call.ID, Tool: call.Tool, Args: maps.Clone(args), Effect: aim.Effect, Missing: v.Missing,
			Sources: g.sources(v.Missing), Justification: call.Justification,
		})
		if err != nil {
			return err
		}
		if !ok {
			if g.refused == nil {
				g.refused = map[string]bool{}
			}
			g.refused[no] = true
		}
	}
	if !ok {
		return &unnamedError{v, v.Unnamed == policy.Ask && g.Ask == nil && g.Later}
	}
	g.talk.Allowed(call.Tool, args)
	return nil
}

func argsOf(call jit.Call) map[string]any {
	args, _ := call.Args.(map[string]any)
	return args
}

// ended takes note of what came of a call that passed.
func (g *Gate) ended(ctx context.Context, call jit.Call, aim policy.Aim, status jit.CallStatus, shown map[string]any) {
	switch status {
	case jit.CallOK:
		g.returned(call.Tool, aim, shown)
	case jit.CallPending, jit.CallInDoubt: // it may still come, or have been
	default:
		if !jit.TookEffect(ctx) {
			g.talk.Failed(call.Tool, argsOf(call))
		}
	}
}

func (g *Gate) returned(tool string, aim policy.Aim, shown map[string]any) {
	if aim.Records.Type == "" && g.Ask == nil {
		return // nobody learns from it, and nobody is shown it
	}
	text, err := json.Marshal(shown)
	if err != nil {
		return
	}
	var plain any
	if aim.Records.Type != "" && json.Unmarshal(text, &plain) == nil {
		g.talk.Returned(aim, plain)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.results = append(g.results, result{tool, string(text[:min(len(text), maxResultText)])})
	g.results = g.results[max(0, len(g.results)-maxResults):]
}

// sources says where values were first read, with what stands around them.
func (g *Gate) sources(missing []policy.Missing) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var all []string
	for _, r := range g.results {
		for _, m := range missing {
			at := strings.Index(r.text, m.Value)
			if m.Value == "" || at < 0 {
				continue
			}
			const around = 80
			line := r.text[max(0, at-around):min(len(r.text), at+len(m.Value)+around)]
			if says := m.Value + " stands in what "; !slices.ContainsFunc(all, func(s string) bool { return strings.HasPrefix(s, says) }) {
				all = append(all, says+r.tool+" gave: …"+peer.Clean(line, 3*around)+"…")
			}
		}
	}
	return all
}
