package a2a

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/a2aproject/a2a-go/v2/a2a"
	"google.golang.org/adk/v2/session"

	"github.com/jitagent/jitagent/serve"
)

// A gist is what a list goes by: of a task, its id, its state and since when.
type gist struct {
	id    a2a.TaskID
	state a2a.TaskState
	at    time.Time
}

// An ended is a session of which every task had ended when it was changed last.
type ended struct {
	changed time.Time
	tasks   []gist
}

// maxEnded is how many such sessions are remembered, so that a list does not read them.
const maxEnded = 10_000

// list returns the tasks of the user of a context, those that changed last first.
func (h *Handler) list(ctx context.Context, req *a2a.ListTasksRequest) (*a2a.ListTasksResponse, error) {
	size := cmp.Or(req.PageSize, 50)
	if size < 1 || size > 100 {
		return nil, invalid("pageSize is from 1 to 100")
	}
	user, _ := serve.User(ctx)
	all, err := h.turns.Sessions.List(ctx, &session.ListRequest{AppName: h.app, UserID: user.ID})
	if err != nil {
		return nil, err
	}
	var found []gist
	for _, s := range all.Sessions {
		if _, err := s.State().Get(taskKey); err != nil || req.ContextID != "" && req.ContextID != s.ID() {
			continue
		}
		of, err := h.gists(ctx, place{user.ID, s.ID()}, s.LastUpdateTime())
		if err != nil {
			return nil, err
		}
		found = append(found, of...)
	}
	found = slices.DeleteFunc(found, func(t gist) bool {
		after := req.StatusTimestampAfter
		return req.Status != "" && t.state != req.Status || after != nil && !t.at.After(*after)
	})
	slices.SortFunc(found, func(a, b gist) int { return cmp.Or(b.at.Compare(a.at), cmp.Compare(a.id, b.id)) })
	out := &a2a.ListTasksResponse{Tasks: []*a2a.Task{}, TotalSize: len(found), PageSize: size}
	if req.PageToken != "" {
		i := slices.IndexFunc(found, func(t gist) bool { return string(t.id) == req.PageToken })
		if i < 0 {
			return nil, invalid("pageToken names no page")
		}
		found = found[i+1:]
	}
	tasks, done, err := h.page(ctx, found[:min(size, len(found))], req)
	if out.Tasks = tasks; done < len(found) && err == nil {
		out.NextPageToken = string(found[done-1].id)
	}
	return out, err
}

// gists returns those of a session that was changed at a time, which is read if need be.
func (h *Handler) gists(ctx context.Context, at place, changed time.Time) ([]gist, error) {
	h.mu.Lock()
	known, ok := h.ended[at]
	h.mu.Unlock()
	if ok && known.changed.Equal(changed) {
		return known.tasks, nil
	}
	list, err := h.read(ctx, at)
	if err != nil {
		return nil, err
	}
	now := ended{changed: changed}
	over := true
	for _, t := range list {
		now.tasks = append(now.tasks, gist{t.ID, t.Status.State, *t.Status.Timestamp})
		over = over && t.Status.State.Terminal()
	}
	if over {
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.ended) >= maxEnded {
			clear(h.ended)
		}
		h.ended[at] = now
	}
	return now.tasks, nil
}

// page returns tasks as a client is shown them in a list, and reads each session once. It
// ends where they were read as much as one session may have; done is how many were looked at.
func (h *Handler) page(ctx context.Context, of []gist, req *a2a.ListTasksRequest) (out []*a2a.Task, done int, err error) {
	out, read, whole := []*a2a.Task{}, map[place][]*task{}, int64(0)
	for i, g := range of {
		at, err := h.of(ctx, g.id)
		if err == nil && read[at] == nil {
			if whole > h.turns.Limits.Session {
				return out, i, nil
			}
			read[at], err = h.read(ctx, at)
			whole += size(read[at])
		}
		if err != nil {
			return nil, 0, err
		}
		t, err := pick(read[at], g.id)
		if err != nil {
			continue // the session was deleted meanwhile
		}
		one, err := h.shown(ctx, t, req.HistoryLength)
		if err != nil {
			return nil, 0, err
		}
		if !req.IncludeArtifacts {
			one.Artifacts = nil
		}
		out = append(out, one)
	}
	return out, len(of), nil
}

// size is how many bytes tasks say.
func size(list []*task) (n int64) {
	for _, t := range list {
		for _, m := range t.History {
			n += said(m.Parts)
		}
		for _, a := range t.Artifacts {
			n += said(a.Parts)
		}
	}
	return n
}

func said(parts a2a.ContentParts) (n int64) {
	for _, p := range parts {
		n += int64(len(p.Text()) + len(p.Raw()))
	}
	return n
}
