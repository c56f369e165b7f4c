package lumoauth

import (
	"context"
	"net/http"
	"net/url"

	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

const (
	opIntrospect = "introspect token"
	opRevoke     = "revoke token"
)

// Introspect asks the server about a token, with the client's own credentials. A
// token that cannot be one is inactive, without a call.
func (c *Client) Introspect(ctx context.Context, token secret.String) (oauth.Introspection, error) {
	if oauth.CheckToken(token) != nil {
		return oauth.Introspection{}, nil
	}
	a, err := c.plain(ctx, call{
		op: opIntrospect, method: http.MethodPost, path: path("oauth", "introspect"),
		form: url.Values{"token": {token.Reveal()}}, hide: []secret.String{token},
		asClient: true, repeat: repeatSafe,
	})
	if err != nil {
		return oauth.Introspection{}, err
	}
	in, err := oauth.ParseIntrospection(a.body)
	if err != nil {
		return oauth.Introspection{}, unusable(opIntrospect, a, err)
	}
	return in, nil
}

// Revoke ends a token (RFC 7009). A token that the server does not know is no
// error.
func (c *Client) Revoke(ctx context.Context, token secret.String) error {
	if err := oauth.CheckToken(token); err != nil {
		return invalidArgument(opRevoke, "token", err)
	}
	_, err := c.plain(ctx, call{
		op: opRevoke, method: http.MethodPost, path: path("oauth", "revoke"),
		form: url.Values{"token": {token.Reveal()}}, hide: []secret.String{token},
		asClient: true, repeat: repeatSafe,
	})
	return err
}
