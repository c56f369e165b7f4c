package recovery_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/sqlite"
)

// dieAtOnce is die for many: their entries share the waits for the disk.
func dieAtOnce(b *testing.B, dir string, tasks []task) {
	b.Helper()
	j, err := sqlite.Open(b.Context(), sqlite.Options{Dir: dir})
	if err != nil {
		b.Fatal(err)
	}
	slots := make(chan struct{}, 256)
	var wg sync.WaitGroup
	for _, k := range tasks {
		slots <- struct{}{}
		wg.Go(func() {
			begin(b, j, k)
			<-slots
		})
	}
	wg.Wait()
	shut(b, j)
}

// BenchmarkSweep recovers 10 000 dead tasks with a server that answers at once: of
// one process, and of 100. The floor is what the journal needs for their entries.
func BenchmarkSweep(b *testing.B) {
	const tasks = 10_000
	for _, owners := range []int{1, 100} {
		b.Run(fmt.Sprintf("owners=%d", owners), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				dir := stateDir(b)
				for o := range owners {
					dieAtOnce(b, dir, several(fmt.Sprintf("o%d", o), tasks/owners))
				}
				j := open(b, dir)
				var s server
				b.StartTimer()
				report, err := recovery.Sweep(b.Context(), recovery.Config{Journal: j, Authority: here, Completer: &s})
				b.StopTimer()
				if err != nil || report.Completed != tasks {
					b.Fatalf("%+v, %v", report, err)
				}
				shut(b, j)
				b.StartTimer()
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/tasks, "µs/task")
		})
	}
	b.Run("floor", func(b *testing.B) {
		j := open(b, stateDir(b))
		begin(b, j, several("own", 1)...)
		for b.Loop() {
			if err := j.Mark(context.Background(), "own-0", journal.Mark{State: journal.StateCompleting, Reason: "503"}); err != nil {
				b.Fatal(err)
			}
		}
	})
}
