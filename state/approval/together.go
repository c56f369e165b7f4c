package approval

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
)

// Together returns requests with those as one that ask a person the same for several
// tasks of one user, such as those of programs that do one job at a time: the first, with the others
// in Also, 50 at most: further ones are asked again. Each stays a request of its own,
// whose authority ends with its task. Where the server does not say for which call a
// request is, nobody knows if it is the same.
func Together(list []Request) []Request {
	var out []Request
	at := map[string]int{}
	for _, r := range list {
		key := r.question()
		i, known := at[key]
		known = known && len(out[i].Also) < maxTogether-1
		if known && !slices.ContainsFunc(out[i].All(), func(o Request) bool { return o.TaskID == r.TaskID }) {
			out[i].Also = append(out[i].Also, r)
			continue
		}
		if key != "" && !known {
			at[key] = len(out)
		}
		out = append(out, r)
	}
	return out
}

const maxTogether = 50

// question is what a person is asked, whichever task asks it; "" where that is not known.
func (r Request) question() string {
	if r.Tool == "" || r.Problem != "" || len(r.Details) == 0 {
		return ""
	}
	r.ID, r.TaskID, r.TaskName, r.CallID, r.Justification, r.ExpiresAt = "", "", "", "", "", time.Time{}
	r.Args, _ = json.Marshal(sameJSON(r.Args)) // a text, that is always one
	text, err := json.Marshal(r)
	if err != nil {
		return ""
	}
	return string(text)
}

// All returns the request and those that ask the same.
func (r Request) All() []Request { return append([]Request{r}, r.Also...) }

// Decide enters one decision about all that was shown as one, each bound to what was
// shown of it. It returns for how many it counts, and the first reason why it does
// not for the others, with their ids.
func (r Request) Decide(ctx context.Context, at Decider, how Decision) (done int, err error) {
	var failed []string
	for _, one := range r.All() {
		how.Digest = one.Digest()
		if e := at.Decide(ctx, one.ID, how); e != nil {
			failed, err = append(failed, plain.Line(one.ID, maxID)), cmp.Or(err, e)
			continue
		}
		done++
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", strings.Join(failed, ", "), err)
	}
	return done, err
}
