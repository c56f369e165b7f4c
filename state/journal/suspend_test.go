package journal_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jit/jittest/fake"
	"github.com/jitagent/jitagent/rar"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
)

// A suspended task is taken up by one journal of those that try at once, which owns it
// from then on; also when its own process is gone.
func TestSuspendedTaskIsTakenUpOnce(t *testing.T) {
	for _, gone := range []bool{false, true} {
		shared(t, func(t *testing.T, open place) {
			first := open()
			until := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
			journaltest.Add(t, first,
				jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"}, jit.Entry{Kind: jit.EntryTaskOpened, Run: "r", TaskID: "task_1"},
				jit.Entry{Kind: jit.EntryTaskSuspended, Run: "r", ExpiresAt: until, Digest: "what"})
			if gone {
				if err := first.Close(); err != nil {
					t.Fatal(err)
				}
			}
			const others = 4
			var claimed []journal.Store
			var mu sync.Mutex
			var wg sync.WaitGroup
			for range others {
				j := open()
				wg.Go(func() {
					entries, err := j.Entries(t.Context(), "r")
					if err != nil || len(entries) < 3 || entries[2].Digest != "what" || !entries[2].ExpiresAt.Equal(until) {
						t.Errorf("Entries() = %+v, %v", entries, err)
					}
					err = j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskResumed, Run: "r", Epoch: 1})
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						claimed = append(claimed, j)
					} else if !errors.Is(err, jit.ErrClaimed) {
						t.Errorf("a later one is refused with %v", err)
					}
				})
			}
			wg.Wait()
			if len(claimed) != 1 {
				t.Fatalf("%d of %d took it up, want one", len(claimed), others)
			}
			owner := claimed[0]
			task, err := owner.Task(t.Context(), "r")
			if err != nil || task.Owner != owner.Owner() || task.State != journal.StateOpen || !task.NextAttempt.IsZero() {
				t.Errorf("the task is %+v, %v, want it open and owned by who took it", task, err)
			}
			if !gone {
				if err := first.Append(t.Context(), jit.Entry{Kind: jit.EntryRequest, Run: "r"}); !errors.Is(err, journal.ErrOwned) {
					t.Errorf("the first process writes on: %v, want ErrOwned", err)
				}
			}
			if err := owner.Close(); err != nil { // its process is gone, so another one can have the task, once it has claimed it
				t.Fatal(err)
			}
			dead := owner.Owner()
			owner = open()
			again := jit.Entry{Kind: jit.EntryTaskResumed, Run: "r", Epoch: 2}
			if err := owner.Append(t.Context(), again); !errors.Is(err, jit.ErrClaimed) {
				t.Errorf("without a claim: %v, want ErrClaimed", err)
			}
			release, err := owner.Claim(t.Context(), dead)
			if err != nil {
				t.Fatal(err)
			}
			journaltest.Add(t, owner, again)
			if err := release(); err != nil {
				t.Fatal(err)
			}
			journaltest.Add(t, owner, jit.Entry{Kind: jit.EntryTaskCompleted, Run: "r"})
			if err := owner.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskResumed, Run: "r"}); !errors.Is(err, jit.ErrTaskEnded) {
				t.Errorf("a completed task is resumed: %v, want ErrTaskEnded", err)
			}
			if err := owner.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskResumed, Run: "never"}); !errors.Is(err, journal.ErrNotFound) {
				t.Errorf("a task that was never there is resumed: %v, want ErrNotFound", err)
			}
			if _, err := owner.Verify(t.Context()); err != nil {
				t.Errorf("Verify() = %v", err)
			}
		})
	}
}

// What waits is not pruned, however old it is.
func TestSuspendedTaskIsNotPruned(t *testing.T) {
	each(t, func(t *testing.T, j journal.Store) {
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"}, jit.Entry{Kind: jit.EntryTaskSuspended, Run: "r", ExpiresAt: time.Now()})
		if n, err := j.Prune(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
			t.Errorf("Prune() = %d, %v, want nothing", n, err)
		}
	})
}

// The tasks below one that is suspended are taken up with it, by whoever is first, and
// each knows which it is below.
func TestFamilyIsTakenUp(t *testing.T) {
	shared(t, func(t *testing.T, open place) {
		authority := &fake.Authority{Decide: func(jit.Request) (jit.Decision, error) { return jit.Decision{Status: jit.StatusPending}, nil }}
		engine := func(j journal.Store) *jit.Engine {
			e, err := jit.New(jit.Config{Authority: authority, Journal: j, AuthorityName: "here"})
			if err != nil {
				t.Fatal(err)
			}
			return e
		}
		first, second := open(), open()
		root := engine(first).Start(t.Context(), jit.TaskSpec{Name: "root", Session: "s"}, nil)
		ceiling := []rar.Detail{{Type: "document", Actions: []string{"read"}, Identifier: "doc_1"}}
		child, err := root.Child(t.Context(), jit.TaskSpec{Name: "child"}, ceiling)
		if err != nil {
			t.Fatal(err)
		}
		ctx := child.Call(t.Context(), jit.Call{ID: "c", Ceiling: ceiling})
		if _, err := jit.Acquire(ctx, ceiling[0]); !errors.Is(err, jit.ErrPending) {
			t.Fatalf("Acquire() = %v, want pending", err)
		}
		if _, err := root.Suspend(t.Context(), "what", time.Time{}); err != nil {
			t.Fatal(err)
		}
		again, err := engine(second).Resume(t.Context(), root.Run(), "what", nil)
		if err != nil {
			t.Fatal(err)
		}
		tasks, err := first.Tasks(t.Context(), journal.TaskFilter{Session: "s"})
		slices.SortFunc(tasks, func(a, b journal.Task) int { return strings.Compare(b.Name, a.Name) }) // the root first
		if err != nil || len(tasks) != 2 || tasks[0].Parent != "" || tasks[1].Run != child.Run() || tasks[1].Parent != root.Run() {
			t.Errorf("the tasks are %+v, %v", tasks, err)
		}
		for _, k := range tasks {
			if k.Owner != second.Owner() || k.State != journal.StateOpen {
				t.Errorf("task %s is %s, of %s, want it taken up by %s", k.Name, k.State, k.Owner, second.Owner())
			}
		}
		if err := again.Complete(t.Context()); err != nil || len(authority.Completed()) != 2 {
			t.Errorf("Complete() = %v, of %v", err, authority.Completed())
		}
		if _, err := second.Verify(t.Context()); err != nil {
			t.Errorf("Verify() = %v", err)
		}
	})
}
