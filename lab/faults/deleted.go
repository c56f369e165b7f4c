package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// A theft takes the journal away from under a run that waits for a person.
type theft struct {
	name string
	do   func(state string) error
}

func thefts() []theft {
	file := func(names ...string) func(string) error {
		return func(state string) error {
			for _, name := range names {
				if err := os.Remove(filepath.Join(state, name)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return []theft{
		{"database deleted", file("journal.db")},
		{"WAL deleted", file("journal.db-wal")},
		{"all files of the database deleted", file("journal.db", "journal.db-wal", "journal.db-shm")},
		{"directory deleted", os.RemoveAll},
		{"directory moved away", func(state string) error { return os.Rename(state, state+".away") }},
		{"database emptied", func(state string) error { return os.Truncate(filepath.Join(state, "journal.db"), 0) }},
		{"WAL emptied", func(state string) error { return os.Truncate(filepath.Join(state, "journal.db-wal"), 0) }},
		{"database replaced by a copy", func(state string) error {
			path := filepath.Join(state, "journal.db")
			data, err := os.ReadFile(path)
			if err == nil {
				err = os.Remove(path)
			}
			if err != nil {
				return err
			}
			return os.WriteFile(path, data, 0o600)
		}},
	}
}

// deleted takes the journal away while a run waits, then lets the run go on. It must
// not use what it is granted from then on, say so, and give everything back.
func deleted(ctx context.Context, w *world) ([]*row, error) {
	r := &row{Fault: "journal taken away from under a run"}
	rows := []*row{r}
	all := thefts()
	return rows, each(ctx, len(all), len(all), func(ctx context.Context, i int) error {
		s := w.analysts(w.path(fmt.Sprintf("state-%d", i)))
		l, err := startLiving(ctx, w, s, r, i)
		if err != nil {
			return err
		}
		if err := l.rob(ctx, all[i]); err != nil {
			l.abandon()
			return fmt.Errorf("%s: %w", all[i].name, err)
		}
		r.add(&r.Trials, 1)
		return nil
	})
}

// rob takes the journal away and checks how the run ends.
func (l *living) rob(ctx context.Context, t theft) error {
	if err := t.do(l.s.state); err != nil {
		return err
	}
	task := l.task()
	l.w.history.note(released, l.w.history.now(), task.id)
	if err := l.w.approve(ctx, task.pending); err != nil {
		return err
	}
	alive, err := l.w.active(ctx, task)
	if err != nil {
		return err
	}
	l.row.add(&l.row.Alive, alive)
	return l.robbed(ctx, t.name)
}

// robbed checks the end of a run whose journal is gone.
func (l *living) robbed(ctx context.Context, what string) error {
	code, killed := l.a.wait()
	l.w.detail("%s: exit %d: %s", what, code, l.a.said())
	made, err := reports(l.w.path("reports"), l.title)
	if err != nil {
		return err
	}
	text := l.a.stderr.String()
	switch {
	case code == exitDone || killed:
		l.row.wrong(&l.row.Other, "%s: the run went on without a journal: exit %d: %s", what, code, l.a.said())
	case !l.a.clear() || !strings.Contains(text, "nothing could be recorded") && !strings.Contains(text, "journal"):
		l.row.wrong(&l.row.Other, "%s: exit %d without a clear word: %s", what, code, l.a.said())
	}
	if made > 0 {
		l.row.wrong(&l.row.Other, "%s: a report was made, and nothing recorded it", what)
	}
	active, err := l.w.active(ctx, l.task())
	for range active {
		l.row.wrong(&l.row.Orphans, "%s: a grant is active after the end", what)
	}
	return err
}
