package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/jitagent/jitagent/oauth"
)

// discover reads the authorization server's metadata at place, or at the usual
// places below issuer when place is "".
func discover(ctx context.Context, client *http.Client, issuer, place string) (*oauth.Metadata, error) {
	places := []string{place}
	if place == "" {
		var err error
		if places, err = oauth.MetadataPlaces(issuer); err != nil {
			return nil, fmt.Errorf("resource: Issuer %w", err)
		}
	}
	var failures []error
	for _, p := range places {
		body, err := get(ctx, client, p)
		if s, ok := errors.AsType[*statusError](err); ok && s.status == http.StatusNotFound {
			failures = append(failures, err)
			continue
		}
		if err != nil {
			failures = append(failures, err)
			break // the server is there and fails, or is not there at all
		}
		m, err := parseMetadata(body, issuer, p)
		if err != nil {
			return nil, fmt.Errorf("resource: metadata at %s: %w", p, err)
		}
		return m, nil
	}
	return nil, fmt.Errorf("resource: no authorization server metadata for %s "+
		"(set MetadataURL, or both JWKSURL and IntrospectionURL): %w", issuer, errors.Join(failures...))
}

// parseMetadata decodes the metadata read at place. Its issuer must be the
// expected one (RFC 8414, section 3.3), and what it names must be on its own
// origin: whoever can plant an endpoint elsewhere would receive every token and
// this API's secret.
func parseMetadata(body []byte, issuer, place string) (*oauth.Metadata, error) {
	m, err := oauth.ParseMetadata(body)
	if err != nil {
		return nil, err
	}
	if m.Issuer != issuer {
		return nil, fmt.Errorf("issuer is %q, want %q", m.Issuer, issuer)
	}
	from, err := oauth.ParseURL(place)
	if err != nil {
		return nil, err
	}
	for _, e := range []struct{ name, value string }{
		{"jwks_uri", m.JWKSURI},
		{"introspection_endpoint", m.IntrospectionEndpoint},
	} {
		u, err := oauth.ParseURL(e.value)
		if err != nil {
			return nil, fmt.Errorf("%s %w", e.name, err)
		}
		if u.Scheme != from.Scheme || !strings.EqualFold(u.Host, from.Host) {
			return nil, fmt.Errorf("%s is on another origin, name it in the configuration if that is meant", e.name)
		}
	}
	return &m, nil
}
