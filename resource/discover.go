package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/jitagent/jitagent/oauth"
)

// discover reads the authorization server's metadata at MetadataURL, or at the usual
// places below Issuer when that is "".
func discover(ctx context.Context, client *http.Client, cfg Config) (*oauth.Metadata, error) {
	issuer, places := cfg.Issuer, []string{cfg.MetadataURL}
	if cfg.MetadataURL == "" {
		var err error
		if places, err = oauth.MetadataPlaces(issuer); err != nil {
			return nil, fmt.Errorf("resource: Issuer %w", err)
		}
	}
	var failures []error
	for _, p := range places {
		body, err := get(ctx, client, p)
		if s, ok := errors.AsType[*statusError](err); ok && oauth.NotHere(s.status) {
			failures = append(failures, err)
			continue
		}
		if err != nil {
			failures = append(failures, err)
			break // the server is there and fails, or is not there at all
		}
		m, err := parseMetadata(body, cfg, p)
		if err != nil {
			return nil, fmt.Errorf("resource: metadata at %s: %w", p, err)
		}
		return m, nil
	}
	return nil, fmt.Errorf("resource: no authorization server metadata for %s "+
		"(set MetadataURL, or both JWKSURL and IntrospectionURL): %w", issuer, errors.Join(failures...))
}

// parseMetadata decodes the metadata read at place, and checks that it is the issuer's and
// names what is needed.
func parseMetadata(body []byte, cfg Config, place string) (*oauth.Metadata, error) {
	m, err := oauth.ParseMetadata(body)
	if err == nil {
		err = m.Check(cfg.Issuer, place)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case m.JWKSURI == "" && cfg.Trust != Active:
		return nil, errors.New("jwks_uri is missing")
	case m.IntrospectionEndpoint == "" && cfg.Trust != Signed:
		return nil, errors.New("introspection_endpoint is missing")
	}
	return &m, nil
}
