package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/resource"
)

// dev stands in for what you have: an authorization server and a protected API.
type dev struct {
	client lumoauth.Config // how the agent reaches the authorization server
	api    *url.URL

	auth   *lumodev.Running
	server *http.Server
}

func startDev(ctx context.Context) (*dev, error) {
	// Until Close, not until ctx ends: an interrupted program still completes its task.
	auth, err := lumodev.Start(context.WithoutCancel(ctx), lumodev.Config{}, "")
	if err != nil {
		return nil, err
	}
	cfg := auth.Server.Config()
	agent, self := cfg.Agents[0], cfg.ResourceServers[0]
	guard, err := resource.New(ctx, resource.Config{
		Issuer: auth.Server.Issuer(), ClientID: self.ClientID, ClientSecret: self.ClientSecret,
	})
	if err != nil {
		return nil, errors.Join(err, auth.Close())
	}
	listener, err := lumodev.Listen("", false)
	if err != nil {
		return nil, errors.Join(err, auth.Close())
	}
	d := &dev{
		client: lumoauth.Config{URL: auth.URL, Org: cfg.Org, ClientID: agent.ClientID, ClientSecret: agent.ClientSecret},
		api:    &url.URL{Scheme: "http", Host: listener.Addr().String()},
		auth:   auth,
	}
	d.server = &http.Server{Handler: ticketsAPI(guard, d.api.String()), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = d.server.Serve(listener) }() // until Close
	return d, nil
}

func (d *dev) Close() error { return errors.Join(d.server.Close(), d.auth.Close()) }

// ticketsAPI demands reading just the ticket that is read, and updating just the
// one that is closed.
func ticketsAPI(guard *resource.Verifier, base string) http.Handler {
	demand := func(action string) func(*http.Request) (rar.Detail, error) {
		return func(r *http.Request) (rar.Detail, error) {
			return rar.Detail{
				Type: "ticket", Actions: []string{action}, Identifier: r.PathValue("id"), Locations: []string{base},
			}, nil
		}
	}
	var closed atomic.Bool // of the one ticket that there is
	state := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		body := `{"id":"tck_7","state":"open"}`
		if closed.Load() {
			body = `{"id":"tck_7","state":"closed"}`
		}
		_, _ = io.WriteString(w, body) // a client that has left is no concern
	}
	mux := http.NewServeMux()
	mux.Handle("GET /v1/tickets/{id}", guard.Require(demand("read"), http.HandlerFunc(state)))
	mux.Handle("POST /v1/tickets/{id}/close", guard.Require(demand("update"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		closed.Store(true)
		state(w, r)
	})))
	return mux
}
