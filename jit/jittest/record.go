package jittest

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// AgentToken is the base token in [Received.Credential].
const AgentToken = "the agent's token"

// Received is one call that the API received.
type Received struct {
	Method, Path   string // the path without query
	Status         int    // of the answer; 0 while there is none
	Credential     string // AgentToken, "token 1" and so on as they were granted, "no credential", "an unknown credential"
	Granted        bool   // it is a granted token
	Fingerprint    string // keyed hash of the credential; "" without one
	IdempotencyKey string // "" without one
}

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

// Issued is one granted token.
type Issued struct {
	Name        string // "token 1"
	Detail      rar.Detail
	RequestID   string
	TaskID      string
	ExpiresAt   time.Time // by the servers' clock
	Fingerprint string    // keyed hash of the token
}

// credential is one that the world knows, with its name.
type credential struct {
	value secret.String
	name  string
}

// record is what happened, in order. It is safe for concurrent use.
type record struct {
	key []byte // of the fingerprints

	mu        sync.Mutex
	changed   chan struct{} // closed and replaced by each change
	story     []func() string
	received  []*Received
	asked     []*Asked
	issued    []*Issued
	events    []jit.Event
	known     []credential
	own       *jit.Task
	elsewhere []string // what another host received, as text
	held      int      // how many calls wait for [World.Release]
}

func (r *record) init() {
	r.key = []byte(rand.Text())
	r.changed = make(chan struct{})
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

// know adds a credential, and reports whether it is a new one.
func (r *record) know(value secret.String, name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.known {
		if c.value.Equal(value) {
			return false
		}
	}
	r.known = append(r.known, credential{value, name})
	return true
}

// nameOf returns the name of what a call carried as its bearer token.
func (r *record) nameOf(token secret.String) (name string, granted bool) {
	if token.IsZero() {
		return "no credential", false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.known {
		if c.value.Equal(token) {
			return c.name, isGranted(c.name)
		}
	}
	return "an unknown credential", false
}

const tokenPrefix = "token "

// isGranted reports whether a credential's name is that of a granted token.
func isGranted(name string) bool { return strings.HasPrefix(name, tokenPrefix) }

// issue records a token that was handed out for a request. Redeeming a request
// again gives the same token, which is no new one.
func (r *record) issue(token secret.String, i Issued) {
	r.mu.Lock()
	i.Name = fmt.Sprintf("%s%d", tokenPrefix, len(r.issued)+1)
	r.mu.Unlock()
	if !r.know(token, i.Name) {
		return
	}
	i.Fingerprint = token.Fingerprint(r.key)
	r.change(func() {
		r.issued = append(r.issued, &i)
		r.story = append(r.story, func() string { return fmt.Sprintf("issued: %s for %s", i.Name, i.Detail) })
	})
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

// Received returns the calls of the API, in order.
func (w *World) Received() []Received { return copies(w, &w.record.received) }

// Asked returns the requests for authority, in order. (For an assertion see
// [World.AskedExactly].)
func (w *World) Asked() []Asked { return copies(w, &w.record.asked) }

// Issued returns the granted tokens, in order.
func (w *World) Issued() []Issued { return copies(w, &w.record.issued) }

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

// Credentials returns every credential that there is by now: the client secret, and
// all tokens. It is for searches that [World.NothingLeaked] cannot make.
func (w *World) Credentials() (all []secret.String) {
	w.record.read(func() {
		for _, c := range w.record.known {
			all = append(all, c.value)
		}
	})
	return all
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
