// Command httpclient gives a plain http.Client just-in-time authority, with no
// agent framework.
//
// See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		log.Fatal("httpclient: ", err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	servers, err := dev.Start(ctx, dev.Config{API: shipmentsAPI}) // your LumoAuth instance and your API, in one process
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()

	authority, err := lumoauth.New(servers.Client())
	if err != nil {
		return err
	}
	engine, err := jit.New(jit.Config{Authority: authority})
	if err != nil {
		return err
	}
	return trackShipments(ctx, out, engine, servers.API)
}

// trackShipments is one piece of work: a task around it, and a ceiling for each
// call.
func trackShipments(ctx context.Context, out io.Writer, engine *jit.Engine, api *url.URL) (err error) {
	origin, err := jit.OriginOf(api)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &jit.Transport{Origin: origin}}

	task := engine.Start(ctx, jit.TaskSpec{Name: "find late shipments"}, func(e jit.Event) { narrate(out, e) })
	// Whatever happens below, also when ctx is cancelled, the authority is given back.
	defer func() { err = errors.Join(err, task.Complete(context.WithoutCancel(ctx))) }()

	for _, path := range []string{
		"v1/shipments/shp_18",       // refused, granted, repeated
		"v1/shipments/shp_18",       // covered by the live grant: one round trip
		"v1/shipments/shp_18/audit", // demands more than this call may ever ask for
	} {
		call := task.Call(ctx, jit.Call{
			Tool: "track", Ceiling: mayRead(origin, "shp_18"), Justification: "See where shipment shp_18 is",
		})
		status, err := get(call, client, api.JoinPath(path).String())
		switch {
		case errors.Is(err, jit.ErrOutsideCeiling):
			_, _ = fmt.Fprintf(out, "%s: not asked for: %v\n", path, jit.ErrOutsideCeiling)
		case err != nil:
			return err
		default:
			_, _ = fmt.Fprintf(out, "%s: %s\n", path, status)
		}
	}
	return nil
}

// narrate says what happens under a task, in the order in which it happens.
func narrate(out io.Writer, e jit.Event) {
	switch e := e.(type) {
	case jit.Refused:
		for _, d := range e.Demanded { // none, where the refusal cannot be read
			_, _ = fmt.Fprintf(out, "  the API answers %d and demands %s\n", e.StatusCode, d)
		}
	case jit.Requested:
		_, _ = fmt.Fprintf(out, "  asked, because: %s\n", e.Justification)
	case jit.Decided:
		_, _ = fmt.Fprintf(out, "  %s, risk %s\n", e.Status, e.Risk)
	case jit.Completed:
		_, _ = fmt.Fprintf(out, "task over: %d token revoked\n", e.Revoked)
	}
}
