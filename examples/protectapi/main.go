// Command protectapi protects an HTTP API with package resource, and calls it.
//
// See README.md.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"time"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/resource"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		log.Fatal("protectapi: ", err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	// Your LumoAuth instance. It ends with Close and not with ctx: an interrupted
	// program still completes its task.
	servers, err := dev.Start(ctx, dev.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()

	api, server, err := serve(ctx, servers.Auth)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Close()) }()

	authority, err := lumoauth.New(servers.Client())
	if err != nil {
		return err
	}
	base, err := authority.AgentToken(ctx)
	if err != nil {
		return err
	}
	if err := strangers(ctx, out, api, base.Token); err != nil {
		return err
	}
	engine, err := jit.New(jit.Config{Authority: authority})
	if err != nil {
		return err
	}
	return member(ctx, out, engine, api)
}

// serve starts the API as its owner would: it needs the issuer of the tokens, and
// credentials of its own to ask the issuer about them.
func serve(ctx context.Context, auth *lumodev.Server) (*url.URL, *http.Server, error) {
	self := auth.Config().ResourceServers[0]
	guard, err := resource.New(ctx, resource.Config{
		Issuer: auth.Issuer(), ClientID: self.ClientID, ClientSecret: self.ClientSecret, Realm: "notes",
	})
	if err != nil {
		return nil, nil, err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0") // a free port
	if err != nil {
		return nil, nil, err
	}
	api := &url.URL{Scheme: "http", Host: listener.Addr().String()}
	server := &http.Server{Handler: newAPI(guard, api.String()), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // until Close
	return api, server, nil
}
