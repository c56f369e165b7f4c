package lumoauth

import (
	"context"
	"net/http"
	"net/url"

	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

// Introspect asks the server about a token, with the client's own credentials. A
// token that cannot be one is inactive, without a call.
func (c *Client) Introspect(ctx context.Context, token secret.String) (oauth.Introspection, error) {
	if oauth.CheckToken(token) != nil {
		return oauth.Introspection{}, nil
	}
	return ask(ctx, tokenCall("introspect", token), c.plain, func(a answer) (oauth.Introspection, error) { return oauth.ParseIntrospection(a.body) })
}

// tokenCall does something about a token.
func tokenCall(verb string, token secret.String) call {
	return call{
		op: verb + " token", method: http.MethodPost, path: path("oauth", verb),
		form: url.Values{"token": {token.Reveal()}}, hide: []secret.String{token},
		asClient: true, repeat: repeatSafe,
	}
}

// Revoke ends a token (RFC 7009). A token that the server does not know is no
// error.
func (c *Client) Revoke(ctx context.Context, token secret.String) error {
	r := tokenCall("revoke", token)
	if err := oauth.CheckToken(token); err != nil {
		return invalidArgument(r.op, "token", err)
	}
	_, err := c.plain(ctx, r)
	return err
}
