package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/adk/v2/model"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/internal/console"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/runner"
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
130 interrupted.`,
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
	flags.DurationVar(&f.ttl, "ttl", 5*time.Minute, "lifetime to ask for each token")
	flags.DurationVar(&f.timeout, "timeout", 15*time.Minute, "bound of the whole run")
	flags.StringVar(&f.onBehalfOf, "on-behalf-of", "", "email of the user for whom the agent acts")
	flags.BoolVar(&f.json, "json", false, "print one JSON event a line on stdout, and no timeline")
	flags.BoolVar(&f.quiet, "quiet", false, "print the answer only")
	flags.BoolVar(&f.debug, "debug", false, "log to stderr what happens inside")
	return cmd
}

// run does the job of analyst run.
func (p *program) run(ctx context.Context, f runFlags, prompt string) error {
	prompt, err := p.prompt(prompt)
	if err != nil {
		return err
	}
	if f.json && f.quiet {
		return usageError("--json and --quiet exclude each other")
	}
	if f.ttl <= 0 || f.timeout <= 0 {
		return usageError("--ttl and --timeout must be positive")
	}
	s, err := f.resolve(p.getenv)
	if err != nil {
		return err
	}
	logger := p.logger(f.debug)
	llm, err := models.Open(ctx, s.model, models.Options{Getenv: p.getenv, Logger: logger})
	if err != nil {
		return &exitError{code: exitUsage, err: err}
	}
	say := p.stderr
	if f.json || f.quiet {
		say = io.Discard
	}
	if s.embedded {
		servers, err := startEmbedded(ctx, embeddedConfig{documents: s.documents, reports: s.reports, logger: logger})
		if err != nil {
			return err
		}
		defer func() { _ = servers.Close() }()
		s.lumoauth, s.api = servers.client(), servers.url
		_, _ = fmt.Fprintf(say, "analyst: embedded servers for development: authorization %s, documents %s (%d of them, reports go to %s); model %s: %s\n",
			servers.auth.URL, servers.url, len(servers.api.IDs()), cmp.Or(s.reports, "./reports"), s.model, s.provider.Data)
	} else {
		_, _ = fmt.Fprintf(say, "analyst: authorization %s (%s), documents %s; model %s: %s\n",
			s.lumoauth.URL, s.lumoauth.Org, s.api, s.model, s.provider.Data)
	}
	r, err := assemble(s, f, llm, logger)
	if err != nil {
		return err
	}
	return p.drive(ctx, r, f, prompt)
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
func assemble(s settings, f runFlags, llm model.LLM, logger *slog.Logger) (*runner.Runner, error) {
	s.lumoauth.Logger = logger
	authority, err := lumoauth.New(s.lumoauth)
	if err != nil {
		return nil, err
	}
	wait := f.wait
	if wait < 0 {
		wait = defaultWait
		if s.embedded {
			wait = 0
		}
	}
	engine, err := jit.New(jit.Config{Authority: authority, TTL: f.ttl, Wait: wait, Logger: logger})
	if err != nil {
		return nil, err
	}
	kit, err := toolkit(s.api, logger)
	if err != nil {
		return nil, err
	}
	a, err := agent.New(agent.Config{Model: llm, Tools: kit})
	if err != nil {
		return nil, err
	}
	return runner.New(runner.Config{
		App: "analyst", Agent: a, Engine: engine, Logger: logger, Limits: runner.Limits{Wall: f.timeout},
	})
}

// toolkit lists the analyst's tools. A new tool is one file in package tools and
// one entry here.
func toolkit(api *url.URL, logger *slog.Logger) ([]tool.Tool, error) {
	var kit []tool.Tool
	for _, build := range []func(*url.URL, tools.Options) (tool.Tool, error){
		tools.FetchDocument,
		tools.CreateReport,
	} {
		t, err := build(api, tools.Options{Logger: logger})
		if err != nil {
			return nil, err
		}
		kit = append(kit, t)
	}
	return kit, nil
}

// drive runs the agent, shows what happens, and words the end.
func (p *program) drive(ctx context.Context, r *runner.Runner, f runFlags, prompt string) error {
	in := runner.Input{Text: prompt, Task: jit.TaskSpec{
		Name: "analyst: " + console.Clean(prompt, 80), Type: "analysis", OnBehalfOf: f.onBehalfOf,
	}}
	show := p.viewer(f)
	var last summary
	for event, err := range r.Run(ctx, in) {
		if err != nil {
			last.err = err
			continue
		}
		last.see(event)
		if err := show(event); err != nil {
			return fmt.Errorf("write the output: %w", err)
		}
	}
	if last.finished.Answer != "" && !f.json {
		if _, err := fmt.Fprintln(p.stdout, console.CleanText(last.finished.Answer)); err != nil {
			return fmt.Errorf("write the answer: %w", err)
		}
	}
	return last.exit()
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

// summary keeps what the end of a run is worded from.
type summary struct {
	finished runner.Finished
	failure  runner.ToolReturned // the last call that did not work
	pending  jit.Decided
	err      error
}

func (s *summary) see(e runner.Event) {
	switch e := e.(type) {
	case runner.Finished:
		s.finished = e
	case runner.ToolReturned:
		if e.Error != "" {
			s.failure = e
		}
	case jit.Decided:
		if e.Status == jit.StatusPending {
			s.pending = e
		}
	}
}

// exit turns the outcome into an exit code and, where something is left to say,
// one line.
func (s *summary) exit() error {
	if s.finished.Outcome == runner.Interrupted {
		return &exitError{code: exitInterrupted, err: errors.New("interrupted")}
	}
	if s.err != nil {
		return &exitError{code: exitFailed, err: s.err}
	}
	switch s.finished.Outcome {
	case runner.Done:
		return nil
	case runner.Denied:
		return &exitError{code: exitDenied, err: fmt.Errorf("authority denied: %s: %s", s.failure.Tool, s.failure.Error)}
	case runner.Pending:
		return &exitError{
			code: exitPending,
			err:  fmt.Errorf("waiting for a person: request %s (%s, risk %s)", s.pending.RequestID, s.pending.Detail, s.pending.Risk),
			hint: "the run has ended and the request with it; run again with --wait 5m to give a reviewer time",
		}
	}
	return &exitError{code: exitFailed, err: fmt.Errorf("%s failed: %s", s.failure.Tool, s.failure.Error)}
}
