package jitmw

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
)

// maxDepth bounds the nesting of a result. A result that contains itself has no
// end, and a stack that overflows cannot be recovered.
const maxDepth = 100

var (
	errTooDeep   = fmt.Errorf("the result is nested deeper than %d", maxDepth)
	errUnencoded = errors.New("the result cannot be written as JSON")
)

// present makes of a tool's result what the model may see: a copy without the
// task's tokens and of at most limit bytes of JSON.
func present(task *jit.Task, result map[string]any, limit int) (map[string]any, error) {
	if result == nil {
		return map[string]any{}, nil // providers want an object
	}
	v, err := clean(task, result, 0)
	if err != nil {
		return nil, err
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, errUnencoded
	}
	return fit(m, limit)
}

// clean copies a JSON value without the task's tokens. It copies since a tool may
// hand out what it keeps, such as a cached answer, to several calls at once.
func clean(task *jit.Task, v any, depth int) (any, error) {
	if depth > maxDepth {
		return nil, errTooDeep
	}
	switch v := v.(type) {
	case string:
		return textOf(task, v), nil
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, value := range v {
			c, err := clean(task, value, depth+1)
			if err != nil {
				return nil, err
			}
			out[textOf(task, key)] = c
		}
		return out, nil
	case []any:
		out := make([]any, len(v))
		for i, value := range v {
			c, err := clean(task, value, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, errUnencoded
		}
		return v, nil
	case nil, bool:
		return v, nil
	case int:
		return whole(int64(v), v), nil
	case int64:
		return whole(v, v), nil
	case json.Number:
		return number(v)
	case error:
		return task.Scrub(shorten(explain(v).Message)), nil // JSON would make it {}
	}
	// A type of the tool's own: what counts is how it is written for the model.
	plain, err := plainOf(v)
	if err != nil {
		return nil, err
	}
	return clean(task, plain, depth+1)
}

// plainOf writes v as JSON and reads it back.
func plainOf(v any) (any, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("%w: %T", errUnencoded, v)
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	var plain any
	if err := dec.Decode(&plain); err != nil {
		return nil, fmt.Errorf("%w: %T", errUnencoded, v)
	}
	return plain, nil
}

// textOf returns a text without the task's tokens, and without U+0000, which stores
// refuse once the effect has happened.
func textOf(task *jit.Task, s string) string {
	return strings.ReplaceAll(task.Scrub(s), "\x00", "\ufffd")
}

// whole returns v, which is n, or its text where a reader may round: an identifier
// of 19 digits must reach neither the model nor its next turn as another one.
func whole(n int64, v any) any {
	if n > strictjson.MaxWhole || n < -strictjson.MaxWhole {
		return strconv.FormatInt(n, 10)
	}
	return v
}

// number returns n as a float64, or, as whole does, as its text.
func number(n json.Number) (any, error) {
	f, err := n.Float64()
	switch {
	case err != nil && !json.Valid([]byte(n)):
		return nil, errUnencoded
	case err != nil, math.Abs(f) > strictjson.MaxWhole && !strings.ContainsAny(n.String(), ".eE"):
		return n.String(), nil
	}
	return f, nil
}

// fit cuts the longest texts of a result until it has at most limit bytes, and
// says so in it.
func fit(m map[string]any, limit int) (map[string]any, error) {
	if sizeOf(m, worstSize) <= limit {
		return m, nil // the normal case, without looking at each rune
	}
	had := sizeOf(m, textSize)
	if had <= limit {
		return m, nil
	}
	m["truncated"] = fmt.Sprintf("the result was cut: it had %d bytes, and at most %d are shown", had, limit)
	const keep = 64 // a text shorter than this is not worth cutting
	for range 32 {
		excess := sizeOf(m, textSize) - limit
		if excess <= 0 {
			return m, nil
		}
		t := longest(m)
		if t.size < keep {
			break
		}
		t.set(prefix(t.text, max(keep/2, t.size-excess)))
	}
	return nil, fmt.Errorf("the result is larger than %d bytes", limit)
}

// sizeOf returns how many bytes encoding/json writes for a clean value, or a few
// more: numbers count as their longest. Texts count as size says.
func sizeOf(v any, size func(string) int) int {
	switch v := v.(type) {
	case string:
		return size(v)
	case map[string]any:
		n := len("{}") + max(0, len(v)-1)
		for key, value := range v {
			n += size(key) + len(":") + sizeOf(value, size)
		}
		return n
	case []any:
		n := len("[]") + max(0, len(v)-1)
		for _, value := range v {
			n += sizeOf(value, size)
		}
		return n
	case nil, bool:
		return len("false")
	}
	return len("-2.2250738585072014e-308")
}

// worstSize returns the most bytes that encoding/json may write for s.
func worstSize(s string) int { return len(`""`) + len(`\u003c`)*len(s) }

// textSize returns how many bytes encoding/json writes for s.
func textSize(s string) int {
	n := len(`""`)
	for i, r := range s {
		n += runeSize(s, i, r)
	}
	return n
}

// runeSize returns how many bytes encoding/json writes for the rune r at s[i].
func runeSize(s string, i int, r rune) int {
	switch {
	case r == '"', r == '\\', r == '\n', r == '\r', r == '\t', r == '\b', r == '\f':
		return len(`\n`)
	case r < ' ', r == '<', r == '>', r == '&', r == '\u2028', r == '\u2029':
		return len(`\u003c`)
	case r == utf8.RuneError:
		if _, width := utf8.DecodeRuneInString(s[i:]); width == 1 {
			return len(`\ufffd`) // written in place of a byte that is not UTF-8
		}
	}
	return utf8.RuneLen(r)
}

// prefix returns the longest prefix of s that has at most size bytes in JSON.
func prefix(s string, size int) string {
	n := len(`""`)
	for i, r := range s {
		if n += runeSize(s, i, r); n > size {
			return s[:i]
		}
	}
	return s
}

// text is one string inside a result, its size in JSON, and how to replace it.
type text struct {
	text string
	size int
	set  func(string)
}

// longest returns the longest text inside v; its size is 0 if there is none.
func longest(v any) (best text) {
	consider := func(v any, set func(string)) {
		t := text{set: set}
		if s, ok := v.(string); ok {
			t.text, t.size = s, textSize(s)
		} else {
			t = longest(v)
		}
		if t.size > best.size {
			best = t
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			consider(value, func(s string) { v[key] = s })
		}
	case []any:
		for i, value := range v {
			consider(value, func(s string) { v[i] = s })
		}
	}
	return best
}
