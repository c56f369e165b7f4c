package a2a

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/a2aproject/a2a-go/v2/a2a"
)

// lookAgain is how often a task is looked at that is not worked on here.
const lookAgain = time.Second

// follow yields a task as it is, and what becomes of it, until its state is one that over
// is true of, or ctx ends. l is what is under way, if that is known.
func (h *Handler) follow(ctx context.Context, id a2a.TaskID, l *live, over func(a2a.TaskState) bool) iter.Seq2[a2a.Event, error] {
	return func(yield func(a2a.Event, error) bool) {
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for last := (*a2a.Task)(nil); ; {
			changed, done, failure := h.now(l)
			if failure != nil {
				yield(nil, failure)
				return
			}
			t, _, err := h.find(ctx, id)
			if err == nil {
				var events []a2a.Event
				if events, err = h.news(ctx, last, t); err == nil {
					last = &t.Task
				}
				for _, ev := range events {
					if !yield(ev, nil) {
						return
					}
				}
			}
			switch {
			case err != nil && (last != nil || l == nil || !errors.Is(err, a2a.ErrTaskNotFound)): // or else it is not in its session yet
				yield(nil, err)
				return
			case last != nil && over(last.Status.State):
				return
			}
			if done {
				l = nil // changed stays closed
				continue
			}
			ending := h.ending
			if l != nil {
				ending = nil
			}
			select {
			case <-changed:
			case <-tick.C:
			case <-ending:
				return
			case <-ctx.Done():
				return
			}
		}
	}
}

// news returns what to tell of a task to a client that was told of last.
func (h *Handler) news(ctx context.Context, last *a2a.Task, t *task) (events []a2a.Event, err error) {
	if last == nil {
		whole, err := h.shown(ctx, t, nil)
		return []a2a.Event{whole}, err
	}
	for _, a := range t.Artifacts[min(len(last.Artifacts), len(t.Artifacts)):] {
		events = append(events, &a2a.TaskArtifactUpdateEvent{TaskID: t.ID, ContextID: t.ContextID, Artifact: a, LastChunk: true})
	}
	if t.Status.State != last.Status.State || messageOf(&t.Task) != messageOf(last) {
		if err := h.request(ctx, t); err != nil {
			return nil, err
		}
		events = append(events, &a2a.TaskStatusUpdateEvent{TaskID: t.ID, ContextID: t.ContextID, Status: t.Status})
	}
	return events, nil
}

func messageOf(t *a2a.Task) string {
	if t.Status.Message == nil {
		return ""
	}
	return t.Status.Message.ID
}
