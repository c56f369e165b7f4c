package kill

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jitagent/jitagent/cmd/analyst/internal/cli"
	"github.com/jitagent/jitagent/internal/pause"
	"github.com/jitagent/jitagent/jit"
	"github.com/jitagent/jitagent/state/journal"
	"github.com/jitagent/jitagent/state/recovery"
)

// An ending is what came of one task. Its JSON only gains members.
type ending struct {
	TaskID  string `json:"task_id,omitempty"`
	Run     string `json:"run"`
	Session string `json:"session,omitempty"`
	User    string `json:"on_behalf_of,omitempty"`
	Revoked bool   `json:"revoked"` // the authorization server confirmed its end
	Stopped bool   `json:"stopped"` // nobody works on it any more
	Problem string `json:"problem,omitempty"`
	APIs    []api  `json:"apis,omitempty"`
}

// An api is where tokens of a task were used.
type api struct {
	Origin     string    `json:"origin"`
	AcceptedAt time.Time `json:"accepted_at"` // the last time that it took one
}

func (e *ending) confirmed() bool { return e.Revoked && e.Stopped }

// look is the time between two looks at a task that its process is to stop.
const look = 200 * time.Millisecond

// end revokes what a task has, until that is confirmed and its process has stopped, or ctx
// ends.
func (e *ending) end(ctx context.Context, j journal.Store, cfg recovery.Config) {
	for wait := look; ; wait = min(2*wait, time.Second) {
		err := e.try(ctx, j, cfg)
		if e.confirmed() {
			e.Problem = ""
			return
		}
		if err != nil && ctx.Err() == nil {
			e.Problem = cli.Say(err)
		}
		if errors.Is(err, errExpiring) && e.Stopped {
			return
		}
		if !pause.For(ctx, wait) {
			late := "the authorization server did not answer in time"
			if !e.Stopped {
				late = "its process has not stopped yet: it does at its next step"
			}
			e.Problem = cmp.Or(e.Problem, late)
			return
		}
	}
}

// try does what can be done about a task now.
func (e *ending) try(ctx context.Context, j journal.Store, cfg recovery.Config) error {
	t, err := j.Task(ctx, e.Run)
	if err != nil {
		return err
	}
	switch {
	case t.State.Finished():
		e.Stopped, e.Revoked = true, e.Revoked || t.State == journal.StateCompleted && t.NextAttempt.IsZero()
		if !e.Revoked && t.State == journal.StateCompleted {
			return fmt.Errorf("%w, the last at %s", errExpiring, t.NextAttempt.Local().Format(time.DateTime))
		}
		e.Revoked = e.Revoked || t.State == journal.StateExpired // nothing under it is valid any more
		return nil
	case t.Authority != cfg.Authority && t.Authority != recovery.Embedded:
		return fmt.Errorf("it belongs to %s, and this command speaks for %s", t.Authority, cfg.Authority)
	case t.State == journal.StateSuspended: // nobody is at it, whether or not its process lives
		return e.takeOver(ctx, j, cfg, t)
	}
	_, err = recovery.Complete(ctx, cfg, t)
	if !errors.Is(err, journal.ErrOwned) {
		if err == nil {
			return e.try(ctx, j, cfg) // it is finished
		}
		e.Stopped = true
		return err
	}
	if e.Revoked || t.ID == "" || cfg.Completer == nil {
		return nil
	}
	return e.revoke(ctx, cfg, t)
}

// revoke ends a task at the authorization server under the process that works on it, which
// notes that itself.
func (e *ending) revoke(ctx context.Context, cfg recovery.Config, t journal.Task) error {
	err := cfg.Completer.CompleteTask(ctx, t.ID)
	if left, ok := errors.AsType[*jit.ExpiringError](err); ok {
		return fmt.Errorf("%w, the last at %s", errExpiring, left.Until.Local().Format(time.DateTime))
	}
	e.Revoked = err == nil
	return err
}

// takeOver makes a suspended task this process's own, as whoever resumes it would, and
// completes it.
func (e *ending) takeOver(ctx context.Context, j journal.Store, cfg recovery.Config, t journal.Task) error {
	epoch := 0
	entries, err := j.Entries(ctx, t.Run)
	for _, entry := range entries {
		epoch = max(epoch, entry.Epoch)
	}
	if err == nil {
		err = j.Append(ctx, jit.Entry{Kind: jit.EntryTaskResumed, Run: t.Run, TaskID: t.ID, Epoch: epoch + 1})
	}
	if err != nil {
		return err
	}
	e.Stopped = true
	m := journal.Mark{State: journal.StateCompleted}
	if err = e.revoke(ctx, cfg, t); errors.Is(err, errExpiring) {
		m.Next = t.Until
	} else if err != nil {
		m = journal.Mark{State: journal.StateCompleting, Reason: err.Error(), Next: time.Now()}
	}
	return errors.Join(err, j.Mark(context.WithoutCancel(ctx), t.Run, m))
}

// accepted reads when each API last took a token of the task.
func (e *ending) accepted(ctx context.Context, j journal.Store) error {
	last := map[string]time.Time{}
	for r, err := range j.Query(ctx, journal.Filter{Run: e.Run, Kinds: []jit.EntryKind{jit.EntryUse, jit.EntryCallReturned}}) {
		if err != nil {
			return err
		}
		u, err := url.Parse(r.URL)
		refused := r.HTTPStatus == 0 || r.HTTPStatus == http.StatusUnauthorized || r.HTTPStatus == http.StatusForbidden
		if err != nil || r.RequestID == "" || refused {
			continue
		}
		if origin := u.Scheme + "://" + u.Host; r.Time.After(last[origin]) {
			last[origin] = r.Time
		}
	}
	for origin, at := range last {
		e.APIs = append(e.APIs, api{origin, at})
	}
	slices.SortFunc(e.APIs, func(a, b api) int { return strings.Compare(a.Origin, b.Origin) })
	return nil
}
