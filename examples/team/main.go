// Command team is an agent with two sub-agents, each of which may ask for its own part of
// what the whole may.
//
// See README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"os/signal"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/agent/llmagent"
	"google.golang.org/adk/v2/agent/workflowagents/sequentialagent"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stdout)
	stop()
	if err != nil {
		log.Fatal("team: ", err)
	}
}

// ceilings are the most that each agent may ask for, beside what its calls may: the reader
// nothing but to read, whatever tools it has. The writer may what the team may.
var ceilings = map[string][]rar.Detail{
	"reader": {{Type: "file_access", Actions: []string{"read"}}},
	"writer": nil,
}

// newTeam returns a reader and a writer, who work one after the other with the same tools.
func newTeam(api *url.URL, reader, writer model.LLM) (adk.Agent, error) {
	fetch, err := tools.FetchDocument(api, tools.Options{})
	if err != nil {
		return nil, err
	}
	report, err := tools.CreateReport(api, tools.Options{})
	if err != nil {
		return nil, err
	}
	all := []tool.Tool{fetch, report}
	first, err := llmagent.New(llmagent.Config{Name: "reader", Model: reader, Tools: all})
	if err != nil {
		return nil, err
	}
	second, err := llmagent.New(llmagent.Config{Name: "writer", Model: writer, Tools: all})
	if err != nil {
		return nil, err
	}
	return sequentialagent.New(sequentialagent.Config{AgentConfig: adk.Config{Name: "team", SubAgents: []adk.Agent{first, second}}})
}

func run(ctx context.Context, out io.Writer) (err error) {
	dir, err := os.MkdirTemp("", "team-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, err := dev.Start(ctx, dev.Config{Documents: &docapi.Config{Reports: dir}}) // your LumoAuth instance and your API, in one process
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
	team, err := newTeam(servers.API, misled(), writes())
	if err != nil {
		return err
	}
	r, err := runner.New(runner.Config{Agent: team, Engine: engine, Ceilings: ceilings})
	if err != nil {
		return err
	}
	for event, err := range r.Run(ctx, runner.Input{Text: "Read doc_9982 and write a report about its churn"}) {
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
	case runner.ToolCalled:
		_, _ = fmt.Fprintf(out, "%s is called\n", e.Tool)
	case jit.Refused:
		for _, d := range e.Demanded { // none, where the refusal cannot be read
			_, _ = fmt.Fprintf(out, "  %d, demands %s\n", e.StatusCode, d)
		}
	case jit.Blocked:
		_, _ = fmt.Fprintf(out, "  nothing is asked for: %s\n", e.Reason)
	case jit.Decided:
		_, _ = fmt.Fprintf(out, "  %s, risk %s\n", e.Status, e.Risk)
	case runner.ToolReturned:
		_, _ = fmt.Fprintf(out, "  %s\n", e.Status)
	case jit.Completed:
		_, _ = fmt.Fprintf(out, "task over: %d of %d tokens revoked\n", e.Revoked, e.Issued)
	}
}
