package lumoauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/jitagent/jitagent/jit"
)

const (
	opMetadata = "read server metadata"
	opPing     = "ping"
)

// Metadata describes the authorization server (RFC 8414), for those who configure
// something from it. The client itself uses none of it: its URLs come from its
// [Config]. Every URL in it is https, or http on loopback.
type Metadata struct {
	Issuer                string // expected as iss in tokens
	TokenEndpoint         string
	JWKSURI               string
	IntrospectionEndpoint string // may be empty
	RevocationEndpoint    string // may be empty
	GrantTypes            []string
	DPoPAlgorithms        []string // those for key-bound tokens, which this package does not support
}

// Metadata reads the server's metadata. It is not cached. Unlike RFC 8414, section
// 3.3, asks, the issuer is not compared with the configured URL: LumoAuth's issuers
// have several spellings and are to be read, never built.
func (c *Client) Metadata(ctx context.Context) (Metadata, error) {
	a, err := c.plain(ctx, metadataCall(opMetadata))
	if err != nil {
		return Metadata{}, err
	}
	m, err := decodeMetadata(a)
	if err != nil {
		return Metadata{}, unusable(opMetadata, a, err)
	}
	return m, nil
}

func metadataCall(op string) call {
	return call{
		op: op, method: http.MethodGet, path: path(".well-known", "oauth-authorization-server"), repeat: repeatSafe,
	}
}

func decodeMetadata(a answer) (Metadata, error) {
	o, err := decodeObject(a.body)
	if err != nil {
		return Metadata{}, err
	}
	m := Metadata{GrantTypes: o.texts("grant_types_supported"), DPoPAlgorithms: o.texts("dpop_signing_alg_values_supported")}
	for _, f := range []struct {
		name     string
		to       *string
		required bool
	}{
		{"issuer", &m.Issuer, true},
		{"token_endpoint", &m.TokenEndpoint, true},
		{"jwks_uri", &m.JWKSURI, true},
		{"introspection_endpoint", &m.IntrospectionEndpoint, false},
		{"revocation_endpoint", &m.RevocationEndpoint, false},
	} {
		*f.to = o.text(f.name)
		if *f.to == "" && !f.required {
			continue
		}
		if err := checkEndpoint(*f.to); err != nil {
			return Metadata{}, fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return m, nil
}

// checkEndpoint accepts the URL of a place that credentials could be sent to.
func checkEndpoint(text string) error {
	u, err := url.Parse(text)
	if err != nil || text == "" || u.Fragment != "" {
		return errors.New("not an endpoint URL")
	}
	if _, err := jit.OriginOf(u); err != nil {
		return errors.New("not https, nor http on loopback")
	}
	return nil
}

// A PingResult is what one unauthenticated call shows.
type PingResult struct {
	Metadata  Metadata
	RoundTrip time.Duration
	// ServerTime is the server's clock; zero when it sends no Date.
	ServerTime time.Time
	// Skew is how far that clock is ahead of ours (negative: behind), to about a
	// second, which is all that the Date header tells. 0 without ServerTime.
	Skew time.Duration
}

// Ping makes one try to read the server's metadata, and compares clocks. It needs
// no valid credentials.
func (c *Client) Ping(ctx context.Context) (PingResult, error) {
	a, err := c.once(ctx, metadataCall(opPing))
	if err != nil {
		return PingResult{}, err
	}
	m, err := decodeMetadata(a)
	if err != nil {
		return PingResult{}, unusable(opPing, a, err)
	}
	p := PingResult{Metadata: m, RoundTrip: a.received.Sub(a.sent)}
	if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
		p.ServerTime = date
		// The header was written about half-way, and cuts off the fraction of its
		// second, which is half of one on average.
		p.Skew = date.Add(time.Second / 2).Sub(a.sent.Add(p.RoundTrip / 2))
	}
	return p, nil
}
