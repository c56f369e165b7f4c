package resource

import (
	"context"
	"errors"
	"fmt"
	"net/http"

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

// parseMetadata decodes the metadata read at place, and checks that it is issuer's.
func parseMetadata(body []byte, issuer, place string) (*oauth.Metadata, error) {
	m, err := oauth.ParseMetadata(body)
	if err == nil {
		err = m.Check(issuer, place)
	}
	if err != nil {
		return nil, err
	}
	for name, value := range map[string]string{"jwks_uri": m.JWKSURI, "introspection_endpoint": m.IntrospectionEndpoint} {
		if value == "" {
			return nil, errors.New(name + " is missing")
		}
	}
	return &m, nil
}
