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
func deleted(ctx context.Context, b *bench) ([]*row, error) {
	r := &row{Fault: "journal taken away from under a run"}
	rows := []*row{r}
	w, err := newWorld(ctx, b, "deleted")
	if err != nil {
		return rows, err
	}
	defer func() { _ = w.stop() }()
	var runs []*living
	defer func() {
		for _, l := range runs {
			if l.a.cmd.ProcessState == nil {
				l.abandon()
			}
		}
	}()
	for i, t := range thefts() {
		state := w.path(fmt.Sprintf("state-%d", i))
		l, err := startLiving(ctx, w, w.analysts(state), r, i)
		if err != nil {
			return rows, err
		}
		runs = append(runs, l)
		if err := t.do(state); err != nil {
			return rows, fmt.Errorf("%s: %w", t.name, err)
		}
	}
	for i := range thefts() {
		l := runs[i]
		task := l.task()
		w.history.note(released, w.history.now(), task.id)
		if err := w.approve(ctx, task.pending); err != nil {
			return rows, err
		}
		alive, err := w.active(ctx, task)
		if err != nil {
			return rows, err
		}
		r.add(&r.Alive, alive)
	}
	for i, t := range thefts() {
		if err := runs[i].robbed(ctx, t.name); err != nil {
			return rows, err
		}
		r.Trials++
	}
	for _, bad := range check(w.history.all()) {
		r.wrong(&r.Other, "%s", bad)
	}
	return rows, nil
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
