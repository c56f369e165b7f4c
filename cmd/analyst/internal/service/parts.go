package service

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/failpoints"
	"github.com/jitagent/jitagent/dev"
	listen "github.com/jitagent/jitagent/internal/serve"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/notice"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/approval"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/runs"
	"github.com/jitagent/jitagent/state/session"
	"github.com/jitagent/jitagent/tools"
	"github.com/jitagent/jitagent/tools/mcp"
)

// Options say what runs are made of.
type Options struct {
	cli.Target
	Toolkit  cli.Toolkit
	TTL      time.Duration // of each token, as in [jit.Config]
	Timeout  time.Duration // of each run
	Debug    bool
	Prices   cli.Prices
	Seen     cli.Seen
	Notify   cli.Notify
	Reviewer string   // the file of the token of a person who decides from here; "" is none
	DecideAt *url.URL // below which people decide, where somebody does from here; nil is as the server says
	Base     *url.URL // of analyst serve, where callbacks come in; nil where none do
	Callback bool     // that the authorization server is to be given addresses there
	long     bool     // the command lives for long

	settings cli.Settings // from Check on
}

// AddFlags adds their flags to a command, but for that of Reviewer. A command that lives
// for long has metrics to be fetched.
func (o *Options) AddFlags(cmd *cobra.Command, long bool) {
	o.long = long
	o.Target.AddFlags(cmd)
	o.Prices.AddFlags(cmd)
	o.Seen.AddFlags(cmd, long)
	o.Notify.AddFlags(cmd)
	cmd.Flags().DurationVar(&o.TTL, "ttl", jit.DefaultTTL, "`LIFE` to ask for each token")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", 15*time.Minute, "how `LONG` a run may take, with the time that a person takes to decide")
	cmd.Flags().BoolVar(&o.Debug, "debug", false, "log to stderr what happens inside")
}

// Parts are what runs need, one or many, put together by the methods in their order.
// Close them.
type Parts struct {
	*Options
	*cli.Program
	Settings  cli.Settings
	Log       *slog.Logger
	Told      *notice.Notifier // nil tells nobody
	Model     model.LLM
	State     *cli.State
	Sessions  *session.Store // nil keeps none
	Servers   *dev.Servers   // nil for those that are configured
	Authority cli.Authority
	Decider   approval.Decider // nil where nobody decides from here
	Callbacks *runs.Callbacks  // nil where the authorization server cannot call, or is not to
	Engine    *jit.Engine
	Recovery  recovery.Config
	MCP       *mcp.Set

	close []func(error) error
}

// Check reads the settings, and finds all that is wrong with them, before anything else is
// done.
func (o *Options) Check(ctx context.Context, p *cli.Program) (err error) {
	var wrong cli.Problems
	o.settings, err = o.Resolve(p.Getenv, o.Toolkit)
	wrong.Add(err)
	wrong.Add(o.Prices.Read(p, o.settings))
	if o.settings.Data != "" {
		_, err = openModel(ctx, p, o.settings, nil)
		wrong.Add(err)
	}
	wrong.Add(p.CheckState(o.settings))
	wrong.Add(o.Seen.Check())
	wrong.Add(o.Notify.Check(p))
	wrong.If(o.TTL < time.Second || o.TTL%time.Second != 0, "--ttl is a whole number of seconds, at least 1s")
	wrong.If(o.Timeout <= 0, "--timeout must be positive")
	return wrong.Err()
}

// Open has the program seen and told of, and opens the model, by what Check has read.
func (o *Options) Open(ctx context.Context, p *cli.Program) (_ *Parts, err error) {
	s := &Parts{Options: o, Program: p, Settings: o.settings}
	unseen, err := p.Observe(ctx, o.Seen)
	if err != nil {
		return nil, err
	}
	s.Later(unseen)
	s.Log = p.Logger(o.Debug)
	if o.long {
		s.Log = p.ServiceLogger(o.Debug)
	}
	told, untold, err := o.Notify.Open(p, p.ServiceLogger(o.Debug)) // what was not told is no matter for --debug
	if err != nil {
		return nil, s.Close(err)
	}
	s.Told = told
	s.Later(untold)
	if s.Model, err = s.OpenModel(ctx, s.Settings); err != nil {
		return nil, s.Close(err)
	}
	return s, nil
}

// OpenModel opens the model of settings.
func (s *Parts) OpenModel(ctx context.Context, set cli.Settings) (model.LLM, error) {
	return openModel(ctx, s.Program, set, s.Log)
}

func openModel(ctx context.Context, p *cli.Program, set cli.Settings, logger *slog.Logger) (model.LLM, error) {
	llm, err := models.Open(ctx, set.Model, models.Options{Getenv: p.Getenv, Settings: set.ModelSettings, Logger: logger})
	if err != nil {
		return nil, cli.Usagef("%s", strings.TrimPrefix(err.Error(), "models: "))
	}
	return llm, nil
}

// Start starts the servers that are not configured. The state must be open: what cannot be
// recorded must not be granted.
func (s *Parts) Start(ctx context.Context) (err error) {
	set := &s.Settings
	if set.Embedded {
		if s.Servers, err = cli.StartEmbedded(ctx, set, s.State.Dir(), s.Log); err != nil {
			return err
		}
		s.Later(func() { _ = s.Servers.Close() })
		reports := cmp.Or(set.Reports, "reports")
		if abs, err := filepath.Abs(reports); err == nil {
			reports = abs // by which they are found from anywhere
		}
		s.Note("embedded servers for development: authorization %s, documents %s (%d of them, reports go to %s); model %s: %s",
			s.Servers.AuthURL, s.Servers.API, len(s.Servers.Docs.IDs()), reports, set.Model, set.Data)
		for _, line := range s.Servers.Docs.Remarks() {
			s.Note("documents: %s", line)
		}
	} else {
		s.Note("authorization %s, documents %s; model %s: %s", set.Server(), set.API, set.Model, set.Data)
	}
	person := s.ReviewerToken(s.Reviewer)
	if s.Servers != nil {
		person = s.Servers.Auth.Reviewer
	}
	if person != nil {
		set.LumoAuth.DecideAt = s.DecideAt
	}
	if s.Callbacks = s.callbacks(); s.Callbacks != nil {
		set.LumoAuth.Callback = s.Callbacks.For
	}
	if s.Authority, err = s.Program.Authority(*set, s.State, s.Log); err != nil {
		return err
	}
	if client, ok := s.Authority.(*lumoauth.Client); ok && person != nil { // elsewhere nobody decides from here
		s.Decider = lumoauth.Reviewer{Client: client, Token: person}
	}
	return nil
}

// callbacks returns the addresses that the authorization server calls: those of analyst serve,
// over TLS, or on this machine where that server is, too.
func (s *Parts) callbacks() *runs.Callbacks {
	if !s.Callback || s.Base == nil || s.Settings.OAuth != nil {
		return nil
	}
	here, err := jit.OriginOf(s.Base)
	there, bad := url.Parse(s.Settings.LumoAuth.URL)
	if err != nil || bad != nil || here.Loopback() && !listen.Loopback(there.Hostname()) {
		return nil
	}
	return &runs.Callbacks{Base: s.Base.JoinPath("callbacks"), Key: s.State.TokenHashKey(), Authority: cli.AuthorityName(s.Settings)}
}

// Begin makes the engine, of which cfg has what is particular, gives back what processes
// left that are gone, but what Recovery spares, and logs in.
func (s *Parts) Begin(ctx context.Context, cfg jit.Config, journal failpoints.Kept) (err error) {
	cfg.AuthorityName, cfg.TTL, cfg.Logger = cli.AuthorityName(s.Settings), s.TTL, s.Log
	cfg.Authority, cfg.Journal, cfg.TokenHashKey = failpoints.Authority(cfg.Authority), failpoints.Journal(journal), []byte(s.State.TokenHashKey().Reveal())
	cfg.GrantUses = s.Settings.Policy.Budgets().GrantUses
	if s.Engine, err = jit.New(s.Telemetry.Engine(cfg)); err != nil {
		return err
	}
	s.Recovery.Journal, s.Recovery.Authority, s.Recovery.Completer, s.Recovery.Logger = s.State, cfg.AuthorityName, s.Traced(s.Authority), s.Log
	recovered := cli.SweepAside(ctx, s.Recovery)
	s.Later(func() { s.NoteRecovered(recovered()) })
	// A login that fails is said before a model has read a prompt.
	if _, err := s.Authority.AgentToken(ctx); ctx.Err() != nil {
		return cli.Interrupted(ctx)
	} else if err != nil {
		return fmt.Errorf("log in at %s: %w", s.Settings.Server(), err)
	}
	return nil
}

// Connect opens the MCP servers. Where one of them may demand authority for being connected
// to, they have a task of their own, which observe is told of and which lasts as long.
func (s *Parts) Connect(ctx context.Context, onBehalfOf string, observe func(jit.Event)) (err error) {
	if mcp.Demanding(s.Settings.MCP, s.Settings.Policy) {
		task := s.Engine.Start(ctx, jit.TaskSpec{Name: "analyst: MCP servers", Type: "analysis", OnBehalfOf: onBehalfOf}, observe)
		s.Later(func() {
			if err := task.Complete(context.WithoutCancel(ctx)); err != nil {
				s.Note("the task of the MCP servers: %s", cli.Say(err))
			}
		})
		ctx = jit.NewContext(ctx, task)
	}
	s.MCP, err = mcp.Open(ctx, mcp.Config{Servers: s.Settings.MCP, Policy: s.Settings.Policy, Base: s.Telemetry.Base(failpoints.Base(nil)), Logger: s.Log})
	if err == nil {
		s.Later(func() { _ = s.MCP.Close() })
	}
	return err
}

// Assemble makes the agent, and returns it as a runner's configuration, and the program's
// own tools.
func (s *Parts) Assemble() (cfg runner.Config, kit []tool.Tool, err error) {
	kit, err = s.Toolkit(s.Settings.API, tools.Options{
		Base: s.Telemetry.Base(failpoints.Base(nil)), HonorsIdempotencyKey: s.Settings.APIIdempotent, Search: s.Settings.APISearch, Policy: s.Settings.Policy, Logger: s.Log,
	})
	if err != nil {
		return cfg, nil, err
	}
	a, err := agent.New(agent.Config{Model: s.Telemetry.Model(s.Model), Tools: kit, Toolsets: []*jitmw.Toolset{s.MCP.Toolset()}})
	if err != nil {
		return cfg, nil, err
	}
	cfg = runner.Config{
		App: a.Name(), Agent: a, Engine: s.Engine, Logger: s.Log, Limits: runner.Limits{Wall: s.Timeout}, Budget: s.Prices.Budget(s.Settings, s.Model),
	}
	if s.Sessions != nil {
		cfg.Sessions = failpoints.Sessions(s.Sessions)
		if s.Settings.Kept || !s.Settings.Embedded {
			cfg.Suspensions = failpoints.Suspensions(s.Sessions)
		}
	}
	return cfg, kit, nil
}

// Later has Close call end, before what was given to it earlier.
func (s *Parts) Later(end func()) {
	s.Finally(func(err error) error { end(); return err })
}

// Finally is Later of what returns what becomes of Close's error.
func (s *Parts) Finally(end func(error) error) { s.close = append(s.close, end) }

// Close gives back what is left, and ends all that was begun, the last first. err is what
// all ends with, and is returned with what else went wrong.
func (s *Parts) Close(err error) error {
	for i := len(s.close) - 1; i >= 0; i-- {
		err = s.close[i](err)
	}
	s.close = nil
	return err
}

// joined makes what can fail a function for [Parts.Finally].
func joined(end func() error) func(error) error {
	return func(err error) error {
		if failed := end(); failed != nil {
			return errors.Join(err, failed)
		}
		return err
	}
}
