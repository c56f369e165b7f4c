//go:build linux

package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

// childLimited appends until a limit on file sizes stops it, then without.
func childLimited(dir string) error {
	ctx := context.Background()
	signal.Ignore(syscall.SIGXFSZ)
	j, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		return err
	}
	defer func() { _ = j.Close() }()
	limit := func(bytes uint64) error {
		var now syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &now); err != nil {
			return err
		}
		now.Cur = min(bytes, now.Max)
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &now)
	}
	info, err := os.Stat(j.Path() + "-wal")
	if err != nil {
		return err
	}
	if err := limit(uint64(info.Size()) + 100_000); err != nil {
		return err
	}
	written := 0
	for ; err == nil && written < 1000; written++ {
		err = j.Append(ctx, jit.Entry{Kind: jit.EntryRequest, Run: "a", CallID: fmt.Sprint(written)})
	}
	say("%d %t %v", written-1, errors.Is(err, journal.ErrUnwritable), err)
	if err := limit(1 << 62); err != nil {
		return err
	}
	if err := j.Append(ctx, jit.Entry{Kind: jit.EntryRequest, Run: "a", CallID: "after"}); err != nil {
		return err
	}
	_, err = j.Verify(ctx)
	return err
}

func TestFileSizeLimit(t *testing.T) {
	dir := stateDir(t)
	p := start(t, "limited", dir)
	var written int
	var typed bool
	line := p.line(t)
	if _, err := fmt.Sscan(line, &written, &typed); err != nil || !typed || written < 3 || written > 900 {
		t.Errorf("the child says %q, want some entries and ErrUnwritable", line)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	p.ended = true
	j := open(t, sqlite.Options{Dir: dir})
	if got := journaltest.All(t, j, journal.Filter{}); len(got) != written+1 || got[len(got)-1].CallID != "after" {
		t.Errorf("%d entries, want the %d that were acknowledged and one after", len(got), written)
	}
	if _, err := j.Verify(t.Context()); err != nil {
		t.Errorf("Verify() = %v", err)
	}
}

// tinyDisk mounts a file system of 1 MiB, or skips the test.
func tinyDisk(t *testing.T) (dir string, remount func(flags uintptr)) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m,mode=0700"); err != nil {
		t.Skipf("no right to mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir, func(flags uintptr) {
		t.Helper()
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT|flags, "size=1m"); err != nil {
			t.Fatal(err)
		}
	}
}

// fill leaves no room on a disk, until the file that it returns is removed.
func fill(t *testing.T, disk string) (ballast string) {
	t.Helper()
	ballast = filepath.Join(disk, "ballast")
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return ballast
}

// Whoever opens a journal on a disk that is full by then is told so.
func TestOpenOnAFullDisk(t *testing.T) {
	disk, _ := tinyDisk(t)
	opts := sqlite.Options{Dir: filepath.Join(disk, "state")}
	j := open(t, opts)
	journaltest.Add(t, j, journaltest.Life("a")...)
	journaltest.Close(t, j)
	ballast := fill(t, disk)
	for _, opts.ReadOnly = range []bool{false, true} {
		if _, err := sqlite.Open(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "the disk is full") || strings.Count(err.Error(), "journal: ") != 1 {
			t.Errorf("Open(%+v) = %v", opts, err)
		}
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if got := journaltest.All(t, open(t, opts), journal.Filter{}); len(got) != 4 {
		t.Errorf("%d entries, want 4", len(got))
	}
}

func TestDiskFull(t *testing.T) {
	disk, _ := tinyDisk(t)
	dir := filepath.Join(disk, "state")
	j := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, j, journaltest.Life("a")...)
	ballast := fill(t, disk)
	// The page that the WAL ends in may have room for one more.
	before := len(journaltest.All(t, j, journal.Filter{}))
	var err error
	for ; err == nil && before < 100; before++ {
		err = j.Append(t.Context(), jit.Entry{Kind: jit.EntryRequest, Run: "a"})
	}
	before--
	if !errors.Is(err, journal.ErrUnwritable) || !strings.Contains(err.Error(), "the disk is full: free some space") {
		t.Errorf("Append() on a full disk = %v, want ErrUnwritable", err)
	}
	if err := j.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}); !errors.Is(err, journal.ErrUnwritable) {
		t.Errorf("Mark() on a full disk = %v, want ErrUnwritable", err)
	}
	if err := j.Append(t.Context(), journaltest.Life("late")[0]); !errors.Is(err, journal.ErrUnwritable) {
		t.Errorf("Append() on a full disk = %v, want ErrUnwritable", err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: filepath.Join(disk, "another")}); !errors.Is(err, journal.ErrUnwritable) {
		t.Errorf("Open() of a new journal on a full disk = %v, want ErrUnwritable", err)
	}
	if got := len(journaltest.All(t, j, journal.Filter{})); got != before {
		t.Errorf("%d entries, want the %d acknowledged", got, before)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	journaltest.Add(t, j, journaltest.Life("b")...)
	journaltest.Add(t, j, journaltest.Life("late")...) // of which nothing is remembered
	if rep, err := j.Verify(t.Context()); err != nil || rep.Entries != int64(before)+8 {
		t.Errorf("Verify() = %+v, %v, want %d entries", rep, err, before+8)
	}
	journaltest.Close(t, j)
	// What was begun there can be finished now.
	journaltest.Close(t, open(t, sqlite.Options{Dir: filepath.Join(disk, "another")}))
}

func TestReadOnlyDisk(t *testing.T) {
	disk, remount := tinyDisk(t)
	dir := filepath.Join(disk, "state")
	j := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, j, journaltest.Life("a")...)
	journaltest.Close(t, j)
	remount(unix.MS_RDONLY)
	for name, where := range map[string]string{"an old one": dir, "a new one": filepath.Join(disk, "another")} {
		j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: where})
		if err == nil {
			err = j.Append(t.Context(), journaltest.Life("b")[0])
			_ = j.Close()
		}
		if !errors.Is(err, journal.ErrUnwritable) || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s: %v, want ErrUnwritable", name, err)
		}
	}
	remount(0)
	j = open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, j, journaltest.Life("b")...)
	if got := len(journaltest.All(t, j, journal.Filter{})); got != 8 {
		t.Errorf("%d entries, want 8", got)
	}
}
