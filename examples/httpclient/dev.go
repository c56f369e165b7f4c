package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
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
	d.server = &http.Server{Handler: shipmentsAPI(guard, d.api.String()), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = d.server.Serve(listener) }() // until Close
	return d, nil
}

func (d *dev) Close() error { return errors.Join(d.server.Close(), d.auth.Close()) }

// shipmentsAPI demands reading one shipment for the shipment, and administering
// all of them for its audit trail.
func shipmentsAPI(guard *resource.Verifier, base string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/shipments/{id}", guard.Require(func(r *http.Request) (rar.Detail, error) {
		return rar.Detail{
			Type: "shipment", Actions: []string{"read"}, Identifier: r.PathValue("id"), Locations: []string{base},
		}, nil
	}, answer(`{"status":"in customs since Monday"}`)))
	mux.Handle("GET /v1/shipments/{id}/audit", guard.Require(func(*http.Request) (rar.Detail, error) {
		return rar.Detail{Type: "shipment", Actions: []string{"admin"}, Locations: []string{base}}, nil
	}, answer(`{"status":"audited"}`)))
	return mux
}

func answer(body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, body) // a client that has left is no concern
	})
}
