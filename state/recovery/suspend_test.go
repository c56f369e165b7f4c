package recovery_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

// A suspended task is no dead one: it is given back some time after its last request
// ran out, and not before, though its process ended in order or died.
func TestSuspendedTaskIsLeftAlone(t *testing.T) {
	dir := stateDir(t)
	synctest.Test(t, func(t *testing.T) {
		j := open(t, dir)
		begin(t, j, task{run: "a", id: "task_a"})
		until := time.Now().Add(time.Hour)
		if err := j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskSuspended, Run: "a", ExpiresAt: until}); err != nil {
			t.Fatal(err)
		}
		if left, err := recovery.Leave(t.Context(), j, "ended"); left != 0 || err != nil || find(t, j, "a").State != journal.StateSuspended {
			t.Errorf("Leave() = %d, %v and the task is %s", left, err, find(t, j, "a").State)
		}
		shut(t, j)
		next, s := open(t, dir), server{}
		time.Sleep(time.Until(until.Add(5 * time.Minute)))
		if got := must(t)(recovery.Sweep(t.Context(), config(next, &s))); got.Left() != 0 || got.Done() != 0 || s.asked() != 0 {
			t.Errorf("Sweep() while it waits = %+v after %d calls, want nothing", got, s.asked())
		}
		time.Sleep(10 * time.Minute)
		if got := must(t)(recovery.Sweep(t.Context(), config(next, &s))); got.Completed != 1 || s.asked() != 1 {
			t.Errorf("Sweep() afterwards = %+v, want it completed", got)
		}
	})
}
