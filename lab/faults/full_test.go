package faults

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// fullDisk lets the disk of the state directory end at every stage of a run: by a
// limit on the size of files, and on a small disk of its own where this process may
// mount one. What cannot be recorded must not be granted.
func fullDisk(t *testing.T, w *world) *row {
	limited, tiny := w.row("state directory: files may not grow"), w.row("state directory: disk full")
	w.limits(t, limited)
	w.disks(t, tiny)
	return tiny
}

// limits runs with one limit after the other, from nothing to more than enough.
func (w *world) limits(t *testing.T, r *row) {
	w.analysts("measured").undisturbed(t)
	// Closing truncated the WAL, which is what grows: a page, in its frame, for each
	// entry or so.
	const block, most = 512, 400 << 10
	worked, times := 0, max(20, *trials/4)
	for i := range times {
		run := trial{setup: w.analysts("limited-" + number(i)), row: r, title: "Limited " + number(i)}
		run.limit = 1 + i*(most/block)/times
		run.what = fmt.Sprintf("%d blocks", run.limit)
		if run.full(t, func() {}) {
			worked++
		}
	}
	r.Note = number(worked) + " runs worked"
	if worked == 0 || worked == times {
		r.wrong(t, &r.Other, "%d of %d runs worked: the limits miss the point", worked, times)
	}
}

// disks runs on a disk of 1 MiB with more and more room on it.
func (w *world) disks(t *testing.T, r *row) {
	check(t, os.Mkdir(w.path("disk"), 0o700))
	if _, err := w.output(".", "mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", w.path("disk")); err != nil {
		r.Note = "not played: mounting is not allowed here"
		return
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", w.path("disk")).Run() }) // also when interrupted
	worked, times := 0, max(10, *trials/8)
	for i := range times {
		ballast := w.path("disk/ballast")
		check(t, os.WriteFile(ballast, make([]byte, (1<<20)-i*(440<<10)/times), 0o600))
		run := trial{setup: w.analysts("disk/state-" + number(i)), row: r, title: "Full " + number(i)}
		if run.full(t, func() { check(t, os.Remove(ballast)) }) {
			worked++
		}
		check(t, os.RemoveAll(run.state))
	}
	r.Note = number(worked) + " runs worked"
}

// full runs once, frees the disk, and looks at what is left.
func (r *trial) full(t *testing.T, free func()) (worked bool) {
	r.said, r.code = r.run(t, "run", job(r.title))
	r.row.Trials++
	free()
	r.limit, r.mute = 0, true
	r.judge(t)
	r.verify(t, r.row, r.name())
	return r.code == exitDone
}
