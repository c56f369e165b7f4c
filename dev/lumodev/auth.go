package lumodev

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/secret"
)

// userClientID is the client id in users' tokens. No client has it.
const userClientID = "lumodev-users"

// permissionApprove is what a reviewer holds.
const permissionApprove = "jit.approve"

type principalKind uint8

const (
	nobody principalKind = iota
	anAgent
	aTask // a JIT token: an agent within one task
	aUser
	aClient // a resource server
)

// principal is who makes a call.
type principal struct {
	kind  principalKind
	agent *Agent // of anAgent and aTask
	user  *User  // of aUser, and of an agent with a delegated token
	token *verified
	id    string // client id, for the log
}

func (p principal) clientName() string {
	if p.kind == aUser {
		return "user:" + strconv.Itoa(p.user.ID)
	}
	return p.id
}

var noToken = unauthorized("no bearer token")

// authenticate reads the bearer token. Without an Authorization header of the
// Bearer kind there is nobody, and no harm: the endpoint decides.
func (s *Server) authenticate(r *http.Request, now time.Time) (principal, *wireError) {
	header := r.Header.Values("Authorization")
	if len(header) == 0 {
		return principal{}, noToken
	}
	scheme, raw, _ := strings.Cut(header[0], " ")
	proven := strings.EqualFold(scheme, dpop.Scheme)
	if len(header) > 1 || !proven && !strings.EqualFold(scheme, "Bearer") {
		return principal{}, unauthorized("want one Authorization header with a token")
	}
	raw = strings.TrimSpace(raw)
	p, v := s.principalOf(raw, now)
	switch {
	case v == nil || !slices.Contains(v.Audience, s.Issuer()):
		return principal{}, unauthorized("the token is not valid here")
	case (v.Bound != bound{}) != proven:
		return principal{}, unauthorized("a token that is bound to a key goes with the scheme DPoP, another with Bearer")
	case !proven && s.cfg.DPoP && p.agent != nil:
		return principal{}, unauthorized("agents' tokens are bound to a key here")
	case proven:
		if _, err := s.proofs.Verify(r, secret.New(raw), v.Bound.Thumbprint); err != nil {
			return principal{}, badProof(http.StatusUnauthorized, err)
		}
	}
	return p, nil
}

// principalOf resolves a token to whom it speaks for, or returns nil when the
// token is not valid now.
func (s *Server) principalOf(raw string, now time.Time) (principal, *verified) {
	v, err := s.keys.verify(raw, now)
	if err != nil {
		return principal{}, nil
	}
	s.mu.Lock()
	live := s.st.live(v, now)
	s.mu.Unlock()
	if !live {
		return principal{}, nil
	}
	p := principal{token: v, id: v.ClientID, user: s.users[v.UserID], agent: s.agents[v.ClientID]}
	switch {
	case v.UserID != 0 && p.user == nil: // removed from the configuration, as below
	case v.ClientID == userClientID && p.user != nil:
		p.kind = aUser
	case s.clients[v.ClientID] != nil:
		p.kind = aClient
	case p.agent != nil && v.TokenUse == useJIT:
		p.kind = aTask
	case p.agent != nil:
		p.kind = anAgent
	}
	if p.kind == nobody {
		return principal{}, nil
	}
	return p, v
}

// checkAnybody lets everybody pass who shows a valid token.
func (c *call) checkAnybody() error {
	if c.whoErr != nil {
		return c.whoErr
	}
	return nil
}

// checkAgent lets an agent pass, with its own or a delegated token.
func (c *call) checkAgent() error {
	switch {
	case c.whoErr != nil:
		return c.whoErr
	case c.who.kind == aTask:
		return denied("a JIT token is no credential here: use the agent's own token")
	case c.who.kind != anAgent:
		return denied("this endpoint is for agents")
	}
	return nil
}

// checkTask is checkAgent, and lets a JIT token of that very task pass.
func (c *call) checkTask(taskID string) error {
	if c.whoErr != nil || c.who.kind != aTask {
		return c.checkAgent()
	}
	if c.who.token.TaskID != taskID {
		return denied("this JIT token is of another task")
	}
	return nil
}

// checkReviewer lets a user pass who may decide requests.
func (c *call) checkReviewer() error {
	switch {
	case c.whoErr != nil:
		return c.whoErr
	case c.who.kind != aUser:
		return denied("this endpoint is for people: it needs a user's token")
	case !c.who.user.Reviewer:
		return fail(http.StatusForbidden, codeInsufficientScope, "the user does not hold %s", permissionApprove)
	}
	return nil
}

// client authenticates an OAuth client by client_secret_basic or by the form. It
// returns nobody and no error when the request carries no client credentials.
func (c *call) client() (principal, error) {
	id, given := c.form.Get("client_id"), c.form.Get("client_secret")
	if user, pass, ok := c.r.BasicAuth(); ok {
		if c.form.Has("client_secret") {
			return principal{}, invalid("client credentials in two places")
		}
		// RFC 6749, section 2.3.1: both are form-encoded within.
		decodedUser, err1 := url.QueryUnescape(user)
		decodedPass, err2 := url.QueryUnescape(pass)
		if err1 != nil || err2 != nil || (id != "" && id != decodedUser) {
			return principal{}, badClient()
		}
		id, given = decodedUser, decodedPass
	} else if !c.form.Has("client_secret") {
		return principal{}, nil
	}
	p := principal{id: id}
	var want secret.String
	if p.agent = c.s.agents[id]; p.agent != nil {
		p.kind, want = anAgent, p.agent.ClientSecret
	} else if rs := c.s.clients[id]; rs != nil {
		p.kind, want = aClient, rs.ClientSecret
	}
	// An unknown client has the zero secret, which nothing may equal.
	if !secret.New(given).Equal(want) || want.IsZero() {
		return principal{}, badClient()
	}
	c.who = p
	return p, nil
}

// clientOrBearer returns who calls introspection or revocation: a client by its
// secret, else whoever the bearer token speaks for. A JIT token is no credential.
func (c *call) clientOrBearer() (principal, error) {
	p, err := c.client()
	if err != nil || p.kind != nobody {
		return p, err
	}
	if c.whoErr != nil || c.who.kind == aTask {
		return principal{}, badClient()
	}
	return c.who, nil
}
