package oauthz

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
)

// A Mode is how authority is asked for.
type Mode uint8

// The modes.
const (
	ClientCredentials Mode = iota // the server decides, at once
	CIBA                          // the user decides, on a device of theirs
	UMA                           // Keycloak's policies decide, at once, on permissions
	TokenExchange                 // the server decides, at once, for whoever Subject is
	AuthorizationCode             // the user logs in and decides, in a browser on this machine
)

// grantType is the grant_type of a mode's token requests.
func (m Mode) grantType() string {
	return [...]string{
		"client_credentials", "urn:openid:params:grant-type:ciba",
		"urn:ietf:params:oauth:grant-type:uma-ticket", "urn:ietf:params:oauth:grant-type:token-exchange",
		"authorization_code",
	}[m]
}

// DefaultMaxLifetime is that of [Config.MaxLifetime].
const DefaultMaxLifetime = time.Hour

// Config says which server to ask, as whom, and for what. Issuer, ClientID, one of
// ClientSecret and Key are required. With [AuthorizationCode] Open is, and of these none:
// without ClientSecret and Key the client is a public one, without ClientID it is
// Document, or the server makes one, and without Issuer, which goes with no ClientID, the
// API names the server.
type Config struct {
	// Issuer names the server, byte for byte as its metadata does: https, or http on
	// loopback. The metadata is read where RFC 8414 or OpenID Connect Discovery have it,
	// or at MetadataURL if that is set. The endpoints that it names must be on its origin.
	Issuer      string
	MetadataURL string

	ClientID string
	// ClientSecret is sent by HTTP Basic, or in the form if Post is set (RFC 6749,
	// section 2.3.1).
	ClientSecret secret.String
	Post         bool
	// Key signs a JWT in place of a secret (private_key_jwt; OpenID Connect Core, section
	// 9): ECDSA on P-256, or RSA. KeyID names it to the server.
	Key   crypto.Signer
	KeyID string

	Mode Mode

	// Open shows a person the address at which they log in, in a browser on this machine,
	// and does not wait for them. The address is for nobody else.
	Open func(ctx context.Context, address string) error
	// Redirect is where that browser comes back to, as the server knows it. "" is
	// http://127.0.0.1/callback. Without a port any will do, as RFC 8252, section 7.3,
	// wants servers to allow; with one, that is listened on while somebody logs in.
	Redirect string
	// LoginTimeout is how long a person may take. 0 is [DefaultLoginTimeout].
	LoginTimeout time.Duration
	// Document is the https URL of a document that describes this client, which is its id
	// where the server takes that (draft-ietf-oauth-client-id-metadata-document).
	Document string

	// API is the address of the API that Resource, Audience and the agent's own token
	// are for; "" is Resource, if that is an address. A token for it goes to no other
	// origin. Others have none of those, and with [AuthorizationCode] are asked for as
	// the resource that their own metadata names (RFC 9728); with the other modes they
	// are refused, since nothing would tell one API's token from another's.
	API string
	// Resource is that API as the server knows it (RFC 8707); "" names none.
	Resource string

	// Audience is the API's own client id at the server, for UMA, which requires it, and
	// TokenExchange (RFC 8693, section 2.1).
	Audience string

	// Subject is the token that TokenExchange gives in exchange for another, such as
	// that of the user on whose behalf a task is; nil gives the agent's own. It is asked
	// for at each request, and neither kept nor revoked.
	Subject func(context.Context, jit.TaskSpec) (secret.String, error)

	// DPoP asks for tokens that are bound to a key (RFC 9449), so that one that is copied
	// is of no use: a key for each task and one for the agent, in memory only. A token that
	// is not bound then is revoked and not used. What a crash leaves is revoked all the
	// same, which needs no key.
	DPoP bool

	// NoBase says that the agent has no token of its own: first requests go to the API
	// without one. Otherwise it logs in with client credentials and without any scope;
	// with [AuthorizationCode] only where it can prove who it is, and the server says that
	// it has that grant.
	NoBase bool

	// Types are the authorization details that may be asked for, by type. A demand of
	// another type is refused, and nothing is sent. [rar.Scopes] are of no type: where a
	// call's ceiling has them, they are asked for as they are.
	Types map[string]Type

	// Always are scopes that the server grants whether they are asked for or not, such
	// as a client's defaults: they may be in any token.
	Always []string

	// Login is the login_hint of the user whom CIBA asks; nil takes
	// [jit.TaskSpec.OnBehalfOf]. Without a hint nothing is sent, and who logs in is asked.
	Login func(jit.TaskSpec) (string, error)

	// MaxLifetime is the longest that a token may live: OAuth has no parameter to ask
	// for a shorter life, so one that lives longer is revoked at once and not used. An
	// answer that names no lifetime, or that was lost, counts as this one. 0 is
	// [DefaultMaxLifetime].
	MaxLifetime time.Duration

	// Vault keeps what must survive this process; nil keeps it in memory, and after a
	// crash nothing is revoked.
	Vault Vault

	// HTTPClient lends its Transport, and its Timeout for one try (0: 30 seconds). No
	// redirect is followed.
	HTTPClient *http.Client

	Logger    *slog.Logger // nil discards
	UserAgent string       // "" is "jitagent"
}

// A Type says how details of one type are asked for.
type Type struct {
	// Scopes are asked for in place of the detail, and must be granted exactly; a detail
	// for which they are none is refused. nil asks for the detail itself. A token that
	// scopes bound may do all that they allow, which the detail may be a small part of.
	//
	// With UMA they are permissions, each RESOURCE#SCOPE, where RESOURCE is the id or the
	// name of a resource at the server: no other, and none of it twice, may be in the token.
	Scopes func(rar.Detail) []string
}

// A Vault keeps records of tasks that must survive a crash: they hold tokens, and are
// to be sealed. Implementations must be safe for concurrent use; names of tasks and
// records are [A-Za-z0-9_.-]{1,64}.
type Vault interface {
	// Put keeps a record in place of an earlier one of that name. It is on disk when
	// Put returns.
	Put(ctx context.Context, task, name string, record []byte) error
	// Load returns the records of a task. A task of which nothing was ever kept is an
	// error, and one that was dropped has none.
	Load(ctx context.Context, task string) (map[string][]byte, error)
	// Drop forgets the records of a task, though not that there was one.
	Drop(ctx context.Context, task string) error
}

// A ConfigError lists everything that is wrong with a [Config]. Each problem begins with
// the name of a field.
type ConfigError struct{ Problems []string }

func (e *ConfigError) Error() string {
	return "oauthz: configuration: " + strings.Join(e.Problems, "; ")
}

func (cfg *Config) check() error {
	var bad []string
	problem := func(name string, err error) {
		if err != nil {
			bad = append(bad, name+" "+err.Error())
		}
	}
	code := cfg.Mode == AuthorizationCode
	for name, value := range map[string]string{"Issuer": cfg.Issuer, "MetadataURL": cfg.MetadataURL} {
		if value != "" || name == "Issuer" && !code {
			_, err := oauth.ParseURL(value)
			problem(name, err)
		}
	}
	secret := !cfg.ClientSecret.IsZero()
	switch proof := secret || cfg.Key != nil; {
	case cfg.ClientID == "" && (proof || !code):
		problem("ClientID", errors.New("is not set"))
	case cfg.Issuer == "" && (cfg.ClientID != "" || cfg.MetadataURL != ""):
		problem("Issuer", errors.New("is not set, and a client is known to one server only"))
	}
	if secret && cfg.Key != nil || !secret && cfg.Key == nil && !code {
		problem("ClientSecret", errors.New("or Key must be set, and not both"))
	}
	if code {
		problem("Redirect", checkRedirect(cfg.Redirect))
		if cfg.Open == nil {
			problem("Open", errors.New("is not set: nobody could log in"))
		}
	}
	if _, err := cfg.origin(); err != nil && (!code || cfg.API+cfg.Resource != "") {
		problem("API", errors.New("or Resource must be the address of the API: https, or http on loopback"))
	}
	if cfg.Key != nil {
		_, err := signer(cfg)
		problem("Key", err)
	}
	switch {
	case cfg.Mode > AuthorizationCode:
		problem("Mode", errors.New("is none"))
	case cfg.Mode == UMA && cfg.Audience == "":
		problem("Audience", errors.New("is not set, and UMA needs it"))
	case cfg.Mode == UMA && cfg.DPoP:
		problem("DPoP", errors.New("cannot be had with UMA: Keycloak refuses its own token for the proof"))
	case cfg.Mode == TokenExchange && cfg.NoBase && cfg.Subject == nil:
		problem("Subject", errors.New("is not set, and there is no token of the agent's own to exchange"))
	}
	for name, t := range cfg.Types {
		if name == rar.ScopeType {
			problem("Types", errors.New("have "+name+", and scopes that an API names are of no type: they are asked for without one"))
		}
		if cfg.Mode == UMA && t.Scopes == nil {
			problem("Types", errors.New("say no permission for "+name+", and UMA knows no details"))
		}
	}
	if cfg.MaxLifetime < 0 || cfg.LoginTimeout < 0 {
		problem("MaxLifetime", errors.New("or LoginTimeout is negative"))
	}
	if len(bad) > 0 {
		return &ConfigError{bad}
	}
	return nil
}

// origin is that of the configured API.
func (cfg *Config) origin() (jit.Origin, error) {
	return jit.ParseOrigin(cmp.Or(cfg.API, cfg.Resource))
}

// checkRedirect accepts an address of this machine by its number: localhost may be
// another's (RFC 8252, section 8.3).
func checkRedirect(text string) error {
	if text == "" {
		return nil
	}
	u, err := oauth.ParseURL(text)
	if err == nil && (u.Scheme != "http" || u.Hostname() == "localhost" || u.EscapedPath() == "") {
		err = errors.New("is not http://127.0.0.1/ and a path")
	}
	return err
}

// Capabilities are what a server can do for a task, as its metadata says.
type Capabilities struct {
	Issuer string
	// Limits are what it cannot promise, each a sentence.
	Limits []string
}

// Capabilities reads the server's metadata. Of a server that its API is yet to name
// nothing is known.
func (c *Client) Capabilities(ctx context.Context) (Capabilities, error) {
	if c.cfg.Issuer == "" {
		return Capabilities{}, nil
	}
	m, err := c.metadata(ctx)
	if err != nil {
		return Capabilities{}, err
	}
	all := Capabilities{Issuer: m.Issuer}
	limit := func(when bool, format string, args ...any) {
		if when {
			all.Limits = append(all.Limits, fmt.Sprintf(format, args...))
		}
	}
	limit(m.RevocationEndpoint == "", "it cannot revoke tokens: each lives until it expires by itself, up to %v", c.cfg.MaxLifetime)
	limit(m.RevocationEndpoint != "", "an API that checks tokens without asking the server takes a revoked one until it expires, up to %v", c.cfg.MaxLifetime)
	limit(c.cfg.Mode != CIBA && c.cfg.Mode != AuthorizationCode, "no person decides: it grants whatever the client may have")
	limit(m.GrantTypes != nil && !slices.Contains(m.GrantTypes, c.cfg.Mode.grantType()), "it does not say that it takes grants of type %s", c.cfg.Mode.grantType())
	limit(c.cfg.Mode == TokenExchange, "a token in exchange may end with the one that was given, or end it")
	limit(c.cfg.Mode == CIBA && m.BackchannelEndpoint == "", "it has no endpoint to ask a person at")
	limit(c.cfg.Mode == CIBA, "it does not say who decided, nor can an open request be withdrawn")
	binds := slices.Contains(m.DPoPAlgorithms, "ES256")
	limit(!c.cfg.DPoP, "tokens are bearer tokens, of use to whoever has one%s", map[bool]string{true: "; it can bind them to a key (DPoP), which is not asked for"}[binds])
	limit(c.cfg.DPoP && !binds, "it does not say that it binds tokens to a key (DPoP): one that it does not bind is not used")
	limit(c.cfg.Mode == AuthorizationCode, "the user logs in on this machine, and a login that a process leaves under way is begun anew")
	limit(true, "it takes no lifetime and tells no risk, and is not told why something is asked for")
	for name, t := range c.cfg.Types {
		limit(t.Scopes != nil && c.cfg.Mode != UMA, "%s is asked for as scopes: a token may do all that they allow", name)
		limit(t.Scopes == nil && !takes(m, name), "it does not say that it takes authorization details of type %s: they are not asked for", name)
	}
	return all, nil
}

// takes reports whether the server may be asked for details of a type: some say which
// they take, and some say nothing.
func takes(m oauth.Metadata, name string) bool {
	return m.DetailTypes == nil || slices.Contains(m.DetailTypes, name)
}
