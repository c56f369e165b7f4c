package recovery

import (
	"time"

	"github.com/jitagent/jitagent/state/journal"
)

// An estate is what one dead process left behind. Its tasks are claimed, worked on
// and released together.
type estate struct {
	owner   string
	due     time.Time      // when to claim it
	stale   []string       // runs that are unknown, and may be called expired now
	claim   *journal.Claim // nil while it is not claimed
	queue   []journal.Task // to be tried now
	running int
	next    time.Time // when a task of it is due that is not tried now; zero for none
}

// later notes that a task of the estate is due at t.
func (e *estate) later(t time.Time) {
	if e.next.IsZero() || t.Before(e.next) {
		e.next = t
	}
}

// estates is a heap of those that wait, the first to be claimed on top.
type estates []*estate

func (h estates) Len() int           { return len(h) }
func (h estates) Less(i, k int) bool { return h[i].due.Before(h[k].due) }
func (h estates) Swap(i, k int)      { h[i], h[k] = h[k], h[i] }
func (h *estates) Push(x any)        { *h = append(*h, x.(*estate)) }
func (h *estates) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	*h = (*h)[:last]
	return e
}
