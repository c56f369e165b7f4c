package sqlite_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
	"github.com/jitagent/jitagent/state/sqlite"
)

// calls returns the calls that a run's journal has as sent.
func calls(t testing.TB, j *sqlite.Journal, run string) map[string]bool {
	t.Helper()
	have := map[string]bool{}
	for r, err := range j.Query(t.Context(), journal.Filter{Run: run, Kinds: []jit.EntryKind{jit.EntryCallSent}}) {
		if err != nil {
			t.Fatal(err)
		}
		if have[r.CallID] {
			t.Errorf("run %s: %s is there twice", run, r.CallID)
		}
		have[r.CallID] = true
	}
	return have
}

// trials is how often a process is killed; JOURNAL_TEST_KILLS says otherwise.
func trials(t testing.TB, usual int) int {
	if text := os.Getenv("JOURNAL_TEST_KILLS"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return usual
}

func TestProcessesShareOneChain(t *testing.T) {
	dir := stateDir(t)
	var all []*process
	for range 4 {
		all = append(all, start(t, "append some", dir))
	}
	var runs []string
	for _, p := range all {
		runs = append(runs, p.line(t))
		if got := p.rest(t); len(got) != 40 {
			t.Errorf("a process acknowledged %d calls, want 40", len(got))
		}
		if err := p.cmd.Wait(); err != nil {
			t.Error(err)
		}
		p.ended = true
	}
	j := open(t, sqlite.Options{Dir: dir})
	rep, err := j.Verify(t.Context())
	if want := int64(4 * (4 + 80 + 14)); err != nil || rep.Entries != want || rep.Tasks != 4 {
		t.Errorf("Verify() = %+v, %v, want %d entries", rep, err, want)
	}
	for _, run := range runs {
		if got := len(calls(t, j, run)); got != 40 {
			t.Errorf("run %s has %d calls, want 40", run, got)
		}
	}
	if got := orphans(t, j); len(strings.Fields(got)) != 4 {
		t.Errorf("orphans %q, want all 4: their processes ended", got)
	}
}

// TestKilledWhileAppending kills processes at random instants. Whatever they had
// acknowledged is there, the chain fits, and their tasks can be claimed.
func TestKilledWhileAppending(t *testing.T) {
	dir := stateDir(t)
	witness := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, witness, journaltest.Life("witness")...)
	for range trials(t, 6) {
		var pair []*process
		var runs []string
		acked := map[string][]string{}
		for range 2 {
			pair = append(pair, start(t, "append", dir))
		}
		for _, p := range pair {
			runs = append(runs, p.line(t))
		}
		for i, p := range pair {
			for range rand.IntN(10) {
				acked[runs[i]] = append(acked[runs[i]], p.line(t))
			}
			p.kill()
			acked[runs[i]] = append(acked[runs[i]], p.rest(t)...)
		}
		for _, run := range runs {
			have := calls(t, witness, run)
			for _, call := range acked[run] {
				if !have[call] {
					t.Errorf("run %s: %s was acknowledged and is gone", run, call)
				}
			}
			if len(have) > len(acked[run])+1 {
				t.Errorf("run %s has %d calls, and %d were acknowledged", run, len(have), len(acked[run]))
			}
		}
		left := orphans(t, witness)
		for _, run := range runs {
			task, err := witness.Task(t.Context(), run)
			if errors.Is(err, journal.ErrNotFound) && len(acked[run]) == 0 {
				continue // killed before its first entry
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(left, run) {
				t.Errorf("orphans %q lack run %s", left, run)
			}
			release, err := witness.Claim(t.Context(), task.Owner)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(witness.Mark(t.Context(), run, journal.Mark{State: journal.StateCompleted}), release()); err != nil {
				t.Error(err)
			}
		}
		if left := orphans(t, witness); left != "" {
			t.Errorf("orphans %q after all were completed", left)
		}
	}
	if _, err := witness.Verify(t.Context()); err != nil {
		t.Errorf("Verify() = %v", err)
	}
	journaltest.Add(t, witness, jit.Entry{Kind: jit.EntryTaskCompleted, Run: "witness"})
}

// TestKilledWhileOpening kills processes while they make, open and close a journal.
func TestKilledWhileOpening(t *testing.T) {
	for trial := range trials(t, 10) {
		dir := stateDir(t)
		p := start(t, "reopen", dir)
		p.line(t)
		var acked []string
		for range rand.IntN(4) {
			acked = append(acked, p.line(t))
		}
		for range rand.IntN(20_000) { // some random part of a millisecond
			runtime.Gosched()
		}
		p.kill()
		acked = append(acked, p.rest(t)...)
		j := open(t, sqlite.Options{Dir: dir})
		if _, err := j.Verify(t.Context()); err != nil {
			t.Fatalf("trial %d: Verify() = %v", trial, err)
		}
		for _, run := range acked {
			if _, err := j.Task(t.Context(), run); err != nil {
				t.Errorf("trial %d: %v", trial, err)
			}
		}
		if _, err := j.CleanOwners(t.Context()); err != nil {
			t.Error(err)
		}
		journaltest.Close(t, j)
	}
}

// Several processes sweep at the same time: each task is completed by one of them.
func TestSweepersDoNotMeet(t *testing.T) {
	dir := stateDir(t)
	const dead = 12
	for i := range dead {
		j := open(t, sqlite.Options{Dir: dir})
		journaltest.Add(t, j, journaltest.Life(fmt.Sprint("dead-", i))...)
		journaltest.Close(t, j)
	}
	alive := open(t, sqlite.Options{Dir: dir})
	journaltest.Add(t, alive, journaltest.Life("alive")...)
	var all []*process
	for range 3 {
		all = append(all, start(t, "sweep", dir))
	}
	for _, p := range all {
		p.line(t)
	}
	for _, p := range all {
		if err := p.in.Close(); err != nil {
			t.Fatal(err)
		}
	}
	swept := map[string]int{}
	for _, p := range all {
		for _, run := range p.rest(t) {
			swept[run]++
		}
		if err := p.cmd.Wait(); err != nil {
			t.Error(err)
		}
		p.ended = true
	}
	for i := range dead {
		if run := fmt.Sprint("dead-", i); swept[run] != 1 {
			t.Errorf("%s was completed by %d processes, want 1", run, swept[run])
		}
	}
	if len(swept) != dead {
		t.Errorf("completed: %v", swept)
	}
	if _, err := alive.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if task, err := alive.Task(t.Context(), "alive"); err != nil || task.State != journal.StateOpen {
		t.Errorf("the task of the living: %v, %v", task, err)
	}
}
