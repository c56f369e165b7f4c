package sqlite_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

// BenchmarkFsync is the floor of an Append: one page or two written to the end of
// a file, and synced.
func BenchmarkFsync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "file"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	page := make([]byte, 2*(4096+24))
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 100} {
		b.Run(fmt.Sprint(n, " at once"), func(b *testing.B) {
			j := open(b, sqlite.Options{Dir: stateDir(b)})
			journaltest.Add(b, j, journaltest.Life("a")[:2]...)
			appendInParallel(b, j, n)
		})
	}
	b.Run("memory", func(b *testing.B) {
		j, err := sqlite.Memory(b.Context(), sqlite.Options{})
		if err != nil {
			b.Fatal(err)
		}
		defer journaltest.Close(b, j)
		journaltest.Add(b, j, journaltest.Life("a")[:2]...)
		appendInParallel(b, j, 1)
	})
}

// appendInParallel appends b.N entries from n goroutines.
func appendInParallel(b *testing.B, j *sqlite.Journal, n int) {
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan error, n)
	for range n {
		go func() {
			for left.Add(-1) >= 0 {
				if err := j.Append(b.Context(), journaltest.Life("a")[2]); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range n {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNote is what a call on the hot path pays, and the writer behind it.
func BenchmarkNote(b *testing.B) {
	j := open(b, sqlite.Options{Dir: stateDir(b)})
	journaltest.Add(b, j, journaltest.Life("a")[:2]...)
	use := jit.Entry{Kind: jit.EntryUse, Run: "a", TaskID: "task_a", CallID: "call-1", Tool: "fetch_document", RequestID: "jit_1",
		Method: "GET", URL: "https://api.example/v1/documents/doc_9982"}
	i := 0
	for b.Loop() {
		j.Note(use)
		if i++; i%1000 == 0 { // or notes would be dropped
			b.StopTimer()
			journaltest.Add(b, j, jit.Entry{Kind: jit.EntryCallSent, Run: "a"})
			b.StartTimer()
		}
	}
}

// dead makes n tasks whose processes are gone, of ten processes.
func dead(b *testing.B, dir string, n int) {
	for i := range 10 {
		j := open(b, sqlite.Options{Dir: dir})
		for k := range n / 10 {
			run := fmt.Sprint(i, "-", k)
			for _, e := range journaltest.Life(run) {
				j.Note(e)
			}
			if k%500 == 0 {
				journaltest.Add(b, j, jit.Entry{Kind: jit.EntryCallSent, Run: run})
			}
		}
		journaltest.Close(b, j)
	}
}

// BenchmarkRecovery is the journal's part of dealing with 10 000 dead tasks: they
// are listed, claimed, tried once and completed, four changes at a time.
func BenchmarkRecovery(b *testing.B) {
	const n = 10_000
	from := stateDir(b)
	dead(b, from, n)
	for b.Loop() {
		b.StopTimer()
		j := open(b, sqlite.Options{Dir: copyDir(b, from)})
		b.StartTimer()
		tasks, err := j.Orphans(b.Context(), time.Time{})
		if err != nil || len(tasks) != n {
			b.Fatalf("%d orphans, %v, want %d", len(tasks), err, n)
		}
		claims := map[string]func() error{}
		work, done := make(chan string), make(chan error, 4)
		for range 4 {
			go func() {
				for run := range work {
					err := j.Mark(b.Context(), run, journal.Mark{State: journal.StateCompleting, Reason: "503", Next: time.Now()})
					if err == nil {
						err = j.Mark(b.Context(), run, journal.Mark{State: journal.StateCompleted})
					}
					if err != nil {
						b.Error(err)
					}
				}
				done <- nil
			}()
		}
		for _, t := range tasks {
			if claims[t.Owner] == nil {
				if claims[t.Owner], err = j.Claim(b.Context(), t.Owner); err != nil {
					b.Fatal(err)
				}
			}
			work <- t.Run
		}
		close(work)
		for range 4 {
			<-done
		}
		for _, c := range claims {
			if err := c(); err != nil {
				b.Error(err)
			}
		}
		b.StopTimer()
		if tasks, err := j.Orphans(b.Context(), time.Time{}); err != nil || len(tasks) != 0 {
			b.Fatalf("%d orphans are left, %v", len(tasks), err)
		}
		journaltest.Close(b, j)
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/n, "us/task")
}

func BenchmarkVerify(b *testing.B) {
	dir := stateDir(b)
	dead(b, dir, 2500)
	j := open(b, sqlite.Options{Dir: dir})
	var entries int64
	for b.Loop() {
		rep, err := j.Verify(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		entries = rep.Entries
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/float64(entries), "us/entry")
}

func BenchmarkOpen(b *testing.B) {
	dir := made(b)
	for b.Loop() {
		j, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		journaltest.Close(b, j)
	}
}
