package sqlite_test

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

// packed returns a directory with a closed journal of 500 finished tasks, 2500 entries
// of which most are in packs, and what they said before they were packed.
func packed(t *testing.T) (dir string, entries []journal.Record) {
	t.Helper()
	dir = stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	for i := range 500 {
		run := fmt.Sprint("r", i)
		for _, e := range journaltest.Life(run) {
			e.Time = e.Time.Add(-time.Hour)
			j.Note(e)
		}
		j.Note(jit.Entry{Kind: jit.EntryTaskCompleted, Run: run, TaskID: "task_" + run, Time: time.Now().Add(-time.Hour)})
		if i%50 == 49 {
			journaltest.Add(t, j, jit.Entry{Kind: jit.EntryUse, Run: run, Time: time.Now().Add(-time.Hour)})
			got := journaltest.All(t, j, journal.Filter{})
			entries = append(entries, got[len(entries):]...)
		}
	}
	journaltest.Close(t, j)
	return dir, entries
}

func TestPackedEntriesAreAsTheyWere(t *testing.T) {
	dir, want := packed(t)
	db := database(t, dir)
	var loose, packs int
	if err := db.QueryRow("SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM packs)").Scan(&loose, &packs); err != nil {
		t.Fatal(err)
	}
	if packs != 3 || loose != 2510-3*512 {
		t.Errorf("%d packs, %d loose entries", packs, loose)
	}
	j := open(t, sqlite.Options{Dir: dir})
	if diff := cmp.Diff(want, journaltest.All(t, j, journal.Filter{})); diff != "" {
		t.Errorf("entries (-want +got):\n%.600s", diff)
	}
	for _, run := range []string{"r0", "r101", "r102", "r103", "r499"} { // around the border of the first pack
		n := 0
		for r, err := range j.Query(t.Context(), journal.Filter{Run: run}) {
			if n++; err != nil || r.Run != run {
				t.Errorf("run %s: %v, %v", run, r.Run, err)
			}
		}
		if n < 5 || n > 6 {
			t.Errorf("run %s has %d entries", run, n)
		}
	}
	read := testing.AllocsPerRun(10, func() {
		if _, err := j.Entries(t.Context(), "r50"); err != nil {
			t.Error(err)
		}
	})
	if read > 256 {
		t.Errorf("reading 5 of the 512 entries of a pack takes %v allocations", read)
	}
	report, err := j.Verify(t.Context())
	if err != nil || report.Entries != 2510 || report.Tasks != 500 {
		t.Errorf("Verify() = %+v, %v", report, err)
	}
	// All but what is open can go.
	journaltest.Add(t, j, journaltest.Life("open")...)
	before := report.Last
	half := time.Now().Add(-time.Hour + time.Minute)
	if n, err := j.Prune(t.Context(), half); err != nil || n != 2510 {
		t.Errorf("Prune() = %d, %v", n, err)
	}
	if report, err = j.Verify(t.Context(), before); err != nil || report.Entries != 5 {
		t.Errorf("Verify() = %+v, %v", report, err)
	}
}

func TestPruneCutsAPack(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	for i := range 400 {
		run := fmt.Sprint("r", i)
		for _, e := range append(journaltest.Life(run), jit.Entry{Kind: jit.EntryTaskCompleted, Run: run}) {
			if e.Time = time.Now(); i < 77 {
				e.Time = e.Time.Add(-time.Hour)
			}
			j.Note(e)
		}
		if i%100 == 99 {
			journaltest.Add(t, j, jit.Entry{Kind: jit.EntryUse})
		}
	}
	for i, want := range []int64{77 * 5, 0} { // within the first pack, of 512
		if n, err := j.Prune(t.Context(), time.Now().Add(-time.Minute)); n != want || err != nil {
			t.Errorf("Prune() number %d = %d, %v, want %d", i, n, err, want)
		}
		if report, err := j.Verify(t.Context()); err != nil || report.Entries != 323*5+4+1 || report.Tasks != 323 {
			t.Errorf("Verify() = %+v, %v", report, err)
		}
		if got := journaltest.All(t, j, journal.Filter{}); got[0].Seq != 386 || got[0].Run != "r77" {
			t.Errorf("the first entry is %d of %s", got[0].Seq, got[0].Run)
		}
	}
}

// What is changed in a pack is found as it is elsewhere, by the number of the entry.
func TestVerifyLooksIntoPacks(t *testing.T) {
	whole, _ := packed(t)
	repack := func(change func(text []byte) []byte) func(data, hashes []byte) ([]byte, []byte) {
		return func(data, hashes []byte) ([]byte, []byte) {
			text, err := io.ReadAll(flate.NewReader(bytes.NewReader(data)))
			if err != nil {
				t.Fatal(err)
			}
			var out bytes.Buffer
			w, _ := flate.NewWriter(&out, flate.BestSpeed)
			_, _ = w.Write(change(text))
			_ = w.Close()
			return out.Bytes(), hashes
		}
	}
	for name, tt := range map[string]struct {
		change func(data, hashes []byte) ([]byte, []byte)
		sql    string
		want   int64
	}{
		"nothing":     {want: -1},
		"a text":      {repack(func(b []byte) []byte { return bytes.Replace(b, []byte(`"run":"r150"`), []byte(`"run":"r999"`), 1) }), "", 754},
		"a line more": {repack(func(b []byte) []byte { return append(b, "{}\n"...) }), "", 1025},
		"a line less": {repack(func(b []byte) []byte { return b[:bytes.LastIndexByte(b[:len(b)-1], '\n')+1] }), "", 1024},
		"no end":      {func(b, h []byte) ([]byte, []byte) { return b[:len(b)/2], h }, "", 0},
		"a hash":      {func(b, h []byte) ([]byte, []byte) { h[32*8] ^= 1; return b, h }, "", 521},
		"hashes less": {func(b, h []byte) ([]byte, []byte) { return b, h[:32*8] }, "", 521},
		"a pack less": {nil, "DELETE FROM packs WHERE last = 1024", 513},
		"two swapped": {nil, "UPDATE packs SET last = -last; UPDATE packs SET last = CASE last WHEN -512 THEN 1024 WHEN -1024 THEN 512 ELSE -last END", 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copyDir(t, whole)
			db := database(t, dir)
			if tt.change != nil {
				var data, hashes []byte
				if err := db.QueryRow("SELECT data, hashes FROM packs WHERE last = 1024").Scan(&data, &hashes); err != nil {
					t.Fatal(err)
				}
				data, hashes = tt.change(data, hashes)
				exec(t, db, "UPDATE packs SET data = ?, hashes = ? WHERE last = 1024", data, hashes)
			}
			exec(t, db, tt.sql)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			got, err := blame(t, dir)
			if got != tt.want && (tt.want != 0 || got == -1) {
				t.Errorf("Verify blames %d (%v), want %d", got, err, tt.want)
			}
		})
	}
}
