package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/recovery"
	"github.com/jitagent/jitagent/state/sqlite"
)

// openJournal opens a journal in a directory, which is closed with its row.
func openJournal(t *testing.T, dir string) *sqlite.Journal {
	j := must(sqlite.Open(t.Context(), sqlite.Options{Dir: dir}))(t)
	t.Cleanup(func() { check(t, j.Close()) })
	return j
}

// newJournal opens a journal in a directory of its own.
func newJournal(t *testing.T) *sqlite.Journal {
	return openJournal(t, filepath.Join(t.TempDir(), "state"))
}

// fsync writes a page at the end of a file and waits for the disk, which is the
// least that anything durable costs.
func fsync(t *testing.T) func() error {
	f := must(os.CreateTemp(t.TempDir(), "page"))(t)
	t.Cleanup(func() { check(t, f.Close()) })
	page := make([]byte, 4096)
	return func() error {
		if _, err := f.Write(page); err != nil {
			return err
		}
		return f.Sync()
	}
}

// effectSent is what stands in the journal before an effect.
func effectSent(run string) jit.Entry {
	return jit.Entry{Kind: jit.EntryCallSent, Run: run, CallID: "1", Tool: "post", IdempotencyKey: "k", Method: "POST", URL: "https://api.test/x"}
}

// journalEntry is what stands before each grant and effect.
func journalEntry() measure {
	return measure{
		name: "journal entry that waits for the disk", floor: "a page written and synced", goal: goal{ratio: 1.5},
		open: func(t *testing.T) pair {
			j := newJournal(t)
			return pair{
				ours:  does(func() error { return j.Append(t.Context(), effectSent(app)) }),
				floor: does(fsync(t)),
			}
		},
	}
}

// coveredCallRecorded shows that a call which a live grant covers waits for no disk.
func coveredCallRecorded() measure {
	return measure{
		name: "call covered by a live grant, journal on disk", floor: "the same call without a journal",
		open: func(t *testing.T) pair {
			fetch := func(j jit.Journal) side {
				c := newCalls(t, j)
				id := c.next()
				call := callOf("fetch", id)
				return does(func() error { return c.fetch(c.task.Call(c.ctx, call), id) })
			}
			return pair{ours: fetch(newJournal(t)), floor: fetch(nil)}
		},
	}
}

// effectRecorded is a POST under a live grant: known to the disk before it leaves.
func effectRecorded() measure {
	return measure{
		name: "POST under a live grant, journal on disk", floor: "the same by hand, and a page synced",
		open: func(t *testing.T) pair {
			c := newCalls(t, newJournal(t))
			id := c.next()
			token, sync, call, n := must(c.hand.grant(reading(id)))(t), fsync(t), callOf("post", id), 0
			post := func(ctx context.Context, client *http.Client, bearer string) error {
				n++
				return c.send(ctx, client, http.MethodPost, id, bearer, "n="+strconv.Itoa(n))
			}
			return pair{
				ours:  does(func() error { return post(c.task.Call(c.ctx, call), c.jit, "") }),
				floor: does(func() error { return errors.Join(sync(), post(c.ctx, c.plain, token)) }),
			}
		},
	}
}

// tasksRecovered gives back what a dead process left, some at a time.
func tasksRecovered() measure {
	const dead, atATime = 10_000, 4
	var cpu, floorCPU float64 // of a task, in microseconds
	spent := func(since time.Duration) float64 { return float64((processorTime() - since).Microseconds()) / dead }
	return measure{
		said: func() []string {
			return []string{fmt.Sprintf("%.0f µs of the processor's time, %.0f by hand: %.2f", cpu, floorCPU, cpu/floorCPU)}
		},
		name: "one of 10 000 dead tasks given back", floor: "completing it by hand, 4 at a time", goal: goal{ratio: 1.3},
		once: func(t *testing.T) (ours, floor float64) {
			j := newJournal(t)
			c := newCalls(t, j)
			for range 3 { // the best of some: the disk is not always as fast
				c.abandon(t, filepath.Dir(j.Path()), dead)
				start, used := time.Now(), processorTime()
				report := must(recovery.Sweep(c.ctx, recovery.Config{Journal: j, Authority: app, Completer: c.authority, Parallel: atATime}))(t)
				ours, cpu = least(ours, float64(time.Since(start))/dead), least(cpu, spent(used))
				if report.Left() > 0 {
					t.Fatalf("%d tasks are left", report.Left())
				}
				left := make([]*hand, dead)
				for i := range left {
					left[i] = c.world.hand(t)
				}
				start, used = time.Now(), processorTime()
				var group errgroup.Group
				group.SetLimit(atATime)
				for _, h := range left {
					group.Go(h.complete)
				}
				check(t, group.Wait())
				floor, floorCPU = least(floor, float64(time.Since(start))/dead), least(floorCPU, spent(used))
			}
			return ours, floor
		},
	}
}

// least is the lesser of two figures, of which the first may not be there yet.
func least(a, b float64) float64 {
	if a == 0 {
		return b
	}
	return min(a, b)
}

// abandon opens tasks under a journal of its own in the same directory, and closes
// that as a process does that dies: without completing any.
func (c *calls) abandon(t *testing.T, dir string, n int) {
	j := must(sqlite.Open(c.ctx, sqlite.Options{Dir: dir}))(t)
	for i := range n {
		info := must(c.authority.CreateTask(c.ctx, jit.TaskSpec{Name: "abandoned"}))(t)
		run := fmt.Sprintf("run-%s-%d", c.next(), time.Now().UnixNano())
		j.Note(jit.Entry{Kind: jit.EntryTaskOpening, Run: run, Authority: app}) // on disk when it is closed
		opened := jit.Entry{Kind: jit.EntryTaskOpened, Run: run, TaskID: info.ID, ExpiresAt: info.ExpiresAt}
		if i%500 == 0 { // or notes come faster than a slow disk takes them, and are lost
			check(t, j.Append(c.ctx, opened))
			continue
		}
		j.Note(opened)
	}
	check(t, j.Close())
}
