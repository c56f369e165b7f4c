package oauthz

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/oauth"
	"github.com/jitagent/jitagent/secret"
)

const (
	opDiscover = "find out who issues tokens for the API"
	opRegister = "register as a client"

	// maxServers bounds how many servers the APIs of one client may send it to.
	maxServers = 32

	clientName = "jitagent"
)

// A place is a server, an API of which it issues tokens, and who we are there, where that
// is not in the configuration.
type place struct {
	Issuer   string `json:"issuer"`
	Resource string `json:"resource,omitempty"`
	ClientID string `json:"client_id,omitempty"`
	Secret   string `json:"client_secret,omitempty"`
	Post     bool   `json:"post,omitempty"`
}

// place returns where c asks; nil where the configuration says so.
func (c *Client) place() *place {
	if !c.found {
		return nil
	}
	p := &place{Issuer: c.cfg.Issuer, Resource: c.cfg.Resource}
	if c.cfg.ClientID != c.given.ClientID {
		p.ClientID, p.Secret, p.Post = c.cfg.ClientID, c.cfg.ClientSecret.Reveal(), c.cfg.Post
	}
	return p
}

// at returns the client for a place; that of the configuration for nil.
func (c *Client) at(p *place) (*Client, error) {
	if p == nil {
		return c.configured, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if there := c.places[*p]; there != nil {
		return there, nil
	}
	if len(c.places) >= maxServers {
		return nil, &Error{Op: opDiscover, Message: "its APIs name too many authorization servers"}
	}
	there := &Client{cfg: c.given, transport: c.transport, timeout: c.timeout, shared: c.shared, found: true}
	if there.cfg.Issuer != p.Issuer {
		there.cfg.Issuer, there.cfg.MetadataURL = p.Issuer, ""
		there.cfg.ClientID, there.cfg.ClientSecret, there.cfg.Key = "", secret.String{}, nil // another's
	}
	there.cfg.Resource = p.Resource
	if p.ClientID != "" {
		there.cfg.ClientID, there.cfg.ClientSecret, there.cfg.Post = p.ClientID, secret.New(p.Secret), p.Post
	}
	c.places[*p] = there
	return there, nil
}

var _ jit.Discoverer = (*Client)(nil)

// Discover implements [jit.Discoverer] with [AuthorizationCode]: an API's own metadata
// (RFC 9728) says who issues tokens for it, now: it may have moved. Where the configuration
// names an issuer, that must be among them, and the configured API needs no metadata. Of
// one origin one resource is logged in at: the engine's grants go wherever that origin is.
func (c *Client) Discover(ctx context.Context, origin jit.Origin, api, metadata string) (scopes []string, err error) {
	if c.cfg.Mode != AuthorizationCode {
		return nil, nil
	}
	own, resource := origin == c.api, api
	if own {
		resource = cmp.Or(c.cfg.Resource, api)
	}
	places, err := oauth.ResourcePlaces(resource, metadata)
	if err != nil {
		return nil, &Error{Op: opDiscover, cause: err}
	}
	for _, p := range places {
		body, err := c.get(ctx, opDiscover, p.URL)
		if e, ok := errors.AsType[*Error](err); ok && oauth.NotHere(e.StatusCode) {
			continue // it is not there
		}
		if err != nil {
			return nil, err
		}
		m, err := oauth.ParseResource(body, p.Resource)
		if err == nil && c.cfg.Issuer != "" && !slices.Contains(m.Servers, c.cfg.Issuer) {
			err = errors.New("its tokens are issued by another server than the one that is configured")
		}
		if err != nil {
			return nil, &Error{Op: opDiscover, cause: err}
		}
		at, err := c.at(&place{Issuer: cmp.Or(c.cfg.Issuer, m.Servers[0]), Resource: m.Resource})
		if err == nil {
			err = c.issuedBy(at, origin.String())
		}
		return append([]string{}, m.Scopes...), err
	}
	if c.cfg.Issuer == "" || !own {
		return nil, &Error{Op: opDiscover, Message: "the API does not say who issues its tokens"}
	}
	return []string{}, nil
}

// issuedBy notes the client for an API's tokens.
func (c *Client) issuedBy(at *Client, api string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.issuers[api]; before != nil && before.cfg.Resource != at.cfg.Resource {
		return &Error{Op: opDiscover, Message: "it is at the same origin as another API, and a token is for one of them: only the first is logged in at"}
	}
	c.issuers[api] = at
	return nil
}

// server returns the client for the server that issues tokens for the API at an origin;
// "" is that of a token which is sent nowhere.
func (c *Client) server(ctx context.Context, api string) (*Client, error) {
	own := api == "" || api == c.api.String()
	if c.cfg.Mode != AuthorizationCode && !own {
		return nil, &Error{Op: opRequest, Message: "this is not the API that tokens are configured for, and either could use a token at the other"}
	}
	at := c.issuerFor(api)
	if at == nil && (c.cfg.Issuer == "" || !own) {
		origin, err := jit.ParseOrigin(api)
		if err == nil {
			_, err = c.Discover(ctx, origin, api, "")
		}
		if err != nil {
			return nil, err
		}
		at = c.issuerFor(api)
	}
	return cmp.Or(at, c), nil
}

func (c *Client) issuerFor(api string) *Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.issuers[api]
}

// registered returns the client under the name that the server knows it by: the one that
// is configured, else the document that describes it, else one that it makes now (RFC
// 7591), for as long as this process lives.
func (c *Client) registered(ctx context.Context, m oauth.Metadata, redirect string) (*Client, error) {
	if c.cfg.ClientID != "" {
		return c, nil
	}
	c.registering.Lock()
	defer c.registering.Unlock()
	p := c.clients[m.Issuer]
	switch {
	case p.ClientID != "":
	case c.cfg.Document != "" && m.TakesDocuments:
		p.ClientID = c.cfg.Document
	case m.RegistrationEndpoint == "":
		return nil, &Error{Op: opRegister, Message: "the server registers no clients by itself: register one there, and configure its id"}
	default:
		var err error
		if p, err = c.register(ctx, m, redirect); err != nil {
			return nil, err
		}
	}
	c.clients[m.Issuer] = p
	p.Issuer, p.Resource = c.cfg.Issuer, c.cfg.Resource
	return c.at(&p)
}

// register makes a client: a public one where the server has those.
func (c *Client) register(ctx context.Context, m oauth.Metadata, redirect string) (p place, err error) {
	const public, basic, post = "none", "client_secret_basic", "client_secret_post"
	methods := m.AuthMethods
	if methods == nil {
		methods = []string{basic} // RFC 8414, section 2
	}
	method := ""
	for _, name := range []string{public, basic, post} {
		if method == "" && slices.Contains(methods, name) {
			method = name
		}
	}
	if method == "" {
		return p, &Error{Op: opRegister, Message: "the server wants clients to prove who they are in a way that is not known here: register one there, and configure it"}
	}
	text, err := json.Marshal(map[string]any{
		"client_name": clientName, "application_type": "native", "redirect_uris": []string{redirect}, "response_types": []string{"code"},
		"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": method,
	})
	if err != nil {
		return p, err
	}
	req, err := c.request(ctx, http.MethodPost, m.RegistrationEndpoint, nil)
	if err != nil {
		return p, &Error{Op: opRegister, cause: err}
	}
	req.Header.Set("Content-Type", "application/json")
	req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	body, err := c.do(opRegister, req, nil)
	if err != nil {
		return p, err
	}
	o, err := oauth.Decode(body)
	p.ClientID = o.Text("client_id")
	if err == nil && p.ClientID == "" {
		err = errors.New("client_id is missing")
	}
	switch method = cmp.Or(o.Text("token_endpoint_auth_method"), method); method {
	case public:
	case post, basic:
		p.Secret, p.Post = o.Text("client_secret"), method == post
		if err == nil && p.Secret == "" {
			err = errors.New("client_secret is missing")
		}
	default:
		err = errors.Join(err, errors.New("the server made a client that cannot prove who it is"))
	}
	if err != nil {
		return place{}, &Error{Op: opRegister, cause: err}
	}
	return p, nil
}
