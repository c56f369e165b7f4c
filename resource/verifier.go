package resource

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// Config describes a protected API and its authorization server.
type Config struct {
	// Issuer is the only accepted iss claim, compared byte for byte. Required.
	Issuer string

	// JWKSURL and IntrospectionURL are where keys are published and tokens
	// introspected. What is left empty is discovered by New from the
	// authorization server's metadata (RFC 8414) and must then be on the
	// metadata's own origin. Both must be https, or http on a loopback host.
	JWKSURL          string
	IntrospectionURL string

	// MetadataURL is where the metadata is read when something must be
	// discovered. Empty means to try, of the issuer https://host/path, in this order:
	// https://host/.well-known/oauth-authorization-server/path (RFC 8414, section 3.1),
	// https://host/path/.well-known/oauth-authorization-server,
	// https://host/.well-known/openid-configuration/path,
	// https://host/path/api/v1/.well-known/oauth-authorization-server, where LumoAuth has
	// it, and https://host/path/.well-known/openid-configuration (OpenID Connect
	// Discovery). A place that answers 3xx or 4xx leaves it to the next one.
	MetadataURL string

	// Trust says what makes a token good; the zero Trust asks for both.
	Trust Trust

	// ClientID and ClientSecret are this API's own credentials at the
	// introspection endpoint, sent with HTTP Basic (RFC 6749, section 2.3.1).
	// Required where tokens are introspected.
	ClientID     string
	ClientSecret secret.String

	// Audience must be among the aud claim of a token. Empty means that aud is
	// not looked at: LumoAuth documents none for JIT tokens. Then only the
	// locations of a demand keep one API's tokens from another, and a JWT without typ is
	// refused, since it may be no access token.
	Audience string

	// Location is the API's own origin, as tokens name it. Where a demand has no
	// locations, a token for this one covers it too: clients ask for a location when
	// they know it. Empty means that such a token does not.
	Location string

	// Realm is named in challenges; "" is "api".
	Realm string

	// Dialect is how Require demands authority; the zero Dialect is LumoAuth's.
	Dialect Dialect

	// DPoP says what is taken of tokens that are bound to a key (RFC 9449). Each process
	// remembers for itself which proofs it was sent: of several that serve one API, each
	// takes a proof once. All but NoDPoP need Location, for which proofs are made.
	DPoP DPoP
	// Nonces says that proofs must have a nonce of this Verifier's (section 9): clients
	// get it with every answer, and a first request costs one round trip more. NonceKey
	// is for several processes, which take each other's. Proofs is how many are taken
	// within two minutes, and 0 is 100 000; what is beyond a key's share of them is
	// ErrUnavailable. See [dpop.Config].
	Nonces   bool
	NonceKey []byte
	Proofs   int

	// Leeway is how far the clocks may differ; 0 is 10 seconds, negative is none.
	Leeway time.Duration

	// HTTPClient reaches the authorization server. It is copied; its redirect
	// policy and cookie jar are not used. nil is a client of its own. Each call
	// is bounded by 10 seconds besides the client's own Timeout.
	HTTPClient *http.Client

	// Logger gets one line for each refusal of Require; nil discards them.
	Logger *slog.Logger

	// Now tells the time; nil is time.Now.
	Now func() time.Time
}

// Trust is what makes a token good.
type Trust uint8

const (
	// SignedAndActive takes a JWT with a good signature, of which the authorization
	// server says that it is active.
	SignedAndActive Trust = iota
	// Active takes what the authorization server says that it is active: opaque tokens
	// too. All that counts is what it says about them.
	Active
	// Signed takes a JWT with a good signature. One that was revoked is good until it
	// expires.
	Signed
)

// Dialect is a way to say what a call needs; docs/challenges.md has all that clients read.
type Dialect uint8

const (
	// LumoAuth answers 403 with the details in a header of their own.
	LumoAuth Dialect = iota
	// Remediation answers 401 with the details in WWW-Authenticate, as
	// draft-ietf-oauth-rar-metadata-remediation has it.
	Remediation
)

// DPoP is what is taken of tokens that are bound to a key.
type DPoP uint8

const (
	// NoDPoP takes none: such a token is refused.
	NoDPoP DPoP = iota
	// AcceptDPoP takes them with a proof, and bearer tokens as well.
	AcceptDPoP
	// RequireDPoP takes no bearer tokens.
	RequireDPoP
)

// defaultLeeway is enough for machines that keep time by NTP.
const defaultLeeway = 10 * time.Second

// A Verifier verifies access tokens. It is safe for concurrent use.
type Verifier struct {
	issuer   string
	audience string
	location string
	realm    string
	dialect  Dialect
	leeway   time.Duration
	trust    Trust
	now      func() time.Time
	log      *slog.Logger
	keys     *keySet
	inspect  *introspector
	dpop     DPoP
	proofs   *dpop.Verifier // nil with NoDPoP
}

// A Token is an access token that was good at the time of the call. It does not
// hold the token's text.
type Token struct {
	Subject  string // sub
	AgentID  string // agent_id; "" when the token names none
	ClientID string // client_id; "" when the token names none
	TaskID   string // task_id; "" outside a task
	ID       string // jti; "" when the token has none

	// Details is what the token covers, as both the token and the authorization
	// server say. nil for an agent's base token.
	Details []rar.Detail
	Scopes  []string // scope, as far as both say

	ExpiresAt time.Time
	JIT       bool // the token was issued for a task

	// Key is the thumbprint of the key that the token is bound to, of which the call had
	// a proof; "" for a bearer token.
	Key string
	// Nonce is to be sent in the header DPoP-Nonce of the answer, whatever it is; "" where
	// none is wanted. Require does so.
	Nonce string

	// Claims are those of the token, with whatever else it says.
	Claims oauth.Object
}

// Covers reports whether one detail of t contains need, or its scopes do where need is
// [rar.Scopes]. No scope at all is a login, which every token that holds is proof of.
func (t *Token) Covers(need rar.Detail) bool {
	if need.IsScopes() {
		return rar.Within(need, rar.Scopes()) == nil || rar.Within(need, rar.Scopes(t.Scopes...)) == nil
	}
	return slices.ContainsFunc(t.Details, func(d rar.Detail) bool { return rar.Within(need, d) == nil })
}

// New checks cfg and, unless both URLs are given, reads the authorization
// server's metadata; ctx bounds that. Keys are fetched with the first token.
func New(ctx context.Context, cfg Config) (*Verifier, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	client := newClient(cfg.HTTPClient)
	if cfg.JWKSURL == "" && cfg.Trust != Active || cfg.IntrospectionURL == "" && cfg.Trust != Signed {
		m, err := discover(ctx, client, cfg)
		if err != nil {
			return nil, err
		}
		cfg.JWKSURL = cmp.Or(cfg.JWKSURL, m.JWKSURI)
		cfg.IntrospectionURL = cmp.Or(cfg.IntrospectionURL, m.IntrospectionEndpoint)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	var proofs *dpop.Verifier
	if cfg.DPoP != NoDPoP {
		var err error
		if proofs, err = dpop.NewVerifier(dpop.Config{Origin: cfg.Location, Nonces: cfg.Nonces, NonceKey: cfg.NonceKey, Proofs: cfg.Proofs, Now: cfg.Now}); err != nil {
			return nil, fmt.Errorf("resource: configuration of proofs, for which Location is the origin: %w", err)
		}
	}
	return &Verifier{
		dpop:     cfg.DPoP,
		proofs:   proofs,
		issuer:   cfg.Issuer,
		audience: cfg.Audience,
		location: cfg.Location,
		realm:    cfg.Realm,
		dialect:  cfg.Dialect,
		leeway:   max(cmp.Or(cfg.Leeway, defaultLeeway), 0),
		trust:    cfg.Trust,
		now:      cfg.Now,
		log:      cfg.Logger,
		keys:     newKeySet(client, cfg.JWKSURL, cfg.Now),
		inspect:  &introspector{client: client, url: cfg.IntrospectionURL, id: cfg.ClientID, secret: cfg.ClientSecret},
	}, nil
}

// check returns one error that names everything wrong with c.
func (c *Config) check() error {
	var problems []error
	for _, f := range []struct {
		name    string
		missing bool
	}{{"Issuer", c.Issuer == ""}, {"ClientID", c.ClientID == "" && c.Trust != Signed}, {"ClientSecret", c.ClientSecret.IsZero() && c.Trust != Signed}} {
		if f.missing {
			problems = append(problems, fmt.Errorf("%s is missing", f.name))
		}
	}
	for _, u := range []struct{ name, value string }{
		{"Issuer", c.Issuer},
		{"JWKSURL", c.JWKSURL},
		{"IntrospectionURL", c.IntrospectionURL},
		{"MetadataURL", c.MetadataURL},
	} {
		if u.value == "" {
			continue
		}
		if _, err := oauth.ParseURL(u.value); err != nil {
			problems = append(problems, fmt.Errorf("%s %w", u.name, err))
		}
	}
	if c.Dialect > Remediation {
		problems = append(problems, errors.New("Dialect is none"))
	}
	if c.DPoP > RequireDPoP || c.DPoP == NoDPoP && c.Nonces {
		problems = append(problems, errors.New("DPoP is none, or Nonces is set without it"))
	}
	if len(problems) > 0 {
		return fmt.Errorf("resource: configuration: %w", errors.Join(problems...))
	}
	return nil
}

// Verify returns what the token of r grants, or an error that is ErrNoToken,
// ErrMalformed, ErrInvalidToken, ErrUnavailable, [dpop.ErrProof] or [dpop.ErrNonce]. It
// reads r's headers and query, never its body, and asks the authorization server within ctx.
func (v *Verifier) Verify(ctx context.Context, r *http.Request) (*Token, error) {
	raw, proven, err := v.credential(r)
	var token *Token
	if err == nil {
		token, err = v.verify(ctx, r, raw, proven)
	}
	switch {
	case err != nil && v.proofs != nil:
		return nil, &refusal{err, v.schemes(proven), v.proofs.Nonce()}
	case err != nil:
		return nil, err
	case proven:
		token.Nonce = v.proofs.Nonce()
	}
	return token, nil
}

func (v *Verifier) verify(ctx context.Context, r *http.Request, raw string, proven bool) (*Token, error) {
	if v.trust == Active {
		return v.active(ctx, r, raw, proven)
	}
	c, err := v.signed(ctx, raw)
	if err != nil {
		return nil, err
	}
	token, err := v.token(c)
	if err == nil {
		err = v.prove(r, raw, proven, c)
	}
	if err != nil || v.trust == Signed {
		return token, err
	}
	// Last, so that only tokens which the server signed cost it a question.
	in, err := v.inspect.ask(ctx, raw)
	if errors.Is(err, errInactive) && len(c.Audience) > 0 && !slices.Contains(c.Audience, v.inspect.id) {
		// There are servers that say so to whoever a token is not for.
		err = fmt.Errorf("%w, and this API's client is not in the token's audience", err)
	}
	if err != nil {
		return nil, err
	}
	if err := v.agree(token, in); err != nil {
		return nil, err
	}
	return token, nil
}
