// Package audit tells what the journal holds: analyst audit checks and exports its
// entries, analyst explain makes a story of them.
package audit

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/plain"
	"github.com/jitagent/jitagent/state/journal"
)

// Command returns analyst audit.
func Command(p *cli.Program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Check that the journal is whole, or export it",
		Long: `Check that no entry of the journal was changed, or write its entries out.

` + cli.StateHelp,
		Example: `  analyst run --quiet "Summarize doc_9982"
  analyst audit verify
  analyst audit export --since 24h
  analyst audit export --task last | jq -c .entry`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(verifyCommand(p), exportCommand(p), checkpointCommand(p), keyCommand(p))
	return cmd
}

type verifyOptions struct {
	heads, checkpoints []string
	key                string
	json               bool
}

func verifyCommand(p *cli.Program) *cobra.Command {
	var o verifyOptions
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Check each entry, and name the first that does not fit",
		Long: `Check each entry against the chain, and name the first that does not fit.

The chain shows every change by someone who has not its key. Whoever can read
the state directory has the key, and could also put back an older copy of it
all: against that, keep the head that is printed somewhere else, and give it to
a later check with --head. A checkpoint (analyst audit checkpoint) is such
heads, signed: the journal is whole only if it extends each that is given.

Exit codes: 0 the journal is whole, 1 it is not, or cannot be read, 2 usage.`,
		Example: `  analyst audit verify
  analyst audit verify --json | jq -r .head
  analyst audit verify --signed-by "$(cat checkpoint.pub)" \
    --checkpoint today.checkpoint`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), p) },
	}
	cmd.Flags().StringArrayVar(&o.heads, "head", nil, "a head that an earlier check printed, as `SEQ:HASH`; may be given again")
	cmd.Flags().StringArrayVar(&o.checkpoints, "checkpoint", nil, "`FILE` with a checkpoint that was kept elsewhere; may be given again")
	cmd.Flags().StringVar(&o.key, "signed-by", "", "public `KEY` of the checkpoints, as analyst audit key printed it")
	cli.Complete(cmd, "checkpoint", cli.Files)
	cmd.Flags().BoolVar(&o.json, "json", false, "print a JSON object")
	return cmd
}

// notWhole is the error of a journal that does not fit.
func notWhole(err error) error {
	return cli.Failf("keep a copy of the state, directory or database, before anything else is done with it", "%w", err)
}

// A verifyReport is what verify found in a journal that is whole.
type verifyReport struct {
	Entries int64  `json:"entries"`
	Tasks   int    `json:"tasks"`
	Head    string `json:"head"`
	// Heads are all that are to be kept, where processes have chains of their own: those
	// that no other chain holds.
	Heads []journal.Head `json:"heads,omitempty"`
	// PrunedTo is the last entry that was removed on purpose; 0 for none.
	PrunedTo int64 `json:"pruned_to,omitempty"`
	// Losses are the entries that say that others before them were found gone.
	Losses []int64 `json:"losses,omitempty"`
	// Checkpoints are the times of those that it was seen to extend.
	Checkpoints []time.Time `json:"checkpoints,omitempty"`
}

func (o verifyOptions) run(ctx context.Context, p *cli.Program) error {
	known := make([]journal.Head, len(o.heads))
	for i, text := range o.heads {
		var err error
		if known[i], err = journal.ParseHead(text); err != nil {
			return cli.Usagef("--head: it reads NUMBER:HASH, as analyst audit verify prints it")
		}
	}
	checkpoints, err := readCheckpoints(o.key, o.checkpoints)
	if err != nil {
		return err
	}
	for _, c := range checkpoints {
		known = append(known, c.Heads...)
	}
	j, err := p.OpenState(ctx, true, nil)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // it only reads
	found, err := j.Verify(ctx, known...)
	if err != nil {
		return notWhole(err)
	}
	report := verifyReport{Entries: found.Entries, Tasks: found.Tasks, Head: found.Last.String(), PrunedTo: found.Pruned.Seq, Losses: found.Losses}
	if len(found.Heads) > 1 {
		report.Heads = found.Heads
	}
	for i, c := range checkpoints {
		if !c.Held(found) {
			return cli.Failf("give it a newer checkpoint", "%s cannot be shown to be held: the entries up to %d, which it names, were removed on purpose", plain.Line(o.checkpoints[i], 200), found.Pruned.Seq)
		}
		report.Checkpoints = append(report.Checkpoints, c.Time)
	}
	if o.json {
		return p.PrintJSON(report)
	}
	text := fmt.Sprintf("whole: %s, %s\n", plain.Count(int(report.Entries), "entry"), plain.Count(report.Tasks, "task"))
	if len(found.Heads) == 0 {
		found.Heads = []journal.Head{found.Last}
	}
	for _, head := range found.Heads {
		text += fmt.Sprintf("head:  %s\n", head)
	}
	if report.PrunedTo > 0 {
		text += fmt.Sprintf("note:  the entries up to %d were removed on purpose\n", report.PrunedTo)
	}
	for _, at := range report.Checkpoints {
		text += fmt.Sprintf("held:  the checkpoint of %s\n", at.Format(time.RFC3339))
	}
	for _, seq := range report.Losses {
		text += fmt.Sprintf("note:  entry %d says that entries before it were found gone\n", seq)
	}
	_, err = fmt.Fprintln(p.Stdout, text+"Keep the head somewhere else, and check it later with --head.")
	return err
}

type exportOptions struct{ since, task, session, format string }

func exportCommand(p *cli.Program) *cobra.Command {
	var o exportOptions
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write entries as JSON lines, or as OCSF events",
		Long: `Write entries as JSON lines: {"entry":{...},"hash":"..."}. The entry stands
there as the chain has it (RFC 8785), but for characters that are not
printable, which are written as escapes. No entry holds a token;
justifications, document names and URLs are readable.

With --format ocsf each line is an event of the Open Cybersecurity Schema
Framework ` + ocsfVersion + `, class API Activity (6003), with the entry in its member
unmapped.`,
		Example: `  analyst audit export
  analyst audit export --since 2026-01-31
  analyst audit export --task last
  analyst audit export --format ocsf --since 1h >events.jsonl`,
		Args: cli.Args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), p) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.since, "since", "", "only entries since `TIME`: a length of time such as 24h, a day such as 2026-01-31, or an RFC 3339 time")
	flags.StringVar(&o.task, "task", "", "only entries about the task with this `ID` or run, or its beginning, or \"last\"")
	flags.StringVar(&o.session, "session", "", "only entries about the tasks of this session, by its `ID`")
	flags.StringVar(&o.format, "format", "jsonl", "`FORMAT` of the lines: jsonl or ocsf")
	cli.Complete(cmd, "task", p.Tasks)
	cli.Complete(cmd, "format", cli.Words("jsonl", "ocsf"))
	return cmd
}

func (o exportOptions) run(ctx context.Context, p *cli.Program) error {
	if o.task != "" && o.session != "" {
		return cli.Usagef("--task and --session exclude each other")
	}
	line, ok := map[string]func(journal.Record) ([]byte, error){"jsonl": journal.Record.Line, "ocsf": ocsfLine}[o.format]
	if !ok {
		return cli.Usagef("--format %q: write jsonl or ocsf", o.format)
	}
	since, err := parseSince(o.since, time.Now())
	if err != nil {
		return err
	}
	j, err := p.OpenState(ctx, true, nil)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // it only reads
	var filter journal.Filter
	var runs []string // nil for all
	for _, want := range []struct{ kind, id string }{{"task", o.task}, {"session", o.session}} {
		if want.id == "" {
			continue
		}
		s, err := cli.FindSubject(ctx, j, want.id)
		if err != nil {
			return err
		}
		if s.Kind != want.kind {
			return cli.Failf("analyst tasks --all lists what there is", "%s is no %s", s, want.kind)
		}
		if runs = s.Runs; len(runs) == 1 {
			filter.Run = runs[0]
		}
	}
	for r, err := range j.Query(ctx, filter) {
		var text []byte
		switch {
		case err != nil:
		case r.Time.Before(since), runs != nil && !slices.Contains(runs, r.Run):
			continue
		default:
			text, err = line(r)
		}
		if err != nil {
			return cli.StateError(err, cli.VerifyHint)
		}
		if _, err := p.Stdout.Write(text); err != nil {
			return err
		}
	}
	return nil
}

// parseSince reads the moment of --since; "" is the zero time.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return t, nil
	}
	return time.Time{}, cli.Usagef("--since %q: write a length of time such as 24h, a day such as 2026-01-31, or an RFC 3339 time", text)
}
