package oauth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/rar"
)

// Claims is what is said of an access token, by the token itself if it is a JWT (RFC
// 9068, section 2.2) or by the server in an introspection response (RFC 7662, section
// 2.2). Each is as far as it is said.
type Claims struct {
	Issuer    string
	Subject   string
	Audience  []string
	ID        string // jti
	ClientID  string
	Username  string
	Scopes    []string // nil when that is not said, empty when there are none
	ExpiresAt time.Time
	IssuedAt  time.Time
	NotBefore time.Time
	// Details is what the token covers (RFC 9396, section 9): nil when that is not
	// said, empty when it is said to be nothing.
	Details []rar.Detail
	// KeyBound says that the token is of use only with a proof of a key (cnf; RFC
	// 7800), and so is no bearer token. Thumbprint is that key's, where the proof is
	// DPoP's and nothing else is asked for (jkt; RFC 9449, section 6.1); else "".
	KeyBound   bool
	Thumbprint string

	// LumoAuth's own: the agent and task that a token is for, whether it was issued for
	// a task, and token_use, which tells access tokens from others.
	AgentID string
	TaskID  string
	JIT     bool
	Use     string

	All Object // these and all others
}

// ParseClaims decodes the claims of a JWT, whose signature is the caller's to check
// first. A member of the wrong kind is an error, but for those that only people read.
func ParseClaims(payload []byte) (Claims, error) {
	o, err := Decode(payload)
	if err != nil {
		return Claims{}, err
	}
	return o.claims()
}

// An Introspection is what a server says about a token. Of an inactive one it says
// nothing else.
type Introspection struct {
	Active    bool
	TokenType string
	Claims
}

// ParseIntrospection decodes an introspection response. One that does not say
// whether the token is active is an error, and so is what [ParseClaims] refuses.
func ParseIntrospection(body []byte) (Introspection, error) {
	o, err := Decode(body)
	if err != nil {
		return Introspection{}, err
	}
	switch o["active"].Kind() {
	case 'f':
		return Introspection{}, nil
	case 't':
	default:
		return Introspection{}, errors.New("active is missing or no boolean")
	}
	c, err := o.claims()
	if err != nil {
		return Introspection{}, err
	}
	if o.Has("token_type") && o.Text("token_type") == "" {
		return Introspection{}, errors.New("token_type is no text")
	}
	return Introspection{Active: true, TokenType: o.Text("token_type"), Claims: c}, nil
}

// Scopes returns the scopes of these members, each a text (RFC 6749, section 3.3) or, as
// some servers have it, a list of them; nil when none of them is there. Anything else is
// an error, and so is one of them in other letters.
func (o Object) Scopes(names ...string) (all []string, err error) {
	for _, name := range names {
		if err := o.once(name); err != nil {
			return nil, err
		}
		if !o.Has(name) {
			continue
		}
		var list []string
		if o[name].Kind() == '"' {
			list = []string{o.Text(name)}
		} else if o[name].Kind() != '[' || strictjson.Unmarshal(o[name], &list) != nil {
			return nil, fmt.Errorf("%s is neither a text nor a list of texts", name)
		}
		for _, s := range list {
			all = append(all, strings.Fields(s)...)
		}
		if all == nil {
			all = []string{}
		}
	}
	return all, nil
}

// once fails where a member is there in other letters, Scope say: a reader that does not
// tell those apart would see other rights.
func (o Object) once(name string) error {
	for written := range o {
		if written != name && strings.EqualFold(written, name) {
			return fmt.Errorf("%s is there in other letters", name)
		}
	}
	return nil
}

func (o Object) claims() (c Claims, err error) {
	c = Claims{
		All:      o,
		Audience: o.Texts("aud"),
		Username: o.Text("username"),
		KeyBound: o.Has("cnf"),
		JIT:      o.Flag("jit"),
	}
	if c.Scopes, err = o.Scopes("scope"); err != nil {
		return Claims{}, err
	}
	if cnf := o.Object("cnf"); len(cnf) == 1 {
		c.Thumbprint = cnf.Text("jkt")
	}
	for _, f := range []struct {
		name string
		to   *string
	}{
		{"iss", &c.Issuer}, {"sub", &c.Subject}, {"jti", &c.ID}, {"client_id", &c.ClientID},
		{"agent_id", &c.AgentID}, {"task_id", &c.TaskID}, {"token_use", &c.Use},
	} {
		if *f.to = o.Text(f.name); o.Has(f.name) && o[f.name].Kind() != '"' {
			return Claims{}, fmt.Errorf("%s is no text", f.name)
		}
	}
	for _, f := range []struct {
		name string
		to   *time.Time
	}{{"exp", &c.ExpiresAt}, {"iat", &c.IssuedAt}, {"nbf", &c.NotBefore}} {
		if *f.to, err = o.Unix(f.name); err != nil {
			return Claims{}, err
		}
	}
	if _, said := o[memberDetails]; said && (!o.Has(memberDetails) || string(o[memberDetails]) == "[]") {
		c.Details = []rar.Detail{}
	} else if c.Details, err = o.Details(); err != nil {
		return Claims{}, err
	}
	return c, nil
}
