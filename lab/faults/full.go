package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/jitagent/jitagent/state/sqlite"
)

// fullDisk lets the disk of the state directory end at every stage of a run: by a
// limit on the size of files, and on a small disk of its own where this process may
// mount one. What cannot be recorded must not be granted.
func fullDisk(ctx context.Context, b *bench) ([]*row, error) {
	w, err := newWorld(ctx, b, "full")
	if err != nil {
		return nil, err
	}
	defer func() { _ = w.stop() }()
	limited := &row{Fault: "state directory: files may not grow"}
	tiny := &row{Fault: "state directory: disk full"}
	f := &filling{world: w}
	if err := f.limits(ctx, limited); err != nil {
		return []*row{limited}, err
	}
	err = f.disks(ctx, tiny)
	for _, bad := range check(w.history.all()) {
		limited.wrong(&limited.Other, "%s", bad)
	}
	return []*row{limited, tiny}, err
}

type filling struct {
	*world
	n int
}

// limits runs with one limit after the other, from nothing to more than enough.
func (f *filling) limits(ctx context.Context, r *row) error {
	state := f.path("measured")
	a, code, err := f.analysts(state).run(ctx, "run", job("Undisturbed"))
	if err != nil || code != 0 {
		return fmt.Errorf("a run that nobody disturbs: exit %d, %w: %s", code, err, a.said())
	}
	// Closing truncated the WAL, which is what grows: a page, in its frame, for each
	// entry or so.
	const block, most = 512, 400 << 10
	worked, times := 0, max(20, f.trials/4)
	for i := range times {
		s := f.analysts(f.path(fmt.Sprintf("limited-%d", i)))
		s.limit = 1 + i*(most/block)/times
		ok, err := f.one(ctx, r, s, fmt.Sprintf("%d blocks", s.limit), func() error { return nil })
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
func (f *filling) disks(ctx context.Context, r *row) error {
	disk := f.path("disk")
	if err := os.Mkdir(disk, 0o700); err != nil {
		return err
	}
	if _, err := output(ctx, ".", "mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", disk); err != nil {
		r.Note = "not played: mounting is not allowed here"
		return nil //nolint:nilerr // said
	}
	defer func() { _ = exec.Command("umount", "-l", disk).Run() }() //nolint:noctx // also when interrupted
	worked, times := 0, max(10, f.trials/8)
	for i := range times {
		state := filepath.Join(disk, fmt.Sprintf("state-%d", i))
		ballast := filepath.Join(disk, "ballast")
		if err := os.WriteFile(ballast, make([]byte, (1<<20)-i*(440<<10)/times), 0o600); err != nil {
			return err
		}
		ok, err := f.one(ctx, r, f.analysts(state), fmt.Sprintf("step %d", i), func() error { return os.Remove(ballast) })
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

// one runs once, frees the disk, and looks at what is left.
func (f *filling) one(ctx context.Context, r *row, s setup, what string, free func() error) (worked bool, err error) {
	f.n++
	title := fmt.Sprintf("Full %d", f.n)
	a, code, err := s.run(ctx, "run", job(title))
	if err != nil {
		return false, err
	}
	r.Trials++
	if err := free(); err != nil {
		return false, err
	}
	s.limit = 0
	f.detail("%s: exit %d: %s", what, code, a.said())
	if code != exitDone && !a.clear() {
		r.wrong(&r.Other, "%s: exit %d without a clear word: %s", what, code, a.said())
	}
	if sweep, code, err := s.run(ctx, "sweep"); err != nil || code != 0 {
		r.wrong(&r.Other, "%s: the sweep when there was room: exit %d, %v: %s", what, code, err, sweep.said())
	}
	name := taskName(job(title))
	if err := f.nothingLeft(ctx, r, name); err != nil {
		return false, err
	}
	var k knowledge
	var state string
	for _, v := range s.env {
		if path, ok := cutEnv(v, "ANALYST_STATE_DIR"); ok {
			state = path
		}
	}
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: state, ReadOnly: true})
	if err != nil {
		return false, err
	}
	defer func() { _ = j.Close() }()
	if k, err = known(ctx, j, name); err != nil {
		return false, err
	}
	issued := 0
	for _, t := range f.history.named(name) {
		issued += len(t.tokens)
	}
	if issued > k.demands {
		r.wrong(&r.Other, "%s: %d tokens were issued and %d demands recorded", what, issued, k.demands)
	}
	if _, err := j.Verify(ctx); err != nil {
		r.wrong(&r.Other, "%s: the journal: %v", what, err)
	}
	made, err := reports(f.path("reports"), title)
	if err != nil {
		return false, err
	}
	if code == exitDone && made != 1 {
		r.wrong(&r.Lost, "%s: exit 0 and %d reports", what, made)
	}
	k.judge(r, title, made)
	return code == exitDone, nil
}
