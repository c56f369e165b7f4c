// Command acquire obtains authority for something that is not HTTP: a query of an
// SQLite database.
//
// See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
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
		log.Fatal("acquire: ", err)
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

	// The database asks about tokens as a resource server of its own.
	asking, database := servers.Client(), servers.Guard()
	asking.ClientID, asking.ClientSecret = database.ClientID, database.ClientSecret
	g := &gate{}
	if g.auth, err = lumoauth.New(asking); err != nil {
		return err
	}
	if g.db, err = newDatabase(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.db.Close()) }()

	authority, err := lumoauth.New(servers.Client())
	if err != nil {
		return err
	}
	engine, err := jit.New(jit.Config{Authority: authority})
	if err != nil {
		return err
	}
	return report(ctx, out, engine, g)
}

// report queries the database under one task.
func report(ctx context.Context, out io.Writer, engine *jit.Engine, g *gate) (err error) {
	task := engine.Start(ctx, jit.TaskSpec{Name: "sales by region"}, func(e jit.Event) { narrate(out, e) })
	// Whatever happens below, also when ctx is cancelled, the authority is given back.
	defer func() { err = errors.Join(err, task.Complete(context.WithoutCancel(ctx))) }()
	call := task.Call(ctx, jit.Call{Tool: "orders_of", Ceiling: mayQueryOrders(), Justification: "Sum up the orders by region"})

	for _, region := range []string{"japan", "emea"} {
		text, err := ordersOf(call, g, region)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(out, "%s: %s\n", region, text)
	}

	// Another table: the client does not even ask.
	_, err = jit.Acquire(call, querying("salaries"))
	_, _ = fmt.Fprintln(out, "salaries, asked for:", err)

	// The token for orders, shown for another table: the database says no.
	grant, err := jit.Acquire(call, querying("orders"))
	if err != nil {
		return err
	}
	_, _, err = g.totals(ctx, grant.Token, "salaries", "japan")
	_, _ = fmt.Fprintln(out, "salaries, with the token for orders:", err)
	return nil
}

// narrate says what happens under the task, in the order in which it happens.
func narrate(out io.Writer, e jit.Event) {
	switch e := e.(type) {
	case jit.Requested:
		_, _ = fmt.Fprintf(out, "  asked for %s, because: %s\n", e.Detail, e.Justification)
	case jit.Decided:
		_, _ = fmt.Fprintf(out, "  %s, risk %s\n", e.Status, e.Risk)
	case jit.Completed:
		_, _ = fmt.Fprintf(out, "task over: %d token revoked\n", e.Revoked)
	}
}
