package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// A process dies in the middle of a task; the next one finds the task and has it
// completed.
func Example() {
	ctx := context.Background()
	home, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(home) }()
	dir := filepath.Join(home, "state") // sqlite.Dir(os.Getenv) in a program

	first, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	// The engine does this: jit.Config{Journal: first, ...}.
	_ = first.Append(ctx, jit.Entry{Kind: jit.EntryTaskOpening, Run: "run-1", Name: "quarterly numbers"})
	_ = first.Append(ctx, jit.Entry{Kind: jit.EntryTaskOpened, Run: "run-1", TaskID: "task_1"})
	_ = first.Close() // or the process dies

	second, err := sqlite.Open(ctx, sqlite.Options{Dir: dir})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = second.Close() }()
	orphans, err := second.Orphans(ctx, time.Time{})
	fmt.Println(len(orphans), "orphan:", orphans[0].Name, orphans[0].ID, orphans[0].State, err)

	release, err := second.Claim(ctx, orphans[0].Owner) // or somebody else has it: ErrOwned
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = release() }()
	// Here the authorization server is asked to complete task_1.
	_ = second.Mark(ctx, "run-1", journal.Mark{State: journal.StateCompleted})

	task, err := second.Task(ctx, "task_1")
	fmt.Println(task.State, err)
	report, err := second.Verify(ctx)
	fmt.Println(report.Entries, "entries fit:", err)
	// Output:
	// 1 orphan: quarterly numbers task_1 open <nil>
	// completed <nil>
	// 3 entries fit: <nil>
}
