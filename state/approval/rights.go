package approval

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jitagent/jitagent/internal/plain"
)

// Why a person's decision does not count. Each is for that person to read.
var (
	ErrMayNot     = errors.New("you are not among those who decide")
	ErrOwn        = errors.New("it is asked on your own behalf, so somebody else has to approve it")
	ErrUnreadable = errors.New("what is asked cannot be read, so it can only be denied")
	ErrOneMore    = errors.New("your approval is noted: somebody else has to approve the same")
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
	// A denial needs one.
	Quorum int
	// Votes keeps approvals that are not enough yet. nil: in memory, and what is lost with the
	// process is given again.
	Votes Votes
	// Asker returns the ID of the person whom a request serves, "" where there is none;
	// after an error nothing is approved. nil: [Request.OnBehalfOf] alone says so.
	Asker func(ctx context.Context, r Request) (id string, err error)
}

// Votes keep who approved what, for all processes that decide. The runs of package runs do.
// They must be safe for concurrent use.
type Votes interface {
	// Vote notes that a person approved something, once, and returns all who did, of any
	// process. It is forgotten after until. Of two at once, one is told of both.
	Vote(ctx context.Context, about, by string, until time.Time) (all []string, err error)
}

// A Group is one of an issuer; "" is any issuer.
type Group struct{ Issuer, Name string }

// May reports whether a person may decide.
func (r Rights) May(a Approver) bool {
	return a.ID != "" && slices.ContainsFunc(r.Allow, func(g Group) bool {
		return (g.Issuer == "" || g.Issuer == a.Issuer) && slices.Contains(a.Groups, g.Name)
	})
}

// Check says why a decision of the person of the context about a request would not count, as
// far as that is known before it is made; nil where it may. Nothing is noted.
func (r Rights) Check(ctx context.Context, about Request, how Decision) error {
	who, _ := ctx.Value(approverKey{}).(Approver)
	switch {
	case !r.May(who):
		return ErrMayNot
	case !how.Approve:
		return nil
	case about.Problem != "":
		return ErrUnreadable
	}
	own, err := r.own(ctx, about, who)
	switch {
	case err != nil:
		return err
	case own:
		return ErrOwn
	case how.Digest != about.Digest():
		return ErrOtherRequest
	}
	return nil
}

// Guard returns a decider that decides at another one what the person of the context may. The
// reason of each decision begins with who made it, which nobody else says: at the server all
// are decided by one.
func (r Rights) Guard(at Decider) Decider {
	if r.Votes == nil {
		r.Votes = &memory{votes: map[string]vote{}}
	}
	return guarded{at, r}
}

type guarded struct {
	Decider
	rights Rights
}

// Pending implements [Decider]. Where the server says nothing of the call, Asker says for whom it is.
func (g guarded) Pending(ctx context.Context) (list []Request, more bool, err error) {
	list, more, err = g.Decider.Pending(ctx)
	list = slices.Clone(list)
	for i, r := range list {
		if r.Tool == "" && r.User == "" && g.rights.Asker != nil {
			list[i].User, _ = g.rights.Asker(ctx, r) // or nobody can approve it
		}
	}
	return list, more, err
}

// Decide implements [Decider]. Its errors wrap those of this file, besides the others.
func (g guarded) Decide(ctx context.Context, id string, how Decision) error {
	who, _ := ctx.Value(approverKey{}).(Approver)
	if !g.rights.May(who) {
		return ErrMayNot
	}
	if !how.Approve {
		how.Reason = signed(how.Reason, who.ID)
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
	if err := g.rights.Check(ctx, list[i], how); err != nil {
		return err
	}
	by, err := g.vote(ctx, list[i], how, who.ID)
	switch {
	case err != nil:
		return err
	case len(by) < g.rights.Quorum:
		return ErrOneMore
	}
	how.Reason = signed(how.Reason, by...)
	return g.Decider.Decide(ctx, id, how)
}

// signed returns a reason with who decided before it.
func signed(reason string, by ...string) string {
	return "by " + strings.Join(by, " and ") + plain.Between(": ", reason, "")
}

// own reports whether what is asked serves the person, who may then not approve it.
func (r Rights) own(ctx context.Context, about Request, who Approver) (bool, error) {
	if r.Own {
		return false, nil
	}
	for _, f := range []string{about.OnBehalfOf, about.User} {
		if f != "" && (strings.EqualFold(f, who.Email) || f == who.ID) {
			return true, nil
		}
	}
	if r.Asker == nil {
		return false, nil
	}
	asker, err := r.Asker(ctx, about)
	return asker == who.ID, err
}

// vote notes an approval, and returns who gave the same one.
func (g guarded) vote(ctx context.Context, r Request, how Decision, by string) ([]string, error) {
	if g.rights.Quorum < 2 {
		return []string{by}, nil
	}
	less, err := json.Marshal(canonical(how.Less))
	if err != nil {
		return nil, err
	}
	until := r.ExpiresAt
	if until.IsZero() {
		until = time.Now().Add(24 * time.Hour)
	}
	about := sha256.Sum256([]byte(strings.Join([]string{r.ID, how.Digest, string(less), how.TTL.String()}, "\n")))
	return g.rights.Votes.Vote(ctx, hex.EncodeToString(about[:]), by, until)
}

// memory is the [Votes] of one process.
type memory struct {
	mu    sync.Mutex
	votes map[string]vote
}

type vote struct {
	until time.Time
	by    []string
}

// Vote implements [Votes].
func (m *memory) Vote(_ context.Context, about, by string, until time.Time) ([]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.votes, func(_ string, v vote) bool { return time.Now().After(v.until) })
	v := m.votes[about]
	if v.until = until; !slices.Contains(v.by, by) {
		v.by = append(v.by, by)
	}
	m.votes[about] = v
	return slices.Clone(v.by), nil
}
