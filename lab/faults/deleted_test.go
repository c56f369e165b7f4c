package faults

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A theft takes the journal away from under a run that waits for a person.
type theft struct {
	name string
	do   func(state string) error
}

func thefts() []theft {
	const db, wal = "journal.db", "journal.db-wal"
	remove := func(names ...string) func(string) error {
		return func(state string) error {
			for _, name := range names {
				if err := os.Remove(filepath.Join(state, name)); err != nil {
					return err
				}
			}
			return nil
		}
	}
	empty := func(name string) func(string) error {
		return func(state string) error { return os.Truncate(filepath.Join(state, name), 0) }
	}
	return []theft{
		{"database deleted", remove(db)},
		{"WAL deleted", remove(wal)},
		{"all files of the database deleted", remove(db, wal, "journal.db-shm")},
		{"directory deleted", os.RemoveAll},
		{"directory moved away", func(state string) error { return os.Rename(state, state+".away") }},
		{"database emptied", empty(db)},
		{"WAL emptied", empty(wal)},
		{"database replaced by a copy", func(state string) error {
			data, err := os.ReadFile(filepath.Join(state, db))
			if err == nil {
				err = remove(db)(state)
			}
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(state, db), data, 0o600)
		}},
	}
}

// deleted takes the journal away while a run waits, then lets the run go on. It must
// not use what it is granted from then on, say so, and give everything back.
func deleted(t *testing.T, w *world) *row {
	r, all := w.row("journal taken away from under a run"), thefts()
	w.each(t, len(all), func(t *testing.T, i int) {
		what, l := all[i].name, startLiving(t, w, w.analysts("state-"+number(i)), r, i)
		check(t, all[i].do(l.s.state))
		task := l.task()
		check(t, l.letGo(task))
		r.add(&r.Alive, l.active(t, task))
		code, killed := l.a.wait()
		l.detail("%s: exit %d: %s", what, code, l.a.said())
		text := l.a.stderr.String()
		switch {
		case code == exitDone || killed:
			r.wrong(t, &r.Other, "%s: the run went on without a journal: exit %d: %s", what, code, l.a.said())
		case !l.a.clear() || !strings.Contains(text, "nothing could be recorded") && !strings.Contains(text, "journal"):
			r.wrong(t, &r.Other, "%s: exit %d without a clear word: %s", what, code, l.a.said())
		}
		if l.s.made(t, l.title) > 0 {
			r.wrong(t, &r.Other, "%s: a report was made, and nothing recorded it", what)
		}
		for range l.active(t, l.task()) {
			r.wrong(t, &r.Orphans, "%s: a grant is active after the end", what)
		}
		r.add(&r.Trials, 1)
	})
	return r
}
