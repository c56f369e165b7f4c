// Command newtool is an agent with one JIT-aware tool of its own.
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

	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models/offline"
	"github.com/jitagent/jitagent/runner"
)

// prompt asks for the tool by name, which the offline model understands. Any
// other model takes "What does inv_2041 come to?" as well.
const prompt = `Call get_invoice with {"number": "inv_2041"}`

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		log.Fatal("newtool: ", err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	servers, err := dev.Start(ctx, dev.Config{API: invoicesAPI}) // your LumoAuth instance and your API, in one process
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()

	invoices, err := getInvoice(servers.API)
	if err != nil {
		return err
	}
	authority, err := lumoauth.New(servers.Client())
	if err != nil {
		return err
	}
	engine, err := jit.New(jit.Config{Authority: authority})
	if err != nil {
		return err
	}
	a, err := agent.New(agent.Config{Model: offline.New(), Tools: []tool.Tool{invoices}})
	if err != nil {
		return err
	}
	r, err := runner.New(runner.Config{Agent: a, Engine: engine})
	if err != nil {
		return err
	}
	// Run opens a task for the message and completes it, whatever happens.
	for event, err := range r.Run(ctx, runner.Input{Text: prompt, Task: jit.TaskSpec{Name: "look at an invoice"}}) {
		if err != nil {
			return err
		}
		narrate(out, event)
	}
	return nil
}

// narrate says what happens, in the order in which it happens.
func narrate(out io.Writer, e runner.Event) {
	switch e := e.(type) {
	case jit.Refused:
		for _, d := range e.Demanded { // none, where the refusal cannot be read
			_, _ = fmt.Fprintf(out, "the API answers %d and demands %s\n", e.StatusCode, d)
		}
	case jit.Requested:
		_, _ = fmt.Fprintf(out, "asked, because: %s\n", e.Justification)
	case jit.Decided:
		_, _ = fmt.Fprintf(out, "%s, risk %s\n", e.Status, e.Risk)
	case jit.Completed:
		_, _ = fmt.Fprintf(out, "task over: %d token revoked\n", e.Revoked)
	case runner.Finished:
		_, _ = fmt.Fprintf(out, "%s: %s\n", e.Outcome, e.Answer)
	}
}
