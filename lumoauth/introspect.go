package lumoauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

const (
	opIntrospect = "introspect token"
	opRevoke     = "revoke token"
)

// An Introspection is what the server says about a token (RFC 7662, section 2.2).
// Of an inactive one it says nothing else. Members beyond Active are as far as the
// server says.
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
	Details   []rar.Detail
	TaskID    string
}

// Introspect asks the server about a token, with the client's own credentials. A
// token that cannot be one is inactive, without a call.
func (c *Client) Introspect(ctx context.Context, token secret.String) (Introspection, error) {
	if checkToken(token) != nil {
		return Introspection{}, nil
	}
	a, err := c.plain(ctx, call{
		op: opIntrospect, method: http.MethodPost, path: path("oauth", "introspect"),
		form: url.Values{"token": {token.Reveal()}}, hide: []secret.String{token},
		asClient: true, repeat: repeatSafe,
	})
	if err != nil {
		return Introspection{}, err
	}
	in, err := decodeIntrospection(a)
	if err != nil {
		return Introspection{}, unusable(opIntrospect, a, err)
	}
	return in, nil
}

func decodeIntrospection(a answer) (Introspection, error) {
	o, err := decodeObject(a.body)
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
		Active:    true,
		TokenType: o.text("token_type"),
		Subject:   o.text("sub"),
		ClientID:  o.text("client_id"),
		Username:  o.text("username"),
		Scopes:    strings.Fields(o.text("scope")),
		Issuer:    o.text("iss"),
		Audience:  o.texts("aud"),
		ID:        o.text("jti"),
		TaskID:    o.text("task_id"),
	}
	for name, to := range map[string]*time.Time{"exp": &in.ExpiresAt, "iat": &in.IssuedAt, "nbf": &in.NotBefore} {
		if *to, err = o.unix(name); err != nil {
			return Introspection{}, err
		}
	}
	if in.Details, err = o.details(); err != nil {
		return Introspection{}, err
	}
	return in, nil
}

// Revoke ends a token (RFC 7009). A token that the server does not know is no
// error.
func (c *Client) Revoke(ctx context.Context, token secret.String) error {
	if err := checkToken(token); err != nil {
		return invalidArgument(opRevoke, "token", err)
	}
	_, err := c.plain(ctx, call{
		op: opRevoke, method: http.MethodPost, path: path("oauth", "revoke"),
		form: url.Values{"token": {token.Reveal()}}, hide: []secret.String{token},
		asClient: true, repeat: repeatSafe,
	})
	return err
}
