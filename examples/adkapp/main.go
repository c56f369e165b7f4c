// Command adkapp puts just-in-time authority under the tools of an ADK
// application that has a runner of its own.
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

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models/offline"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		log.Fatal("adkapp: ", err)
	}
}

func run(ctx context.Context, out io.Writer) (err error) {
	servers, err := dev.Start(ctx, dev.Config{API: ticketsAPI}) // your LumoAuth instance and your API, in one process
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
	root, err := guardedAgent(servers.API)
	if err != nil {
		return err
	}
	r, err := runner.New(runner.Config{
		AppName: "support", Agent: root, SessionService: session.InMemoryService(), AutoCreateSession: true,
	})
	if err != nil {
		return err
	}

	open := &tasks{engine: engine, observe: func(c conversation, e jit.Event) { narrate(out, c, e) }}
	defer func() { err = errors.Join(err, open.close(ctx)) }()
	ada, ben := conversation{"ada", "s1"}, conversation{"ben", "s1"}
	for _, message := range []struct {
		from conversation
		text string // in the form that the offline model understands
	}{
		{ada, `Call get_ticket with {"id": "tck_7"}`},
		{ada, `Call close_ticket with {"id": "tck_7"}`},
		{ada, `Call get_ticket with {"id": "tck_7"}`}, // covered by the first grant, two turns later
		{ben, `Call get_ticket with {"id": "tck_7"}`}, // a conversation of its own: nothing is granted yet
	} {
		_, _ = fmt.Fprintf(out, "%s> %s\n", message.from.user, message.text)
		ctx := jit.NewContext(ctx, open.of(ctx, message.from))
		if err := turn(ctx, out, r, message.from, message.text); err != nil {
			return err
		}
	}
	return errors.Join(open.end(ctx, ada), open.end(ctx, ben))
}

// guardedAgent is the app's agent with its client and tools changed, and nothing
// else.
func guardedAgent(api *url.URL) (adk.Agent, error) {
	origin, err := jit.OriginOf(api)
	if err != nil {
		return nil, err
	}
	d := &desk{api: api, client: &http.Client{Transport: &jit.Transport{Origin: origin}}}
	get, err := d.getTicket()
	if err != nil {
		return nil, err
	}
	if get, err = guard(get, "read", origin); err != nil {
		return nil, err
	}
	closing, err := d.closeTicket()
	if err != nil {
		return nil, err
	}
	if closing, err = guard(closing, "update", origin); err != nil {
		return nil, err
	}
	return newAgent(offline.New(), get, closing)
}

// turn is the app's run loop. Only text of the user goes in: ADK 2.2.0 would take
// function parts of a client for its own.
func turn(ctx context.Context, out io.Writer, r *runner.Runner, c conversation, text string) error {
	message := genai.NewContentFromText(text, genai.RoleUser)
	for event, err := range r.Run(ctx, c.user, c.session, message, adk.RunConfig{}) {
		switch {
		case err != nil:
			return err
		case event.ErrorCode != "":
			return fmt.Errorf("the model ended with %s: %s", event.ErrorCode, event.ErrorMessage)
		case event.Content == nil || event.Partial:
			continue
		}
		for _, part := range event.Content.Parts {
			if result := part.FunctionResponse; result != nil {
				_, _ = fmt.Fprintf(out, "  %s: %v\n", result.Name, result.Response)
			}
		}
	}
	return ctx.Err()
}

// narrate says what happens under a conversation's task.
func narrate(out io.Writer, c conversation, e jit.Event) {
	switch e := e.(type) {
	case jit.Refused:
		for _, d := range e.Demanded { // none, where the refusal cannot be read
			_, _ = fmt.Fprintf(out, "  %d, demands %s\n", e.StatusCode, d)
		}
	case jit.Decided:
		_, _ = fmt.Fprintf(out, "  %s, risk %s\n", e.Status, e.Risk)
	case jit.Completed:
		_, _ = fmt.Fprintf(out, "%s's task is over: %d of %d tokens revoked\n", c.user, e.Revoked, e.Issued)
	}
}
