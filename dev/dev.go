// Package dev starts the development servers together: an authorization server
// (package lumodev), an API that it protects, and a model.
//
// They speak plain HTTP and listen on loopback unless told otherwise. What they
// give out is worth nothing outside of this process and its state directory. The
// package links no agent framework: a model is handed to it as a handler, such as
// that of package modelserver.
package dev

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// Config says what to start. The zero value is an authorization server alone, on a
// free port, that keeps nothing.
type Config struct {
	// Auth is the authorization server. Where it demands that tokens are bound to a key,
	// the API takes no others. StateDir and Logger of this Config go into it
	// where it leaves them out, and its BaseURL is where it listens unless it has one.
	Auth     lumodev.Config
	AuthAddr string // host:port; "" is a free port on loopback

	// API makes an API of one's own. It is given what checks the tokens of its
	// callers, and its base URL, which demands name as their location.
	API func(guard *resource.Verifier, base string) (http.Handler, error)

	// Documents serves the documents API in place of API. BaseURL and Verifier are
	// Start's to set. What it holds that is sensitive has a high risk at the
	// authorization server, unless Auth assesses risks itself.
	Documents *docapi.Config

	APIAddr string // host:port; "" is a free port on loopback

	// Guard changes how the API at base checks tokens; nil changes nothing.
	Guard func(cfg *resource.Config, base string)

	// Model is served as well; nil is none.
	Model     http.Handler
	ModelAddr string // host:port; "" is a free port on loopback

	// AllowRemote takes addresses that are not loopback. Anyone who reaches them can
	// act.
	AllowRemote bool

	// StateDir keeps keys, tasks, tokens and idempotency keys over restarts, in a
	// folder for each server, and their addresses; "" keeps nothing.
	StateDir string

	// Logger gets a line for each request; nil discards them.
	Logger *slog.Logger
}

// Servers are servers that listen. Close them. Its methods may be called by several
// goroutines.
type Servers struct {
	Auth    *lumodev.Server
	AuthURL string // base URL of Auth

	API  *url.URL       // base URL of the API; nil where none was asked for
	Docs *docapi.Server // the documents API; nil where another one or none is served

	Model *url.URL // base URL of the model server; nil where there is none

	log     *slog.Logger
	failed  chan error
	closers []func() error // in the order of starting
	closed  atomic.Bool
}

// Start starts the servers. They live until Close and not until ctx ends: a task
// must still be completed when a program is interrupted. After an error nothing
// listens any more. With a StateDir, addresses that name no port are those of the last
// time, as far as nobody else listens there by now.
func Start(ctx context.Context, cfg Config) (*Servers, error) {
	again, found := cfg.again()
	s, err := start(ctx, again)
	if err != nil && found {
		s, err = start(ctx, cfg)
	}
	if err == nil {
		err = s.keepAddresses(cfg)
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

func start(ctx context.Context, cfg Config) (_ *Servers, err error) {
	if cfg.API != nil && cfg.Documents != nil {
		return nil, errors.New("dev: of API and Documents one is served")
	}
	s := &Servers{log: cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler)), failed: make(chan error, 3)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	// The API knows what is sensitive only when it has read its documents, and it
	// needs the authorization server to start.
	var sensitive atomic.Pointer[[]string]
	if cfg.Documents != nil && cfg.Auth.Risk.Assess == nil {
		cfg.Auth.Risk.Assess = func(d rar.Detail) lumodev.Risk {
			// Without an identifier it may reach a sensitive document too.
			if ids := sensitive.Load(); ids != nil && (d.Identifier == "" || slices.Contains(*ids, d.Identifier)) {
				return lumodev.High
			}
			return ""
		}
	}
	if err := s.startAuth(cfg); err != nil {
		return nil, err
	}
	if cfg.API != nil || cfg.Documents != nil {
		if err := s.startAPI(ctx, cfg); err != nil {
			return nil, err
		}
	}
	if s.Docs != nil {
		ids := s.Docs.Sensitive()
		sensitive.Store(&ids)
	}
	if cfg.Model != nil {
		s.Model, err = s.listen("the model server", cfg.ModelAddr, "", cfg.AllowRemote, func(string) (http.Handler, error) { return logged(cfg.Model, s.log), nil })
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *Servers) startAuth(cfg Config) error {
	auth := cfg.Auth
	auth.Logger = cmp.Or(auth.Logger, cfg.Logger)
	if auth.StateDir == "" && cfg.StateDir != "" {
		auth.StateDir = filepath.Join(cfg.StateDir, "lumodev")
	}
	_, err := s.listen("the authorization server", cfg.AuthAddr, auth.BaseURL, cfg.AllowRemote, func(base string) (_ http.Handler, err error) {
		auth.BaseURL = base
		if s.Auth, err = lumodev.New(auth); err != nil {
			return nil, err
		}
		s.AuthURL = s.Auth.Config().BaseURL
		s.closers = append(s.closers, s.Auth.Close)
		return s.Auth, nil
	})
	return err
}

func (s *Servers) startAPI(ctx context.Context, cfg Config) error {
	var err error
	s.API, err = s.listen("the protected API", cfg.APIAddr, "", cfg.AllowRemote, func(base string) (http.Handler, error) {
		guarded := s.Guard()
		guarded.Logger = cfg.Logger
		if cfg.Documents != nil {
			guarded.DPoP, guarded.Location = resource.AcceptDPoP, base
		}
		if cfg.Auth.DPoP {
			guarded.DPoP, guarded.Nonces, guarded.Location = resource.RequireDPoP, true, base
		}
		if cfg.Guard != nil {
			cfg.Guard(&guarded, base)
		}
		guard, err := resource.New(ctx, guarded)
		if err != nil {
			return nil, err
		}
		if cfg.API != nil {
			return cfg.API(guard, base)
		}
		docs := *cfg.Documents
		docs.BaseURL, docs.Verifier = base, guard
		docs.Logger = cmp.Or(docs.Logger, cfg.Logger)
		if docs.StateDir == "" && cfg.StateDir != "" {
			docs.StateDir = filepath.Join(cfg.StateDir, "docapi")
		}
		if s.Docs, err = docapi.New(docs); err != nil {
			return nil, err
		}
		s.closers = append(s.closers, s.Docs.Close)
		return s.Docs, nil
	})
	return err
}

// listen serves what is made for base, the URL by which clients reach a listener on addr; "" is
// the listener's own.
func (s *Servers) listen(what, addr, base string, allowRemote bool, made func(base string) (http.Handler, error)) (*url.URL, error) {
	l, err := serve.Listen(addr, allowRemote)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	at := serve.BaseURL(l)
	base = cmp.Or(base, at.String())
	h, err := made(base)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	server := serve.New(h, l, base, s.log)
	done := make(chan struct{})
	s.closers = append(s.closers, func() error {
		err := server.Close()
		<-done // or the port may be taken still
		return err
	})
	go func() {
		defer close(done)
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("%s stopped: %w", what, err)
		}
	}()
	return at, nil
}

// Client says how the first agent reaches the authorization server.
func (s *Servers) Client() lumoauth.Config {
	cfg := s.Auth.Config()
	return lumoauth.Config{URL: s.AuthURL, Org: cfg.Org, ClientID: cfg.Agents[0].ClientID, ClientSecret: cfg.Agents[0].ClientSecret, DPoP: cfg.DPoP}
}

// Guard says how the first resource server asks about the tokens of its callers.
func (s *Servers) Guard() resource.Config {
	rs := s.Auth.Config().ResourceServers[0]
	return resource.Config{Issuer: s.Auth.Issuer(), ClientID: rs.ClientID, ClientSecret: rs.ClientSecret}
}

// Failed gets an error when a server stops that nobody has closed.
func (s *Servers) Failed() <-chan error { return s.failed }

// Close stops all servers, the last started first. Further calls do nothing.
func (s *Servers) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	var errs []error
	for _, stop := range slices.Backward(s.closers) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// logged writes one line for each request to the model.
func logged(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start, seen := time.Now(), &serve.StatusWriter{ResponseWriter: w}
		_ = http.NewResponseController(w).SetWriteDeadline(time.Time{}) // an answer may stream for as long as its model takes
		defer func() {
			log.InfoContext(context.WithoutCancel(r.Context()), "model request", "method", r.Method, "path", r.URL.Path,
				"status", seen.Status, "duration", time.Since(start).Round(time.Microsecond))
		}()
		h.ServeHTTP(seen, r)
	})
}
