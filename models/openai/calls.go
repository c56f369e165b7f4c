package openai

import (
	"maps"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// maxCalls bounds the calls of one answer. OpenAI makes fewer than 128 at once.
const maxCalls = 256

// building is a function call that is still coming.
type building struct {
	index int // -1 for none
	id    string
	name  string
	args  arguments
	state map[string]jsontext.Value
}

// arguments is JSON text in pieces, and whether it is whole.
type arguments struct {
	text              []byte
	depth             int
	inString, escaped bool
	whole             bool // the first value has ended
}

func (a *arguments) add(piece string) {
	a.text = append(a.text, piece...)
	for i := range len(piece) {
		if a.whole {
			return
		}
		switch c := piece[i]; {
		case a.inString:
			if c == '"' && !a.escaped {
				a.inString, a.whole = false, a.depth == 0
			}
			a.escaped = c == '\\' && !a.escaped
		case c == '"':
			a.inString = true
		case c == '{' || c == '[':
			a.depth++
		case c == '}' || c == ']':
			a.depth--
			a.whole = a.depth <= 0
		}
	}
}

// addCall adds a call or a piece of one, however the server marks it: by index, by id,
// by both or by neither, with ids that change and names that repeat. One rule: a call
// goes on while its arguments are not whole and no other name comes; a name after
// that begins a new call.
func (a *answer) addCall(t *chatToolCall) bool {
	name, index := string(t.Function.Name), -1
	if t.Index != nil {
		index = int(*t.Index)
	}
	b := a.under(index, string(t.ID))
	if b != nil && name != "" && (b.args.whole || b.name != "" && name != b.name && (len(b.args.text) > 0 || a.known(b.name))) {
		b = nil
	}
	if b == nil {
		if len(a.calls) == maxCalls {
			return false
		}
		b = &building{index: index}
		a.calls = append(a.calls, b)
	}
	b.id = or(b.id, string(t.ID))
	if name != b.name {
		b.name += name // a name in pieces: what there is of it is no tool's
	}
	b.args.add(string(t.Function.Arguments))
	b.state = merge(b.state, t.state())
	return true
}

// under returns the call that a piece may be of: the last one under its index; under a
// new index one of its id that is not whole; without an index the one of its id, else
// the last.
func (a *answer) under(index int, id string) *building {
	for _, b := range slices.Backward(a.calls) {
		switch same := id != "" && b.id == id; {
		case index >= 0 && (b.index == index || same && !b.args.whole), index < 0 && same:
			return b
		}
	}
	if n := len(a.calls); index < 0 && n > 0 {
		return a.calls[n-1]
	}
	return nil
}

// callParts returns the finished calls, and false where one has no name. One that came twice under its id is one.
func (a *answer) callParts() ([]*genai.Part, bool) {
	var parts []*genai.Part
	for _, b := range a.calls {
		if b.name == "" {
			return nil, false
		}
		call := &genai.FunctionCall{ID: b.id, Name: b.name, Args: provider.Arguments(string(b.args.text))}
		repeated := slices.ContainsFunc(parts, func(p *genai.Part) bool {
			return call.ID != "" && reflect.DeepEqual(p.FunctionCall, call)
		})
		if !repeated {
			parts = append(parts, &genai.Part{FunctionCall: call, ThoughtSignature: a.seal(state{Call: maps.Clone(b.state)})})
		}
	}
	return parts, true
}
