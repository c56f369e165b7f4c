// Command protectapi protects an HTTP API with package resource, and calls it.
//
// See README.md.
package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"os/signal"

	"github.com/jitagent/jitagent/dev"
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
	// Your LumoAuth instance, and your API as its owner would start it: with the issuer
	// of the tokens, and credentials of its own to ask the issuer about them.
	servers, err := dev.Start(ctx, dev.Config{API: func(guard *resource.Verifier, base string) (http.Handler, error) {
		return newAPI(guard, base), nil
	}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()

	authority, err := lumoauth.New(servers.Client())
	if err != nil {
		return err
	}
	base, err := authority.AgentToken(ctx)
	if err != nil {
		return err
	}
	if err := strangers(ctx, out, servers.API, base); err != nil {
		return err
	}
	engine, err := jit.New(jit.Config{Authority: authority})
	if err != nil {
		return err
	}
	return member(ctx, out, engine, servers.API)
}
