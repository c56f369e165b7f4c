package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// fullDisk lets the disk of the state directory end at every stage of a run: by a
// limit on the size of files, and on a small disk of its own where this process may
// mount one. What cannot be recorded must not be granted.
func fullDisk(ctx context.Context, w *world) ([]*row, error) {
	limited := &row{Fault: "state directory: files may not grow"}
	tiny := &row{Fault: "state directory: disk full"}
	rows := []*row{limited, tiny}
	if err := w.limits(ctx, limited); err != nil {
		return rows[:1], err
	}
	return rows, w.disks(ctx, tiny)
}

// limits runs with one limit after the other, from nothing to more than enough.
func (w *world) limits(ctx context.Context, r *row) error {
	if _, err := w.analysts(w.path("measured")).undisturbed(ctx); err != nil {
		return err
	}
	// Closing truncated the WAL, which is what grows: a page, in its frame, for each
	// entry or so.
	const block, most = 512, 400 << 10
	worked, times := 0, max(20, w.trials/4)
	for i := range times {
		s := w.analysts(w.path(fmt.Sprintf("limited-%d", i)))
		s.limit = 1 + i*(most/block)/times
		t := trial{setup: s, row: r, title: fmt.Sprintf("Limited %d", i), what: fmt.Sprintf("%d blocks", s.limit)}
		ok, err := t.full(ctx, func() error { return nil })
		if err != nil {
			return err
		}
		if ok {
			worked++
		}
	}
	r.Note = fmt.Sprintf("%d runs worked", worked)
	if worked == 0 || worked == times {
		r.wrong(&r.Other, "%d of %d runs worked: the limits miss the point", worked, times)
	}
	return nil
}

// disks runs on a disk of 1 MiB with more and more room on it.
func (w *world) disks(ctx context.Context, r *row) error {
	disk := w.path("disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		return err
	}
	if _, err := output(ctx, ".", "mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", disk); err != nil {
		r.Note = "not played: mounting is not allowed here"
		return nil //nolint:nilerr // said
	}
	defer func() { _ = exec.Command("umount", "-l", disk).Run() }() //nolint:noctx // also when interrupted
	worked, times := 0, max(10, w.trials/8)
	for i := range times {
		state := filepath.Join(disk, fmt.Sprintf("state-%d", i))
		ballast := filepath.Join(disk, "ballast")
		if err := os.WriteFile(ballast, make([]byte, (1<<20)-i*(440<<10)/times), 0o600); err != nil {
			return err
		}
		t := trial{setup: w.analysts(state), row: r, title: fmt.Sprintf("Full %d", i)}
		ok, err := t.full(ctx, func() error { return os.Remove(ballast) })
		if err != nil {
			return err
		}
		if ok {
			worked++
		}
		if err := os.RemoveAll(state); err != nil {
			return err
		}
	}
	r.Note = fmt.Sprintf("%d runs worked", worked)
	return nil
}

// full runs once, frees the disk, and looks at what is left.
func (t *trial) full(ctx context.Context, free func() error) (worked bool, err error) {
	if t.said, t.code, err = t.run(ctx, "run", job(t.title)); err != nil {
		return false, err
	}
	t.row.Trials++
	if err := free(); err != nil {
		return false, err
	}
	t.limit, t.mute = 0, true
	if err := t.judge(ctx); err != nil {
		return false, err
	}
	if err := t.verify(ctx); err != nil {
		t.row.wrong(&t.row.Other, "%s: the journal: %v", t.name(), err)
	}
	return t.code == exitDone, nil
}
