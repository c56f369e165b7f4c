package jittest

import (
	"context"
	"time"

	"github.com/jitagent/jitagent/dev/lumodev"
	"github.com/jitagent/jitagent/lumoauth"
	"github.com/jitagent/jitagent/secret"
	"github.com/jitagent/jitagent/state/approval"
)

// AwaitPending waits until a request waits for a person, in a world with
// [PersonDecides]. It ends the test, with the story of what happened, when none comes
// within 30 seconds.
func (w *World) AwaitPending() {
	w.t.Helper()
	w.await("a request that is pending", func() bool { return len(w.pending()) > 0 })
}

// Approve is the person who says yes to every request that is pending, for which
// it waits as [World.AwaitPending] does.
func (w *World) Approve() {
	w.t.Helper()
	w.decide("approved", approval.Decision{Approve: true})
}

// Deny is the person who says no, with a message for the agent, which may be "";
// otherwise it is as [World.Approve].
func (w *World) Deny(message string) {
	w.t.Helper()
	w.decide("denied", approval.Decision{Message: message})
}

func (w *World) decide(what string, how approval.Decision) {
	w.t.Helper()
	w.AwaitPending()
	token, err := w.auth.Reviewer(w.t.Context())
	if err != nil {
		w.fatal("nobody is there to decide: %v", err)
		return
	}
	w.record.know(token, "the reviewer's token")
	person := lumoauth.Reviewer{Client: w.Authority, Token: func(context.Context) (secret.String, error) { return token, nil }}
	for _, r := range w.pending() {
		if err := person.Decide(w.t.Context(), r.ID, how); err != nil {
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
