package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// embeddedConfig says how to start the embedded servers.
type embeddedConfig struct {
	documents, reports string
	stateDir           string // "" keeps nothing
	authAddr, apiAddr  string // "" means a free loopback port
	allowRemote        bool
	org                string
	logger             *slog.Logger
}

// embedded are the development servers: an authorization server and the protected
// API, each on a socket of its own.
type embedded struct {
	auth *lumodev.Running
	api  *docapi.Server
	url  *url.URL // of the API
	http *http.Server
	done chan error
}

// startEmbedded starts both servers. They live until Close, not until ctx ends:
// the task must still be completed when the run is interrupted.
func startEmbedded(ctx context.Context, cfg embeddedConfig) (_ *embedded, err error) {
	ctx = context.WithoutCancel(ctx)
	e := &embedded{done: make(chan error, 1)}
	defer func() {
		if err != nil {
			_ = e.Close()
		}
	}()
	// The API knows which documents are sensitive only when it has read them, and
	// it needs the authorization server to start.
	var sensitive atomic.Pointer[[]string]
	auth := lumodev.Config{
		Org: cfg.org, AllowRemote: cfg.allowRemote, Logger: cfg.logger,
		Risk: lumodev.RiskPolicy{Assess: func(d rar.Detail) lumodev.Risk {
			// Without an identifier it may reach a sensitive document too.
			if ids := sensitive.Load(); ids != nil && (d.Identifier == "" || slices.Contains(*ids, d.Identifier)) {
				return lumodev.High
			}
			return ""
		}},
	}
	api := docapi.Config{Documents: cfg.documents, Reports: cfg.reports, Logger: cfg.logger}
	if cfg.stateDir != "" {
		auth.StateDir = filepath.Join(cfg.stateDir, "lumodev")
		api.StateDir = filepath.Join(cfg.stateDir, "docapi")
	}
	if e.auth, err = lumodev.Start(ctx, auth, cfg.authAddr); err != nil {
		return nil, err
	}
	listener, err := lumodev.Listen(cfg.apiAddr, cfg.allowRemote)
	if err != nil {
		return nil, fmt.Errorf("the protected API: %w", err)
	}
	e.url = &url.URL{Scheme: "http", Host: listener.Addr().String()}
	api.BaseURL = e.url.String()
	rs := e.auth.Server.Config().ResourceServers[0]
	verifier, err := resource.New(ctx, resource.Config{
		Issuer: e.auth.Server.Issuer(), ClientID: rs.ClientID, ClientSecret: rs.ClientSecret, Logger: cfg.logger,
	})
	if err == nil {
		api.Verifier = verifier
		e.api, err = docapi.New(api)
	}
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	ids := e.api.Sensitive()
	sensitive.Store(&ids)
	e.http = docapi.HTTPServer(e.api, cfg.logger)
	go func() { e.done <- e.http.Serve(listener) }()
	return e, nil
}

// client returns the configuration by which the agent reaches the embedded
// authorization server.
func (e *embedded) client() lumoauth.Config {
	cfg := e.auth.Server.Config()
	return lumoauth.Config{
		URL: e.auth.URL, Org: cfg.Org, UserAgent: userAgent(),
		ClientID: cfg.Agents[0].ClientID, ClientSecret: cfg.Agents[0].ClientSecret,
	}
}

// Close stops both servers.
func (e *embedded) Close() error {
	var errs []error
	if e.http != nil {
		errs = append(errs, e.http.Close())
	}
	if e.api != nil {
		errs = append(errs, e.api.Close())
	}
	if e.auth != nil {
		errs = append(errs, e.auth.Close())
	}
	return errors.Join(errs...)
}
