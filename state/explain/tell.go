package explain

import (
	"context"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
)

// Tell builds the story of runs from a journal, the first of which began first. gone says
// whose process is gone; nil is nobody's.
func Tell(ctx context.Context, j journal.Store, runs []string, gone func(journal.Task) bool, opts Options) (*Story, error) {
	var records []journal.Record
	gather := func(f journal.Filter) error {
		for r, err := range j.Query(ctx, f) {
			if err != nil {
				return err
			}
			records = append(records, r)
		}
		return nil
	}
	opts.Gone = map[string]bool{}
	after := int64(0)
	for i, run := range runs {
		t, err := j.Task(ctx, run)
		if err != nil {
			return nil, err
		}
		opts.Gone[run] = gone != nil && gone(t)
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
	return Build(records, opts), nil
}
