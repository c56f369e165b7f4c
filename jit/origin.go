package jit

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
)

// ErrInsecure reports an origin that no credential may be sent to: plain http
// outside loopback.
var ErrInsecure = errors.New("jit: credentials need https, or http on loopback")

// An Origin is the scheme, host and port that a credential is bound to
// (RFC 6454, section 4). The zero Origin matches nothing. Origins compare with
// ==.
type Origin struct {
	scheme, host, port string
}

// OriginOf returns the origin of u. It refuses URLs without a host, schemes other
// than http and https, and, with [ErrInsecure], http outside loopback. Host names are ASCII.
func OriginOf(u *url.URL) (Origin, error) {
	if u == nil || u.Opaque != "" {
		return Origin{}, errors.New("jit: origin: the URL names no host")
	}
	if u.User != nil {
		return Origin{}, errors.New("jit: origin: the URL carries user information")
	}
	o := originOf(u)
	if o.host == "" {
		return Origin{}, errors.New("jit: origin: the URL names no host")
	}
	if strings.IndexFunc(o.host, func(r rune) bool { return r > unicode.MaxASCII }) >= 0 {
		// Which ASCII name it stands for is a question with more than one answer.
		return Origin{}, errors.New("jit: origin: the host is not ASCII: write it as it is in DNS (xn--...)")
	}
	switch o.scheme {
	case "https":
	case "http":
		if !o.Loopback() {
			return Origin{}, fmt.Errorf("%w: http://%s", ErrInsecure, u.Host)
		}
	default:
		return Origin{}, fmt.Errorf("jit: origin: scheme %q is neither https nor http", u.Scheme)
	}
	return o, nil
}

// ParseOrigin is [OriginOf] for text such as "https://api.example.com".
func ParseOrigin(s string) (Origin, error) {
	u, err := url.Parse(s)
	if err != nil {
		return Origin{}, errors.New("jit: origin: not a URL")
	}
	return OriginOf(u)
}

// originOf normalises without judging: names compare in lower case, without the
// root dot, and the default port is written out.
func originOf(u *url.URL) Origin {
	scheme := u.Scheme // url.Parse lower-cases it
	port := u.Port()
	if port == "" {
		switch scheme {
		case "https":
			port = "443"
		case "http":
			port = "80"
		}
	}
	return Origin{scheme, strings.TrimSuffix(lower(u.Hostname()), "."), port}
}

// lower maps ASCII letters only: of the others some have an ASCII letter as their
// lower case, and no other name may turn into ours.
func lower(s string) string {
	if !strings.ContainsAny(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") {
		return s
	}
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

// Loopback reports whether the origin's host is "localhost" or a loopback
// address. Other names count as remote, whatever they resolve to.
func (o Origin) Loopback() bool {
	if o.host == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(o.host)
	return err == nil && addr.Unmap().IsLoopback()
}

// Contains reports whether u lies at this origin.
func (o Origin) Contains(u *url.URL) bool { return o != Origin{} && originOf(u) == o }

// String returns the origin as a URL without a path, and without a default port.
func (o Origin) String() string {
	if o == (Origin{}) {
		return ""
	}
	if (o.scheme == "https" && o.port == "443") || (o.scheme == "http" && o.port == "80") {
		if strings.Contains(o.host, ":") {
			return o.scheme + "://[" + o.host + "]"
		}
		return o.scheme + "://" + o.host
	}
	return o.scheme + "://" + net.JoinHostPort(o.host, o.port)
}
