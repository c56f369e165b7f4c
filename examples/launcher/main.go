// Command launcher runs the analyst under ADK's launcher: console, REST API and web UI.
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

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/cmd/launcher"
	"google.golang.org/adk/v2/cmd/launcher/console"
	"google.golang.org/adk/v2/cmd/launcher/universal"
	"google.golang.org/adk/v2/cmd/launcher/web"
	"google.golang.org/adk/v2/cmd/launcher/web/api"
	"google.golang.org/adk/v2/cmd/launcher/web/webui"
	"google.golang.org/adk/v2/plugin"
	adkrunner "google.golang.org/adk/v2/runner"
	"google.golang.org/adk/v2/session"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models/offline"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/tools"
)

func main() {
	log.SetFlags(0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Stderr, os.Args[1:])
	stop()
	if err != nil {
		log.Fatal("launcher: ", err)
	}
}

func run(ctx context.Context, out io.Writer, args []string) (err error) {
	reports, err := os.MkdirTemp("", "reports-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(reports)) }()
	servers, err := dev.Start(ctx, dev.Config{Documents: &docapi.Config{Reports: reports}}) // your LumoAuth instance and your API, in one process
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	config, err := app(servers, out)
	if err != nil {
		return err
	}
	l := universal.NewLauncher(console.NewLauncher(), web.NewLauncher(api.NewLauncher(), webui.NewLauncher()))
	return l.Execute(ctx, config, args)
}

// app is the application as ADK's launcher takes it, with the plugin.
func app(servers *dev.Servers, out io.Writer) (*launcher.Config, error) {
	fetch, err := tools.FetchDocument(servers.API, tools.Options{})
	if err != nil {
		return nil, err
	}
	report, err := tools.CreateReport(servers.API, tools.Options{})
	if err != nil {
		return nil, err
	}
	root, err := agent.New(agent.Config{Model: offline.New(), Tools: []tool.Tool{fetch, report}})
	if err != nil {
		return nil, err
	}
	authority, err := lumoauth.New(servers.Client())
	if err != nil {
		return nil, err
	}
	engine, err := jit.New(jit.Config{Authority: authority})
	if err != nil {
		return nil, err
	}
	agents, sessions := adk.NewSingleLoader(root), session.InMemoryService()
	guard, err := runner.NewPlugin(runner.PluginConfig{
		Engine: engine, Agents: agents, Sessions: sessions,
		Observe: func(user, _ string, e jit.Event) { narrate(out, user, e) },
	})
	if err != nil {
		return nil, err
	}
	return &launcher.Config{
		AgentLoader: agents, SessionService: sessions, PluginConfig: adkrunner.PluginConfig{Plugins: []*plugin.Plugin{guard}},
	}, nil
}

// narrate says what happens under a user's task.
func narrate(out io.Writer, user string, e jit.Event) {
	switch e := e.(type) {
	case jit.Decided:
		_, _ = fmt.Fprintf(out, "[%s: %s, risk %s]\n", user, e.Status, e.Risk)
	case jit.Completed:
		_, _ = fmt.Fprintf(out, "[%s: the task is over: %d of %d tokens revoked]\n", user, e.Revoked, e.Issued)
	}
}
