package oauth

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
)

// Metadata describes an authorization server (RFC 8414, section 2). Every URL in it
// is https, or http on loopback; what the server does not name is empty.
type Metadata struct {
	Issuer                string // expected as iss in tokens
	AuthorizationEndpoint string // where a person logs in (RFC 6749, section 3.1)
	PushedEndpoint        string // takes what a person is to be asked (RFC 9126)
	OnlyPushed            bool   // and nothing that was not sent there
	RegistrationEndpoint  string // makes clients (RFC 7591)
	TokenEndpoint         string
	JWKSURI               string
	IntrospectionEndpoint string
	RevocationEndpoint    string
	BackchannelEndpoint   string // where a person is asked (CIBA Core, section 4)
	GrantTypes            []string
	DetailTypes           []string // of authorization details that it takes (RFC 9396, section 10)
	DPoPAlgorithms        []string // those for key-bound tokens (RFC 9449, section 5.1)
	Challenges            []string // code challenge methods that it takes (RFC 7636, section 4.3)
	AuthMethods           []string // how clients prove who they are; nil is client_secret_basic
	SaysIssuer            bool     // it names itself where it answers through a browser (RFC 9207)
	TakesDocuments        bool     // a client may be the URL of a document that describes it
}

// ParseMetadata decodes a metadata document. It does not compare the issuer, nor the
// places with each other: what is to be believed depends on where the document was
// read.
func ParseMetadata(body []byte) (Metadata, error) {
	o, err := Decode(body)
	if err != nil {
		return Metadata{}, err
	}
	m := Metadata{
		Issuer:         o.Text("issuer"),
		GrantTypes:     o.Texts("grant_types_supported"),
		DetailTypes:    o.Texts("authorization_details_types_supported"),
		DPoPAlgorithms: o.Texts("dpop_signing_alg_values_supported"),
		Challenges:     o.Texts("code_challenge_methods_supported"),
		AuthMethods:    o.Texts("token_endpoint_auth_methods_supported"),
		OnlyPushed:     o.Flag("require_pushed_authorization_requests"),
		SaysIssuer:     o.Flag("authorization_response_iss_parameter_supported"),
		TakesDocuments: o.Flag("client_id_metadata_document_supported"),
	}
	if _, err := ParseURL(m.Issuer); m.Issuer != "" && err != nil {
		return Metadata{}, fmt.Errorf("issuer %w", err)
	}
	for name, to := range m.places() {
		if *to = o.Text(name); *to == "" {
			continue
		}
		if _, err := ParseURL(*to); err != nil {
			return Metadata{}, fmt.Errorf("%s %w", name, err)
		}
	}
	return m, nil
}

// places are the URLs in m by their names on the wire.
func (m *Metadata) places() map[string]*string {
	return map[string]*string{
		"authorization_endpoint": &m.AuthorizationEndpoint, "pushed_authorization_request_endpoint": &m.PushedEndpoint,
		"registration_endpoint": &m.RegistrationEndpoint, "token_endpoint": &m.TokenEndpoint, "jwks_uri": &m.JWKSURI,
		"introspection_endpoint": &m.IntrospectionEndpoint, "revocation_endpoint": &m.RevocationEndpoint,
		"backchannel_authentication_endpoint": &m.BackchannelEndpoint,
	}
}

// Check fails unless m, read at place, is issuer's own (RFC 8414, section 3.3)
// and what it names is on the origin of place: whoever can plant an endpoint elsewhere
// would receive tokens and secrets, and a person sent elsewhere to log in brings back the
// code of another server (RFC 9700, section 4.4).
func (m Metadata) Check(issuer, place string) error {
	if m.Issuer != issuer {
		return fmt.Errorf("issuer is %q, want %q", m.Issuer, issuer)
	}
	from, err := ParseURL(place)
	if err != nil {
		return err
	}
	for name, value := range m.places() {
		if u, err := ParseURL(*value); *value != "" && (err != nil || u.Scheme != from.Scheme || !strings.EqualFold(u.Host, from.Host)) {
			return fmt.Errorf("%s is on another origin, name it in the configuration if that is meant", name)
		}
	}
	return nil
}

// MetadataPlaces lists where the metadata of issuer may be, best first: where RFC
// 8414, section 3.1, puts it, below the issuer, where LumoAuth has it, and where
// OpenID Connect Discovery does. The next one counts where one answers [NotHere].
func MetadataPlaces(issuer string) ([]string, error) {
	const wellKnown = "/.well-known/oauth-authorization-server"
	u, err := ParseURL(issuer)
	if err != nil {
		return nil, err
	}
	origin := u.Scheme + "://" + u.Host
	path := strings.TrimRight(u.EscapedPath(), "/")
	places := []string{origin + wellKnown + path}
	if path != "" {
		places = append(places, origin+path+wellKnown)
	}
	const openID = "/.well-known/openid-configuration"
	if path != "" {
		places = append(places, origin+openID+path) // RFC 8414, section 5
	}
	return append(places, origin+path+"/api/v1"+wellKnown, origin+path+openID), nil
}

// NotHere reports whether an HTTP status, of a place where metadata may be, leaves it to
// be at another: servers answer any 3xx or 4xx where nothing is. One that fails, or is
// not reached, is not passed over.
func NotHere(status int) bool { return status >= 300 && status < 500 }

// ParseURL parses the URL of a place that keys, credentials or tokens may travel to:
// absolute, https, or http on a loopback host, without user, query and fragment.
func ParseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil: // its text would quote the URL, user included
		return nil, errors.New("is not a URL")
	case u.Host == "" || u.Opaque != "" || (u.Scheme != "https" && u.Scheme != "http"):
		return nil, errors.New("is not an absolute http(s) URL")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return nil, errors.New("must be https, or http on a loopback host")
	case !Visible(s): // RFC 3986, section 2; and a person may be shown it
		return nil, errors.New("has characters that no URL has")
	case u.User != nil || u.RawQuery != "" || strings.Contains(s, "#"):
		return nil, errors.New("must have no user, query or fragment")
	}
	return u, nil
}

// loopback reports whether host is this machine by its name alone.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}
