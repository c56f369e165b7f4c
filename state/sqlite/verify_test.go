package sqlite_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

// made returns a directory with a closed journal of a few tasks, 12 entries.
func made(t testing.TB) string {
	t.Helper()
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	for i := range 3 {
		journaltest.Add(t, j, journaltest.Life(fmt.Sprint("r", i))...)
	}
	journaltest.Close(t, j)
	return dir
}

// blame opens a journal for reading and returns which entry Verify names; 0 for
// none, -1 if it finds nothing.
func blame(t testing.TB, dir string, known ...journal.Head) (int64, error) {
	t.Helper()
	j, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, ReadOnly: true})
	if err != nil {
		return 0, err
	}
	defer func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	}()
	_, err = j.Verify(t.Context(), known...)
	if e, ok := errors.AsType[*journal.EntryError](err); ok {
		if !errors.Is(err, journal.ErrDamaged) {
			t.Errorf("%v is not ErrDamaged", err)
		}
		return e.Seq, err
	}
	if err == nil {
		return -1, nil
	}
	return 0, err
}

func TestVerifyNamesTheFirstEntryThatDoesNotFit(t *testing.T) {
	whole := made(t)
	for name, tt := range map[string]struct {
		sql  string
		want int64
	}{
		"nothing":                        {"", -1},
		"data":                           {"UPDATE entries SET data = replace(data, 'doc_9982', 'doc_9983') WHERE seq = 7", 7},
		"data, not canonical":            {"UPDATE entries SET data = ' ' || data WHERE seq = 7", 7},
		"data, no JSON":                  {"UPDATE entries SET data = 'x' WHERE seq = 7", 7},
		"hash":                           {"UPDATE entries SET hash = zeroblob(32) WHERE seq = 7", 7},
		"short hash":                     {"UPDATE entries SET hash = x'00' WHERE seq = 7", 7},
		"data and hash of another":       {"UPDATE entries SET (data, hash) = (SELECT data, hash FROM entries WHERE seq = 6) WHERE seq = 7", 7},
		"one is gone":                    {"DELETE FROM entries WHERE seq = 7", 7},
		"the first is gone":              {"DELETE FROM entries WHERE seq = 1", 1},
		"the last is gone":               {"DELETE FROM entries WHERE seq = 12", 12},
		"the last five are gone":         {"DELETE FROM entries WHERE seq > 7", 8},
		"all are gone":                   {"DELETE FROM entries; DELETE FROM tasks", 1},
		"number changed":                 {"UPDATE entries SET seq = 70 WHERE seq = 7", 7},
		"two swapped":                    {"UPDATE entries SET seq = -seq WHERE seq IN (6, 7); UPDATE entries SET seq = 13 + seq WHERE seq < 0", 6},
		"one put in at the end":          {"INSERT INTO entries SELECT 13, data, hash FROM entries WHERE seq = 12", 13},
		"one put in before the first":    {"INSERT INTO entries SELECT 0, data, hash FROM entries WHERE seq = 1", 1},
		"cut and its anchor set":         {"UPDATE anchor SET (seq, hash) = (SELECT seq, hash FROM entries WHERE seq = 4); DELETE FROM entries WHERE seq <= 4; DELETE FROM tasks WHERE run = 'r0'", 5},
		"the anchor":                     {"UPDATE anchor SET hash = randomblob(32)", 1},
		"no anchor":                      {"DELETE FROM anchor", 0},
		"a task's state":                 {"UPDATE tasks SET state = 'completed' WHERE run = 'r1'", 0},
		"a task's id":                    {"UPDATE tasks SET task = 'task_r0' WHERE run = 'r1'", 0},
		"a task's owner":                 {"UPDATE tasks SET owner = 'ABC' WHERE run = 'r1'", 0},
		"a task's end":                   {"UPDATE tasks SET until = 1 WHERE run = 'r1'", 0},
		"a task is gone":                 {"DELETE FROM tasks WHERE run = 'r1'", 0},
		"a task is another's":            {"UPDATE tasks SET run = 'r9' WHERE run = 'r1'", 0},
		"an index that lies":             {"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = 'CREATE INDEX tasks_task ON tasks (owner) WHERE task <> ''''' WHERE name = 'tasks_task'", 0},
		"a trigger that would eat tasks": {"CREATE TRIGGER eat AFTER INSERT ON entries BEGIN DELETE FROM tasks; END", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, whole)
			db := database(t, dir)
			exec(t, db, tt.sql)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := blame(t, dir)
			if got != tt.want {
				t.Errorf("Verify blames %d (%v), want %d", got, err, tt.want)
			}
		})
	}
}

// TestVerifyNoticesEveryEdit changes one byte of one column of one entry.
func TestVerifyNoticesEveryEdit(t *testing.T) {
	dir := made(t)
	columns := []string{"seq", "data", "hash"}
	rapid.Check(t, func(rt *rapid.T) {
		copied := copyDir(t, dir)
		db := database(t, copied)
		seq := rapid.Int64Range(1, 12).Draw(rt, "seq")
		column := rapid.SampledFrom(columns).Draw(rt, "column")
		if column == "seq" {
			bit := rapid.IntRange(0, 62).Draw(rt, "bit")
			exec(t, db, fmt.Sprintf("UPDATE entries SET %s = (%s | ?1) - (%s & ?1) WHERE seq = ?2 AND (%s <> 'seq' OR NOT EXISTS "+
				"(SELECT 1 FROM entries WHERE seq = (?2 | ?1) - (?2 & ?1)))", column, column, column, "'"+column+"'"), int64(1)<<bit, seq)
		} else {
			var value []byte
			if err := db.QueryRow("SELECT "+column+" FROM entries WHERE seq = ?", seq).Scan(&value); err != nil {
				rt.Fatal(err)
			}
			if len(value) == 0 {
				value = []byte{0}
			}
			at := rapid.IntRange(0, len(value)-1).Draw(rt, "at")
			value[at] ^= byte(1 << rapid.IntRange(0, 7).Draw(rt, "bit"))
			cast := "CAST(? AS TEXT)"
			if column == "hash" {
				cast = "?"
			}
			exec(t, db, "UPDATE entries SET "+column+" = "+cast+" WHERE seq = ?", value, seq)
		}
		var changed int
		exec(t, db, "ATTACH ? AS was", dir+"/journal.db")
		err := db.QueryRow("SELECT count(*) FROM (SELECT * FROM main.entries EXCEPT SELECT * FROM was.entries)").Scan(&changed)
		if err != nil {
			rt.Fatal(err)
		}
		if changed == 0 {
			return // the bit led to a number that was taken
		}
		if err := db.Close(); err != nil {
			rt.Fatal(err)
		}
		if got, err := blame(t, copied); got != seq && !(column == "seq" && got > 0 && got <= 13) {
			rt.Errorf("%s of entry %d was changed, and Verify blames %d: %v", column, seq, got, err)
		}
	})
}

// A chain that was made anew from its beginning, with the same key, fits itself.
// Only a head that was kept elsewhere shows it.
func TestVerifyAgainstAHeadKeptElsewhere(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, j, journaltest.Life("a")...)
	backup := copyDir(t, dir)
	middle, err := j.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	journaltest.Add(t, j, journaltest.Life("b")...)
	kept, err := j.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if kept, err = journal.ParseHead(kept.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Verify(t.Context(), kept, middle); err != nil {
		t.Errorf("Verify(the heads of the chain) = %v", err)
	}
	journaltest.Close(t, j)

	if got, err := blame(t, backup, middle); got != -1 {
		t.Errorf("a backup, against its own head: blames %d, %v", got, err)
	}
	if got, err := blame(t, backup, kept); got != 5 {
		t.Errorf("a backup in the place of what came later: blames %d (%v), want 5", got, err)
	}
	again := open(t, sqlite.Options{Dir: backup})
	journaltest.Add(t, again, journaltest.Life("c")...)
	journaltest.Close(t, again)
	if got, err := blame(t, backup); got != -1 {
		t.Errorf("another history: blames %d, %v", got, err)
	}
	if got, err := blame(t, backup, kept); got != 8 {
		t.Errorf("another history, against the head of the first: blames %d (%v), want 8", got, err)
	}
}

// Both histories were written with the same key, so each entry is genuine. It fits
// only where it was.
func TestAnEntryOfAnotherHistoryDoesNotFit(t *testing.T) {
	dir := made(t)
	other := copyDir(t, dir)
	for name, run := range map[string]string{dir: "a", other: "b"} {
		j := open(t, sqlite.Options{Dir: name})
		journaltest.Add(t, j, journaltest.Life(run)...)
		journaltest.Close(t, j)
	}
	db := database(t, dir)
	exec(t, db, "ATTACH ? AS other", filepath.Join(other, "journal.db"))
	exec(t, db, "DELETE FROM entries WHERE seq = 15; INSERT INTO entries SELECT * FROM other.entries WHERE seq = 15")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := blame(t, dir); got != 15 {
		t.Errorf("Verify blames %d (%v), want 15", got, err)
	}
}

func TestPrune(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	past := func(run string, done bool) {
		for _, e := range journaltest.Life(run) {
			e.Time = e.Time.Add(-48 * time.Hour)
			journaltest.Add(t, j, e)
		}
		if done {
			if err := j.Mark(t.Context(), run, journal.Mark{State: journal.StateCompleted}); err != nil {
				t.Fatal(err)
			}
		}
	}
	prune := func(want int64) {
		t.Helper()
		if got, err := j.Prune(t.Context(), time.Now().Add(-time.Hour)); got != want || err != nil {
			t.Errorf("Prune() = %d, %v, want %d", got, err, want)
		}
		if _, err := j.Verify(t.Context()); err != nil {
			t.Errorf("Verify() after Prune = %v", err)
		}
	}
	prune(0) // nothing is there
	for _, run := range []string{"a", "b"} {
		past(run, false)
	}
	old, err := j.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	prune(0) // nothing is finished
	if err := j.Mark(t.Context(), "b", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Fatal(err)
	}
	prune(0) // the first is not
	if err := j.Mark(t.Context(), "a", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Fatal(err)
	}
	prune(0) // both end now, after the limit
	past("c", false)

	if got, err := j.Prune(t.Context(), time.Now().Add(time.Hour)); got != 10 || err != nil {
		t.Errorf("Prune() = %d, %v, want the 10 entries before c", got, err)
	}
	tasks, err := j.Tasks(t.Context(), journal.TaskFilter{})
	if err != nil || len(tasks) != 1 || tasks[0].Run != "c" {
		t.Errorf("tasks %v, %v, want c", tasks, err)
	}
	first := journaltest.All(t, j, journal.Filter{})[0]
	rep, err := j.Verify(t.Context(), old) // a head from before that is gone now
	if err != nil || rep.Pruned.Seq != 10 || rep.Entries != 5 || first.Seq != 11 {
		t.Errorf("Verify() = %+v, %v, first entry %d", rep, err, first.Seq)
	}
	if err := j.Mark(t.Context(), "c", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Fatal(err)
	}
	if got, err := j.Prune(t.Context(), time.Now().Add(time.Hour)); got != 6 || err != nil {
		t.Errorf("Prune() = %d, %v, want all 6", got, err)
	}
	// Nothing is left but the anchor and what says so. The chain goes on from there.
	journaltest.Add(t, j, journaltest.Life("d")...)
	journaltest.Close(t, j)
	j = open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, j, journaltest.Life("e")...)
	if rep, err := j.Verify(t.Context(), rep.Pruned); err != nil || rep.Entries != 9 || rep.Last.Seq != 25 {
		t.Errorf("Verify() = %+v, %v", rep, err)
	}
	journaltest.Close(t, j)

	db := database(t, dir)
	exec(t, db, "UPDATE anchor SET (seq, hash) = (SELECT seq, hash FROM entries WHERE seq = 21); "+
		"DELETE FROM entries WHERE seq <= 21; DELETE FROM tasks WHERE run = 'd'")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got, err := blame(t, dir); got != 22 || !strings.Contains(fmt.Sprint(err), "no entry says that it was pruned") {
		t.Errorf("a prefix cut off by hand: blames %d, %v", got, err)
	}
}
