package jit

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

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

	key    grantKey        // of what was asked, with the origin that it was asked for
	freshT time.Time       // until when it is used; a little before ExpiresAt
	header func() []string // the Authorization header, built once; a func, since fmt prints unexported fields
}

// newGrant builds a grant of the given lifetime, counted from start.
func newGrant(issued Issued, detail rar.Detail, key grantKey, start time.Time, ttl time.Duration) *Grant {
	// A token that expires on its way is refused with 401 and costs a second
	// grant: stop using it a little earlier.
	margin := min(5*time.Second, ttl/10)
	header := bearer(issued.Token)
	return &Grant{
		Token:     issued.Token,
		Detail:    detail,
		RequestID: issued.RequestID,
		TaskID:    issued.TaskID,
		ExpiresAt: start.Add(ttl),
		key:       key,
		freshT:    start.Add(ttl - margin),
		header:    func() []string { return header },
	}
}

// Live reports whether the grant can still be used.
func (g *Grant) Live() bool { return g.liveAt(time.Now()) }

func (g *Grant) liveAt(now time.Time) bool { return now.Before(g.freshT) }

func bearer(t secret.String) []string { return []string{"Bearer " + t.Reveal()} }

// grantKey names a demand at one origin: identical demands share one request.
type grantKey struct {
	origin Origin
	digest string
}

// keyOf returns the key of a demand, or why it is not valid. Its lists count as sets, or an API could put
// one question to a person again and again by reordering it.
func keyOf(origin Origin, d rar.Detail) (grantKey, error) {
	for _, list := range []*[]string{&d.Locations, &d.Actions, &d.DataTypes, &d.Privileges} {
		if len(*list) > 1 {
			*list = slices.Compact(slices.Sorted(slices.Values(*list)))
		}
	}
	digest, err := d.Digest()
	return grantKey{origin, digest}, err
}

// A pick is the outcome of a search: which grant serves the requests of one exact
// kind under one ceiling. It saves a repeated call from checking the very same
// details again.
type pick struct {
	ceiling []rar.Detail // a copy
	grant   *Grant
}

// maxPicks bounds the searches that a task remembers.
const maxPicks = 1024

// picked returns the grant that served an identical request, or nil when there is
// none or it is no longer to be used.
func (t *Task) picked(exact kind, ceiling []rar.Detail) *Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, ok := t.picks[exact]
	if !ok || !p.grant.Live() || !slices.EqualFunc(p.ceiling, ceiling, identical) {
		return nil
	}
	return p.grant
}

// pick remembers that g, which lies within the ceiling, serves such requests.
func (t *Task) pick(exact kind, ceiling []rar.Detail, g *Grant) {
	copied := make([]rar.Detail, len(ceiling))
	for i, d := range ceiling {
		copied[i] = d.Clone()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.grants.holds(g) {
		return // dropped meanwhile
	}
	if len(t.picks) >= maxPicks {
		clear(t.picks)
	}
	t.picks[exact] = pick{copied, g}
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
