package openai

import (
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/jitagent/jitagent/models/provider"
)

// State is what servers besides OpenAI's own put into a message with calls and want
// back with it, verbatim, at the next request: what the model thought, and signatures
// of it. Without it some refuse the request, others go on without their thoughts.
//
//	reasoning_content         DeepSeek, Kimi, GLM, Qwen, SGLang, llama.cpp, older vLLM
//	reasoning                 OpenRouter, Ollama, vLLM, Groq
//	reasoning_details         OpenRouter, MiniMax
//	reasoning_text, _opaque   GitHub's Copilot
//	thinking_blocks, provider_specific_fields    LiteLLM
//	extra_content             Google's compatible endpoint
//	thought_signature, signature, thoughts, encrypted_content, cot_id    gateways
//
// They stand in a message, in a call, or in a call's function.
var stateful = []string{
	"reasoning_content", "reasoning", "reasoning_details", "reasoning_text", "reasoning_opaque", "thinking_blocks", "provider_specific_fields",
	"extra_content", "thought_signature", "signature", "thoughts", "encrypted_content", "cot_id",
}

// state is sealed into a part: that of a message into its first, that of a call into
// the call's own.
type state struct {
	Message  members `json:"message,omitempty"`
	Call     members `json:"call,omitempty"`
	Function members `json:"function,omitempty"`
	// Items are those of the Responses API that stand before the message's calls.
	Items []jsontext.Value `json:"items,omitempty"`
}

func (a *answer) seal(s state) []byte {
	if len(s.Message)+len(s.Call)+len(s.Function)+len(s.Items) == 0 {
		return nil
	}
	b, err := json.Marshal(s, json.Deterministic(true))
	if err != nil {
		return nil // values that came as JSON marshal
	}
	return provider.Seal(a.server, b)
}

// unseal returns the state in a part that came from this server, and none otherwise.
func unseal(server string, sealed []byte) state {
	if len(sealed) == 0 {
		return state{}
	}
	var s state
	if b, ours := provider.Unseal(server, sealed); ours && json.Unmarshal(b, &s) != nil {
		return state{}
	}
	return s
}

// pick returns those of all that are state and say something.
func pick(all members) members {
	var out members
	for _, name := range stateful {
		if v := all[name]; stated(v) {
			if out == nil {
				out = members{}
			}
			out[name] = v.Clone()
		}
	}
	return out
}

// pieces are the texts that come in pieces in a stream; others come whole.
var pieces = []string{"reasoning_content", "reasoning", "reasoning_text", "thinking", "text", "summary", "data"}

// merge adds what a further event of a stream says to what is known.
func merge(known, more members) members {
	if known == nil {
		return more
	}
	for name, v := range more {
		known[name] = mergeValue(name, known[name], v)
	}
	return known
}

func mergeValue(name string, known, more jsontext.Value) jsontext.Value {
	switch {
	case len(more) == 0 || more.Kind() == 'n' || string(more) == `""`:
		return known
	case len(known) == 0 || known.Kind() != more.Kind():
		return more
	}
	switch more.Kind() {
	case '"':
		var a, b string
		if !slices.Contains(pieces, name) || decode(known, &a) != nil || decode(more, &b) != nil {
			return more
		}
		return encode(a+b, known)
	case '{':
		var a, b members
		if decode(known, &a) != nil || decode(more, &b) != nil {
			return known
		}
		return encode(merge(a, b), known)
	case '[':
		var a, b []jsontext.Value
		if decode(known, &a) != nil || decode(more, &b) != nil {
			return known
		}
		for _, v := range b {
			if n := len(a); n > 0 && goesOn(a[n-1], v) {
				a[n-1] = mergeValue("", a[n-1], v)
			} else {
				a = append(a, v)
			}
		}
		return encode(a, known)
	}
	return more
}

// goesOn reports whether a list's element is a piece of the one before it: of the same
// kind and place, and that one not signed yet.
func goesOn(last, next jsontext.Value) bool {
	var a, b struct {
		Type, Index, ID, Signature jsontext.Value
	}
	same := func(a, b jsontext.Value) bool { return len(a) == 0 || len(b) == 0 || string(a) == string(b) }
	return json.Unmarshal(last, &a, json.MatchCaseInsensitiveNames(true)) == nil && json.Unmarshal(next, &b, json.MatchCaseInsensitiveNames(true)) == nil &&
		string(a.Type) == string(b.Type) && same(a.Index, b.Index) && same(a.ID, b.ID) && (len(a.Signature) < len(`"x"`) || a.Signature.Kind() == 'n')
}

func encode(v any, otherwise jsontext.Value) jsontext.Value {
	b, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return otherwise
	}
	return b
}
