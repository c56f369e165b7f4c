package jitmw

import (
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/jitagent/jitagent/jit"
)

// scrub takes the task's tokens out of a result. It changes the result in place
// where it can: the tool has handed it over.
func scrub(task *jit.Task, m map[string]any) map[string]any {
	for k, v := range m {
		clean := task.Scrub(k)
		if clean != k {
			delete(m, k)
		}
		m[clean] = scrubValue(task, v)
	}
	return m
}

func scrubValue(task *jit.Task, v any) any {
	switch v := v.(type) {
	case string:
		return task.Scrub(v)
	case map[string]any:
		return scrub(task, v)
	case []any:
		for i := range v {
			v[i] = scrubValue(task, v[i])
		}
		return v
	case nil, bool, float64, int, int64:
		return v
	}
	// A type of the tool's own: what counts is how it is written for the model.
	text, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprintf("unprintable %T", v)
	}
	var plain any
	if json.Unmarshal(text, &plain) != nil {
		return task.Scrub(string(text))
	}
	return scrubValue(task, plain)
}

// limit cuts the longest texts of a result until it fits, and says so in it.
func limit(m map[string]any, limit int) map[string]any {
	size := sizeOf(m)
	if size <= limit {
		return m
	}
	const note = 200 // room for "truncated" and what JSON adds
	for range 8 {
		t := longest(m)
		excess := size - limit + note
		if t.set == nil || len(t.text) < 64 {
			break
		}
		keep := max(0, len(t.text)-excess)
		for keep > 0 && !utf8.RuneStart(t.text[keep]) {
			keep--
		}
		t.set(t.text[:keep])
		m["truncated"] = fmt.Sprintf("the result was cut: it had %d bytes, and at most %d are shown", size, limit)
		if sizeOf(m) <= limit {
			return m
		}
		size = sizeOf(m)
	}
	return (&Failure{Status: StatusFailed, Message: fmt.Sprintf("the result is larger than %d bytes", limit)}).result()
}

func sizeOf(m map[string]any) int {
	text, err := json.Marshal(m)
	if err != nil {
		return 0
	}
	return len(text)
}

// text is one string inside a result and how to replace it.
type text struct {
	text string
	set  func(string)
}

func longest(v any) (best text) {
	consider := func(s string, set func(string)) {
		if len(s) > len(best.text) {
			best = text{s, set}
		}
	}
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if s, ok := e.(string); ok {
				consider(s, func(s string) { v[k] = s })
			} else if t := longest(e); t.set != nil {
				consider(t.text, t.set)
			}
		}
	case []any:
		for i, e := range v {
			if s, ok := e.(string); ok {
				consider(s, func(s string) { v[i] = s })
			} else if t := longest(e); t.set != nil {
				consider(t.text, t.set)
			}
		}
	}
	return best
}
