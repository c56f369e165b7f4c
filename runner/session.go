package runner

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"google.golang.org/adk/v2/session"
	"google.golang.org/genai"

	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/jitmw"
)

// busySessions lets one run at a time into a session: ADK does not serialise, and
// two runs would mix their histories.
type busySessions struct {
	mu  sync.Mutex
	set map[[2]string]bool
}

func (b *busySessions) enter(key [2]string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.set[key] {
		return false
	}
	if b.set == nil {
		b.set = map[[2]string]bool{}
	}
	b.set[key] = true
	return true
}

func (b *busySessions) leave(key [2]string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.set, key)
}

// A place names a conversation.
type place struct {
	user, session string
	fresh         bool // nobody named it, so it is new
}

// place returns where the input belongs.
func (in Input) place() place {
	p := place{user: cmp.Or(in.User, "user"), session: in.Session}
	if p.session == "" {
		p.session, p.fresh = rand.Text(), true
	}
	return p
}

// session opens a session, new or old, and enters it. history is how many events of
// it are shown to the model, or keptAll.
func (r *Runner) session(ctx context.Context, p place) (history int, release func(), err error) {
	key := [2]string{p.user, p.session}
	if !r.busy.enter(key) {
		return 0, nil, fmt.Errorf("runner: session %s: %w", p.session, ErrBusy)
	}
	release = func() { r.busy.leave(key) }
	if history, err = r.prepare(ctx, p.user, p.session, p.fresh); err != nil {
		release()
		return 0, nil, err
	}
	return history, release, nil
}

// prepare creates the session, or repairs the one that is there. A session that is
// named but unknown is created: ADK's services have no error for "not found" that
// could be told from others, so Create decides.
func (r *Runner) prepare(ctx context.Context, user, id string, fresh bool) (history int, err error) {
	if !fresh {
		got, err := r.cfg.Sessions.Get(ctx, &session.GetRequest{AppName: r.cfg.App, UserID: user, SessionID: id})
		if err == nil {
			return kept(got.Session), r.repair(ctx, got.Session)
		}
	}
	_, err = r.cfg.Sessions.Create(ctx, &session.CreateRequest{AppName: r.cfg.App, UserID: user, SessionID: id})
	if err != nil {
		return 0, fmt.Errorf("runner: session %s: %w", id, err)
	}
	return keptAll, nil
}

// repair gives every tool call of the history that has no result one that says
// so. An interrupted run leaves such calls, and strict providers refuse a history
// that has them.
func (r *Runner) repair(ctx context.Context, s session.Session) error {
	var open []*genai.FunctionCall
	var last *session.Event
	for ev := range s.Events().All() {
		if ev.Content == nil {
			continue
		}
		for _, p := range ev.Content.Parts {
			switch {
			case p.FunctionCall != nil:
				open, last = append(open, p.FunctionCall), ev
			case p.FunctionResponse != nil:
				open = without(open, p.FunctionResponse)
			}
		}
	}
	if len(open) == 0 {
		return nil
	}
	content := &genai.Content{Role: genai.RoleUser}
	for _, call := range open {
		content.Parts = append(content.Parts, &genai.Part{FunctionResponse: &genai.FunctionResponse{
			ID: call.ID, Name: call.Name,
			Response: jitmw.Shown(jit.Result{
				Status:  jit.CallInDoubt,
				Message: "the run was interrupted before this call's result was recorded; whether it took effect is not known",
			}),
		}})
	}
	ev := session.NewEvent(ctx, last.InvocationID)
	ev.Author, ev.Branch = last.Author, last.Branch
	ev.Content = content
	if err := r.cfg.Sessions.AppendEvent(ctx, s, ev); err != nil {
		return fmt.Errorf("runner: session %s: repair the history: %w", s.ID(), err)
	}
	return nil
}

// without takes the call that fr answers off the list.
func without(open []*genai.FunctionCall, fr *genai.FunctionResponse) []*genai.FunctionCall {
	for i, call := range open {
		if call.ID == fr.ID && call.Name == fr.Name {
			return append(open[:i:i], open[i+1:]...)
		}
	}
	return open
}
