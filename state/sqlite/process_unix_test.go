//go:build unix

package sqlite_test

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/sqlite"
)

// The lock is the process's own: a child that outlives it does not hold it.
func TestOwnershipEndsWithTheProcess(t *testing.T) {
	dir := stateDir(t)
	j := open(t, sqlite.Options{Dir: dir})
	p := start(t, "hold", dir)
	var owner string
	var grandchild int
	if _, err := fmt.Sscan(p.line(t), &owner, &grandchild); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Kill(grandchild, syscall.SIGKILL) }()
	if got := orphans(t, j); got != "" {
		t.Errorf("orphans %q while the process lives", got)
	}
	if _, err := j.Claim(t.Context(), owner); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("Claim() = %v, want ErrOwned", err)
	}
	p.kill()
	if err := syscall.Kill(grandchild, 0); err != nil {
		t.Fatalf("the grandchild is gone too, so nothing is tested: %v", err)
	}
	if got := orphans(t, j); got != "held" {
		t.Errorf("orphans %q, want held", got)
	}
	release, err := j.Claim(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
}
