package jit

import (
	"net/http"
	"net/url"
	"strings"

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

// A demand is what an endpoint asked for: what is asked again in the next call of
// its kind, but for what each call has of its own.
type demand struct {
	asked rar.Detail
	named bool // the path named the identifier
}

// remember keeps what an endpoint asked for, for the rest of the task. A demand
// that a rule put within the ceiling though its identifier or its own members are
// not the ceiling's says nothing about the next call.
func (t *Task) remember(k kind, named string, asked, ceiling rar.Detail) {
	own := func(d rar.Detail) rar.Detail {
		return rar.Detail{Type: d.Type, Identifier: d.Identifier, Extra: d.Extra}
	}
	if a, c := own(asked), own(ceiling); !identical(a, c) && !rar.Equal(a, c) { // both are valid
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kinds[k] = demand{asked, named != "" && asked.Identifier == named}
}

// expect returns what an endpoint of kind k will ask for in a call with this
// ceiling: the earlier demand with this call's identifier and own members. ok is
// false when nothing is known, when the ceiling leaves open which one it would
// be, or when none lies within it.
func (t *Task) expect(k kind, named string, ceiling []rar.Detail) (need rar.Detail, ok bool) {
	t.mu.Lock()
	earlier, known := t.kinds[k]
	t.mu.Unlock()
	if !known {
		return rar.Detail{}, false
	}
	for i, c := range ceiling {
		if earlier.named && c.Identifier != named {
			continue
		}
		d := earlier.asked
		d.Identifier, d.Extra = c.Identifier, c.Extra
		if ok && rar.Equal(d, need) {
			continue
		}
		if _, err := t.engine.within(d, ceiling[i:i+1]); err != nil {
			continue
		}
		if ok {
			return rar.Detail{}, false
		}
		need, ok = d, true
	}
	return need, ok
}
