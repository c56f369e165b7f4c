package provider

import (
	"fmt"
	"regexp"
	"strings"

	"google.golang.org/genai"
)

// Name returns a tool's name in the form that every provider takes in a history. One
// that a model made up may hold anything, tokens of its template among it.
func Name(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || '0' <= r && r <= '9' || 'A' <= r && r <= 'Z' || 'a' <= r && r <= 'z' {
			return r
		}
		return '_'
	}, name)
	return name[:min(len(name), 64)]
}

// NoResult is sent as the result of a call that has none: the process died, the call
// was cancelled or denied, or its tool is still at work. Providers demand a result
// for every call. The caller owns the map.
func NoResult() map[string]any { return map[string]any{"error": "no result recorded"} }

// A Place is where a part stands: contents[Content].Parts[Part].
type Place struct{ Content, Part int }

// Results finds the result of each function call in contents, by the place of the
// call. A call that is not in the map has none; a response that answers no call is
// nobody's, and must not be sent.
//
// A response is for the latest call under its id, and the last such response counts:
// a tool that works for long reports more than once. Without an id it is for the
// first unanswered call of its name, in the latest turn that has one. Ids may repeat
// over turns, and any may be missing. Nil contents and parts are skipped.
func Results(contents []*genai.Content) map[Place]*genai.FunctionResponse {
	p := pairing{byID: map[string][]*openCall{}, results: map[Place]*genai.FunctionResponse{}}
	for i, content := range contents {
		if content == nil {
			continue
		}
		var turn []*openCall
		for j, part := range content.Parts {
			switch {
			case part == nil:
			case part.FunctionCall != nil:
				call := &openCall{place: Place{i, j}, id: part.FunctionCall.ID, name: part.FunctionCall.Name}
				turn = append(turn, call)
				if call.id != "" {
					p.byID[call.id] = append(p.byID[call.id], call)
				}
			case part.FunctionResponse != nil:
				if call := p.find(part.FunctionResponse); call != nil {
					call.done = true
					p.results[call.place] = part.FunctionResponse
				}
			}
		}
		if turn != nil {
			p.turns = append(p.turns, turn)
		}
	}
	return p.results
}

type openCall struct {
	place    Place
	id, name string
	done     bool
}

type pairing struct {
	turns   [][]*openCall
	byID    map[string][]*openCall
	results map[Place]*genai.FunctionResponse
}

func (p *pairing) find(r *genai.FunctionResponse) *openCall {
	if same := p.byID[r.ID]; r.ID != "" && len(same) > 0 {
		for i := len(same) - 1; i >= 0; i-- {
			if !same[i].done {
				return same[i]
			}
		}
		return same[len(same)-1]
	}
	for i := len(p.turns) - 1; i >= 0; i-- {
		open := false
		for _, call := range p.turns[i] {
			// A response under an id is not for a call under another.
			if !call.done && (r.Name == "" || call.name == r.Name) && (r.ID == "" || call.id == "") {
				return call
			}
			open = open || !call.done
		}
		if !open && i == len(p.turns)-1 {
			p.turns = p.turns[:i] // all answered: not looked at again
		}
	}
	return nil
}

// IDs gives each function call of contents an id of its own, by the place of the call.
// Ids that are there are kept, unless valid does not match or an earlier call has
// them. Others are made up from the call's place: the same conversation gives the same
// ids, which providers' prompt caches reward.
func IDs(contents []*genai.Content, valid *regexp.Regexp) map[Place]string {
	wanted, ids := map[string]bool{}, map[Place]string{}
	each := func(f func(Place, *genai.FunctionCall)) {
		for i, content := range contents {
			if content == nil {
				continue
			}
			for j, p := range content.Parts {
				if p != nil && p.FunctionCall != nil {
					f(Place{i, j}, p.FunctionCall)
				}
			}
		}
	}
	each(func(_ Place, f *genai.FunctionCall) { wanted[f.ID] = true })
	taken := map[string]bool{}
	each(func(at Place, f *genai.FunctionCall) {
		id := f.ID
		if !valid.MatchString(id) || taken[id] {
			id = fmt.Sprintf("call_%d_%d", at.Content, at.Part)
			for n := 1; wanted[id] || taken[id]; n++ {
				id = fmt.Sprintf("call_%d_%d_%d", at.Content, at.Part, n)
			}
		}
		ids[at], taken[id] = id, true
	})
	return ids
}
