// Command launcher runs the analyst under ADK's launcher: console, REST API and web UI, and
// both with A2A behind authentication.
//
// See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"

	"google.golang.org/adk/v2/cmd/launcher"
	"google.golang.org/adk/v2/cmd/launcher/console"
	"google.golang.org/adk/v2/cmd/launcher/universal"
	"google.golang.org/adk/v2/cmd/launcher/web"
	"google.golang.org/adk/v2/cmd/launcher/web/api"
	"google.golang.org/adk/v2/cmd/launcher/web/webui"
	"google.golang.org/adk/v2/plugin"
	adkrunner "google.golang.org/adk/v2/runner"

	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/docapi"
	"github.com/jitagent/jitagent/jit"
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
	flags := flag.NewFlagSet("launcher", flag.ContinueOnError)
	flags.SetOutput(out)
	var base *url.URL
	flags.Func("url", "by which people reach \"web secured\", and decide there", func(text string) (err error) { base, err = url.Parse(text); return err })
	users := flags.String("users", "", "file of the users of \"web secured\" and the hashes of their tokens, see docs/serve.md; without it there is one")
	if err := flags.Parse(args); err != nil {
		return err
	}

	dir, err := os.MkdirTemp("", "launcher-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	servers, err := dev.Start(ctx, dev.Config{Documents: &docapi.Config{Reports: filepath.Join(dir, "reports")}}) // your LumoAuth instance and your API, in one process
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	if base == nil {
		_, _ = fmt.Fprintf(out, "[who decides signs in at %s]\n", servers.Auth.SignIn())
	}

	app, err := open(ctx, servers, filepath.Join(dir, "state"), base, func(user, _ string, e jit.Event) { narrate(out, user, e) })
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, app.Close()) }()
	l := universal.NewLauncher(console.NewLauncher(), web.NewLauncher(api.NewLauncher(), webui.NewLauncher(), &secured{app: app, out: out, users: *users}))
	return l.Execute(ctx, app.config(), flags.Args())
}

// config is the application as ADK's launcher takes it, with the plugin.
func (a *app) config() *launcher.Config {
	return &launcher.Config{
		AgentLoader: a.agents, SessionService: a.sessions, PluginConfig: adkrunner.PluginConfig{Plugins: []*plugin.Plugin{a.guard}},
	}
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
