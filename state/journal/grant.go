package journal

import (
	"time"

	"github.com/jitagent/jitagent/jit"
)

// A GrantState says what became of a grant.
type GrantState string

// The states of a grant.
const (
	GrantLive    GrantState = "live"    // its task is not over, nor is its time
	GrantRevoked GrantState = "revoked" // with its task, as the authorization server confirmed
	GrantExpired GrantState = "expired" // its time was over first
	GrantExpires GrantState = "expires" // it could not be revoked, or nobody confirmed it, but its time will be over
	GrantUnknown GrantState = "unknown" // nobody confirmed that it was revoked, nor said when its time is over
)

// A Grant is a token that was issued under a task, and what became of it.
type Grant struct {
	Record // of the issue
	State  GrantState

	// End is when it ended or, for one that is live or expires, will end by itself at
	// the latest. Zero when that is not known.
	End time.Time
}

// Grants returns the grants of a task as they are at a moment. records are those of
// one task, in order; a task that is not finished by the last of them is going on.
func Grants(records []Record, at time.Time) []Grant {
	var task Task
	var finished time.Time // when the task came into the state that it is in
	var grants []Grant
	for _, r := range records {
		was := task.State
		if task = task.After(r); task.State != was {
			finished = r.Time
		}
		switch {
		case r.Kind == jit.EntryGrant:
			grants = append(grants, Grant{Record: r, End: r.ExpiresAt})
		case r.Kind == jit.EntryTaskSuspended && r.Revoked > 0 && r.Revoked == r.Issued:
			for i := range grants {
				if g := &grants[i]; g.State == "" && (g.ExpiresAt.IsZero() || g.ExpiresAt.After(r.Time)) {
					g.State, g.End = GrantRevoked, r.Time
				}
			}
		}
	}
	for i := range grants {
		g := &grants[i]
		if g.State != "" {
			continue
		}
		over := func(at time.Time) bool { return !g.ExpiresAt.IsZero() && !g.ExpiresAt.After(at) }
		switch {
		case task.State == StateCompleted && !over(finished) && task.NextAttempt.IsZero():
			g.State, g.End = GrantRevoked, finished
		case task.State == StateCompleted && !over(at) && at.Before(task.NextAttempt):
			g.State = GrantExpires
		case over(at) || task.State == StateCompleted:
			g.State = GrantExpired
		case task.State == StateExpired:
			g.State, g.End = GrantExpired, finished
		case task.State == StateUnknown && g.ExpiresAt.IsZero():
			g.State = GrantUnknown
		case task.State == StateUnknown:
			g.State = GrantExpires
		default:
			g.State = GrantLive
		}
	}
	return grants
}
