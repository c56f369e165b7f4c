package lumoauth

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

// Defaults of [Config].
const (
	DefaultTries   = 4
	DefaultMaxWait = 30 * time.Second
	DefaultTimeout = 30 * time.Second // of one try, unless HTTPClient has its own
)

// Config says which instance to talk to, and as whom. URL, Org, ClientID and
// ClientSecret are required.
type Config struct {
	// URL is the instance, such as https://app.lumoauth.dev: https, or http on
	// loopback, with no path, query, fragment or user information.
	URL string

	// Org is the organization's slug, such as acme-corp.
	Org string

	// LegacyPrefix selects the paths /t/{tenant}/api/v1 of older instances in
	// place of /orgs/{org}/api/v1.
	LegacyPrefix bool

	// ClientID and ClientSecret are the agent's OAuth client credentials.
	ClientID     string
	ClientSecret secret.String

	// BasicAuth sends the client credentials in the Authorization header
	// (client_secret_basic) and not in the form, as LumoAuth's SDKs do.
	BasicAuth bool

	// Scopes are asked for at login. nil leaves them to the registration.
	Scopes []string

	// DPoP asks for tokens that are bound to a key of the client's (RFC 9449), made by New
	// and in memory only. A bearer token is not used then. A redeemed token is bound to the
	// same key, since the server knows who redeems by it.
	DPoP bool

	// DecideAt is the page below which people decide, such as an approvals page of the
	// program's own; a request's id is added. nil says the server's.
	DecideAt *url.URL

	// Callback returns the address that the server is to call when a person has decided about
	// a request of a task, such as runs.Callbacks.For does; "" for none. What is said there is
	// undocumented, and not signed: it is a reason to ask, and no decision. It must be safe for
	// concurrent use. nil names no address.
	Callback func(taskID string) string

	// HTTPClient lends its Transport, and its Timeout for one try. Its cookie jar
	// and redirect policy are not used: no redirect is ever followed. nil, or a nil
	// Transport, means a transport of the client's own, with the proxy of the
	// environment, TLS 1.2 or newer, and bounds on handshake, header size and header
	// delay. A transport of the caller's needs such bounds itself.
	HTTPClient *http.Client

	// Logger gets one line at debug level per try: what was called, the status,
	// how long it took. nil discards.
	Logger *slog.Logger

	// UserAgent is the User-Agent header; "" means "jitagent".
	UserAgent string

	// Tries is how often a repeatable call is sent at most; 0 means
	// [DefaultTries], 1 means never again. [Client.CompleteTask] is bound by its
	// context instead.
	Tries int

	// MaxWait is the longest wait between two tries, but for a tenth of jitter; 0
	// means [DefaultMaxWait]. When the server asks for more, the call returns, and
	// its [Error] says how long.
	MaxWait time.Duration
}

// A ConfigError lists everything that is wrong with a [Config].
type ConfigError struct {
	Problems []string // each names the field, and the usual environment variable
}

func (e *ConfigError) Error() string {
	return "lumoauth: configuration: " + strings.Join(e.Problems, "; ")
}

// check returns the API's base URL (without a slash at its end), or everything
// that is wrong.
func (cfg *Config) check() (string, error) {
	var bad []string
	problem := func(field, env string, err error) {
		switch {
		case err != nil && env != "":
			bad = append(bad, fmt.Sprintf("%s (%s) %v", field, env, err))
		case err != nil:
			bad = append(bad, fmt.Sprintf("%s %v", field, err))
		}
	}
	origin, err := checkURL(cfg.URL)
	problem("URL", "LUMOAUTH_URL", err)
	problem("Org", "LUMOAUTH_ORG_ID", checkOrg(cfg.Org))
	problem("ClientID", "AGENT_CLIENT_ID", checkCredential(cfg.ClientID))
	problem("ClientSecret", "AGENT_CLIENT_SECRET", checkCredential(cfg.ClientSecret.Reveal()))
	problem("Scopes", "", checkScopes(cfg.Scopes))
	problem("UserAgent", "", checkPrintable(cfg.UserAgent))
	if cfg.Tries < 0 {
		problem("Tries", "", errors.New("is negative"))
	}
	if cfg.MaxWait < 0 {
		problem("MaxWait", "", errors.New("is negative"))
	}
	if len(bad) > 0 {
		return "", &ConfigError{Problems: bad}
	}
	prefix := "/orgs/"
	if cfg.LegacyPrefix {
		prefix = "/t/"
	}
	return origin + prefix + url.PathEscape(cfg.Org) + "/api/v1", nil
}

var errNotSet = errors.New("is not set")

// checkURL returns scheme://host[:port]. Its errors do not quote the URL: one
// with a password in it would end up in a log.
func checkURL(text string) (string, error) {
	if text == "" {
		return "", errNotSet
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "", errors.New("is not a URL")
	case u.User != nil:
		return "", errors.New("carries user information: credentials have their own fields")
	case u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return "", errors.New("has a query or fragment")
	case u.Scheme == "":
		return "", errors.New("names no scheme: it should look like https://app.lumoauth.dev")
	case u.Path != "" && u.Path != "/":
		return "", errors.New("has a path: give the instance alone, the organization goes into Org")
	case u.Hostname() == "":
		return "", errors.New("names no host: it should look like https://app.lumoauth.dev")
	}
	origin, err := jit.OriginOf(u)
	switch {
	case errors.Is(err, jit.ErrInsecure):
		return "", fmt.Errorf("is plain http to %s: use https, http is for loopback only", u.Host)
	case err != nil:
		return "", errors.New("is neither an https nor an http URL")
	}
	return origin.String(), nil
}

// checkOrg holds the slug to what a path segment carries unchanged.
func checkOrg(org string) error {
	if org == "" {
		return errNotSet
	}
	for _, c := range []byte(org) {
		if !isAlnum(c) && !strings.ContainsRune("-_.", rune(c)) {
			return errors.New("is not a slug of letters, digits, '-', '_' and '.'")
		}
	}
	if strings.Trim(org, ".") == "" || len(org) > 128 {
		return errors.New("is not a slug")
	}
	return nil
}

// checkCredential catches what copying and env files do to credentials.
func checkCredential(v string) error {
	switch {
	case v == "":
		return errNotSet
	case strings.TrimSpace(v) != v:
		return errors.New("has white space at an end")
	}
	return checkPrintable(v)
}

func checkPrintable(v string) error {
	for _, c := range []byte(v) {
		if c < 0x20 || c > 0x7e {
			return errors.New("has characters outside printable ASCII")
		}
	}
	return nil
}

// checkScopes holds each scope to the syntax of RFC 6749, section 3.3.
func checkScopes(scopes []string) error {
	for _, s := range scopes {
		if s == "" || !oauth.Visible(s) || strings.ContainsAny(s, `"\`) {
			return fmt.Errorf("has %q, which is not a scope", s)
		}
	}
	return nil
}

func isAlnum(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// defaultTransport bounds everything that a server could stretch.
func defaultTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    64, // as many tasks at once keep theirs
		IdleConnTimeout:        90 * time.Second,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  DefaultTimeout,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
