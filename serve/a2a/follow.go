package a2a

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/a2aproject/a2a-go/v2/a2a"
	"google.golang.org/adk/v2/session"

	"github.com/jitagent/jitagent/runner"
)

// lookAgain is how often a task is looked at that is not worked on here.
const lookAgain = time.Second

// follow yields a task as it is, and what becomes of it, until its state is one that over
// is true of, or ctx ends. l is what is under way, if that is known.
func (h *Handler) follow(ctx context.Context, id a2a.TaskID, l *live, over func(a2a.TaskState) bool) iter.Seq2[a2a.Event, error] {
	return func(yield func(a2a.Event, error) bool) {
		tick := time.NewTicker(lookAgain)
		defer tick.Stop()
		for f := (&follower{h: h, id: id}); ; {
			changed, done, _ := h.now(l)
			events, err := f.next(ctx)
			_, _, failure := h.now(l) // or what waits would be told as if the message had been said
			if l != nil && f.last == nil && errors.Is(err, a2a.ErrTaskNotFound) {
				err = nil // it is not in its session yet
			}
			if err = cmp.Or(failure, err); err != nil {
				yield(nil, err)
				return
			}
			for _, ev := range events {
				if !yield(ev, nil) {
					return
				}
			}
			if f.last != nil && over(f.last.Status.State) {
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

// A follower knows what it told of a task, and reads its session when something changed.
type follower struct {
	h    *Handler
	id   a2a.TaskID
	mark string
	last *a2a.Task // as it was told; nil before that
}

// next returns what became of the task since it was asked last.
func (f *follower) next(ctx context.Context) (events []a2a.Event, err error) {
	at, err := f.h.of(ctx, f.id)
	if err != nil {
		return nil, err
	}
	before := f.mark
	if f.mark, err = f.h.mark(ctx, at); err != nil || f.mark == before {
		return nil, err
	}
	t, _, err := f.h.find(ctx, f.id)
	if err != nil {
		return nil, err
	}
	if events, err = f.h.news(ctx, f.last, t); err == nil {
		f.last = &t.Task
	}
	return events, err
}

// mark returns a text that changes when something does in a session that its tasks follow
// from. Of the events it reads one.
func (h *Handler) mark(ctx context.Context, at place) (string, error) {
	l := h.at(at)
	busy, err := h.cfg.Runs.Busy(ctx, h.app, at.user, at.session)
	if err != nil {
		return "", err
	}
	got, err := h.turns.Sessions.Get(ctx, &session.GetRequest{AppName: h.app, UserID: at.user, SessionID: at.session, NumRecentEvents: 1})
	if err != nil {
		_, why := h.turns.Session(ctx, h.app, at.session) // which knows whether it is there
		return "", cmp.Or(why, err)
	}
	s, killed, err := h.waiting(ctx, at)
	if err != nil {
		return "", err
	}
	var waits []runner.Waiting
	if s != nil {
		waits = s.Waiting()
	}
	mark := fmt.Sprintf("%p %t %v %t %d", l, busy, waits, killed, got.Session.LastUpdateTime().UnixNano())
	for ev := range got.Session.Events().All() { // two may have one time
		mark += " " + ev.ID
	}
	return mark, nil
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
