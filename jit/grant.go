package jit

import (
	"net/http"
	"strings"
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

	origin Origin
	freshT time.Time // until when it is used; a little before ExpiresAt
	header []string  // the Authorization header, built once
}

// newGrant builds a grant of the given lifetime, counted from start.
func newGrant(issued Issued, detail rar.Detail, origin Origin, start time.Time, ttl time.Duration) *Grant {
	// A token that expires on its way is refused with 401 and costs a second
	// grant: stop using it a little earlier.
	margin := min(5*time.Second, ttl/10)
	return &Grant{
		Token:     issued.Token,
		Detail:    detail,
		RequestID: issued.RequestID,
		TaskID:    issued.TaskID,
		ExpiresAt: start.Add(ttl),
		origin:    origin,
		freshT:    start.Add(ttl - margin),
		header:    bearer(issued.Token),
	}
}

// Live reports whether the grant can still be used.
func (g *Grant) Live() bool { return time.Now().Before(g.freshT) }

func bearer(t secret.String) []string { return []string{"Bearer " + t.Reveal()} }

// grantKey names a demand at one origin: identical demands share one request.
type grantKey struct {
	origin Origin
	digest string
}

func keyOf(origin Origin, d rar.Detail) (grantKey, error) {
	digest, err := d.Digest()
	return grantKey{origin, digest}, err
}

// covering returns a live grant for this origin that lies within the ceiling and
// covers need, or nil. A nil need asks for any grant within the ceiling.
func (t *Task) covering(origin Origin, ceiling []rar.Detail, need *rar.Detail) *Grant {
	t.mu.Lock()
	defer t.mu.Unlock()
	rules := t.engine.cfg.Rules
	for _, g := range t.grants {
		if g.origin != origin || !g.Live() {
			continue
		}
		if need != nil && rules.Within(*need, g.Detail) != nil {
			continue
		}
		if _, err := t.engine.within(g.Detail, ceiling); err == nil {
			return g
		}
	}
	return nil
}

// keep adds a grant to those that calls may use. It reports false when the task
// has ended.
func (t *Task) keep(g *Grant) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ended {
		t.grants = append(t.grants, g)
	}
	return !t.ended
}

// drop forgets a grant that the API refused.
func (t *Task) drop(g *Grant) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, have := range t.grants {
		if have == g {
			t.grants = append(t.grants[:i:i], t.grants[i+1:]...)
			return
		}
	}
}

// A kind is a class of calls that are expected to need the same kind of
// authority: the same tool, at the same endpoint.
type kind struct {
	tool, method string
	origin       Origin
	path         string // with the identifier that the ceiling names replaced
}

// kindOf returns the kind of a request. Without the replacement every document
// would be an endpoint of its own.
func kindOf(tool string, req *http.Request, origin Origin, ceiling []rar.Detail) kind {
	path := req.URL.Path
	for _, c := range ceiling {
		if c.Identifier == "" || !strings.Contains(path, c.Identifier) {
			continue
		}
		segments := strings.Split(path, "/")
		for i, s := range segments {
			if s == c.Identifier {
				segments[i] = "{identifier}"
			}
		}
		path = strings.Join(segments, "/")
		break
	}
	return kind{tool, req.Method, origin, path}
}

// A demand is what an endpoint asked for, and the ceiling that it lay within.
type demand struct {
	asked   rar.Detail
	ceiling rar.Detail
	index   int // of ceiling in the call's list
}

// remember keeps what an endpoint asked for, for the rest of the task.
func (t *Task) remember(k kind, d demand) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kinds[k] = d
}

// expect returns what an endpoint of kind k will ask for in a call with this
// ceiling: the earlier demand with this call's values where the earlier one had
// its own ceiling's. ok is false when nothing is known or the result would not
// lie within the ceiling.
func (t *Task) expect(k kind, ceiling []rar.Detail) (d rar.Detail, ok bool) {
	t.mu.Lock()
	earlier, known := t.kinds[k]
	t.mu.Unlock()
	if !known || earlier.index >= len(ceiling) {
		return rar.Detail{}, false
	}
	now := ceiling[earlier.index]
	d = earlier.asked
	if d.Identifier == earlier.ceiling.Identifier {
		d.Identifier = now.Identifier
	}
	if d.Extra != nil {
		d.Extra = now.Extra // Within has it that both were equal
	}
	_, err := t.engine.within(d, []rar.Detail{now})
	return d, err == nil
}
