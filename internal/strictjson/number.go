package strictjson

import (
	"bytes"
	"encoding/json"
	"math"
)

// MaxWhole is the largest whole number that every reader of JSON keeps: from 2^53
// on, neighbors share one float64 (RFC 8259, section 6).
const MaxWhole = 1<<53 - 1

// AsWritten decodes JSON that is our own, or was read strictly before, into v, in which
// each number without a type of its own is a [json.Number].
func AsWritten(text []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(v)
}

// Numbers returns a value that was decoded with each number as a [json.Number], its
// numbers as float64 where that is what readers expect: below 2^53. Those that are
// larger stay as they were written, so that no whole number becomes another one. It
// changes v in place.
func Numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			v[name] = Numbers(member)
		}
	case []any:
		for i, element := range v {
			v[i] = Numbers(element)
		}
	case json.Number:
		if f, err := v.Float64(); err == nil && math.Abs(f) <= MaxWhole {
			return f
		}
	}
	return v
}

// NumbersAsText returns v with each [json.Number] as its text, for readers that
// know float64 alone. It copies what it changes.
func NumbersAsText(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, member := range v {
			out[name] = NumbersAsText(member)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, element := range v {
			out[i] = NumbersAsText(element)
		}
		return out
	case json.Number:
		return v.String()
	}
	return v
}

// The one name in the arguments of a call that the model wrote as something other than
// a JSON object, by what is wrong with it; its value is the beginning of that text. Such
// a call is refused like any whose arguments are not valid, before anything is done.
const (
	Malformed = "arguments that are no JSON object"
	Repeated  = "arguments that give one name twice"
	BadEscape = "arguments with an escape that JSON does not have"
)
