package jittest

import (
	"context"
	"time"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/secret"
)

// Approve is the person who says yes to every request that is pending, in a world
// with [PersonDecides]. It waits until there is one, and ends the test, with
// the story of what happened, when none comes within 30 seconds.
func (w *World) Approve() {
	w.t.Helper()
	w.decide("approved", func(ctx context.Context, person secret.String, id string) error {
		_, err := w.Authority.Approve(ctx, person, id, lumoauth.Approval{})
		return err
	})
}

// Deny is the person who says no, with a message for the agent, which may be "";
// otherwise it is as [World.Approve].
func (w *World) Deny(message string) {
	w.t.Helper()
	w.decide("denied", func(ctx context.Context, person secret.String, id string) error {
		_, err := w.Authority.Deny(ctx, person, id, lumoauth.Denial{Message: message})
		return err
	})
}

func (w *World) decide(what string, do func(ctx context.Context, person secret.String, id string) error) {
	w.t.Helper()
	w.await("a request that is pending", func() bool { return len(w.pending()) > 0 })
	reviewer := ""
	for _, u := range w.auth.Config().Users {
		if u.Reviewer {
			reviewer = u.Email
			break
		}
	}
	person, err := w.auth.UserToken(reviewer)
	if err != nil {
		w.fatal("nobody is there to decide: %v", err)
		return
	}
	w.record.know(person, "the reviewer's token")
	for _, r := range w.pending() {
		if err := do(w.t.Context(), person, r.ID); err != nil {
			w.fatal("%s could not be %s: %v", r.Detail, what, err)
			return
		}
		w.record.change(func() {
			for _, a := range w.record.asked {
				if a.RequestID == r.ID {
					a.Status = what
				}
			}
		})
		w.Note("a person %s %s", what, r.Detail)
	}
}

// pending returns the requests that wait for a person.
func (w *World) pending() (open []lumodev.RequestInfo) {
	for _, r := range w.auth.Snapshot().Requests {
		if r.Status == "pending" {
			open = append(open, r)
		}
	}
	return open
}

// AwaitHeld waits until n calls are held by [SlowAPI] or [SlowDecisions] together,
// and ends the test when they do not come within 30 seconds.
func (w *World) AwaitHeld(n int) {
	w.t.Helper()
	w.await("calls that are held", func() (all bool) {
		w.record.read(func() { all = w.record.held == n })
		return all
	})
}

// Release lets go whom [SlowAPI] and [SlowDecisions] hold, and all who come later.
func (w *World) Release() {
	w.Note("what was held was released")
	w.release()
}

// hold waits for Release, and reports false when ctx ends first.
func (w *World) hold(ctx context.Context) bool {
	select {
	case <-w.released:
		return true
	default:
	}
	w.record.change(func() { w.record.held++ })
	defer w.record.change(func() { w.record.held-- })
	select {
	case <-w.released:
		return true
	case <-ctx.Done():
		return false
	}
}

// Advance moves the servers' clock. Tokens, tasks and the time in which a person
// may decide expire by it; the client, whose clock does not move, hears of that
// from the servers.
func (w *World) Advance(d time.Duration) {
	w.clock.Add(int64(d))
	w.Note("the servers' clock went forward by %s", d)
}

// ExpireTokens moves the servers' clock just behind the expiry of all tokens that
// were granted so far. It is an error of the test if there are none.
func (w *World) ExpireTokens() {
	w.t.Helper()
	issued := w.Issued()
	if len(issued) == 0 {
		w.fail("there is no token that could expire")
	}
	for _, i := range issued {
		if left := i.ExpiresAt.Sub(w.now()); left >= 0 {
			w.clock.Add(int64(left + time.Second))
		}
	}
	w.Note("every token issued so far has expired")
}

// RevokeTokens revokes all tokens that were granted so far. The task stays open, so
// others can be had. It is an error of the test if there are none.
func (w *World) RevokeTokens() {
	w.t.Helper()
	var granted []credential
	w.record.read(func() {
		for _, c := range w.record.known {
			if isGranted(c.name) {
				granted = append(granted, c)
			}
		}
	})
	if len(granted) == 0 {
		w.fail("there is no token that could be revoked")
	}
	for _, c := range granted {
		if err := w.Authority.Revoke(w.t.Context(), c.value); err != nil {
			w.fail("%s could not be revoked: %v", c.name, err)
		}
		w.Note("%s was revoked", c.name)
	}
}

// Suspend suspends every open task, as the authorization server does with an agent
// that it mistrusts: their tokens are void and they get no others. It is an error of
// the test if no task is open.
func (w *World) Suspend() {
	w.t.Helper()
	open := 0
	for _, task := range w.auth.Snapshot().Tasks {
		if task.State == "active" {
			open++
			if err := w.auth.Suspend(task.ID); err != nil {
				w.fail("the task could not be suspended: %v", err)
			}
			w.Note("the task was suspended")
		}
	}
	if open == 0 {
		w.fail("there is no open task that could be suspended")
	}
}

// Complete completes the world's task. A failure is an error of the test.
func (w *World) Complete() {
	w.t.Helper()
	if err := w.complete(); err != nil {
		w.fail("the task could not be completed: %v", err)
	}
}

// await waits until ready, looking again at each change of the record.
func (w *World) await(what string, ready func() bool) {
	w.t.Helper()
	timer := time.NewTimer(w.cfg.patience)
	defer timer.Stop()
	for {
		var changed chan struct{}
		w.record.read(func() { changed = w.record.changed })
		if ready() {
			return
		}
		select {
		case <-changed:
		case <-timer.C:
			w.fatal("waited %s in vain for %s", w.cfg.patience, what)
			return
		case <-w.t.Context().Done():
			w.fatal("the test ended while it waited for %s", what)
			return
		}
	}
}
