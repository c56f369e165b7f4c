package openai

import (
	"cmp"
	"reflect"
	"slices"

	"google.golang.org/genai"

	"github.com/jitagent/jitagent/models/provider"
)

// maxCalls bounds the calls of one answer. OpenAI makes fewer than 128 at once.
const maxCalls = 256

// building is a function call that is still coming.
type building struct {
	index  int // -1 for none
	id     string
	name   string
	args   arguments
	kept   state // what must come back with it
	others []int // further indices of its pieces
}

// arguments is JSON text in pieces.
type arguments struct {
	text []byte
	end  provider.Ending // of the first value
}

func (a *arguments) add(piece string) {
	a.text = append(a.text, piece...)
	a.end.Add([]byte(piece))
}

// addCall adds a call or a piece of one, however the server marks it: by index, by id,
// by both or by neither, with ids that change and names that repeat. One rule: a call
// goes on while its arguments are not whole and no other name comes; a name after
// that begins a new call. It reports whether the piece can be told.
func (a *answer) addCall(t *chatToolCall) bool {
	name, index := string(t.Function.Name), -1
	if t.Index != nil {
		index = int(*t.Index)
	}
	b := a.under(index, string(t.ID))
	if b != nil && b.name != "" && name != "" && (b.args.end.Reached() || name != b.name && (len(b.args.text) > 0 || a.known(b.name))) {
		b = nil
	}
	if n := len(a.calls); b == nil && name == "" && t.ID == "" && n > 0 && !a.calls[n-1].args.end.Reached() {
		b = a.calls[n-1] // another index in each piece
		b.others = append(b.others, index)
	}
	if b == nil {
		if len(a.calls) == maxCalls || name != "" && slices.ContainsFunc(a.calls, func(b *building) bool { return slices.Contains(b.others, index) }) {
			return false
		}
		b = &building{index: index}
		a.calls = append(a.calls, b)
	}
	b.id = cmp.Or(b.id, string(t.ID))
	if name != b.name {
		b.name += name // a name in pieces: what there is of it is no tool's
	}
	b.args.add(string(t.Function.Arguments))
	b.kept.Call, b.kept.Function = merge(b.kept.Call, pick(t.State)), merge(b.kept.Function, pick(t.Function.State))
	return true
}

// under returns the call that a piece may be of: the last one under its index; under a
// new index one of its id that is not whole; without an index the one of its id, else
// the last.
func (a *answer) under(index int, id string) *building {
	for _, b := range slices.Backward(a.calls) {
		switch same := id != "" && b.id == id; {
		case index >= 0 && (b.index == index || same && !b.args.end.Reached()), index < 0 && same:
			return b
		}
	}
	if n := len(a.calls); index < 0 && n > 0 {
		return a.calls[n-1]
	}
	return nil
}

// callParts returns the finished calls, and whether each has a name. One that came twice under its id is one.
func (a *answer) callParts() (parts []*genai.Part, named bool) {
	named = true
	for _, b := range a.calls {
		named = named && b.name != ""
		call := &genai.FunctionCall{ID: b.id, Name: b.name, Args: provider.Arguments(string(b.args.text))}
		repeated := slices.ContainsFunc(parts, func(p *genai.Part) bool {
			return call.ID != "" && reflect.DeepEqual(p.FunctionCall, call)
		})
		if !repeated {
			parts = append(parts, &genai.Part{FunctionCall: call, ThoughtSignature: a.seal(b.kept)})
		}
	}
	return parts, named
}
