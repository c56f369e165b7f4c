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
	d.server = &http.Server{Handler: invoicesAPI(guard, d.api.String()), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = d.server.Serve(listener) }() // until Close
	return d, nil
}

func (d *dev) Close() error { return errors.Join(d.server.Close(), d.auth.Close()) }

// invoicesAPI demands reading just the invoice that is read.
func invoicesAPI(guard *resource.Verifier, base string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /v1/invoices/{number}", guard.Require(func(r *http.Request) (rar.Detail, error) {
		return rar.Detail{
			Type: "invoice", Actions: []string{"read"}, Identifier: r.PathValue("number"), Locations: []string{base},
		}, nil
	}, http.HandlerFunc(serveInvoice)))
	return mux
}

func serveInvoice(w http.ResponseWriter, r *http.Request) {
	if r.PathValue("number") != "inv_2041" {
		resource.WriteError(w, http.StatusNotFound, "not_found", "there is no such invoice")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	// A client that has left is no concern.
	_, _ = io.WriteString(w, `{"number":"inv_2041","customer":"Fish export, Piraeus","amount":"41,000.00 EUR","due":"2025-03-31"}`)
}
