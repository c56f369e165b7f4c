package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/internal/console"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/tools"
)

// maxPrompt bounds a prompt read from standard input.
const maxPrompt = 1 << 20

// defaultWait is how long a call waits for a person at a real authorization
// server. It is the window that LumoAuth's reviewers have.
const defaultWait = 5 * time.Minute

type runFlags struct {
	target
	wait, ttl, timeout time.Duration
	onBehalfOf         string
	stream, ephemeral  bool
	json, quiet, debug bool
}

func (p *program) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run PROMPT",
		Short: "Run the analyst on one request",
		Long: `Run the analyst on one request. The answer goes to stdout, a live timeline to
stderr. PROMPT "-" reads standard input.

Exit codes: 0 done, 1 failed, 2 usage, 4 authority denied, 8 waiting for a person,
9 a call's answer was lost and nobody knows whether it took effect, 130 interrupted.`,
		Example: `  analyst run "Fetch document doc_9982, summarize it, and create a report titled 'Q4 Analysis'."
  analyst run --quiet "What does doc_9982 say about churn?"
  analyst run --json "Summarize doc_9982" | jq -c .event
  analyst run --documents ./notes --reports ./out "Create a report about document notes titled 'Notes'"
  echo "Summarize doc_9982" | analyst run -`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !cmd.Flags().Changed("wait") {
				f.wait = -1
			}
			return p.run(cmd.Context(), f, args[0])
		},
	}
	flags := cmd.Flags()
	f.flags(flags)
	flags.DurationVar(&f.wait, "wait", 0, "how long a call waits for a person (default 5m; with the embedded servers 0, since nobody is there)")
	flags.DurationVar(&f.ttl, "ttl", jit.DefaultTTL, "lifetime to ask for each token")
	flags.DurationVar(&f.timeout, "timeout", 15*time.Minute, "bound of the whole run")
	flags.StringVar(&f.onBehalfOf, "on-behalf-of", "", "email of the user for whom the agent acts")
	flags.BoolVar(&f.stream, "stream", false, "print what the model says as it says it")
	ephemeralFlag(flags, &f.ephemeral)
	flags.BoolVar(&f.json, "json", false, "print one JSON event a line on stdout, and no timeline")
	flags.BoolVar(&f.quiet, "quiet", false, "print the answer only")
	flags.BoolVar(&f.debug, "debug", false, "log to stderr what happens inside")
	return cmd
}

// run does the job of analyst run.
func (p *program) run(ctx context.Context, f runFlags, prompt string) (err error) {
	prompt, err = p.prompt(prompt)
	if err != nil {
		return err
	}
	if f.json && f.quiet {
		return usageError("--json and --quiet exclude each other")
	}
	if f.ttl < time.Second || f.ttl%time.Second != 0 {
		return usageError("--ttl is a whole number of seconds, at least 1s")
	}
	if f.timeout <= 0 {
		return usageError("--timeout must be positive")
	}
	s, err := f.resolve(p.getenv)
	if err != nil {
		return err
	}
	var completed *jit.Completed // what became of the task
	logger := p.logger(f.debug)
	llm, err := models.Open(ctx, s.model, models.Options{Getenv: p.getenv, Settings: s.modelSettings, Logger: logger})
	if err != nil {
		return usageError("%s", strings.TrimPrefix(err.Error(), "models: "))
	}
	say := p.stderr
	if f.json || f.quiet {
		say = io.Discard
	}
	// Before any server: what cannot be recorded must not be granted.
	state, err := p.openRunState(ctx, f.ephemeral, say, logger)
	if err != nil {
		return err
	}
	defer func() { err = state.end(ctx, say, completed, err) }()
	if s.embedded {
		servers, err := startEmbedded(ctx, s, logger)
		if err != nil {
			return err
		}
		defer func() { _ = servers.Close() }()
		s.lumoauth, s.api, s.apiIdempotent = clientOf(servers), servers.API, true
		_, _ = fmt.Fprintf(say, "analyst: embedded servers for development: authorization %s, documents %s (%d of them, reports go to %s); model %s: %s\n",
			servers.AuthURL, servers.API, len(servers.Docs.IDs()), cmp.Or(s.reports, "./reports"), s.model, s.data)
	} else {
		_, _ = fmt.Fprintf(say, "analyst: authorization %s (%s), documents %s; model %s: %s\n",
			s.lumoauth.URL, s.lumoauth.Org, s.api, s.model, s.data)
	}
	s.lumoauth.Logger = logger
	authority, err := lumoauth.New(s.lumoauth)
	if err != nil {
		return err
	}
	r, err := assemble(s, f, authority, state, llm, logger)
	if err != nil {
		return err
	}
	recovered := sweepAside(ctx, recovery.Config{Journal: state.Journal, Authority: authorityName(s), Completer: authority, Logger: logger})
	defer func() {
		report, err := recovered()
		sayRecovered(say, report, err)
	}()
	completed, err = p.drive(ctx, r, f, s.model, prompt)
	return err
}

// prompt reads the request.
func (p *program) prompt(arg string) (string, error) {
	if arg == "-" {
		text, err := strictjson.ReadAll(p.stdin, maxPrompt)
		if err != nil {
			return "", usageError("the prompt on standard input: %w", err)
		}
		arg = string(text)
	}
	if strings.TrimSpace(arg) == "" {
		return "", &exitError{code: exitUsage, err: errors.New("the prompt is empty"), hint: `say what to do: analyst run "Summarize doc_9982"`}
	}
	return arg, nil
}

// assemble wires the parts of a run.
func assemble(s settings, f runFlags, authority jit.Authority, state *runState, llm model.LLM, logger *slog.Logger) (*runner.Runner, error) {
	wait := f.wait
	if wait < 0 {
		wait = defaultWait
		if s.embedded {
			wait = 0
		}
	}
	engine, err := jit.New(jit.Config{
		Authority: failAuthority(authority), AuthorityName: authorityName(s), TTL: f.ttl, Wait: wait, Logger: logger,
		Journal: failJournal(state), TokenHashKey: []byte(state.TokenHashKey().Reveal()),
	})
	if err != nil {
		return nil, err
	}
	kit, err := toolkit(s.api, tools.Options{Base: failBase(nil), HonoursIdempotencyKey: s.apiIdempotent, Logger: logger})
	if err != nil {
		return nil, err
	}
	a, err := agent.New(agent.Config{Model: llm, Tools: kit})
	if err != nil {
		return nil, err
	}
	return runner.New(runner.Config{
		App: "analyst", Agent: a, Engine: engine, Stream: f.stream, Logger: logger, Limits: runner.Limits{Wall: f.timeout},
	})
}

// drive runs the agent, shows what happens, and words the end. completed is what
// became of the task; nil when that was not seen.
func (p *program) drive(ctx context.Context, r *runner.Runner, f runFlags, model, prompt string) (completed *jit.Completed, err error) {
	in := runner.Input{Text: prompt, Task: jit.TaskSpec{
		Name: "analyst: " + plain.Line(prompt, 80), Type: "analysis", OnBehalfOf: f.onBehalfOf,
	}}
	show := p.viewer(f)
	out := answerPrinter{w: p.stdout, live: f.stream && !f.json}
	last := summary{model: model}
	for event, err := range r.Run(ctx, in) {
		if err != nil {
			last.err = err
			continue
		}
		last.see(event)
		if c, ok := event.(jit.Completed); ok {
			completed = &c
		}
		if err := errors.Join(show(event), out.see(event)); err != nil {
			return completed, fmt.Errorf("write the output: %w", err)
		}
	}
	if !f.json {
		if err := out.finish(last.finished.Answer); err != nil {
			return completed, fmt.Errorf("write the answer: %w", err)
		}
	}
	return completed, last.exit()
}

// viewer returns what shows each event: the timeline, JSON lines, or nothing.
func (p *program) viewer(f runFlags) func(runner.Event) error {
	switch {
	case f.json:
		return func(e runner.Event) error {
			line, err := runner.MarshalEvent(e)
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(append(line, '\n'))
			return err
		}
	case f.quiet:
		return func(runner.Event) error { return nil }
	}
	timeline := console.NewTimeline(p.stderr, p.colour(p.stderr))
	return func(e runner.Event) error { timeline.Show(e); return nil }
}
