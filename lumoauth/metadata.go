package lumoauth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/jitagent/jitagent/oauth"
)

// Metadata reads the server's metadata. It is not cached. Unlike RFC 8414, section
// 3.3, asks, the issuer is not compared with the configured URL: LumoAuth's issuers
// have several spellings and are to be read, never built.
func (c *Client) Metadata(ctx context.Context) (oauth.Metadata, error) {
	return ask(ctx, metadataCall("read server metadata"), c.plain, parseMetadata)
}

func metadataCall(op string) call {
	return call{
		op: op, method: http.MethodGet, path: path(".well-known", "oauth-authorization-server"), repeat: repeatSafe,
	}
}

// parseMetadata reads what names at least the places that matter to a client.
func parseMetadata(a answer) (oauth.Metadata, error) {
	m, err := oauth.ParseMetadata(a.body)
	for name, value := range map[string]string{"issuer": m.Issuer, "token_endpoint": m.TokenEndpoint, "jwks_uri": m.JWKSURI} {
		if err == nil && value == "" {
			err = errors.New(name + " is missing")
		}
	}
	return m, err
}

// A PingResult is what one unauthenticated call shows.
type PingResult struct {
	Metadata  oauth.Metadata
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
	return ask(ctx, metadataCall("ping"), c.once, func(a answer) (PingResult, error) {
		m, err := parseMetadata(a)
		p := PingResult{Metadata: m, RoundTrip: a.received.Sub(a.sent)}
		if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
			p.ServerTime = date
			// The header was written about half-way, and cuts off the fraction of its
			// second, which is half of one on average.
			p.Skew = date.Add(time.Second / 2).Sub(a.sent.Add(p.RoundTrip / 2))
		}
		return p, err
	})
}
