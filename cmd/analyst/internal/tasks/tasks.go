// Package tasks is about the tasks that the journal knows: analyst tasks shows and
// completes them, analyst sweep gives back what dead processes left.
package tasks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

// recentTasks is how many finished tasks a list shows without --all.
const recentTasks = 20

// states are those that a list can be of.
var states = []journal.State{journal.StateOpen, journal.StateSuspended, journal.StateCompleting, journal.StateCompleted, journal.StateExpired, journal.StateUnknown}

type listOptions struct {
	all, json bool
	state     string
}

// Command returns analyst tasks.
func Command(p *cli.Program) *cobra.Command {
	var o listOptions
	cmd := &cobra.Command{
		Use:   "tasks",
		Short: "Show what became of the tasks of earlier runs",
		Long: `Show the tasks that the journal knows: those that are not finished first, then
the newest. Nothing is asked of any server.

  open        begun; authority may be granted under it
  suspended   it waits for a person's decision, and nobody works on it
  completing  giving it back was tried, without an answer yet
  completed   the authorization server confirmed its end, and revoked what
              it can: the rest expires by itself; or it never opened it
  expired     nobody confirmed that, but nothing under it can be valid any more
  unknown     nobody can confirm it: its authorization server is gone

` + cli.StateHelp,
		Example: `  analyst tasks
  analyst tasks --all --json | jq -r '.[].state'
  analyst tasks list --state open
  analyst tasks show last
  analyst tasks complete last`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), p) },
	}
	list := &cobra.Command{
		Use: "list", Short: "List tasks", Long: cmd.Long, Args: cli.Args(cobra.NoArgs),
		Example: "  analyst tasks list --all",
		RunE:    cmd.RunE,
	}
	for _, c := range []*cobra.Command{cmd, list} {
		c.Flags().BoolVar(&o.all, "all", false, fmt.Sprintf("list all tasks, not only the unfinished and the %d newest others", recentTasks))
		c.Flags().BoolVar(&o.json, "json", false, "print a JSON array")
		c.Flags().StringVar(&o.state, "state", "", "list the tasks in this `STATE` only")
		cli.Complete(c, "state", cli.Words(states...))
	}
	cmd.AddCommand(list, showCommand(p), completeCommand(p))
	return cmd
}

type showOptions struct {
	id   string
	json bool
}

func showCommand(p *cli.Program) *cobra.Command {
	var o showOptions
	cmd := &cobra.Command{
		Use:   "show ID",
		Short: "Show one task: its state, attempts, owner and grants",
		Long: `Show one task by its id at the authorization server, its run, the beginning of
one, or "last" for the newest: its state, times and attempts, whether its
process lives, and the grants under it. analyst explain tells the whole story.`,
		Example: "  analyst tasks show last",
		Args:    cli.Args(cobra.ExactArgs(1)),

		ValidArgsFunction: p.Tasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return o.run(cmd.Context(), p)
		},
	}
	cmd.Flags().BoolVar(&o.json, "json", false, "print a JSON object")
	return cmd
}

// A taskView is a task as commands show it.
type taskView struct {
	journal.Task
	Owner  string      `json:"owner,omitempty"` // of an unfinished one: alive, gone, or empty when that cannot be told
	Grants []grantView `json:"grants,omitempty"`
}

type grantView struct {
	Detail    string             `json:"detail"`
	RequestID string             `json:"request_id,omitempty"`
	TokenHash string             `json:"token_hash,omitempty"`
	Issued    time.Time          `json:"issued"`
	ExpiresAt time.Time          `json:"expires_at,omitzero"`
	State     journal.GrantState `json:"state"`
}

func (o listOptions) run(ctx context.Context, p *cli.Program) error {
	if o.state != "" && !slices.Contains(states, journal.State(o.state)) {
		return cli.Usagef("--state is none of %v", states)
	}
	views := []taskView{}
	j, err := p.OpenState(ctx, true, nil)
	if err == nil {
		defer func() { _ = j.Close() }() // opened for reading
		views, err = o.selected(ctx, j)
	}
	if err != nil && !errors.Is(err, journal.ErrNotFound) { // which is no journal yet
		return err
	}
	if o.json {
		return p.PrintJSON(views)
	}
	if len(views) == 0 {
		_, err := fmt.Fprintln(p.Stderr, "analyst: no tasks")
		return err
	}
	var rows [][]string
	for _, v := range views {
		state := string(v.State) + plain.Between(" (", v.Owner, ")")
		if v.State == journal.StateCompleted && v.NextAttempt.After(time.Now()) {
			state += " (expires at " + v.NextAttempt.Local().Format(time.TimeOnly) + ")"
		}
		rows = append(rows, []string{
			state, plain.Line(cmp.Or(v.ID, "run "+v.Run), 60), v.Opened.Local().Format("02 Jan 15:04"), strings.TrimPrefix(v.Name, "analyst: "),
		})
	}
	return p.PrintTable([]string{"STATE", "TASK", "OPENED", "NAME"}, rows)
}

// selected returns the tasks that a list shows, in its order.
func (o listOptions) selected(ctx context.Context, j journal.Store) ([]taskView, error) {
	list, err := j.Tasks(ctx, journal.TaskFilter{State: journal.State(o.state)})
	if err != nil {
		return nil, err
	}
	owner := cli.Owners(ctx, j)
	open, finished := []taskView{}, []taskView{}
	for _, t := range slices.Backward(list) {
		if v := (taskView{Task: t, Owner: owner(t)}); t.State.Finished() {
			finished = append(finished, v)
		} else {
			open = append(open, v)
		}
	}
	if !o.all && o.state == "" {
		finished = finished[:min(len(finished), recentTasks)]
	}
	return append(open, finished...), nil
}

func (o showOptions) run(ctx context.Context, p *cli.Program) error {
	j, err := p.OpenState(ctx, true, nil)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // opened for reading
	t, err := cli.FindTask(ctx, j, o.id)
	if err != nil {
		return err
	}
	v := taskView{Task: t, Owner: cli.Owners(ctx, j)(t)}
	var records []journal.Record
	for r, err := range j.Query(ctx, journal.Filter{Run: t.Run}) {
		if err != nil {
			return cli.StateError(err, cli.VerifyHint)
		}
		records = append(records, r)
	}
	for _, g := range journal.Grants(records, time.Now()) {
		gv := grantView{RequestID: g.RequestID, TokenHash: g.TokenHash, Issued: g.Time, ExpiresAt: g.ExpiresAt, State: g.State}
		if g.Detail != nil {
			gv.Detail = g.Detail.String()
		}
		v.Grants = append(v.Grants, gv)
	}
	if o.json {
		return p.PrintJSON(v)
	}
	return printTask(p, v)
}

// printTask writes a task for a person.
func printTask(p *cli.Program, v taskView) error {
	var items []cli.Item
	line := func(name, value string) {
		if value != "" {
			items = append(items, cli.Item{Label: name, Text: plain.Line(value, 400)})
		}
	}
	at := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.Local().Format(time.DateTime)
	}
	line("task", cmp.Or(v.ID, "the server's answer was lost, so nothing was ever asked for under it"))
	line("run", v.Run)
	line("state", string(v.State)+meaning(v))
	line("process", v.Owner)
	line("name", v.Name)
	line("part of run", v.Parent)
	line("authority", v.Authority)
	line("on behalf of", v.OnBehalfOf)
	line("session", v.Session)
	line("opened", at(v.Opened))
	line("last entry", at(v.Updated))
	line("ends at server", at(v.ExpiresAt))
	line("valid until", at(v.Until))
	if v.Attempts > 0 {
		line("attempts", fmt.Sprint(v.Attempts))
	}
	line("last error", v.LastError)
	if v.State != journal.StateCompleted {
		line("next attempt", at(v.NextAttempt))
	}
	for _, g := range v.Grants {
		end := ""
		if !g.ExpiresAt.IsZero() {
			end = ", until " + at(g.ExpiresAt)
		}
		line("grant", fmt.Sprintf("%s: %s%s (request %s, token hash %s)", g.Detail, g.State, end, cmp.Or(g.RequestID, "-"), cmp.Or(g.TokenHash, "-")))
	}
	if len(v.Grants) == 0 {
		line("grants", "none")
	}
	return p.PrintItems(items)
}

// meaning says what a state means for whoever wants to know if something is open.
func meaning(v taskView) string {
	switch {
	case v.State == journal.StateCompleted && !v.NextAttempt.IsZero():
		return ": it ended, and what the server cannot revoke expires by itself at " + v.NextAttempt.Local().Format(time.DateTime)
	case v.State == journal.StateCompleted:
		return ": the server confirmed that everything was given back"
	case v.State == journal.StateExpired:
		return ": nobody confirmed its end, but nothing under it is valid any more"
	case v.State == journal.StateUnknown:
		return ": nobody can confirm its end"
	case v.State == journal.StateSuspended:
		return ": it waits for a decision, and analyst resume goes on with it; not resumed by the next attempt below, it is given back"
	case v.Owner == cli.OwnerAlive:
		return ": its process works, or another one recovers it"
	case v.Authority == recovery.Embedded:
		return ": its server died with its process; analyst sweep notes that"
	}
	return ": the next analyst command for this authority, or analyst sweep, completes it"
}

// short returns an id for a sentence.
func short(t journal.Task) string {
	return plain.Line(strings.TrimSpace(cmp.Or(t.ID, "of run "+t.Run)), 80)
}
