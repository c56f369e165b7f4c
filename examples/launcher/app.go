package main

import (
	"context"
	"errors"
	"net/url"

	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models/offline"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
	"github.com/jitagent/jitagent/state/runs"
	"github.com/jitagent/jitagent/state/session"
	"github.com/jitagent/jitagent/state/sqlite"
	"github.com/jitagent/jitagent/tools"
)

// An app is an ADK application whose calls may wait for a person, also over a restart.
type app struct {
	agents   adk.Loader
	journal  *sqlite.Journal // what was asked, granted and done
	sessions *session.Store  // conversations, and what waits in them
	runs     *runs.Store     // what is under way, and by whom
	guard    *plugin.Plugin  // begins runs
	again    *runner.Runner  // goes on with them

	url     *url.URL         // by which it is reached; nil where its users are not known
	decides approval.Decider // what its users may decide

	close []func() error
}

// open opens the application, whose state is in dir. With a base URL, people decide on a page
// of its own.
func open(ctx context.Context, servers *dev.Servers, dir string, base *url.URL, observe func(user, session string, e jit.Event)) (_ *app, err error) {
	a := &app{url: base}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if a.journal, err = sqlite.Open(ctx, sqlite.Options{Dir: dir}); err != nil {
		return nil, err
	}
	a.close = append(a.close, a.journal.Close)
	if a.sessions, err = session.Open(ctx, dir); err != nil {
		return nil, err
	}
	a.close = append(a.close, a.sessions.Close)
	if a.runs, err = runs.Open(ctx, dir, runs.Options{Journal: a.journal}); err != nil {
		return nil, err
	}
	a.close = append(a.close, a.runs.Close)
	if err := a.sessions.Fence(a.runs); err != nil {
		return nil, err
	}

	cfg := servers.Client()
	if base != nil {
		cfg.DecideAt = base.JoinPath("approvals")
	}
	authority, err := lumoauth.New(cfg)
	if err != nil {
		return nil, err
	}
	// With the token of a person who may decide: yours is in a file that only this process reads.
	a.decides = a.runs.Hinting(lumoauth.Reviewer{Client: authority, Token: servers.Auth.Reviewer})
	engine, err := jit.New(jit.Config{Authority: authority, Journal: a.journal})
	if err != nil {
		return nil, err
	}
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
	a.agents = adk.NewSingleLoader(root)
	both := runner.Config{Agent: root, Engine: engine, Sessions: a.sessions, Suspensions: a.sessions, Runs: a.runs, ManyUsers: true}
	if a.guard, err = runner.NewPlugin(runner.PluginConfig{Config: both, Agents: a.agents, Task: named, Observe: observe}); err != nil {
		return nil, err
	}
	if a.again, err = runner.New(both); err != nil {
		return nil, err
	}
	return a, a.work(ctx, authority, observe)
}

// named names the task of a message by its beginning, which whoever decides reads.
func named(ctx adk.InvocationContext) (jit.TaskSpec, error) {
	var text []rune
	if said := ctx.UserContent(); said != nil {
		for _, part := range said.Parts {
			text = append(text, []rune(part.Text)...)
		}
	}
	return jit.TaskSpec{Name: string(text[:min(len(text), 80)])}, nil
}

// work goes on with what waits when somebody has decided, until the application is closed.
func (a *app) work(ctx context.Context, authority *lumoauth.Client, observe func(user, session string, e jit.Event)) error {
	pool, err := runs.NewPool(runs.PoolConfig{Store: a.runs, Authority: authority, Resume: func(ctx context.Context, app, user, id string) (err error) {
		in := runner.Input{User: user, Session: id, Task: jit.TaskSpec{Name: app}}
		for ev, failure := range a.again.Resume(ctx, in) {
			if ev != nil {
				observe(user, id, ev)
			}
			err = failure
		}
		return err
	}})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- pool.Run(ctx) }()
	a.close = append(a.close, func() error { stop(); return <-ended })
	return nil
}

// Close ends what is under way, and closes what was opened, the last first.
func (a *app) Close() (err error) {
	for i := len(a.close) - 1; i >= 0; i-- {
		err = errors.Join(err, a.close[i]())
	}
	return err
}
