package lumodev

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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

// authenticate reads the bearer token. Without an Authorization header of the
// Bearer kind there is nobody, and no harm: the endpoint decides.
func (s *Server) authenticate(r *http.Request, now time.Time) (principal, *wireError) {
	header := r.Header.Values("Authorization")
	if len(header) == 0 {
		return principal{}, unauthorized("no bearer token")
	}
	scheme, raw, _ := strings.Cut(header[0], " ")
	if len(header) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return principal{}, unauthorized("want one Authorization header with a bearer token")
	}
	p, v := s.principalOf(strings.TrimSpace(raw), now)
	if v == nil || !slices.Contains(v.Audience, s.Issuer()) {
		return principal{}, unauthorized("the token is not valid here")
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
	p := principal{token: v, id: v.ClientID}
	if v.UserID != 0 {
		if p.user = s.users[v.UserID]; p.user == nil {
			return principal{}, nil
		}
	}
	if v.ClientID == userClientID {
		if p.user == nil {
			return principal{}, nil
		}
		p.kind = aUser
		return p, v
	}
	if client := s.clients[v.ClientID]; client != nil {
		p.kind = aClient
		return p, v
	}
	if p.agent = s.agents[v.ClientID]; p.agent == nil {
		return principal{}, nil // an agent that was removed from the configuration
	}
	p.kind = anAgent
	if v.TokenUse == useJIT {
		p.kind = aTask
	}
	return p, v
}

// agentCaller returns the agent that calls, with its own or a delegated token.
func (c *call) agentCaller() (principal, error) {
	switch {
	case c.whoErr != nil:
		return principal{}, c.whoErr
	case c.who.kind == aTask:
		return principal{}, fail(http.StatusForbidden, codeAccessDenied, "a JIT token is no credential here: use the agent's own token")
	case c.who.kind != anAgent:
		return principal{}, fail(http.StatusForbidden, codeAccessDenied, "this endpoint is for agents")
	}
	return c.who, nil
}

// taskCaller is agentCaller, and accepts a JIT token of that very task.
func (c *call) taskCaller(taskID string) (principal, error) {
	if c.whoErr == nil && c.who.kind == aTask {
		if c.who.token.jit.TaskID != taskID {
			return principal{}, fail(http.StatusForbidden, codeAccessDenied, "this JIT token is of another task")
		}
		return c.who, nil
	}
	return c.agentCaller()
}

// reviewer returns the user who may decide requests.
func (c *call) reviewer() (*User, error) {
	switch {
	case c.whoErr != nil:
		return nil, c.whoErr
	case c.who.kind != aUser:
		return nil, fail(http.StatusForbidden, codeAccessDenied, "this endpoint is for people: it needs a user's token")
	case !c.who.user.Reviewer:
		return nil, fail(http.StatusForbidden, codeInsufficientScope, "the user does not hold %s", permissionApprove)
	}
	return c.who.user, nil
}

// client authenticates an OAuth client by client_secret_basic or by the form. It
// returns nobody and no error when the request carries no client credentials.
func (c *call) client() (principal, error) {
	form, err := c.form()
	if err != nil {
		return principal{}, err
	}
	id, given := form.Get("client_id"), form.Get("client_secret")
	if user, pass, ok := c.r.BasicAuth(); ok {
		if form.Has("client_secret") {
			return principal{}, fail(http.StatusBadRequest, codeInvalidRequest, "client credentials in two places")
		}
		// RFC 6749, section 2.3.1: both are form-encoded within.
		decodedUser, err1 := url.QueryUnescape(user)
		decodedPass, err2 := url.QueryUnescape(pass)
		if err1 != nil || err2 != nil || (id != "" && id != decodedUser) {
			return principal{}, badClient()
		}
		id, given = decodedUser, decodedPass
	} else if !form.Has("client_secret") {
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
