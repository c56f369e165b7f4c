package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// page is how much of the end of each file is cut: one page of SQLite with the header
// of its frame in the WAL.
const page = 4096 + 24

// A harm is one thing done to a copy of a state directory that a killed run left.
type harm struct {
	what string
	do   func(state string) error
}

// damage cuts and changes the files that a killed run left, and starts the next
// command on them: it gives everything back, or says clearly that it cannot read its
// journal. It never says that there is nothing to do.
func damage(t *testing.T, w *world) *row {
	cut, changed := w.row("journal cut anywhere in the last page of a file"), w.row("journal with one byte changed")
	s := w.analysts("template")
	a := s.start(t, "journal.after.grant:2", "run", job("Damaged"))
	if _, killed := a.wait(); !killed {
		t.Fatalf("the run was not killed: %s", a.said())
	}
	play := func(r *row, harms []harm) {
		var refused atomic.Int64
		w.each(t, len(harms), func(t *testing.T, n int) {
			if w.harm(t, r, s.state, "copy-"+number(n), harms[n]) {
				refused.Add(1)
			}
		})
		r.Note = fmt.Sprintf("%d refused, the others gave everything back", refused.Load())
	}
	play(cut, cuts(t, s.state))
	play(changed, flips(t, w.random(3), s.state, max(20, *trials/2)))
	// Whatever the journals said, the first sweep of the journal as it was ends the task.
	(&trial{setup: s, row: cut, title: "Damaged"}).judge(t)
	return cut
}

// size returns the size of a file in a state directory; 0 where it is not there.
func size(t *testing.T, state, name string) int64 {
	info, err := os.Stat(filepath.Join(state, name))
	if errors.Is(err, os.ErrNotExist) {
		return 0
	}
	return must(info, err)(t).Size()
}

// cuts lists the places to cut at: all of them at full size, else some of them.
func cuts(t *testing.T, template string) (all []harm) {
	for _, name := range []string{"journal.db-wal", "journal.db", "journal.head", "journal.key"} {
		size := size(t, template, name)
		least, step := max(0, size-page), int64(1)
		if *trials < 1000 {
			step = max(1, (size-least)/int64(max(8, *trials/5)))
		}
		for at := size - 1; at >= least; at -= step {
			all = append(all, harm{fmt.Sprintf("%s cut to %d of %d", name, at, size), func(state string) error {
				return os.Truncate(filepath.Join(state, name), at)
			}})
		}
	}
	return all
}

// flips lists bytes to change.
func flips(t *testing.T, rng *rand.Rand, template string, times int) (all []harm) {
	names := []string{"journal.db-wal", "journal.db-wal", "journal.db", "journal.head", "journal.key"}
	for i := range times {
		name := names[i%len(names)]
		size := size(t, template, name)
		at, with := rng.Int64N(size), byte(1+rng.IntN(255))
		all = append(all, harm{fmt.Sprintf("%s, byte %d of %d ^ %#x", name, at, size, with), func(state string) error {
			path := filepath.Join(state, name)
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			data[at] ^= with
			return os.WriteFile(path, data, 0o600)
		}})
	}
	return all
}

// harm does one harm to a copy, and starts the next command on it.
func (w *world) harm(t *testing.T, r *row, template, name string, h harm) (refused bool) {
	state := w.path(name)
	defer func() { _ = os.RemoveAll(state) }()
	check(t, os.CopyFS(state, os.DirFS(template)))
	check(t, filepath.WalkDir(state, func(path string, _ os.DirEntry, err error) error { // private again
		return errors.Join(err, os.Chmod(path, 0o700))
	}))
	check(t, h.do(state))
	a, code := w.analysts(name).run(t, "sweep", "--json")
	r.add(&r.Trials, 1)
	var said struct{ Completed int }
	_ = json.Unmarshal(a.stdout.Bytes(), &said) // what is no JSON completed nothing
	w.detail("%s: exit %d, completed %d: %s", h.what, code, said.Completed, a.said())
	switch {
	case code == exitDone && said.Completed != 1:
		r.wrong(t, &r.Orphans, "%s: the sweep is content, and gave nothing back: %s", h.what, strings.TrimSpace(a.stdout.String()))
	case code != exitDone && !a.clear():
		r.wrong(t, &r.Other, "%s: exit %d without a clear word: %s", h.what, code, a.said())
	}
	return code != exitDone
}
