// Package sessions is analyst sessions: the conversations that are kept.
package sessions

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	adk "google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/session"
)

// recent is how many sessions a list has without --all.
const recent = 20

type options struct {
	id   string
	all  bool
	json bool
}

// Command returns analyst sessions.
func Command(p *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions",
		Short: "List, show and delete the conversations that are kept",
		Long: `List, show and delete the conversations that are kept beside the journal.

` + cli.StateHelp,
		Example: `  analyst sessions list
  analyst sessions show last`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var o options
	list := &cobra.Command{
		Use:     "list",
		Short:   "List the sessions, the last changed first, and what they wait for",
		Example: "  analyst sessions list --all",
		Args:    cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.with(cmd.Context(), p, o.list)
		},
	}
	list.Flags().BoolVar(&o.all, "all", false, fmt.Sprintf("list up to %d, not only the %d last changed", cli.MaxSessions, recent))
	show := &cobra.Command{
		Use:     "show SESSION",
		Short:   "Show a conversation",
		Long:    "Show a conversation. SESSION is its name, the beginning of one, or \"last\".",
		Example: "  analyst sessions show last",
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return o.with(cmd.Context(), p, o.show)
		},
	}
	remove := &cobra.Command{
		Use:   "delete SESSION",
		Short: "Delete a conversation, and what it waits for",
		Long: `Delete a conversation. What it waits for is not done then; the authority under
it is given back when its requests have run out, or by analyst tasks complete.`,
		Example: "  analyst sessions delete last",
		Args:    cli.Args(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.id = args[0]
			return o.with(cmd.Context(), p, o.delete)
		},
	}
	for _, c := range []*cobra.Command{list, show} {
		c.Flags().BoolVar(&o.json, "json", false, "print JSON")
	}
	cmd.AddCommand(list, show, remove)
	return cmd
}

// with opens the store for do.
func (o options) with(ctx context.Context, p *cli.Program, do func(context.Context, *cli.Program, *session.Store) error) error {
	j, store, err := p.OpenSessions(ctx, nil) // which makes the directory, and checks it
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // all changes were made, and told
	return do(ctx, p, store)
}

func (o options) list(ctx context.Context, p *cli.Program, store *session.Store) error {
	most := recent
	if o.all {
		most = cli.MaxSessions
	}
	list, err := store.Recent(ctx, cli.App, most, false)
	if err != nil {
		return cli.StateError(err, "")
	}
	if o.json {
		return p.PrintJSON(list)
	}
	if len(list) == 0 {
		p.Note("no sessions")
		return nil
	}
	var rows [][]string
	for _, s := range list {
		waits := "-"
		if len(s.Waiting) > 0 {
			waits = plain.Count(len(s.Waiting), "call")
		}
		rows = append(rows, []string{plain.Line(s.ID, 26), s.Updated.Local().Format("01-02 15:04"), waits, s.Title})
	}
	return p.PrintTable([]string{"SESSION", "CHANGED", "WAITS", "BEGINS"}, rows)
}

// An entry is one thing that was said or done in a session.
type entry struct {
	Time   time.Time      `json:"time"`
	Who    string         `json:"who"`
	Text   string         `json:"text,omitempty"`
	Call   string         `json:"call,omitempty"` // the tool that was called, or that a result is of
	CallID string         `json:"call_id,omitempty"`
	Args   map[string]any `json:"args,omitempty"`
	Result map[string]any `json:"result,omitempty"`
}

func entries(events adk.Events) (list []entry) {
	for ev := range events.All() {
		if ev.Content == nil {
			continue
		}
		for _, p := range ev.Content.Parts {
			if p != nil && !p.Thought {
				list = append(list, entryOf(ev, p))
			}
		}
	}
	return list
}

func entryOf(ev *adk.Event, p *genai.Part) entry {
	e := entry{Time: ev.Timestamp.UTC(), Who: ev.Author, Text: p.Text}
	if c := p.FunctionCall; c != nil {
		e.Call, e.CallID, e.Args = c.Name, c.ID, c.Args
	}
	if r := p.FunctionResponse; r != nil {
		e.Who, e.Call, e.CallID, e.Result = "tool", r.Name, r.ID, r.Response
	}
	return e
}

func (o options) show(ctx context.Context, p *cli.Program, store *session.Store) error {
	s, err := cli.FindSession(ctx, store, o.id)
	if err != nil {
		return err
	}
	got, err := store.Get(ctx, &adk.GetRequest{AppName: cli.App, UserID: s.User, SessionID: s.ID})
	if err != nil {
		return cli.StateError(err, "")
	}
	said := entries(got.Session.Events())
	if o.json {
		return p.PrintJSON(struct {
			session.Summary
			Entries []entry `json:"entries"`
		}{s, said})
	}
	for _, e := range said {
		text := e.Text
		switch {
		case e.Result != nil:
			text = e.Call + " answered: " + plain.Line(fmt.Sprint(e.Result), 400)
		case e.Call != "":
			text = "calls " + e.Call + " " + plain.Line(fmt.Sprint(e.Args), 400)
		}
		if _, err := fmt.Fprintf(p.Stdout, "%s  %s: %s\n", e.Time.Local().Format(time.TimeOnly), plain.Line(e.Who, 40), plain.Text(text)); err != nil {
			return err
		}
	}
	for _, w := range s.Waiting {
		p.Note("%s waits for a person: request %s, until %s", w.Tool, w.RequestID, w.ExpiresAt.Local().Format(time.DateTime))
	}
	if len(s.Waiting) > 0 {
		p.Hint("analyst resume " + s.ID)
	}
	return nil
}

func (o options) delete(ctx context.Context, p *cli.Program, store *session.Store) error {
	s, err := cli.FindSession(ctx, store, o.id)
	if err != nil {
		return err
	}
	if err := store.Delete(ctx, &adk.DeleteRequest{AppName: cli.App, UserID: s.User, SessionID: s.ID}); err != nil {
		return cli.StateError(err, "")
	}
	_, err = fmt.Fprintf(p.Stdout, "session %s is deleted\n", plain.Line(s.ID, 60))
	return err
}
