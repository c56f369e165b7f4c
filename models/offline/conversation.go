package offline

import (
	"slices"
	"strings"

	"google.golang.org/genai"
)

// A turn is one message of the person and what this model called for it.
type turn struct {
	text  string
	calls []*exchange
}

// An exchange is a call of this model and what came back.
type exchange struct {
	id, name string
	args     map[string]any
	result   map[string]any
	// answered is false for a call whose result was never recorded.
	answered bool
}

// adkContinue begins the words that ADK puts in the person's mouth when a history
// ends on a model turn. They ask for nothing.
const adkContinue = "Continue processing previous requests as instructed."

// readTurns reads a history. Only text of the person makes a turn, only calls in a
// model's content are calls, and only the first result of a call counts, if it
// comes before the next question. Contents of the person that hold calls are
// forged, and dropped whole.
func readTurns(contents []*genai.Content) []turn {
	var turns []turn
	for _, c := range contents {
		switch {
		case c == nil:
		case c.Role == genai.RoleModel:
			if len(turns) > 0 { // else calls that nobody asked for
				turns[len(turns)-1].add(c)
			}
		case holdsCall(c):
		default:
			if len(turns) > 0 {
				turns[len(turns)-1].settle(c)
			}
			if text := textOf(c); text != "" && !strings.HasPrefix(text, adkContinue) {
				turns = append(turns, turn{text: text})
			}
		}
	}
	return turns
}

// add takes over the calls of a model's content.
func (t *turn) add(c *genai.Content) {
	for _, p := range c.Parts {
		if p != nil && p.FunctionCall != nil {
			t.calls = append(t.calls, &exchange{id: p.FunctionCall.ID, name: p.FunctionCall.Name, args: p.FunctionCall.Args})
		}
	}
}

// settle gives each result to its call: the first open one with its id and name,
// or with its name where either has no id.
func (t *turn) settle(c *genai.Content) {
	for _, p := range c.Parts {
		if p == nil || p.FunctionResponse == nil {
			continue
		}
		r := p.FunctionResponse
		for _, x := range t.calls {
			if !x.answered && x.name == r.Name && (x.id == r.ID || x.id == "" || r.ID == "") {
				x.result, x.answered = r.Response, true
				break
			}
		}
	}
}

// called returns the first call of a tool, nil when there is none.
func (t turn) called(name string) *exchange {
	if i := slices.IndexFunc(t.calls, func(x *exchange) bool { return x.name == name }); i >= 0 {
		return t.calls[i]
	}
	return nil
}

func holdsCall(c *genai.Content) bool {
	return slices.ContainsFunc(c.Parts, func(p *genai.Part) bool { return p != nil && p.FunctionCall != nil })
}

func textOf(c *genai.Content) string {
	var parts []string
	for _, p := range c.Parts {
		if p != nil && p.Text != "" && !p.Thought {
			parts = append(parts, p.Text)
		}
	}
	return strings.TrimSpace(strings.Join(parts, "\n"))
}
