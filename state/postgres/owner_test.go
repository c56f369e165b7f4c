package postgres_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
)

// A process that was taken for dead is refused, whatever it slept through; whoever has
// its tasks may change them, alone.
func TestAClaimedOwnerIsRefused(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	a, p := open(t, address)
	b, _ := open(t, address)
	c, _ := open(t, address)
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"})
	for _, owner := range []string{a.Owner(), b.Owner()} {
		if _, err := b.Claim(t.Context(), owner); !errors.Is(err, journal.ErrOwned) {
			t.Errorf("a living owner is claimed: %v", err)
		}
	}
	if _, err := b.Claim(t.Context(), "nobody"); !errors.Is(err, journal.ErrDamaged) {
		t.Errorf("nobody is claimed: %v", err)
	}
	if err := b.Append(t.Context(), jit.Entry{Kind: jit.EntryCall, Run: "r"}); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("another's task is written to: %v", err)
	}
	// Its lease has passed, but nobody claimed it: it goes on.
	exec(t, p, "UPDATE owners SET until = clock_timestamp() - interval '1 s' WHERE id = $1", a.Owner())
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryCall, Run: "r"})
	gone(t, p, a.Owner())
	if orphans, err := b.Orphans(t.Context(), time.Time{}); err != nil || len(orphans) != 1 {
		t.Fatalf("Orphans() = %v, %v", orphans, err)
	}
	release, err := b.Claim(t.Context(), a.Owner())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Claim(t.Context(), a.Owner()); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("it is claimed twice: %v", err)
	}
	if orphans, err := c.Orphans(t.Context(), time.Time{}); err != nil || len(orphans) != 0 {
		t.Errorf("a claimed task is an orphan: %v, %v", orphans, err)
	}
	if err := a.Append(t.Context(), jit.Entry{Kind: jit.EntryCallSent, Run: "r"}); !errors.Is(err, journal.ErrLost) {
		t.Errorf("the claimed one appends: %v", err)
	}
	select {
	case <-a.Lost():
	default:
		t.Error("it was not told")
	}
	if err := b.Mark(t.Context(), "r", journal.Mark{State: journal.StateCompleting, Reason: "no answer"}); err != nil {
		t.Error(err)
	}
	if err := release(); err != nil {
		t.Error(err)
	}
	if err := b.Mark(t.Context(), "r", journal.Mark{State: journal.StateCompleted}); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("it is changed after the release: %v", err)
	}
	// What the claimer holds is free when the claimer is gone.
	if _, err := b.Claim(t.Context(), a.Owner()); err != nil {
		t.Error(err)
	}
	gone(t, p, b.Owner())
	d, _ := open(t, address)
	gone(t, p, d.Owner())
	if _, err := b.Claim(t.Context(), d.Owner()); !errors.Is(err, journal.ErrLost) {
		t.Errorf("one that is gone claims another: %v", err)
	}
	if _, err := c.Claim(t.Context(), a.Owner()); err != nil {
		t.Errorf("the claimer is gone: %v", err)
	}
	if err := b.Mark(t.Context(), "r", journal.Mark{State: journal.StateCompleted}); !errors.Is(err, journal.ErrLost) {
		t.Errorf("the claimer that is gone marks: %v", err)
	}
	if err := c.Mark(t.Context(), "r", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Error(err)
	}
	// Whatever is done to its row, it stays lost.
	exec(t, p, "UPDATE owners SET until = clock_timestamp() + interval '10 s' WHERE id = $1", a.Owner())
	if err := a.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: "q"}); !errors.Is(err, journal.ErrLost) {
		t.Errorf("the claimed one appends when its row was put back: %v", err)
	}
	if report, err := c.Verify(t.Context()); err != nil {
		t.Errorf("Verify() = %+v, %v", report, err)
	}
}

// A heartbeat finds out that the process was claimed.
func TestLostIsTold(t *testing.T) {
	j, p := open(t, pgtest.Shared(t).URL(t))
	gone(t, p, j.Owner())
	<-j.Lost()
}

// Whoever could not renew its own lease for a while claims nobody: it may be that nobody
// could.
func TestNobodyIsClaimedAfterAnOutage(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	a, p := open(t, address)
	b, _ := open(t, address)
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"})
	exec(t, p, "UPDATE owners SET until = clock_timestamp() - interval '1 s'")
	journaltest.Add(t, b, jit.Entry{Kind: jit.EntryTaskOpening, Run: "q"}) // which renews it
	gone(t, p, a.Owner())
	if _, err := b.Claim(t.Context(), a.Owner()); !errors.Is(err, journal.ErrOwned) {
		t.Errorf("it claims another at once: %v", err)
	}
	exec(t, p, "UPDATE owners SET since = clock_timestamp() - interval '11 s' WHERE id = $1", b.Owner())
	if _, err := b.Claim(t.Context(), a.Owner()); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

// Of many that want the same dead owner, and each other, one has it.
func TestOneClaims(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	a, p := open(t, address)
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"})
	gone(t, p, a.Owner())
	var wg sync.WaitGroup
	won := make(chan string, 8)
	for range 8 {
		j, _ := open(t, address)
		wg.Go(func() {
			if _, err := j.Claim(t.Context(), a.Owner()); err == nil {
				won <- j.Owner()
			} else if !errors.Is(err, journal.ErrOwned) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Errorf("%d claimed it", len(won))
	}
}

func TestCleanOwners(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	a, p := open(t, address)
	b, _ := open(t, address)
	c, _ := open(t, address)
	journaltest.Add(t, b, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"})
	gone(t, p, b.Owner())
	gone(t, p, c.Owner())
	if n, err := a.CleanOwners(t.Context()); n != 1 || err != nil {
		t.Errorf("CleanOwners() = %d, %v, want the one that wrote nothing", n, err)
	}
	if err := c.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: "q"}); !errors.Is(err, journal.ErrLost) {
		t.Errorf("one that was forgotten appends: %v", err)
	}
}

// A suspended task is nobody's to see to before its time.
func TestOrphansThatWait(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	a, p := open(t, address)
	b, _ := open(t, address)
	until := time.Now().Add(time.Hour)
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryTaskOpening, Run: "open"}, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"},
		jit.Entry{Kind: jit.EntryTaskSuspended, Run: "r", ExpiresAt: until})
	gone(t, p, a.Owner())
	for _, row := range []struct {
		due  time.Time
		want int
	}{{time.Time{}, 2}, {time.Now(), 1}, {until.Add(time.Hour), 2}} {
		if orphans, err := b.Orphans(t.Context(), row.due); err != nil || len(orphans) != row.want {
			t.Errorf("Orphans(%v) = %v, %v, want %d", row.due, orphans, err, row.want)
		}
	}
}
