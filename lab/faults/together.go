package main

import (
	"context"
	"fmt"

	"github.com/jitagent/jitagent/state/sqlite"
)

// together starts many processes at the same instant on a state directory that does
// not exist yet.
func together(ctx context.Context, b *bench) ([]*row, error) {
	const runs, sweeps = 5, 3
	r := &row{Fault: fmt.Sprintf("%d runs and %d sweeps at once, no journal yet", runs, sweeps)}
	rows := []*row{r}
	w, err := newWorld(ctx, b, "together")
	if err != nil {
		return rows, err
	}
	defer func() { _ = w.stop() }()
	for i := range max(3, b.trials/20) {
		state := w.path(fmt.Sprintf("state-%d", i))
		s := w.analysts(state)
		var all []*analyst
		title := func(n int) string { return fmt.Sprintf("Together %d %d", i, n) }
		for n := range runs + sweeps {
			args := []string{"run", job(title(n))}
			if n >= runs {
				args = []string{"sweep"}
			}
			a, err := s.start(ctx, "", args...)
			if err != nil {
				return rows, err
			}
			all = append(all, a)
		}
		for n, a := range all {
			if code, _ := a.wait(); code != 0 {
				r.wrong(&r.Other, "%d, process %d: exit %d: %s", i, n, code, a.said())
			}
		}
		r.Trials++
		for n := range runs {
			made, err := reports(w.path("reports"), title(n))
			if err != nil {
				return rows, err
			}
			if made > 1 {
				r.wrong(&r.Duplicates, "%s: %d reports", title(n), made)
			} else if made == 0 {
				r.wrong(&r.Lost, "%s: no report", title(n))
			}
			if err := w.nothingLeft(ctx, r, taskName(job(title(n)))); err != nil {
				return rows, err
			}
		}
		if err := verify(ctx, state); err != nil {
			r.wrong(&r.Other, "%d: the journal: %v", i, err)
		}
	}
	for _, bad := range check(w.history.all()) {
		r.wrong(&r.Other, "%s", bad)
	}
	return rows, nil
}

// verify checks a journal as a whole.
func verify(ctx context.Context, state string) error {
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: state, ReadOnly: true})
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	_, err = j.Verify(ctx)
	return err
}
