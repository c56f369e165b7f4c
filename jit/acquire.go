package jit

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// Acquire obtains a grant for detail, or returns a live one, for a tool that
// knows what it needs and does not speak HTTP: a database, a queue. The context
// must come from [Task.Call], and detail must lie within that call's ceiling. The
// grant is bound to no origin; [Transport] never sends it.
//
// Errors are those of a refused call: *EnvelopeError, *DeniedError,
// *PendingError, *OvergrantError, [ErrTaskEnded].
func Acquire(ctx context.Context, detail rar.Detail) (*Grant, error) {
	s := scopeOf(ctx)
	if s == nil {
		return nil, fmt.Errorf("jit: acquire: %w", ErrNoCall)
	}
	d, _, err := s.checkCeiling(Origin{}, detail)
	if err != nil {
		return nil, err
	}
	for {
		g, err := s.acquire(ctx, keyOf(Origin{}, d), d, true)
		if err == nil {
			err = s.use(ctx, g)
		}
		if errors.Is(err, errUsedUp) {
			continue // by others, since it was found
		}
		if err != nil {
			return nil, err
		}
		return g, nil
	}
}

// errUsedUp: a grant was sent with as many requests as [Config.GrantUses] allows.
var errUsedUp = errors.New("jit: the grant is used up")

// usedUp reports whether a grant is to be asked for anew.
func (e *Engine) usedUp(g *Grant) bool {
	return e.cfg.GrantUses > 0 && g.issue.uses.Load() >= int64(e.cfg.GrantUses)
}

// checkCeiling returns what to ask for when the API at origin demands d, and which
// element of the ceiling holds it. It refuses, and reports, a demand outside the
// ceiling, and one that the API makes for another origin's resources.
func (s *scope) checkCeiling(origin Origin, d rar.Detail) (ask rar.Checked, index int, err error) {
	if ask, index, err = s.withinCeiling(origin, d); err == nil {
		return ask, index, nil
	}
	return rar.Checked{}, -1, s.block(d, err)
}

// block reports a demand that is not asked for, and why.
func (s *scope) block(d rar.Detail, reason error) error {
	why := strings.TrimPrefix(reason.Error(), "rar: ")
	e := s.entry(EntryBlocked)
	e.Detail, e.Error = &d, why
	s.task.engine.note(e)
	s.task.emit(Blocked{About: s.about(), Demanded: d, Reason: why})
	return &EnvelopeError{Tool: s.call.Tool, CallID: s.call.ID, Demanded: d, Reason: reason}
}

func (s *scope) withinCeiling(origin Origin, d rar.Detail) (ask rar.Checked, index int, err error) {
	if err := elsewhere(origin, d); err != nil {
		return rar.Checked{}, -1, err
	}
	if ask, err = d.Check(); err != nil {
		return rar.Checked{}, -1, fmt.Errorf("what is asked is not valid: %w", err)
	}
	if index, err = s.task.within(ask, s.ceiling()); err != nil || d.Locations != nil || origin == (Origin{}) {
		return ask, index, err
	}
	// Where the ceiling has the same with a location at the origin, that is asked for:
	// an API that leaves it out would get a token that others take as well.
	for i, c := range s.ceiling() {
		named := d
		named.Locations = c.Detail().Locations
		if named.Locations == nil || elsewhere(origin, named) != nil {
			continue
		}
		if located, err := named.Check(); err == nil {
			if _, err := s.task.within(located, s.ceiling()[i:i+1]); err == nil {
				return located, i, nil
			}
		}
	}
	return ask, index, nil
}

// elsewhere reports a location of d at another origin than o. A ceiling may name
// two APIs; a token for the one, asked for on the word of the other, would then
// be sent to that other. Locations that are no web addresses (RFC 9396, section
// 2.2, leaves that open) are left to the ceiling.
func elsewhere(o Origin, d rar.Detail) error {
	if o == (Origin{}) {
		return nil // Acquire: what the tool itself asks for is sent nowhere
	}
	for _, location := range d.Locations {
		u, err := url.Parse(location)
		if err != nil {
			return errors.New("a location is no URI")
		}
		if (u.Host != "" || u.Scheme == "https" || u.Scheme == "http") && !o.Contains(u) {
			return fmt.Errorf("a location is at another origin than %s", o)
		}
	}
	return nil
}

// redeem fetches the token of an approved request. One that is not to be used is given
// back at once.
func (s *scope) redeem(ctx context.Context, key grantKey, d rar.Checked, dec Decision) (*Grant, error) {
	if err := s.task.Alive(ctx); err != nil {
		return nil, err
	}
	t, start := s.task, time.Now()
	issued, err := t.engine.cfg.Authority.Token(ctx, dec.RequestID)
	if err != nil {
		return nil, &AuthorityError{opToken, err}
	}
	t.secrets.Add(issued.Token)
	ttl := lifetime(issued.ExpiresIn, dec.TTL, t.engine.cfg.TTL)
	g, err := s.accept(key, d, dec, issued, start, ttl)
	if err != nil && t.revoke(ctx, issued.Token) {
		ttl = 0
	}
	t.grants.count(start.Add(ttl)) // used or not, it is alive until then
	if err != nil {
		return nil, err
	}
	if !t.grants.add(g, time.Now()) {
		t.engine.note(g.issue.entry)
		return nil, fmt.Errorf("jit: grant for %s: %w", d.Detail(), ErrTaskEnded)
	}
	t.emit(Granted{About: s.about(), Detail: g.Detail, RequestID: g.RequestID, Origin: key.origin.String(), ExpiresAt: g.ExpiresAt, Scopes: g.Scopes})
	return g, nil
}

// accept checks what a token covers. It is recorded before it is first used.
func (s *scope) accept(key grantKey, d rar.Checked, dec Decision, issued Issued, start time.Time, ttl time.Duration) (*Grant, error) {
	if err := usable(issued, dec); err != nil {
		return nil, &AuthorityError{opToken, err}
	}
	if issued.Details == nil {
		return nil, fmt.Errorf("jit: request %s for %s: %w", dec.RequestID, d.Detail(), ErrSilent)
	}
	granted, err := s.task.engine.granted(issued.Details, d)
	if err != nil {
		return nil, &OvergrantError{RequestID: dec.RequestID, Asked: d.Detail(), Reason: err}
	}
	issued.TaskID, issued.RequestID = dec.TaskID, dec.RequestID
	g := newGrant(issued, granted, key, start, ttl)
	e := s.entry(EntryGrant)
	e.TaskID, e.RequestID, e.Detail, e.ExpiresAt = g.TaskID, g.RequestID, &g.Detail, g.ExpiresAt
	if s.task.engine.cfg.Journal != nil {
		e.TokenHash = issued.Token.Fingerprint(s.task.engine.cfg.TokenHashKey)
	}
	if len(issued.Scopes) > 0 {
		e.Message = "scope " + strings.Join(issued.Scopes, " ")
	}
	g.issue = &issue{entry: e}
	return g, nil
}

// An issue is the entry of a grant, until it is recorded.
type issue struct {
	entry    Entry
	mu       sync.Mutex
	recorded atomic.Bool
	uses     atomic.Int64 // requests, where they are bounded
}

// use records that a grant is used, and how, before it is: an unrecorded token is never
// used. What stands before an effect takes the issue of its token with it. A grant that
// cannot be recorded is given back.
func (s *scope) use(ctx context.Context, g *Grant, how ...Entry) error {
	alive := s.task.Alive
	if len(how) > 0 { // an effect, which cannot be taken back
		alive = s.task.aliveNow
		if err := s.task.known(ctx); err != nil {
			return err
		}
	}
	if err := alive(ctx); err != nil {
		return err
	}
	e := s.task.engine
	if g != nil && e.cfg.GrantUses > 0 && g.issue.uses.Add(1) > int64(e.cfg.GrantUses) {
		return errUsedUp
	}
	return s.record(ctx, g, how...)
}

// record is use, but for the bound.
func (s *scope) record(ctx context.Context, g *Grant, how ...Entry) error {
	if g == nil || g.issue.recorded.Load() {
		if len(how) == 0 {
			return nil
		}
		return s.task.record(ctx, how...)
	}
	g.issue.mu.Lock()
	defer g.issue.mu.Unlock()
	if g.issue.recorded.Load() { // by another call
		return s.record(ctx, nil, how...)
	}
	if err := s.task.record(ctx, append([]Entry{g.issue.entry}, how...)...); err != nil {
		s.task.grants.drop(g)
		s.task.revoke(ctx, g.Token)
		return err
	}
	g.issue.recorded.Store(true)
	return nil
}

// revokeTimeout bounds how long a call waits until a token that it cannot use is void.
// The end of the task makes it so in any case.
const revokeTimeout = 5 * time.Second

// revoke gives a token back that is not to be used, and reports whether that is done.
func (t *Task) revoke(ctx context.Context, token secret.String) bool {
	a, ok := t.engine.cfg.Authority.(Revoker)
	if !ok || token.IsZero() {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), revokeTimeout)
	defer cancel()
	err := a.Revoke(ctx, token)
	if err != nil {
		t.engine.log.WarnContext(ctx, "a token that is not used lives until the task ends", "task_id", t.knownID(), "error", err)
	}
	return err == nil
}

// usable reports why a token cannot be sent, or is not the one that was asked for. One
// under another task would outlive this one.
func usable(issued Issued, dec Decision) error {
	switch {
	case issued.Token.IsZero():
		return errors.New("it is empty")
	case issued.DPoP == nil && issued.Type != "" && !strings.EqualFold(issued.Type, "Bearer"):
		return errors.New("it is not a bearer token") // RFC 6749, section 7.1
	case issued.DPoP != nil && !strings.EqualFold(issued.Type, dpop.Scheme):
		return errors.New("it is not bound to the key that it was asked for with") // RFC 9449, section 5
	case issued.RequestID != "" && issued.RequestID != dec.RequestID:
		return errors.New("it belongs to another request")
	case issued.TaskID != "" && issued.TaskID != dec.TaskID:
		return errors.New("it belongs to another task")
	}
	return nil
}

// granted returns what a token covers, if that lies within what was asked.
func (e *Engine) granted(details []rar.Detail, asked rar.Checked) (rar.Checked, error) {
	if len(details) != 1 {
		return rar.Checked{}, fmt.Errorf("%d authorization details for one that was asked", len(details))
	}
	d, err := details[0].Check()
	if err != nil {
		return rar.Checked{}, err
	}
	return d, e.cfg.Rules.Within(d, asked)
}

// lifetime picks the first lifetime that was said; a server that says none gets
// the one that was asked for.
func lifetime(said ...time.Duration) time.Duration {
	for _, d := range said {
		if d > 0 {
			return d
		}
	}
	return 0
}
