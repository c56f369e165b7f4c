// Package service puts together what commands share that carry many runs: the state, the
// servers, the engine and the agent.
package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/failpoints"
	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/runs"
	"github.com/jitagent/jitagent/state/session"
	"github.com/jitagent/jitagent/tools"
	"github.com/jitagent/jitagent/tools/mcp"
)

// Options say what a service is made of.
type Options struct {
	cli.Target
	Toolkit   cli.Toolkit
	Wait, TTL time.Duration // of each call and each token, as in [jit.Config]
	Reviewer  string        // the file of the token of a person who decides from here; "" is none
	DecideAt  *url.URL      // below which they do
	Limits    runner.Limits // of each run

	Prices      cli.Prices
	Checkpoints cli.Checkpoints
	Seen        cli.Seen // see [cli.Program.Observe], which whoever opens the service has called
}

// AddFlags adds the flags of what a service is made of to a command.
func (o *Options) AddFlags(cmd *cobra.Command) {
	o.Target.AddFlags(cmd)
	o.Prices.AddFlags(cmd)
	o.Checkpoints.AddFlags(cmd)
	o.Seen.AddFlags(cmd, true)
}

// A Service is what runs need. Close it.
type Service struct {
	Settings  cli.Settings
	State     *cli.State
	Sessions  *session.Store
	Runs      *runs.Store
	Servers   *dev.Servers // nil for those that are configured
	Authority cli.Authority
	Decider   *cli.Reviewer // nil where nobody decides from here
	Engine    *jit.Engine
	Agents    adk.Loader
	Tools     []tool.Tool    // of the program's own
	Plugin    *plugin.Plugin // begins runs
	Runner    *runner.Runner // goes on with them

	recovery recovery.Config
	close    []func() error
}

// Open opens the state, starts the servers that are not configured, logs in, and makes
// the agent, which acts for whoever onBehalf names: "" is nobody.
func Open(ctx context.Context, p *cli.Program, o Options, onBehalf func(context.Context) string, logger *slog.Logger) (_ *Service, err error) {
	s := &Service{}
	if s.Settings, err = o.Resolve(p.Getenv, o.Toolkit); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if err := o.Prices.Read(p, s.Settings); err != nil {
		return nil, err
	}
	llm, err := models.Open(ctx, s.Settings.Model, models.Options{Getenv: p.Getenv, Settings: s.Settings.ModelSettings, Logger: logger})
	if err != nil {
		return nil, cli.Usagef("%s", strings.TrimPrefix(err.Error(), "models: "))
	}
	// Before any server: what cannot be recorded must not be granted.
	if s.State, err = p.OpenState(ctx, false, logger); err != nil {
		return nil, err
	}
	s.later(s.State.Close)
	last, err := o.Checkpoints.Keep(ctx, p, s.State, logger)
	if err != nil {
		return nil, err
	}
	s.later(last)
	age, err := p.Keep()
	if err != nil {
		return nil, err
	}
	if s.Sessions, _, err = s.State.Sessions(ctx, age); err != nil {
		return nil, err
	}
	s.later(s.Sessions.Close)
	if s.Runs, err = s.State.OpenRuns(ctx, logger); err != nil {
		return nil, err
	}
	s.later(s.Runs.Close)
	if err := s.Sessions.Fence(s.Runs.Fence); err != nil {
		return nil, err
	}
	if s.Settings.Embedded {
		if s.Servers, err = cli.StartEmbedded(ctx, &s.Settings, s.State.Dir(), logger); err != nil {
			return nil, err
		}
		s.later(s.Servers.Close)
		if !s.Settings.Kept {
			return nil, cli.Failf("end it, or set "+cli.EnvState+" to another directory", "another analyst command has the embedded servers")
		}
		p.Note("embedded servers for development: authorization %s, documents %s (reports go to %s); model %s: %s",
			s.Servers.AuthURL, s.Servers.API, cmp.Or(s.Settings.Reports, "reports"), s.Settings.Model, s.Settings.Data)
	} else {
		p.Note("authorization %s, documents %s; model %s: %s", s.Settings.Server(), s.Settings.API, s.Settings.Model, s.Settings.Data)
	}
	if s.Authority, err = p.Authority(s.Settings, s.State, logger); err != nil {
		return nil, err
	}
	if client, ok := s.Authority.(*lumoauth.Client); ok && s.Servers != nil {
		s.Decider = cli.EmbeddedReviewer(s.Servers, client)
	} else if ok {
		s.Decider = p.ReviewerFrom(o.Reviewer, client)
	}
	if s.Decider != nil && o.DecideAt != nil {
		s.Authority = decidedHere{s.Authority, o.DecideAt}
	}
	if s.Engine, err = jit.New(p.Telemetry.Engine(jit.Config{
		Authority: failpoints.Authority(s.Authority), AuthorityName: cli.AuthorityName(s.Settings), TTL: o.TTL, Wait: o.Wait, Logger: logger,
		Journal: failpoints.Journal(s.State), TokenHashKey: []byte(s.State.TokenHashKey().Reveal()), GrantUses: s.Settings.Policy.Budgets().GrantUses,
	})); err != nil {
		return nil, err
	}
	if _, err := s.Authority.AgentToken(ctx); err != nil {
		return nil, fmt.Errorf("log in at %s: %w", s.Settings.Server(), err)
	}
	s.recovery = recovery.Config{
		Journal: s.State, Authority: cli.AuthorityName(s.Settings), Completer: s.Authority, Spare: s.Runs.Spare, Logger: logger,
	}
	recovered := cli.SweepAside(ctx, s.recovery)
	s.later(func() error {
		p.NoteRecovered(recovered())
		return nil
	})
	servers, err := s.connect(ctx, p, logger)
	if err != nil {
		return nil, err
	}
	kit, err := o.Toolkit(s.Settings.API, tools.Options{
		Base: p.Telemetry.Base(failpoints.Base(nil)), HonorsIdempotencyKey: s.Settings.APIIdempotent, Search: s.Settings.APISearch, Policy: s.Settings.Policy, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	root, err := agent.New(agent.Config{Model: p.Telemetry.Model(llm), Tools: kit, Toolsets: []*jitmw.Toolset{servers.Toolset()}})
	if err != nil {
		return nil, err
	}
	s.Agents = adk.NewSingleLoader(root)
	s.Tools = kit
	budget := o.Prices.Budget(s.Settings, llm)
	sessions, suspensions := failpoints.Sessions(s.Sessions), failpoints.Suspensions(s.Sessions)
	if s.Plugin, err = runner.NewPlugin(runner.PluginConfig{
		Engine: s.Engine, Agents: s.Agents, Sessions: sessions, Suspensions: suspensions, Runs: s.Runs, Limits: o.Limits, Budget: budget, Logger: logger,
		Task: func(ctx context.Context, _, _ string) (jit.TaskSpec, error) {
			return jit.TaskSpec{Name: "analyst", Type: "analysis", OnBehalfOf: s.known(onBehalf(ctx))}, nil
		},
	}); err != nil {
		return nil, err
	}
	s.Runner, err = runner.New(runner.Config{
		App: root.Name(), Agent: root, Engine: s.Engine, Sessions: sessions, Suspensions: suspensions, Runs: s.Runs, ManyUsers: true, Limits: o.Limits, Budget: budget, Logger: logger,
	})
	return s, err
}

// recoverEvery is how often a pool looks for what processes left that are gone.
const recoverEvery = 10 * time.Second

// Work goes on with runs of any process, workers at once, until ctx ends, and gives back
// what processes left that are gone.
func (s *Service) Work(ctx context.Context, workers int, logger *slog.Logger) error {
	pool, err := runs.NewPool(runs.PoolConfig{Store: s.Runs, Authority: s.Authority, Resume: s.resume, Workers: workers})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var recovered sync.WaitGroup
	defer recovered.Wait()
	recovered.Go(func() {
		tick := time.NewTicker(recoverEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := recovery.Pass(ctx, s.recovery); err != nil {
				logger.WarnContext(ctx, "what is left cannot be given back now", "error", err)
			}
		}
	})
	return pool.Run(ctx)
}

// resume goes on with a session, on behalf of whom its last task was for.
func (s *Service) resume(ctx context.Context, app, user, id string) error {
	name := runner.SessionName(app, user, id)
	tasks, err := s.State.Tasks(ctx, journal.TaskFilter{Session: name})
	if err != nil {
		return err
	}
	spec := jit.TaskSpec{Name: app + ": goes on", Type: "analysis"}
	if len(tasks) > 0 {
		spec.OnBehalfOf = tasks[len(tasks)-1].OnBehalfOf
	}
	for _, failure := range s.Runner.Resume(ctx, runner.Input{User: user, Session: id, Task: spec}) {
		err = failure
	}
	return err
}

// known returns a user's email, unless the embedded servers do not know it: they refuse
// tasks on behalf of whom they do not know.
func (s *Service) known(email string) string {
	if s.Servers != nil && !slices.ContainsFunc(s.Servers.Auth.Config().Users, func(u lumodev.User) bool { return u.Email == email }) {
		return ""
	}
	return email
}

// decidedHere names this program's own page as where requests are decided.
type decidedHere struct {
	cli.Authority
	base *url.URL
}

// Request implements [jit.Authority].
func (a decidedHere) Request(ctx context.Context, req jit.Request) (jit.Decision, error) {
	d, err := a.Authority.Request(ctx, req)
	return a.placed(d, d.RequestID), err
}

// Status implements [jit.Authority].
func (a decidedHere) Status(ctx context.Context, id string) (jit.Decision, error) {
	d, err := a.Authority.Status(ctx, id)
	return a.placed(d, id), err
}

func (a decidedHere) placed(d jit.Decision, id string) jit.Decision {
	if d.Status == jit.StatusPending {
		d.DecideAt = a.base.JoinPath(id).String()
	}
	return d
}

// connect opens the MCP servers, under a task of their own where one of them may demand
// authority for it.
func (s *Service) connect(ctx context.Context, p *cli.Program, logger *slog.Logger) (*mcp.Set, error) {
	if mcp.Demanding(s.Settings.MCP, s.Settings.Policy) {
		task := s.Engine.Start(ctx, jit.TaskSpec{Name: "analyst: MCP servers", Type: "analysis"}, nil)
		s.later(func() error { return task.Complete(context.WithoutCancel(ctx)) })
		ctx = jit.NewContext(ctx, task)
	}
	set, err := mcp.Open(ctx, mcp.Config{Servers: s.Settings.MCP, Policy: s.Settings.Policy, Base: p.Telemetry.Base(failpoints.Base(nil)), Logger: logger})
	if err == nil {
		s.later(set.Close)
	}
	return set, err
}

func (s *Service) later(end func() error) { s.close = append(s.close, end) }

// Close gives back what is left, and ends all that was begun, the last first.
func (s *Service) Close() error {
	var errs []error
	for i := len(s.close) - 1; i >= 0; i-- {
		errs = append(errs, s.close[i]())
	}
	s.close = nil
	return errors.Join(errs...)
}
