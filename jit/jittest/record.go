package jittest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// agentToken is what the base token is called.
const agentToken = "the agent's token"

// Asked is one request for authority that the authorization server received.
type Asked struct {
	Detail        rar.Detail
	Justification string
	TaskID        string
	RequestID     string // "" when it was refused
	// Status is "approved", "denied" or "pending", "refused" when there was an error
	// in place of a decision, "garbage" when the answer cannot be read, and "" while
	// there is none.
	Status string

	first string // the first answer, for the story
}

// credential is one that the world knows, with its name.
type credential struct {
	value secret.String
	name  string
}

// record is what happened, in order. It is safe for concurrent use.
type record struct {
	mu        sync.Mutex
	changed   chan struct{} // closed and replaced by each change
	story     []func() string
	received  []*exchange
	asked     []*Asked
	granted   int // tokens
	events    []jit.Event
	known     []credential
	own       *jit.Task
	elsewhere []string // what another host received, as text
}

// change runs fn under the lock and wakes who waits for a change.
func (r *record) change(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
	close(r.changed)
	r.changed = make(chan struct{})
}

// read runs fn under the lock.
func (r *record) read(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

func (r *record) note(line string) {
	r.change(func() { r.story = append(r.story, func() string { return line }) })
}

// know adds a credential, tokens of the prefix with their number, and reports whether
// it is a new one.
func (r *record) know(value secret.String, name string) (known credential, isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.known {
		if c.value.Equal(value) {
			return c, false
		}
	}
	if name == tokenPrefix {
		r.granted++
		name += strconv.Itoa(r.granted)
	}
	r.known = append(r.known, credential{value, name})
	return r.known[len(r.known)-1], true
}

// nameOf returns the name of what a call carried as its bearer token.
func (r *record) nameOf(token secret.String) string {
	if token.IsZero() {
		return "no credential"
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.known {
		if c.value.Equal(token) {
			return c.name
		}
	}
	return "an unknown credential"
}

const tokenPrefix = "token "

// isGranted reports whether a credential's name is that of a granted token.
func isGranted(name string) bool { return strings.HasPrefix(name, tokenPrefix) }

// issue records a token that was handed out for a request. Redeeming a request
// again gives the same token, which is no new one.
func (r *record) issue(token secret.String, details []rar.Detail) {
	if c, isNew := r.know(token, tokenPrefix); isNew {
		r.note(fmt.Sprintf("issued: %s for %v", c.name, details))
	}
}

// observe takes an event. Only what the client decides by itself adds to the
// story: the servers tell the rest.
func (r *record) observe(e jit.Event) {
	r.change(func() {
		r.events = append(r.events, e)
		if b, ok := e.(jit.Blocked); ok {
			r.story = append(r.story, func() string {
				return fmt.Sprintf("the client refused a demand for %s: %s", b.Demanded, b.Reason)
			})
		}
	})
}

func (r *record) open(task *jit.Task) { r.change(func() { r.own = task }) }

// task returns the world's own task, if it was opened.
func (r *record) task() (own *jit.Task) {
	r.read(func() { own = r.own })
	return own
}

// received returns the calls of the API, in order.
func (w *World) received() []exchange { return copies(w, &w.record.received) }

// Asked returns the requests for authority, in order. (For an assertion see
// [World.AskedExactly].)
func (w *World) Asked() []Asked { return copies(w, &w.record.asked) }

func copies[T any](w *World, list *[]*T) (all []T) {
	w.record.read(func() {
		for _, item := range *list {
			all = append(all, *item)
		}
	})
	return all
}

// Events returns what [World.Observe] took, in order.
func (w *World) Events() (all []jit.Event) {
	w.record.read(func() { all = slices.Clone(w.record.events) })
	return all
}

// Elsewhere returns how many calls reached the other host, to which an API
// of [Hostile] redirects.
func (w *World) Elsewhere() (n int) {
	w.record.read(func() { n = len(w.record.elsewhere) })
	return n
}

// Story tells what happened, a line each, in order. It names credentials and holds
// none, whatever [World.Note] and events bring in.
func (w *World) Story() string { return w.scrub(w.told()) }

// scrub puts the names of credentials in their place.
func (w *World) scrub(text string) string {
	w.record.read(func() {
		for _, c := range w.record.known {
			var s secret.Scrubber
			s.Add(c.value)
			if without := s.Scrub(text); without != text {
				text = strings.ReplaceAll(without, secret.Redacted, "["+c.name+"]")
			}
		}
	})
	return text
}

func (w *World) told() string {
	var b strings.Builder
	w.record.read(func() {
		for i, line := range w.record.story {
			fmt.Fprintf(&b, "%3d  %s\n", i+1, line())
		}
	})
	if b.Len() == 0 {
		return "     nothing at all\n"
	}
	return b.String()
}
