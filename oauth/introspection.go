package oauth

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jitagent/jitagent/rar"
)

// An Introspection is what a server says about a token (RFC 7662, section 2.2; RFC
// 9396, section 9.2). Of an inactive one it says nothing else. Members beyond Active
// are as far as the server says.
type Introspection struct {
	Active    bool
	TokenType string
	Subject   string
	ClientID  string
	Username  string
	Scopes    []string
	Issuer    string
	Audience  []string
	ID        string // jti
	ExpiresAt time.Time
	IssuedAt  time.Time
	NotBefore time.Time
	// Details is what the token covers: nil when the server does not say, empty when
	// it says nothing at all.
	Details []rar.Detail
	// KeyBound says that the token is of use only with a proof of a key (cnf; RFC
	// 7800), and so is no bearer token.
	KeyBound bool
	AgentID  string // LumoAuth's agent_id
	TaskID   string // LumoAuth's task_id
}

// ParseIntrospection decodes an introspection response. One that does not say
// whether the token is active is an error, and so is one with a member of the wrong
// kind among those that tell tokens apart.
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
	in := Introspection{
		Active:   true,
		Username: o.Text("username"),
		Scopes:   strings.Fields(o.Text("scope")),
		Audience: o.Texts("aud"),
		KeyBound: o.Has("cnf"),
	}
	for name, to := range map[string]*string{
		"token_type": &in.TokenType, "iss": &in.Issuer, "sub": &in.Subject, "jti": &in.ID,
		"client_id": &in.ClientID, "agent_id": &in.AgentID, "task_id": &in.TaskID,
	} {
		if *to = o.Text(name); o.Has(name) && o[name].Kind() != '"' {
			return Introspection{}, fmt.Errorf("%s is no text", name)
		}
	}
	for name, to := range map[string]*time.Time{"exp": &in.ExpiresAt, "iat": &in.IssuedAt, "nbf": &in.NotBefore} {
		if *to, err = o.Unix(name); err != nil {
			return Introspection{}, err
		}
	}
	if _, said := o[memberDetails]; said && (!o.Has(memberDetails) || string(o[memberDetails]) == "[]") {
		in.Details = []rar.Detail{}
	} else if in.Details, err = o.Details(); err != nil {
		return Introspection{}, err
	}
	return in, nil
}
