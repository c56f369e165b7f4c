package provider

import (
	stdjson "encoding/json"
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

// A Turn is a content in a form that every provider's API is written from.
type Turn struct {
	Assistant bool
	Said      []Said
}

// A Said is a part of a [Turn]: a text, a thought, an image or a call, with its result.
type Said struct {
	*genai.Part
	Call Call // zero for what is no call
}

// A Call is a function call and its result, which always go out together.
type Call struct {
	ID, Name     string
	Args, Result string // JSON objects
	Failed       bool   // the result is an error
}

// Turns returns those of contents that are there. Each call has an id of its own, which
// valid matches, and a result: [NoResult] where there is none. Responses stand with their
// calls alone. What providers besides Google cannot be sent is an [Unsupported] error.
func Turns(contents []*genai.Content, valid *regexp.Regexp) ([]Turn, error) {
	calls, n := pair(contents), 0
	ids := distinct(calls, valid)
	for _, c := range contents {
		if c != nil {
			n += len(c.Parts)
		}
	}
	out, all := make([]Turn, 0, len(contents)), make([]Said, 0, n)
	for _, content := range contents {
		if content == nil {
			continue
		}
		t, from := Turn{Assistant: content.Role == genai.RoleModel}, len(all)
		for _, p := range content.Parts {
			if p == nil || p.FunctionResponse != nil {
				continue
			}
			said := Said{Part: p}
			switch {
			case p.FunctionCall != nil && (!t.Assistant || p.FunctionCall.Name == ""):
				return nil, Unsupported("a function call in a turn of the user, or without a name")
			case p.FunctionCall != nil:
				var err error
				if said.Call, err = written(calls[0], ids[0]); err != nil {
					return nil, err
				}
				calls, ids = calls[1:], ids[1:]
			case p.Thought:
			case t.Assistant && (p.InlineData != nil || p.FileData != nil):
				return nil, Unsupported("media in a turn of the model")
			case p.ExecutableCode != nil, p.CodeExecutionResult != nil, p.ToolCall != nil, p.ToolResponse != nil, p.VideoMetadata != nil, p.AudioTranscription != nil:
				return nil, Unsupported("a part that only Gemini knows")
			}
			all = append(all, said)
		}
		t.Said = all[from:len(all):len(all)]
		out = append(out, t)
	}
	return out, nil
}

func written(c call, id string) (Call, error) {
	answer := NoResult()
	if c.result != nil {
		answer = c.result.Response
		if len(c.result.Parts) > 0 {
			return Call{}, Unsupported("media in the response of " + Shorten(c.Name))
		}
	}
	args, err := object(c.Args)
	if err != nil {
		return Call{}, Unsupported("a call of " + Shorten(c.Name) + " whose arguments are no JSON")
	}
	result, err := object(answer)
	if err != nil {
		return Call{}, Unsupported("a response of " + Shorten(c.Name) + " that is no JSON")
	}
	_, failed := answer["error"]
	return Call{id, Name(c.Name), args, result, failed}, nil
}

// object returns m as JSON for a model, which is no web page, and {} for nil.
func object(m map[string]any) (string, error) {
	if len(m) == 0 {
		return "{}", nil
	}
	var b strings.Builder
	enc := stdjson.NewEncoder(&b) // writes a json.Number as it is, and members in order
	enc.SetEscapeHTML(false)
	err := enc.Encode(m)
	return strings.TrimSuffix(b.String(), "\n"), err
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
	out := map[Place]*genai.FunctionResponse{}
	for _, c := range pair(contents) {
		if c.result != nil {
			out[c.place] = c.result
		}
	}
	return out
}

type call struct {
	*genai.FunctionCall
	place  Place
	result *genai.FunctionResponse // nil for none
}

// pair returns the calls in contents with their results, in order.
func pair(contents []*genai.Content) (calls []call) {
	for i, content := range contents {
		if content == nil {
			continue
		}
		for j, p := range content.Parts {
			switch {
			case p == nil:
			case p.FunctionCall != nil:
				calls = append(calls, call{FunctionCall: p.FunctionCall, place: Place{i, j}})
			case p.FunctionResponse != nil:
				if c := answered(calls, p.FunctionResponse); c != nil {
					c.result = p.FunctionResponse
				}
			}
		}
	}
	return calls
}

// answered returns the call that r is for, nil for none.
func answered(calls []call, r *genai.FunctionResponse) (found *call) {
	for k := len(calls) - 1; k >= 0 && r.ID != ""; k-- {
		c := &calls[k]
		switch {
		case c.ID != r.ID:
		case c.result == nil:
			return c
		case found == nil:
			found = c
		}
	}
	if found != nil {
		return found
	}
	for k := len(calls) - 1; k >= 0 && (found == nil || found.place.Content == calls[k].place.Content); k-- {
		// A response under an id is not for a call under another.
		if c := &calls[k]; c.result == nil && (r.Name == "" || c.Name == r.Name) && (r.ID == "" || c.ID == "") {
			found = c
		}
	}
	return found
}

// distinct gives each call an id of its own. Ids that are there are kept, unless valid
// does not match or an earlier call has them. Others are made up from the call's place:
// the same conversation gives the same ids, which providers' prompt caches reward.
func distinct(calls []call, valid *regexp.Regexp) []string {
	wanted, taken, ids := map[string]bool{}, map[string]bool{}, make([]string, len(calls))
	for _, c := range calls {
		wanted[c.ID] = true
	}
	for k, c := range calls {
		id := c.ID
		if !valid.MatchString(id) || taken[id] {
			id = fmt.Sprintf("call_%d_%d", c.place.Content, c.place.Part)
			for n := 1; wanted[id] || taken[id]; n++ {
				id = fmt.Sprintf("call_%d_%d_%d", c.place.Content, c.place.Part, n)
			}
		}
		ids[k], taken[id] = id, true
	}
	return ids
}
