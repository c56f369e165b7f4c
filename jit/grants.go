package jit

import (
	"maps"
	"slices"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// grantSet holds the grants that a task's calls may use, each findable without
// looking at all of them: a task may have thousands. The zero value is empty. Its
// user holds Task.mu.
type grantSet struct {
	asked  map[grantKey]*Grant // by what was asked: identical demands share a grant
	places map[place][]*Grant  // by what was granted
	sweep  int                 // how many to hold before the expired ones are looked for
}

// A place is all that a grant must have in common with what it covers, whatever
// else the two say.
type place struct {
	origin     Origin
	typ        string
	identifier string // "" for types with a rule of their own, which may compare it otherwise
}

// minSweep keeps small sets from being searched all the time.
const minSweep = 64

func (e *Engine) placeOf(origin Origin, d rar.Detail) place {
	if _, own := e.cfg.Rules[d.Type]; own {
		return place{origin, d.Type, ""}
	}
	return place{origin, d.Type, d.Identifier}
}

func (s *grantSet) add(p place, g *Grant, now time.Time) {
	if s.asked == nil {
		s.asked, s.places = map[grantKey]*Grant{}, map[place][]*Grant{}
	}
	if len(s.asked) >= max(s.sweep, minSweep) {
		expired := func(g *Grant) bool { return !g.liveAt(now) }
		maps.DeleteFunc(s.asked, func(_ grantKey, g *Grant) bool { return expired(g) })
		for p := range s.places {
			s.filter(p, expired)
		}
		s.sweep = 2 * len(s.asked) // so that a grant costs the same, however many there are
	}
	s.filter(p, func(have *Grant) bool { return have.key == g.key })
	s.asked[g.key] = g
	s.places[p] = append(s.places[p], g)
}

// filter takes the grants at p that are out off the list.
func (s *grantSet) filter(p place, out func(*Grant) bool) {
	if left := slices.DeleteFunc(s.places[p], out); len(left) > 0 {
		s.places[p] = left
	} else {
		delete(s.places, p)
	}
}

func (s *grantSet) remove(p place, g *Grant) {
	if s.asked[g.key] == g {
		delete(s.asked, g.key)
	}
	s.filter(p, func(have *Grant) bool { return have == g })
}

// holds reports whether g is there: not dropped, and not replaced by another for
// the same demand.
func (s *grantSet) holds(g *Grant) bool { return s.asked[g.key] == g }

// covering returns a live grant that lies within the ceiling and covers need, or
// nil. A grant that was asked for need and came back narrower covers it too: more
// is not to be had.
func (t *Task) covering(key grantKey, need rar.Detail, ceiling []rar.Detail) *Grant {
	for _, g := range t.live(t.engine.placeOf(key.origin, need)) {
		if g.key != key && t.engine.cfg.Rules.Within(need, g.Detail) != nil {
			continue
		}
		if _, err := t.engine.within(g.Detail, ceiling); err == nil {
			return g
		}
	}
	return nil
}

// live returns the grants at a place that calls may use.
func (t *Task) live(p place) []*Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return nil
	}
	now := time.Now()
	var live []*Grant
	for _, g := range t.grants.places[p] {
		if g.liveAt(now) {
			live = append(live, g)
		}
	}
	return live
}

// keep adds a grant to those that calls may use. It reports false when the task
// has ended.
func (t *Task) keep(g *Grant) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return false
	}
	t.grants.add(t.engine.placeOf(g.key.origin, g.Detail), g, time.Now())
	return true
}

// drop forgets a grant that the API refused.
func (t *Task) drop(g *Grant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grants.remove(t.engine.placeOf(g.key.origin, g.Detail), g)
	maps.DeleteFunc(t.picks, func(_ kind, p pick) bool { return p.grant == g })
}
