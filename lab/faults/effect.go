package main

import (
	"context"
	"net/http"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// A knowledge is what the journal knows about the report that a run intended.
type knowledge struct {
	run     string // "" when the journal has no such task
	task    journal.Task
	open    bool // some task is not finished
	made    bool // the API said yes
	doubt   bool // it was sent, and nobody knows what came of it
	demands int  // of authority, announced before they were made
}

// known reads what the journal knows about the newest task of a name; "" for all of them.
func known(ctx context.Context, j *sqlite.Journal, name string) (knowledge, error) {
	var k knowledge
	tasks, err := j.Tasks(ctx, journal.TaskFilter{})
	if err != nil {
		return k, err
	}
	for _, t := range tasks {
		if t.Name == name || name == "" {
			k.run, k.task = t.Run, t
			k.open = k.open || !t.State.Finished()
		}
	}
	if k.run == "" {
		return k, nil
	}
	filter := journal.Filter{Run: k.run}
	if name == "" {
		filter.Run = ""
	}
	for r, err := range j.Query(ctx, filter) {
		if err != nil {
			return k, err
		}
		k.see(r.Entry)
	}
	return k, nil
}

// see takes one entry, in their order.
func (k *knowledge) see(e jit.Entry) {
	switch {
	case e.Kind == jit.EntryRequest:
		k.demands++
	case e.Method != http.MethodPost:
	case e.Kind == jit.EntryCallSent:
		k.doubt = true
	case e.Kind == jit.EntryCallReturned:
		k.doubt = e.Outcome == jit.OutcomeInDoubt
		k.made = k.made || e.Outcome == jit.OutcomeAnswered && e.HTTPStatus/100 == 2
	}
}

// judge compares what is known with what is there, and counts. again reports whether
// the run may be repeated without risk: it is certain that nothing was made.
func (k *knowledge) judge(r *row, title string, made int) (again bool) {
	switch {
	case made > 1:
		r.wrong(&r.Duplicates, "%s: %d reports", title, made)
	case k.made && made == 0:
		r.wrong(&r.Lost, "%s: the journal says that it was made, and it is not there", title)
	case k.made:
	case k.doubt:
		r.add(&r.Unknown, 1)
	case made == 1:
		r.wrong(&r.Other, "%s: it was made, and the journal does not know that it was sent", title)
	default:
		return true
	}
	return false
}
