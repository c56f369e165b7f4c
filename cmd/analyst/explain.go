package main

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/jitagent/jitagent/internal/disk"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/explain"
	"github.com/jitagent/jitagent/state/journal"
)

// verifyHint is what to do about entries that cannot be read.
const verifyHint = "analyst audit verify names the first entry that does not fit"

type explainFlags struct {
	json bool
	html string
}

func (p *program) explainCommand() *cobra.Command {
	var f explainFlags
	cmd := &cobra.Command{
		Use:   "explain [SESSION|TASK|CALL]",
		Short: "Tell what a run, a session or a call did, asked for and was granted",
		Long: `Tell from the journal, in order: what the model asked, what the API demanded, how
much the call may ask for, what was asked and why, who decided and when, what was
granted and for how long, every use, what came of it, and when it was given back.

The argument is a session, a task (its id at the authorization server or its run)
or a call, or the beginning of one. Without it, or with "last", the newest task is
told. Nothing is asked of any server, and the chain of the entries is not checked:
that is for analyst audit verify.

` + stateHelp,
		Example: `  analyst run --quiet "Summarize doc_9982"
  analyst explain
  analyst explain last --json | jq '.tasks[].grants'
  analyst explain --html story.html`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := ""
			if len(args) == 1 {
				id = args[0]
			}
			return p.explain(cmd.Context(), f, id)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.json, "json", false, "print the story as JSON")
	flags.StringVar(&f.html, "html", "", "write the story with a timeline picture to this file, one page that needs nothing else")
	return cmd
}

// explain does the job of analyst explain.
func (p *program) explain(ctx context.Context, f explainFlags, id string) error {
	if f.json && f.html != "" {
		return usageError("--json and --html exclude each other")
	}
	j, err := p.openState(ctx, true, nil)
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }() // it only reads
	s, err := findSubject(ctx, j, id)
	if err != nil {
		return err
	}
	story, err := tell(ctx, j, s)
	if err != nil {
		return err
	}
	switch {
	case f.json:
		return story.WriteJSON(p.stdout)
	case f.html == "":
		return story.WriteText(p.stdout, time.Local)
	}
	var page bytes.Buffer
	if err := story.WriteHTML(&page, time.Local); err != nil {
		return err
	}
	if err := disk.Replace(f.html, page.Bytes(), 0o600); err != nil {
		return fmt.Errorf("write the page: %w", err)
	}
	where, err := filepath.Abs(f.html)
	if err != nil {
		where = f.html
	}
	_, err = fmt.Fprintf(p.stdout, "The story of %s is in %s\n", s, where)
	return err
}

// tell makes the story of a subject.
func tell(ctx context.Context, j *journal.Journal, s subject) (*explain.Story, error) {
	var records []journal.Record
	gather := func(f journal.Filter) error {
		for r, err := range j.Query(ctx, f) {
			if err != nil {
				return stateError(err, verifyHint)
			}
			records = append(records, r)
		}
		return nil
	}
	gone := map[string]bool{}
	owner := owners(ctx, j)
	after := int64(0)
	for i, run := range s.runs {
		t, err := j.Task(ctx, run)
		if err != nil {
			return nil, stateError(err, verifyHint)
		}
		gone[run] = owner(t) == ownerGone
		if i == 0 {
			after = t.FirstSeq - 1
		}
		if err := gather(journal.Filter{Run: run}); err != nil {
			return nil, err
		}
	}
	// Where entries are missing belongs to the story of whatever may have lost some.
	if err := gather(journal.Filter{Kinds: []jit.EntryKind{journal.EntryPruned, journal.EntryLoss}, After: after}); err != nil {
		return nil, err
	}
	story := explain.Build(records, explain.Options{Of: s.String(), At: time.Now(), Zone: time.Local, Gone: gone})
	if s.call != "" {
		story = story.Only(s.call)
	}
	return story, nil
}
