// Package kill is analyst kill: it ends tasks, whichever process works on them, and revokes
// what was granted under them.
package kill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

type options struct {
	cli.Target
	what   string
	reason string
	within time.Duration
	json   bool
	debug  bool
}

// all is the argument for every task.
const all = "ALL"

// Command returns analyst kill.
func Command(p *cli.Program) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "kill TASK|SESSION|USER|ALL",
		Short: "End tasks now, whichever process works on them",
		Long: `End tasks now, whichever process works on them, and revoke what was granted
under them. What is meant is a task, by its id or the beginning of one, the
tasks of a session (of analyst serve's its id is enough) or of a user, or ALL;
task:ID, session:NAME or user:NAME where that is not clear. The process that
works on a task sees it within a tenth of a second, before its next request or
call of the model, and stops; a call of the model that is under way is waited
for. Once this command has ended, no request of such a task leaves any more.
Nothing of a killed task is resumed; a new message or run is not kept from
anybody.

For each API it is printed when a token of the task was last accepted there, as
far as the journal knows.

` + cli.StateHelp + `

Exit codes: 0 the authorization server confirmed the end of each task, and its
process has stopped, 1 not all of that is confirmed: what is not is printed,
2 usage.`,
		Example: "  analyst kill ALL --reason 'the key leaked'",
		Args:    cli.Args(cobra.ExactArgs(1)),

		ValidArgsFunction: p.Tasks,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.what = args[0]
			if o.within < time.Second { // or a process may not have looked yet
				return cli.Usagef("--within must be a second at least")
			}
			return o.run(cmd.Context(), p)
		},
	}
	o.AddServerFlags(cmd)
	cmd.Flags().StringVar(&o.reason, "reason", "", "`WHY`, for the journal and for who sees the run end")
	cmd.Flags().DurationVar(&o.within, "within", 30*time.Second, "how `LONG` to try, and to wait for its process to stop")
	cmd.Flags().BoolVar(&o.json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&o.debug, "debug", false, "log to stderr what happens inside")
	return cmd
}

// A state is a [cli.State].
type state interface {
	journal.Store
	UnderWay(context.Context) ([]string, error)
}

// parallel bounds the tasks that are ended at once.
const parallel = 8

func (o options) run(ctx context.Context, p *cli.Program) error {
	j, cfg, end, err := o.OpenRecovery(ctx, p, p.Logger(o.debug))
	if err != nil {
		return err
	}
	defer end()
	list, err := candidates(ctx, j)
	if err == nil {
		list, err = o.meant(list)
	}
	if err != nil {
		return err
	}
	if len(list) > 0 {
		p.Note("ending %s: tokens are revoked at once; what works on a task stops at its next step, for which this waits up to %s", plain.Count(len(list), "task"), o.within)
	}
	bounded, cancel := context.WithTimeout(ctx, o.within)
	defer cancel()
	ends, err := o.endAll(ctx, bounded, j, cfg, list)
	if err != nil {
		return err
	}
	for _, e := range ends {
		if err := e.accepted(context.WithoutCancel(ctx), j); err != nil {
			return cli.StateError(err, cli.VerifyHint)
		}
	}
	if err := o.print(p, ends); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return cli.Interrupted(ctx)
	}
	if n := len(slices.DeleteFunc(ends, (*ending).confirmed)); n > 0 {
		return cli.Failf("run it again: it goes on where it was; tokens that no server can revoke expire by themselves", "not confirmed for %s", plain.Count(n, "task"))
	}
	return nil
}

// endAll ends tasks, and those by which somebody goes on where one of them was.
func (o options) endAll(ctx, bounded context.Context, j state, cfg recovery.Config, list []journal.Task) (ends []*ending, err error) {
	for len(list) > 0 {
		ends = append(ends, o.end(ctx, bounded, j, cfg, list)...)
		passes := slices.ContainsFunc(list, func(t journal.Task) bool { return t.State.Finished() })
		if !passes || !pause.For(bounded, look) {
			break
		}
		// Another process may have begun to go on before it could see that. It stops by itself,
		// but what it was granted is to be revoked.
		if list, err = candidates(ctx, j); err != nil {
			return ends, err
		}
		list, _ = o.meant(list) // an error says that there are none any more
		list = those(list, func(t journal.Task) bool {
			return !slices.ContainsFunc(ends, func(e *ending) bool { return e.Run == t.Run })
		})
	}
	return ends, nil
}

// end ends tasks: first all are to stop, then each is given back.
func (o options) end(ctx, bounded context.Context, j journal.Store, cfg recovery.Config, list []journal.Task) []*ending {
	ends := make([]*ending, len(list))
	for i, t := range list {
		ends[i] = &ending{Run: t.Run, TaskID: t.ID, Session: t.Session, User: t.OnBehalfOf}
		if err := j.Kill(ctx, t.Run, o.reason); err != nil {
			ends[i].Problem = cli.Say(err)
		}
	}
	var work errgroup.Group
	work.SetLimit(parallel)
	for i := range list {
		work.Go(func() error { ends[i].end(bounded, j, cfg); return nil })
	}
	_ = work.Wait() // each says for itself
	return ends
}

// candidates returns the tasks that can be meant: those that are unfinished, and the last one
// of each session whose run passes from one process to another, and has none of its own until
// somebody goes on with it; who does sees that it was killed.
func candidates(ctx context.Context, j state) ([]journal.Task, error) {
	passing, err := j.UnderWay(ctx) // before the tasks: what goes on after this has one
	if err != nil {
		return nil, cli.StateError(err, "")
	}
	list, err := j.Tasks(ctx, journal.TaskFilter{Unfinished: true})
	if err != nil {
		return nil, cli.StateError(err, "")
	}
	has := map[string]bool{}
	for _, t := range list {
		has[t.Session] = true
	}
	for _, session := range passing {
		if has[session] {
			continue
		}
		last, err := j.Tasks(ctx, journal.TaskFilter{Session: session, Newest: 1})
		if err != nil {
			return nil, cli.StateError(err, "")
		}
		list = append(list, last...)
	}
	return list, nil
}

// meant returns the tasks of a list that the argument names, and those below them.
func (o options) meant(list []journal.Task) ([]journal.Task, error) {
	if o.what == all {
		return list, nil
	}
	kind, by, said := strings.Cut(o.what, ":")
	if !said || !slices.Contains([]string{"task", "session", "user"}, kind) {
		kind, by = "", o.what
	}
	if by == "" {
		return nil, cli.Usagef("say what to end: a task, a session, a user, or %s", all)
	}
	var found []journal.Task
	var kinds []string
	for _, k := range []struct {
		kind          string
		called, alike func(journal.Task) bool // alike is for what nothing is called
	}{
		{
			"task", func(t journal.Task) bool { return t.ID == by || t.Run == by },
			func(t journal.Task) bool { return strings.HasPrefix(t.ID, by) || strings.HasPrefix(t.Run, by) },
		},
		{
			"session", func(t journal.Task) bool { return t.Session == by },
			func(t journal.Task) bool { return strings.HasSuffix(t.Session, "/"+by) },
		},
		{
			"user", func(t journal.Task) bool { return t.OnBehalfOf == by || jit.SessionUser(t.Session) == by },
			func(journal.Task) bool { return false },
		},
	} {
		if kind != "" && kind != k.kind {
			continue
		}
		of := those(list, k.called)
		if len(of) == 0 {
			of = those(list, k.alike)
		}
		if len(of) > 0 {
			found, kinds = of, append(kinds, k.kind+":"+by)
		}
	}
	switch {
	case len(kinds) > 1:
		return nil, cli.Usagef("that names more than one thing: write %s", strings.Join(kinds, " or "))
	case len(kinds) == 1 && strings.HasPrefix(kinds[0], "task:") && len(found) > 1:
		return nil, cli.Usagef("%s begin with that: write more of the one that is meant", plain.Count(len(found), "task"))
	case len(kinds) == 1 && strings.HasPrefix(kinds[0], "session:") && slices.ContainsFunc(found, func(t journal.Task) bool { return t.Session != found[0].Session }):
		return nil, cli.Usagef("several sessions are called that: write the whole name, such as %s", plain.Line(found[0].Session, 200))
	case len(kinds) == 0:
		return nil, cli.Failf("analyst tasks list shows them; what is finished has nothing left to end", "no unfinished task, session or user is called %s", plain.Line(o.what, 80))
	}
	for i := 0; i < len(found); i++ { // not every server ends what is below a task with it
		for _, t := range list {
			if t.Parent == found[i].Run && !slices.ContainsFunc(found, func(f journal.Task) bool { return f.Run == t.Run }) {
				found = append(found, t)
			}
		}
	}
	return found, nil
}

func those(list []journal.Task, are func(journal.Task) bool) []journal.Task {
	return slices.DeleteFunc(slices.Clone(list), func(t journal.Task) bool { return !are(t) })
}

func (o options) print(p *cli.Program, ends []*ending) error {
	if o.json {
		return p.PrintJSON(ends)
	}
	if len(ends) == 0 {
		p.Note("no task is unfinished")
		return nil
	}
	var items []cli.Item
	for _, e := range ends {
		said := "revoked, and nobody works on it any more"
		if !e.confirmed() {
			said = "not confirmed: " + e.Problem
		}
		items = append(items, cli.Item{Label: plain.Line(cmp.Or(e.TaskID, "run "+e.Run), 60), Text: plain.Line(said, 400)})
		for _, a := range e.APIs {
			items = append(items, cli.Item{Label: "  " + plain.Line(a.Origin, 60), Text: "last accepted a token at " + a.AcceptedAt.Local().Format(time.DateTime)})
		}
		if len(e.APIs) == 0 {
			items = append(items, cli.Item{Label: "  APIs", Text: "none is known to have accepted a token of it"})
		}
	}
	if err := p.PrintItems(items); err != nil {
		return fmt.Errorf("print: %w", err)
	}
	return nil
}

var errExpiring = errors.New("tokens that the server cannot revoke expire by themselves")
