// Package serve holds what servers for development share: where they may listen, whom
// they answer, and how long they wait.
package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// ErrRemote says that an address is one that others reach.
var ErrRemote = errors.New("not loopback")

// Listen listens on a TCP address, as [Address] takes it.
func Listen(addr string, allowRemote bool) (net.Listener, error) {
	addr, err := Address(addr, allowRemote)
	if err != nil {
		return nil, err
	}
	var lc net.ListenConfig
	return lc.Listen(context.Background(), "tcp", addr)
}

// Address checks an address to listen on, and returns it as it is listened on. It refuses
// addresses that are not loopback, wildcards such as ":8080" among them, unless
// allowRemote: these servers hand out authority and speak plain HTTP. The host is an IP
// address or localhost; the empty address is 127.0.0.1:0, a free port.
func Address(addr string, allowRemote bool) (string, error) {
	addr = cmp.Or(addr, "127.0.0.1:0")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("listen address %q: want host:port", addr)
	}
	if host == "localhost" {
		host = "127.0.0.1" // whatever a hosts file says
	}
	ip, err := netip.ParseAddr(host)
	loopback := err == nil && ip.Unmap().IsLoopback()
	if !loopback && !allowRemote {
		return "", fmt.Errorf("refusing to listen on %q, which is %w: "+
			"this is a development server; use 127.0.0.1, or allow remote addresses explicitly", addr, ErrRemote)
	}
	if err != nil && host != "" {
		return "", fmt.Errorf("listen address %q: the host is neither an IP address nor localhost", addr)
	}
	if _, err := net.DefaultResolver.LookupPort(context.Background(), "tcp", port); err != nil {
		return "", fmt.Errorf("listen address %q: the port is neither a number up to 65535 nor the name of one", addr)
	}
	return net.JoinHostPort(host, port), nil
}

// BaseURL returns the http URL of a listener. A wildcard address is reached through
// loopback.
func BaseURL(l net.Listener) *url.URL {
	host := l.Addr().String()
	if ap, err := netip.ParseAddrPort(host); err == nil && ap.Addr().IsUnspecified() {
		host = netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), ap.Port()).String()
	}
	return &url.URL{Scheme: "http", Host: host}
}

// Origin checks that raw is the http(s) origin of a server and returns it in the form that
// browsers and clients build: lower case, no default port, no slash.
func Origin(raw string) (string, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", errors.New("must be the server's own http(s) origin")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		return "", errors.New("must be an origin: scheme, host and port only")
	}
	port := map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	return u.Scheme + "://" + strings.TrimSuffix(strings.ToLower(u.Host), port), nil
}

// New returns a server of h on l whose timeouts and header limit keep slow or endless
// requests from holding it. What it complains of goes to log.
//
// A listener on loopback is answered as by [OwnHost], with base as the URL by which
// clients reach it.
func New(h http.Handler, l net.Listener, base string, log *slog.Logger) *http.Server {
	if at, ok := l.Addr().(*net.TCPAddr); !ok || at.IP.IsLoopback() {
		h = OwnHost(h, base)
	}
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ReadTimeout:       60 * time.Second,
		WriteTimeout:      90 * time.Second, // the largest report, and a check of its token
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),

		DisableGeneralOptionsHandler: true, // it answers "OPTIONS *" with an empty body
	}
}

// Loopback reports whether a host is localhost or a loopback address, whatever names resolve to.
func Loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// OwnHost has h answer requests whose Host is localhost, a loopback address or that of
// base, and others with 421 (RFC 9110, section 15.5.20): a name that somebody points at
// this machine lets a page of theirs read what is served here (DNS rebinding).
func OwnHost(h http.Handler, base string) http.Handler {
	own := &url.URL{}
	if u, err := url.Parse(base); err == nil {
		own = u
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := strings.ToLower((&url.URL{Host: r.Host}).Hostname())
		if Loopback(host) || host != "" && strings.EqualFold(host, own.Hostname()) {
			h.ServeHTTP(w, r)
			return
		}
		http.Error(w, "this server is not known by that name: address it as "+cmp.Or(base, "localhost or 127.0.0.1"), http.StatusMisdirectedRequest)
	})
}

// A StatusWriter notes the status of an answer. [http.ResponseController] finds the
// writer below it.
type StatusWriter struct {
	http.ResponseWriter
	Status int // 0 while there is none
}

// WriteHeader implements [http.ResponseWriter].
func (w *StatusWriter) WriteHeader(status int) {
	w.Status = cmp.Or(w.Status, status)
	w.ResponseWriter.WriteHeader(status)
}

// Write implements [http.ResponseWriter].
func (w *StatusWriter) Write(b []byte) (int, error) {
	w.Status = cmp.Or(w.Status, http.StatusOK)
	return w.ResponseWriter.Write(b)
}

// Unwrap serves [http.ResponseController].
func (w *StatusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
