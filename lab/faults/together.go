package main

import (
	"context"
	"fmt"
)

// together starts many processes at the same instant on a state directory that does
// not exist yet.
func together(ctx context.Context, w *world) ([]*row, error) {
	const runs, sweeps = 5, 3
	r := &row{Fault: fmt.Sprintf("%d runs and %d sweeps at once, no journal yet", runs, sweeps)}
	rows := []*row{r}
	for i := range max(3, w.trials/20) {
		s := w.analysts(w.path(fmt.Sprintf("state-%d", i)))
		var all []*trial
		for n := range runs + sweeps {
			t := &trial{setup: s, row: r, title: fmt.Sprintf("Together %d %d", i, n)}
			args := []string{"run", job(t.title)}
			if n >= runs {
				args = []string{"sweep"}
			}
			var err error
			if t.said, err = s.start(ctx, "", args...); err != nil {
				return rows, err
			}
			all = append(all, t)
		}
		for _, t := range all {
			if t.code, _ = t.said.wait(); t.code != exitDone {
				r.wrong(&r.Other, "%s: exit %d: %s", t.title, t.code, t.said.said())
			}
		}
		r.Trials++
		for _, t := range all[:runs] {
			if err := t.left(ctx); err != nil {
				return rows, err
			}
		}
		if err := s.verify(ctx); err != nil {
			r.wrong(&r.Other, "%d: the journal: %v", i, err)
		}
	}
	return rows, nil
}
