// Package plan is analyst plan: what a task could ever ask for, before it runs, and
// which decisions of earlier runs would differ now. Nothing is sent.
package plan

import (
	"context"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/adk/v2/tool"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/jitmw"
	"github.com/jitagent/jitagent/policy"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/tools"
	"github.com/jitagent/jitagent/tools/mcp"
)

// options are what plan is asked for.
type options struct {
	toolkit cli.Toolkit
	prompt  string
	cli.Target
	replay      bool
	task, since string
	json        bool
}

// Command returns analyst plan.
func Command(p *cli.Program, kit cli.Toolkit) *cobra.Command {
	o := options{toolkit: kit}
	cmd := &cobra.Command{
		Use:   "plan [PROMPT...]",
		Short: "Show what a task could ever ask for, before it runs",
		Long: `Show for each tool the most that its calls may ask for, whatever the model does:
{name} stands for the argument of that name, which the model chooses. And show
what the calls are aimed at, so that only what the person named is done
(docs/naming.md). With a prompt, show what that asks for and names.

With --replay, show which decisions of earlier runs would differ now, as with
another --policy: what was asked for or blocked, and what was done or refused
since nobody had named it, where the conversation is kept.

Nothing is started, asked or sent, but that MCP servers (--mcp) are begun, or
connected to without authority, and asked which tools they have.`,
		Example: `  analyst plan "Summarize doc_9982, and create a report titled 'Q4 Analysis'."
  analyst plan --json | jq '.tools[].ceilings'
  analyst plan --replay --since 7d`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.prompt = strings.TrimSpace(strings.Join(args, " "))
			return o.run(cmd.Context(), p)
		},
	}
	o.Target.AddFlags(cmd)
	for _, name := range []string{"api-idempotent", "model", "model-option", "documents", "reports"} {
		_ = cmd.Flags().MarkHidden(name) // they are there; those of a run are accepted
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.replay, "replay", false, "show which decisions of earlier runs would differ")
	flags.StringVar(&o.task, "task", "", "with --replay, those of the task or session with this `ID`, or its beginning, or \"last\"")
	flags.StringVar(&o.since, "since", "", "with --replay, those of tasks that are no older than this `AGE`, such as 30d or 12h")
	flags.BoolVar(&o.json, "json", false, "print a JSON object")
	cli.Complete(cmd, "task", p.Tasks)
	return cmd
}

// somewhere is the address of an embedded API, which gets one when a run starts.
const somewhere = "https://api.invalid"

func (o options) run(ctx context.Context, p *cli.Program) error {
	switch {
	case o.replay && o.prompt != "":
		return cli.Usagef("--replay takes no prompt: it is about what was said")
	case !o.replay && o.task+o.since != "":
		return cli.Usagef("--task and --since belong to --replay")
	case o.task != "" && o.since != "":
		return cli.Usagef("--task and --since exclude each other")
	}
	s, err := o.Resolve(p.Getenv, o.toolkit)
	if err != nil {
		return err
	}
	if s.API == nil {
		s.API, _ = url.Parse(somewhere)
	}
	servers, err := mcp.Open(ctx, mcp.Config{Servers: s.MCP, Policy: s.Policy})
	if err != nil {
		return err
	}
	defer func() { _ = servers.Close() }()
	build := func(api *url.URL) ([]tool.Tool, error) {
		kit, err := o.toolkit(api, tools.Options{Search: s.APISearch || s.Embedded, Policy: s.Policy})
		return append(kit, servers.Tools()...), err
	}
	if o.replay {
		return o.show(ctx, p, &replayer{build: build, api: s.API})
	}
	kit, err := build(s.API)
	if err != nil {
		return err
	}
	v := view{API: strings.Replace(s.API.String(), somewhere, "{api}", 1), Prompt: o.prompt}
	var said policy.Conversation
	said.Said(o.prompt)
	outlines := map[string]jitmw.Outline{}
	named := map[string]map[string][]string{}
	for _, t := range kit { // before what is asked for: "each" may mean what is named
		outline, _ := jitmw.OutlineOf(t)
		outlines[t.Name()] = outline
		found := map[string][]string{}
		for name, target := range outline.Aim.Targets {
			if names := said.Names(target); len(names) > 0 {
				found[name] = names
			}
		}
		named[t.Name()] = found
	}
	for _, t := range kit {
		tv := viewOf(t, outlines[t.Name()])
		if o.prompt != "" {
			asked, most := said.Asks(outlines[t.Name()].Aim)
			tv.Request = &requestView{Asked: asked, Most: most, Names: named[t.Name()]}
		}
		v.Tools = append(v.Tools, tv)
	}
	if o.json {
		return p.PrintJSON(v)
	}
	return v.print(p)
}

// A view is what plan prints as JSON, and what its text is made from.
type view struct {
	API    string     `json:"api"`
	Prompt string     `json:"prompt,omitempty"`
	Tools  []toolView `json:"tools"`
}

type toolView struct {
	Name        string                `json:"name"`
	Description string                `json:"description"` // what the model is told: a claim, which nothing holds the tool to
	Ceilings    []rar.Detail          `json:"ceilings"`
	Open        bool                  `json:"open,omitempty"` // there may be more of them
	Origin      string                `json:"origin,omitempty"`
	Effect      string                `json:"effect,omitempty"`
	AskedBy     []string              `json:"asked_by,omitempty"`
	Targets     map[string]targetView `json:"targets,omitempty"`
	Max         any                   `json:"max,omitempty"` // a number, or "one_per_request"
	Each        string                `json:"each,omitempty"`
	MaxPerTask  int                   `json:"max_per_task,omitempty"`
	Unnamed     string                `json:"unnamed"`
	Request     *requestView          `json:"request,omitempty"` // what the prompt says of it
}

type targetView struct {
	Type  string   `json:"type"`
	As    string   `json:"as"`
	Files []string `json:"files,omitempty"`
}

type requestView struct {
	Asked bool                `json:"asked"`           // for the kind of effect
	Most  int                 `json:"most,omitempty"`  // so many; 0 is no bound
	Names map[string][]string `json:"names,omitempty"` // what it says that could be a target
}

func viewOf(t tool.Tool, o jitmw.Outline) toolView {
	v := toolView{
		Name: t.Name(), Description: t.Description(), Ceilings: []rar.Detail{}, Open: o.Open, Origin: strings.Replace(o.Origin, somewhere, "{api}", 1),
		Effect: o.Aim.Effect, AskedBy: o.Aim.AskedBy, MaxPerTask: o.Aim.MaxPerTask, Unnamed: []string{"ask", "refuse", "allow"}[o.Aim.Unnamed],
	}
	for _, d := range o.Ceiling {
		for i, at := range d.Locations {
			d.Locations[i] = strings.Replace(at, somewhere, "{api}", 1)
		}
		v.Ceilings = append(v.Ceilings, d)
	}
	for name, target := range o.Aim.Targets {
		if v.Targets == nil {
			v.Targets = map[string]targetView{}
		}
		as := string(target.As)
		if target.As == policy.Verbatim {
			as = "verbatim"
		}
		v.Targets[name] = targetView{Type: target.Type, As: as, Files: target.Files}
	}
	switch {
	case o.Aim.Max == policy.OnePerRequest:
		v.Max, v.Each = "one_per_request", o.Aim.Each
	case o.Aim.Max > 0:
		v.Max = o.Aim.Max
	}
	return v
}
