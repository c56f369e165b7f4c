package postgres_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/postgres"
)

// child names the variable that makes this binary a process of a test: ADDRESS, and what
// runs are called.
const child = "POSTGRES_TEST_CHILD"

// beChild appends for ever, and says what was acknowledged.
func beChild(task string) int {
	ctx := context.Background()
	address, name, _ := strings.Cut(task, " ")
	db, err := postgres.Connect(ctx, options(address))
	if err == nil {
		var j *postgres.Journal
		if j, err = postgres.OpenJournal(ctx, db, postgres.JournalOptions{}); err == nil {
			fmt.Println("owner", j.Owner())
			for i := 0; err == nil; i++ {
				run := name + strconv.Itoa(i)
				if err = j.Append(ctx, jit.Entry{Kind: jit.EntryTaskOpening, Run: run}); err == nil {
					fmt.Println("kept", run)
				}
			}
		}
	}
	fmt.Println("failed", err)
	return 3
}

// process starts a child, and returns its output line by line.
func process(t *testing.T, address, name string) (*osexec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := osexec.Command(self)
	cmd.Env = append(os.Environ(), child+"="+address+" "+name)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait()
	})
	return cmd, bufio.NewScanner(out)
}

// A process is killed while it appends: what was acknowledged is there, the journal is
// whole, and its tasks are another's when its lease has passed.
func TestKilledWhileAppending(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	j, p := open(t, address)
	cmd, out := process(t, address, "r")
	out.Scan()
	_, owner, _ := strings.Cut(out.Text(), " ")
	kept := 0
	for kept < 50 && out.Scan() {
		kept++
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for out.Scan() {
		kept++
	}
	tasks, err := j.Tasks(t.Context(), journal.TaskFilter{Owner: owner})
	if err != nil || len(tasks) < kept || len(tasks) > kept+1 {
		t.Errorf("%d tasks are there, %v, and %d were acknowledged", len(tasks), err, kept)
	}
	exec(t, p, "UPDATE owners SET until = clock_timestamp() WHERE id = $1", owner)
	for { // no lease passes sooner than its length after the database was started
		if _, err = j.Claim(t.Context(), owner); err == nil || t.Context().Err() != nil {
			break
		}
	}
	if err := j.Mark(t.Context(), tasks[0].Run, journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Error(err)
	}
	if _, err := j.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// A process sleeps past its lease, and another takes its tasks over: the next thing that
// it appends is refused.
func TestStoppedPastTheLease(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	j, p := open(t, address)
	cmd, out := process(t, address, "r")
	out.Scan()
	_, owner, _ := strings.Cut(out.Text(), " ")
	out.Scan()
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	gone(t, p, owner)
	if _, err := j.Claim(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	before := len(journaltest.All(t, j, journal.Filter{}))
	if err := cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	var last string
	for n := 0; n <= before && out.Scan(); n++ { // a line for each entry, and why it ended
		last = out.Text()
	}
	if after := len(journaltest.All(t, j, journal.Filter{})); after != before || !strings.Contains(last, "took this one for dead") {
		t.Errorf("%d entries, then %d; it said %q", before, after, last)
	}
}

// The database is killed and comes back while processes append: each goes on, and no
// entry is lost or doubled.
func TestRestartUnderLoad(t *testing.T) {
	s, err := pgtest.Start()
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	address := s.URL(t)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	var kept [3]int
	for n := range kept {
		j, _ := open(t, address)
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: fmt.Sprintf("%d-%d", n, kept[n])}); err != nil {
					t.Error(err)
					return
				}
				kept[n]++
			}
		})
	}
	for range 3 {
		if err := s.Restart(); err != nil {
			t.Error(err)
		}
		<-time.After(300 * time.Millisecond) // of load
	}
	asleep, p := open(t, address)
	other, _ := open(t, address)
	exec(t, p, "UPDATE owners SET until = clock_timestamp() - interval '1 s' WHERE id = $1", asleep.Owner())
	if _, err := other.Claim(t.Context(), asleep.Owner()); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("a lease passed sooner than its length after the database was started: %v", err)
	}
	close(stop)
	wg.Wait()
	j, _ := open(t, address)
	j.Note(jit.Entry{Kind: jit.EntryTaskOpened, Run: "noted"})
	journaltest.All(t, j, journal.Filter{Run: "noted"}) // which waits until it is there
	if err := s.Restart(); err != nil {
		t.Error(err)
	}
	if err := j.Append(t.Context(), jit.Entry{Kind: jit.EntryDecision, Run: "noted"}); err != nil {
		t.Errorf("after a note: %v", err)
	}
	runs := map[string]int{}
	for _, r := range journaltest.All(t, j, journal.Filter{Kinds: []jit.EntryKind{jit.EntryTaskOpening}}) {
		runs[r.Run]++
		if runs[r.Run] > 1 {
			t.Errorf("run %s is there %d times", r.Run, runs[r.Run])
		}
	}
	for n, count := range kept {
		t.Logf("process %d: %d entries", n, count)
		for i := range count {
			if run := fmt.Sprintf("%d-%d", n, i); runs[run] != 1 {
				t.Errorf("run %s is not there", run)
			}
		}
	}
	if _, err := j.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}
