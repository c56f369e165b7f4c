package cli

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/oauthz"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/vault"
)

// The environment variables of a standard OAuth server, in place of LumoAuth.
const (
	EnvIssuer      = "OAUTH_ISSUER"
	EnvOAuthClient = "OAUTH_CLIENT_ID"
	EnvOAuthSecret = "OAUTH_CLIENT_SECRET" //nolint:gosec // the name of a variable
	EnvOAuthFile   = "OAUTH_CLIENT_SECRET_FILE"
	EnvOAuthKey    = "OAUTH_CLIENT_KEY_FILE"
	EnvMode        = "OAUTH_MODE"
	EnvTypes       = "OAUTH_TYPES"
	EnvResource    = "OAUTH_RESOURCE"
	EnvAudience    = "OAUTH_AUDIENCE"
	EnvSubject     = "OAUTH_SUBJECT_TOKEN_FILE" //nolint:gosec // the name of a variable
	EnvVaultKey    = "ANALYST_VAULT_KEY_FILE"
)

// variables are those of the fields of [oauthz.Config], for whoever set them.
var variables = map[string]string{
	"Issuer": EnvIssuer, "ClientID": EnvOAuthClient, "ClientSecret": EnvOAuthSecret, "Key": EnvOAuthKey, "Mode": EnvMode,
	"Resource": EnvResource, "Audience": EnvAudience, "Subject": EnvSubject, "DPoP": EnvDPoP, "Types": EnvTypes,
}

// oauthFlags are the flags of a standard server.
type oauthFlags struct{ issuer, client, secretFile, keyFile, mode, types, resource, audience string }

// modes are the words for [oauthz.Mode], in its order.
var modes = []string{"client_credentials", "ciba", "uma", "token_exchange", "authorization_code"}

func (o *oauthFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.issuer, "oauth-issuer", "", "`ISSUER` of a standard OAuth server, in place of LumoAuth ("+EnvIssuer+")")
	f.StringVar(&o.client, "oauth-client-id", "", "client `ID` there ("+EnvOAuthClient+")")
	f.StringVar(&o.secretFile, "oauth-client-secret-file", "", "`FILE` that holds its secret ("+EnvOAuthFile+", or set "+EnvOAuthSecret+")")
	f.StringVar(&o.keyFile, "oauth-client-key-file", "", "`FILE` with a private key that signs in place of a secret: PEM or a JWK ("+EnvOAuthKey+")")
	f.StringVar(&o.mode, "oauth-mode", "", "`MODE`: client_credentials, ciba, which asks the user of --on-behalf-of, uma (Keycloak), token_exchange, or authorization_code, with which somebody logs in with a browser on this machine ("+EnvMode+")")
	f.StringVar(&o.types, "oauth-types", "", "`TYPES` of authorization details that may be asked for, such as file_access; TYPE:ACTION=SCOPE asks for a scope in their place, with uma on the resource that the identifier names ("+EnvTypes+")")
	f.StringVar(&o.resource, "oauth-resource", "", "`URL` of the API, as the server knows it ("+EnvResource+"; default that of the API)")
	f.StringVar(&o.audience, "oauth-audience", "", "client `ID` of the API there, for uma and token_exchange ("+EnvAudience+")")
	Complete(cmd, "oauth-client-key-file", Files)
	Complete(cmd, "oauth-client-secret-file", Files)
	Complete(cmd, "oauth-mode", Words(modes...))
}

// resolve puts flags and environment together; nil when none of it is set.
func (o *oauthFlags) resolve(pick func(flag string, names ...string) string, api string, dpop bool, bad func(string, ...any)) *oauthz.Config {
	given := []struct{ value, missing string }{
		{pick(o.issuer, EnvIssuer), EnvIssuer + " (--oauth-issuer)"},
		{pick(o.client, EnvOAuthClient), EnvOAuthClient + " (--oauth-client-id)"},
		{cmp.Or(pick(o.secretFile, EnvOAuthFile), pick("", EnvOAuthSecret), pick(o.keyFile, EnvOAuthKey)), EnvOAuthSecret + " (--oauth-client-secret-file) or " + EnvOAuthKey + " (--oauth-client-key-file)"},
		{pick(o.types, EnvTypes), EnvTypes + " (--oauth-types)"},
		{api, EnvAPI + " (--api-url)"},
	}
	set := pick(o.mode, EnvMode) + pick(o.resource, EnvResource) + pick(o.audience, EnvAudience) + pick("", EnvSubject)
	login := pick(o.mode, EnvMode) == modes[oauthz.AuthorizationCode] // which needs nothing but an API
	var missing []string
	for i, g := range given {
		if g.value == "" && (!login || i == len(given)-1) {
			missing = append(missing, g.missing)
		} else if i < len(given)-1 { // the API belongs to either server
			set += g.value
		}
	}
	switch {
	case set == "":
		return nil
	case len(missing) > 0:
		bad("half a configuration: set also %s, or unset all that begin with OAUTH_", strings.Join(missing, ", "))
		return &oauthz.Config{}
	}
	cfg := &oauthz.Config{
		Issuer: given[0].value, ClientID: given[1].value, ClientSecret: secret.New(pick("", EnvOAuthSecret)),
		API: api, Resource: cmp.Or(pick(o.resource, EnvResource), api), Audience: pick(o.audience, EnvAudience), DPoP: dpop, UserAgent: UserAgent(),
	}
	if cfg.Issuer == "" {
		cfg.Resource = pick(o.resource, EnvResource) // each API is its own
	}
	mode := slices.Index(modes, cmp.Or(pick(o.mode, EnvMode), modes[0]))
	if mode < 0 {
		bad("%s is none of %s", EnvMode, strings.Join(modes, ", "))
	} else {
		cfg.Mode = oauthz.Mode(mode) //nolint:gosec // there are few
	}
	cfg.Open = func(context.Context, string) error { return errors.New("nobody is told where to log in") }
	cfg.Types = types(given[3].value, cfg.Mode == oauthz.UMA, bad)
	if file := pick("", EnvSubject); file != "" {
		cfg.Subject = func(context.Context, jit.TaskSpec) (secret.String, error) { return secretFrom(EnvSubject, file, false) }
		if _, err := secretFrom(EnvSubject, file, false); cfg.Mode != oauthz.TokenExchange {
			bad("%s is for %s=%s only: unset it", EnvSubject, EnvMode, modes[oauthz.TokenExchange])
		} else if err != nil {
			bad("%v", err)
		}
	}
	if file := pick("", EnvVaultKey); file != "" {
		if _, err := vault.ReadKey(file); err != nil {
			bad("%s: %v", EnvVaultKey, err)
		}
	}
	key, file := pick(o.keyFile, EnvOAuthKey), pick(o.secretFile, EnvOAuthFile)
	var err error
	switch {
	case file != "" && o.secretFile == "" && !cfg.ClientSecret.IsZero():
		bad("%s and %s are set: unset one of them", EnvOAuthSecret, EnvOAuthFile)
	case file != "":
		cfg.ClientSecret, err = secretFrom(EnvOAuthFile+" (--oauth-client-secret-file)", file, false)
	}
	switch {
	case err != nil:
	case key != "" && !cfg.ClientSecret.IsZero():
		err = fmt.Errorf("a secret (%s or %s) and a key (%s) are set: unset one of them", EnvOAuthSecret, EnvOAuthFile, EnvOAuthKey)
	case key != "":
		cfg.Key, cfg.KeyID, err = keyFrom(EnvOAuthKey+" (--oauth-client-key-file)", key)
	}
	if err != nil {
		bad("%v", err)
		return cfg // without which nothing else can be said
	}
	if _, err := oauthz.New(*cfg); err != nil {
		wrong, ok := errors.AsType[*oauthz.ConfigError](err)
		if !ok {
			bad("%v", err)
			return cfg
		}
		for _, problem := range wrong.Problems {
			field, what, _ := strings.Cut(problem, " ")
			bad("%s %s", cmp.Or(variables[field], field), what)
		}
	}
	return cfg
}

// keyFrom reads the private key that a file holds, in PEM or as a JWK, which may name it.
func keyFrom(flag, path string) (crypto.Signer, string, error) {
	text, err := secretFrom(flag, path, false)
	if err != nil {
		return nil, "", err
	}
	var jwk jose.JSONWebKey
	if block, _ := pem.Decode([]byte(text.Reveal())); block != nil {
		for _, parse := range []func([]byte) (any, error){
			x509.ParsePKCS8PrivateKey,
			func(der []byte) (any, error) { return x509.ParseECPrivateKey(der) },
			func(der []byte) (any, error) { return x509.ParsePKCS1PrivateKey(der) },
		} {
			if key, err := parse(block.Bytes); err == nil {
				jwk.Key = key
			}
		}
	} else if err := jwk.UnmarshalJSON([]byte(text.Reveal())); err != nil {
		jwk.Key = nil // its text may quote the key
	}
	key, ok := jwk.Key.(crypto.Signer)
	if !ok {
		return nil, "", fmt.Errorf("%s: %s holds no private key that signs, in PEM or as a JWK", flag, path)
	}
	return key, jwk.KeyID, nil
}

// types reads what may be asked for: TYPE, or TYPE:ACTION=SCOPE once or more for a type.
// As permissions, scopes are those of the resource that the identifier names.
func types(text string, permissions bool, bad func(string, ...any)) map[string]oauthz.Type {
	all, scopes := map[string]oauthz.Type{}, map[string]map[string]string{}
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' }) {
		left, scope, scoped := strings.Cut(word, "=")
		name, action, acts := strings.Cut(left, ":")
		_, twice := all[name]
		_, scopeErr := rar.Scopes(scope).Check()
		switch {
		case scoped != acts || name == "" || scoped && (scope == "" || action == "") || twice && (!scoped || scopes[name] == nil):
			bad("%s: %s: write TYPE, or TYPE:ACTION=SCOPE", EnvTypes, word)
			continue
		case scopes[name][action] != "":
			bad("%s: %s: the action is there already", EnvTypes, word)
			continue
		case scoped && scopeErr != nil:
			bad("%s: %s: not a scope (RFC 6749, section 3.3)", EnvTypes, word)
			continue
		}
		if !scoped {
			all[name] = oauthz.Type{}
			continue
		}
		if scopes[name] == nil {
			scopes[name] = map[string]string{}
		}
		scopes[name][action] = scope
		all[name] = oauthz.Type{Scopes: func(d rar.Detail) (out []string) {
			for _, a := range d.Actions {
				if scopes[name][a] == "" {
					return nil // there is none for all that is asked
				}
				scope := scopes[name][a]
				if permissions {
					scope = d.Identifier + "#" + scope
				}
				out = append(out, scope)
			}
			slices.Sort(out)
			return slices.Compact(out)
		}}
	}
	if text != "" && len(all) == 0 {
		bad("%s names no type", EnvTypes)
	}
	return all
}

// An Authority is where a command asks for authority, and gives it back.
type Authority interface {
	jit.Authority
	jit.Revoker
}

// Authority returns the authorization server that is set. state is where the
// vault of a standard server is; nil keeps that in memory, as a state in memory does.
func (p *Program) Authority(s Settings, state *State, logger *slog.Logger) (Authority, error) {
	if s.OAuth == nil {
		cfg := s.LumoAuth
		cfg.Logger, cfg.HTTPClient = logger, p.traced()
		return lumoauth.New(cfg)
	}
	cfg := *s.OAuth
	cfg.Logger, cfg.HTTPClient = logger, p.traced()
	cfg.Open = func(_ context.Context, address string) error {
		_, err := fmt.Fprintf(p.Stderr, "log in with a browser on this machine: %s\n", address)
		return err
	}
	if state != nil && state.where != "" {
		v, err := state.Vault(cmp.Or(p.Database.key, p.Getenv(EnvVaultKey)))
		if err != nil {
			return nil, StateError(err, "")
		}
		cfg.Vault = v
	}
	return oauthz.New(cfg)
}

// Traced returns a with a span for each question that recovery has.
func (p *Program) Traced(a jit.Authority) jit.Authority {
	return p.Telemetry.Engine(jit.Config{Authority: a}).Authority
}

// traced returns the client for the authorization server; nil is its own.
func (p *Program) traced() *http.Client {
	if p.Telemetry == nil {
		return nil
	}
	return &http.Client{Transport: p.Telemetry.Base(nil)}
}

// Server says which authorization server is set, for people.
func (s Settings) Server() string {
	switch {
	case s.OAuth != nil && s.OAuth.Issuer == "":
		return "at the server that an API names"
	case s.OAuth != nil:
		return s.OAuth.Issuer + " (client " + s.OAuth.ClientID + ")"
	}
	return s.LumoAuth.URL + " (" + s.LumoAuth.Org + ")"
}

// Limits says what the authorization server cannot promise, as far as it tells.
func Limits(ctx context.Context, a Authority) ([]string, error) {
	c, ok := a.(*oauthz.Client)
	if !ok {
		return nil, nil
	}
	can, err := c.Capabilities(ctx)
	return can.Limits, err
}
