package runner

import (
	"slices"
	"strings"
	"sync"

	"google.golang.org/genai"
)

// callIDs are the ids of the calls in a session. Some providers count calls from
// zero in each answer. ADK joins calls and results by id over the whole history, so
// that such a call would get an earlier one's result, and effects that are named by
// the id would be taken for one.
type callIDs struct {
	mu   sync.Mutex
	seen map[string]bool
	args map[string]bool // texts in arguments of calls, in lower case
}

// learn takes note of the ids in a history.
func (c *callIDs) learn(history []*genai.Content) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, content := range history {
		if content == nil {
			continue
		}
		for _, p := range content.Parts {
			if p != nil && p.FunctionCall != nil {
				c.note(p.FunctionCall.ID)
				c.noteArgs(p.FunctionCall.Args)
			}
		}
	}
}

// note reports whether an id is new. The caller holds c.mu.
func (c *callIDs) note(id string) bool {
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	known := c.seen[id]
	c.seen[id] = true
	return !known
}

// noteArgs takes note of the texts in arguments, at any depth. The caller holds c.mu.
func (c *callIDs) noteArgs(v any) {
	switch v := v.(type) {
	case string:
		if c.args == nil {
			c.args = map[string]bool{}
		}
		c.args[strings.ToLower(v)] = true
	case []any:
		for _, v := range v {
			c.noteArgs(v)
		}
	case map[string]any:
		for _, v := range v {
			c.noteArgs(v)
		}
	}
}

// called reports whether the text was an argument of a call in the history, in whatever
// case.
func (c *callIDs) called(text string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.args[strings.ToLower(text)]
}

// unique returns an answer without the ids that were there before; ADK makes new
// ones for those calls.
func (c *callIDs) unique(answer *genai.Content) *genai.Content {
	if answer == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out := answer
	for i, p := range answer.Parts {
		if p == nil || p.FunctionCall == nil || p.FunctionCall.ID == "" || c.note(p.FunctionCall.ID) {
			continue
		}
		part, call := *p, *p.FunctionCall
		call.ID = ""
		part.FunctionCall = &call
		if out == answer {
			out = &genai.Content{Role: answer.Role, Parts: slices.Clone(answer.Parts)}
		}
		out.Parts[i] = &part
	}
	return out
}
