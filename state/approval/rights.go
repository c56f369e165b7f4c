package approval

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// Why a person's decision does not count. Each is for that person to read.
var (
	ErrMayNot  = errors.New("you are not among those who decide")
	ErrOwn     = errors.New("it is asked on your own behalf, so somebody else has to approve it")
	ErrOneMore = errors.New("your approval is noted: somebody else has to approve the same")
)

// An Approver is a person, as whoever authenticated them knows them.
type Approver struct {
	ID     string // stable, and nobody else's
	Email  string // "" where none is known to be theirs
	Issuer string // who vouches for them; "" for a list of tokens
	Groups []string
}

type approverKey struct{}

// WithApprover returns a context in which a person decides.
func WithApprover(ctx context.Context, a Approver) context.Context {
	return context.WithValue(ctx, approverKey{}, a)
}

// Rights say who may decide. The zero Rights let nobody.
type Rights struct {
	// Allow are the groups whose members may.
	Allow []Group
	// Own lets people approve what is asked on their own behalf. They may deny it anyway.
	Own bool
	// Quorum is how many must approve the same thing, whole or the same part of it; 0 is one.
	// A denial needs one. Approvals are kept in memory until the request runs out: what is
	// lost with a process is given again.
	Quorum int
	// Asker returns the ID of the person whom a request serves, "" where there is none;
	// after an error nothing is approved. nil: [Request.OnBehalfOf] alone says so.
	Asker func(ctx context.Context, r Request) (id string, err error)
}

// A Group is one of an issuer; "" is any issuer.
type Group struct{ Issuer, Name string }

// May reports whether a person may decide.
func (r Rights) May(a Approver) bool {
	return a.ID != "" && slices.ContainsFunc(r.Allow, func(g Group) bool {
		return (g.Issuer == "" || g.Issuer == a.Issuer) && slices.Contains(a.Groups, g.Name)
	})
}

// Guard returns a decider that decides at another one what the person of the context may.
func (r Rights) Guard(at Decider) Decider {
	return &guarded{Decider: at, rights: r, votes: map[string]vote{}}
}

type guarded struct {
	Decider
	rights Rights

	mu    sync.Mutex
	votes map[string]vote // by request, what was shown of it, and what would be granted
}

type vote struct {
	until time.Time
	by    []string
}

// Decide implements [Decider]. Its errors wrap those of this file, besides the others.
func (g *guarded) Decide(ctx context.Context, id string, how Decision) error {
	who, _ := ctx.Value(approverKey{}).(Approver)
	if !g.rights.May(who) {
		return ErrMayNot
	}
	if !how.Approve {
		return g.Decider.Decide(ctx, id, how)
	}
	list, _, err := g.Pending(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(list, func(r Request) bool { return r.ID == id })
	if i < 0 {
		return ErrDecided
	}
	if how.Digest == "" {
		how.Digest = list[i].Digest()
	}
	switch own, err := g.own(ctx, list[i], who); {
	case err != nil:
		return err
	case own:
		return ErrOwn
	case how.Digest != list[i].Digest():
		return ErrOtherRequest
	}
	if by := g.vote(list[i], how, who.ID); len(by) < g.rights.Quorum {
		return ErrOneMore
	} else if len(by) > 1 {
		how.Reason = strings.TrimSpace(how.Reason + " (approved by " + strings.Join(by, " and ") + ")")
	}
	return g.Decider.Decide(ctx, id, how)
}

// own reports whether a request serves the person.
func (g *guarded) own(ctx context.Context, r Request, who Approver) (bool, error) {
	if g.rights.Own {
		return false, nil
	}
	if f := r.OnBehalfOf; f != "" && (strings.EqualFold(f, who.Email) || f == who.ID) {
		return true, nil
	}
	if g.rights.Asker == nil {
		return false, nil
	}
	asker, err := g.rights.Asker(ctx, r)
	return asker == who.ID, err
}

// vote notes an approval, and returns who gave the same one.
func (g *guarded) vote(r Request, how Decision, by string) []string {
	if g.rights.Quorum < 2 {
		return []string{by}
	}
	less, _ := json.Marshal(canonical(how.Less)) // texts
	key := strings.Join([]string{r.ID, how.Digest, string(less), how.TTL.String()}, "\n")
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for k, v := range g.votes {
		if now.After(v.until) {
			delete(g.votes, k)
		}
	}
	v := g.votes[key]
	if v.until = r.ExpiresAt; v.until.IsZero() {
		v.until = now.Add(24 * time.Hour)
	}
	if !slices.Contains(v.by, by) {
		v.by = append(v.by, by)
	}
	g.votes[key] = v
	return slices.Clone(v.by)
}
