package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
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
func damage(ctx context.Context, w *world) ([]*row, error) {
	s := w.analysts(w.path("template"))
	a, err := s.start(ctx, "journal.after.grant:2", "run", job("Damaged"))
	if err != nil {
		return nil, err
	}
	if _, killed := a.wait(); !killed {
		return nil, fmt.Errorf("the run was not killed: %s", a.said())
	}
	cuts, err := cuts(s.state, w.trials)
	if err != nil {
		return nil, err
	}
	flips, err := flips(w.random(3), s.state, max(20, w.trials/2))
	if err != nil {
		return nil, err
	}
	rows := []*row{
		{Fault: "journal cut anywhere in the last page of a file"},
		{Fault: "journal with one byte changed"},
	}
	for i, harms := range [][]harm{cuts, flips} {
		var refused atomic.Int64
		err := each(ctx, len(harms), w.workers, func(ctx context.Context, n int) error {
			no, err := w.harm(ctx, rows[i], s.state, w.path(fmt.Sprintf("copy-%d-%d", i, n)), harms[n])
			if no {
				refused.Add(1)
			}
			return err
		})
		rows[i].Note = fmt.Sprintf("%d refused, the others gave everything back", refused.Load())
		if err != nil {
			return rows, err
		}
	}
	// Whatever the journals said, the first sweep of the journal as it was ends the task.
	t := trial{setup: s, row: rows[0], title: "Damaged"}
	return rows, t.judge(ctx)
}

// cuts lists the places to cut at: all of them at full size, else some of them.
func cuts(template string, trials int) ([]harm, error) {
	var all []harm
	for _, name := range []string{"journal.db-wal", "journal.db", "journal.head", "journal.key"} {
		size, err := sizeOf(template, name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		least := max(0, size-page)
		step := int64(1)
		if trials < 1000 {
			step = max(1, (size-least)/int64(max(8, trials/5)))
		}
		for at := size - 1; at >= least; at -= step {
			all = append(all, harm{fmt.Sprintf("%s cut to %d of %d", name, at, size), func(state string) error {
				return os.Truncate(filepath.Join(state, name), at)
			}})
		}
	}
	return all, nil
}

// flips lists bytes to change.
func flips(rng *rand.Rand, template string, times int) ([]harm, error) {
	var all []harm
	names := []string{"journal.db-wal", "journal.db-wal", "journal.db", "journal.head", "journal.key"}
	for i := range times {
		name := names[i%len(names)]
		size, err := sizeOf(template, name)
		if err != nil {
			return nil, err
		}
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
	return all, nil
}

// harm does one harm to a copy, and starts the next command on it.
func (w *world) harm(ctx context.Context, r *row, template, state string, h harm) (refused bool, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(state)) }()
	if err := os.CopyFS(state, os.DirFS(template)); err != nil {
		return false, err
	}
	if err := private(state); err != nil {
		return false, err
	}
	if err := h.do(state); err != nil {
		return false, err
	}
	a, code, err := w.analysts(state).run(ctx, "sweep", "--json")
	if err != nil {
		return false, err
	}
	r.add(&r.Trials, 1)
	var said struct{ Completed int }
	_ = json.Unmarshal(a.stdout.Bytes(), &said) // what is no JSON completed nothing
	w.detail("%s: exit %d, completed %d: %s", h.what, code, said.Completed, a.said())
	switch {
	case code == exitDone && said.Completed != 1:
		r.wrong(&r.Orphans, "%s: the sweep is content, and gave nothing back: %s", h.what, strings.TrimSpace(a.stdout.String()))
	case code != exitDone && !a.clear():
		r.wrong(&r.Other, "%s: exit %d without a clear word: %s", h.what, code, a.said())
	}
	return code != exitDone, nil
}

// private makes a copy as private as a state directory must be.
func private(dir string) error {
	return filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return os.Chmod(path, mode)
	})
}
