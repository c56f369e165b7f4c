package jit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// An Authority is the authorization server as the engine sees it. The package
// lumoauth implements it for LumoAuth. Implementations must be safe for
// concurrent use, must not follow redirects with credentials, and must return
// errors that hold no secret. An error that is worth another try implements
// [Temporary], one that the server gave a reason for [Refusal]. The engine hands
// each on in an [*AuthorityError].
type Authority interface {
	// AgentToken returns the agent's own access token, the base token: refreshed
	// ahead of its expiry, with one refresh for all waiters. The zero Credential is for
	// an agent that has none: what would carry it is sent without.
	AgentToken(ctx context.Context) (Credential, error)

	// CreateTask opens a task. Everything granted later hangs below it.
	CreateTask(ctx context.Context, spec TaskSpec) (TaskInfo, error)

	// CompleteTask ends a task and revokes every token granted under it: nil says that
	// all of them are void. A task that ended with tokens which the server cannot
	// revoke is an [*ExpiringError]. It is idempotent: a task that has ended already is
	// no error.
	CompleteTask(ctx context.Context, taskID string) error

	// Request asks for one piece of authority. The answer may be a decision or a
	// pending request.
	Request(ctx context.Context, req Request) (Decision, error)

	// Status reads the state of an earlier request. It may be the redemption as well,
	// where the answer that tells of an approval holds the token: then the Authority
	// keeps it, safe from a crash, before it says so.
	Status(ctx context.Context, requestID string) (Decision, error)

	// Token redeems an approved request. An error of it or of Status that wraps
	// [ErrSpent] says that nothing more is to be had from the request.
	Token(ctx context.Context, requestID string) (Issued, error)
}

// A Revoker is an [Authority] that can revoke one token by itself (RFC 7009), before
// its task ends. The engine does so with one that it will not use.
type Revoker interface {
	Revoke(ctx context.Context, token secret.String) error
}

// A Credential is a token, and how it is sent.
type Credential struct {
	Token secret.String
	// DPoP is the key that the token is bound to (RFC 9449): each sending has a proof of
	// its own, and none is as a bearer token. nil for a bearer token.
	DPoP *dpop.Key
	// Origin is the only one that a base token goes to: requests to others start
	// without. The zero Origin lets it go wherever a call's ceiling is not empty.
	Origin Origin
}

// TaskSpec says what a task is for. All fields are optional.
type TaskSpec struct {
	Name       string // label for people
	Type       string // category, such as "analysis"
	Parent     string // id of the task that this one serves
	OnBehalfOf string // the user on whose behalf the agent acts, usually an email
	Session    string // id of the conversation that it serves, for the journal; see [SessionUser]

	// After is the run of a task that is over and whose turn this one goes on with: whoever
	// kills that one, at any time, has killed this one. See [Engine.Alive].
	After string
}

// SessionUser returns the user of a session whose name says so: app/user/session, each
// path-escaped, as programs of many users name theirs. "" for another name.
func SessionUser(session string) string {
	parts := strings.Split(session, "/")
	if len(parts) != 3 {
		return ""
	}
	if user, err := url.PathUnescape(parts[1]); err == nil {
		return user
	}
	return parts[1] // nobody's, which is not for no user
}

// TaskInfo is a task as the authorization server opened it.
type TaskInfo struct {
	ID        string
	ExpiresAt time.Time // zero when the server does not say
}

// A Request asks for one piece of authority under a task.
type Request struct {
	TaskID        string
	Detail        rar.Detail
	Justification string        // shown to the person who decides
	TTL           time.Duration // wanted lifetime; 0 leaves it to the Authority
	For           Purpose       // shown to the person who decides
}

// A Purpose is the call that authority is asked for, as the program knows it: unlike a
// justification it is no claim of the model.
type Purpose struct {
	Tool   string          `json:"tool,omitzero"`
	CallID string          `json:"call_id,omitzero"`
	Args   json.RawMessage `json:"arguments,omitzero"` // without tokens; long texts are cut, with a digest of the whole
	Origin string          `json:"origin,omitzero"`    // of the API; "" when it is bound to none
	User   string          `json:"user,omitzero"`      // whose session it serves, see [SessionUser]
}

// Status is the state of a request. The zero value is not approved.
type Status uint8

// The states of a request. A state that the client does not know is
// StatusUnknown, which is treated as not approved.
const (
	StatusUnknown Status = iota
	StatusPending
	StatusApproved
	StatusDenied
	StatusExpired
)

// String returns the lower-case name of the state.
func (s Status) String() string {
	switch s {
	case StatusPending:
		return "pending"
	case StatusApproved:
		return "approved"
	case StatusDenied:
		return "denied"
	case StatusExpired:
		return "expired"
	}
	return "unknown"
}

// MarshalText writes the state's name.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// A Decision is the state of a request, as far as the server tells.
type Decision struct {
	RequestID string
	TaskID    string
	Status    Status
	Risk      string        // "low", "medium", "high", "critical", or as the server names it
	TTL       time.Duration // granted lifetime, when approved; 0 when not said
	ExpiresAt time.Time     // end of the window for a person's decision, when pending
	Message   string        // what the decider or server tells the agent
	// ConsentRequired says that the user on whose behalf the agent acts must
	// still agree.
	ConsentRequired bool
	// DecideAt says where the decision can be made, as a URL; empty when unknown.
	DecideAt string
	// DecidedBy says who decided, as the server names them; empty when it was no
	// person, or when the server does not say.
	DecidedBy string
	// RetryAfter is how long the server asks to wait before the next poll; 0
	// when it does not ask.
	RetryAfter time.Duration
	// SlowDown says that the server wants to be looked at less often: five seconds are
	// added to the time between looks, for good (OpenID CIBA Core, section 11; RFC 8628,
	// section 3.5).
	SlowDown bool
	// ForTask says that what is pending is no decision about a call, but a login, and that
	// every call of the task may use what comes of it.
	ForTask bool
	// Decided is closed when it is worth to look again, before any time is over; nil when
	// nothing tells.
	Decided <-chan struct{}
	// Details and For are what the server holds the request to be; nil when it does not
	// say. A request that is held to be another one is not used.
	Details []rar.Detail
	For     *Purpose
}

// Issued is a redeemed grant.
type Issued struct {
	Token     secret.String
	Type      string        // "Bearer", or "DPoP" of a token that is bound to DPoP
	ExpiresIn time.Duration // 0 when the server does not say
	// Details is what the token covers, as the server says or the token itself; nil
	// when neither does. The token is then revoked and not used ([ErrSilent]): a server
	// must return what it granted (RFC 9396, section 7), and one that knows nothing of
	// authorization details says nothing of a token that may do anything. An Authority
	// may prove it otherwise: by permissions in the token, or by Scopes.
	Details []rar.Detail
	// Scopes is what bounds the token where the server has nothing as fine as Details,
	// and the operator said that they stand for them: it may do all that they allow.
	// nil for a token that Details bound.
	Scopes    []string
	TaskID    string
	RequestID string
	DPoP      *dpop.Key // as in [Credential]
}

// ErrSpent is wrapped by errors of an [Authority] that say "never again": the request
// is used up, though no token came of it that anybody has. It is neither looked at nor
// redeemed any more, and a later call asks anew.
var ErrSpent = errors.New("the request is used up")

// An ExpiringError is what [Authority.CompleteTask] returns for a task that ended with
// tokens under it which the server cannot revoke. To try again is of no use.
type ExpiringError struct {
	Tokens int       // how many
	Until  time.Time // when the last of them ends by itself
}

func (e *ExpiringError) Error() string {
	return fmt.Sprintf("jit: the task is over, and %d tokens that cannot be revoked expire by %s", e.Tokens, e.Until.UTC().Format(time.RFC3339))
}

// Temporary is implemented by errors of an [Authority] that may vanish when the
// same call is made again.
type Temporary interface {
	error
	// Temporary reports whether another try makes sense, and the least wait
	// before it (0 when the server named none).
	Temporary() (wait time.Duration, ok bool)
}

// Refusal is implemented by errors of an [Authority] that stand for an answer of
// the server, not for the lack of one.
type Refusal interface {
	error
	// Reason says why the server refused, in words fit for people and models: no
	// credential, no address, bounded. It is "" when the server cannot be reached, or
	// failed.
	Reason() string
}

// An AuthorityError reports that the authorization server did not do what it was
// asked for: it could not be reached, it failed, or it refused for a reason that is
// no decision about authority, such as a wrong secret or an unknown user. The engine
// makes one of each error of its [Authority], and nobody else does, so that it tells
// whose fault it is.
type AuthorityError struct {
	// Op is what it did not do, such as "open the task".
	Op string
	// Err is the Authority's error, which errors.As finds. It may name addresses.
	Err error
}

// The values of [AuthorityError.Op].
const (
	opLogin    = "log the agent in"
	opOpen     = "open the task"
	opRequest  = "take the request"
	opStatus   = "tell the state of the request"
	opToken    = "issue the token"
	opComplete = "complete the task"
	opDiscover = "find out who issues tokens for the API"
)

// Error says what was not done, and the Authority's error. It is for logs.
func (e *AuthorityError) Error() string {
	return "jit: the authorization server did not " + e.Op + ": " + e.Err.Error()
}

// Unwrap returns the Authority's error.
func (e *AuthorityError) Unwrap() error { return e.Err }

// Words says what happened in one sentence for people and models: it names neither
// packages nor addresses.
func (e *AuthorityError) Words() string {
	if r, ok := errors.AsType[Refusal](e.Err); ok && r.Reason() != "" {
		return "the authorization server did not " + e.Op + ": " + r.Reason()
	}
	return "the authorization server could not be reached, or it failed"
}

// temporary reports whether err is worth another try, and the wait that the
// server asked for.
func temporary(err error) (time.Duration, bool) {
	if t, ok := errors.AsType[Temporary](err); ok {
		return t.Temporary()
	}
	return 0, false
}
