package journal_test

import (
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/journal/journaltest"
)

// A task is killed from another process than the one that has it, which sees that, and goes
// on noting what it does about it. The journal says who, why and when, and stays whole.
func TestKill(t *testing.T) {
	shared(t, func(t *testing.T, open place) {
		owner, other := open(), open()
		run, spared := rand.Text(), rand.Text()
		for _, run := range []string{run, spared} {
			journaltest.Add(t, owner, jit.Entry{Kind: jit.EntryTaskOpening, Run: run, Session: "s"})
		}
		for _, none := range []string{"", "../owners", "x", rand.Text()} {
			if err := other.Kill(t.Context(), none, ""); !errors.Is(err, journal.ErrNotFound) {
				t.Errorf("Kill(%q) = %v, want ErrNotFound", none, err)
			}
		}
		for range 2 { // twice is once
			if err := other.Kill(t.Context(), run, "the key\nleaked"); err != nil {
				t.Fatal(err)
			}
		}
		for _, j := range []journal.Store{owner, other, open()} {
			if reason, killed, err := j.Killed(t.Context(), run); !killed || err != nil || reason != "the key leaked" {
				t.Errorf("Killed() = %q, %t, %v", reason, killed, err)
			}
			for _, alive := range []string{spared, "", "../owners", "x"} {
				if _, killed, err := j.Killed(t.Context(), alive); killed || err != nil {
					t.Errorf("Killed(%q) = %t, %v", alive, killed, err)
				}
			}
		}
		journaltest.Add(t, owner, jit.Entry{Kind: jit.EntryTaskCompleted, Run: run})
		said := journaltest.All(t, owner, journal.Filter{Kinds: []jit.EntryKind{jit.EntryTaskKilled}})
		if len(said) != 2 || said[0].Session != "s" || said[0].Message != "the key leaked" || said[0].Owner != other.Owner() {
			t.Errorf("entries %+v", said)
		}
		if _, err := owner.Verify(t.Context()); err != nil {
			t.Errorf("Verify() = %v", err)
		}
	})
}

// That a task was killed is kept as long as the task, and no longer.
func TestKillGoesWithItsTask(t *testing.T) {
	shared(t, func(t *testing.T, open place) {
		j := open()
		over, left := rand.Text(), rand.Text()
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskOpening, Run: over}, jit.Entry{Kind: jit.EntryTaskCompleted, Run: over})
		journaltest.Add(t, j, jit.Entry{Kind: jit.EntryTaskOpening, Run: left})
		for _, run := range []string{over, left} {
			if err := j.Kill(t.Context(), run, ""); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := j.Prune(t.Context(), time.Now().Add(time.Hour)); n != 2 || err != nil {
			t.Fatalf("Prune() = %d, %v", n, err)
		}
		for run, want := range map[string]bool{over: false, left: true} {
			if _, killed, err := j.Killed(t.Context(), run); killed != want || err != nil {
				t.Errorf("Killed() = %t, %v, want %t", killed, err, want)
			}
		}
	})
}
