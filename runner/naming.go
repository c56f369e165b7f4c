package runner

import (
	"encoding/json"
	"slices"
	"sync"

	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

// A Refusal is a call that was not made, since the person did not name it and nobody
// allowed it.
type Refusal struct {
	CallID string `json:"call_id"`
	Tool   string `json:"tool"`
	Reason string `json:"reason"` // what was not named
}

// naming holds the run's calls against what the person said in the conversation.
type naming struct {
	gate   *jitmw.Gate
	past   []*session.Event      // of earlier runs
	older  []jit.Entry           // calls of runs of which not all is in past
	sent   []*genai.FunctionCall // calls of the turn that is gone on with, which a process that is gone had sent
	recall sync.Once

	message []string // what the person said in this run
}

// unsaid marks an event of the user's which is not what the person said: ADK gives that
// author to what an agent has another do, and to whatever has the role of the user.
const unsaid = "jitagent_unsaid"

// hear takes in what the person said, in earlier runs and in this one. Only events of
// the user's, and of them only texts, are theirs.
func (n *naming) hear(message *genai.Content) {
	n.message = texts(message)
	if n.gate == nil {
		return
	}
	for _, ev := range n.past {
		n.say(Said(ev))
	}
	n.say(n.message)
}

// Said returns what the person said in an event of a stored conversation, as a later run
// takes it: nil for what others said under the user's name.
func Said(ev *session.Event) []string {
	if _, others := ev.CustomMetadata[unsaid]; others || ev.Author != genai.RoleUser {
		return nil
	}
	return texts(ev.Content)
}

func (n *naming) say(texts []string) {
	for _, text := range texts {
		n.gate.Said(text)
	}
}

// texts returns the parts of a content that are what its author says.
func texts(c *genai.Content) (all []string) {
	if c == nil {
		return nil
	}
	for _, p := range c.Parts {
		if p != nil && p.Text != "" && !p.Thought {
			all = append(all, p.Text)
		}
	}
	return all
}

// attributed returns an event as it is stored: marked if later runs would take it for
// the person's words, and it is not their message.
func (n *naming) attributed(ev *session.Event) *session.Event {
	said := texts(ev.Content)
	if ev.Author != genai.RoleUser || said == nil || slices.Equal(said, n.message) {
		return ev
	}
	marked := *ev
	marked.CustomMetadata = merged(map[string]any{unsaid: true}, ev.CustomMetadata)
	return &marked
}

// remember takes in the calls of earlier runs, and those of a suspended one that have
// ended, once it is known which tools there are. invocation is the one under way, which
// is a task like each of those before.
func (n *naming) remember(tools map[string]any, suspended *Suspension, invocation string) {
	if n.gate == nil {
		return
	}
	recall := func(name string, args, response map[string]any) {
		if t, _ := tools[name].(tool.Tool); t != nil {
			n.gate.Recall(t, args, response)
		}
	}
	n.recall.Do(func() {
		made := map[call]map[string]any{}
		for _, ev := range n.past {
			for fc := range parts(ev) {
				if fc != nil {
					made[call{fc.ID, fc.Name}] = fc.Args
				}
			}
		}
		shown := map[string]int{}
		for c := range made {
			shown[c.id]++
		}
		resumed := map[call]bool{} // calls of a run, of which each is made again when it is resumed
		for _, e := range slices.Backward(n.older) {
			if id := (call{e.CallID, e.Run}); e.Kind != jit.EntryCall || resumed[id] {
				continue
			} else if resumed[id] = true; shown[e.CallID] > 0 { // where ids come again, the last are shown
				shown[e.CallID]--
				continue
			}
			var args map[string]any
			_ = json.Unmarshal(e.Args, &args) // what is cut to its size has none
			n.gate.Count(e.Tool, args)
		}
		for _, ev := range n.past {
			n.gate.Task(ev.InvocationID)
			for _, fr := range parts(ev) {
				if fr == nil {
					continue
				}
				if args, ok := made[call{fr.ID, fr.Name}]; ok {
					recall(fr.Name, args, fr.Response)
				}
			}
		}
		n.gate.Task(invocation)
		n.past, n.older = nil, nil
		for _, fc := range n.sent {
			n.gate.Resumed(fc.Name, fc.Args)
		}
		if suspended == nil {
			return
		}
		for _, c := range suspended.Calls { // their results are not in the conversation yet
			var fr genai.FunctionResponse
			if args, err := c.arguments(); err == nil && c.Result != nil && json.Unmarshal(c.Result, &fr) == nil {
				recall(c.Tool, args, fr.Response)
			}
		}
	})
}

// resume lets the calls through that were let through before their run was suspended, or
// sent something since, which earlier tells of.
func (n *naming) resume(calls *genai.Content, s *Suspension, earlier []jit.Entry) {
	if n.gate == nil {
		return
	}
	for _, p := range calls.Parts {
		sent := func(e jit.Entry) bool { return e.CallID == p.FunctionCall.ID }
		if s.find(p.FunctionCall.ID).Unnamed == "" || slices.ContainsFunc(jit.Effects(earlier), sent) {
			n.gate.Resumed(p.FunctionCall.Name, p.FunctionCall.Args)
		}
	}
}
