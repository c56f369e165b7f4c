// Package run is analyst run: one request, from the prompt to the exit code.
package run

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/jitagent/jitagent/agent"
	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	"github.com/jitagent/jitagent/cmd/analyst/internal/timeline"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/internal/strictjson"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/runner"
)

// maxPrompt bounds a prompt read from standard input.
const maxPrompt = 1 << 20

// untilExpiry is longer than any request waits.
const untilExpiry = 24 * time.Hour

// options are what run is asked for.
type options struct {
	service.Options
	words             []string
	prompt            string // which they come to
	session           string // to go on with; "" begins one
	resume            bool   // it, without a prompt
	drop              bool   // what waits in it
	chat              bool   // more than one prompt
	goesOn            bool   // session is there
	root              func(*cli.Program) *cobra.Command
	wait              time.Duration
	onBehalfOf        string
	stream, ephemeral bool
	unattended        string // what becomes of what a person would be asked; "" where that is not said
	json, quiet       bool
}

// Command returns analyst run.
func Command(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{Options: service.Options{Toolkit: kit}}
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
	cmd.Flags().BoolVar(&o.ephemeral, "ephemeral", false, "keep nothing on disk: after a crash nothing is given back before it expires, and what waits ends with the run")
	return cmd
}

// addFlags adds those that a run and a resumed one share.
func (o *options) addFlags(cmd *cobra.Command, p *cli.Program) {
	cmd.PreRunE = func(cmd *cobra.Command, _ []string) error {
		if !cmd.Flags().Changed("stream") {
			o.stream = !o.json && cli.Width(p.Stdout) > 0
		}
		return o.check(cmd.Context(), p)
	}
	flags := cmd.Flags()
	o.AddFlags(cmd, o.chat)
	cli.AddReviewer(cmd, &o.Reviewer)
	flags.DurationVar(&o.wait, "wait", -1, "how `LONG` a call waits for a person; without it, until the request expires where somebody sits at the terminal, else not at all")
	flags.Lookup("wait").DefValue = ""
	flags.StringVar(&o.onBehalfOf, "on-behalf-of", "", "`EMAIL` of the user for whom the agent acts")
	flags.BoolVar(&o.stream, "stream", false, "print what the model says as it says it")
	flags.StringVar(&o.unattended, "unattended", "", "ask nobody here: deny, suspend or fail, `WHICH` holds for what needs a decision and for what nobody named")
	cli.Complete(cmd, "unattended", cli.Words(deny, string(runner.UnattendedSuspend), string(runner.UnattendedFail)))
	cli.Configurable(flags)
	flags.BoolVar(&o.json, "json", false, "print one JSON event a line on stdout, and no timeline")
	flags.BoolVar(&o.quiet, "quiet", false, "print the answer only")
}

// deny is a value of --unattended that package runner has no word for.
const deny = "deny"

// asks reports whether a person is asked here.
func (o *options) asks(p *cli.Program) bool {
	return attended(p) && !o.json && !o.quiet && o.unattended == ""
}

// check finds what is wrong with flags and settings.
func (o *options) check(ctx context.Context, p *cli.Program) error {
	var wrong cli.Problems
	wrong.Add(o.Check(ctx, p))
	wrong.If(o.wait < 0 && o.wait != -1, "--wait must not be negative")
	wrong.If(o.ephemeral && o.session != "", "--ephemeral keeps no session to go on with")
	wrong.If(!slices.Contains([]string{"", deny, string(runner.UnattendedSuspend), string(runner.UnattendedFail)}, o.unattended), "--unattended is deny, suspend or fail")
	wrong.If(o.ephemeral && o.unattended == string(runner.UnattendedSuspend), "--ephemeral keeps nothing to suspend: --unattended deny or fail")
	wrong.If(o.json && o.quiet, "--json and --quiet exclude each other")
	return wrong.Err()
}

// run does the job.
func (o options) run(ctx context.Context, p *cli.Program) (err error) {
	aside := *p // for what is said besides answer and timeline
	aside.Founds = !o.resume
	if (o.json || o.quiet) && !o.Debug {
		aside.Stderr = io.Discard
	}
	if !o.resume && !o.chat {
		if o.prompt, err = readPrompt(&aside, o.words); err != nil {
			return err
		}
	}
	s, err := o.Open(ctx, &aside)
	if err != nil {
		return err
	}
	defer func() { err = s.Close(err) }()
	p.Telemetry = aside.Telemetry
	var completed *jit.Completed // what became of the task
	// Before any server: what cannot be recorded must not be granted.
	state, err := openRunState(ctx, s, o.ephemeral)
	if err != nil {
		return err
	}
	s.Finally(func(err error) error { return state.end(ctx, completed, err) })
	ctx, leave := state.Within(ctx)
	s.Later(leave)
	if o.resume || o.goesOn {
		if o.session, err = o.which(ctx, s.Sessions); err != nil {
			return err
		}
	}
	if err := s.Start(ctx); err != nil {
		return err
	}
	if s.Servers != nil {
		if !s.Settings.Kept && !o.ephemeral {
			s.Note("another analyst command has the state of the embedded servers: these keep none, so what waits ends with this run")
		}
		for _, line := range s.Servers.Docs.Remarks() {
			if named(o.prompt, line) { // the answer cannot be about that, however little else is said
				defer p.Note("not in the answer: documents: %s", line)
			}
		}
	}
	release, err := o.takeOver(ctx, s)
	defer release()
	if err != nil {
		return err
	}
	if o.TTL > lumoauth.MaxTTL && s.Settings.OAuth == nil {
		s.Note("--ttl %s is more than LumoAuth grants: each token lives at most %s", o.TTL, lumoauth.MaxTTL)
	}
	asks := &desk{prompter: &prompter{p: p, clear: func() {}}}
	if o.asks(p) && s.Decider != nil {
		asks.decider = s.Decider
		if s.Servers != nil {
			asks.page = s.Servers.Auth.SignIn
		}
	}
	if s.Servers != nil && o.wait > 0 && (!attended(p) || o.unattended != "") {
		s.Note("decide what waits for a person at %s (works once)", s.Servers.Auth.SignIn())
	}
	if err := o.begin(ctx, p, s, state, asks); err != nil {
		return err
	}
	if err := o.connect(ctx, s, asks); err != nil {
		return err
	}
	r, err := o.assemble(s, asks)
	if err != nil {
		return err
	}
	if o.drop {
		return o.dropped(ctx, p, r)
	}
	if o.chat {
		c := &conversation{options: o, p: p, parts: s, asks: asks, runner: r}
		err = c.converse(ctx)
		completed = c.completed
		return err
	}
	last, err := o.drive(ctx, p, s, r, asks)
	completed = last.completed
	return err
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

// begin makes the engine of the tasks.
func (o options) begin(ctx context.Context, p *cli.Program, s *service.Parts, state *runState, asks *desk) error {
	cfg := jit.Config{Authority: s.Authority, Wait: max(o.wait, 0), DenyPending: o.unattended == deny}
	if o.wait < 0 && attended(p) && o.unattended == "" {
		cfg.Wait = untilExpiry
	}
	if s.Settings.Embedded && cfg.Wait == 0 {
		cfg.Authority = passing{s.Authority}
	}
	if err := s.Begin(ctx, cfg, state); err != nil {
		return err
	}
	asks.wait, asks.decided = cfg.Wait, s.Engine.Look
	return nil
}

// assemble wires the parts of a run.
func (o options) assemble(s *service.Parts, asks *desk) (*runner.Runner, error) {
	cfg, _, err := s.Assemble()
	if err != nil {
		return nil, err
	}
	cfg.App, cfg.Stream, cfg.Names = cli.App, o.stream, agent.Named
	if o.unattended != deny { // which is the engine's, and what a call that nobody named is without
		cfg.Unattended = runner.Unattended(o.unattended)
	}
	if o.asks(asks.p) {
		cfg.Ask = asks.unnamed
	}
	return runner.New(cfg)
}

// drive runs the agent, shows what happens, and words the end.
func (o options) drive(ctx context.Context, p *cli.Program, s *service.Parts, r *runner.Runner, asks *desk) (*summary, error) {
	in := runner.Input{Text: o.prompt, User: cli.User, Session: o.session, Task: jit.TaskSpec{
		Name: cli.TaskName(o.prompt), Type: "analysis", OnBehalfOf: o.onBehalfOf,
	}}
	show, clear := o.viewer(p, s.Settings.API)
	out := newAnswerPrinter(p, o.json, o.stream)
	last := &summary{model: s.Settings.Model, embedded: s.Settings.Embedded, ephemeral: o.ephemeral, chat: o.chat && attended(p)}
	// When the output cannot be written, the run is stopped, and still followed to its
	// end: what became of the task must be known.
	followed, stop := context.WithCancel(ctx)
	defer stop()
	var unwritten error
	events := r.Run
	followed, ended := p.Telemetry.Run(followed, "analyst run", p.Getenv("TRACEPARENT"))
	defer func() { ended(string(last.finished.Outcome), last.err != nil) }()
	if o.resume {
		in.Task.Name = cli.TaskName("goes on")
		events = r.Resume
	}
	asks.begin(clear, o.Timeout)
	for event, err := range events(followed, in) {
		if err != nil {
			last.err = otherModel(ctx, s.Model, err)
			continue
		}
		if end, ok := event.(runner.Finished); ok && s.Settings.Embedded { // and the server with it, that was named as where to decide
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
		s.Told.See(o.onBehalfOf, in.Session, event)
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
	shown := timeline.New(p.Stderr, timeline.Style{Color: p.Color(p.Stderr), Width: cli.Width(p.Stderr), API: origin, TTL: o.TTL})
	return func(e runner.Event) error { shown.Show(e); shown.Wait(e); return nil }, shown.Clear
}
