package run

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	adk "google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/cmd/analyst/internal/service"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/models"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/state/journal"
)

// chatHelp is what /help says.
const chatHelp = `/approvals, /explain, /sessions and /tasks are the commands of analyst, with
their arguments; /model shows the model, /model NAME changes it; /quit leaves.
Alt-Enter, or a \ at the end of a line, begins another line. The arrow keys show
what was said before. Ctrl-C stops what is under way, twice leaves. A message
that begins with a / is said after a space.`

// commands are those of analyst that chat has.
var commands = []string{"approvals", "explain", "sessions", "tasks"}

// ChatCommand returns analyst chat. root makes analyst, of which it has some commands.
func ChatCommand(p *cli.Program, kit cli.Toolkit, root func(*cli.Program) *cobra.Command) *cobra.Command {
	o := options{Options: service.Options{Toolkit: kit}, chat: true}
	last := false
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Talk to the analyst",
		Long: `Talk to the analyst in one session, message after message, which are shown as by
run. Each has a task of its own, which is completed before the next one is read:
while nothing is said, nothing is held. Where standard input is no terminal,
each of its lines is a message.

` + chatHelp + `

Exit codes: 0 when it is left; where standard input is no terminal, that of run
for the last message that was not done.`,
		Example: `  analyst chat
  analyst chat --continue
  analyst chat --quiet <questions.txt`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if last && o.session != "" {
				return cli.Usagef("--continue and --session exclude each other")
			}
			o.goesOn = last || o.session != ""
			o.root = root
			return o.run(cmd.Context(), p)
		},
	}
	o.addFlags(cmd, p)
	cmd.Flags().StringVar(&o.session, "session", "", "`NAME` of the conversation to go on with, or the beginning of it")
	cmd.Flags().BoolVar(&last, "continue", false, "go on with the conversation that was changed last")
	return cmd
}

// A conversation is several runs in one session.
type conversation struct {
	options
	p         *cli.Program
	parts     *service.Parts
	asks      *desk
	runner    *runner.Runner
	completed *jit.Completed // what became of the last task
}

// converse says one message after the other.
func (c *conversation) converse(ctx context.Context) error {
	in, err := c.input(ctx)
	if err != nil {
		return err
	}
	var undone error
	for {
		text, err := in.next(ctx)
		switch {
		case ctx.Err() != nil:
			return cli.Interrupted(ctx)
		case errors.Is(err, io.EOF):
			return c.leave(undone)
		case err != nil:
			return err
		}
		command, isCommand := strings.CutPrefix(text, "/")
		words := strings.Fields(command)
		switch {
		case strings.TrimSpace(text) == "":
			continue
		case isCommand && len(words) > 0 && words[0] == "quit":
			return c.leave(undone)
		case isCommand:
			err = c.command(ctx, words)
		default:
			if err = c.say(ctx, strings.TrimSpace(text)); err != nil {
				undone = err
			}
		}
		if ctx.Err() != nil {
			return err
		}
		if err != nil {
			e := cli.Exit(err)
			if e.Code == cli.ExitUnread || e.Code == cli.ExitHangup {
				return err
			}
			c.tell(e)
		}
	}
}

// leave returns what chat ends with, after undone, the last message that was not done.
func (c *conversation) leave(undone error) error {
	if c.session != "" && !c.quiet && !c.json {
		c.p.Hint("analyst chat --session " + c.session + " goes on")
	}
	if undone == nil || attended(c.p) {
		return nil
	}
	return &cli.ExitError{Code: cli.Exit(undone).Code} // it was told
}

func (c *conversation) tell(e *cli.ExitError) {
	if e.Err != nil {
		c.p.Note("%s", cli.Say(e.Err))
	}
	if e.Hint != "" {
		c.p.Hint(e.Hint)
	}
}

// input returns where messages come from. A person at a terminal finds there what they
// said in the session before.
func (c *conversation) input(ctx context.Context) (input, error) {
	if !attended(c.p) || c.p.Getenv("TERM") == "dumb" {
		return newLines(c.p.Stdin), nil
	}
	e := &editor{p: c.p}
	c.p.Hint("/help says what can be typed besides messages")
	if c.session == "" {
		return e, nil
	}
	got, err := c.parts.Sessions.Get(ctx, &adk.GetRequest{AppName: cli.App, UserID: cli.User, SessionID: c.session})
	if err != nil {
		return nil, cli.StateError(err, "")
	}
	for ev := range got.Session.Events().All() {
		if ev.Author == genai.RoleUser && ev.Content != nil {
			for _, part := range ev.Content.Parts {
				if part != nil && part.Text != "" {
					e.said = append(e.said, plain.Text(part.Text))
				}
			}
		}
	}
	return e, nil
}

// say runs the agent on one message. The first Ctrl-C ends that, and the next one all.
func (c *conversation) say(ctx context.Context, text string) error {
	turn, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	defer cli.OnInterrupt(ctx, func() bool {
		first := turn.Err() == nil
		if !first {
			c.p.Note("leaving: what was granted is being given back")
		}
		stop(cli.Signal{Signal: os.Interrupt})
		return first
	})()
	c.prompt = text
	last, err := c.drive(turn, c.p, c.parts, c.runner, c.asks)
	c.completed = last.completed
	c.session = cmp.Or(c.session, last.finished.Session)
	return err
}

// command does what was typed after a slash.
func (c *conversation) command(ctx context.Context, words []string) error {
	name := ""
	if len(words) > 0 {
		name = words[0]
	}
	switch {
	case name == "help":
		_, err := fmt.Fprintln(c.p.Stderr, chatHelp)
		return err
	case name == "model" && len(words) == 1:
		c.p.Note("model %s: %s", c.parts.Settings.Model, c.parts.Settings.Data)
		return nil
	case name == "model":
		return c.change(ctx, words[1])
	case !slices.Contains(commands, name):
		return cli.Failf("/help lists them; a message that begins with a / is said after a space", "there is no /%s", plain.Line(name, 40))
	}
	// Who asks for tasks sees what was noted, and the command reads it from the disk.
	if _, err := c.parts.State.Tasks(ctx, journal.TaskFilter{Owner: c.parts.State.Owner(), Unfinished: true}); err != nil {
		return cli.StateError(err, "")
	}
	root := c.root(c.p)
	root.SetArgs(words)
	root.SetIn(strings.NewReader(""))
	root.SetOut(c.p.Stdout)
	root.SetErr(c.p.Stderr)
	return root.ExecuteContext(ctx)
}

// change has another model go on.
func (c *conversation) change(ctx context.Context, name string) (err error) {
	s := c.parts.Settings
	s.Model = name
	if s.Data, err = models.Destination(name, models.Options{Getenv: c.p.Getenv}); err != nil {
		return cli.Usagef("%s", strings.TrimPrefix(err.Error(), "models: "))
	}
	if err := c.Prices.Check(s); err != nil {
		return err
	}
	llm, err := c.parts.OpenModel(ctx, s)
	if err != nil {
		return err
	}
	other := *c.parts
	other.Settings, other.Model = s, llm
	r, err := c.assemble(&other, c.asks)
	if err != nil {
		return err
	}
	c.runner, c.parts = r, &other
	c.p.Note("model %s: %s", s.Model, s.Data)
	return nil
}
