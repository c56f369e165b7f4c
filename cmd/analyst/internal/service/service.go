// Package service puts together what runs are made of, one or many: the state, the servers,
// the engine and the agent.
package service

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	adk "google.golang.org/adk/v2/agent"
	"google.golang.org/adk/v2/plugin"
	"google.golang.org/adk/v2/tool"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/runs"
)

// Shared is what many runs share besides.
type Shared struct {
	Options
	Checkpoints cli.Checkpoints
	Wait        time.Duration // of each call, as in [jit.Config]
	// OnBehalfOf names the user that a message comes from; nil where none come.
	OnBehalfOf func(context.Context) string
}

// AddFlags adds the flags of what a service is made of to a command.
func (o *Shared) AddFlags(cmd *cobra.Command) {
	o.Options.AddFlags(cmd, true)
	o.Checkpoints.AddFlags(cmd)
	cmd.Flags().BoolVar(&o.Callback, "callback", true, "have LumoAuth call analyst serve at --url when a person has decided, if that is https or both are on this machine")
}

// Check is [Options.Check] of what a service is made of.
func (o *Shared) Check(ctx context.Context, p *cli.Program) error {
	var wrong cli.Problems
	wrong.Add(o.Options.Check(ctx, p))
	_, err := o.Checkpoints.Check(p)
	wrong.Add(err)
	return wrong.Err()
}

// A Service is what many runs need. Close it.
type Service struct {
	*Parts
	Runs   *runs.Store
	Agents adk.Loader
	Tools  []tool.Tool    // of the program's own
	Plugin *plugin.Plugin // begins runs
	Runner *runner.Runner // goes on with them
}

// Open opens the state, starts the servers that are not configured, logs in, and makes
// the agent.
func (o *Shared) Open(ctx context.Context, p *cli.Program) (*Service, error) {
	p.Founds = true
	parts, err := o.Options.Open(ctx, p)
	if err != nil {
		return nil, err
	}
	s := &Service{Parts: parts}
	if err := s.open(ctx, o); err != nil {
		return nil, s.Close(err)
	}
	return s, nil
}

func (s *Service) open(ctx context.Context, o *Shared) (err error) {
	if s.State, s.Sessions, err = s.OpenSessions(ctx, s.Log); err != nil {
		return err
	}
	s.Finally(joined(s.State.Close))
	last, err := o.Checkpoints.Keep(ctx, s.Program, s.State, s.Log)
	if err != nil {
		return err
	}
	s.Finally(joined(last))
	if err := s.Start(ctx); err != nil {
		return err
	}
	if s.Servers != nil && !s.Settings.Kept {
		return cli.Failf("end it, or set "+cli.EnvState+" to another directory", cli.ServersBusy)
	}
	if s.Runs, err = s.State.OpenRuns(ctx, cli.AuthorityName(s.Settings), s.Log); err != nil {
		return err
	}
	s.Finally(joined(s.Runs.Close))
	if err := s.Telemetry.Waiting(s.Runs.Waiting); err != nil {
		return err
	}
	if err := s.Sessions.Fence(s.Runs); err != nil {
		return err
	}
	s.Recovery.Spare = s.Runs.Spare
	if err := s.Begin(ctx, jit.Config{Authority: s.Authority, Wait: o.Wait}, s.State); err != nil {
		return err
	}
	if err := s.Connect(ctx, "", nil); err != nil {
		return err
	}
	cfg, kit, err := s.Assemble()
	if err != nil {
		return err
	}
	s.Agents, s.Tools = adk.NewSingleLoader(cfg.Agent), kit
	cfg.Runs, cfg.ManyUsers = s.Runs, true
	if s.Runner, err = runner.New(cfg); err != nil || o.OnBehalfOf == nil {
		return err
	}
	tell := func(user, session string, e runner.Event) {
		s.Told.See(user, runner.SessionName(cfg.App, user, session), e)
	}
	cfg.Runs = toldRuns{s.Runs, tell}
	s.Plugin, err = runner.NewPlugin(runner.PluginConfig{
		Config: cfg, Agents: s.Agents, Observe: func(user, session string, e jit.Event) { tell(user, session, e) },
		Task: func(ctx adk.InvocationContext) (jit.TaskSpec, error) {
			return jit.TaskSpec{Name: cli.TaskName(said(ctx.UserContent())), Type: "analysis", OnBehalfOf: s.known(o.OnBehalfOf(ctx))}, nil
		},
	})
	return err
}

// said is the text of a message.
func said(m *genai.Content) string {
	var texts []string
	if m != nil {
		for _, p := range m.Parts {
			texts = append(texts, p.Text)
		}
	}
	return strings.TrimSpace(strings.Join(texts, " "))
}

// Work goes on with runs of any process, workers at once, until ctx ends, and gives back
// what processes left that are gone.
func (s *Service) Work(ctx context.Context, workers int) error {
	if err := s.NoteForeign(ctx, s.Runs); err != nil {
		return err
	}
	pool, err := runs.NewPool(runs.PoolConfig{Store: s.Runs, Authority: s.Authority, Resume: s.resume, Workers: workers})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var recovers sync.WaitGroup
	recovers.Go(func() { recovery.Keep(ctx, s.Recovery) })
	defer recovers.Wait()
	defer cancel()
	return pool.Run(ctx)
}

// resume goes on with a session, on behalf of whom its last task was for, and in its trace.
func (s *Service) resume(ctx context.Context, app, user, id string) (err error) {
	name := runner.SessionName(app, user, id)
	tasks, err := s.State.Tasks(ctx, journal.TaskFilter{Session: name})
	if err != nil {
		return err
	}
	spec, trace := jit.TaskSpec{Name: cli.TaskName("goes on"), Type: "analysis"}, ""
	if len(tasks) > 0 {
		last := tasks[len(tasks)-1]
		spec.OnBehalfOf = last.OnBehalfOf
		for _, t := range tasks {
			if t.Parent == "" { // or its name is another agent's
				spec.Name = t.Name
			}
		}
		entries, err := s.State.Entries(ctx, last.Run)
		if err != nil {
			return err
		}
		for _, e := range entries {
			trace = cmp.Or(trace, e.Trace)
		}
	}
	ctx, end := s.Telemetry.Run(ctx, "analyst resume", trace)
	defer func() { end("resumed", err != nil) }()
	for event, failure := range s.Runner.Resume(ctx, runner.Input{User: user, Session: id, Task: spec}) {
		s.Told.See(user, name, event)
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
