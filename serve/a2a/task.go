package a2a

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/a2aproject/a2a-go/v2/a2a"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/internal/lazy"
	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/serve"
)

// What events of a session have of tasks, in what they change of its state. Clients of the
// REST API cannot set names with a colon.
const (
	taskKey    = "a2a:task"    // of a message, and of an end: the task's id
	messageKey = "a2a:message" // the message's id
	endKey     = "a2a:end"     // a state
	textKey    = "a2a:text"    // why
)

// A place is a session of a user.
type place struct{ user, session string }

var contextForm = lazy.Regexp(`^[A-Za-z0-9][A-Za-z0-9_-]{0,95}$`)

// of returns where a task is of the user of a context: its id begins with its session.
func (h *Handler) of(ctx context.Context, id a2a.TaskID) (place, error) {
	user, ok := serve.User(ctx)
	name, _, named := strings.Cut(string(id), ".")
	if !ok || !named || !contextForm().MatchString(name) {
		return place{}, notFound()
	}
	return place{user.ID, name}, nil
}

// A task is what a session knows of one.
type task struct {
	a2a.Task
	last     bool // nothing else was said to the session since
	answered bool // the message that was said last
	waits    *runner.Suspension
}

// tasks returns those of a session, in order, without the states of what is not over.
func tasks(s session.Session) (list []*task) {
	var now *task
	for ev := range s.Events().All() {
		delta, at := ev.Actions.StateDelta, ev.Timestamp.UTC()
		id, _ := delta[taskKey].(string)
		message, begun := delta[messageKey].(string)
		t, err := pick(list, a2a.TaskID(id))
		switch state, ended := delta[endKey].(string); {
		case ended:
			if err == nil {
				text, _ := delta[textKey].(string)
				t.end(a2a.TaskState(state), ev.ID, text, at)
			}
			continue
		case begun:
			if now = t; err != nil {
				now = &task{Task: a2a.Task{ID: a2a.TaskID(id), ContextID: s.ID()}}
				list = append(list, now)
			}
		case spoken(ev):
			now = nil // by another way than this
		}
		if now == nil {
			continue
		}
		now.Status.Timestamp = &at
		said := partsOf(ev.Content)
		switch {
		case begun:
			now.answered = false
			now.History = append(now.History, now.message(a2a.MessageRoleUser, message, said...))
		case ev.Author == genai.RoleUser || len(said) == 0:
		case ev.IsFinalResponse():
			now.answered = true
			now.Artifacts = append(now.Artifacts, &a2a.Artifact{ID: a2a.ArtifactID(ev.ID), Name: "answer", Parts: said})
		default:
			now.History = append(now.History, now.message(a2a.MessageRoleAgent, ev.ID, said...))
		}
	}
	if now != nil {
		now.last = true
	}
	return list
}

// spoken reports whether an event is a person's message.
func spoken(ev *session.Event) bool {
	media := ev.Content != nil && len(ev.Content.Parts) > 0 && ev.Content.Parts[0].InlineData != nil
	return runner.Said(ev) != nil || media && ev.Author == genai.RoleUser
}

// partsOf returns what a content says. Calls, their results and thoughts are none of it.
func partsOf(c *genai.Content) (parts a2a.ContentParts) {
	if c == nil {
		return nil
	}
	for _, p := range c.Parts {
		switch {
		case p == nil || p.Thought:
		case p.Text != "":
			parts = append(parts, a2a.NewTextPart(p.Text))
		case p.InlineData != nil:
			raw := a2a.NewRawPart(p.InlineData.Data)
			raw.MediaType, raw.Filename = p.InlineData.MIMEType, p.InlineData.DisplayName
			parts = append(parts, raw)
		}
	}
	return parts
}

func (t *task) message(role a2a.MessageRole, id string, parts ...*a2a.Part) *a2a.Message {
	return &a2a.Message{ID: id, Role: role, TaskID: t.ID, ContextID: t.ContextID, Parts: parts}
}

// end sets a state, and what is said with it.
func (t *task) end(state a2a.TaskState, id, text string, at time.Time) {
	t.Status = a2a.TaskStatus{State: state, Timestamp: &at}
	if text != "" {
		t.Status.Message = t.message(a2a.MessageRoleAgent, id, a2a.NewTextPart(text))
	}
}

// read returns the tasks of a session, with their states: as it was at one moment, in which
// nothing changed meanwhile.
func (h *Handler) read(ctx context.Context, at place) (list []*task, err error) {
	defer func() {
		if r, ok := errors.AsType[*serve.Refusal](err); ok && r.Status == http.StatusNotFound {
			list, err = nil, nil // the session is gone
		}
	}()
	for before := ""; ; {
		now, err := h.mark(ctx, at)
		if err != nil || now == before {
			return list, err
		}
		before = now
		l := h.at(at)
		busy, err := h.cfg.Runs.Busy(ctx, h.app, at.user, at.session)
		if err != nil {
			return nil, err
		}
		s, err := h.turns.Session(ctx, h.app, at.session)
		if err != nil {
			return nil, err
		}
		list = tasks(s)
		for _, t := range list {
			if err := h.state(ctx, at, t, l, busy); err != nil {
				return nil, err
			}
		}
	}
}

// state finds out the state of a task of which no end is noted. busy says that somebody is
// at the session, here or elsewhere.
func (h *Handler) state(ctx context.Context, at place, t *task, l *live, busy bool) (err error) {
	if t.Status.State != "" {
		return nil
	}
	if t.last && (l != nil && l.id == t.ID || l == nil && busy && !t.answered) {
		t.Status.State = a2a.TaskStateWorking
		if n := len(t.History) - 1; t.History[n].Role == a2a.MessageRoleAgent {
			t.Status.Message = t.History[n]
		}
		return nil
	}
	var killed bool
	if t.last {
		if t.waits, killed, err = h.waiting(ctx, at); err != nil {
			return err
		}
	}
	switch {
	case killed: // before whoever goes on with it sees that
		t.waits = nil
		t.end(a2a.TaskStateFailed, string(t.ID)+".end", "it was ended by an operator", *t.Status.Timestamp)
	case t.waits != nil:
		t.Status.State, t.Status.Message = h.awaits(ctx, t), h.asks(t)
	case t.answered:
		t.Status.State = a2a.TaskStateCompleted
	default:
		t.end(a2a.TaskStateFailed, string(t.ID)+".end", "it ended without an answer", *t.Status.Timestamp)
	}
	return nil
}

// waiting returns what a session waits with, nil for nothing, and whether that was killed.
func (h *Handler) waiting(ctx context.Context, at place) (s *runner.Suspension, killed bool, err error) {
	if h.cfg.Suspensions == nil {
		return nil, false, nil
	}
	s, err = h.cfg.Suspensions.Load(ctx, h.app, at.user, at.session)
	if s != nil && err == nil && h.turns.Journal != nil {
		_, killed, err = h.turns.Journal.Killed(ctx, s.Run)
	}
	return s, killed, err
}

// find returns a task of the user of a context.
func (h *Handler) find(ctx context.Context, id a2a.TaskID) (*task, place, error) {
	at, err := h.of(ctx, id)
	if err != nil {
		return nil, at, err
	}
	list, err := h.read(ctx, at)
	if err != nil {
		return nil, at, err
	}
	t, err := pick(list, id)
	return t, at, err
}

func pick(list []*task, id a2a.TaskID) (*task, error) {
	i := slices.IndexFunc(list, func(t *task) bool { return t.ID == id })
	if i < 0 {
		return nil, notFound()
	}
	return list[i], nil
}

// shown returns a task as a client is shown it, with as many of its last messages as asked.
func (h *Handler) shown(ctx context.Context, t *task, history *int) (*a2a.Task, error) {
	if err := h.request(ctx, t); err != nil {
		return nil, err
	}
	out := t.Task
	if history != nil {
		out.History = out.History[max(len(out.History)-max(*history, 0), 0):]
	}
	return &out, nil
}
