package lumodev

import (
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

// Bounds of one request.
const (
	timeout   = 30 * time.Second
	maxHeader = 64 << 10
)

// Listen listens on a TCP address. It refuses addresses that are not loopback,
// wildcards such as ":8080" among them, unless allowRemote: this server hands out
// authority and speaks plain HTTP. The host is an IP address or localhost; the
// empty address is 127.0.0.1:0, a free port.
func Listen(addr string, allowRemote bool) (net.Listener, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("lumodev: listen address %q: want host:port", addr)
	}
	if host == "localhost" {
		host = "127.0.0.1" // whatever a hosts file says
	}
	ip, err := netip.ParseAddr(host)
	loopback := err == nil && ip.Unmap().IsLoopback()
	if !loopback && !allowRemote {
		return nil, fmt.Errorf("lumodev: refusing to listen on %q, which is not loopback: "+
			"this is a development server; use 127.0.0.1, or allow remote addresses explicitly", addr)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("lumodev: %w", err)
	}
	return l, nil
}

// OwnHost returns h for requests whose Host is localhost, a loopback address or that of
// base, the URL by which clients reach the listener. It answers others with 421 (RFC 9110, section 15.5.20): a name that somebody
// points at this machine lets a page of theirs read what is served here (DNS rebinding).
// A listener that is not on loopback, which somebody has allowed, serves any Host.
func OwnHost(h http.Handler, l net.Listener, base string) http.Handler {
	if at, ok := l.Addr().(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		return h
	}
	own := &url.URL{}
	if u, err := url.Parse(base); err == nil {
		own = u
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := strings.ToLower((&url.URL{Host: r.Host}).Hostname())
		ip, err := netip.ParseAddr(host)
		if host == "localhost" || err == nil && ip.Unmap().IsLoopback() || host != "" && strings.EqualFold(host, own.Hostname()) {
			h.ServeHTTP(w, r)
			return
		}
		http.Error(w, "this server is for this machine: address it as localhost or 127.0.0.1", http.StatusMisdirectedRequest)
	})
}

// Running is a server that listens. Close it.
type Running struct {
	URL    string  // base URL for clients
	Server *Server // the handler behind it

	addr string // host:port
	http *http.Server
	done chan struct{}
	err  error // of serving; read after done
}

// Start makes a server, listens on addr as [Listen] does with cfg.AllowRemote, and
// serves until ctx ends or Close is called.
func Start(ctx context.Context, cfg Config, addr string) (*Running, error) {
	l, err := Listen(addr, cfg.AllowRemote)
	if err != nil {
		return nil, err
	}
	if cfg.BaseURL == "" {
		cfg.BaseURL = baseURLOf(l.Addr().String())
	}
	s, err := New(cfg)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	r := &Running{
		URL:    s.cfg.BaseURL,
		Server: s,
		addr:   l.Addr().String(),
		done:   make(chan struct{}),
		http: &http.Server{
			Handler:           OwnHost(s, l, s.cfg.BaseURL),
			ReadHeaderTimeout: timeout,
			ReadTimeout:       timeout,
			WriteTimeout:      timeout,
			IdleTimeout:       4 * timeout,
			MaxHeaderBytes:    maxHeader,

			DisableGeneralOptionsHandler: true, // it answers "OPTIONS *" with an empty body
			ErrorLog:                     slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
		},
	}
	s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, serverName+" is listening",
		slog.String("url", r.URL), slog.String("addr", r.addr),
		slog.String("org", s.cfg.Org), slog.String("issuer", s.Issuer()), slog.Bool("persistent", s.store != nil))
	stop := context.AfterFunc(ctx, func() { _ = r.Close() }) // Wait tells
	go func() {
		defer close(r.done)
		defer stop()
		if err := r.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			r.err = fmt.Errorf("lumodev: serve: %w", err)
		}
	}()
	return r, nil
}

// Close stops listening, breaks off what is being served, and closes the server:
// what was answered is kept, what was not has not happened or is found when asked
// for again. It may be called again and by several goroutines.
func (r *Running) Close() error {
	err := r.http.Close()
	<-r.done
	return errors.Join(err, r.Server.Close())
}

// Wait returns when the server has stopped: nil after Close or the end of the
// context, else why.
func (r *Running) Wait() error {
	<-r.done
	return errors.Join(r.err, r.Close())
}
