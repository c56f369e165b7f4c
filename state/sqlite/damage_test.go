package sqlite_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

// running returns a copy of the files of a journal as they are while a process
// writes: the last entries are in the WAL only.
func running(t testing.TB) (dir string, entries []journal.Record) {
	t.Helper()
	from := made(t)
	j := open(t, sqlite.Options{Dir: from})
	for i := range 3 {
		journaltest.Add(t, j, journaltest.Life(fmt.Sprint("w", i))...)
	}
	return copyDir(t, from), journaltest.All(t, j, journal.Filter{})
}

// found opens a damaged journal and reports whether Open or Verify says so. If
// neither does, the entries must be as they were.
func found(t testing.TB, dir string, want []journal.Record) (opened, verified error) {
	t.Helper()
	before := snapshot(t, dir)
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		unchanged(t, dir, before)
		return err, nil
	}
	defer journaltest.Close(t, j)
	if _, err := j.Verify(t.Context()); err != nil {
		return nil, err
	}
	if diff := cmp.Diff(want, journaltest.All(t, j, journal.Filter{})); diff != "" {
		t.Errorf("neither Open nor Verify says so, and the entries (-want +got):\n%.600s", diff)
	}
	return nil, nil
}

func TestDamageIsFound(t *testing.T) {
	whole, _ := running(t)
	for name, tt := range map[string]struct {
		damage func(path string) error // given the path of the database
		names  string                  // the file
		says   string
	}{
		"database gone":  {func(p string) error { return errors.Join(os.Remove(p), os.Remove(p+"-wal")) }, "journal.db", "had 24 entries"},
		"database empty": {func(p string) error { return errors.Join(os.Truncate(p, 0), os.Remove(p+"-wal")) }, "journal.db", "had 24 entries"},
		"no database at all": {func(p string) error {
			return errors.Join(os.WriteFile(p, []byte(strings.Repeat("no database ", 1000)), 0o600), os.Remove(p+"-wal"))
		}, "journal.db", "not a database"},
		"WAL gone":  {func(p string) error { return os.Remove(p + "-wal") }, "journal.db", "entries up to 24 were acknowledged and are gone"},
		"WAL empty": {func(p string) error { return os.Truncate(p+"-wal", 0) }, "journal.db", "entries up to 24 were acknowledged and are gone"},
		"WAL cut":   {func(p string) error { return os.Truncate(p+"-wal", 40_000) }, "journal.db", "entries up to 24 were acknowledged and are gone"},
		"key gone":  {func(p string) error { return os.Remove(sibling(p, "journal.key")) }, "journal.key", "it is gone"},
		"key empty": {func(p string) error { return os.Truncate(sibling(p, "journal.key"), 0) }, "journal.key", "does not hold a key"},
		"another key": {func(p string) error {
			return os.WriteFile(sibling(p, "journal.key"), []byte(strings.Repeat("ab", 32)+"\n"), 0o600)
		}, "journal.head", "not written by a journal with this key"},
		"head gone":        {func(p string) error { return os.Remove(sibling(p, "journal.head")) }, "journal.head", "it is gone"},
		"head empty":       {func(p string) error { return os.Truncate(sibling(p, "journal.head"), 0) }, "journal.head", "not written by"},
		"head with a tail": {func(p string) error { return appendTo(sibling(p, "journal.head"), "x") }, "journal.head", "not written by"},
		"key and head gone": {func(p string) error {
			return errors.Join(os.Remove(sibling(p, "journal.head")), os.Remove(sibling(p, "journal.key")))
		}, "journal.key", "it is gone"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, whole)
			path := filepath.Join(dir, "journal.db")
			if err := tt.damage(path); err != nil {
				t.Fatal(err)
			}
			before := snapshot(t, dir)
			for range 2 { // and it stays so
				j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
				if err == nil {
					journaltest.Close(t, j)
					t.Fatal("Open() found nothing")
				}
				if !errors.Is(err, journal.ErrDamaged) {
					t.Errorf("Open() = %v, want ErrDamaged", err)
				}
				for _, want := range []string{sibling(path, tt.names), tt.says, "move the files journal.*"} {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("error %q, want %q in it", err, want)
					}
				}
			}
			unchanged(t, dir, before)
			// What to do, as the error says.
			for _, e := range []string{"journal.db", "journal.db-wal", "journal.db-shm", "journal.key", "journal.head", "journal.lock"} {
				_ = os.Remove(filepath.Join(dir, e))
			}
			journaltest.Add(t, open(t, sqlite.Options{Dir: dir}), journaltest.Life("new")...)
		})
	}
}

func sibling(path, name string) string { return filepath.Join(filepath.Dir(path), name) }

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// A process that dies while it makes a journal leaves it so that the next one goes
// on.
func TestHalfMadeJournalsAreFinished(t *testing.T) {
	for name, half := range map[string]func(dir string) error{
		"nothing in it":     func(string) error { return nil },
		"an empty database": func(dir string) error { return os.WriteFile(filepath.Join(dir, "journal.db"), nil, 0o600) },
		"a key": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "journal.key"), []byte(strings.Repeat("ab", 32)+"\n"), 0o600)
		},
		"a key and an empty database": func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "journal.db"), nil, 0o600),
				os.WriteFile(filepath.Join(dir, "journal.key"), []byte(strings.Repeat("ab", 32)+"\n"), 0o600))
		},
		"a part of a key": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, ".journal.key.123"), []byte("ab"), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := stateDir(t)
			if err := errors.Join(os.Mkdir(dir, 0o700), half(dir)); err != nil {
				t.Fatal(err)
			}
			j := open(t, sqlite.Options{Dir: dir})
			journaltest.Add(t, j, journaltest.Life("a")...)
			if _, err := j.Verify(t.Context()); err != nil {
				t.Errorf("Verify() = %v", err)
			}
		})
	}
}

// TestTruncatedAnywhere cuts the WAL and the database within their last page, at
// every byte of it if JOURNAL_TEST_EVERY_BYTE is set, and at borders of pages before.
func TestTruncatedAnywhere(t *testing.T) {
	whole, want := running(t)
	settled := made(t)
	j := open(t, sqlite.Options{Dir: settled, ReadOnly: true})
	wantSettled := journaltest.All(t, j, journal.Filter{})
	journaltest.Close(t, j)
	for _, tt := range []struct {
		dir, file string
		page      int64
		want      []journal.Record
	}{
		{whole, "journal.db-wal", 4096 + 24, want},
		{settled, "journal.db", 4096, wantSettled},
	} {
		info, err := os.Stat(filepath.Join(tt.dir, tt.file))
		if err != nil {
			t.Fatal(err)
		}
		step := int64(211)
		if os.Getenv("JOURNAL_TEST_EVERY_BYTE") != "" {
			step = 1
		}
		sizes := []int64{info.Size() - 1}
		for size := info.Size() - tt.page + rand.Int64N(step); size < info.Size(); size += step {
			sizes = append(sizes, size)
		}
		for size := int64(0); size < info.Size()-tt.page; size += 5 * tt.page {
			sizes = append(sizes, size, size+32)
		}
		dir := copyDir(t, tt.dir)
		path := filepath.Join(dir, tt.file)
		files := snapshot(t, dir)
		nothing := 0
		for _, size := range sizes {
			if err := os.Truncate(path, size); err != nil {
				t.Fatal(err)
			}
			_ = os.Remove(filepath.Join(dir, "journal.db-shm"))
			opened, verified := found(t, dir, tt.want)
			if err := errors.Join(opened, verified); err == nil {
				nothing++
			} else if !errors.Is(err, journal.ErrDamaged) {
				t.Errorf("%s cut to %d of %d bytes: %v, want ErrDamaged", tt.file, size, info.Size(), err)
			}
			for name, data := range files {
				if err := os.WriteFile(name, []byte(data), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
		// SQLite fills a page up with zeros, and some end in zeros.
		if nothing > len(sizes)/5 {
			t.Errorf("%s: in %d of %d cases nothing is lost", tt.file, nothing, len(sizes))
		}
		if opened, verified := found(t, dir, tt.want); opened != nil || verified != nil {
			t.Errorf("%s, put back: %v, %v", tt.file, opened, verified)
		}
	}
}

// TestAnyFlippedByteIsFoundOrDoesNotMatter flips a bit anywhere in the files.
func TestAnyFlippedByteIsFoundOrDoesNotMatter(t *testing.T) {
	whole, want := running(t)
	rapid.Check(t, func(rt *rapid.T) {
		dir := copyDir(t, whole)
		name := rapid.SampledFrom([]string{"journal.db", "journal.db-wal", "journal.head", "journal.key"}).Draw(rt, "file")
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if err != nil {
			rt.Fatal(err)
		}
		at := rapid.IntRange(0, len(data)-1).Draw(rt, "at")
		data[at] ^= byte(1 << rapid.IntRange(0, 7).Draw(rt, "bit"))
		if err := os.WriteFile(path, data, 0o600); err != nil {
			rt.Fatal(err)
		}
		if err := os.Remove(filepath.Join(dir, "journal.db-shm")); err != nil {
			rt.Fatal(err)
		}
		_, _ = found(t, dir, want)
	})
}

// Reading goes on where writing is refused.
func TestDamagedJournalsCanBeRead(t *testing.T) {
	dir, want := running(t)
	if err := os.Truncate(filepath.Join(dir, "journal.db-wal"), 60_000); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	j := open(t, sqlite.Options{Dir: dir, ReadOnly: true})
	got := journaltest.All(t, j, journal.Filter{})
	if len(got) < 12 || len(got) >= len(want) {
		t.Errorf("%d entries can be read, want some beyond the 12 of the database, and not all %d", len(got), len(want))
	}
	if diff := cmp.Diff(want[:len(got)], got); diff != "" {
		t.Errorf("entries (-want +got):\n%s", diff)
	}
	_, err := j.Verify(t.Context())
	if e, ok := errors.AsType[*journal.EntryError](err); !ok || e.Seq != int64(len(got))+1 {
		t.Errorf("Verify() = %v, want entry %d", err, len(got)+1)
	}
	journaltest.Close(t, j)
	unchanged(t, dir, before)
}

// What was written without waiting for the disk is on it after Close, and missed
// when it is taken away.
func TestCloseSettlesWhatDidNotWait(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, j, journaltest.Life("a")...)
	if err := j.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Fatal(err)
	}
	journaltest.Close(t, j)
	db := database(t, dir)
	exec(t, db, "DELETE FROM entries WHERE seq = 5; UPDATE tasks SET state = 'open', last_seq = 4")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir}); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("Open() = %v, want ErrDamaged", err)
	}
	if got, err := blame(t, dir); got != 5 {
		t.Errorf("Verify blames %d (%v), want 5", got, err)
	}
}

// Also the entry that was written last is missed.
func TestLastEntryCutOffWhileRunning(t *testing.T) {
	dir := stateDir(t)
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }() // what it finds is what the test is about
	journaltest.Add(t, j, journaltest.Life("a")[0])
	wal := filepath.Join(dir, "journal.db-wal")
	size := func() int64 {
		info, err := os.Stat(wal)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	was := size()
	journaltest.Add(t, j, journaltest.Life("a")[1])
	if err := os.Truncate(wal, was); err != nil { // as it was when the last entry was begun
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), journaltest.Life("a")[2]); !errors.Is(err, journal.ErrMoved) {
		t.Errorf("Append() = %v, want ErrMoved", err)
	}
}

// A WAL that is emptied while a commit is under way is as large as before when that is
// over, and has no beginning.
func TestWALWithoutABeginning(t *testing.T) {
	dir := stateDir(t)
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = j.Close() }() // what it finds is what the test is about
	journaltest.Add(t, j, journaltest.Life("a")[0])
	wal := filepath.Join(dir, "journal.db-wal")
	info, err := os.Stat(wal)
	if err == nil {
		err = errors.Join(os.Truncate(wal, 0), os.Truncate(wal, info.Size()+4096))
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Append(t.Context(), journaltest.Life("a")[1]); !errors.Is(err, journal.ErrMoved) {
		t.Errorf("Append() = %v, want ErrMoved", err)
	}
}

// While it runs, what happens to the files is noticed by the next Append, which
// acknowledges nothing.
func TestFilesTakenAwayWhileRunning(t *testing.T) {
	move := func(name string) func(t *testing.T, dir string) error {
		return func(t *testing.T, dir string) error {
			return os.Rename(filepath.Join(dir, name), filepath.Join(t.TempDir(), "moved"))
		}
	}
	for name, harm := range map[string]func(t *testing.T, dir string) error{
		"database deleted": func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, "journal.db")) },
		"database replaced": func(_ *testing.T, dir string) error {
			path := filepath.Join(dir, "journal.db")
			data, err := os.ReadFile(path)
			return errors.Join(err, os.Remove(path), os.WriteFile(path, data, 0o600))
		},
		"database cut":      func(_ *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, "journal.db"), 0) },
		"WAL deleted":       func(_ *testing.T, dir string) error { return os.Remove(filepath.Join(dir, "journal.db-wal")) },
		"WAL cut":           func(_ *testing.T, dir string) error { return os.Truncate(filepath.Join(dir, "journal.db-wal"), 100) },
		"WAL moved":         move("journal.db-wal"),
		"shm deleted":       move("journal.db-shm"),
		"head deleted":      move("journal.head"),
		"owner's lock gone": func(_ *testing.T, dir string) error { return os.RemoveAll(filepath.Join(dir, "owners")) },
		"directory moved":   func(t *testing.T, dir string) error { return os.Rename(dir, filepath.Join(t.TempDir(), "moved")) },
		"directory replaced": func(t *testing.T, dir string) error {
			return errors.Join(os.Rename(dir, filepath.Join(t.TempDir(), "moved")), os.Mkdir(dir, 0o700))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := made(t)
			j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = j.Close() }() // what it finds is what the test is about
			journaltest.Add(t, j, journaltest.Life("a")...)
			if err := harm(t, dir); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				err := j.Append(t.Context(), jit.Entry{Kind: jit.EntryRequest, Run: "a"})
				if !errors.Is(err, journal.ErrMoved) || !strings.Contains(err.Error(), dir) {
					t.Errorf("Append() = %v, want ErrMoved and the path", err)
				}
				if err := j.Mark(t.Context(), "a", journal.Mark{State: journal.StateUnknown, Reason: "x"}); !errors.Is(err, journal.ErrMoved) {
					t.Errorf("Mark() = %v, want ErrMoved", err)
				}
			}
		})
	}
}

// A process that is killed while it makes the database leaves it half in WAL mode, with
// SQLite's own record of how it was before.
func TestKilledBeforeTheFirstPage(t *testing.T) {
	dir := stateDir(t)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// https://sqlite.org/fileformat2.html#the_rollback_journal: no pages, of a database of none.
	header := make([]byte, 512)
	copy(header, "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
	binary.BigEndian.PutUint32(header[20:], 512)
	binary.BigEndian.PutUint32(header[24:], 4096)
	for name, data := range map[string][]byte{"journal.db": make([]byte, 4096), "journal.db-journal": header} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	j := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, j, journaltest.Life("a")...)
}
