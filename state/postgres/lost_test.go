package postgres_test

import (
	"errors"
	"testing"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
)

// An entry that was committed, and whose answer was lost, is there once; the writer goes on
// behind it.
func TestTheAnswerToACommitIsLost(t *testing.T) {
	address, cut := pgtest.Cutting(t, pgtest.Shared(t).URL(t), "COMMIT")
	j, _ := open(t, address)
	for _, run := range []string{"a", "b", "c"} {
		cut.Store(run != "c")
		if err := j.Append(t.Context(), jit.Entry{Kind: jit.EntryTaskOpening, Run: run}); err != nil || cut.Load() {
			t.Fatalf("Append() = %v", err)
		}
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryRequest, Run: run})
	}
	if got := journaltest.All(t, j, journal.Filter{}); len(got) != 6 {
		t.Errorf("%d entries, want 6", len(got))
	}
	if _, err := j.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// An append that meets a claim waits for it, and is refused.
func TestAnAppendMeetsAClaim(t *testing.T) {
	j, p := open(t, pgtest.Shared(t).URL(t))
	journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskOpening, Run: "r"})
	claim, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := claim.Exec(t.Context(), "UPDATE owners SET until = '-infinity' WHERE id = $1", j.Owner()); err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- j.Append(t.Context(), jit.Entry{Kind: jit.EntryCallSent, Run: "r"}) }()
	for waits := false; !waits; {
		if err := p.QueryRow(t.Context(), "SELECT EXISTS (SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')").Scan(&waits); err != nil {
			t.Fatal(err)
		}
	}
	if err := claim.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, journal.ErrLost) {
		t.Errorf("Append() = %v", err)
	}
	if got := journaltest.All(t, j, journal.Filter{}); len(got) != 1 {
		t.Errorf("%d entries, want 1", len(got))
	}
}
