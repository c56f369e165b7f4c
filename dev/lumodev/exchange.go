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
// behalf of the subject, or an agent's token is bound to one audience. It needs no
// client credentials: the actor's, or else the subject's, token authenticates.
func (c *call) exchange() (any, error) {
	form, err := c.form()
	if err != nil {
		return nil, err
	}
	if err := checkTokenTypes(form); err != nil {
		return nil, err
	}
	if form.Has("actor_token_type") && form.Get("actor_token") == "" {
		return nil, invalid("actor_token_type without an actor_token")
	}
	subject, err := c.tokenParam(form, "subject_token")
	if err != nil {
		return nil, err
	}
	scopes, err := parseScope(form.Get("scope"))
	if err != nil {
		return nil, fail(http.StatusBadRequest, codeInvalidScope, "%v", err)
	}
	audience, err := audienceParam(form)
	if err != nil {
		return nil, err
	}
	client, err := c.client()
	if err != nil {
		return nil, err
	}
	if form.Get("actor_token") == "" {
		return c.exchangeAudience(subject, client, scopes, audience)
	}
	actor, err := c.tokenParam(form, "actor_token")
	if err != nil {
		return nil, err
	}
	return c.delegate(subject, actor, client, scopes, audience)
}

func checkTokenTypes(form url.Values) error {
	for _, name := range []string{"subject_token_type", "actor_token_type", "requested_token_type"} {
		switch form.Get(name) {
		case typeAccessToken, typeJWT:
		case "":
			if name == "subject_token_type" {
				return invalid("subject_token_type is required")
			}
			if name == "actor_token_type" && form.Get("actor_token") != "" {
				return invalid("actor_token_type is required with an actor_token")
			}
		default:
			return fail(http.StatusBadRequest, codeUnsupportedTokenType, "%s must be that of an access token", name)
		}
	}
	return nil
}

// tokenParam resolves a token that is an argument. A JIT token is never one: it
// must not become anything else.
func (c *call) tokenParam(form url.Values, name string) (principal, error) {
	raw := form.Get(name)
	if raw == "" {
		return principal{}, invalid("%s is required", name)
	}
	p, v := c.s.principalOf(raw, c.now)
	if v == nil || p.kind == aTask || !slices.Contains(v.Audience, c.s.Issuer()) {
		return principal{}, fail(http.StatusBadRequest, codeInvalidGrant, "%s is not a valid access token", name)
	}
	return p, nil
}

// audienceParam reads resource (RFC 8707), or audience as older SDKs send it.
func audienceParam(form url.Values) (string, error) {
	const maxAudience = 512
	audience := form.Get("audience")
	if resource := form.Get("resource"); resource != "" {
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

// exchangeAudience narrows an agent's own token to one audience. The result is no
// credential at this server.
func (c *call) exchangeAudience(subject, client principal, scopes []string, audience string) (any, error) {
	c.who = subject
	switch {
	case subject.kind != anAgent:
		return nil, invalid("actor_token is required to act on behalf of a user")
	case audience == "":
		return nil, invalid("without an actor_token a resource or an audience is required")
	case client.kind != nobody && client.id != subject.id:
		return nil, fail(http.StatusBadRequest, codeInvalidGrant, "subject_token is of another client")
	}
	granted, err := narrow(scopes, strings.Fields(subject.token.Scope))
	if err != nil {
		return nil, err
	}
	std := lifetime(c.now, min(c.s.cfg.AgentTokenTTL, until(subject.token.expires(), c.now)))
	std.Subject = subject.token.Subject
	std.Audience = jwt.Audience{audience}
	own := subject.token.claims
	own.Scope = strings.Join(granted, " ")
	return c.issue(std, own, typeAccessToken)
}

// delegate issues a token with which the actor, an agent, acts on behalf of the
// user who is the subject. A subject that is delegated already adds a link to its
// chain (RFC 8693, section 4.1).
func (c *call) delegate(subject, actorWho, client principal, scopes []string, audience string) (any, error) {
	c.who = actorWho
	switch {
	case subject.user == nil:
		return nil, invalid("subject_token must be a user's, or one that acts on behalf of a user")
	case actorWho.kind != anAgent || actorWho.token.Act != nil:
		return nil, invalid("actor_token must be an agent's own token")
	case client.kind != nobody && client.id != actorWho.id:
		return nil, fail(http.StatusBadRequest, codeInvalidGrant, "actor_token is of another client")
	case !actorWho.agent.canDelegate():
		return nil, fail(http.StatusForbidden, codeDelegationNotAllowed, "the agent may not act on behalf of users")
	case subject.user.RefusesDelegation:
		return nil, denied("the user does not let agents act on their behalf")
	}
	if depth := subject.token.Act.depth() + 1; depth > maxDelegationDepth {
		e := fail(http.StatusForbidden, codeDepthExceeded, "the chain of actors would be %d long", depth)
		e.members = map[string]any{"max_depth": maxDelegationDepth}
		return nil, e
	}
	granted, err := narrow(scopes, delegableScopes(subject, actorWho))
	if err != nil {
		return nil, err
	}
	end := subject.token.expires()
	if actorEnd := actorWho.token.expires(); actorEnd.Before(end) {
		end = actorEnd
	}
	std := lifetime(c.now, min(c.s.cfg.AgentTokenTTL, until(end, c.now)))
	std.Subject = subject.token.Subject
	std.Audience = jwt.Audience{audience}
	if audience == "" {
		std.Audience = jwt.Audience{c.s.Issuer(), actorWho.agent.AgentID}
	}
	own := claims{
		ClientID:     actorWho.id,
		TokenUse:     useAccess,
		Organization: c.s.cfg.Org,
		Scope:        strings.Join(granted, " "),
		AgentID:      actorWho.agent.AgentID,
		UserID:       subject.user.ID,
		Email:        subject.user.Email,
		Act: &actor{
			Sub:      subjectOf(actorWho.agent),
			ClientID: actorWho.id,
			Act:      subject.token.Act,
		},
	}
	return c.issue(std, own, typeAccessToken)
}

// until returns the time from the second of now to end.
func until(end, now time.Time) time.Duration { return end.Sub(now.Truncate(time.Second)) }

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
