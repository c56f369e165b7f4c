package sqlite_test

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jitagent/jitagent/state/sqlite"
)

// A process that is dead and not yet waited for still has its number, as has a
// stranger that got it afterwards. Its locks it has not.
func TestDeathCountsAndNotTheProcessNumber(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	p := start(t, "hold", dir)
	var owner string
	var grandchild int
	if _, err := fmt.Sscan(p.line(t), &owner, &grandchild); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if child, err := os.FindProcess(grandchild); err == nil {
			_ = child.Kill()
		}
	})
	if got := orphans(t, j); got != "" {
		t.Errorf("orphans %q while the process lives", got)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	// Nobody has waited for it, so the kernel keeps its number: state Z of proc(5). Its
	// files are closed when its last other thread is gone.
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(stat, []byte(") Z ")) && len(threads) == 1 {
			break
		}
		<-tick.C
	}
	if got := orphans(t, j); got != "held" {
		t.Errorf("orphans %q of a process that is dead but has its number, want held", got)
	}
	release, err := j.Claim(t.Context(), owner)
	if err != nil {
		t.Fatalf("Claim() = %v", err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
