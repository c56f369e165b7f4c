package postgres_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/jitagent/jitagent/internal/pgtest"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
)

// threeChains has three processes write, one after the other begun: entries 1 and 3 are of
// the first, 2 and 4 of the second (2 names 1), 5 to 7 of the third (5 names 3, 6 names 4).
func threeChains(t testing.TB, address string) (*pgxpool.Pool, journal.Store) {
	a, p := open(t, address)
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryTaskOpening, Run: "a"})
	b, _ := open(t, address)
	journaltest.Add(t, b, jit.Entry{Kind: jit.EntryTaskOpening, Run: "b"})
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryRequest, Run: "a"})
	c, _ := open(t, address)
	journaltest.Add(t, c, jit.Entry{Kind: jit.EntryTaskOpening, Run: "c"})
	return p, c
}

func TestChainsNameEachOther(t *testing.T) {
	_, j := threeChains(t, pgtest.Shared(t).URL(t))
	var got []string
	for _, r := range journaltest.All(t, j, journal.Filter{}) {
		text := fmt.Sprintf("%d after %d %s", r.Seq, r.Prev, r.Kind)
		if r.Ref != nil {
			text += fmt.Sprintf(" %d", r.Ref.Seq)
		}
		got = append(got, text)
	}
	want := "1 after 0 task_opening, 2 after 0 journal_joined 1, 3 after 2 task_opening, 4 after 1 demand, 5 after 0 journal_joined 3, 6 after 5 journal_joined 4, 7 after 6 task_opening"
	if text := strings.Join(got, ", "); text != want {
		t.Errorf("entries\n%s, want\n%s", text, want)
	}
	report, err := j.Verify(t.Context())
	if err != nil || len(report.Heads) != 1 || report.Heads[0].Seq != 7 {
		t.Fatalf("Verify() = %+v, %v, want one head that holds all", report, err)
	}
	if _, err := j.Verify(t.Context(), report.Heads...); err != nil {
		t.Error(err)
	}
	other := report.Heads[0]
	other.Hash[0]++
	if _, err := j.Verify(t.Context(), other); err == nil || !strings.Contains(err.Error(), "entry 7 ") {
		t.Errorf("another head: %v", err)
	}
	other.Seq = 99
	if _, err := j.Verify(t.Context(), other); err == nil || !strings.Contains(err.Error(), "entry 99 ") {
		t.Errorf("a head that is not there: %v", err)
	}
}

// Whatever is done to the rows without the key, the entry is named.
func TestVerifyNamesTheEntry(t *testing.T) {
	for _, row := range []struct{ do, want string }{
		{"UPDATE entries SET data = replace(data, '\"run\":\"a\"', '\"run\":\"x\"') WHERE seq = 4", "entry 4 "},
		{"UPDATE entries SET hash = decode(repeat('00', 32), 'hex') WHERE seq = 3", "entry 3 "},
		{"UPDATE entries SET run = 'x' WHERE seq = 3", "entry 3 "},
		{"UPDATE entries SET owner = (SELECT owner FROM entries WHERE seq = 1) WHERE seq = 3", "entry 3 "},
		{"UPDATE entries SET data = replace(data, '\"ref\":\"1:', '\"ref\":\"2:') WHERE seq = 2", "entry 2 "},
		{"UPDATE entries SET seq = 99 WHERE seq = 7", "entry 99 "},
		{"INSERT INTO entries SELECT 8, owner, run, replace(data, '\"seq\":7', '\"seq\":8'), hash FROM entries WHERE seq = 7", "entry 8 "},
		{"DELETE FROM entries WHERE seq = 1", "entry 1 "},
		{"DELETE FROM entries WHERE seq = 2", "entry 2 "},
		{"DELETE FROM entries WHERE seq = 4", "entry 4 "},
		{"DELETE FROM entries WHERE seq = 6", "entry 6 "},
		{"DELETE FROM entries WHERE seq = 7", "entry 7 "},
		{"DELETE FROM entries WHERE seq > 4", "entry 7 "},
		{"DELETE FROM owners WHERE seq = 7", "entry 7 "},
		// A chain is gone with its row and its tasks, but another names it.
		{"WITH x AS (DELETE FROM entries WHERE seq IN (1, 4)), y AS (DELETE FROM tasks WHERE run = 'a') DELETE FROM owners WHERE seq = 4", "entry 1 "},
		// The row of a process is put back to one of its entries.
		{"WITH x AS (DELETE FROM entries WHERE seq = 4) UPDATE owners SET seq = 1, hash = (SELECT hash FROM entries WHERE seq = 1) WHERE seq = 4", "entry 1 "},
		{"WITH x AS (DELETE FROM entries WHERE seq = 1) UPDATE owners SET anchor_seq = 1, anchor = (SELECT hash FROM entries WHERE seq = 1) WHERE seq = 4", "no entry says that it was pruned"},
		{"UPDATE tasks SET data = replace(data, '\"open\"', '\"completed\"') WHERE run = 'a'", "do not say"},
		{"UPDATE tasks SET data = replace(data, '\"open\"', '\"completed\"'), state = 'completed' WHERE run = 'a'", "does not follow"},
		{"UPDATE tasks SET owner = 'x' WHERE run = 'a'", "do not say"},
		{"DELETE FROM tasks WHERE run = 'a'", "a task is missing"},
	} {
		t.Run(row.do[:min(60, len(row.do))], func(t *testing.T) {
			p, j := threeChains(t, pgtest.Shared(t).URL(t))
			exec(t, p, row.do)
			report, err := j.Verify(t.Context())
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("Verify() = %+v, %v, want %q", report, err, row.want)
			}
		})
	}
}

func TestPrune(t *testing.T) {
	address := pgtest.Shared(t).URL(t)
	old := time.Now().Add(-time.Hour)
	a, p := open(t, address)
	b, _ := open(t, address)
	over := func(j journal.Store, run string) {
		t.Helper()
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskOpening, Time: old, Run: run}, jit.Entry{Kind: jit.EntryTaskCompleted, Time: old, Run: run})
	}
	over(a, "a1")
	over(b, "b1")
	journaltest.Add(t, a, jit.Entry{Kind: jit.EntryTaskOpening, Time: old, Run: "open"})
	over(b, "b2")
	kept, err := a.Verify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	n, err := a.Prune(t.Context(), old.Add(time.Minute))
	if err != nil || n != 5 { // with the one by which b names a
		t.Fatalf("Prune() = %d, %v", n, err)
	}
	if n, err := a.Prune(t.Context(), old.Add(time.Minute)); err != nil || n != 0 {
		t.Errorf("Prune() again = %d, %v", n, err)
	}
	report, err := a.Verify(t.Context(), append(kept.Heads, kept.Last)...)
	if err != nil || report.Pruned.Seq != 5 || report.Entries != 4 || report.Tasks != 2 {
		t.Errorf("Verify() = %+v, %v", report, err)
	}
	if list, err := a.Tasks(t.Context(), journal.TaskFilter{}); err != nil || len(list) != 2 || list[0].Run != "open" {
		t.Errorf("Tasks() = %+v, %v", list, err)
	}
	if err := a.Mark(t.Context(), "open", journal.Mark{State: journal.StateCompleted}); err != nil {
		t.Fatal(err)
	}
	if n, err := a.Prune(t.Context(), time.Now().Add(time.Minute)); err != nil || n == 0 {
		t.Errorf("Prune() of all = %d, %v", n, err)
	}
	var owners int
	if err := p.QueryRow(t.Context(), "SELECT count(*) FROM owners").Scan(&owners); err != nil || owners != 1 {
		t.Errorf("%d owners stay, %v, want the one that is alive", owners, err)
	}
	c, _ := open(t, address)
	journaltest.Add(t, c, jit.Entry{Kind: jit.EntryTaskOpening, Run: "c"})
	if report, err := c.Verify(t.Context(), kept.Last); err != nil || len(report.Heads) != 1 {
		t.Errorf("Verify() = %+v, %v", report, err)
	}
	// A cut that nobody noted is found after that, too.
	exec(t, p, "DELETE FROM entries WHERE owner = $1", c.Owner())
	if _, err := a.Verify(t.Context()); err == nil {
		t.Error("a cut is not found")
	}
}
