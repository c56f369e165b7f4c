package runner

import (
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"

	"google.golang.org/genai"
)

const (
	// maxSame is how often one call may give one result. Models that do not see that
	// nothing changes go on until some other limit ends the run.
	maxSame = 3
	// maxThoughts is how many answers in a row may hold nothing but thoughts. ADK asks
	// again after each.
	maxThoughts = 3
)

// calls are what a run's model does over and over. Tools run concurrently.
type calls struct {
	mu       sync.Mutex
	tools    map[string]any // that the model may call
	thoughts int
	same     map[[32]byte]*sameCall // by tool and arguments
}

// A sameCall is one call that was made before.
type sameCall struct {
	result  [32]byte
	times   int // with that result, the last times
	refused bool
}

// A repetition is what a call is, after those that were made before.
type repetition int

const (
	repeatsNot  repetition = iota
	repeatsOnce            // for the first time too often
	repeatsOn              // although that was said
)

// digest names a call by its tool and arguments, or a result by what it holds.
func digest(tool string, values map[string]any) [32]byte {
	text, err := json.Marshal(values) // with sorted names
	if err != nil {
		return [32]byte{}
	}
	return sha256.Sum256(append(text, tool...))
}

// again says what the call is, before it is made.
func (c *calls) again(tool string, args map[string]any) repetition {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.same) == 0 {
		return repeatsNot
	}
	seen := c.same[digest(tool, args)]
	switch {
	case seen == nil || seen.times < maxSame:
		return repeatsNot
	case seen.refused:
		return repeatsOn
	}
	seen.refused = true
	return repeatsOnce
}

// returned takes note of what a call gave.
func (c *calls) returned(tool string, args, result map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.same == nil {
		c.same = map[[32]byte]*sameCall{}
	}
	key, gave := digest(tool, args), digest("", result)
	seen := c.same[key]
	if seen == nil {
		seen = &sameCall{result: gave}
		c.same[key] = seen
	}
	switch {
	case seen.refused: // it was not made
	case seen.result == gave:
		seen.times++
	default:
		seen.result, seen.times = gave, 1
	}
}

// offered takes note of the tools that the model may call.
func (c *calls) offered(tools map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tools = tools
}

func (c *calls) names() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(slices.Sorted(maps.Keys(c.tools)), ", ")
}

// thinks fails when the model has answered with thoughts alone too often.
func (c *calls) thinks(answer *genai.Content) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if answer == nil || len(answer.Parts) == 0 || slices.ContainsFunc(answer.Parts, func(p *genai.Part) bool { return p != nil && !p.Thought }) {
		c.thoughts = 0
		return nil
	}
	if c.thoughts++; c.thoughts >= maxThoughts {
		return ErrNoAnswer
	}
	return nil
}

// withoutNUL returns what the model said without U+0000, which some stores of
// conversations refuse.
func withoutNUL(c *genai.Content) *genai.Content {
	if c == nil || !slices.ContainsFunc(c.Parts, func(p *genai.Part) bool { return p != nil && strings.ContainsRune(p.Text, 0) }) {
		return c
	}
	out := *c
	out.Parts = slices.Clone(c.Parts)
	for i, p := range out.Parts {
		if p != nil {
			part := *p
			part.Text = cleared(p.Text)
			out.Parts[i] = &part
		}
	}
	return &out
}

func cleared(s string) string { return strings.ReplaceAll(s, "\x00", "\ufffd") }
