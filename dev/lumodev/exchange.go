package lumodev

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
)

// exchange is the token exchange grant (RFC 8693), in two forms: an actor acts on
// behalf of the subject, or an agent's token is bound to one audience and is no
// credential here any more. It needs no client credentials: the actor's, or else the
// subject's, token authenticates.
func (c *call) exchange() (any, error) {
	if err := c.checkTokenType("requested_token_type"); err != nil {
		return nil, err
	}
	subject, err := c.tokenParam("subject_token")
	if err != nil {
		return nil, err
	}
	scopes, err := c.scopes()
	if err != nil {
		return nil, err
	}
	audience, err := c.audience()
	if err != nil {
		return nil, err
	}
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	available, end, own := strings.Fields(subject.token.Scope), subject.token.expires(), subject.token.claims
	std := registered{Subject: subject.token.Subject, Audience: jwt.Audience{audience}}
	c.who = subject
	if c.form.Get("actor_token")+c.form.Get("actor_token_type") != "" {
		actorWho, err := c.tokenParam("actor_token")
		if err != nil {
			return nil, err
		}
		if err := checkDelegation(subject, actorWho); err != nil {
			return nil, err
		}
		c.who, available = actorWho, delegableScopes(subject, actorWho)
		if actorEnd := actorWho.token.expires(); actorEnd.Before(end) {
			end = actorEnd
		}
		own = claims{
			ClientID:     actorWho.id,
			TokenUse:     useAccess,
			Organization: c.s.cfg.Org,
			AgentID:      actorWho.agent.AgentID,
			UserID:       subject.user.ID,
			Email:        subject.user.Email,
			// A subject that is delegated already adds a link (RFC 8693, section 4.1).
			Act: &actor{Sub: subjectOf(actorWho.agent), ClientID: actorWho.id, Act: subject.token.Act},
		}
		if audience == "" {
			std.Audience = jwt.Audience{c.s.Issuer(), actorWho.agent.AgentID}
		}
	} else if subject.kind != anAgent {
		return nil, invalid("actor_token is required to act on behalf of a user")
	} else if audience == "" {
		return nil, invalid("without an actor_token a resource or an audience is required")
	}
	if client.kind != nobody && client.id != c.who.id {
		return nil, fail(http.StatusBadRequest, codeInvalidGrant, "the token is of another client")
	}
	granted, err := narrow(scopes, available)
	if err != nil {
		return nil, err
	}
	own.Scope = strings.Join(granted, " ")
	return c.issue(std, own, min(c.s.cfg.AgentTokenTTL, end.Sub(c.now.Truncate(time.Second))), typeAccessToken)
}

// tokenParam resolves a token that is an argument. A JIT token is never one: it
// must not become anything else.
func (c *call) tokenParam(name string) (principal, error) {
	raw := c.form.Get(name)
	if raw == "" || c.form.Get(name+"_type") == "" {
		return principal{}, invalid("%s and %s_type are required", name, name)
	}
	if err := c.checkTokenType(name + "_type"); err != nil {
		return principal{}, err
	}
	p, v := c.s.principalOf(raw, c.now)
	if v == nil || p.kind == aTask || !slices.Contains(v.Audience, c.s.Issuer()) || v.Bound != (bound{}) && v.Bound != c.bound {
		return principal{}, fail(http.StatusBadRequest, codeInvalidGrant, "%s is not a valid access token", name)
	}
	return p, nil
}

func (c *call) checkTokenType(name string) error {
	if kind := c.form.Get(name); kind != "" && kind != typeAccessToken && kind != typeJWT {
		return fail(http.StatusBadRequest, codeUnsupportedTokenType, "%s must be that of an access token", name)
	}
	return nil
}

// checkDelegation says why the actor may not act on behalf of the subject.
func checkDelegation(subject, actorWho principal) error {
	switch {
	case subject.user == nil:
		return invalid("subject_token must be a user's, or one that acts on behalf of a user")
	case actorWho.kind != anAgent || actorWho.token.Act != nil:
		return invalid("actor_token must be an agent's own token")
	case !actorWho.agent.canDelegate():
		return fail(http.StatusForbidden, codeDelegationNotAllowed, "the agent may not act on behalf of users")
	case subject.user.RefusesDelegation:
		return denied("the user does not let agents act on their behalf")
	}
	if depth := subject.token.Act.depth() + 1; depth > maxDelegationDepth {
		e := fail(http.StatusForbidden, codeDepthExceeded, "the chain of actors would be %d long", depth)
		e.members = map[string]any{"max_depth": maxDelegationDepth}
		return e
	}
	return nil
}

// audience reads resource (RFC 8707), or audience as older SDKs send it.
func (c *call) audience() (string, error) {
	const maxAudience = 512
	audience := c.form.Get("audience")
	if resource := c.form.Get("resource"); resource != "" {
		u, err := url.Parse(resource)
		if err != nil || !u.IsAbs() || u.Host == "" || u.Fragment != "" || strings.Contains(resource, "#") {
			return "", fail(http.StatusBadRequest, codeInvalidTarget, "resource must be an absolute URL without a fragment")
		}
		audience = resource
	}
	if len(audience) > maxAudience {
		return "", fail(http.StatusBadRequest, codeInvalidTarget, "the audience is over %d bytes", maxAudience)
	}
	return audience, nil
}

// delegableScopes is what both sides hold: the agent what it is registered with
// or logged in with, the user what the configuration names, or anything.
func delegableScopes(subject, actorWho principal) []string {
	agent := append(strings.Fields(actorWho.token.Scope), actorWho.agent.Scopes...)
	slices.Sort(agent)
	agent = slices.Compact(agent)
	if subject.kind == aUser && subject.user.Scopes == nil {
		return agent
	}
	user := strings.Fields(subject.token.Scope)
	return slices.DeleteFunc(agent, func(s string) bool { return !slices.Contains(user, s) })
}

// narrow returns what is wanted of what may be had: all of it when nothing is
// named. Wanting only what may not be had is an error.
func narrow(wanted, available []string) ([]string, error) {
	if len(wanted) == 0 {
		return available, nil
	}
	granted := slices.DeleteFunc(slices.Clone(wanted), func(s string) bool { return !slices.Contains(available, s) })
	if len(granted) == 0 {
		return nil, fail(http.StatusBadRequest, codeInvalidScope, "none of the scopes may be had")
	}
	return granted, nil
}
