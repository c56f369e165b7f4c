package lumodev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"
)

// How long clients and Close may take.
const (
	readTimeout  = 30 * time.Second
	idleTimeout  = 2 * time.Minute
	closeTimeout = 5 * time.Second
	maxHeader    = 64 << 10
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

// Running is a server that listens. Close it.
type Running struct {
	URL    string  // base URL for clients
	Server *Server // the handler behind it

	addr   string // host:port
	http   *http.Server
	fresh  freshConns
	done   chan struct{}
	err    error // of serving; read after done
	once   sync.Once
	closed error
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
			Handler:           s,
			ReadHeaderTimeout: readTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      readTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeader,

			DisableGeneralOptionsHandler: true, // it answers "OPTIONS *" with an empty body
			ErrorLog:                     slog.NewLogLogger(s.cfg.Logger.Handler(), slog.LevelDebug),
		},
	}
	r.http.ConnState = r.fresh.track
	r.http.RegisterOnShutdown(r.fresh.close)
	s.cfg.Logger.LogAttrs(ctx, slog.LevelInfo, serverName+" is listening",
		slog.String("url", r.URL), slog.String("addr", l.Addr().String()),
		slog.String("org", s.cfg.Org), slog.String("issuer", s.Issuer()), slog.Bool("persistent", s.store != nil))
	go func() {
		defer close(r.done)
		if err := r.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			r.err = fmt.Errorf("lumodev: serve: %w", err)
		}
	}()
	go func() {
		select {
		case <-ctx.Done():
			_ = r.Close() // Wait tells
		case <-r.done:
		}
	}()
	return r, nil
}

// Close stops listening, lets calls in flight finish for a few seconds, and closes
// the server. It may be called again and by several goroutines.
func (r *Running) Close() error {
	r.once.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		err := r.http.Shutdown(ctx)
		if err != nil {
			err = errors.Join(fmt.Errorf("lumodev: close: %w", err), r.http.Close())
		}
		<-r.done
		r.closed = errors.Join(err, r.Server.Close())
	})
	return r.closed
}

// freshConns are connections that have sent nothing yet. Clients open some that
// they never use, and Shutdown would wait five seconds for those.
type freshConns struct {
	mu    sync.Mutex
	conns map[net.Conn]bool
}

func (f *freshConns) track(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if state != http.StateNew {
		delete(f.conns, c)
		return
	}
	if f.conns == nil {
		f.conns = make(map[net.Conn]bool)
	}
	f.conns[c] = true
}

func (f *freshConns) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close() // nobody waits for it
	}
}

// Wait returns when the server has stopped: nil after Close or the end of the
// context, else why.
func (r *Running) Wait() error {
	<-r.done
	return errors.Join(r.err, r.Close())
}
