package lumoauth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

const (
	opExchange = "exchange on behalf of a user"

	grantTokenExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	typeAccessToken    = "urn:ietf:params:oauth:token-type:access_token"
)

// An Exchange says on whose behalf to act.
type Exchange struct {
	// Subject gives the user's access token, or for a chain that of the delegation
	// before. Required. It is called for each exchange, so a user token that is
	// refreshed in the meantime keeps the delegation going, and must be safe for
	// concurrent use.
	Subject func(context.Context) (secret.String, error)

	// Scopes narrow the result; nil leaves them to the server. The result is never
	// wider than both the user's and the agent's.
	Scopes []string
}

// A Delegated is a token by which the agent acts on behalf of a user. It renews
// itself ahead of its expiry. It is safe for concurrent use.
type Delegated struct {
	c      *Client
	source *tokenSource
}

// Format implements [fmt.Formatter].
func (d *Delegated) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "lumoauth.Delegated") }

// ExchangeOnBehalfOf exchanges the user's token, with the agent's as the actor,
// for one by which the agent acts on the user's behalf (RFC 8693). The first
// exchange is made at once, so its failure is this call's. An exchange sends no
// client credentials: the actor token says who asks.
func (c *Client) ExchangeOnBehalfOf(ctx context.Context, ex Exchange) (*Delegated, error) {
	if ex.Subject == nil {
		return nil, &Error{Op: opExchange, cause: errors.New("no subject token")}
	}
	if err := checkScopes(ex.Scopes); err != nil {
		return nil, invalidArgument(opExchange, "scopes", err)
	}
	ex.Scopes = slices.Clone(ex.Scopes)
	d := &Delegated{c: c}
	d.source = newTokenSource(opExchange, 4*c.timeout, func(ctx context.Context) (*cachedToken, error) {
		return c.exchange(ctx, ex)
	})
	if _, err := d.Token(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// Token returns the delegated token, exchanged anew when it is about to expire,
// by the rules of [Client.AgentToken].
func (d *Delegated) Token(ctx context.Context) (jit.Credential, error) {
	_, credential, err := d.c.fresh(ctx, d.source)
	return credential, err
}

// Scopes returns the scopes that were granted with the token of now; nil when the
// server does not say, which means those asked for (RFC 6749, section 5.1).
func (d *Delegated) Scopes(ctx context.Context) ([]string, error) {
	t, _, err := d.c.fresh(ctx, d.source)
	if err != nil {
		return nil, err
	}
	return slices.Clone(t.scopes), nil
}

// exchange makes one try.
func (c *Client) exchange(ctx context.Context, ex Exchange) (*cachedToken, error) {
	subject, err := ex.Subject(ctx)
	if err != nil {
		return nil, err
	}
	if err := oauth.CheckToken(subject); err != nil {
		return nil, invalidArgument(opExchange, "subject token", err)
	}
	build := func(actor secret.String) call {
		form := url.Values{
			"grant_type":         {grantTokenExchange},
			"subject_token":      {subject.Reveal()},
			"subject_token_type": {typeAccessToken},
			"actor_token":        {actor.Reveal()},
			"actor_token_type":   {typeAccessToken},
		}
		if len(ex.Scopes) > 0 {
			form.Set("scope", strings.Join(ex.Scopes, " "))
		}
		return call{
			op: opExchange, method: http.MethodPost, path: path("oauth", "token"), form: form,
			hide: []secret.String{subject, actor}, repeat: repeatSafe,
		}
	}
	return ask(ctx, call{op: opExchange}, func(ctx context.Context, _ call) (answer, error) { return c.withAgent(ctx, opExchange, build) }, c.issued)
}
