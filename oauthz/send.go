package oauthz

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/jitagent/jitagent/dpop"
	"github.com/jitagent/jitagent/internal/peer"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

const (
	maxBody = 1 << 20 // of an answer
	maxText = 400     // of a server's words

	defaultTimeout  = 30 * time.Second // of one try
	assertionLife   = time.Minute      // of a JWT that stands for the client
	assertionBearer = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// An Error is a call to the server that did not work. It holds no credential.
type Error struct {
	Op         string // what was to be done, such as "ask for a token"
	StatusCode int    // 0 when there was no answer
	Code       string // the OAuth error code (RFC 6749, section 5.2); "" when it names none
	Message    string // the server's own words, cleaned and cut

	cause error
	wait  time.Duration
	again bool
	lost  bool // the server may have acted, and what it said is not known
}

func (e *Error) Error() string {
	text := "oauthz: " + e.Op
	if e.StatusCode != 0 {
		text += fmt.Sprintf(": status %d", e.StatusCode)
	}
	for _, part := range []string{e.Code, e.Message} {
		if part != "" {
			text += ": " + part
		}
	}
	if e.cause != nil {
		text += ": " + e.cause.Error()
	}
	return text
}

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// Temporary implements [jit.Temporary].
func (e *Error) Temporary() (time.Duration, bool) { return e.wait, e.again }

// Reason implements [jit.Refusal].
func (e *Error) Reason() string {
	text := strings.TrimSuffix(e.Code+": "+e.Message, ": ")
	if e.Code == "" {
		text = e.Message
	}
	return text
}

// refused reports whether the server answered with an OAuth error about what it was
// asked for, so that it did not do it. One about a proof says nothing of that.
func (e *Error) refused() bool {
	return e.StatusCode >= 400 && e.StatusCode < 500 && e.Code != "" && e.Code != dpop.CodeNonce && e.Code != dpop.CodeProof
}

// post sends a form as the client, once, with a proof of key if that is not nil, and
// returns the body of a 200 or 201.
func (c *Client) post(ctx context.Context, op, endpoint string, form url.Values, key *dpop.Key, hide ...string) ([]byte, error) {
	req, err := c.request(ctx, http.MethodPost, endpoint, form)
	if err != nil {
		return nil, &Error{Op: op, cause: err}
	}
	return c.do(op, req, key, hide...)
}

func (c *Client) get(ctx context.Context, op, place string) ([]byte, error) {
	req, err := c.request(ctx, http.MethodGet, place, nil)
	if err != nil {
		return nil, &Error{Op: op, cause: err}
	}
	return c.do(op, req, nil)
}

// request builds a request; one with a form is authenticated (RFC 6749, section 2.3).
func (c *Client) request(ctx context.Context, method, place string, form url.Values) (*http.Request, error) {
	basic := false
	if form != nil {
		switch {
		case c.cfg.Key != nil:
			assertion, err := c.assertion()
			if err != nil {
				return nil, err
			}
			form.Set("client_id", c.cfg.ClientID)
			form.Set("client_assertion_type", assertionBearer)
			form.Set("client_assertion", assertion)
		case c.cfg.Post:
			form.Set("client_id", c.cfg.ClientID)
			form.Set("client_secret", c.cfg.ClientSecret.Reveal())
		case c.cfg.ClientSecret.IsZero():
			form.Set("client_id", c.cfg.ClientID) // a public client (RFC 6749, section 3.2.1)
		default:
			basic = true
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, place, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, errors.New("the request cannot be built")
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if c.cfg.Key != nil && form != nil {
		// An assertion counts once, also where a proof is refused. Another is as long.
		req.GetBody = func() (io.ReadCloser, error) {
			assertion, err := c.assertion()
			form.Set("client_assertion", assertion)
			return io.NopCloser(strings.NewReader(form.Encode())), err
		}
	}
	if basic { // both halves are form-encoded first
		req.SetBasicAuth(url.QueryEscape(c.cfg.ClientID), url.QueryEscape(c.cfg.ClientSecret.Reveal()))
	}
	return req, nil
}

// jwtLike matches signed tokens, also those that nobody here knows.
var jwtLike = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{6,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)*`)

// do sends a request by the transport alone: nothing follows a redirect, keeps a cookie
// or writes a URL into an error.
func (c *Client) do(op string, req *http.Request, key *dpop.Key, hide ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	send := c.transport.RoundTrip
	if key != nil {
		send = func(r *http.Request) (*http.Response, error) { return key.RoundTrip(c.transport, r, secret.String{}) }
	}
	resp, err := send(req.WithContext(ctx))
	if err != nil {
		return nil, c.broke(req.Context(), op, err)
	}
	defer func() { _ = resp.Body.Close() }() // it is read, or given up
	body, err := strictjson.ReadAll(resp.Body, maxBody)
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusCreated {
		if err != nil {
			return nil, c.broke(req.Context(), op, err)
		}
		return body, nil
	}
	var scrub secret.Scrubber
	scrub.Add(c.cfg.ClientSecret)
	for _, text := range hide {
		scrub.Add(secret.New(text))
	}
	clean := func(text string) string {
		return peer.Clean(jwtLike.ReplaceAllLiteralString(scrub.Scrub(text), secret.Redacted), maxText)
	}
	e := &Error{Op: op, StatusCode: resp.StatusCode}
	if o, err := oauth.Decode(body); err == nil {
		if e.Code = clean(o.Text("error")); strings.Contains(e.Code, " ") {
			e.Code = "" // it is no code
		}
		e.Message = clean(o.Text("error_description"))
	}
	if resp.StatusCode == http.StatusUnauthorized && e.Message == "" {
		e.Message = "it refuses the client's own credentials"
	}
	e.wait, _ = peer.RetryAfter(resp.Header, time.Now())
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable:
		e.again = true // before anything was done (RFC 6585, section 4; RFC 9110, section 15.6.4)
	case resp.StatusCode >= 500:
		e.again, e.lost = true, true
	case resp.StatusCode < 300:
		e.lost = true
	}
	return nil, e
}

// broke explains an exchange without a whole answer.
func (c *Client) broke(ctx context.Context, op string, err error) error {
	e := &Error{Op: op, again: true, lost: !peer.NeverSent(err)}
	if ctx.Err() != nil {
		e.cause, e.again = ctx.Err(), false
		return e
	}
	fault := peer.Broke(err)
	e.again = fault != peer.Untrusted && fault != peer.NotTLS
	e.cause = errors.New(fault.String())
	return e
}

// signer is what signs as the client, by the algorithm that the key is for.
func signer(cfg *Config) (jose.Signer, error) {
	var alg jose.SignatureAlgorithm
	switch key := cfg.Key.Public().(type) {
	case *ecdsa.PublicKey:
		if key.Params().BitSize != 256 {
			return nil, errors.New("is not on P-256")
		}
		alg = jose.ES256
	case *rsa.PublicKey:
		alg = jose.RS256
	default:
		return nil, errors.New("is neither ECDSA nor RSA")
	}
	return jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: cfg.Key, KeyID: cfg.KeyID}}, (&jose.SignerOptions{}).WithType("JWT"))
}

// assertion is a JWT that stands for the client, for one use (RFC 7523, section 3). The
// issuer is its audience: a server elsewhere cannot use it.
func (c *Client) assertion() (string, error) {
	sign, err := signer(&c.cfg)
	if err != nil {
		return "", fmt.Errorf("the client's key %w", err)
	}
	now := time.Now()
	return jwt.Signed(sign).Claims(jwt.Claims{
		Issuer: c.cfg.ClientID, Subject: c.cfg.ClientID, Audience: jwt.Audience{c.cfg.Issuer}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(assertionLife)),
	}).Serialize()
}

// metadata reads the server's metadata, until that works once. Whatever goes wrong,
// nothing was done.
func (c *Client) metadata(ctx context.Context) (oauth.Metadata, error) {
	if m := c.known.Load(); m != nil {
		return *m, nil
	}
	m, err := c.discover(ctx)
	if e, ok := errors.AsType[*Error](err); ok {
		e.lost = false
	}
	return m, err
}

func (c *Client) discover(ctx context.Context) (oauth.Metadata, error) {
	const op = "read the server's metadata"
	places := []string{c.cfg.MetadataURL}
	if c.cfg.MetadataURL == "" {
		places, _ = oauth.MetadataPlaces(c.cfg.Issuer) // it was checked
	}
	var last error
	for _, place := range places {
		body, err := c.get(ctx, op, place)
		if e, ok := errors.AsType[*Error](err); ok && oauth.NotHere(e.StatusCode) {
			last = err
			continue // it is not there
		}
		if err != nil {
			return oauth.Metadata{}, err
		}
		m, err := oauth.ParseMetadata(body)
		if err == nil {
			err = m.Check(c.cfg.Issuer, place)
		}
		if err == nil && m.TokenEndpoint == "" {
			err = errors.New("token_endpoint is missing")
		}
		if err != nil {
			return oauth.Metadata{}, &Error{Op: op, cause: err}
		}
		c.known.Store(&m)
		return m, nil
	}
	return oauth.Metadata{}, last
}
