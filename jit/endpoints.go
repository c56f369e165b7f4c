package jit

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// A kind is a class of calls that are expected to need the same kind of
// authority: the same tool, at the same endpoint.
type kind struct {
	tool, method string
	origin       Origin
	path         string // escaped; with the identifier that it names replaced, or exact
}

func exactKind(tool string, req *http.Request, origin Origin) kind {
	return kind{tool, req.Method, origin, req.URL.EscapedPath()}
}

// kindOf widens an exact kind: an identifier of the ceiling that is a segment of
// the path is replaced. Without that every document would be an endpoint of its
// own. named is that identifier, or "".
func kindOf(exact kind, ceiling []rar.Detail) (k kind, named string) {
	for _, c := range ceiling {
		if c.Identifier == "" {
			continue
		}
		segments := strings.Split(exact.path, "/")
		found := false
		for i, s := range segments {
			if plain, err := url.PathUnescape(s); err == nil && plain == c.Identifier {
				segments[i] = "{identifier}" // no escaped path has braces
				found = true
			}
		}
		if found {
			exact.path = strings.Join(segments, "/")
			return exact, c.Identifier
		}
	}
	return exact, ""
}

// endpoints is what a task has learned of the endpoints that it called. What is
// expected of one is still checked against each call's own ceiling.
type endpoints struct {
	mu    sync.Mutex
	needs map[kind]need
	first map[kind]chan struct{} // the first call of a kind that nothing was known of; closed at its first answer
}

// A need is what an endpoint demanded: what is asked for again in the next call of
// its kind, but for what each call has of its own.
type need struct {
	demanded rar.Detail
	named    bool // the path named the identifier
}

const (
	// maxFirst bounds how many kinds of calls a task remembers to have seen.
	maxFirst = 1024

	// firstWait bounds how long calls wait for the first answer of one like them. A
	// refusal is the quickest answer that an API gives; one that takes longer is likely
	// the result of the call, and then waiting for it was for nothing.
	firstWait = 100 * time.Millisecond
)

// learn keeps what an endpoint demanded, for the rest of the task. A demand that a
// rule put within the ceiling though its identifier or its own members are not the
// ceiling's says nothing about the next call.
func (s *endpoints) learn(k kind, named string, demanded, ceiling rar.Detail) {
	own := func(d rar.Detail) rar.Detail {
		return rar.Detail{Type: d.Type, Identifier: d.Identifier, Extra: d.Extra}
	}
	if !identical(own(demanded), own(ceiling)) { // Extra is in canonical form on both sides
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.needs == nil {
		s.needs = map[kind]need{}
	}
	s.needs[k] = need{demanded, named != "" && demanded.Identifier == named}
}

// expect returns what an endpoint of kind k will demand in a call with this ceiling:
// the earlier demand with this call's identifier and own members. ok is false when
// nothing is known, when the ceiling leaves open which one it would be, or when none
// lies within it.
func (s *endpoints) expect(t *Task, k kind, named string, ceiling []rar.Checked) (expected rar.Checked, ok bool) {
	s.mu.Lock()
	earlier, known := s.needs[k]
	s.mu.Unlock()
	if !known {
		return rar.Checked{}, false
	}
	for i, c := range ceiling {
		if earlier.named && c.Detail().Identifier != named {
			continue
		}
		d := earlier.demanded
		d.Identifier, d.Extra = c.Detail().Identifier, c.Detail().Extra
		checked, err := d.Check()
		if err != nil || ok && checked.Canonical() == expected.Canonical() {
			continue
		}
		if _, err := t.within(checked, ceiling[i:i+1]); err != nil {
			continue
		}
		if ok {
			return rar.Checked{}, false
		}
		expected, ok = checked, true
	}
	return expected, ok
}

// goFirst lets the first call of kind k go ahead, as long as nothing is known of
// that kind: the channel is for it to close at its first answer. The others get
// none, and wait until then: if that answer is a demand, they can ask for what they
// need, and are not all refused first. Each waits once at most.
func (s *endpoints) goFirst(ctx context.Context, k kind) (answered chan struct{}, err error) {
	s.mu.Lock()
	seen, known := s.first[k]
	if !known {
		if s.first == nil || len(s.first) >= maxFirst {
			s.first = map[kind]chan struct{}{} // who waits for one of the old has it
		}
		answered = make(chan struct{})
		s.first[k] = answered
	}
	s.mu.Unlock()
	if !known {
		return answered, nil
	}
	enough := time.NewTimer(firstWait)
	defer enough.Stop()
	select {
	case <-seen:
	case <-enough.C:
	case <-ctx.Done():
		return nil, whyDone(ctx)
	}
	return nil, nil
}
