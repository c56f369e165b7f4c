package lumodev

import (
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/secret"
)

// Grant and token types.
const (
	grantClientCredentials = "client_credentials"
	grantTokenExchange     = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken        = "urn:ietf:params:oauth:token-type:access_token"
	typeJWT                = "urn:ietf:params:oauth:token-type:jwt"
)

// tokenResponse is RFC 6749, section 5.1, and RFC 8693, section 2.2.1. SDKs crash
// on a null scope and on an expires_in that is not an integer literal.
type tokenResponse struct {
	AccessToken     string `json:"access_token"`
	TokenType       string `json:"token_type"`
	ExpiresIn       int    `json:"expires_in"`
	Scope           string `json:"scope,omitempty"`
	IssuedTokenType string `json:"issued_token_type,omitempty"`
}

// token serves POST /oauth/token.
func (c *call) token() (_ any, err error) {
	if c.bound, err = c.proof(); err != nil {
		return nil, err
	}
	switch c.form.Get("grant_type") {
	case grantClientCredentials:
		return c.login()
	case grantTokenExchange:
		return c.exchange()
	case "":
		return nil, invalid("grant_type is required")
	}
	return nil, fail(http.StatusBadRequest, codeUnsupportedGrant,
		"lumodev serves client_credentials and token exchange only")
}

// proof returns the key that the caller has a proof of, and wants the token bound to; zero
// without a proof, where none is demanded.
func (c *call) proof() (bound, error) {
	if !c.s.cfg.DPoP && c.r.Header.Get(dpop.Header) == "" {
		return bound{}, nil
	}
	thumbprint, err := c.s.proofs.Verify(c.r, secret.String{}, "")
	if err != nil {
		return bound{}, badProof(http.StatusBadRequest, err)
	}
	return bound{thumbprint}, nil
}

// login is the client credentials grant: an agent's base token, or a resource
// server's own.
func (c *call) login() (any, error) {
	p, err := c.client()
	if err != nil {
		return nil, err
	}
	if p.kind == nobody {
		return nil, badClient()
	}
	scopes, err := c.scopes()
	if err != nil {
		return nil, err
	}
	std := registered{Subject: "client_" + p.id, Audience: jwt.Audience{c.s.Issuer()}}
	own := claims{ClientID: p.id, TokenUse: useAccess, Organization: c.s.cfg.Org}
	if p.kind == anAgent {
		std.Subject, own.AgentID = subjectOf(p.agent), p.agent.AgentID
		if len(scopes) == 0 {
			scopes = p.agent.Scopes
		}
	}
	// Whatever is asked for is granted: a scope is no authority here, and agents
	// that refresh ask again for what they were granted.
	own.Scope = strings.Join(scopes, " ")
	return c.issue(std, own, c.s.cfg.AgentTokenTTL, "")
}

// scopes reads the scope parameter.
func (c *call) scopes() ([]string, error) {
	scopes, err := parseScope(c.form.Get("scope"))
	if err != nil {
		return nil, fail(http.StatusBadRequest, codeInvalidScope, "%v", err)
	}
	return scopes, nil
}

func subjectOf(a *Agent) string { return "agent_" + a.AgentID }

// issue answers with a new token that begins now and ends after ttl.
func (c *call) issue(std registered, own claims, ttl time.Duration, issuedType string) (any, error) {
	own.Bound = c.bound
	raw, err := c.s.keys.sign(members{lifetime(std, c.now, ttl), own, nil})
	if err != nil {
		return nil, err
	}
	return tokenResponse{
		AccessToken:     raw.Reveal(), // to the client that asked
		TokenType:       own.kind(),
		ExpiresIn:       seconds(ttl),
		Scope:           own.Scope,
		IssuedTokenType: issuedType,
	}, nil
}

func seconds(d time.Duration) int { return int(d / time.Second) }

// introspection is RFC 7662, section 2.2: what the token says, with the JIT members
// that RFC 9396, section 9.2, and LumoAuth's tokens have.
type introspection struct {
	Active    bool   `json:"active"`
	TokenType string `json:"token_type"`
	Username  string `json:"username,omitempty"`
	members
}

// introspect serves POST /oauth/introspect. What cannot be told is inactive, with
// no reason (RFC 7662, section 2.2): unknown, expired, revoked, and for an agent
// the tokens of others.
func (c *call) introspect() (any, error) {
	caller, raw, err := c.askedAbout()
	if err != nil {
		return nil, err
	}
	p, v := c.s.principalOf(raw, c.now)
	if v == nil || (caller.kind != aClient && !ownedBy(caller, v)) {
		return object{"active": false}, nil
	}
	answer := introspection{Active: true, TokenType: v.kind(), members: members{registered: v.registered, claims: v.claims}}
	if p.user != nil {
		answer.Username = p.user.Email
	}
	if p.kind == aTask {
		answer.jitClaims = &v.jitClaims
	}
	return answer, nil
}

// askedAbout returns who asks about a token, and the token (RFC 7662 and RFC 7009,
// section 2.1).
func (c *call) askedAbout() (caller principal, raw string, err error) {
	if caller, err = c.clientOrBearer(); err != nil {
		return principal{}, "", err
	}
	if raw = c.form.Get("token"); raw == "" {
		return principal{}, "", invalid("token is required")
	}
	return caller, raw, nil
}

// ownedBy reports whether a token was issued to, or for, the caller.
func ownedBy(caller principal, v *verified) bool {
	if caller.kind == aUser {
		return v.UserID == caller.user.ID
	}
	return caller.id != "" && v.ClientID == caller.id
}

// revoke serves POST /oauth/revoke. Known or not, the answer is {} (RFC 7009,
// section 2.2); a token of another client stays as it is.
func (c *call) revoke() (any, error) {
	caller, raw, err := c.askedAbout()
	if err != nil {
		return nil, err
	}
	v, err := c.s.keys.verify(raw, c.now)
	if err != nil || !ownedBy(caller, v) {
		return object{}, nil
	}
	if tok, isJIT := c.st.tokens[v.ID]; isJIT {
		tok.Revoked = true
		c.ch.add(tok)
	} else {
		c.ch.add(revocation{ID: v.ID, ExpiresAt: v.expires()})
	}
	return object{}, nil
}

// userinfo serves GET and POST /oauth/userinfo. Agents need no openid scope: no
// SDK asks for it.
func (c *call) userinfo() (any, error) {
	if len(c.r.Header.Values("Authorization")) == 0 {
		e := unauthorized("no Authorization header")
		e.status, e.code = http.StatusBadRequest, codeInvalidRequest
		return nil, e
	}
	if c.whoErr != nil {
		return nil, c.whoErr
	}
	org := c.s.cfg.Org
	switch p := c.who; p.kind {
	case anAgent:
		info := object{
			"sub": subjectOf(p.agent), "name": p.agent.Name, "agent_id": p.agent.AgentID,
			"capabilities": p.agent.Capabilities, "tenant": org, "identity_type": "agent", "budget_policy": object{}, // SDKs read it
		}
		if p.user != nil {
			info["delegated_by"] = p.user.Email
		}
		return info, nil
	case aUser:
		return object{"sub": p.token.Subject, "email": p.user.Email, "tenant": org, "identity_type": "user"}, nil
	case aClient:
		return object{"sub": p.token.Subject, "client_id": p.id, "tenant": org, "identity_type": "client"}, nil
	}
	return nil, denied("a JIT token is no credential here")
}

// jwks serves the public key.
func (c *call) jwks() (any, error) { return c.s.keys.public(), nil }

// metadata serves RFC 8414 and OpenID Connect discovery. There is one issuer
// whatever the prefix of the request.
func (c *call) metadata() (any, error) {
	issuer := c.s.Issuer()
	api := issuer + "/api/v1"
	auth := []string{"client_secret_basic", "client_secret_post"}
	return object{
		"issuer":                                        issuer,
		"authorization_endpoint":                        api + "/oauth/authorize", // required by readers; answers 404
		"token_endpoint":                                api + "/oauth/token",
		"introspection_endpoint":                        api + "/oauth/introspect",
		"revocation_endpoint":                           api + "/oauth/revoke",
		"userinfo_endpoint":                             api + "/oauth/userinfo",
		"jwks_uri":                                      api + "/.well-known/jwks.json",
		"response_types_supported":                      []string{},
		"grant_types_supported":                         []string{grantClientCredentials, grantTokenExchange},
		"token_endpoint_auth_methods_supported":         auth,
		"introspection_endpoint_auth_methods_supported": auth,
		"revocation_endpoint_auth_methods_supported":    auth,
		"subject_types_supported":                       []string{"public"},
		"id_token_signing_alg_values_supported":         []string{"ES256"},
		"scopes_supported":                              strings.Fields(defaultAgentScopes),
		"resource_indicators_supported":                 true,
		"dpop_signing_alg_values_supported":             strings.Fields(dpop.Algorithms),
	}, nil
}
