package oauth

import (
	"errors"
	"fmt"
	"strings"
)

// ResourceMetadata describes a protected API (RFC 9728, section 2).
type ResourceMetadata struct {
	Resource string   // the API as its servers know it
	Servers  []string // the issuers of tokens for it; at least one
	Scopes   []string // scopes_supported: of use at it; nil when it does not say
}

// ParseResource decodes the metadata of an API and refuses what is not resource's own,
// byte for byte (RFC 9728, section 3.3): a token for another name would be one that
// somebody else takes. An issuer on loopback counts only for an API there.
func ParseResource(body []byte, resource string) (ResourceMetadata, error) {
	o, err := Decode(body)
	if err != nil {
		return ResourceMetadata{}, err
	}
	m := ResourceMetadata{Resource: o.Text("resource"), Servers: o.Texts("authorization_servers"), Scopes: o.Texts("scopes_supported")}
	if m.Resource != resource {
		return ResourceMetadata{}, fmt.Errorf("resource is %q, want %q", m.Resource, resource)
	}
	if len(m.Servers) == 0 {
		return ResourceMetadata{}, errors.New("authorization_servers is missing")
	}
	for _, issuer := range m.Servers {
		u, err := ParseURL(issuer)
		if err == nil && loopback(u.Hostname()) {
			if at, bad := ParseURL(resource); bad != nil || !loopback(at.Hostname()) {
				err = errors.New("is on loopback, and the API is not")
			}
		}
		if err != nil {
			return ResourceMetadata{}, fmt.Errorf("authorization_servers: %q %w", issuer, err)
		}
	}
	return m, nil
}

// A ResourcePlace is where the metadata of an API may be, and the name of the API that
// metadata there must bear.
type ResourcePlace struct{ URL, Resource string }

// ResourcePlaces lists where the metadata of resource may be, best first: at said, which
// a refusal named (RFC 9728, section 5.1; "" for none), and then nowhere else; or where
// section 3.1 puts it, for the API and for its whole origin. A place on another origin is
// refused.
func ResourcePlaces(resource, said string) ([]ResourcePlace, error) {
	const wellKnown = "/.well-known/oauth-protected-resource"
	u, err := ParseURL(resource)
	if err != nil {
		return nil, err
	}
	origin := u.Scheme + "://" + u.Host
	if said != "" {
		at, err := ParseURL(said)
		if err == nil && (at.Scheme != u.Scheme || !strings.EqualFold(at.Host, u.Host)) {
			err = errors.New("is on another origin than the API")
		}
		if err != nil {
			return nil, fmt.Errorf("resource_metadata %w", err)
		}
		return []ResourcePlace{{said, resource}}, nil
	}
	places := []ResourcePlace{{origin + wellKnown + strings.TrimRight(u.EscapedPath(), "/"), resource}}
	if resource != origin {
		places = append(places, ResourcePlace{origin + wellKnown, origin})
	}
	return places, nil
}
