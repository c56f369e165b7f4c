package a2a

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"net/http"

	"github.com/a2aproject/a2a-go/v2/a2a"
	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/runner"
	"github.com/jitagent/jitagent/serve"
)

// live is a task that is worked on by this process.
type live struct {
	id       a2a.TaskID
	cancel   context.CancelCauseFunc
	canceled bool          // by its user
	changed  chan struct{} // closed when something happened; guarded by the handler's mu
	over     bool
	err      error // why nothing was begun, once over
}

// at returns what is under way in a session, or nil.
func (h *Handler) at(at place) *live {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.live[at]
}

// now returns what ends when something happens to l, and what became of it.
func (h *Handler) now(l *live) (changed <-chan struct{}, over bool, err error) {
	if l == nil {
		return nil, false, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return l.changed, l.over, l.err
}

// tell wakes who follows l.
func (h *Handler) tell(l *live) {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// send takes a message, and returns the task that it is about, and what this process does for
// it: nil where others do.
func (h *Handler) send(ctx context.Context, req *a2a.SendMessageRequest) (id a2a.TaskID, l *live, err error) {
	m := req.Message
	if m == nil || m.Role != a2a.MessageRoleUser || m.ID == "" || len(m.ID) > 256 {
		return "", nil, invalid("a message is the user's, and has an id of up to 256 bytes")
	}
	if req.Config != nil && req.Config.PushConfig != nil {
		return "", nil, a2a.NewError(a2a.ErrPushNotificationNotSupported, "nothing is pushed: subscribe to the task")
	}
	decisions, err := decisionsIn(m)
	if err != nil {
		return "", nil, err
	}
	content, err := contentOf(m.Parts)
	if err != nil {
		return "", nil, err
	}
	if m.TaskID == "" {
		if decisions != nil {
			return "", nil, invalid("a decision is about a task, and comes with its id")
		}
		at, err := h.context(ctx, m.ContextID)
		if err != nil {
			return "", nil, err
		}
		id = a2a.TaskID(at.session + "." + rand.Text())
		l, err = h.begin(ctx, at, id, content, m.ID)
		return id, l, err
	}
	t, at, err := h.find(ctx, m.TaskID)
	switch {
	case err != nil:
		return "", nil, err
	case m.ContextID != "" && m.ContextID != t.ContextID:
		return "", nil, invalid("the task is of another context")
	case len(decisions) > 0, decisions != nil && t.waits != nil:
		goOn, err := h.decide(ctx, at, t, decisions)
		if goOn && t.waits != nil {
			l, _ = h.begin(ctx, at, t.ID, nil, m.ID) // or somebody else does
		}
		return t.ID, l, err
	case t.Status.State.Terminal():
		return "", nil, over()
	case t.waits == nil:
		return "", nil, working()
	}
	l, err = h.begin(ctx, at, t.ID, content, m.ID)
	return t.ID, l, err
}

// contentOf returns what a message says.
func contentOf(parts a2a.ContentParts) (*genai.Content, error) {
	c := &genai.Content{Role: genai.RoleUser}
	for i, p := range parts {
		if p == nil {
			return nil, invalid("part %d is none", i)
		}
		switch v := p.Content.(type) {
		case a2a.Text:
			if v != "" {
				c.Parts = append(c.Parts, genai.NewPartFromText(string(v)))
			}
		case a2a.Raw:
			media, err := serve.Media(p.MediaType, v, p.Filename)
			if err != nil {
				return nil, err
			}
			c.Parts = append(c.Parts, media)
		default:
			return nil, a2a.NewError(a2a.ErrUnsupportedContentType, "a message is text and raw data")
		}
	}
	if len(c.Parts) == 0 {
		return nil, invalid("the message has no parts that say something")
	}
	return c, nil
}

// context returns a session of the user of ctx, which it makes if need be.
func (h *Handler) context(ctx context.Context, id string) (place, error) {
	user, _ := serve.User(ctx)
	if id == "" {
		id = a2a.NewContextID()
	}
	at := place{user.ID, id}
	if !contextForm().MatchString(id) {
		return at, invalid("a context's id is up to 96 letters, digits, dashes and underscores")
	}
	_, err := h.turns.Begun(ctx, h.app, id)
	return at, err
}

// begin works on a message to a task, whether or not the client stays. nil only goes on.
func (h *Handler) begin(ctx context.Context, at place, id a2a.TaskID, content *genai.Content, message string) (*live, error) {
	ctx, end, err := h.turns.Enter(context.WithoutCancel(ctx))
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	l := &live{id: id, cancel: cancel, changed: make(chan struct{})}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.live[at] != nil || h.closed {
		cancel(nil)
		end()
		return nil, busy("the context has a task that is being worked on: send the message again when it waits or has ended")
	}
	h.live[at] = l
	h.working.Add(1)
	go func() {
		defer h.working.Done()
		defer end()
		defer cancel(nil)
		err := h.work(ctx, at, l, content, message)
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.live, at)
		l.over, l.err = true, err
		close(l.changed)
	}()
	return l, nil
}

// work answers a message. An error says that nothing was begun.
func (h *Handler) work(ctx context.Context, at place, l *live, content *genai.Content, message string) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = h.panicked(v)
		}
	}()
	for _, failure := range h.turns.Answer(ctx, h.app, at.session, content, map[string]any{taskKey: string(l.id), messageKey: message}) {
		err = cmp.Or(err, failure)
		h.tell(l)
	}
	h.mu.Lock()
	canceled := l.canceled
	h.mu.Unlock()
	switch {
	case canceled:
		return h.end(ctx, at, l.id, a2a.TaskStateCanceled, "")
	case err == nil:
		return nil
	}
	r := h.turns.Told(ctx, err)
	waits, _, _ := h.waiting(ctx, at)
	switch {
	case content == nil && (waits != nil || r.Status == http.StatusConflict):
		return nil // what was decided counts, and somebody else goes on with it
	case waits != nil, errors.Is(err, runner.ErrUnavailable), r.Status == http.StatusConflict, r.Status == http.StatusNotFound:
		return r
	}
	if err = h.end(ctx, at, l.id, a2a.TaskStateFailed, r.Text); errors.Is(err, a2a.ErrTaskNotFound) {
		return r
	}
	return err
}

// end notes the end of a task in its session, while nobody else has that.
func (h *Handler) end(ctx context.Context, at place, id a2a.TaskID, state a2a.TaskState, text string) error {
	ctx = context.WithoutCancel(ctx)
	ctx, lease, err := h.cfg.Runs.Begin(ctx, h.app, at.user, at.session)
	if err != nil {
		return err
	}
	outcome := runner.Failed
	if state == a2a.TaskStateCanceled {
		outcome = runner.Interrupted
	}
	s, err := h.turns.Session(ctx, h.app, at.session)
	var t *task
	if err == nil {
		t, err = pick(tasks(s), id)
	}
	if err == nil && !t.answered && t.Status.State == "" {
		ev := session.NewEvent(ctx, string(id))
		ev.Author = h.app
		ev.Actions.StateDelta = map[string]any{taskKey: string(id), endKey: string(state), textKey: text}
		err = runner.Conversations(h.turns.Sessions, 0).AppendEvent(ctx, s, ev)
	}
	return errors.Join(err, lease.Ended(context.WithoutCancel(ctx), outcome))
}

// cancel ends a task without an answer, and gives back what it was granted.
func (h *Handler) cancel(ctx context.Context, id a2a.TaskID) error {
	t, at, err := h.find(ctx, id)
	if err != nil {
		return err
	}
	l := h.at(at)
	switch {
	case t.Status.State.Terminal():
		return a2a.NewError(a2a.ErrTaskNotCancelable, "the task has ended")
	case t.waits != nil:
		if err := h.turns.Resume[h.app].Drop(ctx, runner.Input{User: at.user, Session: at.session}); err != nil {
			return err
		}
		return h.end(ctx, at, id, a2a.TaskStateCanceled, "")
	case l == nil || l.id != id:
		return busy("the task is being worked on elsewhere")
	}
	h.mu.Lock()
	l.canceled = true
	h.mu.Unlock()
	l.cancel(nil)
	for {
		changed, over, _ := h.now(l)
		if over {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
