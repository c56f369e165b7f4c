// Package run is analyst run: one request, from the prompt to the exit code.
package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
	"google.golang.org/adk/v2/model"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/failpoints"
	"github.com/jitagent/jitagent/cmd/analyst/internal/timeline"
	"github.com/jitagent/jitagent/dev"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/notice"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/tools"
	"github.com/jitagent/jitagent/tools/mcp"
)

// maxPrompt bounds a prompt read from standard input.
const maxPrompt = 1 << 20

// untilExpiry is longer than any request waits.
const untilExpiry = 24 * time.Hour

// options are what run is asked for.
type options struct {
	toolkit cli.Toolkit
	words   []string
	prompt  string // which they come to
	session string // to go on with; "" begins one
	resume  bool   // it, without a prompt
	drop    bool   // what waits in it
	chat    bool   // more than one prompt
	goesOn  bool   // session is there
	root    func(*cli.Program) *cobra.Command
	cli.Target
	seen               cli.Seen
	wait, ttl, timeout time.Duration
	onBehalfOf         string
	stream, ephemeral  bool
	prices             cli.Prices
	notify             cli.Notify
	told               *notice.Notifier
	reviewer           string // the file of a token
	unattended         string // what becomes of what a person would be asked; "" where that is not said
	json, quiet, debug bool
}

// Command returns analyst run.
func Command(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{toolkit: kit}
	cmd := &cobra.Command{
		Use:   "run [PROMPT...]",
		Short: "Run the analyst on one request",
		Long: `Run the analyst on one request. The answer goes to stdout, a live timeline to
stderr. Several words are one prompt. In place of a last "-", and where there
are no words, standard input is read. At a terminal the answer is shown as it
is made, unless --stream=false.

Exit codes: 0 done, 1 failed, 2 usage, 4 authority denied, 5 a login is
required, 6 a person would have to be asked (--unattended=fail), 7 the budget is
spent, 8 waiting for a person, 9 in doubt: nobody knows whether a call took
effect, 129 the terminal was closed, 130 interrupted, 141 nobody reads stdout
any more.`,
		Example: `  analyst run "Summarize doc_9982, and create a report titled 'Q4 Analysis'."
  analyst run --quiet "What does doc_9982 say about churn?"
  analyst run --json "Summarize doc_9982" | jq -c .event
  analyst run --documents ./notes "Create a report about notes titled 'Notes'"
  analyst run --mcp crm=https://mcp.example.com/mcp "Which orders has ACME?"
  echo "Summarize doc_9982" | analyst run -`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.words = args
			return o.run(cmd.Context(), p)
		},
	}
	o.addFlags(cmd, p)
	cmd.Flags().StringVar(&o.session, "session", "", "`NAME` of a conversation to go on with; a new name begins one")
	o.addUnattended(cmd)
	cmd.Flags().BoolVar(&o.ephemeral, "ephemeral", false, "keep nothing on disk: after a crash nothing is given back before it expires, and what waits ends with the run")
	return cmd
}

// addFlags adds those that a run and a resumed one share.
func (o *options) addFlags(cmd *cobra.Command, p *cli.Program) {
	cmd.PreRun = func(cmd *cobra.Command, _ []string) {
		if !cmd.Flags().Changed("stream") {
			o.stream = !o.json && cli.Width(p.Stdout) > 0
		}
	}
	flags := cmd.Flags()
	o.Target.AddFlags(cmd)
	o.seen.AddFlags(cmd, o.chat)
	o.notify.AddFlags(cmd)
	cli.AddReviewer(cmd, &o.reviewer)
	flags.DurationVar(&o.wait, "wait", -1, "how `LONG` a call waits for a person; without it, until the request expires where somebody sits at the terminal, else not at all")
	flags.Lookup("wait").DefValue = ""
	flags.DurationVar(&o.ttl, "ttl", jit.DefaultTTL, "`LIFE` to ask for each token")
	flags.DurationVar(&o.timeout, "timeout", 15*time.Minute, "how `LONG` the run may take, with the time that a person takes to decide")
	o.prices.AddFlags(cmd)
	flags.StringVar(&o.onBehalfOf, "on-behalf-of", "", "`EMAIL` of the user for whom the agent acts")
	flags.BoolVar(&o.stream, "stream", false, "print what the model says as it says it")
	cli.Configurable(flags)
	flags.BoolVar(&o.json, "json", false, "print one JSON event a line on stdout, and no timeline")
	flags.BoolVar(&o.quiet, "quiet", false, "print the answer only")
	flags.BoolVar(&o.debug, "debug", false, "log to stderr what happens inside")
}

// deny is a value of --unattended that package runner has no word for.
const deny = "deny"

func (o *options) addUnattended(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.unattended, "unattended", "", "ask nobody here: deny, suspend or fail, `WHICH` holds for what needs a decision and for what nobody named")
	cli.Complete(cmd, "unattended", cli.Words(deny, string(runner.UnattendedSuspend), string(runner.UnattendedFail)))
}

// asks reports whether a person is asked here.
func (o *options) asks(p *cli.Program) bool {
	return attended(p) && !o.json && !o.quiet && o.unattended == ""
}

// check finds what is wrong with the flags, before any work.
func (o *options) check(p *cli.Program) (cli.Settings, error) {
	var err error
	if !o.resume && !o.chat {
		if o.prompt, err = readPrompt(p, o.words); err != nil {
			return cli.Settings{}, err
		}
	}
	switch {
	case o.wait < 0 && o.wait != -1:
		err = cli.Usagef("--wait must not be negative")
	case o.ephemeral && o.session != "":
		err = cli.Usagef("--ephemeral keeps no session to go on with")
	case !slices.Contains([]string{"", deny, string(runner.UnattendedSuspend), string(runner.UnattendedFail)}, o.unattended):
		err = cli.Usagef("--unattended is deny, suspend or fail")
	case o.ephemeral && o.unattended == string(runner.UnattendedSuspend):
		err = cli.Usagef("--ephemeral keeps nothing to suspend: --unattended deny or fail")
	case o.json && o.quiet:
		err = cli.Usagef("--json and --quiet exclude each other")
	case o.ttl < time.Second || o.ttl%time.Second != 0:
		err = cli.Usagef("--ttl is a whole number of seconds, at least 1s")
	case o.timeout <= 0:
		err = cli.Usagef("--timeout must be positive")
	default:
		s, err := o.Resolve(p.Getenv, o.toolkit)
		if err == nil {
			err = o.prices.Read(p, s)
		}
		return s, err
	}
	return cli.Settings{}, err
}

// run does the job.
func (o options) run(ctx context.Context, p *cli.Program) (err error) {
	aside := *p // for what is said besides answer and timeline
	if o.json || o.quiet {
		aside.Stderr = io.Discard
	}
	s, err := o.check(&aside)
	if err != nil {
		return err
	}
	unseen, err := p.Observe(ctx, o.seen)
	if err != nil {
		return err
	}
	defer unseen()
	aside.Telemetry = p.Telemetry
	var completed *jit.Completed // what became of the task
	logger := p.Logger(o.debug)
	told, untold, err := o.notify.Open(p, logger)
	if err != nil {
		return err
	}
	defer untold()
	o.told = told
	llm, err := openModel(ctx, p, s, logger)
	if err != nil {
		return err
	}
	// Before any server: what cannot be recorded must not be granted.
	state, err := openRunState(ctx, &aside, o.ephemeral, logger)
	if err != nil {
		return err
	}
	defer func() { err = state.end(ctx, &aside, completed, err) }()
	ctx, leave := state.Within(ctx)
	defer leave()
	if o.resume || o.goesOn {
		if o.session, err = o.which(ctx, state.sessions); err != nil {
			return err
		}
	}
	var servers *dev.Servers // nil for those that are configured
	if s.Embedded {
		servers, err = cli.StartEmbedded(ctx, &s, state.Dir(), logger)
		if err != nil {
			return err
		}
		defer func() { _ = servers.Close() }()
		aside.Note("embedded servers for development: authorization %s, documents %s (%d of them, reports go to %s); model %s: %s",
			servers.AuthURL, servers.API, len(servers.Docs.IDs()), whole(cmp.Or(s.Reports, "reports")), s.Model, s.Data)
		if !s.Kept && !o.ephemeral {
			aside.Note("another analyst command has the state of the embedded servers: these keep none, so what waits ends with this run")
		}
		for _, line := range servers.Docs.Remarks() {
			aside.Note("documents: %s", line)
			if named(o.prompt, line) { // the answer cannot be about that, however little else is said
				defer p.Note("not in the answer: documents: %s", line)
			}
		}
	} else {
		aside.Note("authorization %s, documents %s; model %s: %s", s.Server(), s.API, s.Model, s.Data)
	}
	release, err := o.takeOver(ctx, state, s)
	defer release()
	if err != nil {
		return err
	}
	if o.ttl > lumoauth.MaxTTL && s.OAuth == nil {
		aside.Note("--ttl %s is more than LumoAuth grants: each token lives at most %s", o.ttl, lumoauth.MaxTTL)
	}
	authority, err := p.Authority(s, state.State, logger)
	if err != nil {
		return err
	}
	asks := &desk{prompter: &prompter{p: p, clear: func() {}}}
	if o.asks(p) {
		client, _ := authority.(*lumoauth.Client) // elsewhere nobody decides from here
		if servers != nil {
			asks.decider, asks.page = cli.EmbeddedReviewer(servers, client), servers.Auth.SignIn
		} else if r := p.ReviewerFrom(o.reviewer, client); client != nil && r != nil {
			asks.decider = r
		}
	}
	if servers != nil && o.wait > 0 && (!attended(p) || o.unattended != "") {
		aside.Note("decide what waits for a person at %s (works once)", servers.Auth.SignIn())
	}
	engine, err := o.engine(s, authority, state, logger, asks)
	if err != nil {
		return err
	}
	begun := time.Now()
	others, end, err := o.connect(ctx, &aside, s, engine, asks, logger)
	if err != nil {
		return err
	}
	defer end()
	if len(s.MCP) > 0 {
		o.timeout = max(o.timeout-time.Since(begun), time.Millisecond).Round(time.Millisecond)
	}
	assemble := func(s cli.Settings, llm model.LLM) (*runner.Runner, error) {
		return o.assemble(s, engine, others, state, llm, logger, asks)
	}
	r, err := assemble(s, llm)
	if err != nil {
		return err
	}
	recovered := cli.SweepAside(ctx, recovery.Config{Journal: state.State, Spare: state.Spare, Authority: cli.AuthorityName(s), Completer: authority, Logger: logger})
	defer func() {
		report, err := recovered()
		aside.NoteRecovered(report, err)
	}()
	// A login that fails is said before the model has read the prompt.
	if _, err := authority.AgentToken(ctx); err != nil {
		if ctx.Err() != nil {
			return cli.Interrupted(ctx)
		}
		return fmt.Errorf("log in at %s: %w", s.Server(), err)
	}
	if o.drop {
		return o.dropped(ctx, p, r)
	}
	if o.chat {
		c := &conversation{options: o, p: p, settings: s, state: state, asks: asks, assemble: assemble, runner: r, llm: llm, log: logger}
		err = c.converse(ctx)
		completed = c.completed
		return err
	}
	last, err := o.drive(ctx, p, r, s, llm, asks)
	completed = last.completed
	return err
}

// openModel opens the model that is set.
func openModel(ctx context.Context, p *cli.Program, s cli.Settings, logger *slog.Logger) (model.LLM, error) {
	llm, err := models.Open(ctx, s.Model, models.Options{Getenv: p.Getenv, Settings: s.ModelSettings, Logger: logger})
	if err != nil {
		return nil, cli.Usagef("%s", strings.TrimPrefix(err.Error(), "models: "))
	}
	return llm, nil
}

// fileName matches a file in a remark of the embedded API, such as "contract.pdf (not text)".
var fileName = regexp.MustCompile(`([^\s,/][^,/]{2,})\.\w+ \(`)

// named reports whether a prompt names a file that a remark is about.
func named(prompt, remark string) bool {
	_, files, skipped := strings.Cut(remark, "skipped ")
	_, files, _ = strings.Cut(files, ": ")
	for _, file := range fileName.FindAllStringSubmatch(files, -1) {
		if skipped && strings.Contains(strings.ToLower(prompt), strings.ToLower(file[1])) {
			return true
		}
	}
	return false
}

// whole returns a path by which a file is found from anywhere.
func whole(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// unread reports whether something waits on standard input.
func unread(stdin *os.File) bool {
	info, err := stdin.Stat()
	if err != nil {
		return false
	}
	return info.Mode().IsRegular() && info.Size() > 0 || info.Mode()&fs.ModeNamedPipe != 0 && waits(stdin)
}

// readPrompt puts the request together: the words, and standard input in place of a last
// "-", or where there are none. Besides words it is not read unasked: whoever starts this
// may have left open what nobody writes to.
func readPrompt(p *cli.Program, words []string) (string, error) {
	last := len(words) - 1
	read := last >= 0 && words[last] == "-"
	if read {
		words = words[:last]
	}
	parts := []string{strings.Join(words, " ")}
	stdin, isFile := p.Stdin.(*os.File)
	if read || last < 0 && !(isFile && term.IsTerminal(int(stdin.Fd()))) {
		text, err := strictjson.ReadAll(p.Stdin, maxPrompt)
		if err != nil {
			return "", cli.Usagef("the prompt on standard input: %w", err)
		}
		parts = append(parts, string(text))
	} else if isFile {
		if unread(stdin) {
			p.Note(`standard input is not read: end the prompt with "-" to add it`)
		}
	}
	prompt := strings.TrimSpace(strings.Join(parts, "\n\n"))
	if prompt == "" {
		return "", cli.Endf(cli.ExitUsage, `say what to do: analyst run "Summarize doc_9982"`, "the prompt is empty")
	}
	return prompt, nil
}

// engine makes the engine of the tasks.
func (o options) engine(s cli.Settings, authority cli.Authority, state *runState, logger *slog.Logger, asks *desk) (*jit.Engine, error) {
	wait := o.wait
	if wait < 0 {
		wait = 0
		if attended(asks.p) && o.unattended == "" {
			wait = untilExpiry
		}
	}
	if s.Embedded && wait == 0 {
		authority = passing{authority}
	}
	engine, err := jit.New(asks.p.Telemetry.Engine(jit.Config{
		Authority: failpoints.Authority(authority), AuthorityName: cli.AuthorityName(s), TTL: o.ttl, Wait: wait, DenyPending: o.unattended == deny, GrantUses: s.Policy.Budgets().GrantUses, Logger: logger,
		Journal: failpoints.Journal(state), TokenHashKey: []byte(state.TokenHashKey().Reveal()),
	}))
	if err != nil {
		return nil, err
	}
	asks.wait, asks.decided = wait, engine.Look
	return engine, nil
}

// assemble wires the parts of a run.
func (o options) assemble(s cli.Settings, engine *jit.Engine, servers *mcp.Set, state *runState, llm model.LLM, logger *slog.Logger, asks *desk) (*runner.Runner, error) {
	kit, err := o.toolkit(s.API, tools.Options{
		Base: asks.p.Telemetry.Base(failpoints.Base(nil)), HonorsIdempotencyKey: s.APIIdempotent, Search: s.APISearch, Policy: s.Policy, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	a, err := agent.New(agent.Config{Model: asks.p.Telemetry.Model(llm), Tools: kit, Toolsets: []*jitmw.Toolset{servers.Toolset()}})
	if err != nil {
		return nil, err
	}
	cfg := runner.Config{
		App: cli.App, Agent: a, Engine: engine, Stream: o.stream, Logger: logger, Limits: runner.Limits{Wall: o.timeout},
		Names: agent.Named, Budget: o.prices.Budget(s, llm),
	}
	if o.unattended != deny { // which is the engine's, and what a call that nobody named is without
		cfg.Unattended = runner.Unattended(o.unattended)
	}
	if state.sessions != nil {
		cfg.Sessions = failpoints.Sessions(state.sessions)
		if s.Kept || !s.Embedded {
			cfg.Suspensions = failpoints.Suspensions(state.sessions)
		}
	}
	if o.asks(asks.p) {
		cfg.Ask = asks.unnamed
	}
	return runner.New(cfg)
}

// drive runs the agent, shows what happens, and words the end.
func (o options) drive(ctx context.Context, p *cli.Program, r *runner.Runner, s cli.Settings, llm model.LLM, asks *desk) (*summary, error) {
	in := runner.Input{Text: o.prompt, User: cli.User, Session: o.session, Task: jit.TaskSpec{
		Name: "analyst: " + plain.Line(o.prompt, 80), Type: "analysis", OnBehalfOf: o.onBehalfOf,
	}}
	show, clear := o.viewer(p, s.API)
	out := newAnswerPrinter(p, o.json, o.stream)
	last := &summary{model: s.Model, embedded: s.Embedded, ephemeral: o.ephemeral, chat: o.chat && attended(p)}
	// When the output cannot be written, the run is stopped, and still followed to its
	// end: what became of the task must be known.
	followed, stop := context.WithCancel(ctx)
	defer stop()
	var unwritten error
	events := r.Run
	followed, ended := p.Telemetry.Run(followed, "analyst run", p.Getenv("TRACEPARENT"))
	defer func() { ended(string(last.finished.Outcome), last.err != nil) }()
	if o.resume {
		in.Task.Name = "analyst: goes on"
		events = r.Resume
	}
	asks.begin(clear, o.timeout)
	for event, err := range events(followed, in) {
		if err != nil {
			last.err = otherModel(ctx, llm, err)
			continue
		}
		if end, ok := event.(runner.Finished); ok && s.Embedded { // and the server with it, that was named as where to decide
			end.Waiting = slices.Clone(end.Waiting)
			for i := range end.Waiting {
				end.Waiting[i].DecideAt = ""
			}
			event = end
		}
		last.see(event)
		if start, ok := event.(runner.Started); ok {
			in.Session = start.Session
		}
		o.told.See(o.onBehalfOf, in.Session, event)
		if unwritten == nil {
			asks.see(followed, event)
			unwritten = asks.show(func() error {
				// The answer comes before the line that says that all is done.
				if err := out.see(event); err != nil {
					return err
				}
				return show(event)
			})
			if unwritten != nil {
				stop()
			}
		}
	}
	unwritten = cmp.Or(asks.close(), unwritten)
	clear()
	if unwritten != nil && ctx.Err() == nil { // or else it is the terminal that is gone
		return last, unwritten
	}
	return last, last.exit(ctx)
}

// viewer returns what shows each event, as the timeline, JSON lines, or nothing, and
// what makes room for others on the terminal.
func (o options) viewer(p *cli.Program, api *url.URL) (show func(runner.Event) error, clear func()) {
	switch {
	case o.json:
		return func(e runner.Event) error {
			if end, ok := e.(runner.Finished); ok && end.Error != "" {
				end.Error = cli.Say(errors.New(end.Error))
				e = end
			}
			line, err := runner.MarshalEvent(e)
			if err != nil {
				return err
			}
			_, err = p.Stdout.Write(append(plain.JSON(line), '\n'))
			return err
		}, func() {}
	case o.quiet:
		return func(runner.Event) error { return nil }, func() {}
	}
	origin, _ := jit.OriginOf(api) // the tools have refused an address without one
	shown := timeline.New(p.Stderr, timeline.Style{Color: p.Color(p.Stderr), Width: cli.Width(p.Stderr), API: origin, TTL: o.ttl})
	return func(e runner.Event) error { shown.Show(e); shown.Wait(e); return nil }, shown.Clear
}
