package jit

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// A Grant is an issued token with what it covers. It is read-only and safe for
// concurrent use.
type Grant struct {
	Token     secret.String
	Detail    rar.Detail // what was granted, which lies within what was asked
	RequestID string
	TaskID    string
	ExpiresAt time.Time // by this machine's clock, counted from before the token was asked for
	Scopes    []string  // that bound the token in place of Detail, see [Issued]; nil where Detail does
	DPoP      *dpop.Key // that the token is bound to: it goes nowhere without a proof; nil for a bearer token

	issue    *issue            // shared by the copies of the grant
	calls    map[callName]bool // that it serves, where a person decided; nil for any. Guarded by grants.mu
	covers   rar.Checked       // Detail
	key      grantKey          // of what was asked, with the origin that it was asked for
	useUntil time.Time         // a little before ExpiresAt
	header   func() []string   // the Authorization header of a bearer token, built once; a func, since fmt prints unexported fields
}

// newGrant builds a grant of the given lifetime, counted from start.
func newGrant(issued Issued, covers rar.Checked, key grantKey, start time.Time, ttl time.Duration) *Grant {
	// A token that expires on its way is refused with 401 and costs a second
	// grant: stop using it a little earlier.
	margin := min(5*time.Second, ttl/10)
	var header []string
	if issued.DPoP == nil {
		header = bearer(issued.Token)
	}
	var calls map[callName]bool
	if key.call != "" {
		calls = map[callName]bool{}
	}
	return &Grant{
		Token:     issued.Token,
		Detail:    covers.Detail(),
		RequestID: issued.RequestID,
		TaskID:    issued.TaskID,
		ExpiresAt: start.Add(ttl),
		Scopes:    issued.Scopes,
		DPoP:      issued.DPoP,
		calls:     calls,
		covers:    covers,
		key:       key,
		useUntil:  start.Add(ttl - margin),
		header:    func() []string { return header },
	}
}

// Live reports whether the grant can still be used.
func (g *Grant) Live() bool { return g.liveAt(time.Now()) }

func (g *Grant) liveAt(now time.Time) bool { return now.Before(g.useUntil) }

func bearer(t secret.String) []string { return []string{"Bearer " + t.Reveal()} }

// grantKey names a demand at one origin: identical demands share one request, unless a
// person decides, who decides about a call.
type grantKey struct {
	origin Origin
	digest string
	call   string // [scope.said] of the call that a person decides about, or [scope.alone]; "" for any
}

// any is the key of the demand, whichever call makes it.
func (k grantKey) any() grantKey { return grantKey{origin: k.origin, digest: k.digest} }

// keyOf returns the key of a demand. Its lists count as sets, or an API could put one
// question to a person again and again by reordering it.
func keyOf(origin Origin, d rar.Checked) grantKey {
	sorted, changed := d.Detail(), false
	for _, list := range []*[]string{&sorted.Locations, &sorted.Actions, &sorted.DataTypes, &sorted.Privileges} {
		if len(*list) > 1 {
			*list, changed = slices.Compact(slices.Sorted(slices.Values(*list))), true
		}
	}
	if changed {
		if c, err := sorted.Check(); err == nil { // it was valid, and is
			d = c
		}
	}
	return grantKey{origin: origin, digest: d.Digest()}
}

// grants holds what a task's calls may use, each grant findable without looking at
// all of them: a task may have thousands. After close there are none, and none comes.
// There is one at most for each demand, and expired ones do not pile up.
type grants struct {
	engine *Engine

	mu     sync.Mutex
	closed bool
	asked  map[grantKey]*Grant // by what was asked: identical demands share a grant
	places map[place][]*Grant  // by what was granted
	served map[kind]served     // which grant served the last request of an exact kind
	most   int                 // how many to hold before the expired ones are looked for
	issued []time.Time         // when each token ever issued expires, used or not
}

// A place is all that a grant must have in common with what it covers, whatever
// else the two say.
type place struct {
	origin     Origin
	typ        string
	identifier string // "" for types with a rule of their own, which may compare it otherwise
}

// served says which grant serves the requests of one exact kind under one ceiling. It
// saves a repeated call from checking the very same details again.
type served struct {
	ceiling []rar.Detail // a copy
	grant   *Grant
}

const (
	minSweep  = 64   // keeps small sets from being searched all the time
	maxServed = 1024 // bounds the searches that a task remembers
)

func newGrants(e *Engine) *grants {
	return &grants{engine: e, asked: map[grantKey]*Grant{}, places: map[place][]*Grant{}, served: map[kind]served{}}
}

func (s *grants) placeOf(origin Origin, d rar.Detail) place {
	if _, own := s.engine.cfg.Rules[d.Type]; own {
		return place{origin, d.Type, ""}
	}
	return place{origin, d.Type, d.Identifier}
}

// count notes that a token was issued, which is alive until it expires or the task
// ends, whatever becomes of it here.
func (s *grants) count(expires time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued = append(s.issued, expires)
}

// tally says how many tokens were issued, and how many of them are alive.
func (s *grants) tally(now time.Time) (issued, alive int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, expiry := range s.issued {
		if now.Before(expiry) {
			alive++
		}
	}
	return len(s.issued), alive
}

// add keeps a grant in place of an earlier one for the same demand. It reports false
// when the task has ended.
func (s *grants) add(g *Grant, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if len(s.asked) >= max(s.most, minSweep) {
		for _, old := range s.asked {
			if !old.liveAt(now) {
				s.forget(old)
			}
		}
		s.most = 2 * len(s.asked) // so that a grant costs the same, however many there are
	}
	if old := s.asked[g.key]; old != nil {
		s.forget(old)
	}
	p := s.placeOf(g.key.origin, g.Detail)
	s.asked[g.key] = g
	s.places[p] = append(s.places[p], g)
	return true
}

// drop forgets a grant that the API refused.
func (s *grants) drop(g *Grant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(g)
}

func (s *grants) forget(g *Grant) {
	if s.asked[g.key] == g {
		delete(s.asked, g.key)
	}
	p := s.placeOf(g.key.origin, g.Detail)
	if left := slices.DeleteFunc(s.places[p], func(have *Grant) bool { return have == g }); len(left) > 0 {
		s.places[p] = left
	} else {
		delete(s.places, p)
	}
	maps.DeleteFunc(s.served, func(_ kind, last served) bool { return last.grant == g })
}

// close forgets all grants and takes no more. It returns their tokens.
func (s *grants) close() (tokens []secret.String) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, g := range s.asked {
		tokens = append(tokens, g.Token)
		if g.issue.recorded.CompareAndSwap(false, true) { // it was never used
			s.engine.note(g.issue.entry)
		}
	}
	clear(s.asked)
	clear(s.places)
	clear(s.served)
	return tokens
}

// covering returns a live grant that may serve the call, lies within its ceiling and
// covers need, or nil. A grant that was asked for need and came back narrower covers it
// too: more is not to be had. None does where key has a call: what that is for is granted
// once for each operation.
func (s *grants) covering(key grantKey, need rar.Checked, call *scope) *Grant {
	if key.call != "" {
		return nil
	}
	s.mu.Lock()
	near := slices.Clone(s.places[s.placeOf(key.origin, need.Detail())])
	near = slices.DeleteFunc(near, func(g *Grant) bool { return !g.serves(call) })
	s.mu.Unlock()
	now := time.Now()
	for _, g := range near {
		if !g.liveAt(now) || s.engine.usedUp(g) || g.key.any() != key && s.engine.cfg.Rules.Within(need, g.covers) != nil {
			continue
		}
		if _, err := call.task.within(g.covers, call.ceiling()); err == nil {
			return g
		}
	}
	return nil
}

// serves reports whether the grant is for the call: any where no person decided, else
// those that waited for the decision. The caller holds grants.mu.
func (g *Grant) serves(call *scope) bool {
	return g.calls == nil || g.calls[call.name()] && g.key.call == call.said()
}

// admit has a grant serve a call that waited for it.
func (s *grants) admit(g *Grant, call *scope) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g.calls != nil {
		g.calls[call.name()] = true
	}
}

// lastServed returns the grant that served an identical request, or nil when there is
// none or it is no longer to be used.
func (s *grants) lastServed(exact kind, call *scope) *Grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.served[exact]
	if !ok || !last.grant.Live() || s.engine.usedUp(last.grant) || !last.grant.serves(call) || !slices.EqualFunc(last.ceiling, call.call.Ceiling, identical) {
		return nil
	}
	return last.grant
}

// serves remembers that g, which lies within the ceiling, serves such requests.
func (s *grants) serves(exact kind, ceiling []rar.Detail, g *Grant) {
	copied := make([]rar.Detail, len(ceiling))
	for i, d := range ceiling {
		copied[i] = d.Clone()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked[g.key] != g {
		return // dropped or replaced meanwhile
	}
	if len(s.served) >= maxServed {
		clear(s.served)
	}
	s.served[exact] = served{copied, g}
}

// identical reports whether two details are the same, member by member. It is
// stricter than [rar.Equal], and cheap, since it validates nothing.
func identical(a, b rar.Detail) bool {
	return a.Type == b.Type && a.Identifier == b.Identifier &&
		identicalLists(a.Locations, b.Locations) && identicalLists(a.Actions, b.Actions) &&
		identicalLists(a.DataTypes, b.DataTypes) && identicalLists(a.Privileges, b.Privileges) &&
		maps.EqualFunc(a.Extra, b.Extra, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) })
}

// identicalLists tells a list that is left out from an empty one, which is not
// valid.
func identicalLists(a, b []string) bool { return (a == nil) == (b == nil) && slices.Equal(a, b) }
