package recovery

import "time"

// A gate keeps tries away from an authorization server that does not answer: after
// some failures one after the other it closes for growing pauses, between which one
// try at a time finds out if the server is back. Its zero value is open.
type gate struct {
	failures int
	opens    time.Time
}

// patience is how many failures in a row mean that it is the server, not the task.
const patience = 3

// failed counts a failure. wait is what the server asked for.
func (g *gate) failed(now time.Time, wait time.Duration) {
	g.failures++
	if g.failures >= patience {
		wait = max(wait, pause(g.failures-patience))
	}
	if opens := now.Add(wait); wait > 0 && opens.After(g.opens) {
		g.opens = opens
	}
}

// worked opens the gate.
func (g *gate) worked() { *g = gate{} }

func (g *gate) closed(now time.Time) bool { return now.Before(g.opens) }

// width is how many tries may be under way at once, of at most so many.
func (g *gate) width(most int) int {
	if g.failures > 0 {
		return 1
	}
	return most
}
