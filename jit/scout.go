package jit

import (
	"context"
	"time"
)

// scoutWait bounds how long calls wait for the first answer of one like them. A
// refusal is the quickest answer that an API gives; one that takes longer is likely
// the result of the call, and then waiting for it was for nothing.
const scoutWait = 100 * time.Millisecond

// maxScouted bounds how many kinds of calls a task remembers to have scouted.
const maxScouted = 1024

// scout makes the first of the calls of kind k go ahead, as long as nothing is
// known of that kind, and the others wait for its first answer: if that is a demand,
// they can ask for what they need, and are not all refused first. It reports true
// to those that have waited. Each waits once at most, and not at all when the first
// answer has been seen.
func (a *attempt) scout(k kind) (waited bool, err error) {
	task := a.s.task
	task.mu.Lock()
	seen, known := task.scouts[k]
	if !known {
		if task.scouts == nil || len(task.scouts) >= maxScouted {
			task.scouts = map[kind]chan struct{}{} // who waits for one of the old has it
		}
		a.scouting = make(chan struct{})
		task.scouts[k] = a.scouting
	}
	task.mu.Unlock()
	if !known {
		return false, nil
	}
	return wait(a.req.Context(), seen)
}

// scouted tells those that wait that the first answer is there.
func (a *attempt) scouted() {
	if a.scouting != nil {
		close(a.scouting)
		a.scouting = nil
	}
}

func wait(ctx context.Context, seen <-chan struct{}) (waited bool, err error) {
	select {
	case <-seen:
		return true, nil
	default:
	}
	enough := time.NewTimer(scoutWait)
	defer enough.Stop()
	select {
	case <-seen:
	case <-enough.C:
	case <-ctx.Done():
		return true, whyDone(ctx)
	}
	return true, nil
}
